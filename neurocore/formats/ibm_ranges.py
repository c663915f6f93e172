"""Lists of numbers as IBM's model files write them: expanded, and written short.

Such a list mixes numbers with texts: ``"a:b"`` and ``"a:step:b"`` count from a to b, b included if a step meets it; ``"VxN"``
is V, N times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from neurocore.errors import InputError

NAMED = re.compile(r"N([0-9A-Fa-f]{1,8})(x\d{1,10})?", re.ASCII)
"""Name of a neuron type, with its number in hexadecimal."""

_MAX_TEXT = 64
_RUN = re.compile(r"(-?\d{1,10})(?:x(\d{1,10})|:(-?\d{1,10})(?::(-?\d{1,10}))?)?", re.ASCII)


def expand(name: str, given: Any, limit: int, *, types: bool = False) -> list[int]:
    """Expand a list of numbers and ranges; with ``types`` also names such as ``N0000001F``.

    Raises InputError, before anything is expanded, if more than ``limit`` numbers would come of it.
    """
    values: list[int] = []
    for item in given if isinstance(given, list) else [given]:
        if type(item) is int:
            values.append(item)
            continue
        if type(item) is str and len(item) <= _MAX_TEXT:
            count, start, step = _run(name, item, types)
        else:
            raise InputError(f'{name} holds {item!r:.40}; numbers, "a:b", "a:step:b" and "VxN" were expected')
        if len(values) + count > limit:
            raise InputError(f"{name} holds more than {limit} numbers (at {item!r:.40}); a core has {limit} neurons")
        values.extend(range(start, start + step * count, step) if step else [start] * count)
    if len(values) > limit:
        raise InputError(f"{name} holds {len(values)} numbers; a core has {limit} neurons")
    return values


@lru_cache(maxsize=4096)
def _run(name: str, text: str, types: bool) -> tuple[int, int, int]:
    """Number of values, first value and step of a range; step 0 repeats the value."""
    named = NAMED.fullmatch(text) if types else None
    match = _RUN.fullmatch(f"{int(named[1], 16)}{named[2] or ''}" if named else text)
    if not match:
        raise InputError(f'{name} holds {text!r}; a number, "a:b", "a:step:b" or "VxN" was expected')
    start = int(match[1])
    if match[2] is not None:
        return int(match[2]), start, 0
    if match[3] is None:
        return 1, start, 0
    step, stop = (1, int(match[3])) if match[4] is None else (int(match[3]), int(match[4]))
    if step == 0 or (stop - start) * step < 0:
        raise InputError(
            f"{name} holds the range {text!r}, which leads nowhere; its step must lead from {start} to {stop}"
        )
    return (stop - start) // step + 1, start, step


def whole(value: Any) -> int | None:
    """A JSON number without fraction as int, None for anything else."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def compress(values: Sequence[int]) -> list[int | str]:
    """Numbers as the format's mixture of numbers, ``a:b``, ``a:step:b`` and ``VxN``; three or more make a range."""
    items: list[int | str] = []
    at = 0
    while at < len(values):
        end, step = at + 1, 0
        if end < len(values):
            step = values[end] - values[at]
            while end < len(values) and values[end] - values[end - 1] == step:
                end += 1
        if end - at < 3:
            items.append(values[at])
            at += 1
            continue
        first, last = values[at], values[end - 1]
        middle = "" if step == 1 else f"{step}:"
        items.append(f"{first}x{end - at}" if step == 0 else f"{first}:{middle}{last}")
        at = end
    return items

"""Pieces of which sentences for users are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import numpy as np

MOST_COMPARED = 1000
"""Known names with which a wrong one is compared at most, so that the remark costs little in networks of many populations."""


def counted(number: int, noun: str) -> str:
    """``1 tick``, ``2 ticks``, ``1,234 ticks``, ``1 copy``, ``2 copies``; other plurals than these are not known."""
    if number == 1:
        return f"{number:,} {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("py") else f"{number:,} {noun}s"


def times(factor: float) -> str:
    """``0.25 times``, ``1,234 times``."""
    return f"{factor:,.0f} times" if factor >= 100 else f"{factor:.3g} times"


def acting(number: int, noun: str, one: str, many: str) -> str:
    """``1 neuron sends``, ``2 neurons send``: a count with the verb, or the words that begin with it, in either number."""
    return f"{counted(number, noun)} {one if number == 1 else many}"


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """``; did you mean 'all_to_all'?``, the end of a sentence about a wrong name, if a known one is near; otherwise nothing."""
    from difflib import get_close_matches

    text = wrong if isinstance(wrong, str) else shown(wrong)
    # Names that differ in capitals alone are as near as can be.
    names = {name.casefold(): name for name in reversed(list(islice(known, MOST_COMPARED)))}
    near = get_close_matches(text.casefold(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


MOST_SHOWN = 200
"""Characters of a value that a message shows at most."""


def shown(value: object) -> str:
    """A value that a user gave, in one line that is not too long; also one that cannot be shown at all."""
    try:
        text = " ".join(line.strip() for line in repr(value).splitlines())
    except Exception:
        # What repr does is up to the value; numbers of thousands of digits have none either.
        return f"something of type {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def is_whole(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Whether a value is a whole number, of Python or of NumPy; its truth values and spans of time are none."""
    import numpy as np

    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def chips_clock(dilation: int) -> str:
    """That the counts of a dilated chip are those of the chip."""
    return (
        f"Ticks, spikes and synaptic events are the chip's: {dilation} of its ticks make one of the network, and what its neurons"
        " send each other within one counts."
    )


SETTINGS = {"fan_in": "--fan-in", "quantise": "--quantise", "placement": "--placement", "merge": None}
"""What :func:`setting` names, and the option of ``compile`` that is the same, if there is one."""
_SETTING = re.compile(rf'\b({"|".join(SETTINGS)})="([^"]*)"')

Spelling = Callable[[str], str]
"""Gives a message the spelling of settings that its reader uses."""


def setting(name: str, value: str) -> str:
    """A setting that a message advises, as Python takes it: ``fan_in="dilate"``."""
    assert name in SETTINGS
    return f'{name}="{value}"'


def as_yaml(text: str) -> str:
    """A message with its settings as a network's file has them: ``fan_in: dilate``."""
    return _SETTING.sub(r"\1: \2", text)


def as_options(text: str, command: str = "") -> str:
    """A message with its settings as the command line takes them, ``--fan-in dilate``; those without an option as in YAML.

    ``command`` stands before an option, where another command has it.
    """

    def spelt(found: re.Match[str]) -> str:
        option = SETTINGS[found[1]]
        return found[0] if option is None else f"{command}{option} {found[2]}"

    return as_yaml(_SETTING.sub(spelt, text))

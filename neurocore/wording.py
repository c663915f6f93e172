"""Pieces of which sentences for users are made."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

MOST_COMPARED = 1000
"""Known names with which a wrong one is compared at most, so that the remark costs little in networks of many populations."""


def counted(number: int, noun: str) -> str:
    """``1 tick``, ``2 ticks``, ``1,234 ticks``; the noun's plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """``; did you mean 'all_to_all'?``, the end of a sentence about a wrong name, if a known one is near; otherwise nothing."""
    from difflib import get_close_matches

    # Names that differ in capitals alone are as near as can be.
    names = {name.casefold(): name for name in reversed(list(islice(known, MOST_COMPARED)))}
    near = get_close_matches(str(wrong).casefold(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""

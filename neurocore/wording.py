"""Numbers with their nouns, as sentences need them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 tick``, ``2 ticks``, ``1,234 ticks``; the noun's plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

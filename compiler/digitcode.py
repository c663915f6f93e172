"""Digit codes: the fewest axons that whole numbers of a range take, if each type stands for a digit.

The search goes over how many axons the type of the largest digit gets, not over its value: with so many of them the least value
leaves the least to the other types. A bound on what those take, convex in that number, ends it on either side of the best, so
that ranges of 32 bits take no longer than short ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DigitCode:
    """Digits for whole numbers from ``low`` to ``high``: values of the types, and how many axons of each a signal needs.

    Positive values come first, in ascending order; a negative one, if any, is the last.
    """

    values: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def n_axons(self) -> int:
        """Axons per signal, if every digit is used to the full."""
        return sum(self.counts)

    def with_digit(self, value: int, count: int) -> DigitCode:
        """The code with one more type, of which a signal needs ``count`` axons."""
        return DigitCode((*self.values, value), (*self.counts, count))

    def digits(self, weight: Array) -> Array:
        """Digits [types, n] of weights [n]: how many axons of each type the neuron connects to."""
        digits = np.zeros((len(self.values), len(weight)), np.int64)
        rest = weight.copy()
        positive = len(self.values)
        if self.values[-1] < 0:
            positive -= 1
            digits[-1] = np.where(rest < 0, -(rest // -self.values[-1]), 0)
            rest = rest - digits[-1] * self.values[-1]
        for place in range(positive - 1, -1, -1):
            digits[place] = np.minimum(rest // self.values[place], self.counts[place])
            rest -= digits[place] * self.values[place]
        assert not rest.any(), "the digit code covers its range"
        return digits


@lru_cache(maxsize=4096)
def find_digit_code(low: int, high: int, n_types: int, largest: int, lowest: int | None = None) -> DigitCode | None:
    """The code with the fewest axons for weights low..high (low <= 0 <= high) with at most n_types values.

    The values reach up to ``largest`` and down to ``lowest``, -``largest`` if None. Of codes with equally many axons it is that
    with the least magnitude of the negative digit, or without one, of the largest.
    """
    if low == 0:
        return _positive_code(high, n_types, largest)
    limit = min(-low, largest if lowest is None else -lowest)
    if n_types == 1 or limit < 1:
        return DigitCode((-1,), (-low,)) if high == 0 and limit >= 1 else None
    best: DigitCode | None = None

    def is_promising(count: int) -> bool:
        least = _least_axons(max(high + 1, -low / count), n_types - 1, largest)
        return best is None or count + least <= best.n_axons

    cheapest = min((-low) ** (1 / n_types), -low / (high + 1))
    for count in _outward(int(cheapest), -(low // limit), -low, is_promising):
        bottom = -(low // count)
        rest = _positive_code(max(high, bottom - 1), n_types - 1, largest)
        best = _cheaper(best, rest.with_digit(-bottom, -(low // bottom)))
    return best


@lru_cache(maxsize=1 << 16)
def _positive_code(high: int, n_types: int, largest: int) -> DigitCode:
    """The cheapest code for 0..high; digits above the first are at most ``largest``."""
    if high == 0:
        return DigitCode((), ())
    best = DigitCode((1,), (high,))
    n_types = min(n_types, high.bit_length())  # more have no use
    if n_types == 1 or largest < 2:
        return best

    def is_promising(count: int) -> bool:
        numbers = (high + 1) / (count + 1)
        return count + _least_axons(numbers, n_types - 1, numbers) <= best.n_axons

    first, cheapest = max(-(-(high + 1) // largest) - 1, 1), (high + 1) ** (1 / n_types) - 1
    for count in _outward(int(cheapest), first, high - 1, is_promising):
        top = high // (count + 1) + 1
        rest = _positive_code(top - 1, n_types - 1, top - 1)
        best = _cheaper(best, rest.with_digit(top, high // top))
    return best


def _cheaper(one: DigitCode | None, other: DigitCode) -> DigitCode:
    """The code with fewer axons; if both have as many, that with the smaller last digit."""
    return other if one is None else min(one, other, key=lambda code: (code.n_axons, abs(code.values[-1])))


def _least_axons(numbers: float, n_types: int, largest: float) -> float:
    """A bound on the axons that so many numbers from 0 on take with digits up to ``largest``.

    With counts c of the types, the numbers are at most the product of all c + 1. The bound follows by the inequality of the
    means, from c being at least log2(c + 1), and from the largest digit alone; rounding of floats is taken off.
    """
    by_means = n_types * (math.pow(numbers, 1 / n_types) - 1)
    return max(by_means, math.log2(numbers), (numbers - 1) / largest) * (1 - 1e-9)


def _outward(start: int, first: int, last: int, is_promising: Callable[[int], bool]) -> Iterator[int]:
    """Numbers first..last, from ``start`` down and from there up, either way until one is not promising."""
    start = min(max(start, first), last)
    for way in (range(start, first - 1, -1), range(start + 1, last + 1)):
        for number in way:
            if not is_promising(number):
                break
            yield number

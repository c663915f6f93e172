"""Charts over the ticks of a run (SVG, parts of a page): the axis of ticks, panels one below the other, bins of ticks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocore.heatmap import svg_text

Array = npt.NDArray[np.int64]

LEFT, PLOT, RIGHT = 110, 760, 24
"""Pixels of the names beside the panels, of the panels, and of what is free on their right."""
WIDTH = LEFT + PLOT + RIGHT
FOOT = 38
"""Pixels below the panels, for the ticks' numbers and what they are."""
MARKS_APART = 90
"""Pixels that the numbers of ticks are apart at least."""
LETTER = 6.2
"""Width that a letter of a name is taken for."""


@dataclass(frozen=True)
class Span:
    """The ticks ``first`` .. ``first + ticks - 1`` in ``columns`` bins of ``each`` ticks, the last of which may be shorter."""

    first: int
    ticks: int
    each: int

    @staticmethod
    def of(first: int, ticks: int, most_columns: int) -> Span:
        """Bins as short as ``most_columns`` of them allow."""
        return Span(first, ticks, max(1, -(-ticks // most_columns)))

    @property
    def columns(self) -> int:
        """How many bins there are."""
        return -(-self.ticks // self.each)

    @property
    def lengths(self) -> Array:
        """Ticks [columns] of the bins."""
        lengths = np.full(self.columns, self.each, np.int64)
        lengths[-1:] -= self.columns * self.each - self.ticks
        return lengths

    def column(self, tick: Array) -> Array:
        """The bin of each tick, which lies in the span."""
        return np.asarray((tick - self.first) // self.each)

    def x(self, tick: float) -> float:
        """Where a tick begins."""
        return LEFT + PLOT * (tick - self.first) / max(self.ticks, 1)

    def edges(self) -> list[float]:
        """Where the bins begin, and where the last ends."""
        return [self.x(self.first + min(number * self.each, self.ticks)) for number in range(self.columns + 1)]

    def axis(self, panels: Sequence[tuple[float, float]], clock: str) -> Iterator[str]:
        """Numbers of ticks below the last panel, lines through all of them (upper and lower side), and what ticks they are."""
        bottom = panels[-1][1]
        for tick in round_numbers(self.first, self.first + self.ticks, max(PLOT // MARKS_APART, 1)):
            if tick == int(tick):
                x = self.x(tick)
                lines = "".join(f"M{x:.5g} {top:g}V{low:g}" for top, low in panels)
                yield f'<path class="rule" d="{lines}v4" stroke="#bbbbbb"/>'
                yield svg_text(round(x, 1), bottom + 17, f"{int(tick):,}", size=11)
        yield svg_text(LEFT + PLOT, bottom + 33, clock, size=11, anchor="end")


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in ``low`` .. ``high``, at most about ``most``; none if there is no range."""
    if not high > low:
        return []
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def fitted(name: str, pixels: float = LEFT - 14) -> str:
    """A name that fits beside a panel; what is too long is cut off."""
    letters = int(pixels / LETTER)
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def per_bin(tick: Array, span: Span) -> Array:
    """Spikes [columns] in each bin; ``tick`` holds those of the spikes."""
    return np.bincount(span.column(tick), minlength=span.columns).astype(np.int64)


def clock_of(dilation: int) -> str:
    """What the ticks of a run are."""
    return "tick" if dilation == 1 else f"tick of the chip, {dilation} to one of the network"

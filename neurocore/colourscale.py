"""A logarithmic scale of colours for pictures in SVG, with a bar that explains it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocore.heatmap import Ramp, colour, marks, short, svg_text
from neurocore.page import DARK_SCREEN

SHADES = 12
"""Steps of a scale."""
LEAST_SPAN = 10
"""How many times the lowest value of a scale its highest is at least, so that what is nearly equal looks so."""
BAR = 250
"""Length of the bar in pixels."""
MARKS_APART = 36
"""Pixels that the bar's numbers are apart at least."""
EMPTY, OUTLINE = "#ffffff", "#9a9a9a"
"""Filling and outline of what has no value on a scale."""


@dataclass(frozen=True)
class Scale:
    """A logarithmic scale of means per tick from ``low`` to ``high``, in SHADES steps of a ramp; both 0 if nothing is shown."""

    low: float
    high: float
    ramp: Ramp

    @staticmethod
    def of(values: npt.NDArray[np.float64], ramp: Ramp) -> Scale:
        """The scale of those values that are above 0."""
        above = values[values > 0]
        if not above.size:
            return Scale(0.0, 0.0, ramp)
        high = float(above.max())
        return Scale(min(float(above.min()), high / LEAST_SPAN), high, ramp)

    def share(self, value: float) -> float:
        """Where a value above 0 lies, 0..1."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def step(self, value: float) -> int:
        """The step of a value above 0."""
        return min(int(self.share(value) * SHADES), SHADES - 1)

    def shade(self, step: int) -> tuple[str, str]:
        """Fill and text colour of a step."""
        return colour(step / (SHADES - 1), self.ramp)

    def styles(self, name: str) -> Iterator[str]:
        """Classes of style sheets for every step: ``name0``, ``name1``, ... for shapes and ``name0t``, ... for text on them."""
        for step in range(SHADES):
            fill, ink = self.shade(step)
            yield f".{name}{step}{{fill:{fill}}}.{name}{step}t{{fill:{ink}}}"

    def page_styles(self, name: str) -> Iterator[str]:
        """The same for a page, which may be dark: there the ramp is turned round, so that low values are near the ground."""
        yield from self.styles(name)
        turned = Scale(self.low, self.high, (self.ramp[2], self.ramp[1], self.ramp[0]))
        yield f"{DARK_SCREEN}{{{''.join(turned.styles(name))}}}"

    def bar(self, name: str, top: float, title: str) -> Iterator[str]:
        """The steps of a scale with numbers below, and what they count; that there is nothing, if there is not."""
        yield svg_text(BAR + 14, top + 11, title if self.high else f"{title}: none", anchor="start")
        if not self.high:
            yield f'<rect y="{top}" width="{BAR}" height="12" class="silent" fill="{EMPTY}" stroke="{OUTLINE}"/>'
            return
        width = BAR / SHADES
        for step in range(SHADES):
            yield f'<rect x="{step * width:g}" y="{top}" width="{width + 0.3:g}" height="12" class="{name}{step}"/>'
        for value in marks(self.low, self.high, BAR, MARKS_APART):
            at = self.share(value) * BAR
            anchor = "start" if at < 12 else "end" if at > BAR - 12 else "middle"
            yield f'<path d="M{at:g} {top + 12}v4" stroke="currentColor"/>'
            yield svg_text(at, top + 27, short(value), size=11, anchor=anchor)

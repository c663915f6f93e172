"""How much the neurons of each core fire, on the mesh (SVG, a part of a page), with a colour bar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from neurocore.colourscale import BAR, EMPTY, OUTLINE, Scale
from neurocore.heatmap import Ramp, short, svg_begin, svg_text
from neurocore.meshframe import EDGE, LEFT, UNUSED, Frame, Mesh
from neurocore.wording import counted

LONGEST, LARGEST, SMALLEST = 640, 44, 6
"""Pixels of the longer side that are aimed at, and of the distance from square to square: at most and at least."""
TOP, BELOW, RIGHT = 8, 102, 24
LEAST_WIDTH = 560
"""Width that the key needs."""
NUMBERED = 34
"""Side of a square from which it shows its number."""
MOST_TOLD = 1024
"""Squares that tell their numbers under the pointer; more are drawn by colour, which keeps the page small."""
RATES: Ramp = ((0xFC, 0xEB, 0xC8), (0xE9, 0x84, 0x4C), (0x6A, 0x0B, 0x37))


class RateMap(Frame):
    """The picture; ``tick_hz`` makes rates in Hz of spikes per tick, which they are if it is None."""

    def __init__(self, mesh: Mesh, tick_hz: float | None) -> None:
        left, right, low, high = mesh.bounds
        pitch = max(min(LONGEST // max(right - left + 1, high - low + 1), LARGEST), SMALLEST)
        super().__init__(mesh, pitch, max(1, pitch // 12))
        self.tick_hz = tick_hz
        self.rates = self._rates()
        self.scale = Scale.of(self.rates, RATES)

    def _rates(self) -> npt.NDArray[np.float64]:
        """Mean rate [rows, columns] of the neurons of each square; 0 where there is none."""
        mesh = self.mesh
        neuron_ticks = np.maximum(mesh.neurons * self.report.ticks, 1)
        return np.asarray(mesh.spikes / neuron_ticks * (self.tick_hz or 1.0))

    @property
    def unit(self) -> str:
        """What a rate is counted in."""
        return "Hz" if self.tick_hz else "spikes per tick"

    def summary(self) -> str:
        """What the picture shows, in words."""
        mesh = self.mesh
        used = mesh.used > 0
        squares = counted(int(used.sum()), mesh.square.split()[0])
        if not self.scale.high:
            return f"No neuron of the {squares} in use fired."
        y, x = (int(place) for place in np.unravel_index(int(self.rates.argmax()), self.rates.shape))
        silent = int((mesh.spikes[used] == 0).sum())
        most = f"most in {mesh.place(x, y)}: {short(float(self.rates[y, x]))} {self.unit} a neuron"
        median = f"median of the {squares} in use {short(float(np.median(self.rates[used])))} {self.unit}"
        return f"{most[0].upper()}{most[1:]}; {median}; {silent:,} silent."

    def svg(self) -> str:
        """The picture."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The picture, line by line."""
        width, height = max(LEFT + self.wide + RIGHT, LEAST_WIDTH), TOP + self.tall + BELOW
        title = f"Mean rate of the neurons of each {self.mesh.square}"
        yield svg_begin(width, height, "mesh", "rates", title, self.summary())
        yield f"<style>{''.join(self.scale.page_styles('r'))}</style>"
        yield f'<g transform="translate({LEFT} {TOP})">'
        yield from self.sites("rate-sites")
        yield from self.squares()
        yield from self.chip_edges()
        yield from self.axes()
        yield from self.key()
        yield "</g>\n</svg>"

    def squares(self) -> Iterator[str]:
        """The squares in use, in their colours."""
        used = np.argwhere(self.mesh.used).tolist()
        by_look = defaultdict(list)
        for y, x in used:
            rate = float(self.rates[y, x])
            step = self.scale.step(rate) if rate else None
            look = f'class="silent" fill="{EMPTY}" stroke="{OUTLINE}"' if step is None else f'class="r{step}"'
            if len(used) > MOST_TOLD:
                by_look[look].append(self.square(x, y))
                continue
            yield f'<path {look} d="{self.square(x, y)}"><title>{escape(self.told(x, y))}</title></path>'
            if self.side >= NUMBERED:
                yield self.number(x, y, step)
        yield from (f'<path {look} d="{"".join(paths)}"/>' for look, paths in sorted(by_look.items()))

    def told(self, x: int, y: int) -> str:
        """A square in words."""
        mesh = self.mesh
        counts = f"{counted(int(mesh.spikes[y, x]), 'spike')} of {counted(int(mesh.neurons[y, x]), 'neuron')}"
        return f"{mesh.place(x, y)}: {mesh.held(x, y)}{counts}, {short(float(self.rates[y, x]))} {self.unit} each"

    def number(self, x: int, y: int, step: int | None) -> str:
        """The number on a square."""
        ink, look = ("currentColor", "") if step is None else (self.scale.shade(step)[1], f"r{step}t")
        centre = self.x(x) + self.side / 2, self.y(y) + self.side / 2 + 4
        text = svg_text(*centre, short(float(self.rates[y, x])), ink, size=10, look=look)
        return f'<g pointer-events="none">{text}</g>'

    def key(self) -> Iterator[str]:
        """What the colours mean."""
        top = self.tall + 54
        yield from self.scale.bar("r", top, f"{self.unit}, mean of a neuron")
        signs = [("unused", UNUSED, "not used"), ("silent", EMPTY, "in use, no spike")]
        for number, (look, fill, text) in enumerate(signs):
            x = BAR + 14 + 90 * number
            yield f'<rect x="{x}" y="{top + 18}" width="11" height="11" class="{look}" fill="{fill}" stroke="{OUTLINE}"/>'
            yield svg_text(x + 17, top + 28, text, anchor="start")
        if self.mesh.run.tiling.n_chips > 1:
            yield f'<path d="M{BAR + 224} {top + 24}h12" stroke="{EDGE}" stroke-dasharray="5 3"/>'
            yield svg_text(BAR + 242, top + 28, "edge of a chip", anchor="start")

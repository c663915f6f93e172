"""Spikes of many lines or neurons over time (SVG, a part of a page): a mark a spike, or shades where they are too many.

A picture has at most MOST_COLUMNS x MOST_ROWS cells. With more ticks or lines a cell stands for several, and its shade for
the number of spikes in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from neurocore.chart import FOOT, LEFT, PLOT, WIDTH, Span, fitted
from neurocore.heatmap import svg_begin, svg_text
from neurocore.page import N_SERIES
from neurocore.spikes import Spikes
from neurocore.wording import counted

Array = npt.NDArray[np.int64]

MOST_COLUMNS, MOST_ROWS = 600, 160
"""Cells of a picture; more than this makes files that browsers are slow with."""
MOST_BANDS = 16
"""Named groups that are shown apart; with more, all lines are one."""
TALL, LEAST_ROW, MOST_ROW = 240, 1.5, 14
"""Pixels that all rows are aimed to take, and of one of them at least and at most."""
APART, NUMBERED = 8, 27
"""Pixels between bands, and of a band that has room for the numbers of its lines."""
TOP = 8
OPACITY = (0.3, 0.5, 0.75, 1.0)
"""Of cells by the number of their spikes."""
SINGLE = 3.0
"""Width of a cell in pixels from which neighbours are drawn apart."""
WIDEST = 6.0
"""Pixels that a mark is wide at most."""
CLOSE_UP, NEAR = 250, 3
"""Ticks of a close-up, and ticks in a cell from which there is one."""


@dataclass(frozen=True)
class Band:
    """Lines ``start`` .. ``start + size - 1`` under a name."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of the lines of some bands, in the ticks of a span; ``noun`` is what a line is: ``output line``, ``neuron``."""

    spikes: Spikes
    bands: tuple[Band, ...]
    span: Span
    noun: str

    @staticmethod
    def of(spikes: Spikes, bands: Sequence[Band], first_tick: int, ticks: int, noun: str) -> Raster:
        """The raster of a run; too many bands are taken together."""
        if len(bands) > MOST_BANDS:
            bands = [Band(f"{noun}s", 0, max(band.start + band.size for band in bands))]
        return Raster(spikes, tuple(bands), Span.of(first_tick, ticks, MOST_COLUMNS), noun)

    def close_up(self) -> Raster | None:
        """The ticks from the first spike on, as many as can be told apart; None if the whole tells them apart, or is silent."""
        if self.span.each < NEAR or not len(self.spikes):
            return None
        first = min(int(self.spikes.tick[0]), self.span.first + self.span.ticks - CLOSE_UP)
        return Raster(self.spikes.window(first, first + CLOSE_UP), self.bands, Span(first, CLOSE_UP, 1), self.noun)

    @property
    def n_lines(self) -> int:
        """Lines of all bands."""
        return sum(band.size for band in self.bands)

    @cached_property
    def lines_each(self) -> int:
        """Lines that a row of cells stands for."""
        each = -(-self.n_lines // MOST_ROWS)
        while sum(-(-band.size // each) for band in self.bands) > MOST_ROWS + len(self.bands):
            each += 1
        return each

    @property
    def is_binned(self) -> bool:
        """Whether a cell can stand for more than a spike."""
        return self.lines_each > 1 or self.span.each > 1

    def counts(self, band: Band) -> Array:
        """Spikes [rows, columns] of a band by cell."""
        rows, columns = -(-band.size // self.lines_each), self.span.columns
        line = self.spikes.line
        inside = (line >= band.start) & (line < band.start + band.size)
        row = (line[inside] - band.start) // self.lines_each
        cell = row * columns + self.span.column(self.spikes.tick[inside])
        return np.bincount(cell, minlength=rows * columns).reshape(rows, columns).astype(np.int64)

    @cached_property
    def cells(self) -> tuple[Array, ...]:
        """The counts of all bands."""
        return tuple(self.counts(band) for band in self.bands)

    @cached_property
    def most(self) -> int:
        """Spikes of the cell that has most."""
        return max((int(cells.max(initial=0)) for cells in self.cells), default=0)

    @property
    def shades(self) -> list[tuple[int, int, float]]:
        """Least and greatest number of spikes for each shade in use, and its opacity."""
        starts = self.most ** (np.arange(len(OPACITY)) / len(OPACITY))
        least = np.unique(np.ceil(starts).astype(int)).tolist() if self.most > 1 else [1]
        greatest = [*(start - 1 for start in least[1:]), max(self.most, 1)]
        return list(zip(least, greatest, OPACITY[-len(least) :], strict=True))

    def summary(self) -> str:
        """What is shown, in words."""
        last = self.span.first + self.span.ticks - 1
        spikes = sum(int(cells.sum()) for cells in self.cells)
        lines = counted(self.n_lines, self.noun)
        text = f"{counted(spikes, 'spike')} of {lines} in ticks {self.span.first:,}..{last:,}; "
        if not self.is_binned:
            return text + "every mark is a spike."
        cell = f"{counted(self.span.each, 'tick')} of {counted(self.lines_each, self.noun)}"
        if self.most <= 1:
            return text + f"every mark is a spike, in cells of {cell}."
        return text + f"a cell stands for {cell}, and the stronger its colour, the more spikes, up to {self.most:,}."


def raster_svg(raster: Raster, name: str, clock: str) -> str:
    """The picture; ``name`` is one that the page has only once, ``clock`` says what the ticks are."""
    return "\n".join(_Picture(raster).lines(name, clock))


class _Picture:
    """Where the bands lie, in pixels."""

    def __init__(self, raster: Raster) -> None:
        self.raster = raster
        n_rows = sum(len(cells) for cells in raster.cells)
        self.row = min(max(TALL / max(n_rows, 1), LEAST_ROW), MOST_ROW)
        tops = np.cumsum([0, *(len(cells) * self.row + APART for cells in raster.cells)]) + TOP
        self.tops, self.bottom = tops[:-1].tolist(), float(tops[-1]) - APART / 2
        self.keyed = raster.is_binned and raster.most > 1

    def lines(self, name: str, clock: str) -> Iterator[str]:
        """The picture, line by line."""
        raster = self.raster
        height = self.bottom + FOOT + 26 * self.keyed
        title = f"Spikes by {raster.noun} and tick: {', '.join(band.name for band in raster.bands)}"
        yield svg_begin(WIDTH, height, "plot", name, title, raster.summary())
        yield from raster.span.axis([(TOP - 4, self.bottom)], clock)
        for number, band in enumerate(raster.bands):
            yield from self.band(number, band)
        if self.keyed:
            yield from self.key(self.bottom + FOOT + 4)
        yield "</svg>"

    def band(self, number: int, band: Band) -> Iterator[str]:
        """The name and the marks of a band."""
        cells, top = self.raster.cells[number], self.tops[number]
        tall = len(cells) * self.row
        spikes = f"{band.name}: {counted(int(cells.sum()), 'spike')} of {counted(band.size, self.raster.noun)}"
        yield f"<g><title>{escape(spikes)}</title>"
        numbered = tall >= NUMBERED
        yield svg_text(LEFT - 10, top + tall / 2 + (-2 if numbered else 4), fitted(band.name), size=11, anchor="end")
        if numbered:
            which = f"{band.start:,}..{band.start + band.size - 1:,}"
            yield svg_text(LEFT - 10, top + tall / 2 + 11, which, size=10, anchor="end", look="soft")
        yield "</g>"
        yield f'<path class="rule" d="M{LEFT} {top - APART / 2:g}h{PLOT}" stroke="#bbbbbb"/>'
        scale = f"scale({PLOT * self.raster.span.each / self.raster.span.ticks:.6g} {self.row:.6g})"
        yield f'<g class="s{number % N_SERIES}" transform="translate({LEFT} {top:.6g}) {scale}" stroke="currentColor">'
        for low, high, opacity in self.raster.shades:
            if marks := self.marks((cells >= low) & (cells <= high)):
                yield f'<path d="{marks}" stroke-width=".85" stroke-opacity="{opacity:g}"/>'
        yield "</g>"

    def marks(self, shown: npt.NDArray[np.bool_]) -> str:
        """Lines through the cells that are shown [rows, columns]; neighbours are one line where they are narrow."""
        wide = PLOT * self.raster.span.each / self.raster.span.ticks
        if wide >= SINGLE:
            mark = min(0.8, WIDEST / wide)
            return "".join(f"M{x} {y}.5h{mark:.3g}" for y, x in np.argwhere(shown).tolist())
        edges = np.diff(np.pad(shown, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        begins, ends = np.argwhere(edges == 1).tolist(), np.argwhere(edges == -1).tolist()
        return "".join(f"M{x} {y}.5h{end - x}" for (y, x), (_, end) in zip(begins, ends, strict=True))

    def key(self, top: float) -> Iterator[str]:
        """What the shades mean."""
        yield svg_text(LEFT, top + 10, "spikes of a cell:", size=11, anchor="start")
        x = LEFT + 100.0
        for low, high, opacity in self.raster.shades:
            text = f"{low:,}" if high == low else f"{low:,} to {high:,}"
            at = f'x="{x:g}" y="{top:g}" width="14" height="11"'
            yield f'<rect class="s0" {at} fill="currentColor" fill-opacity="{opacity:g}"/>'
            yield svg_text(x + 20, top + 10, text, size=11, anchor="start")
            x += 44 + 6.5 * len(text)

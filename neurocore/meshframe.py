"""The mesh of a run as squares: which cores are in use and what they did, where their squares lie, and what is around them.

Only the part of the mesh that is used is drawn. Where that is more than MOST_CELLS cores wide or high, squares stand for
blocks of cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from neurocore.board import Tiling
from neurocore.heatmap import svg_text, svg_turned
from neurocore.result import RunResult
from neurocore.traffic import STEPS, LinkLoads, TrafficReport
from neurocore.wording import counted

Ints = npt.NDArray[np.int64]

MOST_CELLS = 64
"""Squares of a side of a picture; with more cores, squares stand for blocks of them."""
LEFT = 58
"""Room for the rows' numbers and title."""
APART = 26
"""Pixels that numbers on an axis are apart at least."""
ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
UNUSED, EDGE = "#ececec", "currentColor"


@dataclass(frozen=True, eq=False)
class Mesh:
    """What is drawn, by block of ``block`` x ``block`` cores: ``used`` cores, their ``neurons`` and ``spikes``, packets.

    Grids are [rows, columns] from the south-west; ``links`` are the packets that leave a block. ``neurons`` are the configured
    ones. ``report`` is the run's traffic.
    """

    run: RunResult
    report: TrafficReport
    block: int
    used: Ints
    neurons: Ints
    spikes: Ints
    links: LinkLoads

    @staticmethod
    def of(run: RunResult) -> Mesh:
        """The mesh of a run, in blocks as large as the part that is used asks for."""
        report = run.traffic()
        whole = Mesh._in_blocks(run, report, 1)
        left, right, low, high = whole.bounds
        least = -(-max(right - left + 1, high - low + 1) // MOST_CELLS)
        return whole if least == 1 else Mesh._in_blocks(run, report, _block_size(least, run.tiling))

    @staticmethod
    def _in_blocks(run: RunResult, report: TrafficReport, block: int) -> Mesh:
        tiling, in_use = run.tiling, run.in_use
        y, x = np.divmod(run.chip.core[in_use].astype(np.int64), tiling.columns)
        shape = (-(-tiling.rows // block), -(-tiling.columns // block))

        def summed(values: Ints) -> Ints:
            grid = np.zeros(shape, np.int64)
            np.add.at(grid, (y // block, x // block), values)
            return grid

        neurons = (run.chip.population[in_use] >= -1).sum(axis=1)
        grids = summed(np.ones_like(x)), summed(neurons), summed(run.cores.spikes[in_use])
        return Mesh(run, report, block, *grids, report.links.between_chips(block, block))

    @cached_property
    def bounds(self) -> tuple[int, int, int, int]:
        """First and last column and row that hold a core in use or the end of a link that carried something."""
        touched = self.used > 0
        for loads, (dx, dy) in zip(self.links, STEPS, strict=True):
            rows, columns = np.nonzero(loads)
            touched[rows, columns] = touched[rows + dy, columns + dx] = True
        if not touched.any():
            return 0, 0, 0, 0
        columns, rows = np.flatnonzero(touched.any(axis=0)), np.flatnonzero(touched.any(axis=1))
        return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])

    def place(self, x: int, y: int) -> str:
        """A square in words: its core, or its corners."""
        if self.block == 1:
            return f"({x}, {y})"
        first, last = (x * self.block, y * self.block), ((x + 1) * self.block - 1, (y + 1) * self.block - 1)
        return f"({first[0]}, {first[1]}) .. ({last[0]}, {last[1]})"

    def held(self, x: int, y: int) -> str:
        """How many cores of a block are in use, to go before what they did; nothing for a square that is a core."""
        return "" if self.block == 1 else f"{counted(int(self.used[y, x]), 'core')} in use, "

    @property
    def square(self) -> str:
        """What a square is: ``core`` or ``block of 4 x 4 cores``."""
        return "core" if self.block == 1 else f"block of {self.block} x {self.block} cores"


class Frame:
    """Where squares lie, in pixels, ``pitch`` from one to the next of which ``gap`` is free; and what is around them."""

    def __init__(self, mesh: Mesh, pitch: int, gap: int) -> None:
        self.mesh, self.report = mesh, mesh.report
        self.pitch, self.gap, self.side = pitch, gap, pitch - gap
        self.left, self.right, self.low, self.high = mesh.bounds
        self.wide = (self.right - self.left + 1) * pitch - gap
        self.tall = (self.high - self.low + 1) * pitch - gap

    def x(self, column: int) -> int:
        """Left side of a column of squares."""
        return (column - self.left) * self.pitch

    def y(self, row: int) -> int:
        """Upper side of a row of squares."""
        return (self.high - row) * self.pitch

    def square(self, x: int, y: int) -> str:
        """A square as a path."""
        return f"M{self.x(x)} {self.y(y)}h{self.side}v{self.side}h-{self.side}z"

    def sites(self, name: str) -> Iterator[str]:
        """All squares as those of cores that are not used; ``name`` is one that the page has only once."""
        yield f'<pattern id="{name}" width="{self.pitch}" height="{self.pitch}" patternUnits="userSpaceOnUse">'
        yield f'<path d="M0 0h{self.side}v{self.side}h-{self.side}z" class="unused" fill="{UNUSED}"/></pattern>'
        yield f'<path d="M0 0h{self.wide}v{self.tall}h-{self.wide}z" fill="url(#{name})"/>'

    def chip_edges(self) -> Iterator[str]:
        """Lines between the chips of a board."""
        tiling, size = self.mesh.run.tiling, self.mesh.block
        for edge in _inner(self.left, self.right, tiling.chip_columns, size):
            yield f'<path d="M{self.x(edge) - self.gap / 2:g} -4v{self.tall + 8}" stroke="{EDGE}" stroke-dasharray="5 3"/>'
        for edge in _inner(self.low, self.high, tiling.chip_rows, size):
            middle = self.y(edge) + self.side + self.gap / 2
            yield f'<path d="M-4 {middle:g}h{self.wide + 8}" stroke="{EDGE}" stroke-dasharray="5 3"/>'

    def axes(self) -> Iterator[str]:
        """Numbers of columns below and of rows beside the squares, those of the first core in a block, and what they are."""
        half, size = self.side / 2, self.mesh.block
        for column in self.numbered(self.left, self.right):
            yield svg_text(self.x(column) + half, self.tall + 16, str(column * size), size=11)
        for row in self.numbered(self.low, self.high):
            yield svg_text(-8, self.y(row) + half + 4, str(row * size), size=11, anchor="end")
        yield svg_text(0, self.tall + 34, "column (x)", size=11, anchor="start")
        yield svg_turned(14 - LEFT, max(self.tall / 2, 24), "row (y)")

    def numbered(self, first: int, last: int) -> range:
        """The columns or rows that get their number: round ones with room between them."""
        step = next((step for step in ROUND if step * self.pitch >= APART), ROUND[-1])
        return range(-(-first // step) * step, last + 1, step) or range(first, first + 1)


def _block_size(least: int, tiling: Tiling) -> int:
    """The least size of blocks, from ``least`` on, of which chips hold a whole number; ``least`` if there is none."""
    sizes = range(least, min(tiling.chip_columns, tiling.chip_rows) + 1)
    return next((size for size in sizes if tiling.chip_columns % size == 0 and tiling.chip_rows % size == 0), least)


def _inner(first: int, last: int, chip: int, block: int) -> Iterable[int]:
    """The squares in ``first`` .. ``last`` that begin another chip than the square before."""
    return (place for place in range(first + 1, last + 1) if place * block // chip != (place - 1) * block // chip)

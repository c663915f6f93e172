"""The traffic of a run as a picture (SVG): cores by their spikes, links by their packets, the hottest link marked.

Only the part of the mesh that is used is drawn. Where that is more than MOST_CELLS cores wide or high, squares stand for
blocks of cores, and what is drawn between two of them are the packets over all links from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from neurocore.board import Tiling
from neurocore.colourscale import BAR, EMPTY, OUTLINE, Scale
from neurocore.heatmap import Ramp, short, svg_text, svg_turned
from neurocore.result import RunResult
from neurocore.traffic import STEPS, LinkLoads, link_name
from neurocore.wording import counted

Ints = npt.NDArray[np.int64]

MOST_CELLS = 64
"""Squares of a side of the picture; with more cores, squares stand for blocks of them."""
LONGEST, LARGEST, SMALLEST = 768, 80, 12
"""Pixels of the longer side that are aimed at, and of the distance from square to square: at most and at least."""
LEFT, TOP, BELOW, RIGHT = 58, 58, 196, 24
TITLE = 26
"""Room for the rows' numbers; for the facts; for the columns' numbers and the key; beside the cores; and for a title."""
LEAST_WIDTH = 700
"""Width that title and key need."""
APART = 26
"""Pixels that numbers on an axis are apart at least."""
ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
NUMBERED = 26
"""Side of a square from which it shows its number."""
ARROWS = 14
"""Length of a link from which it has a head."""
CORES: Ramp = ((0xD9, 0xE8, 0xF5), (0x5B, 0x9B, 0xCB), (0x08, 0x30, 0x6B))
LINKS: Ramp = ((0xFD, 0xD9, 0x7A), (0xE8, 0x6A, 0x17), (0x7F, 0x0A, 0x12))
UNUSED, SILENT, RIM, HOT, EDGE = "#ececec", EMPTY, OUTLINE, "#d6006e", "#333333"
NOTE = (
    "A link is drawn on the right of its way. Packets go along x first, then along y;",
    "inputs enter and outputs leave at the west edge of their core's row.",
)


def traffic_svg(run: RunResult, *, titled: bool = True) -> str:
    """The picture of a run's traffic, a document of its own; the pointer over a core or link tells its counts."""
    return "\n".join([*_Picture(_Mesh.of(run), titled).lines(), ""])


@dataclass(frozen=True, eq=False)
class _Mesh:
    """What is drawn, by block of ``block`` x ``block`` cores: ``used`` cores and their ``spikes``, packets that leave it.

    Grids are [rows, columns] from the south-west; ``chip`` is the size of a chip in blocks, if there are several chips.
    """

    run: RunResult
    block: int
    used: Ints
    spikes: Ints
    links: LinkLoads

    @staticmethod
    def of(run: RunResult) -> _Mesh:
        """The mesh of a run, in blocks as large as the part that is used asks for."""
        whole = _Mesh._in_blocks(run, 1)
        left, right, low, high = whole.bounds
        least = -(-max(right - left + 1, high - low + 1) // MOST_CELLS)
        return whole if least == 1 else _Mesh._in_blocks(run, _block_size(least, run.tiling))

    @staticmethod
    def _in_blocks(run: RunResult, block: int) -> _Mesh:
        tiling, core = run.tiling, run.chip.core[run.in_use].astype(np.int64)
        y, x = np.divmod(core, tiling.columns)
        shape = (-(-tiling.rows // block), -(-tiling.columns // block))
        used, spikes = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(used, (y // block, x // block), 1)
        np.add.at(spikes, (y // block, x // block), run.cores.spikes[run.in_use])
        return _Mesh(run, block, used, spikes, run.traffic().links.between_chips(block, block))

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


class _Picture:
    """Where everything lies, in pixels."""

    def __init__(self, mesh: _Mesh, titled: bool) -> None:
        self.mesh, self.report, self.titled = mesh, mesh.run.traffic(), titled
        self.left, self.right, self.low, self.high = mesh.bounds
        columns, rows = self.right - self.left + 1, self.high - self.low + 1
        self.pitch = max(min(LONGEST // max(columns, rows), LARGEST), SMALLEST)
        self.gap = round(0.42 * self.pitch)
        self.side = self.pitch - self.gap
        self.lane = max(2, min(6, round(0.26 * self.gap)))
        self.wide, self.tall = columns * self.pitch - self.gap, rows * self.pitch - self.gap
        self.width = max(LEFT + self.wide + RIGHT, LEAST_WIDTH)
        self.top = TOP + TITLE * titled
        self.height = self.top + self.tall + BELOW
        ticks = max(self.report.ticks, 1)
        self.core_scale = Scale.of(mesh.spikes / ticks, CORES)
        self.link_scale = Scale.of(np.stack(mesh.links) / ticks, LINKS)

    def lines(self) -> Iterator[str]:
        """The document, line by line."""
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" class="mesh" {size} font-family="sans-serif" font-size="11">'
        yield f"<style>{''.join(self.styles())}</style>"
        yield f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
        yield from self.head()
        yield f'<g transform="translate({LEFT} {self.top})">'
        yield from self.sites()
        yield from self.chip_edges()
        yield from self.links()
        yield from self.cores()
        yield from self.hottest()
        yield from self.axes()
        yield from self.key()
        yield "</g>\n</svg>"

    def styles(self) -> Iterator[str]:
        """A class for every shade of cores and of links."""
        for name, scale in (("c", self.core_scale), ("l", self.link_scale)):
            yield from scale.styles(name)

    def head(self) -> Iterator[str]:
        """The title and what matters most, in words."""
        report, run = self.report, self.mesh.run
        if self.titled:
            title = f"Traffic of {run.chip.name!r} on {run.chip.architecture.name}, {report.span}"
            yield f'<g font-weight="bold">{svg_text(12, 24, title, size=15, anchor="start")}</g>'
        top = self.top - TOP + 18
        crossing = report.packets - report.local_packets
        ways = f"{crossing:,} over the mesh, {report.local_packets:,} within their core"
        io = f"; {report.input_packets:,} in, {report.output_packets:,} out"
        yield svg_text(12, top, f"{counted(report.packets, 'packet')} from core to core: {ways}{io}", anchor="start")
        if not (links := report.hottest_links):
            yield svg_text(12, top + 18, "no packet crosses a link of the mesh", anchor="start")
            return
        load = f"{short(links[0]['packets_per_tick'])} packets per tick"
        yield f'<circle cx="18" cy="{top + 14}" r="6" fill="none" stroke="{HOT}" stroke-width="2.5"/>'
        yield svg_text(30, top + 18, f"hottest link: {link_name(links[0])}, {load}", anchor="start")

    def x(self, column: int) -> int:
        """Left side of a column of squares."""
        return (column - self.left) * self.pitch

    def y(self, row: int) -> int:
        """Upper side of a row of squares."""
        return (self.high - row) * self.pitch

    def sites(self) -> Iterator[str]:
        """All squares as those of cores that are not used."""
        yield f'<pattern id="sites" width="{self.pitch}" height="{self.pitch}" patternUnits="userSpaceOnUse">'
        yield f'<path d="M0 0h{self.side}v{self.side}h-{self.side}z" fill="{UNUSED}"/></pattern>'
        yield f'<path d="M0 0h{self.wide}v{self.tall}h-{self.wide}z" fill="url(#sites)"/>'

    def cores(self) -> Iterator[str]:
        """The squares of cores in use, with their number where there is room."""
        mesh = self.mesh
        for y, x in np.argwhere(mesh.used).tolist():
            spikes = int(mesh.spikes[y, x])
            rate = self.report.per_tick(spikes)
            cores = "" if mesh.block == 1 else f"{counted(int(mesh.used[y, x]), 'core')} in use, "
            text = f"{mesh.place(x, y)}: {cores}{counted(spikes, 'spike')}, {short(rate)} per tick"
            step = self.core_scale.step(rate) if rate else None
            look = f'class="c{step}"' if step is not None else f'fill="{SILENT}" stroke="{RIM}"'
            at = f'x="{self.x(x)}" y="{self.y(y)}" width="{self.side}" height="{self.side}"'
            yield f"<rect {at} {look}><title>{escape(text)}</title></rect>"
            if self.side >= NUMBERED:
                ink = self.core_scale.shade(step)[1] if step is not None else "#000000"
                centre = self.x(x) + self.side / 2, self.y(y) + self.side / 2 + 4
                yield f'<g pointer-events="none">{svg_text(*centre, short(rate), ink, size=10)}</g>'

    def links(self) -> Iterator[str]:
        """The links that carried something."""
        mesh = self.mesh
        for loads, step in zip(mesh.links, STEPS, strict=True):
            for y, x in np.argwhere(loads).tolist():
                packets = int(loads[y, x])
                rate = self.report.per_tick(packets)
                if rate:
                    way = f"{mesh.place(x, y)} to {mesh.place(x + step[0], y + step[1])}"
                    text = f"{way}: {counted(packets, 'packet')}, {short(rate)} per tick"
                    look = f'class="l{self.link_scale.step(rate)}" d="{self.link(x, y, *step)}"'
                    yield f"<path {look}><title>{escape(text)}</title></path>"

    def link(self, x: int, y: int, dx: int, dy: int) -> str:
        """The outline of the link that leaves a square in one direction, on the right of its way, with a head if it is long.

        It goes on to the middle of squares that are not in use, where packets only pass.
        """
        half, ends = self.side / 2, bool(self.mesh.used[y + dy, x + dx])
        head = self.lane if self.gap >= ARROWS and ends else 0
        # Along (dx, -dy) on the screen, whose y grows downwards; right of that is (dy, dx).
        start_x, start_y = self.x(x) + half + dx * half, self.y(y) + half - dy * half
        aside, half_lane = self.lane / 2 + 0.5, self.lane / 2

        def point(along: float, right: float) -> str:
            return f"{start_x + along * dx + right * dy:g} {start_y - along * dy + right * dx:g}"

        begin, end = (0.0 if self.mesh.used[y, x] else -half), self.gap + (0 if ends else half)
        outline = [(begin, -half_lane), (end - head, -half_lane), (end, 0), (end - head, half_lane), (begin, half_lane)]
        if not head:
            outline[2:3] = []
        return "M" + "L".join(point(along, aside + right) for along, right in outline) + "z"

    def hottest(self) -> Iterator[str]:
        """A ring around the hottest link."""
        for link in self.report.hottest_links[:1]:
            (x0, y0), (x1, y1) = link["from"], link["to"]
            half, size = self.side / 2, self.mesh.block
            at_x = (self.x(x0 // size) + self.x(x1 // size)) / 2 + half
            at_y = (self.y(y0 // size) + self.y(y1 // size)) / 2 + half
            radius = max(7.0, 0.7 * self.gap)
            ring = f'cx="{at_x:g}" cy="{at_y:g}" r="{radius:g}" fill="none" stroke="{HOT}" stroke-width="2.5"'
            yield f'<circle {ring} pointer-events="none"/>'

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

    def key(self) -> Iterator[str]:
        """What colours and marks mean."""
        top, size = self.tall + 58, self.mesh.block
        of_core, of_link = "of a core", "of a link"
        if size > 1:
            of_core, of_link = f"of {size} x {size} cores", "from block to block"
        yield from self.core_scale.bar("c", top, f"spikes per tick {of_core}")
        yield from self.link_scale.bar("l", top + 40, f"packets per tick {of_link}")
        signs = [(UNUSED, UNUSED, "not used"), (SILENT, RIM, "in use, no spike")]
        for number, (fill, stroke, text) in enumerate(signs):
            at = f'x="{BAR + 250}" y="{top + 20 * number}" width="11" height="11"'
            yield f'<rect {at} fill="{fill}" stroke="{stroke}"/>'
            yield svg_text(BAR + 268, top + 20 * number + 10, text, anchor="start")
        if self.mesh.run.tiling.n_chips > 1:
            yield f'<path d="M{BAR + 250} {top + 46}h12" stroke="{EDGE}" stroke-dasharray="5 3"/>'
            yield svg_text(BAR + 268, top + 50, "edge of a chip", anchor="start")
        for number, text in enumerate(NOTE):
            yield svg_text(0, top + 92 + 16 * number, text, anchor="start")


def _block_size(least: int, tiling: Tiling) -> int:
    """The least size of blocks, from ``least`` on, of which chips hold a whole number; ``least`` if there is none."""
    sizes = range(least, min(tiling.chip_columns, tiling.chip_rows) + 1)
    return next((size for size in sizes if tiling.chip_columns % size == 0 and tiling.chip_rows % size == 0), least)


def _inner(first: int, last: int, chip: int, block: int) -> Iterable[int]:
    """The squares in ``first`` .. ``last`` that begin another chip than the square before."""
    return (place for place in range(first + 1, last + 1) if place * block // chip != (place - 1) * block // chip)

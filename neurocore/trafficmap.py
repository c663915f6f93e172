"""The traffic of a run as a picture (SVG): cores by their spikes, links by their packets, the hottest link marked.

Where squares stand for blocks of cores, what is drawn between two of them are the packets over all links from one to the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np

from neurocore.colourscale import BAR, EMPTY, OUTLINE, Scale
from neurocore.heatmap import Ramp, short, svg_begin, svg_text
from neurocore.meshframe import EDGE, LEFT, UNUSED, Frame, Mesh
from neurocore.result import RunResult
from neurocore.traffic import STEPS, link_name
from neurocore.wording import counted

LONGEST, LARGEST, SMALLEST = 768, 80, 12
"""Pixels of the longer side that are aimed at, and of the distance from square to square: at most and at least."""
TOP, BELOW, RIGHT = 58, 196, 24
TITLE = 26
"""Room for the facts; for the columns' numbers and the key; beside the cores; and for a title."""
LEAST_WIDTH = 700
"""Width that title and key need."""
NUMBERED = 26
"""Side of a square from which it shows its number."""
ARROWS = 14
"""Length of a link from which it has a head."""
CORES: Ramp = ((0xD9, 0xE8, 0xF5), (0x5B, 0x9B, 0xCB), (0x08, 0x30, 0x6B))
LINKS: Ramp = ((0xFD, 0xD9, 0x7A), (0xE8, 0x6A, 0x17), (0x7F, 0x0A, 0x12))
SILENT, RIM, HOT = EMPTY, OUTLINE, "#d6006e"
NOTE = (
    "A link is drawn on the right of its way. Packets go along x first, then along y;",
    "inputs enter and outputs leave at the west edge of their core's row.",
)


def traffic_svg(run: RunResult, *, titled: bool = True, most_told: int | None = None) -> str:
    """The picture of a run's traffic; the pointer over a core or link tells its counts.

    It is a document of its own, or without a title (``titled``) a part of a page. With more cores and links than ``most_told``
    they are drawn by colour and tell nothing, which takes a tenth of the room.
    """
    return "\n".join([*_Picture(Mesh.of(run), titled, most_told).lines(), ""])


class _Picture(Frame):
    """The picture; titled, it is a document of its own."""

    def __init__(self, mesh: Mesh, titled: bool, most_told: int | None = None) -> None:
        left, right, low, high = mesh.bounds
        pitch = max(min(LONGEST // max(right - left + 1, high - low + 1), LARGEST), SMALLEST)
        super().__init__(mesh, pitch, round(0.42 * pitch))
        self.titled = titled
        shapes = np.count_nonzero(mesh.used) + sum(map(np.count_nonzero, mesh.links))
        self.telling = most_told is None or shapes <= most_told
        self.lane = max(2, min(6, round(0.26 * self.gap)))
        self.width = max(LEFT + self.wide + RIGHT, LEAST_WIDTH)
        self.top = TOP + TITLE * titled
        self.height = self.top + self.tall + BELOW
        ticks = max(self.report.ticks, 1)
        self.core_scale = Scale.of(mesh.spikes / ticks, CORES)
        self.link_scale = Scale.of(np.stack(mesh.links) / ticks, LINKS)

    def lines(self) -> Iterator[str]:
        """The document, line by line."""
        title = "Spikes of cores and packets of links on the mesh"
        yield svg_begin(self.width, self.height, "mesh", "traffic", title, " ".join(self.facts()))
        yield f"<style>{''.join(self.styles())}</style>"
        yield f'<rect width="{self.width}" height="{self.height}" class="paper" fill="#ffffff"/>'
        yield from self.head()
        yield f'<g transform="translate({LEFT} {self.top})">'
        yield from self.sites("sites")
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
            yield from scale.styles(name) if self.titled else scale.page_styles(name)

    def facts(self) -> Iterator[str]:
        """What matters most, in two sentences."""
        report = self.report
        crossing = report.packets - report.local_packets
        ways = f"{crossing:,} over the mesh, {report.local_packets:,} within their core"
        io = f"; {report.input_packets:,} in, {report.output_packets:,} out"
        yield f"{counted(report.packets, 'packet')} from core to core: {ways}{io}"
        if not (links := report.hottest_links):
            yield "no packet crosses a link of the mesh"
            return
        yield f"hottest link: {link_name(links[0])}, {short(links[0]['packets_per_tick'])} packets per tick"

    def head(self) -> Iterator[str]:
        """The title and what matters most, in words."""
        report, run = self.report, self.mesh.run
        if self.titled:
            title = f"Traffic of {run.chip.name!r} on {run.chip.architecture.name}, {report.span}"
            yield f'<g font-weight="bold">{svg_text(12, 24, title, size=15, anchor="start")}</g>'
        top = self.top - TOP + 18
        counts, hottest = self.facts()
        yield svg_text(12, top, counts, anchor="start")
        if report.hottest_links:
            yield f'<circle cx="18" cy="{top + 14}" r="6" fill="none" stroke="{HOT}" stroke-width="2.5"/>'
        yield svg_text(30 if report.hottest_links else 12, top + 18, hottest, anchor="start")

    def cores(self) -> Iterator[str]:
        """The squares of cores in use, with their number where there is room."""
        mesh = self.mesh
        squares = defaultdict(list)
        for y, x in np.argwhere(mesh.used).tolist():
            spikes = int(mesh.spikes[y, x])
            rate = self.report.per_tick(spikes)
            step = self.core_scale.step(rate) if rate else None
            look = f'class="c{step}"' if step is not None else f'class="silent" fill="{SILENT}" stroke="{RIM}"'
            squares[look].append(self.square(x, y))
            if self.telling:
                text = f"{mesh.place(x, y)}: {mesh.held(x, y)}{counted(spikes, 'spike')}, {short(rate)} per tick"
                at = f'x="{self.x(x)}" y="{self.y(y)}" width="{self.side}" height="{self.side}"'
                yield f"<rect {at} {look}><title>{escape(text)}</title></rect>"
            if self.side >= NUMBERED:
                yield self.number(x, y, rate, step)
        if not self.telling:
            yield from (f'<path {look} d="{"".join(paths)}"/>' for look, paths in sorted(squares.items()))

    def number(self, x: int, y: int, rate: float, step: int | None) -> str:
        """The number on a square."""
        ink, look = ("currentColor", "") if step is None else (self.core_scale.shade(step)[1], f"c{step}t")
        centre = self.x(x) + self.side / 2, self.y(y) + self.side / 2 + 4
        return f'<g pointer-events="none">{svg_text(*centre, short(rate), ink, size=10, look=look)}</g>'

    def links(self) -> Iterator[str]:
        """The links that carried something."""
        mesh = self.mesh
        ways = defaultdict(list)
        for loads, step in zip(mesh.links, STEPS, strict=True):
            for y, x in np.argwhere(loads).tolist():
                packets = int(loads[y, x])
                if not (rate := self.report.per_tick(packets)):
                    continue
                look = f"l{self.link_scale.step(rate)}"
                ways[look].append(self.link(x, y, *step))
                if self.telling:
                    way = f"{mesh.place(x, y)} to {mesh.place(x + step[0], y + step[1])}"
                    text = f"{way}: {counted(packets, 'packet')}, {short(rate)} per tick"
                    yield f'<path class="{look}" d="{ways[look][-1]}"><title>{escape(text)}</title></path>'
        if not self.telling:
            yield from (f'<path class="{look}" d="{"".join(paths)}"/>' for look, paths in sorted(ways.items()))

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

    def key(self) -> Iterator[str]:
        """What colours and marks mean."""
        top, size = self.tall + 58, self.mesh.block
        of_core, of_link = "of a core", "of a link"
        if size > 1:
            of_core, of_link = f"of {size} x {size} cores", "from block to block"
        yield from self.core_scale.bar("c", top, f"spikes per tick {of_core}")
        yield from self.link_scale.bar("l", top + 40, f"packets per tick {of_link}")
        signs = [("unused", UNUSED, "not used"), ("silent", SILENT, "in use, no spike")]
        for number, (look, fill, text) in enumerate(signs):
            at = f'x="{BAR + 250}" y="{top + 20 * number}" width="11" height="11"'
            yield f'<rect {at} class="{look}" fill="{fill}" stroke="{RIM}"/>'
            yield svg_text(BAR + 268, top + 20 * number + 10, text, anchor="start")
        if self.mesh.run.tiling.n_chips > 1:
            yield f'<path d="M{BAR + 250} {top + 46}h12" stroke="{EDGE}" stroke-dasharray="5 3"/>'
            yield svg_text(BAR + 268, top + 50, "edge of a chip", anchor="start")
        for number, text in enumerate(NOTE):
            yield svg_text(0, top + 92 + 16 * number, text, anchor="start")

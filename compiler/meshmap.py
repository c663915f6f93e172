"""The mesh as a picture for a page: what each core is full of, with axes in columns and rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from neurocore.compiler.report import CoreUse
from neurocore.compiler.reporttext import held
from neurocore.heatmap import svg_begin
from neurocore.wording import counted

COLOURS = {"none": "#9ecae1", "neurons": "#fdae6b", "axons": "#74c476", "axons and neurons": "#e6550d"}
"""Colour of a core by what is full; those of relays alone are grey."""
RELAYS, EMPTY = "#969696", "#eeeeee"
CELLS = (18, 14, 10, 7)
"""Widths of a core in pixels; the first is taken with which the map is no longer than LONGEST, or the last."""
LONGEST = 640
LEFT, BELOW, GAP = 54, 42, 4
"""Room for the rows' numbers and title, for those of the columns, and between numbers and cores."""
TITLE = 44
"""Length of the rows' title, for which a single row of cores is too low."""
APART = 26
"""Pixels that numbers on an axis are apart at least."""
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def mesh_key() -> str:
    """What the colours mean, as a paragraph."""
    marks = [(colour, "room left" if name == "none" else f"full of {name}") for name, colour in COLOURS.items()]
    marks += [(RELAYS, "relays alone"), (f"var(--unused, {EMPTY})", "not used")]
    shown = (f'<span><i style="background:{colour}"></i>{name}</span>' for colour, name in marks)
    return f'<p class="key">{"".join(shown)}</p>'


def mesh_map(cores: tuple[CoreUse, ...]) -> str:
    """The part of the mesh that is used, rows growing upwards; the pointer over a core tells what it holds."""
    return "\n".join(_Map(cores).lines()) if cores else ""


class _Map:
    """Where the cores lie in the picture."""

    def __init__(self, cores: tuple[CoreUse, ...]) -> None:
        self.cores = cores
        self.left, self.right = min(core.x for core in cores), max(core.x for core in cores)
        self.low, self.high = min(core.y for core in cores), max(core.y for core in cores)
        self.columns, self.rows = self.right - self.left + 1, self.high - self.low + 1
        longest = max(self.columns, self.rows)
        self.cell = next((size for size in CELLS if size * longest <= LONGEST), CELLS[-1])
        self.width, self.height = self.columns * self.cell, self.rows * self.cell

    def lines(self) -> Iterator[str]:
        """The picture, line by line."""
        # Room for the column title, which may be wider than the cores.
        width, height = LEFT + max(self.width, 80), self.height + BELOW
        size = self.cell - 1
        title = "What the cores of the mesh are full of"
        yield svg_begin(width, height, "mesh", "cores", title, ", ".join(self.counts()))
        yield f'<g transform="translate({LEFT} 0)">'
        yield f'<pattern id="sites" width="{self.cell}" height="{self.cell}" patternUnits="userSpaceOnUse">'
        yield f'<path d="M0 0h{size}v{size}h-{size}z" class="unused" fill="{EMPTY}"/></pattern>'
        yield f'<path d="M0 0h{self.width}v{self.height}h-{self.width}z" fill="url(#sites)"/>'
        yield from (self.square(core) for core in self.cores)
        yield from self.axes()
        yield "</g>\n</svg>"

    def counts(self) -> Iterator[str]:
        """How many cores have which colour, in words."""
        full = Counter(core.limit if core.populations else "relays alone" for core in self.cores)
        for limit, number in sorted(full.items()):
            state = {"none": "with room left", "relays alone": "of relays alone"}.get(limit, f"full of {limit}")
            yield f"{counted(number, 'core')} {state}"

    def x(self, column: int) -> int:
        return (column - self.left) * self.cell

    def y(self, row: int) -> int:
        return (self.high - row) * self.cell

    def square(self, core: CoreUse) -> str:
        colour = COLOURS[core.limit] if core.populations else RELAYS
        parts = {"neuron": core.neurons, "copy": core.copies, "relay": core.relays, "axon": core.axons}
        counts = ", ".join(counted(number, noun) for noun, number in parts.items())
        text, size = escape(f"({core.x}, {core.y}): {held(core)}; {counts}"), self.cell - 1
        place = f'x="{self.x(core.x)}" y="{self.y(core.y)}" width="{size}" height="{size}"'
        return f'<rect {place} fill="{colour}"><title>{text}</title></rect>'

    def axes(self) -> Iterator[str]:
        """Numbers of columns below and of rows beside the cores, and what they are."""
        half = self.cell / 2
        for column in self.numbered(self.left, self.right):
            yield _text(self.x(column) + half, self.height + GAP + 12, str(column), "middle")
        for row in self.numbered(self.low, self.high):
            yield _text(-GAP - 2, self.y(row) + half + 4, str(row), "end")
        yield _text(0, self.height + BELOW - 8, "column (x)", "start")
        turned = f"translate({14 - LEFT} {max(self.height / 2, TITLE / 2):g}) rotate(-90)"
        yield f'<g transform="{turned}">{_text(0, 0, "row (y)", "middle")}</g>'

    def numbered(self, first: int, last: int) -> range:
        """The columns or rows that get their number: round ones with room between them."""
        step = next((step for step in STEPS if step * self.cell >= APART), STEPS[-1])
        return range(-(-first // step) * step, last + 1, step) or range(first, first + 1)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'

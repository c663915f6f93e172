"""The report of a compilation as one HTML page: its tables, and a map of the mesh that shows what each core is full of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from neurocore.compiler.report import ChipUse, CoreUse
from neurocore.compiler.reporttext import POPULATION_KEY, Rows, core_rows, held, losses, overview, population_rows

if TYPE_CHECKING:
    from neurocore.compiler.pipeline import CompileReport

COLOURS = {"none": "#9ecae1", "neurons": "#fdae6b", "axons": "#74c476", "axons and neurons": "#e6550d"}
"""Colour of a core by what is full; those of relays alone are grey."""
RELAYS, EMPTY = "#969696", "#eeeeee"
CELL = 10

STYLE = """
body { font: 14px sans-serif; margin: 2em; }
table { border-collapse: collapse; margin: 0 0 1.5em; }
th, td { text-align: left; padding: 2px 10px; border-bottom: 1px solid #ddd; vertical-align: top; }
.key span { display: inline-block; width: 10px; height: 10px; margin: 0 4px 0 12px; }
"""


def page(report: CompileReport, use: ChipUse) -> str:
    """The page, self-contained."""
    title = f"{escape(use.network)} on {escape(use.chip)}"
    parts = [
        f"<h1>{title}</h1>",
        _table([(name, value) for name, value in overview(report, use)], head=False),
        "<h2>Cores on the mesh</h2>",
        _key(),
        _map(use.cores),
        f"<h2>Populations</h2>{_table(population_rows(use))}<p>{escape(' '.join(POPULATION_KEY))}</p>",
        *(f"<pre>{escape(text)}</pre>" for text in losses(report)),
        f"<details><summary>All cores</summary>{_table(core_rows(use))}</details>",
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f"<!DOCTYPE html>\n<html><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def _table(rows: Rows, *, head: bool = True) -> str:
    """Rows as a table, the first as heads."""
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if head and number == 0 else "td"
        lines.append("<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _key() -> str:
    marks = [(colour, "room left" if name == "none" else f"full of {name}") for name, colour in COLOURS.items()]
    marks.append((RELAYS, "relays alone"))
    return (
        '<p class="key">'
        + "".join(f'<span style="background:{colour}"></span>{name}' for colour, name in marks)
        + "</p>"
    )


def _map(cores: tuple[CoreUse, ...]) -> str:
    """The part of the mesh that is used, its empty sites pale; the pointer over a core tells what it holds."""
    if not cores:
        return ""
    left, right = min(core.x for core in cores), max(core.x for core in cores)
    low, high = min(core.y for core in cores), max(core.y for core in cores)
    width, height = (right - left + 1) * CELL, (high - low + 1) * CELL
    squares = [_square(core, (core.x - left) * CELL, (high - core.y) * CELL) for core in cores]
    lines = [
        f"<p>Columns {left} to {right}, from left to right, and rows {high} to {low}, from top to bottom.</p>",
        f'<svg width="{width}" height="{height}">',
        f'<pattern id="sites" width="{CELL}" height="{CELL}" patternUnits="userSpaceOnUse">',
        f'<path d="M0 0h{CELL - 1}v{CELL - 1}h-{CELL - 1}z" fill="{EMPTY}"/></pattern>',
        f'<path d="M0 0h{width}v{height}h-{width}z" fill="url(#sites)"/>',
        *squares,
        "</svg>",
    ]
    return "\n".join(lines)


def _square(core: CoreUse, x: int, y: int) -> str:
    colour = COLOURS[core.limit] if core.populations else RELAYS
    counts = f"{core.neurons} neurons, {core.copies} copies, {core.relays} relays, {core.axons} axons"
    text = escape(f"({core.x}, {core.y}): {held(core)}; {counts}")
    size = CELL - 1
    return f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="{colour}"><title>{text}</title></rect>'

"""The report of a compilation as one HTML page: its tables, and a map of the mesh that shows what each core is full of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from neurocore.compiler.meshmap import mesh_key, mesh_map
from neurocore.compiler.report import ChipUse
from neurocore.compiler.reporttext import POPULATION_KEY, Rows, core_rows, losses, overview, population_rows

if TYPE_CHECKING:
    from neurocore.compiler.compilereport import CompileReport

STYLE = """
body { font: 14px/1.45 sans-serif; color: #222; margin: 2em auto; max-width: 1200px; padding: 0 1.5em; }
h1, h2, td, li, p { overflow-wrap: break-word; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin: 1.6em 0 0.6em; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0 0 1em; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td:first-child, th { white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
p.note { color: #555; max-width: 80em; } ul { padding-left: 1.4em; }
p.key span { white-space: nowrap; margin-right: 16px; }
p.key i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; }
svg.mesh { max-width: 100%; height: auto; font: 11px sans-serif; }
summary { cursor: pointer; font-weight: bold; margin: 1.6em 0 0.6em; }
"""


def page(report: CompileReport, use: ChipUse) -> str:
    """The page, self-contained."""
    title = f"{escape(use.network)} on {escape(use.chip)}"
    parts = [
        f"<h1>{title}</h1>",
        _table(overview(report, use), head=False),
        *(_section(text) for text in losses(report)),
        "<h2>Cores on the mesh</h2>",
        mesh_key(),
        mesh_map(use.cores),
        f'<h2>Populations</h2>{_table(population_rows(use))}<p class="note">{escape(" ".join(POPULATION_KEY))}</p>',
        f"<details><summary>All cores</summary>{_table(core_rows(use))}</details>",
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _section(text: str) -> str:
    """A text whose first line is its heading, and whose other lines are items; or a sentence alone."""
    head, *items = text.splitlines()
    if not items:
        return f"<p>{escape(head[:1].upper() + head[1:])}</p>"
    listed = "".join(f"<li>{escape(item.strip())}</li>" for item in items)
    return f"<h2>{escape(head[:1].upper() + head[1:])}</h2><ul>{listed}</ul>"


def _table(rows: Rows | list[tuple[str, str]], *, head: bool = True) -> str:
    """Rows as a table, the first as heads; columns of numbers are aligned to the right."""
    body = rows[1:] if head else []
    numeric = [bool(body) and all(_is_number(cell) for cell in column) for column in zip(*body, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if head and number == 0 else "td"
        kinds = [' class="number"' if is_number else "" for is_number in numeric] or [""] * len(row)
        cells = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _is_number(cell: str) -> bool:
    return bool(cell) and not cell.strip("0123456789,.%")

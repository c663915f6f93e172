"""The report of a compilation as one HTML page: its tables, and a map of the mesh that shows what each core is full of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from neurocore.compiler.meshmap import mesh_key, mesh_map
from neurocore.compiler.report import ChipUse
from neurocore.compiler.reporttext import POPULATION_KEY, core_rows, losses, overview, population_rows
from neurocore.page import document, table

if TYPE_CHECKING:
    from neurocore.compiler.compilereport import CompileReport


def page(report: CompileReport, use: ChipUse) -> str:
    """The page, self-contained."""
    parts = [
        table(overview(report, use), head=False),
        *(_section(text) for text in losses(report)),
        "<h2>Cores on the mesh</h2>",
        mesh_key(),
        mesh_map(use.cores),
        f'<h2>Populations</h2>{table(population_rows(use))}<p class="note">{escape(" ".join(POPULATION_KEY))}</p>',
        f"<details><summary>All cores</summary>{table(core_rows(use))}</details>",
    ]
    return document(f"{use.network} on {use.chip}", parts)


def _section(text: str) -> str:
    """A text whose first line is its heading, and whose other lines are items; or a sentence alone."""
    head, *items = text.splitlines()
    if not items:
        return f"<p>{escape(head[:1].upper() + head[1:])}</p>"
    listed = "".join(f"<li>{escape(item.strip())}</li>" for item in items)
    return f"<h2>{escape(head[:1].upper() + head[1:])}</h2><ul>{listed}</ul>"

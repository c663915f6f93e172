"""HTML pages that reports share: one file each, without anything to be loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

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


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page with parts in HTML below its title, which is plain text."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def table(rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
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

"""HTML pages that reports share: one file each, without anything to be loaded, for light and dark screens and for paper.

Pictures take their ink from the page (``currentColor``) and mark what else follows it by class: ``paper`` (the ground of a
picture that also stands alone), ``unused`` and ``silent`` (squares without a value), ``rule`` (lines behind the data) and
``s0`` .. ``s4`` (the colours of data side by side).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LIGHT = """
--ink: #1d2126; --paper: #ffffff; --soft: #59616a; --line: #d9dde2; --tile: #f4f6f8; --unused: #ececec; --silent: #ffffff;
--s0: #1f62ac; --s1: #b3541a; --s2: #2c7d48; --s3: #7c45a6; --s4: #a83250;
"""
DARK = """
--ink: #e3e6ea; --paper: #14171b; --soft: #a3abb5; --line: #3a414a; --tile: #1e2329; --unused: #272d34; --silent: #14171b;
--s0: #7db6f2; --s1: #f0a569; --s2: #82cf9a; --s3: #cba0ee; --s4: #f190a6;
"""
DARK_SCREEN = "@media screen and (prefers-color-scheme: dark)"
"""Begins what holds where the reader asks for a dark page; paper is white all the same."""

STYLE = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
{DARK_SCREEN} {{ :root {{ {DARK} }} }}
html {{ background: var(--paper); }}
body {{ font: 14px/1.45 sans-serif; color: var(--ink); margin: 2em auto; max-width: 1200px; padding: 0 1.5em; }}
h1, h2, h3, td, li, p {{ overflow-wrap: break-word; }}
h1 {{ font-size: 24px; }} h2 {{ font-size: 18px; margin: 1.8em 0 0.6em; }} h3 {{ font-size: 15px; margin: 1.4em 0 0.4em; }}
div.wide, figure {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 0 0 1em; }}
th, td {{ text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
td:first-child, th {{ white-space: nowrap; }}
td.number, th.number {{ text-align: right; white-space: nowrap; }}
p.note, figcaption {{ color: var(--soft); max-width: 80em; }} ul {{ padding-left: 1.4em; }}
p.key span {{ white-space: nowrap; margin-right: 16px; }}
p.key i {{ display: inline-block; width: 11px; height: 11px; margin-right: 5px; }}
figure {{ margin: 0 0 1em; }} figcaption {{ margin-top: 4px; }}
dl.tiles {{ display: flex; flex-wrap: wrap; gap: 10px; margin: 0 0 1.2em; }}
dl.tiles div {{ background: var(--tile); border: 1px solid var(--line); border-radius: 6px; padding: 8px 14px; }}
dl.tiles div {{ min-width: 110px; }}
dl.tiles dt {{ color: var(--soft); font-size: 12px; }} dl.tiles dd {{ margin: 0; font-size: 19px; white-space: nowrap; }}
dl.tiles dd.more {{ color: var(--soft); font-size: 12px; }}
svg.mesh, svg.plot {{ max-width: 100%; height: auto; font: 11px sans-serif; fill: currentColor; }}
svg .paper {{ fill: none; }} svg .unused {{ fill: var(--unused); }} svg .silent {{ fill: var(--silent); }}
svg .rule {{ stroke: var(--line); }} svg .soft {{ fill: var(--soft); }}
.s0 {{ color: var(--s0); }} .s1 {{ color: var(--s1); }} .s2 {{ color: var(--s2); }}
.s3 {{ color: var(--s3); }} .s4 {{ color: var(--s4); }}
summary {{ cursor: pointer; font-weight: bold; margin: 1.6em 0 0.6em; }}
@media print {{
body {{ margin: 0; max-width: none; padding: 0; font-size: 11px; }} h2, h3 {{ break-after: avoid; }}
svg, tr, dl.tiles div {{ break-inside: avoid; }} div.wide, figure {{ overflow: visible; }}
* {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
N_SERIES = 5
"""Colours of data side by side: the classes ``s0`` and so on."""


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page with parts in HTML below its title, which is plain text."""
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{view}<title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    page = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    # Names may hold halves of surrogate pairs, which no file in UTF-8 can.
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


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


def note(text: str) -> str:
    """A remark, from plain text."""
    return f'<p class="note">{escape(text)}</p>'


def figure(picture: str, caption: str) -> str:
    """A picture in SVG with what it shows below it, from plain text."""
    return f"<figure>\n{picture}\n<figcaption>{escape(caption)}</figcaption></figure>"


def tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    """The figures that matter most, each as (name, value, remark or nothing)."""
    shown = []
    for name, value, remark in figures:
        more = f'<dd class="more">{escape(remark)}</dd>' if remark else ""
        shown.append(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>{more}</div>")
    return f'<dl class="tiles">{"".join(shown)}</dl>'


def _is_number(cell: str) -> bool:
    return bool(cell) and not cell.strip("0123456789,.%")

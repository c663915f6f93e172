"""A table of numbers over two axes as a heat map: SVG for a browser, shades of grey for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Cell = tuple[float, float]
"""Column and row value."""

CELL_WIDTH, CELL_HEIGHT, MARGIN_LEFT, MARGIN_TOP = 72, 34, 90, 70
SHADES = " ░▒▓█"
DARK = (0x44, 0x01, 0x54)
BRIGHT = (0xFD, 0xE7, 0x25)
MIDDLE = (0x21, 0x90, 0x8C)


def _shares(values: Mapping[Cell, float]) -> dict[Cell, float]:
    """Values on a logarithmic scale from 0, the lowest, to 1, the highest. Values must be above 0."""
    logs = {cell: math.log(value) for cell, value in values.items()}
    low, high = min(logs.values()), max(logs.values())
    return {cell: (value - low) / (high - low) if high > low else 1.0 for cell, value in logs.items()}


def short(value: float) -> str:
    """Three significant digits, thousands as k."""
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.3g}"


def text_map(columns: Sequence[float], rows: Sequence[float], values: Mapping[Cell, float], corner: str) -> str:
    """Lines of numbers, each behind a mark that is the fuller the larger the number."""
    shares = _shares(values)
    lines = [f"{corner:>12}" + "".join(f"{column:>9g}" for column in columns)]
    for row in rows:
        cells = []
        for column in columns:
            shade = SHADES[round(shares[column, row] * (len(SHADES) - 1))]
            cells.append(f"{short(values[column, row]):>7}{shade * 2}")
        lines.append(f"{row:>12g}" + "".join(cells))
    return "\n".join(lines)


def _colour(share: float) -> tuple[str, str]:
    """Fill and text colour for a share of 0..1."""
    low, high, part = (DARK, MIDDLE, 2 * share) if share < 0.5 else (MIDDLE, BRIGHT, 2 * share - 1)
    mixed = [round(a + (b - a) * part) for a, b in zip(low, high, strict=True)]
    return "#" + "".join(f"{value:02x}" for value in mixed), "#ffffff" if share < 0.6 else "#000000"


def svg_map(
    columns: Sequence[float],
    rows: Sequence[float],
    values: Mapping[Cell, float],
    *,
    title: str,
    column_title: str,
    row_title: str,
) -> str:
    """An SVG document; colours follow the logarithm of the values, and every cell shows its number."""
    shares = _shares(values)
    width = MARGIN_LEFT + CELL_WIDTH * len(columns) + 20
    height = MARGIN_TOP + CELL_HEIGHT * len(rows) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(width / 2, 22, title, size=15),
        _text(MARGIN_LEFT + CELL_WIDTH * len(columns) / 2, height - 12, column_title),
        f'<g transform="translate(18 {MARGIN_TOP + CELL_HEIGHT * len(rows) / 2}) rotate(-90)">{_text(0, 0, row_title)}</g>',
    ]
    for x, column in enumerate(columns):
        left = MARGIN_LEFT + CELL_WIDTH * x
        parts.append(_text(left + CELL_WIDTH / 2, height - 32, f"{column:g}"))
        for y, row in enumerate(reversed(rows)):
            top = MARGIN_TOP + CELL_HEIGHT * y
            fill, ink = _colour(shares[column, row])
            parts.append(
                f'<rect x="{left}" y="{top}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" fill="{fill}" stroke="#ffffff"/>'
            )
            parts.append(_text(left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2 + 4, short(values[column, row]), ink))
    for y, row in enumerate(reversed(rows)):
        parts.append(_text(MARGIN_LEFT - 24, MARGIN_TOP + CELL_HEIGHT * (y + 0.5) + 4, f"{row:g}"))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, fill: str = "#000000", size: int = 12) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{fill}" font-size="{size}">{escape(text)}</text>'

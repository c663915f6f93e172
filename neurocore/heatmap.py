"""A table of numbers over two axes as a heat map: SVG for a browser, shades of grey for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

Cell = tuple[float, float]
"""Column and row value."""

CELL_WIDTH, CELL_HEIGHT, MARGIN_LEFT, MARGIN_TOP, MARGIN_BELOW = 72, 34, 80, 48, 58
BAR_GAP, BAR_WIDTH, BAR_ROOM = 24, 16, 100
"""Of the colour bar: how far it is from the cells, its width, and the width with its numbers and title."""
LABEL_GAP = 15
"""Numbers beside the colour bar are at least so far apart."""
TITLE_SIZE, TITLE_LETTER = 15, 8
"""Size of the title's letters and the width that each is taken for, so that narrow maps do not cut it off."""
SHADES = " ░▒▓█"
DARK = (0x44, 0x01, 0x54)
MIDDLE = (0x21, 0x90, 0x8C)
BRIGHT = (0xFD, 0xE7, 0x25)
Ramp = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Colours, red, green and blue of 0..255, of the lowest value, of one in the middle and of the highest."""
READABLE = 0.18
"""Relative luminance from which on black is easier to read than white."""


def _shares(values: Mapping[Cell, float]) -> dict[Cell, float]:
    """Values on a logarithmic scale from 0, the lowest, to 1, the highest. Values must be above 0."""
    logs = {cell: math.log(value) for cell, value in values.items()}
    low, high = min(logs.values()), max(logs.values())
    return {cell: (value - low) / (high - low) if high > low else 1.0 for cell, value in logs.items()}


def short(value: float) -> str:
    """Three significant digits, thousands as k."""
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.3g}"


def text_map(
    columns: Sequence[float], rows: Sequence[float], values: Mapping[Cell, float], corner: str, value_title: str
) -> str:
    """Lines of numbers, each behind a mark that is the fuller the larger the number, and what the marks mean."""
    shares = _shares(values)
    lines = [f"{corner:>12}" + "".join(f"{column:>9g}" for column in columns)]
    for row in rows:
        cells = []
        for column in columns:
            shade = SHADES[round(shares[column, row] * (len(SHADES) - 1))]
            cells.append(f"{short(values[column, row]):>7}{shade * 2}")
        lines.append(f"{row:>12g}" + "".join(cells))
    low, high = short(min(values.values())), short(max(values.values()))
    marks = " ".join(SHADES[1:-1])
    return "\n".join(
        [*lines, f"{value_title}; shades: blank {low}, {marks} between, {SHADES[-1]} {high} (logarithmic)"]
    )


def colour(share: float, ramp: Ramp = (DARK, MIDDLE, BRIGHT)) -> tuple[str, str]:
    """Fill and text colour for a share of 0..1 of a ramp from its first colour to its last."""
    first, middle, last = ramp
    low, high, part = (first, middle, 2 * share) if share < 0.5 else (middle, last, 2 * share - 1)
    mixed = [round(a + (b - a) * part) for a, b in zip(low, high, strict=True)]
    linear = [(value / 255) ** 2.2 for value in mixed]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return hex_colour(mixed), "#ffffff" if luminance < READABLE else "#000000"


def hex_colour(rgb: Sequence[int]) -> str:
    """As SVG writes it."""
    return "#" + "".join(f"{value:02x}" for value in rgb)


def svg_map(
    columns: Sequence[float],
    rows: Sequence[float],
    values: Mapping[Cell, float],
    *,
    title: str,
    column_title: str,
    row_title: str,
    value_title: str,
) -> str:
    """An SVG document; colours follow the logarithm of the values, every cell shows its number, a bar what colours mean."""
    cells_wide, cells_high = CELL_WIDTH * len(columns), CELL_HEIGHT * len(rows)
    width = MARGIN_LEFT + max(cells_wide + BAR_GAP + BAR_ROOM, TITLE_LETTER * len(title))
    height = MARGIN_TOP + cells_high + MARGIN_BELOW
    below, middle = MARGIN_TOP + cells_high, MARGIN_TOP + cells_high / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        svg_text(MARGIN_LEFT, 28, title, size=TITLE_SIZE, anchor="start"),
        svg_text(MARGIN_LEFT + cells_wide / 2, below + 42, column_title),
        svg_turned(26, middle, row_title),
        *_cells(columns, rows, values),
        *_bar(values, MARGIN_LEFT + cells_wide + BAR_GAP, cells_high, value_title),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _cells(columns: Sequence[float], rows: Sequence[float], values: Mapping[Cell, float]) -> Iterator[str]:
    """Cells with their numbers, the lowest row at the bottom, and what columns and rows stand for."""
    shares, below = _shares(values), MARGIN_TOP + CELL_HEIGHT * len(rows)
    for y, row in enumerate(reversed(rows)):
        top = MARGIN_TOP + CELL_HEIGHT * y
        yield svg_text(MARGIN_LEFT - 8, top + CELL_HEIGHT / 2 + 4, f"{row:g}", anchor="end")
        for x, column in enumerate(columns):
            left = MARGIN_LEFT + CELL_WIDTH * x
            fill, ink = colour(shares[column, row])
            box = f'x="{left}" y="{top}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}"'
            yield f'<rect {box} fill="{fill}" stroke="#ffffff"/>'
            yield svg_text(left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2 + 4, short(values[column, row]), ink)
    for x, column in enumerate(columns):
        yield svg_text(MARGIN_LEFT + CELL_WIDTH * (x + 0.5), below + 18, f"{column:g}")


def _bar(values: Mapping[Cell, float], left: float, length: float, value_title: str) -> Iterator[str]:
    """The colour bar, the largest value at its top, with its ends and round numbers between them marked."""
    low, high = min(values.values()), max(values.values())
    stops = zip(("0", "0.5", "1"), (DARK, MIDDLE, BRIGHT), strict=True)
    yield '<linearGradient id="colours" x1="0" y1="1" x2="0" y2="0">'
    yield from (f'<stop offset="{offset}" stop-color="{hex_colour(colour)}"/>' for offset, colour in stops)
    yield "</linearGradient>"
    yield f'<rect x="{left}" y="{MARGIN_TOP}" width="{BAR_WIDTH}" height="{length}" fill="url(#colours)"/>'
    edge, bottom = left + BAR_WIDTH, MARGIN_TOP + length
    for value in marks(low, high, length):
        y = bottom - length * (math.log(value / low) / math.log(high / low) if high > low else 1)
        yield f'<path d="M{edge} {y:.1f}h4" stroke="currentColor"/>'
        yield svg_text(edge + 8, round(y + 4, 1), short(value), anchor="start")
    yield svg_turned(edge + 62, MARGIN_TOP + length / 2, value_title)


def marks(low: float, high: float, length: float, gap: float = LABEL_GAP) -> list[float]:
    """What is marked on a logarithmic scale: its ends, powers of ten between, and twice and five times these if there is room.

    Marks are ``gap`` apart at least, of the ``length`` of the scale.
    """
    if high <= low:
        return [high]
    apart = (high / low) ** (gap / length)
    marked, digits = [low], (1, 2, 5) if apart <= 2 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high))):
        for value in (digit * 10.0**power for digit in digits):
            if value >= marked[-1] * apart and value * apart <= high:
                marked.append(value)
    return [*marked, high]


def svg_text(
    x: float, y: float, text: str, fill: str = "currentColor", size: int = 12, anchor: str = "middle", look: str = ""
) -> str:
    """A line of text, at its beginning, middle or end; ``look`` is a class of style sheets."""
    at = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    named = f' class="{look}"' if look else ""
    return f'<text {at} fill="{fill}" font-size="{size}"{named}>{escape(text)}</text>'


def svg_begin(width: float, height: float, look: str, name: str, title: str, description: str) -> str:
    """The begin of a picture, which says what it shows to who cannot see it; ``name`` is one that the page has only once."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    told = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{look}" {size} {told} font-family="sans-serif" font-size="11">'
    )
    return (
        f'{head}\n<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )


def svg_turned(x: float, y: float, text: str) -> str:
    """Text that reads upwards, in the middle of y."""
    return f'<g transform="translate({x:g} {y:g}) rotate(-90)">{svg_text(0, 0, text)}</g>'

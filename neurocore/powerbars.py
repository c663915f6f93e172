"""The parts of a run's power as bars (SVG, a part of a page)."""

from __future__ import annotations

from collections.abc import Iterator

from neurocore.heatmap import svg_begin, svg_text
from neurocore.page import N_SERIES
from neurocore.power import PowerReport, significant

LEFT, LENGTH, RIGHT = 130, 460, 190
"""Pixels of the names, of the longest bar, and of the numbers."""
ROW, BAR, TOP = 26, 16, 6


def power_svg(report: PowerReport) -> str:
    """A bar for every part, the total as long as all of them together."""
    return "\n".join(_lines(report))


def _lines(report: PowerReport) -> Iterator[str]:
    parts = report.parts()
    told = ", ".join(f"{name} {significant(value)} mW" for name, value in parts.items())
    total = report.total_mw
    width, height = LEFT + LENGTH + RIGHT, TOP + ROW * (len(parts) + 1)
    yield svg_begin(width, height, "plot", "power", "Power by part", f"Total {significant(total)} mW: {told}.")
    scale, begin = LENGTH / total if total else 0.0, 0.0
    for row, (name, value) in enumerate(parts.items()):
        shape = f'x="{LEFT + begin * scale:.2f}" width="{value * scale:.2f}" height="{BAR}" fill="currentColor"'
        yield from _text(row, name, value, total)
        yield f'<g class="s{row % N_SERIES}"><rect y="{_top(row)}" {shape}/><rect y="{_top(len(parts))}" {shape}/></g>'
        begin += value
    yield from _text(len(parts), "total", total, total)
    yield f'<path class="rule" d="M{LEFT} {TOP}v{ROW * (len(parts) + 1) - TOP}" fill="none" stroke="#bbbbbb"/>'
    yield "</svg>"


def _top(row: int) -> int:
    return TOP + ROW * row + (ROW - BAR) // 2


def _text(row: int, name: str, value: float, total: float) -> Iterator[str]:
    """Name and numbers of a bar."""
    y = _top(row) + BAR - 4
    share = f", {100 * value / total:.1f} %" if total and name != "total" else ""
    yield svg_text(LEFT - 10, y, name, anchor="end")
    yield svg_text(LEFT + LENGTH + 12, y, f"{significant(value)} mW{share}", anchor="start")

"""What changes over a run (SVG, parts of a page): spikes per tick, and the membranes of probed neurons.

Where there are more ticks than a curve can show, spikes are means over bins of ticks, and membranes the range from the lowest
to the highest value within a bin, so that no peak is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocore.chart import FOOT, LEFT, PLOT, WIDTH, Span, fitted, per_bin, round_numbers
from neurocore.heatmap import svg_begin, svg_text
from neurocore.page import N_SERIES
from neurocore.wording import counted

Array = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_BINS = 400
"""Bins of a curve of spikes; means over fewer ticks would be lost in the picture."""
MOST_POINTS = 700
"""Ticks of which a membrane's every value is drawn."""
TALL, APART, TOP = 74, 36, 26
"""Pixels of a panel, between panels, and above the first; the name of a panel stands above it."""
SPIKE = 7
"""Length of the mark of a spike above a membrane."""


@dataclass(frozen=True, eq=False)
class Series:
    """Spikes of several lines or neurons together: the ``tick`` of each."""

    name: str
    tick: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """A membrane [ticks] and the ticks in which its neuron fired."""

    name: str
    membrane: npt.NDArray[np.int32]
    fired: Array


def activity_span(first_tick: int, ticks: int) -> Span:
    """The bins of :func:`activity_svg`."""
    return Span.of(first_tick, ticks, MOST_BINS)


def activity_svg(series: Sequence[Series], span: Span, name: str, clock: str) -> str:
    """Spikes per tick, a panel a series; ``name`` is one that the page has only once, ``clock`` what the ticks are."""
    lines: list[str] = []
    told: list[str] = []
    for number, item in enumerate(series):
        counts = per_bin(item.tick, span)
        rates = counts / span.lengths
        peak = int(rates.argmax())
        told.append(
            f"{item.name}: {counted(len(item.tick), 'spike')}, at most {rates.max():.4g} per tick, {_when(span, peak)}."
        )
        lines += _panel(number, item.name, 0.0, float(rates.max()) or 1.0)
        lines.append(f'<g class="s{number % N_SERIES}">{_steps(rates, span, _top(number))}</g>')
    return _svg(len(series), span, name, clock, "Spikes per tick over the run", " ".join(told), lines)


def membranes_svg(traces: Sequence[Trace], first_tick: int, name: str, clock: str) -> str:
    """Membranes, a panel a neuron, with a mark above for each of its spikes."""
    span = Span.of(first_tick, len(traces[0].membrane), MOST_POINTS)
    lines: list[str] = []
    told: list[str] = []
    for number, trace in enumerate(traces):
        low, high = int(trace.membrane.min()), int(trace.membrane.max())
        told.append(f"{trace.name}: from {low:,} to {high:,}, {counted(len(trace.fired), 'spike')}.")
        lines += _panel(number, trace.name, low, high if high > low else low + 1, whole=True)
        curve = _curve if span.each == 1 else _range
        lines.append(f'<g class="s0" stroke="currentColor">{curve(trace.membrane, span, _top(number))}</g>')
        lines.append(_fired(trace.fired, span, _top(number)))
    return _svg(len(traces), span, name, clock, "Membranes over the run", " ".join(told), lines)


def _svg(n: int, span: Span, name: str, clock: str, title: str, told: str, lines: list[str]) -> str:
    bottom = _top(n - 1) + TALL
    begin = svg_begin(WIDTH, bottom + FOOT, "plot", name, title, told)
    panels = [(_top(number), _top(number) + TALL) for number in range(n)]
    return "\n".join([begin, *span.axis(panels, clock), *lines, "</svg>"])


def _when(span: Span, column: int) -> str:
    """The ticks of a bin in words."""
    first = span.first + column * span.each
    last = min(first + span.each, span.first + span.ticks) - 1
    return f"in tick {first:,}" if first == last else f"in ticks {first:,}..{last:,}"


def _top(number: int) -> int:
    """Upper side of a panel."""
    return TOP + number * (TALL + APART)


def _panel(number: int, name: str, low: float, high: float, *, whole: bool = False) -> Iterator[str]:
    """Name and values of a panel, the lowest at its bottom; only ``whole`` ones if there are no others."""
    top = _top(number)
    yield f'<path class="rule" d="M{LEFT} {top + TALL}h{PLOT}" fill="none" stroke="#bbbbbb"/>'
    yield svg_text(LEFT, top - SPIKE - 6, fitted(name, PLOT), size=11, anchor="start")
    for value in round_numbers(low, high, 3):
        if whole and value != int(value):
            continue
        y = top + TALL * (high - value) / (high - low)
        yield f'<path class="rule" d="M{LEFT - 4} {y:.1f}h4" fill="none" stroke="#bbbbbb"/>'
        yield svg_text(LEFT - 8, round(y + 4, 1), _value(value), size=10, anchor="end", look="soft")


def _value(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value / 1000:.3g}k"


def _steps(rates: Floats, span: Span, top: float) -> str:
    """Values of the bins as one filled outline, the highest as high as the panel."""
    scale = TALL / (float(rates.max()) or 1.0)
    heights = [f"{top + TALL - rate * scale:.1f}" for rate in rates.tolist()]
    outline = "".join(f"V{height}H{edge:.1f}" for height, edge in zip(heights, span.edges()[1:], strict=True))
    return f'<path d="M{LEFT} {top + TALL}{outline}V{top + TALL}z" fill="currentColor" fill-opacity=".75"/>'


def _curve(membrane: npt.NDArray[np.int32], span: Span, top: float) -> str:
    """Every value, at the middle of its tick."""
    scaled = _scaled(membrane, int(membrane.min()), int(membrane.max()), top)
    points = (f"{span.x(span.first + tick + 0.5):.1f} {y:.1f}" for tick, y in enumerate(scaled.tolist()))
    return f'<path d="M{"L".join(points)}" fill="none" stroke-width="1.3" stroke-linejoin="round"/>'


def _range(membrane: npt.NDArray[np.int32], span: Span, top: float) -> str:
    """The range of the values in every bin, as one filled outline."""
    starts = np.arange(0, span.ticks, span.each)
    low, high = int(membrane.min()), int(membrane.max())
    lowest = _scaled(np.minimum.reduceat(membrane, starts), low, high, top).tolist()
    highest = _scaled(np.maximum.reduceat(membrane, starts), low, high, top).tolist()
    middle = [span.x(span.first + start + min(span.each, span.ticks - start) / 2) for start in starts.tolist()]
    upper = [f"{x:.1f} {y:.1f}" for x, y in zip(middle, highest, strict=True)]
    lower = [f"{x:.1f} {y:.1f}" for x, y in zip(reversed(middle), reversed(lowest), strict=True)]
    return f'<path d="M{"L".join([*upper, *lower])}z" fill="currentColor" fill-opacity=".55" stroke-width=".6"/>'


def _scaled(values: npt.NDArray[np.int32], low: int, high: int, top: float) -> Floats:
    """Where values lie in a panel; a membrane that never changes lies at its bottom."""
    return np.asarray(top + TALL - TALL * (values.astype(np.float64) - low) / max(high - low, 1))


def _fired(tick: Array, span: Span, top: float) -> str:
    """A mark for every bin with a spike."""
    if not tick.size:
        return ""
    columns = np.flatnonzero(per_bin(tick, span)).tolist()
    middle = span.each / 2
    marks = (f"M{span.x(span.first + column * span.each + middle):.1f} {top - SPIKE}v{SPIKE - 1}" for column in columns)
    return f'<path class="s1" d="{"".join(marks)}" fill="none" stroke="currentColor" stroke-width="1.2"/>'

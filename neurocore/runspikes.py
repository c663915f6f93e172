"""What a run recorded tick by tick, as parts of its report: rasters, spikes over time, membranes of probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

import numpy as np
import numpy.typing as npt

from neurocore.chart import Span, clock_of
from neurocore.page import figure, note
from neurocore.probes import split_probe
from neurocore.rasterplot import Band, Raster, raster_svg
from neurocore.result import ProbeRecord, RunResult
from neurocore.timeplot import MOST_POINTS, Series, Trace, activity_span, activity_svg, membranes_svg
from neurocore.wording import counted

Array = npt.NDArray[np.int64]

MOST_PROBES = 4
"""Probed populations that are drawn; a page of more would be long to load and to read."""
MOST_TRACES = 6
"""Membranes that are drawn of a probe."""
NOT_BY_TICK = (
    "A run keeps the ticks of spikes on output lines and of probed populations; other neurons are counted over the run."
)
OFFSET = (
    "Membranes are the chip's: those of neurons that gather bursts stand above the network's by an offset, and between two ticks"
    " of the network bursts are under way."
)
ADVICE = "Probes record populations: neurocore run … --probe POPULATION, or POPULATION:membrane."


def spike_parts(run: RunResult) -> Iterator[str]:
    """Rasters of the output lines and of the probed populations."""
    yield "<h2>Spikes</h2>"
    rasters = list(_rasters(run))
    if not rasters:
        yield note(f"Not shown: {_why_nothing(run)}")
        return
    for number, (title, raster) in enumerate(rasters):
        yield f"<h3>{title}</h3>"
        if not raster.most:
            yield note(f"No spike of {counted(raster.n_lines, raster.noun)}.")
            continue
        clock = clock_of(run.chip.dilation)
        yield figure(raster_svg(raster, f"raster{number}", clock), raster.summary())
        if (close := raster.close_up()) is not None:
            yield figure(raster_svg(close, f"raster{number}-close", clock), f"Close up: {close.summary()}")
    yield from _left_out(list(_probed(run)), "rasters")


def activity_parts(run: RunResult) -> Iterator[str]:
    """Spikes per tick over the run."""
    yield "<h2>Activity over time</h2>"
    series = list(_series(run))
    if not series:
        yield note("Not shown: nothing was recorded by tick, see above.")
        return
    span = activity_span(run.first_tick, run.ticks)
    binned = f", means over {counted(span.each, 'tick')} each" if span.each > 1 else ""
    caption = f"Spikes per tick of {', '.join(item.name for item in series)}{binned}. {NOT_BY_TICK}"
    yield figure(activity_svg(series, span, "activity", clock_of(run.chip.dilation)), caption)


def membrane_parts(run: RunResult) -> Iterator[str]:
    """Membranes of the probes that recorded them; nothing if none did."""
    found = {name: probe for name, probe in run.probes.items() if probe.membranes.size}
    if not found:
        return
    yield "<h2>Membranes</h2>"
    for number, (name, probe) in enumerate(list(found.items())[:MOST_PROBES]):
        chosen = _busiest(probe)
        traces = [_trace(name, probe, column) for column in chosen]
        yield figure(
            membranes_svg(traces, run.first_tick, f"membranes{number}", clock_of(run.chip.dilation)),
            _membrane_caption(_population(name), probe, len(chosen)),
        )
    yield from _left_out([_population(name) for name in found], "membranes")
    if run.chip.dilation != 1:
        yield note(OFFSET)


def _rasters(run: RunResult) -> Iterator[tuple[str, Raster]]:
    """Title and raster of the outputs, and of every probed population."""
    if not run.ticks:
        return
    if bands := _output_bands(run):
        yield "Output lines", Raster.of(run.spikes, bands, run.first_tick, run.ticks, "output line")
    for name, probe in list(_probed(run).items())[:MOST_PROBES]:
        bands = [Band(name, 0, _size(run, name, probe))]
        yield f"Probe of {escape(name)}", Raster.of(probe.spikes, bands, run.first_tick, run.ticks, "neuron")


def _output_bands(run: RunResult) -> list[Band]:
    """The outputs by name; all lines together where they have none."""
    bands = [Band(group.name, group.start, group.size) for group in run.chip.outputs if group.size]
    end = max((band.start + band.size for band in bands), default=0)
    last = int(run.spikes.line.max(initial=-1))
    return bands if last < end else [Band("output lines", 0, last + 1)]


def _probed(run: RunResult) -> Mapping[str, ProbeRecord]:
    """The probed populations, each once, in the order of the probes."""
    found: dict[str, ProbeRecord] = {}
    for name, probe in run.probes.items():
        found.setdefault(_population(name), probe)
    return found


def _population(probe: str) -> str:
    """The population that a probe watches."""
    return split_probe(probe)[0]


def _size(run: RunResult, name: str, probe: ProbeRecord) -> int:
    """Neurons of a probed population."""
    sizes = {group.name: group.size for group in run.chip.populations}
    return max(sizes.get(name, 0), int(probe.spikes.line.max(initial=0)) + 1)


def _series(run: RunResult) -> Iterator[Series]:
    """What is shown over time."""
    if not run.ticks:
        return
    if run.chip.outputs or len(run.spikes):
        yield Series("output lines", run.spikes.tick)
    for name, probe in list(_probed(run).items())[:MOST_PROBES]:
        yield Series(name, probe.spikes.tick)


def _why_nothing(run: RunResult) -> str:
    """Why no spike can be drawn where it was fired."""
    if not run.ticks:
        return "the run has no ticks."
    return f"the chip has no output lines, and the run had no probes. {NOT_BY_TICK} {ADVICE}"


def _left_out(names: list[str], what: str) -> Iterator[str]:
    """That there are more probes than are drawn."""
    if len(names) > MOST_PROBES:
        rest = ", ".join(names[MOST_PROBES:])
        yield note(f"The {what} of {len(names) - MOST_PROBES:,} more probes are left out: {rest}.")


def _busiest(probe: ProbeRecord) -> list[int]:
    """Columns of the neurons with most spikes, then of those whose membranes move most; in the order of the neurons."""
    width = probe.membranes.shape[1]
    spikes = np.bincount(probe.spikes.line, minlength=width)[:width]
    moved = probe.membranes.max(axis=0).astype(np.int64) - probe.membranes.min(axis=0)
    return sorted(np.lexsort((np.arange(width), -moved, -spikes))[:MOST_TRACES].tolist())


def _trace(name: str, probe: ProbeRecord, neuron: int) -> Trace:
    """The membrane of a neuron and its spikes."""
    fired = probe.spikes.tick[probe.spikes.line == neuron]
    return Trace(f"{_population(name)}[{neuron}]", probe.membranes[:, neuron], fired)


def _membrane_caption(name: str, probe: ProbeRecord, shown: int) -> str:
    """What a picture of membranes shows."""
    width = probe.membranes.shape[1]
    which = (
        f"the {shown} of its {width:,} recorded neurons that fire or move most"
        if shown < width
        else "all recorded neurons"
    )
    each = Span.of(0, len(probe.membranes), MOST_POINTS).each
    binned = "" if each == 1 else f", as the range of every {each:,} ticks"
    return f"Membranes of {name}, {which}, at the end of each tick{binned}; marks above are spikes."

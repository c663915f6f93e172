"""A run as one HTML page: what ran, its numbers, spikes, activity, firing by core, power, traffic.

The page shows what the run holds and nothing else; what it does not hold is said in a line. Equal runs give equal pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from neurocore.config import Group
from neurocore.meshframe import Mesh
from neurocore.page import document, figure, note, table, tiles
from neurocore.power import PowerReport, significant
from neurocore.powerbars import power_svg
from neurocore.ratemap import RateMap
from neurocore.result import RunResult
from neurocore.runspikes import activity_parts, membrane_parts, spike_parts
from neurocore.trafficpage import traffic_parts
from neurocore.wording import chips_clock, counted, times

MOST_TOLD = 2500
"""Cores and links of the traffic map that tell their counts; of more, they alone would take megabytes."""
MOST_GROUPS = 40
"""Populations that are listed, and names of inputs and outputs."""
ENDINGS = (".html", ".htm")
"""Of the names of pages."""
DIGITS = 16
"""Of a digest, enough to tell files apart."""
MERGES = "Merges are spikes that met another at the same axon in the same tick, and count once."


def run_page(run: RunResult, power: PowerReport | None) -> str:
    """The page of a run, with its power unless the chip definition has no energy constants."""
    return document(title_of(run), run_parts(run, power))


def title_of(run: RunResult) -> str:
    """What ran, in a line."""
    return f"Run of {run.chip.name} on {run.chip.architecture.title}"


def run_parts(run: RunResult, power: PowerReport | None) -> list[str]:
    """What a page says of a run, under headings of the second and third level."""
    tick_hz = None if power is None else power.tick_hz
    return [
        f"<h2>What ran</h2>{table(list(_facts(run)), head=False)}",
        *_numbers(run, power, tick_hz),
        *spike_parts(run),
        *activity_parts(run),
        *membrane_parts(run),
        *_firing(run, tick_hz),
        *_populations(run, power, tick_hz),
        *_power(run, power),
        "<h2>Traffic</h2>",
        *traffic_parts(run, "h3", MOST_TOLD),
        _footer(run),
    ]


def _facts(run: RunResult) -> Iterator[tuple[str, str]]:
    """What ran, as (name, value)."""
    chip, arch = run.chip, run.chip.architecture
    yield "network", chip.name + (f" (digest {chip.network_digest[:DIGITS]})" if chip.network_digest else "")
    grid = f"{arch.columns} x {arch.rows} cores of {arch.core.axons:,} axons x {arch.core.neurons:,} neurons"
    yield "chip", f"{arch.title} ({arch.name}): {grid}"
    if run.tiling.n_chips > 1:
        size = f"{arch.mesh.columns} x {arch.mesh.rows} cores"
        yield "board", f"{arch.board.columns} x {arch.board.rows} chips of {size}"
    yield "cores", f"{int(run.in_use.sum()):,} in use of {arch.n_cores:,}"
    yield "neurons", _neurons(run)
    yield "inputs", _groups(chip.inputs)
    yield "outputs", _groups(chip.outputs)
    yield "ticks", _ticks(run)
    if chip.outputs:
        clock = " of the chip" if chip.dilation != 1 else ""
        yield "latency", f"{counted(chip.latency, 'tick')}{clock}, by which outputs are later than the network's"
    yield "seed", str(run.seed)
    yield "chip file", f"digest {chip.digest[:DIGITS]}"


def _neurons(run: RunResult) -> str:
    """The configured neurons by what they are."""
    population = run.chip.population
    placed, others = int((population >= 0).sum()), int((population == -1).sum())
    of_network = min(sum(group.size for group in run.chip.populations), placed)
    if not placed:
        return f"{others:,} configured"
    rest = ((placed - of_network, "copy"), (others, "relay"))
    parts = [f"{of_network:,} of the network", *(counted(number, noun) for number, noun in rest if number)]
    return f"{placed + others:,} configured: {', '.join(parts)}"


def _groups(groups: tuple[Group, ...]) -> str:
    """Inputs or outputs in words."""
    shown = ", ".join(f"{group.name} ({_shape(group)})" for group in groups[:MOST_GROUPS])
    if len(groups) > MOST_GROUPS:
        shown += f" and {len(groups) - MOST_GROUPS:,} more"
    lines = sum(group.size for group in groups)
    return f"{counted(lines, 'line')}: {shown}" if groups else "none by name"


def _shape(group: Group) -> str:
    return " x ".join(f"{side:,}" for side in group.shape)


def _ticks(run: RunResult) -> str:
    """Which ticks ran."""
    dilation = run.chip.dilation
    clock = f" of the chip, {dilation} to one of the network" if dilation != 1 else ""
    which = f": {run.first_tick:,}..{run.first_tick + run.ticks - 1:,}" if run.ticks else ""
    return f"{counted(run.ticks, 'tick')}{clock}{which}"


def _numbers(run: RunResult, power: PowerReport | None, tick_hz: float | None) -> Iterator[str]:
    """What was counted; the figures that matter most first."""
    yield "<h2>In numbers</h2>"
    yield tiles(_tiles(run, power, tick_hz))
    fields = run.summary()
    rows = [
        ("input packets", f"{fields['input_packets']:,}"),
        ("active axons", f"{fields['active_axons']:,}, counted anew every tick"),
        ("merges", f"{fields['merges']:,} at axons, {fields['output_merges']:,} on output lines"),
    ]
    clock = "" if run.chip.dilation == 1 else f" {chips_clock(run.chip.dilation)}"
    yield table(rows, head=False) + note(MERGES + clock)


def _tiles(run: RunResult, power: PowerReport | None, tick_hz: float | None) -> Iterator[tuple[str, str, str]]:
    fields = run.summary()
    neurons = int((run.chip.population >= -1).sum())
    yield "spikes", f"{fields['spikes']:,}", "of all neurons, copies and relays too"
    yield "mean rate", rate_text(run.n_spikes, neurons * run.ticks, tick_hz), "of a neuron, copy or relay"
    yield "synaptic events", f"{fields['synaptic_events']:,}", ""
    yield "output spikes", f"{fields['output_spikes']:,}", ""
    if power is not None:
        yield "power", f"{significant(power.total_mw)} mW", f"{power.voltage:g} V, {power.tick_hz:,g} ticks a second"
    if run.seconds > 0:
        threads = counted(run.threads, "thread")
        pace = f", {times(run.ticks_per_second / tick_hz)} real time" if tick_hz else ""
        yield "emulated at", f"{run.ticks_per_second:,.0f} ticks/s", f"on {threads}{pace}"


def rate_text(spikes: int, neuron_ticks: int, tick_hz: float | None) -> str:
    """A mean rate: in Hz of chip time, or by tick where the chip has no tick rate."""
    per_tick = spikes / neuron_ticks if neuron_ticks else 0.0
    return f"{per_tick:.4g} per tick" if tick_hz is None else f"{significant(per_tick * tick_hz, 3)} Hz"


def _firing(run: RunResult, tick_hz: float | None) -> Iterator[str]:
    """The rates of the cores' neurons, where the cores lie."""
    yield "<h2>Firing by core</h2>"
    drawn = RateMap(Mesh.of(run), tick_hz)
    clock = f" at {tick_hz:,g} ticks of the chip a second" if tick_hz else ""
    text = f"Mean rate of the configured neurons of each {drawn.mesh.square}{clock}. {drawn.summary()}"
    yield figure(drawn.svg(), text)


def _populations(run: RunResult, power: PowerReport | None, tick_hz: float | None) -> Iterator[str]:
    """Populations in the order of the network: what they have, fired and took; nothing if the chip knows of none."""
    if not run.chip.populations:
        return
    unit = "per tick" if tick_hz is None else "Hz"
    head = ("population", "shape", "neurons on the chip", "spikes", f"mean rate, {unit}", "synaptic events")
    rows = list(_population_rows(run, power, tick_hz))
    left_out = len(rows) - MOST_GROUPS
    if left_out > 0:
        rows = rows[:MOST_GROUPS]
    if power is not None:
        rows += _rest_rows(power)
    yield f"<h2>Populations</h2>{table([(*head, *(() if power is None else ('mW',))), *rows])}"
    if left_out > 0:
        yield note(f"{counted(left_out, 'more row')} left out.")
    yield note("Copies fire with their neurons and count in neurons, spikes and rates.")


def _population_rows(run: RunResult, power: PowerReport | None, tick_hz: float | None) -> Iterator[tuple[str, ...]]:
    """A row a population, and one of the relays if there are any."""
    activity = run.activity()
    shapes = [*(_shape(group) for group in run.chip.populations), ""]
    columns = (activity.population_neurons, activity.population_spikes, activity.population_synaptic_events)
    counts = zip(*(column.tolist() for column in columns), strict=True)
    for row, (neurons, spikes, events) in enumerate(counts):
        if row < len(run.chip.populations) or neurons:
            rate = rate_text(spikes, neurons * run.ticks, tick_hz).split()[0]
            drawn = () if power is None else (significant(float(power.per_population.total_mw[row])),)
            name = activity.population_names[row]
            yield name, shapes[row], f"{neurons:,}", f"{spikes:,}", rate, f"{events:,}", *drawn


def _rest_rows(power: PowerReport) -> list[tuple[str, ...]]:
    """What no population draws, so that the column of power adds up: unused neurons of powered cores, and I/O."""
    unused = float(power.per_population.total_mw[-1])
    return [
        (name, "", "", "", "", "", significant(mw))
        for name, mw in (("unused neurons", unused), ("I/O", power.io_mw))
        if mw
    ]


def _power(run: RunResult, power: PowerReport | None) -> Iterator[str]:
    """Power by part, energy by event, and what the model stands on."""
    yield "<h2>Power and energy</h2>"
    if power is None:
        yield note(f"Not shown: the chip definition {run.chip.architecture.name!r} has no energy constants.")
        return
    yield figure(power_svg(power), f"{power.heading}.")
    yield table(list(_energies(power)), head=False)
    if chips := [(f"({x}, {y})", f"{cores:,}", significant(total)) for (x, y), cores, total in _chips(power)]:
        yield f"<h3>Chips, without I/O</h3>{table([('chip', 'powered cores', 'mW'), *chips])}"
    yield note(f"{power.accuracy_statement} Energies are total power by count, leakage included.")
    if power.sources:
        yield f'<ul class="sources">{"".join(f"<li>{escape(source)}</li>" for source in power.sources)}</ul>'


def _energies(power: PowerReport) -> Iterator[tuple[str, str]]:
    """What is powered at which supply, and what is derived from power; counts of zero left out."""
    yield "supply", f"{power.voltage:g} V"
    yield "ticks a second", f"{power.tick_hz:,g}"
    idle = f", {power.idle_cores:,} of which hold nothing" if power.idle_cores else ""
    yield "powered", f"{counted(power.powered_cores, 'core')}{idle}"
    for name, (value, unit) in power.energies().items():
        if value is not None:
            yield name, f"{significant(value)} {unit}"


def _chips(power: PowerReport) -> Iterator[tuple[tuple[int, int], int, float]]:
    """Position, powered cores and power of the chips of a board that have any."""
    for chip, cores, total in zip(power.chip, power.chip_powered_cores, power.per_chip.total_mw.tolist(), strict=True):
        if cores:
            yield chip, cores, total


def _footer(run: RunResult) -> str:
    """Which neurocore wrote the page."""
    from neurocore import __version__

    return note(
        f"Written by neurocore {__version__} from what the run recorded; no number is estimated but power and energy."
    )

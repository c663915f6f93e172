"""What a run did: output spikes, counters, final membranes, probes; and from them power and traffic.

A :class:`RunResult` carries the few facts of the chip that its reports need, so that a run file can be read without the
chip file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.board import BoardReport, Tiling, measure_board
from neurocore.config import OUTPUT, ChipConfig, Group
from neurocore.engine import Counters
from neurocore.errors import InputError, UsageError
from neurocore.power import Activity, PowerReport, estimate_power
from neurocore.spikes import Spikes
from neurocore.traffic import TrafficReport, measure_traffic
from neurocore.wording import counted, did_you_mean

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChipFacts:
    """What a run's reports need to know of the chip: n configured cores, N neurons each."""

    name: str
    digest: str
    network_digest: str
    architecture: Architecture
    latency: int
    dilation: int
    inputs: tuple[Group, ...]
    outputs: tuple[Group, ...]
    populations: tuple[Group, ...]
    core: Array
    target_core: Array
    target_axon: Array
    population: Array

    @staticmethod
    def of(chip: ChipConfig) -> ChipFacts:
        """The facts of a chip."""
        return ChipFacts(
            chip.name,
            chip.digest(),
            chip.network_digest,
            chip.architecture,
            chip.latency,
            chip.dilation,
            chip.inputs,
            chip.outputs,
            chip.populations,
            chip.cores.core,
            chip.cores.target_core,
            chip.cores.target_axon,
            np.where(chip.cores.configured, chip.cores.population, -2).astype(np.int32),
        )


@dataclass(frozen=True)
class CoreCounters:
    """Counts of a run per configured core, each [n] int64."""

    active_axons: Array
    synaptic_events: Array
    spikes: Array
    delivered: Array
    merges: Array
    input_packets: Array


@dataclass(frozen=True)
class ProbeRecord:
    """What a probe saw of a population, in chip ticks; neuron numbers are indices within the population.

    ``membranes`` is [ticks, neurons] int32, the values at the end of each tick; it has no columns if only spikes were asked.
    ``shift`` [neurons] says by how many ticks the chip runs each neuron later than the network does: a neuron's chip tick
    t * ``dilation`` + shift is the network's tick t.
    """

    spikes: Spikes
    membranes: Array
    shift: Array
    dilation: int = 1

    def in_network_time(self) -> ProbeRecord:
        """The same in the network's ticks; the last ticks, which not every neuron has reached, are left out of the membranes.

        On a chip with ``dilation`` the membranes are those of the chip's tick in which a neuron may fire.
        """
        tick = (self.spikes.tick - self._shift_of(self.spikes.line)) // self.dilation
        spikes = Spikes.from_lines(tick, self.spikes.line)
        kept = max(len(self.membranes) - int(self.shift.max(initial=0)), 0)
        columns, step = range(self.membranes.shape[1]), self.dilation
        moved = [
            self.membranes[int(self.shift[column]) : int(self.shift[column]) + kept : step, column]
            for column in columns
        ]
        membranes = np.stack(moved, axis=1) if moved else self.membranes[:kept:step]
        return ProbeRecord(spikes, membranes, np.zeros_like(self.shift))

    def _shift_of(self, neuron: Array) -> Array:
        return np.asarray(self.shift[neuron])


@dataclass(frozen=True, repr=False)
class RunResult:
    """The outcome of ticks ``first_tick`` .. ``first_tick + ticks - 1`` of a chip."""

    chip: ChipFacts
    ticks: int
    first_tick: int
    seed: int
    spikes: Spikes
    output_merges: int
    cores: CoreCounters
    neuron_spikes: Array
    population_events: Array
    membranes: Array
    probes: Mapping[str, ProbeRecord] = field(default_factory=dict)
    seconds: float = 0.0
    threads: int = 1

    def __repr__(self) -> str:
        last = self.first_tick + self.ticks - 1
        return (
            f"RunResult({self.chip.name!r}, ticks {self.first_tick}..{last}, {counted(self.n_spikes, 'spike')},"
            f" {len(self.spikes)} on output lines)"
        )

    @property
    def n_spikes(self) -> int:
        """Spikes fired by all neurons, relays and copies included."""
        return int(self.cores.spikes.sum())

    @property
    def ticks_per_second(self) -> float:
        """Speed of the emulation."""
        return self.ticks / self.seconds if self.seconds > 0 else 0.0

    def summary(self) -> dict[str, Any]:
        """The fields of ``run --json``."""
        return {
            "ticks": self.ticks,
            "seconds": round(self.seconds, 6),
            "ticks_per_second": round(self.ticks_per_second, 1),
            "spikes": self.n_spikes,
            "synaptic_events": int(self.cores.synaptic_events.sum()),
            "output_spikes": len(self.spikes),
            "merges": int(self.cores.merges.sum()),
            "output_merges": self.output_merges,
            "active_axons": int(self.cores.active_axons.sum()),
            "input_packets": int(self.cores.input_packets.sum()),
            "dilation": self.chip.dilation,
            "network_ticks": self.ticks // self.chip.dilation,
            "network_ticks_per_second": round(self.ticks_per_second / self.chip.dilation, 1),
        }

    def output(self, name: str) -> Array:
        """Spikes of a named output as booleans [ticks, *shape], row 0 being ``first_tick``."""
        for group in self.chip.outputs:
            if group.name == name:
                dense = np.zeros((self.ticks, group.size), bool)
                inside = (self.spikes.line >= group.start) & (self.spikes.line < group.start + group.size)
                dense[self.spikes.tick[inside] - self.first_tick, self.spikes.line[inside] - group.start] = True
                return dense.reshape(self.ticks, *group.shape)
        known = [group.name for group in self.chip.outputs]
        raise InputError(
            f"the chip has no output {name!r}; its outputs: {', '.join(known) or 'none'}{did_you_mean(name, known)}"
        )

    def traffic(self) -> TrafficReport:
        """Spike traffic over the mesh: hops, links, the hottest of them."""
        source, target, packets = self._packets()
        used = self.cores.input_packets > 0
        leaves = np.where(self.chip.target_core == OUTPUT, self.neuron_spikes, 0).sum(axis=1)
        tiling = self.tiling
        report = measure_traffic(
            source,
            target,
            packets,
            self.ticks,
            tiling.columns,
            tiling.rows,
            tiling.chip_columns,
            tiling.chip_rows,
            self.chip.core[used].astype(np.int64),
            self.cores.input_packets[used],
            self.chip.core[leaves > 0].astype(np.int64),
            leaves[leaves > 0],
        )
        report = replace(report, dilation=self.chip.dilation)
        if tiling.n_chips == 1:
            return report
        board = measure_board(
            tiling,
            self.ticks,
            report.links,
            report.io_links,
            core=self.chip.core[self.in_use],
            spikes=self.cores.spikes[self.in_use],
            synaptic_events=self.cores.synaptic_events[self.in_use],
            source_core=source,
            target_core=target,
            packets=packets,
        )
        return replace(report, board=board)

    @property
    def tiling(self) -> Tiling:
        """How the chip's cores lie on chips."""
        arch = self.chip.architecture
        return Tiling(arch.columns, arch.rows, arch.mesh.columns, arch.mesh.rows)

    @property
    def in_use(self) -> Array:
        """Which rows [n] hold a configured neuron."""
        return np.asarray((self.chip.population >= -1).any(axis=1))

    def _packets(self) -> tuple[Array, Array, Array]:
        """Core-to-core packets summed by (source core, target core)."""
        row, neuron = np.nonzero((self.chip.target_core >= 0) & (self.neuron_spikes > 0))
        n_cores = self.chip.architecture.n_cores
        key = self.chip.core[row].astype(np.int64) * n_cores + self.chip.target_core[row, neuron]
        pairs, inverse = np.unique(key, return_inverse=True)
        packets = np.bincount(inverse, self.neuron_spikes[row, neuron], minlength=len(pairs)).astype(np.int64)
        return pairs // n_cores, pairs % n_cores, packets

    def _neuron_hops(self) -> Array:
        """Hops [n, N] that the packets of each neuron took."""
        columns = self.chip.architecture.columns
        core = self.chip.core[:, None]
        dx = np.abs(self.chip.target_core % columns - core % columns)
        dy = np.abs(self.chip.target_core // columns - core // columns)
        return np.where(self.chip.target_core >= 0, (dx + dy) * self.neuron_spikes, 0)

    def activity(self, inferences: int | None = None) -> Activity:
        """The counts that the power model takes."""
        arch, traffic, hops = self.chip.architecture, self.traffic(), self._neuron_hops()
        n_populations = len(self.chip.populations)
        member = self.chip.population >= -1
        group = np.where(self.chip.population < 0, n_populations, self.chip.population)[member]

        def by_population(values: Array | None) -> Array:
            weights = None if values is None else values[member]
            return np.bincount(group, weights, minlength=n_populations + 1).astype(np.int64)

        return Activity(
            ticks=self.ticks,
            powered_cores_used=int(self.in_use.sum()),
            powered_cores_chip=arch.n_cores,
            neurons_per_core=arch.core.neurons,
            synaptic_events=int(self.cores.synaptic_events.sum()),
            spikes=self.n_spikes,
            hops=traffic.hops,
            io_packets=traffic.io_packets,
            io_hops=traffic.io_hops,
            chip_crossings=traffic.chip_crossings,
            core=self.chip.core,
            core_synaptic_events=self.cores.synaptic_events,
            core_spikes=self.cores.spikes,
            core_hops=hops.sum(axis=1),
            population_names=(*(item.name for item in self.chip.populations), "(relays)"),
            population_neurons=by_population(None),
            population_spikes=by_population(self.neuron_spikes),
            population_synaptic_events=self.population_events,
            population_hops=by_population(hops),
            **self._chip_activity(traffic.board, hops.sum(axis=1)),
            inferences=inferences,
            dilation=self.chip.dilation,
        )

    def _chip_activity(self, board: BoardReport | None, core_hops: Array) -> dict[str, Any]:
        """The fields of an activity that are by chip; none for a single chip."""
        if board is None:
            return {}
        mesh = self.chip.architecture.mesh
        counts = ("cores", "synaptic_events", "spikes", "crossings_out")
        cores, events, spikes, out = (
            np.array([getattr(chip, name) for chip in board.chips], np.int64) for name in counts
        )
        return {
            "chip": tuple(chip.position for chip in board.chips),
            "cores_per_chip": mesh.columns * mesh.rows,
            "chip_cores_used": cores,
            "chip_synaptic_events": events,
            "chip_spikes": spikes,
            "chip_hops": self.tiling.total(self.chip.core, core_hops),
            "chip_crossings_out": out,
        }

    def power(
        self,
        voltage: float | None = None,
        tick_hz: float | None = None,
        powered: str = "used",
        inferences: int | None = None,
    ) -> PowerReport:
        """Power and energy by the chip's energy model.

        ``voltage`` in V and ``tick_hz`` in Hz default to the chip definition's; ``powered`` is ``used`` (cores that hold a
        configured neuron) or ``chip`` (all cores). Raises InputError for a chip definition without energy constants.
        """
        energy = self.chip.architecture.energy
        if energy is None:
            raise InputError(f"the chip definition {self.chip.architecture.name!r} has no energy constants")
        activity = self.activity(inferences)
        return estimate_power(energy.model(), activity, voltage=voltage, tick_hz=tick_hz, powered=powered)

    def report(
        self,
        path: str,
        voltage: float | None = None,
        tick_hz: float | None = None,
        powered: str = "used",
        inferences: int | None = None,
    ) -> str:
        """Write all that the run shows as one HTML page, and return ``path``.

        The other arguments are those of :meth:`power`. A chip definition without energy constants leaves power out, unless
        one of them is given. Raises UsageError for a name that does not end as those of pages do, and OutputError if the page
        cannot be written, before anything is computed.
        """
        from neurocore import container
        from neurocore.runpage import ENDINGS, run_page

        if not str(path).lower().endswith(ENDINGS):
            raise UsageError(f"{str(path)!r}: the name of a report ends in {' or '.join(ENDINGS)}")
        container.check_writable(path)
        container.write_text(path, run_page(self, power_of(self, voltage, tick_hz, powered, inferences)))
        return path

    def save(self, path: str) -> None:
        """Write the run file (HDF5, atomic). Raises OutputError if it cannot be written."""
        from neurocore.runfile import save_run

        save_run(self, path)


def power_of(
    run: RunResult, voltage: float | None, tick_hz: float | None, powered: str, inferences: int | None
) -> PowerReport | None:
    """The power of a run for a report; None if its chip definition has no energy constants and nothing was asked of them.

    Raises InputError if something was, and UsageError for arguments out of range.
    """
    asked = (voltage, tick_hz, powered, inferences) != (None, None, "used", None)
    if run.chip.architecture.energy is None and not asked:
        return None
    return run.power(voltage, tick_hz, powered, inferences)


def join_runs(first: RunResult, second: RunResult) -> RunResult:
    """One run out of two of which the second follows the first: what a single run over both would have given."""
    assert second.first_tick == first.first_tick + first.ticks
    assert (second.chip.digest, second.seed) == (first.chip.digest, first.seed)
    counters = (getattr(first.cores, item.name) + getattr(second.cores, item.name) for item in fields(CoreCounters))
    return replace(
        second,
        ticks=first.ticks + second.ticks,
        first_tick=first.first_tick,
        spikes=_join_spikes(first.spikes, second.spikes),
        output_merges=first.output_merges + second.output_merges,
        cores=CoreCounters(*counters),
        neuron_spikes=first.neuron_spikes + second.neuron_spikes,
        population_events=first.population_events + second.population_events,
        probes={name: _join_probes(first.probes[name], probe) for name, probe in second.probes.items()},
        seconds=first.seconds + second.seconds,
    )


def _join_spikes(first: Spikes, second: Spikes) -> Spikes:
    return Spikes.from_lines(np.concatenate([first.tick, second.tick]), np.concatenate([first.line, second.line]))


def _join_probes(first: ProbeRecord, second: ProbeRecord) -> ProbeRecord:
    membranes = np.concatenate([first.membranes, second.membranes])
    return replace(second, spikes=_join_spikes(first.spikes, second.spikes), membranes=membranes)


class CoreCounts:
    """Turns an engine's counters into counts per core; holds how many synapses each axon has."""

    def __init__(self, chip: ChipConfig) -> None:
        self.fan_out = np.bitwise_count(chip.cores.crossbar).sum(axis=2, dtype=np.int64)

    def count(self, counters: Counters, input_packets: Array) -> CoreCounters:
        """Counts per core that follow from axon and neuron spike counts."""
        active = counters.axon_spikes.sum(axis=1)
        return CoreCounters(
            active_axons=active,
            synaptic_events=np.einsum("ra,ra->r", counters.axon_spikes, self.fan_out),
            spikes=counters.neuron_spikes.sum(axis=1),
            delivered=counters.due,
            merges=counters.due - active,
            input_packets=input_packets,
        )


class PopulationFan:
    """Synapses of every axon by population of the neuron that they reach, to attribute synaptic events."""

    def __init__(self, chip: ChipConfig) -> None:
        cores, n = chip.cores, len(chip.populations)
        group = np.where(cores.configured, np.where(cores.population < 0, n, cores.population), n + 1)
        rows, groups, fans = [], [], []
        padding = ((0, -chip.architecture.core.neurons % 64),)
        for row in range(len(cores)):
            for item in np.unique(group[row][group[row] <= n]):
                mask = np.packbits(np.pad(group[row] == item, padding), bitorder="little").view("<u8")
                rows.append(row)
                groups.append(item)
                fans.append(np.bitwise_count(cores.crossbar[row] & mask).sum(axis=1, dtype=np.int32))
        self.n_groups = n + 1
        self.row, self.group = np.array(rows, np.int64), np.array(groups, np.int64)
        self.fan = np.array(fans, np.int32).reshape(len(rows), chip.architecture.core.axons)

    def count(self, counters: Counters) -> Array:
        """Synaptic events [n_populations + 1]; the last entry is that of relays."""
        events = np.einsum("ra,ra->r", counters.axon_spikes[self.row], self.fan, dtype=np.int64)
        total = np.zeros(self.n_groups, np.int64)
        np.add.at(total, self.group, events)
        return total

"""What a compilation came to, by population and by core: the tables of ``compile --report`` and the fields of ``--json``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.place import CoreTraffic, Placement
from neurocore.compiler.quantise import QuantisationReport
from neurocore.compiler.route import Routing
from neurocore.config import ChipConfig
from neurocore.traffic import LinkLoads, link_loads

if TYPE_CHECKING:
    from neurocore.compiler.pipeline import CompileReport

Array = npt.NDArray[Any]

SCHEMA_VERSION = 1
RATE_UNIT = 1 << 20
"""Expected packets per tick are added up as whole numbers of this fraction."""
FULL = 0.95
"""From this fill on a core counts as limited by what is filled."""


@dataclass(frozen=True)
class PopulationUse:
    """What a population takes; ``codes`` counts its cores by weight code, ``shift`` is its start in ticks: first and last."""

    name: str
    neurons: int
    synapses: int
    cores: int
    copies: int
    relays: int
    axons: int
    axons_per_signal: float
    codes: dict[str, int]
    shift: tuple[int, int]
    loss: float | None


@dataclass(frozen=True)
class CoreUse:
    """Fill of a core: neurons by what they are, axons, and the resource that is full, if one is."""

    x: int
    y: int
    neurons: int
    copies: int
    relays: int
    axons: int
    populations: tuple[str, ...]
    limit: str


@dataclass(frozen=True)
class MeshUse:
    """Expected traffic per tick on the mesh, from the network's ``spike_rates``; the link by the core it leaves."""

    mean_hops: float
    busiest_link_packets_per_tick: float
    busiest_link: str
    chip_crossings_per_tick: float


@dataclass(frozen=True)
class ChipUse:
    """Everything together."""

    populations: tuple[PopulationUse, ...]
    cores: tuple[CoreUse, ...]
    limits: dict[str, int]
    mesh: MeshUse

    def as_dict(self) -> dict[str, Any]:
        """For ``compile --json`` and ``--report FILE.json``."""
        return asdict(self)


def chip_use(
    chip: ChipConfig,
    network: IntegerNetwork,
    routing: Routing,
    placement: Placement,
    traffic: CoreTraffic,
    losses: QuantisationReport | None,
) -> ChipUse:
    """Count what a compiled chip uses; ``placement`` and ``traffic`` are those of the routed cores."""
    counts = _Counts(chip)
    cores = tuple(counts.core(row) for row in range(len(chip.cores)))
    populations = _populations(counts, network, routing, losses)
    limits = Counter(core.limit for core in cores)
    return ChipUse(populations, cores, dict(sorted(limits.items())), _mesh(chip, placement, traffic))


class _Counts:
    """Images, copies and relays of a chip, relays by the population whose spikes they carry."""

    def __init__(self, chip: ChipConfig) -> None:
        self.chip, cores = chip, chip.cores
        self.rows = chip.row_of()
        self.image = cores.configured & (cores.population >= 0)
        self.relay = cores.configured & (cores.population < 0)
        row, slot = np.nonzero(self.image)
        offsets = np.cumsum([0, *(group.size for group in chip.populations)])
        neuron = offsets[cores.population[row, slot]] + cores.index[row, slot]
        first = np.zeros(len(row), bool)
        first[np.unique(neuron, return_index=True)[1]] = True
        self.copy = np.zeros(self.image.shape, bool)
        self.copy[row[~first], slot[~first]] = True
        self.used = np.zeros((len(cores), chip.architecture.core.axons), bool)
        self.relay_row, self.relay_slot = np.nonzero(self.relay)
        self.relay_axon = np.zeros(len(self.relay_row), np.int64)
        self._look_at_crossbars()
        self.carried = self._carried()

    def _look_at_crossbars(self) -> None:
        """Axons in use, and the one of every relay; a core at a time, as all crossbars unpacked would be large."""
        bounds = np.searchsorted(self.relay_row, np.arange(len(self.used) + 1))
        for row in range(len(self.used)):
            bits = self.chip.crossbar_bits(row)
            self.used[row] = bits.any(axis=1)
            mine = slice(int(bounds[row]), int(bounds[row + 1]))
            self.relay_axon[mine] = bits[:, self.relay_slot[mine]].argmax(axis=0)

    def _carried(self) -> Array:
        """Population [relays] whose spikes each relay carries: that of whatever drives its axon, relay after relay."""
        cores = self.chip.cores
        owner = np.full(self.used.shape, -1)
        sending = (cores.target_core >= 0) & cores.configured
        row, slot = np.nonzero(sending & self.image)
        owner[self.rows[cores.target_core[row, slot]], cores.target_axon[row, slot]] = cores.population[row, slot]
        carried = owner[self.relay_row, self.relay_axon]
        on = sending[self.relay_row, self.relay_slot]
        to = cores.target_core[self.relay_row, self.relay_slot], cores.target_axon[self.relay_row, self.relay_slot]
        while True:
            known = on & (carried >= 0)
            owner[self.rows[to[0][known]], to[1][known]] = carried[known]
            after = owner[self.relay_row, self.relay_axon]
            if (after == carried).all():
                return np.asarray(carried)
            carried = after

    def core(self, row: int) -> CoreUse:
        """Fill of one core."""
        arch, cores = self.chip.architecture, self.chip.cores
        x, y = arch.core_xy(int(cores.core[row]))
        copies, relays = int(self.copy[row].sum()), int(self.relay[row].sum())
        neurons, axons = int(self.image[row].sum()) - copies, int(self.used[row].sum())
        names = tuple(
            self.chip.populations[number].name for number in np.unique(cores.population[row][self.image[row]])
        )
        limit = "none"
        if axons >= FULL * arch.core.axons:
            limit = "axons"
        if neurons + copies + relays >= FULL * arch.core.neurons:
            limit = "neurons" if limit == "none" else "axons and neurons"
        return CoreUse(x, y, neurons, copies, relays, axons, names, limit)


@dataclass
class _Coded:
    """How a population is encoded: its cores by code, axons and signals that its neurons read."""

    codes: Counter[str]
    axons: int = 0
    signals: int = 0


def _coded(network: IntegerNetwork, routing: Routing) -> list[_Coded]:
    """The encoding of every population, core by core."""
    result = [_Coded(Counter()) for _ in network.populations]
    population = network.population_of()
    for core in routing.cores:
        number = population[core.members]
        for mine in np.unique(number).tolist():
            read = core.encoding.crossbar[:, number == mine].any(axis=1)
            result[mine].codes[core.encoding.code] += 1
            result[mine].axons += int(read.sum())
            result[mine].signals += len(np.unique(core.encoding.signal[read]))
    return result


def _populations(
    counts: _Counts, network: IntegerNetwork, routing: Routing, losses: QuantisationReport | None
) -> tuple[PopulationUse, ...]:
    cores, offsets, n = counts.chip.cores, network.offsets(), len(network.populations)
    row, slot = np.nonzero(counts.image)
    copies = np.bincount(cores.population[counts.copy], minlength=n)
    houses = np.bincount(np.unique(cores.population[row, slot] + n * row) % n, minlength=n)
    relays = np.bincount(counts.carried[counts.carried >= 0], minlength=n)
    loss = {} if losses is None else {item.name: item.weight_error for item in losses.populations}
    result = []
    for number, coded in enumerate(_coded(network, routing)):
        group, part = network.populations[number], slice(int(offsets[number]), int(offsets[number + 1]))
        shift = counts.chip.timing[part]
        use = PopulationUse(
            group.name,
            group.size,
            int(network.start[part.stop] - network.start[part.start]),
            int(houses[number]),
            int(copies[number]),
            int(relays[number]),
            coded.axons,
            round(coded.axons / max(1, coded.signals), 3),
            dict(sorted(coded.codes.items())),
            (int(shift.min()), int(shift.max())),
            loss.get(group.name),
        )
        result.append(use)
    return tuple(result)


def _mesh(chip: ChipConfig, placement: Placement, traffic: CoreTraffic) -> MeshUse:
    arch = chip.architecture
    place = placement.core_ids(arch.columns)
    packets = np.round(traffic.spikes_per_tick * RATE_UNIT).astype(np.int64)
    loads = link_loads(place[traffic.source], place[traffic.target], packets, arch.columns, arch.rows)
    crossings = loads.crossings(arch.mesh.columns, arch.mesh.rows) / RATE_UNIT
    busiest, name = _busiest(loads)
    return MeshUse(placement.mean_hops, busiest, name, crossings)


def _busiest(loads: LinkLoads) -> tuple[float, str]:
    stack = np.stack(loads)
    at = np.unravel_index(int(stack.argmax()), stack.shape)
    side = LinkLoads._fields[at[0]]
    return float(stack[at]) / RATE_UNIT, f"({int(at[2])}, {int(at[1])}) to the {side}"


# ---------------------------------------------------------------- text


def report_text(report: CompileReport, as_json: bool) -> str:
    """The content of ``compile --report FILE``: JSON, or tables followed by the text form of every stage."""
    assert report.use is not None, "a chip was compiled"
    if as_json:
        use = report.use.as_dict()
        return (
            json.dumps({"schema_version": SCHEMA_VERSION, **report.as_dict(), "core_list": use["cores"]}, indent=2)
            + "\n"
        )
    parts = [_overview(report, report.use), _population_table(report.use), _core_table(report.use)]
    if report.quantisation is not None:
        parts.append(str(report.quantisation))
    parts += [str(report.effect)] if report.effect is not None else []
    parts += [f"declared: {text}" for text in report.declared]
    parts += [dump() for dump in report.dumps.values()]
    return "\n\n".join(parts) + "\n"


def _overview(report: CompileReport, use: ChipUse) -> str:
    total = sum(report.seconds.values())
    limits = ", ".join(f"{name} {count:,}" for name, count in use.limits.items())
    rows = [
        ("cores", f"{report.cores:,} (at least {report.least_cores:,} for the neurons alone)"),
        ("cores by what is full", limits),
        ("latency", f"{report.latency} ticks"),
        *([("dilation", f"{report.dilation} ticks to one of the network")] if report.dilation != 1 else []),
        ("mean hops", f"{use.mesh.mean_hops:.2f}"),
        (
            "busiest link",
            f"{use.mesh.busiest_link}, {use.mesh.busiest_link_packets_per_tick:.3f} packets a tick expected",
        ),
        ("chip crossings", f"{use.mesh.chip_crossings_per_tick:.3f} packets a tick expected"),
        ("time", f"{total:.2f} s: " + ", ".join(f"{name} {value:.2f} s" for name, value in report.seconds.items())),
    ]
    return "compilation\n" + _aligned([(f"  {name}", value) for name, value in rows])


def _population_table(use: ChipUse) -> str:
    head = (
        "population",
        "neurons",
        "synapses",
        "cores",
        "copies",
        "relays",
        "axons",
        "axons/signal",
        "codes",
        "shift",
        "loss",
    )
    rows: list[tuple[str, ...]] = [head]
    for item in use.populations:
        codes = ", ".join(f"{name} x{count}" for name, count in item.codes.items())
        shift = str(item.shift[0]) if item.shift[0] == item.shift[1] else f"{item.shift[0]}..{item.shift[1]}"
        loss = "exact" if item.loss is None else f"{item.loss:.2%}"
        numbers = (item.neurons, item.synapses, item.cores, item.copies, item.relays, item.axons)
        rows.append((item.name, *(f"{n:,}" for n in numbers), f"{item.axons_per_signal:.2f}", codes, shift, loss))
    return "populations\n" + _aligned(
        [tuple(f"  {row[0]}" if k == 0 else cell for k, cell in enumerate(row)) for row in rows]
    )


def _core_table(use: ChipUse) -> str:
    rows: list[tuple[str, ...]] = [("  core", "neurons", "copies", "relays", "axons", "full", "populations")]
    for item in use.cores:
        numbers = (item.neurons, item.copies, item.relays, item.axons)
        rows.append((f"  ({item.x}, {item.y})", *map(str, numbers), item.limit, ", ".join(item.populations)))
    return "cores\n" + _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

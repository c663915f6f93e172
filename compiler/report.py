"""What a compilation came to, by population and by core: what ``compile --report`` shows and ``--json`` holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.place import CoreTraffic, Placement
from neurocore.compiler.quantisation import QuantisationReport
from neurocore.compiler.routing import Routing
from neurocore.config import ChipConfig
from neurocore.traffic import STEPS, LinkLoads, link_loads, link_name

Array = npt.NDArray[Any]

RATE_UNIT = 1 << 20
"""Expected packets per tick are added up as whole numbers of this fraction."""
FULL = 0.95
"""From this fill on a core counts as limited by what is filled."""


@dataclass(frozen=True)
class PopulationUse:
    """What a population takes.

    ``codes`` counts its cores by weight code; ``shift`` is how many ticks late its neurons run on the chip: the first and the
    last; ``neuron_fill`` and ``axon_fill`` are how full its cores are on average (0..1), ``limit`` is what most of
    them are full of.
    """

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
    neuron_fill: float
    axon_fill: float
    limit: str


@dataclass(frozen=True)
class CoreUse:
    """Fill of a core: neurons by what they are, axons, and the resource that is full, if one is.

    ``relays_of`` are the populations whose spikes its relays carry.
    """

    x: int
    y: int
    neurons: int
    copies: int
    relays: int
    axons: int
    populations: tuple[str, ...]
    limit: str
    relays_of: tuple[str, ...]


@dataclass(frozen=True)
class MeshUse:
    """Expected traffic per tick on the mesh, from the network's ``spike_rates``; ``busiest_link`` is empty if none is used.

    ``hops_of_half`` and ``hops_of_nine_tenths`` of the packets are not exceeded, ``most_hops`` by none.
    """

    mean_hops: float
    hops_of_half: int
    hops_of_nine_tenths: int
    most_hops: int
    busiest_link_packets_per_tick: float
    busiest_link: str
    chip_crossings_per_tick: float


@dataclass(frozen=True)
class ChipUse:
    """Everything together; ``network`` and ``chip`` are names, ``n_cores`` the cores that the chip has."""

    network: str
    chip: str
    n_cores: int
    populations: tuple[PopulationUse, ...]
    cores: tuple[CoreUse, ...]
    limits: dict[str, int]
    mesh: MeshUse

    @property
    def relay_cores(self) -> int:
        """Cores that hold relays alone."""
        return sum(not core.populations and core.relays > 0 for core in self.cores)

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
    populations = _populations(counts, cores, network, routing, losses)
    limits = Counter(core.limit for core in cores)
    known = network.name, chip.architecture.name, chip.architecture.n_cores
    return ChipUse(*known, populations, cores, dict(sorted(limits.items())), _mesh(chip, placement, traffic))


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
        self.relay_start = np.searchsorted(self.relay_row, np.arange(len(cores) + 1))

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
        names = self.names(cores.population[row][self.image[row]])
        carried = self.carried[self.relay_start[row] : self.relay_start[row + 1]]
        limit = "none"
        if axons >= FULL * arch.core.axons:
            limit = "axons"
        if neurons + copies + relays >= FULL * arch.core.neurons:
            limit = "neurons" if limit == "none" else "axons and neurons"
        return CoreUse(x, y, neurons, copies, relays, axons, names, limit, self.names(carried[carried >= 0]))

    def names(self, populations: Array) -> tuple[str, ...]:
        """Names of the different populations among some numbers."""
        return tuple(self.chip.populations[number].name for number in np.unique(populations))


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
    counts: _Counts,
    cores_used: tuple[CoreUse, ...],
    network: IntegerNetwork,
    routing: Routing,
    losses: QuantisationReport | None,
) -> tuple[PopulationUse, ...]:
    cores, offsets, n = counts.chip.cores, network.offsets(), len(network.populations)
    row, slot = np.nonzero(counts.image)
    copies = np.bincount(cores.population[counts.copy], minlength=n)
    houses = np.bincount(np.unique(cores.population[row, slot] + n * row) % n, minlength=n)
    relays = np.bincount(counts.carried[counts.carried >= 0], minlength=n)
    loss = {} if losses is None else {item.name: item.weight_error for item in losses.populations}
    houses_of: dict[str, list[CoreUse]] = {group.name: [] for group in network.populations}
    for core in cores_used:
        for name in core.populations:
            houses_of[name].append(core)
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
            *_fill(houses_of[group.name], counts.chip),
        )
        result.append(use)
    return tuple(result)


def _fill(cores: list[CoreUse], chip: ChipConfig) -> tuple[float, float, str]:
    """How full some cores are on average, neurons and axons, and what most of them are full of."""
    size, n = chip.architecture.core, max(len(cores), 1)
    neurons = sum(core.neurons + core.copies + core.relays for core in cores) / (n * size.neurons)
    axons = sum(core.axons for core in cores) / (n * size.axons)
    limits = Counter(core.limit for core in cores)
    return round(neurons, 4), round(axons, 4), min(limits, key=lambda name: (-limits[name], name), default="none")


def _mesh(chip: ChipConfig, placement: Placement, traffic: CoreTraffic) -> MeshUse:
    arch = chip.architecture
    place = placement.core_ids(arch.columns)
    packets = np.round(traffic.spikes_per_tick * RATE_UNIT).astype(np.int64)
    loads = link_loads(place[traffic.source], place[traffic.target], packets, arch.columns, arch.rows)
    crossings = loads.crossings(arch.mesh.columns, arch.mesh.rows) / RATE_UNIT
    busiest, name = _busiest(loads)
    half, nine_tenths, most = (_hops_of(share, placement, traffic) for share in (0.5, 0.9, 1.0))
    return MeshUse(placement.mean_hops, half, nine_tenths, most, busiest, name, crossings)


def _hops_of(share: float, placement: Placement, traffic: CoreTraffic) -> int:
    """Hops that a share of the expected packets does not exceed."""
    x, y, source, target = placement.x, placement.y, traffic.source, traffic.target
    hops = np.abs(x[source] - x[target]) + np.abs(y[source] - y[target])
    moving = traffic.spikes_per_tick > 0
    total = np.cumsum(np.bincount(hops[moving], traffic.spikes_per_tick[moving], minlength=1))
    # The sum at the largest hop is the whole, whatever its rounding.
    return int(np.searchsorted(total[:-1], share * total[-1] * (1 - 1e-12)))


def _busiest(loads: LinkLoads) -> tuple[float, str]:
    """Load and name of the link that most packets are expected to cross; no name if none is."""
    stack = np.stack(loads)
    side, y, x = map(int, np.unravel_index(int(stack.argmax()), stack.shape))
    load, (dx, dy) = float(stack[side, y, x]) / RATE_UNIT, STEPS[side]
    return load, link_name({"from": (x, y), "to": (x + dx, y + dy)}) if load else ""

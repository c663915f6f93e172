"""Third stage: how every spike gets where it must, and when.

A neuron of the chip has one target. A neuron of the network that must reach several axons is *copied* within its core (copies
compute the same) or sends to a *relay row*: one axon and some neurons that fire whenever it is active, one tick later at the
earliest. Relays cost time, so neurons are *retimed*: neuron v runs tau(v) ticks late on the chip, inputs and clocks on time,
outputs all T ticks late. The shifts satisfy difference constraints, solved by Bellman-Ford over blocks (the neurons of one
population in one core); the latest neuron of a shared axon would otherwise need one of its own.

Retiming as in Leiserson and Saxe (1991); facts and pitfalls in the project's notes on mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.encode import CoreSynapses, Encoding, encode
from neurocore.compiler.partition import Cutter, Partition
from neurocore.compiler.relays import Delivery, Planner, Row, house, shown
from neurocore.compiler.start import shifted_start
from neurocore.errors import FitError

Array = npt.NDArray[Any]

MAX_ROUNDS = 64


class CoreOverflowError(Exception):
    """Readers of one signal run at different times and their core has no axons left for that."""

    def __init__(self, core: int) -> None:
        super().__init__(core)
        self.core = core


class TightCycleError(Exception):
    """A cycle of the network has less delay than its relays need; ``blocks`` are the blocks on it, in order."""

    def __init__(self, blocks: list[int], missing: int) -> None:
        super().__init__(blocks)
        self.blocks, self.missing = blocks, missing


@dataclass(frozen=True)
class Blocks:
    """The neurons of one population in one core form a block: they share a start shift."""

    of_neuron: Array
    core: Array
    population: Array

    def __len__(self) -> int:
        return len(self.core)


@dataclass(frozen=True)
class CoreAxons:
    """The axons of one core: source and arrival (ticks from the source's time 0 to its activity) of each, and the code."""

    members: Array
    source: Array
    arrival: Array
    encoding: Encoding


@dataclass(frozen=True)
class Routing:
    """Where everything is and goes, before placement.

    ``shift`` [N] is tau; ``latency`` T; ``start`` [N] the membrane before the chip's tick 0; ``exits[u]`` lists the targets of
    neuron u (one per copy) as (Delivery or Row, delay); ``n_cores`` counts cores of relays as well.
    """

    cores: tuple[CoreAxons, ...]
    shift: Array
    start: Array
    latency: int
    exits: dict[int, list[tuple[Delivery | Row, int]]]
    rows: tuple[Row, ...]
    n_cores: int
    n_copies: int

    @property
    def n_relays(self) -> int:
        """Relay neurons."""
        return sum(len(row.targets) for row in self.rows)

    def dump(self, network: IntegerNetwork) -> str:
        """Shifts by population, then every neuron that needs more than a direct target."""
        population = network.population_of()
        lines = [
            f"routing: {self.n_cores} cores, latency {self.latency}, {self.n_copies} copies, {self.n_relays} relays"
        ]
        for number, group in enumerate(network.populations):
            shifts = np.unique(self.shift[population == number])
            lines.append(f"  {group.name}: shift {', '.join(map(str, shifts))}")
        for core, axons in enumerate(self.cores):
            lines.append(f"  core {core}: {axons.encoding.n_axons} axons, {len(axons.members)} neurons")
        for neuron, exits in sorted(self.exits.items()):
            if len(exits) > 1 or (exits and isinstance(exits[0][0], Row)):
                lines.append(
                    f"  {network.label(neuron)} -> {', '.join(shown(target, delay) for target, delay in exits)}"
                )
        for row in self.rows:
            targets = ", ".join(shown(target, delay) for target, delay in row.targets)
            lines.append(f"  relay core {row.core} axon {row.axon} <- {network.label(row.source)}: {targets}")
        return "\n".join(lines)


def find_blocks(network: IntegerNetwork, partition: Partition) -> Blocks:
    """Blocks in the order of (core, population)."""
    core = partition.core_of(network.n_neurons)
    population = network.population_of()
    n = len(network.populations)
    keys, of_neuron = np.unique(core * n + population, return_inverse=True)
    return Blocks(of_neuron, keys // n, keys % n)


def route(network: IntegerNetwork, arch: Architecture, partition: Partition, urgent: frozenset[int]) -> Routing:
    """Axons, shifts, copies and relays of a partitioned network.

    ``urgent`` are populations for whose neurons relay rows would be too slow: they get copies first, and those that cannot be
    copied reach their nearest axon directly and tap it for the rest. Raises CoreOverflowError or TightCycleError where another
    partition may help, and FitError where none will.
    """
    blocks = find_blocks(network, partition)
    router = _Router(network, arch, partition, blocks, urgent)
    return router.solve()


class _Router:
    """Iterates shifts and the fan-out that depends on them to a fixed point."""

    def __init__(
        self, network: IntegerNetwork, arch: Architecture, partition: Partition, blocks: Blocks, urgent: frozenset[int]
    ) -> None:
        self.network, self.arch, self.partition, self.blocks = network, arch, partition, blocks
        self.cutter = Cutter(network, arch)
        self.urgent = np.isin(network.population_of(), list(urgent))
        self.core_of = partition.core_of(network.n_neurons)
        self.fixed = random_neurons(network)
        self.depth = np.zeros(network.n_neurons, np.int64)
        self.encoded: dict[tuple[int, bytes], CoreAxons] = {}
        self.lead_edge: dict[int, int] = {}
        self.untappable: set[int] = set()

    def solve(self) -> Routing:
        """The routing. Relay depths only ever grow, so the iteration ends."""
        shift = np.zeros(len(self.blocks), np.int64)
        for _ in range(MAX_ROUNDS):
            late = shift[self.blocks.of_neuron]
            cores = tuple(self.core_axons(core, late) for core in range(self.partition.n_cores))
            latency = self.latency(late)
            reach = _Reach(self, cores, late, latency)
            copied = self.allot_copies(reach)
            leads = self.choose_leads(reach, copied, late)
            self.depth = np.maximum(self.depth, np.where(copied | (reach.exits <= 1), 0, self.levels(reach.count)))
            copied &= self.depth == 0
            again = self.shifts()
            if (again == shift).all() and latency == self.latency(late):
                return self.finish(cores, late, latency, reach, copied, leads)
            shift = again
        raise AssertionError("relay depths are bounded")

    def core_axons(self, core: int, late: Array) -> CoreAxons:
        """The axons of a core when its neurons run ``late`` [N] ticks late."""
        members = self.partition.members[core]
        key = (core, late[members].tobytes())
        if key not in self.encoded:
            self.encoded[key] = self.encode_core(core, members, late)
        return self.encoded[key]

    def encode_core(self, core: int, members: Array, late: Array) -> CoreAxons:
        synapse, place = self.cutter.synapses_of(members)
        net = self.network
        arrival = net.delay[synapse] + late[members[place]]
        span = int(arrival.max(initial=0)) + 1
        signals, signal = np.unique(net.source[synapse] * span + arrival, return_inverse=True)
        encoding = None
        if len(signals) <= self.arch.core.axons:
            weight, chance = net.weight[synapse], net.stochastic[synapse]
            values = None if net.values is None or not net.values[members].any() else net.values[members]
            encoding = encode(
                CoreSynapses(signal, place, weight, chance, len(signals), len(members), values), self.arch
            )
        if encoding is None or encoding.n_axons > self.arch.core.axons:
            raise CoreOverflowError(core)
        return CoreAxons(members, signals[encoding.signal] // span, signals[encoding.signal] % span, encoding)

    def choose_leads(self, reach: _Reach, copied: Array, late: Array) -> dict[int, Delivery]:
        """For urgent neurons that need relays: the delivery that is made directly and whose axon the relays tap.

        It is the nearest one that is the only axon of its signal in a core with neurons to spare; once chosen, its edge stays
        chosen, or the neuron is never tapped again.
        """
        free = np.array([self.arch.core.neurons - len(members) for members in self.partition.members])
        np.subtract.at(free, self.core_of[copied], reach.exits[copied] - 1)
        leads: dict[int, Delivery] = {}
        wanted = self.urgent & ~copied & (reach.exits > 1) & (reach.count <= self.arch.core.neurons)
        if not wanted.any():
            return leads
        for neuron, items in reach.deliveries():
            if not wanted[neuron] or neuron in self.untappable:
                continue
            lead = self.find_lead(neuron, items, late)
            if lead is None or free[lead.core] < len(items) - 1:
                self.untappable.add(neuron)
                self.lead_edge.pop(neuron, None)
                continue
            free[lead.core] -= len(items) - 1
            leads[neuron] = lead
        return leads

    def find_lead(self, neuron: int, items: list[Delivery], late: Array) -> Delivery | None:
        net = self.network
        edges = np.flatnonzero(net.source == net.n_inputs + neuron)
        arrival = net.delay[edges] + late[net.target[edges]] - late[neuron]
        core = self.core_of[net.target[edges]]
        for item in items:
            same = [other for other in items if (other.core, other.after) == (item.core, item.after)]
            mine = edges[(core == item.core) & (arrival == item.after)]
            if item.core < 0 or len(same) > 1 or item.after > self.arch.routing.delay.max:
                continue
            if self.lead_edge.setdefault(neuron, int(mine[0])) in mine:
                return item
        return None

    def levels(self, count: Array) -> Array:
        """Relay levels that a fan-out to ``count`` targets takes: a row has at most as many neurons as a core."""
        levels, reach = np.ones(len(count), np.int64), self.arch.core.neurons
        while (reach < count).any():
            levels += reach < count
            reach *= self.arch.core.neurons
        return levels

    def latency(self, late: Array) -> int:
        """T: the earliest tick at which the spikes of network tick 0 can leave on every output line."""
        out = self.network.output_neuron
        leaves = late + self.depth
        for neuron, edge in self.lead_edge.items():
            leaves[neuron] = self.network.delay[edge] + late[self.network.target[edge]] + self.depth[neuron] - 1
        return int(leaves[out].max(initial=0))

    def allot_copies(self, reach: _Reach) -> Array:
        """Which neurons [N] get copies, as many as they need: cheapest first, where the core has neurons to spare."""
        free = np.array([self.arch.core.neurons - len(members) for members in self.partition.members])
        extra = reach.exits - 1
        order = np.lexsort((extra, ~self.urgent, self.core_of))
        order = order[(extra[order] > 0) & ~self.fixed[order] & (self.depth[order] == 0)]
        core = self.core_of[order]
        total = np.cumsum(extra[order])
        first = np.searchsorted(core, core)
        spent = total - (total - extra[order])[first] if len(order) else total
        copied = np.zeros(self.network.n_neurons, bool)
        copied[order[spent <= free[core]]] = True
        return copied

    def shifts(self) -> Array:
        """The least shifts of all blocks that the relays allow; sinks that are outputs run as late as the latest output."""
        net, of = self.network, self.blocks.of_neuron
        inner = net.source >= net.n_inputs
        neuron = net.source[inner] - net.n_inputs
        slack = 1 + self.depth[neuron] - net.delay[inner]
        begin = of[neuron]
        for tapped, lead in self.lead_edge.items():
            mine = np.flatnonzero(neuron == tapped)
            reached, delay = net.target[inner][mine], net.delay[inner][mine]
            led = (self.core_of[reached] == self.core_of[net.target[lead]]) & (of[reached] == of[net.target[lead]])
            led &= delay == net.delay[lead]
            begin[mine] = np.where(led, begin[mine], of[net.target[lead]])
            slack[mine] = np.where(led, 1 - delay, net.delay[lead] + self.depth[tapped] - delay)
        n = len(self.blocks)
        edge, member = np.unique(begin * n + of[net.target[inner]], return_inverse=True)
        need = np.full(len(edge), np.iinfo(np.int64).min)
        np.maximum.at(need, member, slack)
        shift = _longest_paths(edge // n, edge % n, need, n)
        sinks = np.ones(n, bool)
        sinks[edge // n] = False
        out = np.zeros(n, bool)
        out[of[net.output_neuron]] = True
        late = shift[of]
        target = self.latency(late)
        for block in np.flatnonzero(sinks & out):
            members = np.flatnonzero(of == block)
            if any(int(member) in self.lead_edge for member in members):
                continue
            room = target - int(self.depth[members].max())
            if room > shift[block] and self.can_start(members, room):
                shift[block] = room
        return shift

    def can_start(self, members: Array, late: int) -> bool:
        part = {name: values[members] for name, values in self.network.neuron.items()}
        return bool(shifted_start(part, np.full(len(members), late), self.arch)[1].all())

    def finish(
        self,
        cores: tuple[CoreAxons, ...],
        late: Array,
        latency: int,
        reach: _Reach,
        copied: Array,
        leads: dict[int, Delivery],
    ) -> Routing:
        """Plan all exits and house the relays."""
        start, possible = shifted_start(self.network.neuron, late, self.arch)
        if not possible.all():
            raise FitError(_start_problems(self.network, late, possible))
        planner = Planner(self.arch)
        exits: dict[int, list[tuple[Delivery | Row, int]]] = {}
        for neuron, deliveries in reach.deliveries():
            home = int(self.core_of[neuron])
            if copied[neuron]:
                exits[neuron] = planner.copies(neuron, home, deliveries)
            elif neuron in leads:
                exits[neuron] = [planner.tap(neuron, leads[neuron], deliveries)]
            else:
                exits[neuron] = [planner.plan(neuron, home, deliveries)]
        n_copies = sum(len(targets) - 1 for targets in exits.values())
        used = np.array([len(members) for members in self.partition.members])
        np.add.at(used, self.core_of[list(exits)], [len(targets) - 1 for targets in exits.values()])
        axons = np.array([core.encoding.n_axons for core in cores])
        n_cores = house(planner.rows, used.tolist(), axons.tolist(), self.arch)
        return Routing(cores, late, start, latency, exits, tuple(planner.rows), n_cores, n_copies)


class _Reach:
    """Everything that every neuron must reach, for given shifts."""

    def __init__(self, router: _Router, cores: tuple[CoreAxons, ...], late: Array, latency: int) -> None:
        net, none = router.network, [np.zeros(0, np.int64)]
        core = np.concatenate(none + [np.full(len(item.source), number) for number, item in enumerate(cores)])
        axon = np.concatenate(none + [np.arange(len(item.source)) for item in cores])
        source = np.concatenate(none + [item.source for item in cores])
        arrival = np.concatenate(none + [item.arrival for item in cores])
        inner = source >= net.n_inputs
        neuron = source[inner] - net.n_inputs
        lines = np.arange(len(net.output_neuron))
        self.neuron = np.concatenate([neuron, net.output_neuron]).astype(np.int64)
        self.core = np.concatenate([core[inner], np.full(len(lines), -1)]).astype(np.int64)
        self.axon = np.concatenate([axon[inner], lines]).astype(np.int64)
        self.after = np.concatenate([arrival[inner] - late[neuron], latency - late[net.output_neuron]]).astype(np.int64)
        longest = router.arch.routing.delay.max
        far = np.where(self.core < 0, self.after > 0, self.after > longest)
        n = net.n_neurons
        self.count = np.bincount(self.neuron, minlength=n)
        far_count = np.bincount(self.neuron[far], minlength=n)
        # All far targets of a neuron hang on one chain of relays, which needs a single exit.
        self.exits = self.count - far_count + (far_count > 0)

    def deliveries(self) -> list[tuple[int, list[Delivery]]]:
        """The deliveries of every neuron that has any, nearest first."""
        order = np.lexsort((self.axon, self.core, self.after, self.neuron))
        columns = (self.core[order].tolist(), self.axon[order].tolist(), self.after[order].tolist())
        items = [Delivery(*row) for row in zip(*columns, strict=True)]
        neurons, first = np.unique(self.neuron[order], return_index=True)
        bounds = [*first.tolist(), len(items)]
        return [(int(neuron), items[bounds[k] : bounds[k + 1]]) for k, neuron in enumerate(neurons)]


def random_neurons(network: IntegerNetwork) -> Array:
    """Neurons [N] that draw random numbers: copies of them would draw others."""
    neuron = network.neuron
    random: Array = (neuron["leak_stochastic"] != 0) & (neuron["leak"] != 0) | (neuron["threshold_mask_bits"] != 0)
    random[network.target[network.stochastic]] = True
    return random


def _longest_paths(source: Array, target: Array, need: Array, n: int) -> Array:
    """Least values >= 0 with value[target] >= value[source] + need. Raises TightCycleError if a cycle needs more than 0."""
    value = np.zeros(n, np.int64)
    via = np.full(n, -1, np.int64)
    for _ in range(n + 1):
        candidate = value[source] + need
        better = candidate > value[target]
        if not better.any():
            return value
        edge = np.flatnonzero(better)
        edge = edge[np.argsort(candidate[edge], kind="stable")]
        value[target[edge]] = candidate[edge]
        via[target[edge]] = edge
    raise _cycle(source, target, need, via)


def _cycle(source: Array, target: Array, need: Array, via: Array) -> TightCycleError:
    """The cycle that the predecessors ``via`` lead around."""
    node = int(target[next(edge for edge in via if edge >= 0)])
    seen: dict[int, int] = {}
    path: list[int] = []
    starts = [node] + [int(place) for place in np.flatnonzero(via >= 0)]
    for start in starts:
        node, path, seen = start, [], {}
        while via[node] >= 0 and node not in seen:
            seen[node] = len(path)
            path.append(int(via[node]))
            node = int(source[via[node]])
        if node in seen:
            edges = path[seen[node] :]
            return TightCycleError([int(source[edge]) for edge in reversed(edges)], int(need[edges].sum()))
    raise AssertionError("values that never settle lie behind a cycle")


def _start_problems(network: IntegerNetwork, late: Array, possible: Array) -> list[str]:
    population = network.population_of()
    problems = []
    for number in np.unique(population[~possible]):
        mine = np.flatnonzero((population == number) & ~possible)
        first = int(mine[0])
        values = {name: int(column[first]) for name, column in network.neuron.items()}
        problems.append(
            f"E-START population {network.populations[number].name!r}: {network.label(first)} must start"
            f" {int(late[first])} ticks late because relays feed it, but with leak {values['leak']}, threshold"
            f" {values['threshold']} and initial {values['initial']} it does not stay as it is until then"
            f" ({len(mine)} such neurons). Give its sources fewer targets or a longer delay to them, so that no relay is needed"
        )
    return problems

"""Third stage: how every spike gets where it must, and when.

A neuron of the chip has one target. A neuron of the network that must reach several axons is *copied* within its core (copies
compute the same) or sends to a *relay row*: one axon and some neurons that fire whenever it is active, one tick later at the
earliest. Relays cost time, so neurons are *retimed*: neuron v runs tau(v) ticks late on the chip, inputs and clocks on time,
outputs all T ticks late. The shifts satisfy difference constraints, solved by Bellman-Ford over blocks (the neurons of one
population in one core); the latest neuron of a shared axon would otherwise need one of its own.

Retiming as in Leiserson and Saxe (1991); facts and pitfalls in the project's notes on mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.cutter import SPAN, Cutter
from neurocore.compiler.encode import CoreSynapses, Encoding, encode
from neurocore.compiler.partition import Partition
from neurocore.compiler.relays import (
    OUTPUT_LINE,
    TO_ROW,
    Deliveries,
    Delivery,
    Exits,
    Legs,
    RelayRows,
    plan_exits,
    tree_levels,
)
from neurocore.compiler.start import shifted_start
from neurocore.errors import FitError
from neurocore.wording import counted

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

    def members(self, block: int) -> Array:
        """Neurons of a block."""
        order, first = self._by_block
        return order[first[block] : first[block + 1]]

    @cached_property
    def _by_block(self) -> tuple[Array, Array]:
        order = np.argsort(self.of_neuron, kind="stable")
        return order, np.searchsorted(self.of_neuron[order], np.arange(len(self) + 1))


@dataclass(frozen=True)
class CoreAxons:
    """The axons of one core: source and arrival (ticks from the source's time 0 to its activity) of each, and the code."""

    members: Array
    source: Array
    arrival: Array
    encoding: Encoding


Encoded = dict[int, tuple[bytes, CoreAxons]]
"""Axons of cores, by core, each with the start shifts of its neurons for which they were found."""


@dataclass(frozen=True)
class Routing:
    """Where everything is and goes, before placement.

    ``shift`` [N] is tau; ``latency`` T; ``start`` [N] the membrane before the chip's tick 0; ``exits`` the targets of neurons and
    their copies; ``n_cores`` counts cores of relays as well.
    """

    cores: tuple[CoreAxons, ...]
    shift: Array
    start: Array
    latency: int
    exits: Exits
    rows: RelayRows
    n_cores: int
    n_copies: int

    def packets_per_tick(self, network: IntegerNetwork) -> float:
        """Expected spikes per tick that enter from inputs or are sent to an axon, relays included."""
        rate = network.rate
        read = [network.unions.expand(core.source)[1] for core in self.cores]
        fed = [rate[source[source < network.n_inputs]].sum() for source in read]
        sent = rate[network.n_inputs + self.exits.neuron[self.exits.legs.core != OUTPUT_LINE]].sum()
        relayed = np.repeat(self.rows.source, np.diff(self.rows.start))[self.rows.legs.core != OUTPUT_LINE]
        return float(sum(fed) + sent + rate[network.n_inputs + relayed].sum())

    @property
    def n_relays(self) -> int:
        """Relay neurons."""
        return len(self.rows.legs)

    def dump(self, network: IntegerNetwork) -> str:
        """Shifts by population, then every neuron that needs more than a direct target."""
        population = network.population_of()
        added = f"{counted(self.n_copies, 'copy')}, {counted(self.n_relays, 'relay')}"
        lines = [f"routing: {counted(self.n_cores, 'core')}, latency {self.latency}, {added}"]
        for number, group in enumerate(network.populations):
            shifts = np.unique(self.shift[population == number])
            lines.append(f"  {group.name}: shift {', '.join(map(str, shifts))}")
        for core, axons in enumerate(self.cores):
            lines.append(
                f"  core {core}: {counted(axons.encoding.n_axons, 'axon')}, {counted(len(axons.members), 'neuron')}"
            )
        lines += self._fan_out(network)
        for row in range(len(self.rows)):
            targets = ", ".join(self._shown(self.rows.legs, self.rows.start[row], self.rows.start[row + 1]))
            source = network.label(int(self.rows.source[row]))
            lines.append(f"  relay core {self.rows.core[row]} axon {self.rows.axon[row]} <- {source}: {targets}")
        return "\n".join(lines)

    def _fan_out(self, network: IntegerNetwork) -> Iterator[str]:
        """A line for every neuron with copies or relays."""
        neurons, first, count = np.unique(self.exits.neuron, return_index=True, return_counts=True)
        for place in np.flatnonzero((count > 1) | (self.exits.legs.core[first] == TO_ROW)):
            shown = self._shown(self.exits.legs, first[place], first[place] + count[place])
            yield f"  {network.label(int(neurons[place]))} -> {', '.join(shown)}"

    def _shown(self, legs: Legs, begin: int, end: int) -> Iterator[str]:
        columns = (column[begin:end].tolist() for column in (legs.core, legs.axon, legs.delay))
        return (self.rows.shown(leg) for leg in zip(*columns, strict=True))


def find_blocks(network: IntegerNetwork, partition: Partition) -> Blocks:
    """Blocks in the order of (core, population)."""
    core = partition.core_of(network.n_neurons)
    population = network.population_of()
    n = len(network.populations)
    keys, of_neuron = np.unique(core * n + population, return_inverse=True)
    return Blocks(of_neuron, keys // n, keys % n)


def route(
    network: IntegerNetwork,
    arch: Architecture,
    partition: Partition,
    urgent: frozenset[int],
    more: Array | None = None,
    progress: Callable[[int, int], None] | None = None,
    encoded: Encoded | None = None,
) -> Routing:
    """Axons, shifts, copies and relays of a partitioned network.

    ``more`` [N] are ticks that the spikes of a neuron need on their way, beside those of its relays. ``progress(done, total)``
    is called for every core that is encoded. ``encoded`` are cores of this partition that are known from an earlier call; those
    found are added.

    ``urgent`` are populations for whose neurons relay rows would be too slow: they get copies first, and those that cannot be
    copied reach their nearest axon directly and tap it for the rest. Raises CoreOverflowError or TightCycleError where another
    partition may help, and FitError where none will.
    """
    blocks = find_blocks(network, partition)
    router = _Router(network, arch, partition, blocks, urgent, more, {} if encoded is None else encoded)
    return router.solve(progress or (lambda done, total: None))


class _Router:
    """Iterates shifts and the fan-out that depends on them to a fixed point."""

    def __init__(
        self,
        network: IntegerNetwork,
        arch: Architecture,
        partition: Partition,
        blocks: Blocks,
        urgent: frozenset[int],
        more: Array | None,
        encoded: Encoded,
    ) -> None:
        self.network, self.arch, self.partition, self.blocks = network, arch, partition, blocks
        self.cutter = Cutter(network, arch)
        self.urgent = np.isin(network.population_of(), list(urgent))
        self.core_of = partition.core_of(network.n_neurons)
        self.fixed = random_neurons(network)
        self.depth = np.zeros(network.n_neurons, np.int64)
        self.more = np.zeros(network.n_neurons, np.int64) if more is None else more
        self.encoded = encoded
        self.reads = _Reads(network, partition, blocks, self.cutter)
        self.lead_read: dict[int, int] = {}
        self.untappable: set[int] = set()

    def solve(self, progress: Callable[[int, int], None]) -> Routing:
        """The routing. Relay depths only ever grow, so the iteration ends."""
        shift = np.zeros(len(self.blocks), np.int64)
        for _ in range(MAX_ROUNDS):
            late = shift[self.blocks.of_neuron]
            cores = tuple(self.core_axons(core, late, progress) for core in range(self.partition.n_cores))
            latency = self.latency(shift)
            reach = _Reach(self, cores, late, latency)
            copied = self.allot_copies(reach)
            leads = self.choose_leads(reach, copied, shift)
            levels = tree_levels(reach.count, self.arch.core.neurons)
            self.depth = np.maximum(self.depth, np.where((copied | (reach.exits <= 1)) & ~reach.rushed, 0, levels))
            copied &= self.depth == 0
            again = self.shifts()
            if (again == shift).all() and latency == self.latency(shift):
                return self.finish(cores, late, latency, reach, copied, leads)
            shift = again
        raise AssertionError("relay depths are bounded")

    def core_axons(self, core: int, late: Array, progress: Callable[[int, int], None]) -> CoreAxons:
        """The axons of a core when its neurons run ``late`` [N] ticks late."""
        progress(core + 1, self.partition.n_cores)
        members = self.partition.members[core]
        key = late[members].tobytes()
        known = self.encoded.get(core)
        if known is None or known[0] != key:
            known = self.encoded[core] = key, self.encode_core(core, members, late)
        return known[1]

    def encode_core(self, core: int, members: Array, late: Array) -> CoreAxons:
        synapse, place = self.cutter.synapses_of(members)
        net = self.network
        arrival = net.delay[synapse] + late[members[place]]
        span = int(arrival.max(initial=0)) + 1
        signals, signal = distinct(net.source[synapse].astype(np.int64) * span + arrival)
        encoding = None
        if len(signals) <= self.arch.core.axons:
            weight, chance = net.weight[synapse].astype(np.int64), net.stochastic[synapse]
            known = (len(signals), len(members), self.cutter.values_of(members))
            encoding = encode(CoreSynapses(signal, place, weight, chance, *known), self.arch)
        if encoding is None or encoding.n_axons > self.arch.core.axons:
            raise CoreOverflowError(core)
        return CoreAxons(members, signals[encoding.signal] // span, signals[encoding.signal] % span, encoding)

    def choose_leads(self, reach: _Reach, copied: Array, shift: Array) -> dict[int, Delivery]:
        """For urgent neurons that need relays: the delivery that is made directly and whose axon the relays tap.

        It is the nearest one that is the only axon of its signal in a core with neurons to spare; once chosen, its read stays
        chosen, or the neuron is never tapped again.
        """
        free = np.array([self.arch.core.neurons - len(members) for members in self.partition.members])
        np.subtract.at(free, self.core_of[copied], reach.exits[copied] - 1)
        leads: dict[int, Delivery] = {}
        wanted = self.urgent & ~copied & (reach.exits > 1) & (reach.count <= self.arch.core.neurons)
        if not wanted.any():
            return leads
        # The axon of a union is active for others as well, so that nothing of one source alone can hang on it.
        wanted[
            self.network.unions.member[self.network.unions.member >= self.network.n_inputs] - self.network.n_inputs
        ] = False
        wanted[list(self.untappable)] = False
        for neuron, items in reach.deliveries.items(wanted):
            lead = self.find_lead(neuron, items, shift)
            if lead is None or free[lead.core] < len(items) - 1:
                self.untappable.add(neuron)
                self.lead_read.pop(neuron, None)
                continue
            free[lead.core] -= len(items) - 1
            leads[neuron] = lead
        return leads

    def find_lead(self, neuron: int, items: list[Delivery], shift: Array) -> Delivery | None:
        read = self.reads.of(neuron)
        block = self.reads.block[read]
        arrival = self.reads.delay[read] + shift[block] - shift[self.blocks.of_neuron[neuron]]
        core = self.blocks.core[block]
        for item in items:
            same = [other for other in items if (other.core, other.after) == (item.core, item.after)]
            mine = read[(core == item.core) & (arrival == item.after)]
            if item.core < 0 or len(same) > 1 or item.after > self.arch.routing.delay.max:
                continue
            if self.lead_read.setdefault(neuron, int(mine[0])) in mine:
                return item
        return None

    def latency(self, shift: Array) -> int:
        """T: the earliest tick at which the spikes of network tick 0 can leave on every output line."""
        out = self.network.output_neuron
        leaves = shift[self.blocks.of_neuron] + self.depth
        for neuron, read in self.lead_read.items():
            led = self.reads.delay[read] + shift[self.reads.block[read]]
            leaves[neuron] = led + self.depth[neuron] - 1
        return int(leaves[out].max(initial=0))

    def allot_copies(self, reach: _Reach) -> Array:
        """Which neurons [N] get copies, as many as they need: cheapest first, where the core has neurons to spare."""
        free = np.array([self.arch.core.neurons - len(members) for members in self.partition.members])
        extra = reach.exits - 1
        order = np.lexsort((extra, ~self.urgent, self.core_of))
        order = order[(extra[order] > 0) & ~self.fixed[order] & ~reach.rushed[order] & (self.depth[order] == 0)]
        core = self.core_of[order]
        total = np.cumsum(extra[order])
        first = np.searchsorted(core, core)
        spent = total - (total - extra[order])[first] if len(order) else total
        copied = np.zeros(self.network.n_neurons, bool)
        copied[order[spent <= free[core]]] = True
        return copied

    def shifts(self) -> Array:
        """The least shifts of all blocks that the relays allow; sinks that are outputs run as late as the latest output."""
        net, reads, of = self.network, self.reads, self.blocks.of_neuron
        slack = 1 + self.depth[reads.neuron] + self.more[reads.neuron] - reads.delay
        begin = of[reads.neuron]
        for tapped, lead in self.lead_read.items():
            mine = reads.of(tapped)
            block, delay = reads.block[mine], reads.delay[mine]
            led = (block == reads.block[lead]) & (delay == reads.delay[lead])
            begin[mine] = np.where(led, begin[mine], reads.block[lead])
            after = reads.delay[lead] + self.depth[tapped] + self.more[tapped]
            slack[mine] = np.where(led, 1 + self.more[tapped] - delay, after - delay)
        n = len(self.blocks)
        edge, member = np.unique(begin * n + reads.block, return_inverse=True)
        need = np.full(len(edge), np.iinfo(np.int64).min)
        np.maximum.at(need, member, slack)
        shift = longest_paths(edge // n, edge % n, need, n)
        sinks = np.ones(n, bool)
        sinks[edge // n] = False
        out = np.zeros(n, bool)
        out[of[net.output_neuron]] = True
        out[of[list(self.lead_read)]] = False
        target = self.latency(shift)
        for sink in np.flatnonzero(sinks & out).tolist():
            members = self.blocks.members(sink)
            room = target - int(self.depth[members].max())
            if room > shift[sink] and self.can_start(members, room):
                shift[sink] = room
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
        exits, rows = plan_exits(reach.deliveries, copied, leads, self.core_of, self.arch)
        copies = self.core_of[exits.neuron[exits.is_copy]]
        used = np.array([len(members) for members in self.partition.members], np.int64)
        used += np.bincount(copies, minlength=len(used))
        axons = np.array([core.encoding.n_axons for core in cores], np.int64)
        housed, n_cores = rows.house(used, axons, self.arch)
        return Routing(cores, late, start, latency, exits, housed, n_cores, len(copies))


class _Reads:
    """Which neurons each block reads, and after which delay, sorted by neuron; without input lines."""

    def __init__(self, network: IntegerNetwork, partition: Partition, blocks: Blocks, cutter: Cutter) -> None:
        none = np.zeros(0, np.int64)
        parts = [(none, none, none)]
        for members in partition.members:
            synapse, place = cutter.synapses_of(members)
            signals, signal = distinct(cutter.signals_of(synapse))
            mine, local = np.unique(blocks.of_neuron[members], return_inverse=True)
            pair, _ = distinct(signal * len(mine) + local[place])
            read = signals[pair // max(len(mine), 1)]
            place, source = network.unions.expand(read // SPAN)
            parts.append((source - network.n_inputs, mine[pair % max(len(mine), 1)][place], (read % SPAN)[place]))
        neuron, block, delay = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(neuron, kind="stable")
        order = order[np.searchsorted(neuron[order], 0) :]
        self.neuron, self.block, self.delay = neuron[order], block[order], delay[order]

    def of(self, neuron: int) -> Array:
        """Numbers of the reads of a neuron."""
        return np.arange(*np.searchsorted(self.neuron, [neuron, neuron + 1]))


class _Reach:
    """Everything that every neuron must reach, for given shifts."""

    def __init__(self, router: _Router, cores: tuple[CoreAxons, ...], late: Array, latency: int) -> None:
        net, none = router.network, [np.zeros(0, np.int64)]
        core = np.concatenate(none + [np.full(len(item.source), number) for number, item in enumerate(cores)])
        axon = np.concatenate(none + [np.arange(len(item.source)) for item in cores])
        source = np.concatenate(none + [item.source for item in cores])
        arrival = np.concatenate(none + [item.arrival for item in cores])
        place, source = net.unions.expand(source)
        core, axon, arrival = core[place], axon[place], arrival[place]
        inner = source >= net.n_inputs
        neuron = source[inner] - net.n_inputs
        lines = np.arange(len(net.output_neuron))
        self.neuron = np.concatenate([neuron, net.output_neuron]).astype(np.int64)
        self.core = np.concatenate([core[inner], np.full(len(lines), OUTPUT_LINE)]).astype(np.int64)
        self.axon = np.concatenate([axon[inner], lines]).astype(np.int64)
        self.after = np.concatenate([arrival[inner] - late[neuron], latency - late[net.output_neuron]]).astype(np.int64)
        longest = router.arch.routing.delay.max
        far = np.where(self.core < 0, self.after > 0, self.after > longest)
        n = net.n_neurons
        self.count = np.bincount(self.neuron, minlength=n)
        far_count = np.bincount(self.neuron[far], minlength=n)
        # All far targets of a neuron hang on one tree of relays, which needs a single exit.
        self.exits = self.count - far_count + (far_count > 0)
        left = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(left, self.neuron[far], (self.after - (self.core >= 0))[far])
        #: Neurons [N] of which some far targets are due before such a tree can branch as often as it must.
        self.rushed = left < tree_levels(far_count, router.arch.core.neurons)

    @cached_property
    def deliveries(self) -> Deliveries:
        """Everything to be reached, in order."""
        order = np.lexsort((self.axon, self.core, self.after, self.neuron))
        return Deliveries(self.neuron[order], self.core[order], self.axon[order], self.after[order])


def longest_paths(source: Array, target: Array, need: Array, n: int) -> Array:
    """Least values [n] >= 0 with value[target] >= value[source] + need.

    Raises TightCycleError if a cycle needs more than 0; its ``blocks`` are the nodes on it.
    """
    value = np.zeros(n, np.int64)
    via = np.full(n, -1, np.int64)
    for step in range(n + 1):
        candidate = value[source] + need
        better = candidate > value[target]
        if not better.any():
            return value
        if step & (step - 1) == 0 and _leads_around(source, via):
            break
        edge = np.flatnonzero(better)
        edge = edge[np.argsort(candidate[edge], kind="stable")]
        value[target[edge]] = candidate[edge]
        via[target[edge]] = edge
    raise _cycle(source, target, need, via)


def _leads_around(source: Array, via: Array) -> bool:
    """Whether predecessors ``via`` lead around a cycle, as they soon do if it needs more than 0."""
    before = np.where(via >= 0, source[via], np.arange(len(via)))
    for _ in range(len(via).bit_length()):
        before = before[before]
    return bool((via[before] >= 0).any())


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
        ticks = counted(int(late[first]), "tick")
        at_once = (network.delay[network.start[first] : network.start[first + 1]] == 0).any()
        problems.append(
            f"E-START population {network.populations[number].name!r}: {network.label(first)} must start"
            f" {ticks} late because {'lines that tell it sums' if at_once else 'relays'} feed it, but with leak"
            f" {values['leak']}, threshold {values['threshold']} and initial {values['initial']} it does not stay as it is until"
            f" then ({len(mine)} such neurons). Give its sources {'delays of 2 or more to it, and ' if at_once else ''}fewer"
            " targets or a longer delay to them, so that no relay is needed"
        )
    return problems

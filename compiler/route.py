"""Third stage: how every spike gets where it must, and when.

A neuron of the chip has one target. A neuron of the network that must reach several axons is *copied* within its core (copies
compute the same) or sends to a *relay row*: one axon and some neurons that fire whenever it is active, one tick later at the
earliest. Relays cost time, so neurons are *retimed*: neuron v runs tau(v) ticks late on the chip, inputs and clocks on time,
outputs all T ticks late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.encode import CoreSynapses, encode
from neurocore.compiler.partition import Partition
from neurocore.compiler.reach import Reach, Reads
from neurocore.compiler.relays import Delivery, plan_exits, tree_levels
from neurocore.compiler.retiming import Blocks, find_blocks, longest_paths, start_problems
from neurocore.compiler.routing import CoreAxons, Routing
from neurocore.compiler.start import shifted_start
from neurocore.errors import FitError

Array = npt.NDArray[Any]

MAX_ROUNDS = 64

Encoded = dict[int, tuple[bytes, CoreAxons]]
"""Axons of cores, by core, each with the start shifts of its neurons for which they were found."""


class CoreOverflowError(Exception):
    """Readers of one signal run at different times and their core has no axons left for that."""

    def __init__(self, core: int) -> None:
        super().__init__(core)
        self.core = core


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
        self.reads = Reads(network, partition, blocks, self.cutter)
        self.lead_read: dict[int, int] = {}
        self.untappable: set[int] = set()

    def solve(self, progress: Callable[[int, int], None]) -> Routing:
        """The routing. Relay depths only ever grow, so the iteration ends."""
        shift = np.zeros(len(self.blocks), np.int64)
        for _ in range(MAX_ROUNDS):
            late = shift[self.blocks.of_neuron]
            cores = tuple(self.core_axons(core, late, progress) for core in range(self.partition.n_cores))
            latency = self.latency(shift)
            reach = Reach(self.network, self.arch, cores, late, latency)
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

    def choose_leads(self, reach: Reach, copied: Array, shift: Array) -> dict[int, Delivery]:
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

    def allot_copies(self, reach: Reach) -> Array:
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
        reach: Reach,
        copied: Array,
        leads: dict[int, Delivery],
    ) -> Routing:
        """Plan all exits and house the relays."""
        start, possible = shifted_start(self.network.neuron, late, self.arch)
        if not possible.all():
            raise FitError(start_problems(self.network, late, possible))
        exits, rows = plan_exits(reach.deliveries, copied, leads, self.core_of, self.arch)
        copies = self.core_of[exits.neuron[exits.is_copy]]
        used = np.array([len(members) for members in self.partition.members], np.int64)
        used += np.bincount(copies, minlength=len(used))
        axons = np.array([core.encoding.n_axons for core in cores], np.int64)
        housed, n_cores = rows.house(used, axons, self.arch)
        return Routing(cores, late, start, latency, exits, housed, n_cores, len(copies))

"""Last stages: the routed network as arrays of a chip, then the cores at their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.place import CoreTraffic, Placement
from neurocore.compiler.relays import Delivery, Row
from neurocore.compiler.route import Routing
from neurocore.config import OUTPUT, ChipConfig, Cores, InputMap, blank_arrays, pack_crossbar

Array = npt.NDArray[Any]

COPIED = (
    "threshold",
    "threshold_mask_bits",
    "reset_mode",
    "reset",
    "floor",
    "floor_mode",
    "leak",
    "leak_reversal",
    "leak_stochastic",
)
"""Parameters that a neuron keeps as they are; V(0) is corrected for its start shift."""


@dataclass(frozen=True)
class VirtualChip:
    """Arrays as in :class:`neurocore.config.Cores`, rows being virtual cores; ``rate`` [n, N] in spikes per tick.

    ``input_map`` names virtual cores as well.
    """

    arrays: dict[str, Array]
    rate: Array
    input_map: InputMap

    def traffic(self, network: IntegerNetwork) -> CoreTraffic:
        """What the placer needs: expected spikes per tick between cores, and over the edge of the mesh."""
        target = self.arrays["target_core"]
        row, neuron = np.nonzero(target >= 0)
        n = len(target)
        key, member = np.unique(row * n + target[row, neuron], return_inverse=True)
        spikes = np.bincount(member, self.rate[row, neuron], minlength=len(key))
        pull = np.where(target == OUTPUT, self.rate, 0).sum(axis=1)
        pull += np.bincount(self.input_map.core, network.rate[self.input_map.line], minlength=n)
        return CoreTraffic(n, key // n, key % n, spikes, pull)


def build(network: IntegerNetwork, routing: Routing, arch: Architecture) -> VirtualChip:
    """The arrays of all cores, not placed yet."""
    arrays = blank_arrays(arch, routing.n_cores)
    arrays["stream"][:] = np.arange(routing.n_cores)
    bits = np.zeros((routing.n_cores, arch.core.axons, arch.core.neurons), bool)
    slot_of = np.zeros(network.n_neurons, np.int64)
    for number, core in enumerate(routing.cores):
        members, code = core.members, core.encoding
        slot_of[members] = np.arange(len(members))
        bits[number, : code.n_axons, : len(members)] = code.crossbar
        arrays["axon_type"][number, : code.n_axons] = code.kind
        arrays["weight"][number, :, : len(members)] = code.weight
        arrays["weight_stochastic"][number, :, : len(members)] = code.stochastic
    places = _Places(routing, slot_of)
    _add_copies(places, arrays, bits)
    _set_neurons(network, routing, places, arrays)
    _set_relays(places, arrays, bits)
    arrays["target_core"][places.core, places.slot] = places.target_core
    arrays["target_axon"][places.core, places.slot] = places.target_axon
    arrays["delay"][places.core, places.slot] = places.delay
    arrays["crossbar"][:] = pack_crossbar(bits)
    rate = np.zeros(arrays["leak"].shape)
    rate[places.core, places.slot] = network.rate[network.n_inputs + places.neuron]
    return VirtualChip(arrays, rate, _input_map(network, routing))


class _Places:
    """Every neuron that has a target: core, slot, the network's neuron it stands for, what it is, and its target.

    ``kind`` is 0 for the neuron itself, 1 for a copy, 2 for a relay. Copies and relays follow the members of their core.
    """

    def __init__(self, routing: Routing, slot_of: Array) -> None:
        core_of = {int(neuron): number for number, core in enumerate(routing.cores) for neuron in core.members}
        free = [len(core.members) for core in routing.cores] + [0] * (routing.n_cores - len(routing.cores))
        rows: list[tuple[int, int, int, int, int, int, int]] = []
        for neuron, exits in routing.exits.items():
            core = core_of[neuron]
            for number, (target, delay) in enumerate(exits):
                slot = int(slot_of[neuron])
                if number:
                    slot, free[core] = free[core], free[core] + 1
                rows.append((core, slot, neuron, min(number, 1), *_target(target, delay)))
        self.relay_axon: list[tuple[int, int, int]] = []
        for row in routing.rows:
            for target, delay in row.targets:
                slot, free[row.core] = free[row.core], free[row.core] + 1
                rows.append((row.core, slot, row.source, 2, *_target(target, delay)))
                self.relay_axon.append((row.core, row.axon, slot))
        table = np.array(rows, np.int64).reshape(-1, 7)
        self.core, self.slot, self.neuron, self.kind = table[:, 0], table[:, 1], table[:, 2], table[:, 3]
        self.target_core, self.target_axon, self.delay = table[:, 4], table[:, 5], table[:, 6]
        self.slot_of = slot_of


def _target(target: Delivery | Row, delay: int) -> tuple[int, int, int]:
    if isinstance(target, Row):
        return target.core, target.axon, delay
    return (OUTPUT, target.axon, 0) if target.core < 0 else (target.core, target.axon, delay)


def _add_copies(places: _Places, arrays: dict[str, Array], bits: Array) -> None:
    """Give copies the crossbar column and the weights of their neuron."""
    copy = places.kind == 1
    core, slot, original = places.core[copy], places.slot[copy], places.slot_of[places.neuron[copy]]
    bits[core, :, slot] = bits[core, :, original]
    for name in ("weight", "weight_stochastic"):
        arrays[name][core, :, slot] = arrays[name][core, :, original]


def _set_neurons(network: IntegerNetwork, routing: Routing, places: _Places, arrays: dict[str, Array]) -> None:
    """Parameters of the neurons of the network and their copies."""
    none = [np.zeros(0, np.int64)]
    copy = places.kind == 1
    members = [core.members for core in routing.cores]
    core = np.concatenate(
        [*none, *(np.full(len(part), number) for number, part in enumerate(members)), places.core[copy]]
    )
    neuron = np.concatenate([*none, *members, places.neuron[copy]])
    slot = np.concatenate([*none, *(np.arange(len(part)) for part in members), places.slot[copy]])
    for name in COPIED:
        arrays[name][core, slot] = network.neuron[name][neuron]
    arrays["initial"][core, slot] = routing.start[neuron]
    arrays["configured"][core, slot] = True
    population = network.population_of()[neuron]
    arrays["population"][core, slot] = population
    arrays["index"][core, slot] = neuron - network.offsets()[population]


def _set_relays(places: _Places, arrays: dict[str, Array], bits: Array) -> None:
    """Relays: one axon, weight 1 for its type, threshold 1; they fire exactly when their axon is active."""
    table = np.array(places.relay_axon, np.int64).reshape(-1, 3)
    core, axon, slot = table[:, 0], table[:, 1], table[:, 2]
    bits[core, axon, slot] = True
    arrays["weight"][core, arrays["axon_type"][core, axon], slot] = 1
    arrays["threshold"][core, slot] = 1
    arrays["configured"][core, slot] = True


def _input_map(network: IntegerNetwork, routing: Routing) -> InputMap:
    """Every axon that an input line feeds, sorted by line."""
    none = [np.zeros(0, np.int64)]
    core = np.concatenate(none + [np.full(len(item.source), number) for number, item in enumerate(routing.cores)])
    axon = np.concatenate(none + [np.arange(len(item.source)) for item in routing.cores])
    source = np.concatenate(none + [item.source for item in routing.cores])
    arrival = np.concatenate(none + [item.arrival for item in routing.cores])
    entry = np.flatnonzero(source < network.n_inputs)
    entry = entry[np.lexsort((axon[entry], core[entry], source[entry]))]
    return InputMap(source[entry], core[entry], axon[entry], arrival[entry])


def assemble(
    network: IntegerNetwork,
    routing: Routing,
    virtual: VirtualChip,
    placement: Placement,
    arch: Architecture,
    notes: tuple[tuple[str, str], ...],
) -> ChipConfig:
    """The chip: virtual cores at their places, rows in the order of core numbers."""
    place = (placement.x + placement.y * arch.columns).astype(np.int64)
    order = np.argsort(place)
    arrays = {name: values[order] for name, values in virtual.arrays.items()}
    arrays["core"] = place[order].astype(np.int32)
    target = arrays["target_core"]
    arrays["target_core"] = np.where(target >= 0, place[np.maximum(target, 0)], target).astype(np.int32)
    entry = virtual.input_map
    return ChipConfig(
        architecture=arch,
        cores=Cores(**arrays),
        inputs=network.inputs,
        outputs=network.outputs,
        populations=network.populations,
        input_map=InputMap(entry.line, place[entry.core], entry.axon, entry.delay),
        name=network.name,
        latency=routing.latency,
        timing=routing.shift.astype(np.int64),
        network_digest=network.digest(),
        notes=notes,
    )

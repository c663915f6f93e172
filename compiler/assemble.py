"""Last stages: the routed network as arrays of a chip, then the cores at their places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.defects import Defects
from neurocore.compiler.place import CoreTraffic, Placement
from neurocore.compiler.relays import OUTPUT_LINE, TO_ROW, Legs
from neurocore.compiler.routing import Routing
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

    def used_axons(self) -> Array:
        """Axons [n, A] that reach a neuron or are sent to."""
        used: Array = np.any(self.arrays["crossbar"], axis=2)
        target, entry = self.arrays["target_core"], self.input_map
        used[target[target >= 0], self.arrays["target_axon"][target >= 0]] = True
        used[entry.core, entry.axon] = True
        return used

    def around(self, placement: Placement, defects: Defects) -> VirtualChip:
        """The same cores with their axons moved to those that work at their sites."""
        dead = {(x, y) for x, y, _ in defects.axons.tolist()}
        sites = enumerate(zip(placement.x.tolist(), placement.y.tolist(), strict=True))
        moved = [(core, x, y) for core, (x, y) in sites if (x, y) in dead]
        if not moved:
            return self
        used = self.used_axons()
        n_axons = used.shape[1]
        arrays = {**self.arrays, **{name: self.arrays[name].copy() for name in ("crossbar", "axon_type")}}
        new = np.tile(np.arange(n_axons), (len(used), 1))
        for core, x, y in moved:
            good = np.setdiff1d(np.arange(n_axons), defects.dead_axons(x, y))[: used[core].sum()]
            # Used axons take the first that work; the idle ones fill up what is left.
            new[core, used[core]], new[core, ~used[core]] = good, np.setdiff1d(np.arange(n_axons), good)
            for name in ("crossbar", "axon_type"):
                arrays[name][core, new[core]] = self.arrays[name][core]
        target, entry = self.arrays["target_core"], self.input_map
        axon = np.where(target >= 0, self.arrays["target_axon"], 0)
        arrays["target_axon"] = np.where(target >= 0, new[np.maximum(target, 0), axon], self.arrays["target_axon"])
        arrays["target_axon"] = arrays["target_axon"].astype(self.arrays["target_axon"].dtype)
        return VirtualChip(arrays, self.rate, replace(entry, axon=new[entry.core, entry.axon].astype(entry.axon.dtype)))


def build(network: IntegerNetwork, routing: Routing, arch: Architecture) -> VirtualChip:
    """The arrays of all cores, not placed yet."""
    arrays = blank_arrays(arch, routing.n_cores)
    arrays["stream"][:] = np.arange(routing.n_cores)
    slot_of = np.zeros(network.n_neurons, np.int64)
    for number, core in enumerate(routing.cores):
        members, code = core.members, core.encoding
        slot_of[members] = np.arange(len(members))
        arrays["axon_type"][number, : code.n_axons] = code.kind
        arrays["weight"][number, :, : len(members)] = code.weight
        arrays["weight_stochastic"][number, :, : len(members)] = code.stochastic
    places = _Places(routing, slot_of, network.n_neurons)
    _set_neurons(network, routing, places, arrays)
    _set_relays(places, arrays)
    _set_crossbars(routing, places, arrays, arch)
    arrays["target_core"][places.core, places.slot] = places.target_core
    arrays["target_axon"][places.core, places.slot] = places.target_axon
    arrays["delay"][places.core, places.slot] = places.delay
    rate = np.zeros(arrays["leak"].shape)
    rate[places.core, places.slot] = network.rate[network.n_inputs + places.neuron]
    return VirtualChip(arrays, rate, _input_map(network, routing))


class _Places:
    """Every neuron that has a target: core, slot, the network's neuron it stands for, what it is, and its target.

    ``kind`` is 0 for the neuron itself, 1 for a copy, 2 for a relay. Copies and relays follow the members of their core.
    ``relay_axon`` is the axon of every relay; ``original`` the slot of the neuron that a copy repeats.
    """

    def __init__(self, routing: Routing, slot_of: Array, n_neurons: int) -> None:
        exits, rows = routing.exits, routing.rows
        core_of, used = np.zeros(n_neurons, np.int64), np.zeros(routing.n_cores, np.int64)
        for number, item in enumerate(routing.cores):
            core_of[item.members] = number
            used[number] = len(item.members)
        of_leg = rows.of_leg()
        self.neuron = np.concatenate([exits.neuron, rows.source[of_leg]]).astype(np.int64)
        self.kind = np.concatenate([exits.is_copy.astype(np.int64), np.full(len(of_leg), 2)])
        self.core = np.concatenate([core_of[exits.neuron], rows.core[of_leg]]).astype(np.int64)
        self.original = slot_of[self.neuron]
        self.slot = self.original.copy()
        extra = self.kind > 0
        self.slot[extra] = used[self.core[extra]] + _counted(self.core[extra])
        self.relay_axon = rows.axon[of_leg]
        legs = Legs.join([exits.legs, rows.legs])
        to_row, to_line = legs.core == TO_ROW, legs.core == OUTPUT_LINE
        row = legs.axon[to_row]
        self.target_core = np.where(to_line, OUTPUT, legs.core)
        self.target_axon, self.delay = legs.axon.copy(), np.where(to_line, 0, legs.delay)
        self.target_core[to_row], self.target_axon[to_row] = rows.core[row], rows.axon[row]


def _counted(values: Array) -> Array:
    """How many equal values come before each."""
    order = np.argsort(values, kind="stable")
    first = np.searchsorted(values[order], values[order])
    count = np.empty(len(values), np.int64)
    count[order] = np.arange(len(values)) - first
    return count


def _set_crossbars(routing: Routing, places: _Places, arrays: dict[str, Array], arch: Architecture) -> None:
    """Crossbars of all cores, one core at a time: codes, columns of copies, and the one axon of every relay."""
    extra = np.flatnonzero(places.kind > 0)
    extra = extra[np.argsort(places.core[extra], kind="stable")]
    first = np.searchsorted(places.core[extra], np.arange(routing.n_cores + 1))
    n_exits = len(places.kind) - len(places.relay_axon)
    for number in range(routing.n_cores):
        bits = np.zeros((arch.core.axons, arch.core.neurons), bool)
        if number < len(routing.cores):
            code = routing.cores[number].encoding.crossbar
            bits[: code.shape[0], : code.shape[1]] = code
        mine = extra[first[number] : first[number + 1]]
        copy, relay = mine[places.kind[mine] == 1], mine[places.kind[mine] == 2]
        bits[:, places.slot[copy]] = bits[:, places.original[copy]]
        bits[places.relay_axon[relay - n_exits], places.slot[relay]] = True
        arrays["crossbar"][number] = pack_crossbar(bits)


def _set_neurons(network: IntegerNetwork, routing: Routing, places: _Places, arrays: dict[str, Array]) -> None:
    """Parameters of the neurons of the network and their copies, and the copies' weights."""
    none = [np.zeros(0, np.int64)]
    copy = places.kind == 1
    for name in ("weight", "weight_stochastic"):
        arrays[name][places.core[copy], :, places.slot[copy]] = arrays[name][
            places.core[copy], :, places.original[copy]
        ]
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


def _set_relays(places: _Places, arrays: dict[str, Array]) -> None:
    """Relays: one axon, weight 1 for its type, threshold 1; they fire exactly when their axon is active."""
    relay = places.kind == 2
    core, axon, slot = places.core[relay], places.relay_axon, places.slot[relay]
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
    place, source = network.unions.expand(source)
    core, axon, arrival = core[place], axon[place], arrival[place]
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

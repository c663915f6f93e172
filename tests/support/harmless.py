"""Changes of a chip that do nothing, recognised by their place; the other half of :mod:`corruptions`."""

from __future__ import annotations

import numpy as np

from corruptions import CORE_FIELDS, Corruption
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.config import NOWHERE, OUTPUT, ChipConfig
from neurocore.engine import Events
from neurocore.oracle import Oracle


def why_harmless(flat: IntegerNetwork, good: ChipConfig, change: Corruption) -> str | None:
    """Why a change cannot alter a spike, by looking at its place; None if nothing says so."""
    if change.field in SAYS_NOTHING:
        return SAYS_NOTHING[change.field]
    if change.field == "stream":
        return _why_harmless_stream(flat, good, change)
    if change.field in CORE_FIELDS and getattr(good.cores, change.field).ndim > 1:
        return _why_harmless_there(flat, good, change)
    if change.field == "core":
        return "a core that nothing is sent to may lie anywhere"
    if change.field == "timing":
        return _why_harmless_start(good, change)
    if change.field == "input_map" and change.after == "added":
        return None if _used(good)[change.place] else "the axon reaches no neuron"
    return None


SAYS_NOTHING = {
    "name": "a name",
    "notes": "remarks",
    "seed": "another seed draws numbers of the same distribution",
}


def _why_harmless_stream(flat: IntegerNetwork, good: ChipConfig, change: Corruption) -> str | None:
    cores = good.cores
    random = random_neurons(flat)[flat.offsets()[cores.population] + cores.index] & (cores.population >= 0)
    drawing = random.any(axis=1)
    if not drawing[change.place[0]]:
        return "the core draws no numbers"
    others = np.delete(cores.stream, change.place[0])[np.delete(drawing, change.place[0])]
    return None if change.after in others else "a stream of its own draws numbers of the same distribution"


def _used(chip: ChipConfig) -> np.ndarray:
    """Axons [n, A] that reach some neuron."""
    return np.asarray(chip.cores.crossbar.any(axis=2))


def _driven(chip: ChipConfig) -> np.ndarray:
    """Axons [n, A] on which something may ever be sent."""
    driven = np.zeros(chip.cores.axon_type.shape, bool)
    rows = chip.row_of()
    driven[rows[chip.input_map.core], chip.input_map.axon] = True
    sends = chip.cores.configured & (chip.cores.target_core >= 0)
    driven[rows[chip.cores.target_core[sends]], chip.cores.target_axon[sends]] = True
    return driven


def _why_harmless_there(flat: IntegerNetwork, good: ChipConfig, change: Corruption) -> str | None:
    """For fields of neurons, axons and synapses."""
    row, cores = change.place[0], good.cores
    if change.field == "axon_type":
        return _why_harmless_type(good, change)
    slot = change.place[-1]
    if change.field == "crossbar":
        axon = change.place[1]
        if not _driven(good)[row, axon]:
            return "nothing drives the axon"
        return None if cores.weight[row, cores.axon_type[row, axon], slot] else "the weight is 0"
    if not cores.configured[row, slot]:
        return "the neuron is not in use"
    if cores.weight.ndim == getattr(cores, change.field).ndim:
        return _why_harmless_weight(good, change)
    if change.field in ("target_axon", "delay") and cores.target_core[row, slot] == NOWHERE:
        return "the neuron's spikes go nowhere"
    if change.field == "delay" and cores.target_core[row, slot] == OUTPUT:
        return "output lines have no delay"
    if cores.population[row, slot] < 0:
        return _why_harmless_relay(good, change)
    if change.field == "initial":
        return _why_harmless_initial(flat, good, change)
    if change.field in ("target_core", "target_axon", "delay") and not _reads_target(change.chip, row, slot):
        return None if _reads_target(good, row, slot) else "no neuron reads the target"
    return None


def _why_harmless_initial(flat: IntegerNetwork, good: ChipConfig, change: Corruption) -> str | None:
    """Nothing reaches a late neuron before its time 0; until then its leak may lead several values to one."""
    row, slot = change.place
    late = int(good.timing[flat.offsets()[good.cores.population[row, slot]] + good.cores.index[row, slot]])
    silence = Events(*np.zeros((3, 0), np.int64))
    ends = []
    for chip in (good, change.chip):
        oracle = Oracle(chip)
        oracle.advance(silence, late)
        ends.append((int(oracle.membranes()[row, slot]), int(oracle.counters().neuron_spikes[row, slot])))
    return "it comes to the same before the neuron's time 0" if ends[0] == ends[1] else None


def _reads_target(chip: ChipConfig, row: int, slot: int) -> bool:
    """Whether what a neuron sends is read or leaves the chip."""
    core, axon = int(chip.cores.target_core[row, slot]), int(chip.cores.target_axon[row, slot])
    if core < 0:
        return core == OUTPUT
    return bool(_used(chip)[chip.row_of()[core], axon])


def _why_harmless_weight(good: ChipConfig, change: Corruption) -> str | None:
    row, kind, slot = change.place
    cores, axons = good.cores, good.crossbar_bits(row)[:, slot] & _driven(good)[row]
    if not (axons & (cores.axon_type[row] == kind)).any():
        return "no axon of the type reaches the neuron"
    if change.field == "weight_stochastic" and cores.weight[row, kind, slot] == 0:
        return "the weight is 0"
    return None


def _why_harmless_type(good: ChipConfig, change: Corruption) -> str | None:
    row, axon = change.place
    cores, readers = good.cores, good.crossbar_bits(row)[axon]
    if not readers.any() or not _driven(good)[row, axon]:
        return "the axon is not in use"
    same = all(
        (array[row, change.before, readers] == array[row, change.after, readers]).all()
        for array in (cores.weight, cores.weight_stochastic)
    )
    return "its readers have the same weight for both types" if same else None


RELAY_HARMLESS = {
    "leak_stochastic": "a leak of 0",
    "leak_reversal": "a leak of 0",
    "floor": "a relay's membrane is never below 0",
    "floor_mode": "a relay's membrane is never below 0",
    "index": "relays have no index",
}


def _why_harmless_relay(good: ChipConfig, change: Corruption) -> str | None:
    """Relays stand at 0 or, when they fire, at their threshold of 1."""
    if change.field == "floor" and change.after < 0:
        return None
    if change.field == "reset_mode":
        return "taking the threshold of 1 from 1 leaves the 0 that it is reset to" if change.after == 1 else None
    return RELAY_HARMLESS.get(change.field)


def _why_harmless_start(good: ChipConfig, change: Corruption) -> str | None:
    """A neuron that reads nothing, sends nothing, and stays as it is may be said to start at any time."""
    population, offset = 0, change.place[0]
    while offset >= good.populations[population].size:
        offset -= good.populations[population].size
        population += 1
    cores = good.cores
    here = np.argwhere(cores.configured & (cores.population == population) & (cores.index == offset))
    for row, slot in here:
        axons = good.crossbar_bits(row)[:, slot] & _driven(good)[row]
        if axons.any() or _reads_target(good, row, slot):
            return None
    return "the neuron reads nothing and nothing reads it"

"""Finished chips with one thing changed: any field that a chip holds, at any place; and why some changes do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, InputMap, pack_crossbar
from neurocore.engine import Events
from neurocore.oracle import Oracle

ANYWHERE = 0.1
"""Share of changes of arrays that are made where nothing may be in use."""

CORE_FIELDS = tuple(item.name for item in fields(Cores))
INPUT_FIELDS = tuple(f"input_map.{item.name}" for item in fields(InputMap))
CHIP_FIELDS = tuple(item.name for item in fields(ChipConfig) if item.name not in ("architecture", "cores", "input_map"))
FIELDS = (*CORE_FIELDS, *INPUT_FIELDS, "input_map", *CHIP_FIELDS)
"""Every field; ``input_map`` stands for entries that are lost or added. The architecture is what the chip is held against."""


@dataclass(frozen=True)
class Corruption:
    """A chip that differs from a good one in one field, at one place of it."""

    field: str
    place: tuple[int, ...]
    before: Any
    after: Any
    chip: ChipConfig

    def __str__(self) -> str:
        return f"{self.field}{list(self.place)}: {self.before} -> {self.after}"


def corrupt(chip: ChipConfig, field: str, rng: np.random.Generator) -> Corruption | None:
    """The chip with one change of the field; None if there is nothing to change."""
    if field == "crossbar":
        return _flipped_bit(chip, rng)
    if field in CORE_FIELDS:
        return _changed_array(chip, field, getattr(chip.cores, field), rng)
    if field in INPUT_FIELDS:
        return _changed_array(chip, field, getattr(chip.input_map, field.split(".")[1]), rng)
    return CHIP_CHANGES[field](chip, rng)


def with_array(chip: ChipConfig, field: str, values: np.ndarray) -> ChipConfig:
    """The chip with another array in place of a field's."""
    if field in CORE_FIELDS:
        return replace(chip, cores=replace(chip.cores, **{field: values}))
    if field in INPUT_FIELDS:
        return replace(chip, input_map=replace(chip.input_map, **{field.split(".")[1]: values}))
    return replace(chip, **{field: values})


# ---------------------------------------------------------------- arrays


def _flipped_bit(chip: ChipConfig, rng: np.random.Generator) -> Corruption:
    row, slot = _neuron(chip, rng)
    axon = _axon(chip, row, rng)
    bits = np.stack([chip.crossbar_bits(number) for number in range(len(chip.cores))])
    before = bool(bits[row, axon, slot])
    bits[row, axon, slot] = not before
    return Corruption(
        "crossbar", (row, axon, slot), before, not before, with_array(chip, "crossbar", pack_crossbar(bits))
    )


def _changed_array(chip: ChipConfig, field: str, array: np.ndarray, rng: np.random.Generator) -> Corruption | None:
    if not array.size:
        return None
    place = _place(chip, field, array, rng)
    before = array[place].item()
    after = _another(field, before, array, chip, rng)
    if after is None or after == before:
        return None
    changed = array.copy()
    changed[place] = after
    return Corruption(field, place, before, after, with_array(chip, field, changed))


def _place(chip: ChipConfig, field: str, array: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """Where to change an array: mostly at neurons and axons in use."""
    if array.ndim == 1:
        return (int(rng.integers(len(array))),)
    if field == "configured":
        return _random_place(array, rng)
    row, slot = _neuron(chip, rng)
    if field == "axon_type":
        return row, _axon(chip, row, rng)
    if array.ndim == 3:
        return row, int(rng.integers(array.shape[1])), slot
    return row, slot


def _neuron(chip: ChipConfig, rng: np.random.Generator) -> tuple[int, int]:
    used = np.argwhere(chip.cores.configured | (rng.random() < ANYWHERE))
    row, slot = used[rng.integers(len(used))]
    return int(row), int(slot)


def _axon(chip: ChipConfig, row: int, rng: np.random.Generator) -> int:
    used = np.flatnonzero(chip.cores.crossbar[row].any(axis=1) | (rng.random() < ANYWHERE))
    return int(rng.choice(used)) if len(used) else 0


def _another(field: str, before: Any, array: np.ndarray, chip: ChipConfig, rng: np.random.Generator) -> Any:
    """Another value: a neighbour, the opposite, zero, one from elsewhere in the array, or any at all."""
    if isinstance(before, bool):
        return not before
    choices = [before + 1, before - 1, before + 2, -before, 0, array[_random_place(array, rng)].item()]
    if field in ("core", "target_core", "input_map.core"):
        choices += [NOWHERE, OUTPUT, *chip.cores.core.tolist(), int(rng.integers(chip.architecture.n_cores))]
    if field == "stream":
        choices += 2 * chip.cores.stream.tolist()
    if field in ("initial", "threshold", "floor", "timing", "input_map.delay"):
        choices += [before + 40, before - 40, 2**31 - 1]
    after = int(rng.choice(np.array(choices, dtype=object)))
    bounds = np.iinfo(array.dtype)
    return after if bounds.min <= after <= bounds.max else None


def _random_place(array: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(size)) for size in array.shape)


# ---------------------------------------------------------------- everything else


def _entry_lost_or_added(chip: ChipConfig, rng: np.random.Generator) -> Corruption | None:
    columns = {item.name: getattr(chip.input_map, item.name) for item in fields(InputMap)}
    if not len(chip.input_map):
        return None
    entry = int(rng.integers(len(chip.input_map)))
    if rng.random() < 0.5:
        kept = np.arange(len(chip.input_map)) != entry
        lost = InputMap(*(values[kept] for values in columns.values()))
        return Corruption("input_map", (entry,), "there", "lost", replace(chip, input_map=lost))
    row = int(rng.integers(len(chip.cores)))
    new = (columns["line"][entry], chip.cores.core[row], rng.integers(chip.architecture.core.axons), 1)
    added = InputMap(*(np.append(values, value) for values, value in zip(columns.values(), new, strict=True)))
    return Corruption("input_map", (row, int(new[2])), "none", "added", replace(chip, input_map=added))


def _changed_groups(field: str) -> Callable[[ChipConfig, np.random.Generator], Corruption | None]:
    def change(chip: ChipConfig, rng: np.random.Generator) -> Corruption | None:
        groups = list(getattr(chip, field))
        if not groups:
            return None
        place = int(rng.integers(len(groups)))
        old = groups[place]
        groups[place] = (
            Group(old.name + "x", old.shape, old.start),
            Group(old.name, (old.size + 1,), old.start),
            Group(old.name, (*old.shape, 1), old.start),
            Group(old.name, old.shape, old.start + 1),
        )[rng.integers(4)]
        return Corruption(field, (place,), old, groups[place], replace(chip, **{field: tuple(groups)}))

    return change


def _changed_number(field: str) -> Callable[[ChipConfig, np.random.Generator], Corruption | None]:
    def change(chip: ChipConfig, rng: np.random.Generator) -> Corruption:
        before = getattr(chip, field)
        after = before + int(rng.choice([-1, 1, 2, 7]))
        return Corruption(field, (), before, after, replace(chip, **{field: after}))

    return change


def _changed_text(field: str, after: Any) -> Callable[[ChipConfig, np.random.Generator], Corruption | None]:
    def change(chip: ChipConfig, rng: np.random.Generator) -> Corruption:
        return Corruption(field, (), getattr(chip, field), after, replace(chip, **{field: after}))

    return change


CHIP_CHANGES: dict[str, Callable[[ChipConfig, np.random.Generator], Corruption | None]] = {
    "input_map": _entry_lost_or_added,
    "inputs": _changed_groups("inputs"),
    "outputs": _changed_groups("outputs"),
    "populations": _changed_groups("populations"),
    "name": _changed_text("name", "another"),
    "seed": _changed_number("seed"),
    "latency": _changed_number("latency"),
    "timing": lambda chip, rng: _changed_array(chip, "timing", chip.timing, rng),
    "network_digest": _changed_text("network_digest", "0" * 64),
    "notes": _changed_text("notes", (("certificate", "none"),)),
}


# ---------------------------------------------------------------- what does nothing


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

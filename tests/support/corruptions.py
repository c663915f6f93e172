"""Finished chips with one thing changed: any field that a chip holds, at any place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, InputMap, pack_crossbar

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
    "dilation": _changed_number("dilation"),
    "timing": lambda chip, rng: _changed_array(chip, "timing", chip.timing, rng),
    "network_digest": _changed_text("network_digest", "0" * 64),
    "notes": _changed_text("notes", (("certificate", "none"),)),
}

"""Probes: populations to watch, by name, and what they saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig
from neurocore.engine import Probes, Record
from neurocore.errors import UsageError
from neurocore.result import ProbeRecord
from neurocore.spikes import Spikes
from neurocore.wording import did_you_mean

Array = npt.NDArray[Any]


WATCHED = ("spikes", "membrane")
"""What a probe can name after its population."""


def split_probe(text: str) -> tuple[str, str]:
    """The population that a probe names, which may hold colons, and what of it: ``spikes`` unless it says otherwise."""
    name, colon, what = text.rpartition(":")
    return (name, what) if colon and what in WATCHED else (text, WATCHED[0])


class Watched:
    """A probe: the neurons [size] of a population, by core row and neuron; copies made by the compiler are left out."""

    def __init__(self, chip: ChipConfig, text: str) -> None:
        self.text = text
        name, what = split_probe(text)
        names = [group.name for group in chip.populations]
        if name not in names:
            raise UsageError(
                f"probe {text!r} is not known; give POPULATION, or POPULATION:membrane, where the populations are"
                f" {', '.join(names) or 'none'}{did_you_mean(name, names)}"
            )
        self.with_membranes = what == "membrane"
        row, neuron = np.nonzero(chip.cores.population == names.index(name))
        index, first = np.unique(chip.cores.index[row, neuron], return_index=True)
        self.size = len(index)
        self.row, self.neuron, self.index = row[first], neuron[first], index
        number = np.full(chip.cores.population.shape, -1, np.int64)
        number[self.row, self.neuron] = index
        self.number = number
        self.inverse: Array = np.zeros(0, np.int64)
        start = sum(group.size for group in chip.populations[: names.index(name)])
        self.dilation = chip.dilation
        self.shift = chip.timing[start + index] if len(chip.timing) else np.zeros(len(index), np.int64)

    def pick(self, record: Record) -> ProbeRecord:
        """The part of what the engine recorded that the probe asked for."""
        number = self.number[record.spike_row, record.spike_neuron]
        mine = number >= 0
        spikes = Spikes.from_lines(record.spike_tick[mine], number[mine])
        membranes = record.membranes[:, self.inverse] if self.with_membranes else np.zeros((0, 0), np.int32)
        return ProbeRecord(spikes, membranes, self.shift, self.dilation)

    def nothing(self) -> ProbeRecord:
        """What the probe saw before the first tick."""
        return ProbeRecord(Spikes.empty(), np.zeros((0, len(self.inverse)), np.int32), self.shift, self.dilation)


def join_probes(chip: ChipConfig, watched: list[Watched]) -> Probes:
    """One set of probes for the engine, in which each probe knows its columns."""
    if not watched:
        return Probes()
    mask = np.zeros(chip.cores.population.shape, bool)
    rows, neurons, owners = [], [], []
    for number, item in enumerate(watched):
        mask[item.row, item.neuron] = True
        if item.with_membranes:
            rows.append(item.row)
            neurons.append(item.neuron)
            owners.append(np.full(item.size, number))
    if not rows:
        return Probes(mask)
    row, neuron, owner = np.concatenate(rows), np.concatenate(neurons), np.concatenate(owners)
    order = np.argsort(row, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for number, item in enumerate(watched):
        item.inverse = place[owner == number]
    return Probes(mask, row[order], neuron[order])

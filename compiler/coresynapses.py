"""What the images of one core read, compared with what the network's neurons read; a part of the proof."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.config import ChipConfig

Array = npt.NDArray[Any]


def spot(chip: ChipConfig, row: int, slot: int) -> str:
    """How messages name a neuron of a chip."""
    x, y = chip.architecture.core_xy(int(chip.cores.core[row]))
    return f"core ({x}, {y}) neuron {slot}"


class CoreSynapses:
    """The synapses of one core's images, on the chip and in the network, as matrices [signals, images].

    A signal is a source and the chip's delay from the source's time 0 to its arrival, as source * ``span`` + delay. ``signal``
    [A] is that of every axon; an axon that nothing drives, -1, is never active and adds nothing. ``which`` [N] is the network's
    neuron that each neuron of the core stands for, -1 for none, and ``used`` [A] tells axons that reach any.
    """

    def __init__(
        self, network: IntegerNetwork, chip: ChipConfig, row: int, which: Array, used: Array, signal: Array, span: int
    ) -> None:
        self.network, self.chip, self.row, self.span, cores = network, chip, row, span, chip.cores
        self.slots = np.flatnonzero(which >= 0)
        self.neurons = which[self.slots]
        driven = np.flatnonzero(used & (signal >= 0))
        self.axons = driven[np.argsort(signal[driven], kind="stable")]
        bits = chip.crossbar_bits(row)[np.ix_(self.axons, self.slots)]
        kind = cores.axon_type[row, self.axons]
        self.weight = np.where(bits, cores.weight[row][kind][:, self.slots], 0)
        self.random = cores.weight_stochastic[row][kind][:, self.slots] & (self.weight != 0)
        self.signals, self.first = np.unique(signal[self.axons], return_index=True)
        self.axon_signal = signal[self.axons]

    def read(self) -> tuple[Array, Array, Array, Array]:
        """What the network's neurons read: the signal, the image's place, the weight, whether it is random."""
        network, span = self.network, self.span
        count = network.start[self.neurons + 1] - network.start[self.neurons]
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        entry = np.arange(total) - np.repeat(ends - count - network.start[self.neurons], count)
        place = np.repeat(np.arange(len(self.neurons)), count)
        arrival = network.delay[entry] + self.chip.timing[self.neurons][place]
        signal = network.source[entry].astype(np.int64) * span + arrival
        return signal, place, network.weight[entry], network.stochastic[entry]

    def first_difference(self) -> str | None:
        """What is wrong with the first image, and its first source, that differs."""
        wanted_signal, place, weight, random = self.read()
        at = np.searchsorted(self.signals, wanted_signal)
        known = np.append(self.signals, -1)[at] == wanted_signal
        wrong = [np.stack([place[~known], wanted_signal[~known]], axis=1)]
        some_random = bool(random.any() or self.random.any())
        for chance in (False, True) if some_random else (False,):
            mine = known & (random == chance) if some_random else slice(None) if known.all() else known
            have = self.summed(np.where(self.random == chance, self.weight, 0) if some_random else self.weight)
            want = np.zeros(have.shape, np.int64)
            want[at[mine], place[mine]] = weight[mine]
            differs = have != want
            if chance:
                # Random weights do not add up: each must come through one axon.
                differs |= self.summed(self.random) != (want != 0)
            signal, image = np.nonzero(differs) if differs.any() else np.zeros((2, 0), np.int64)
            wrong.append(np.stack([image, self.signals[signal]], axis=1))
        table = np.concatenate(wrong)
        if not len(table):
            return None
        image, signal = table[np.lexsort((table[:, 1], table[:, 0]))[0]].tolist()
        mine = (wanted_signal == signal) & (place == image)
        return self.described(image, signal, list(zip(weight[mine], random[mine], strict=True)))

    def summed(self, values: Array) -> Array:
        """Values [axons, images] added up by signal."""
        if len(self.signals) == len(self.axons):
            return values
        return np.asarray(np.add.reduceat(values, self.first, axis=0, dtype=np.int64))

    def described(self, image: int, signal: int, wanted: list[tuple[int, bool]]) -> str:
        """The sentence about a synapse that differs; ``wanted`` are its weights in the network."""
        neuron = int(self.neurons[image])
        mine = (self.axon_signal == signal) & (self.weight[:, image] != 0)
        weight, random = self.weight[mine, image], self.random[mine, image]
        total = int(weight[~random].sum())
        found = [(total, False)] * (total != 0) + [(value, True) for value in weight[random]]
        delay = signal % self.span - int(self.chip.timing[neuron])
        return (
            f"{self.network.label(neuron)} <- {self.network.source_label(signal // self.span)}: the weight at delay"
            f" {delay} is {_shown(wanted)} in the network and {_shown(found)} on the chip"
            f" ({spot(self.chip, self.row, self.slots[image])})"
        )

    def random_synapses(self) -> Array:
        """Rows (source, target, delay, row, axon, slot) of the random weights."""
        axon, image = np.nonzero(self.random)
        target, signal = self.neurons[image], self.axon_signal[axon]
        delay = signal % self.span - self.chip.timing[target]
        row = np.full(len(axon), self.row)
        columns = (signal // self.span, target, delay, row, self.axons[axon], self.slots[image])
        return np.stack(columns, axis=1).astype(np.int64)


def _shown(weights: list[tuple[int, bool]]) -> str:
    """Weights, each with whether it is random, as shown in messages."""
    return " and ".join(f"{int(weight)}{' (stochastic)' if random else ''}" for weight, random in weights) or "none"

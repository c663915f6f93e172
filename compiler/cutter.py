"""What cutting and packing ask of a network: the synapses of any neurons, what a core of them needs, how far runs reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import Runs, count_weights, distinct
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.digitcode import find_digit_code
from neurocore.compiler.encode import CoreSynapses, choose

Array = npt.NDArray[Any]

SPAN = 1 << 16
"""More than the longest delay: a signal is source * SPAN + delay."""
BATCH = 1 << 15
"""Synapses that are looked at together where that is quicker than core by core."""
MOST_LEVELS = 1024
"""Range of weights up to which a digit code is worth asking for."""


@dataclass(frozen=True)
class Run:
    """Neurons that were cut together, with what their core needs."""

    members: Array
    n_axons: int
    code: str


class Cutter:
    """What cutting and packing need to know of a network: the synapses of any neurons, and how far runs of them reach.

    With ``quick`` the search for groups is short. ``cuts`` keeps the runs found, by population and most neurons of a core;
    ``orders`` the neurons of populations by what ties them.
    """

    def __init__(self, network: IntegerNetwork, arch: Architecture, *, quick: bool = False) -> None:
        self.network, self.arch, self.start = network, arch, network.start
        self.quick, self.cuts = quick, dict[tuple[int, int], list[Run]]()
        self.orders: dict[int, Array] = {}
        chance = network.stochastic.view(np.uint8)
        self.runs = Runs(network.start, network.source, network.weight, network.delay, chance, arch.core.axons)

    @cached_property
    def digit_axons(self) -> int:
        """Axons per signal of the digit code that covers all weights of the network; more than a core has if there is none."""
        weight, limits = self.network.weight, self.arch.neuron.weight
        low, high = min(int(weight.min(initial=0)), 0), max(int(weight.max(initial=0)), 0)
        none = self.arch.core.axons + 1
        if self.network.stochastic.any() or high - low > MOST_LEVELS:
            return none
        code = find_digit_code(low, high, self.arch.core.axon_types, min(limits.max, -limits.min))
        return none if code is None else max(code.n_axons, 1)

    @cached_property
    def random(self) -> Array:
        """Neurons [N] that draw random numbers."""
        return random_neurons(self.network)

    def outer_reads(self, number: int) -> Array:
        """Neurons of a population, once for every other population that reads them."""
        population, neuron = self._reads_between
        return np.asarray(neuron[population == number])

    @cached_property
    def _reads_between(self) -> tuple[Array, Array]:
        """Population and number of every neuron, once for every other population that reads it."""
        network = self.network
        offsets, of = network.offsets(), network.population_of()
        parts = [np.zeros(0, np.int64)]
        for number in range(len(network.populations)):
            span = slice(int(network.start[offsets[number]]), int(network.start[offsets[number + 1]]))
            read = distinct(network.source[span].astype(np.int64))[0]
            read = np.unique(network.unions.expand(read)[1]) - network.n_inputs
            read = read[read >= 0]
            parts.append(read[of[read] != number])
        neuron = np.concatenate(parts)
        return of[neuron], neuron

    def synapses_of(self, neurons: Array) -> tuple[Array, Array]:
        """Synapse numbers of the given neurons, one neuron after the other, and the place of each one's neuron."""
        count = self.start[neurons + 1] - self.start[neurons]
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        place = np.repeat(np.arange(len(neurons)), count)
        return np.arange(total) - np.repeat(ends - count - self.start[neurons], count), place

    def signals_of(self, synapse: Array) -> Array:
        """Signals of synapses: source * SPAN + delay."""
        return self.network.source[synapse].astype(np.int64) * SPAN + self.network.delay[synapse]

    def core(self, neurons: Array) -> tuple[Array, CoreSynapses]:
        """The different signals that neurons read, sorted, and their synapses."""
        synapse, place = self.synapses_of(neurons)
        signals, signal = distinct(self.signals_of(synapse))
        weight, chance = self.network.weight[synapse].astype(np.int64), self.network.stochastic[synapse]
        known = (len(signals), len(neurons), self.values_of(neurons))
        return signals, CoreSynapses(signal, place, weight, chance, *known)

    def batches(self, cores: Sequence[Array]) -> Iterator[tuple[Array, Array, Array]]:
        """Synapses of the neurons of cores, those of small cores together: numbers, and the core and the neuron of each.

        The core stands once for all where it is alone.
        """
        size = [len(members) for members in cores]
        neurons = np.concatenate([np.zeros(0, np.int64), *cores])
        core = np.repeat(np.arange(len(cores)), size)
        ends = (
            np.cumsum(self.start[neurons + 1] - self.start[neurons])[np.cumsum(size) - 1] if cores else np.zeros(0, int)
        )
        breaks = np.flatnonzero(np.diff(ends // BATCH)) + 1
        first = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        for begin, end in pairwise([0, *breaks.tolist(), len(cores)]):
            mine = slice(first[begin], first[end])
            synapse, place = self.synapses_of(neurons[mine])
            yield synapse, core[mine][place] if end > begin + 1 else np.array([begin]), neurons[mine][place]

    def reads(self, cores: Sequence[Array]) -> tuple[Array, Array]:
        """The signals that cores read, core by core and ascending in each, and the core of every one."""
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for synapse, core, _ in self.batches(cores):
            signals, signal = distinct(self.signals_of(synapse))
            if len(core) == 1:
                parts.append((signals, np.repeat(core, len(signals))))
                continue
            read, _ = distinct(core * len(signals) + signal)
            parts.append((signals[read % max(len(signals), 1)], read // max(len(signals), 1)))
        signal, core = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return signal, core

    def values_of(self, neurons: Array) -> Array | None:
        """Values [neurons, types] of the axon types that neurons were fitted to; None if none was."""
        values = None if self.network.values is None else self.network.values[neurons]
        return None if values is None or not values.any() else values

    def need(self, neurons: Array) -> tuple[int, str]:
        """Axons that a core with these neurons needs (more than the core has if there is no code), and the code."""
        signals, core = self.core(neurons)
        if len(signals) > self.arch.core.axons:
            return len(signals), "too many signals"
        choice = choose(core, self.arch, thrifty=False)
        if choice is None:
            return self.arch.core.axons + 1, "no exact weight code"
        return choice.n_axons, choice.code

    def suspects(self, begin: int, end: int) -> Array:
        """Of the neurons begin..end-1 those that one axon per signal may not serve."""
        network, limits, n_types = self.network, self.arch.neuron.weight, self.arch.core.axon_types
        chance = network.stochastic.view(np.uint8)
        kinds = count_weights(self.start, network.weight, chance, begin, end, n_types + 1)
        weight = network.weight[self.start[begin] : self.start[end]]
        suspect = kinds > n_types
        if len(weight) and (weight.max() > limits.max or weight.min() < limits.min):
            far = np.flatnonzero((weight > limits.max) | (weight < limits.min)) + self.start[begin]
            suspect[network.target_of(far) - begin] = True
        return begin + np.flatnonzero(suspect)

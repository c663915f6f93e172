"""Room for copies: how few neurons of a population must share a core for theirs to fit beside them; a guess, for estimates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.compiler.cutter import SPAN, Cutter
from neurocore.compiler.partition import Partition

Array = npt.NDArray[Any]

MOST_FULL = 0.1
"""Part of the cores that may have no room for the copies of their neurons, as these are divided."""


def first_with_room(cutter: Cutter, parts: Partition, number: int, limit: int) -> int:
    """The first of limit, limit // 2, ... neurons of a population a core with which most seem to get their copies; 1 if none is.

    The neurons are taken in their own order and every core that reads one as an axon, whatever its weight code takes, so that
    routing must confirm it. Where sources share axons nothing is said: the limit itself is returned.
    """
    if len(cutter.network.unions):
        return limit
    readers = _Readers(cutter, parts, number)
    room = cutter.arch.core.neurons
    return next((most for most in _halves(limit) if (readers.wanted(most) > room).mean() <= MOST_FULL), min(limit, 1))


def _halves(limit: int) -> Iterator[int]:
    while limit > 0:
        yield limit
        limit //= 2


class _Readers:
    """The synapses that neurons of one population drive, and the cores of their targets as others than it are divided."""

    def __init__(self, cutter: Cutter, parts: Partition, number: int) -> None:
        network = cutter.network
        begin, end = (int(edge) for edge in network.offsets()[number : number + 2])
        first = network.n_inputs + begin
        synapse = np.flatnonzero((network.source >= first) & (network.source < first + end - begin))
        target = network.target_of(synapse)
        self.size, self.outputs = (
            end - begin,
            np.bincount(network.output_neuron, minlength=network.n_neurons)[begin:end],
        )
        self.signal = (network.source[synapse].astype(np.int64) - first) * SPAN + network.delay[synapse]
        self.inside, self.place = (target >= begin) & (target < end), target - begin
        self.core, self.n_cores = parts.core_of(network.n_neurons)[target], parts.n_cores

    def wanted(self, most: int) -> Array:
        """Neurons and copies that each core of ``most`` neurons of the population would have."""
        core = np.where(self.inside, self.n_cores + self.place // most, self.core)
        pair, _ = distinct(self.signal * (self.n_cores + self.size) + core)
        reached = np.bincount(pair // ((self.n_cores + self.size) * SPAN), minlength=self.size)
        targets = np.maximum(reached + self.outputs, 1)
        return np.asarray(np.add.reduceat(targets, np.arange(0, self.size, most)))

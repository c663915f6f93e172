"""Who reads whom: the neurons that every block reads, and all that every neuron must reach, axons and output lines."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.cutter import SPAN, Cutter
from neurocore.compiler.partition import Partition
from neurocore.compiler.relays import OUTPUT_LINE, Deliveries, tree_levels
from neurocore.compiler.retiming import Blocks
from neurocore.compiler.routing import CoreAxons

Array = npt.NDArray[Any]


class Reads:
    """Which neurons each block reads, and after which delay, sorted by neuron; without input lines."""

    def __init__(self, network: IntegerNetwork, partition: Partition, blocks: Blocks, cutter: Cutter) -> None:
        none = np.zeros(0, np.int64)
        parts = [(none, none, none)]
        n_populations = len(network.populations)
        for synapse, core, target in cutter.batches(partition.members):
            signals, signal = distinct(cutter.signals_of(synapse))
            # Blocks of a core are numbered by population.
            block = blocks.of_neuron[target]
            pair, first = distinct((core * len(signals) + signal) * n_populations + blocks.population[block])
            read = signals[pair // n_populations % max(len(signals), 1)]
            reader = np.empty(len(pair), np.int64)
            reader[first] = block
            place, source = network.unions.expand(read // SPAN)
            parts.append((source - network.n_inputs, reader[place], (read % SPAN)[place]))
        neuron, block, delay = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(neuron, kind="stable")
        order = order[np.searchsorted(neuron[order], 0) :]
        self.neuron, self.block, self.delay = neuron[order], block[order], delay[order]

    def of(self, neuron: int) -> Array:
        """Numbers of the reads of a neuron."""
        return np.arange(*np.searchsorted(self.neuron, [neuron, neuron + 1]))


class Reach:
    """Everything that every neuron must reach, for given shifts."""

    def __init__(
        self, network: IntegerNetwork, arch: Architecture, cores: tuple[CoreAxons, ...], late: Array, latency: int
    ) -> None:
        none = [np.zeros(0, np.int64)]
        core = np.concatenate(none + [np.full(len(item.source), number) for number, item in enumerate(cores)])
        axon = np.concatenate(none + [np.arange(len(item.source)) for item in cores])
        source = np.concatenate(none + [item.source for item in cores])
        arrival = np.concatenate(none + [item.arrival for item in cores])
        place, source = network.unions.expand(source)
        core, axon, arrival = core[place], axon[place], arrival[place]
        inner = source >= network.n_inputs
        neuron = source[inner] - network.n_inputs
        lines = np.arange(len(network.output_neuron))
        self.neuron = np.concatenate([neuron, network.output_neuron]).astype(np.int64)
        self.core = np.concatenate([core[inner], np.full(len(lines), OUTPUT_LINE)]).astype(np.int64)
        self.axon = np.concatenate([axon[inner], lines]).astype(np.int64)
        self.after = np.concatenate([arrival[inner] - late[neuron], latency - late[network.output_neuron]]).astype(
            np.int64
        )
        longest = arch.routing.delay.max
        far = np.where(self.core < 0, self.after > 0, self.after > longest)
        n = network.n_neurons
        self.count = np.bincount(self.neuron, minlength=n)
        far_count = np.bincount(self.neuron[far], minlength=n)
        # All far targets of a neuron hang on one tree of relays, which needs a single exit.
        self.exits = self.count - far_count + (far_count > 0)
        left = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(left, self.neuron[far], (self.after - (self.core >= 0))[far])
        #: Neurons [N] of which some far targets are due before such a tree can branch as often as it must.
        self.rushed = left < tree_levels(far_count, arch.core.neurons)

    @cached_property
    def deliveries(self) -> Deliveries:
        """Everything to be reached, in order."""
        order = np.lexsort((self.axon, self.core, self.after, self.neuron))
        return Deliveries(self.neuron[order], self.core[order], self.axon[order], self.after[order])

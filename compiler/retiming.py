"""How late every neuron runs: blocks of neurons that share a shift, and the least shifts that their differences allow.

Relays cost time. The shifts satisfy difference constraints, solved by Bellman-Ford over blocks (the neurons of one population in
one core); the latest neuron of a shared axon would otherwise need one of its own.

Retiming as in Leiserson and Saxe (1991); facts and pitfalls in the project's notes on mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.partition import Partition
from neurocore.compiler.slack import once_round
from neurocore.wording import counted

Array = npt.NDArray[Any]


class TightCycleError(Exception):
    """A cycle of the network has less delay than its relays need; ``blocks`` are the blocks on it, in order."""

    def __init__(self, blocks: list[int], missing: int) -> None:
        super().__init__(blocks)
        self.blocks, self.missing = blocks, missing


@dataclass(frozen=True)
class Blocks:
    """The neurons of one population in one core form a block: they share a start shift."""

    of_neuron: Array
    core: Array
    population: Array

    def __len__(self) -> int:
        return len(self.core)

    def members(self, block: int) -> Array:
        """Neurons of a block."""
        order, first = self._by_block
        return order[first[block] : first[block + 1]]

    @cached_property
    def _by_block(self) -> tuple[Array, Array]:
        order = np.argsort(self.of_neuron, kind="stable")
        return order, np.searchsorted(self.of_neuron[order], np.arange(len(self) + 1))


def find_blocks(network: IntegerNetwork, partition: Partition) -> Blocks:
    """Blocks in the order of (core, population)."""
    core = partition.core_of(network.n_neurons)
    population = network.population_of()
    n = len(network.populations)
    keys, of_neuron = np.unique(core * n + population, return_inverse=True)
    return Blocks(of_neuron, keys // n, keys % n)


def longest_paths(source: Array, target: Array, need: Array, n: int) -> Array:
    """Least values [n] >= 0 with value[target] >= value[source] + need.

    Raises TightCycleError if a cycle needs more than 0; its ``blocks`` are the nodes on it.
    """
    value = np.zeros(n, np.int64)
    via = np.full(n, -1, np.int64)
    for step in range(n + 1):
        candidate = value[source] + need
        better = candidate > value[target]
        if not better.any():
            return value
        if step & (step - 1) == 0 and _leads_around(source, via):
            break
        edge = np.flatnonzero(better)
        edge = edge[np.argsort(candidate[edge], kind="stable")]
        value[target[edge]] = candidate[edge]
        via[target[edge]] = edge
    raise _cycle(source, target, need, via)


def _leads_around(source: Array, via: Array) -> bool:
    """Whether predecessors ``via`` lead around a cycle, as they soon do if it needs more than 0."""
    before = np.where(via >= 0, source[via], np.arange(len(via)))
    for _ in range(len(via).bit_length()):
        before = before[before]
    return bool((via[before] >= 0).any())


def _cycle(source: Array, target: Array, need: Array, via: Array) -> TightCycleError:
    """The cycle that the predecessors ``via`` lead around."""
    node = int(target[next(edge for edge in via if edge >= 0)])
    seen: dict[int, int] = {}
    path: list[int] = []
    starts = [node] + [int(place) for place in np.flatnonzero(via >= 0)]
    for start in starts:
        node, path, seen = start, [], {}
        while via[node] >= 0 and node not in seen:
            seen[node] = len(path)
            path.append(int(via[node]))
            node = int(source[via[node]])
        if node in seen:
            edges = path[seen[node] :]
            return TightCycleError([int(source[edge]) for edge in reversed(edges)], int(need[edges].sum()))
    raise AssertionError("values that never settle lie behind a cycle")


def named_cycle(network: IntegerNetwork, blocks: Blocks, error: TightCycleError) -> tuple[str, int]:
    """The populations on a tight cycle, once round, as messages name them, and the ticks that are missing each time round."""
    steps = [number for number, _ in groupby(blocks.population[error.blocks].tolist())]
    if len(steps) > 1 and steps[0] == steps[-1]:
        steps.pop()
    way, rounds = once_round(steps)
    names = " -> ".join(repr(network.populations[number].name) for number in (*way, way[0]))
    return names, -(-error.missing // rounds)


def start_problems(network: IntegerNetwork, late: Array, possible: Array) -> list[str]:
    """A sentence for every population with neurons [N] that must run ``late`` and whose membranes do not wait for that."""
    population = network.population_of()
    problems = []
    for number in np.unique(population[~possible]):
        mine = np.flatnonzero((population == number) & ~possible)
        first = int(mine[0])
        values = {name: int(column[first]) for name, column in network.neuron.items()}
        ticks = counted(int(late[first]), "tick")
        at_once = (network.delay[network.start[first] : network.start[first + 1]] == 0).any()
        problems.append(
            f"E-START population {network.populations[number].name!r}: {network.label(first)} must start"
            f" {ticks} late because {'lines that tell it sums' if at_once else 'relays'} feed it, but with leak"
            f" {values['leak']}, threshold {values['threshold']} and initial {values['initial']} it does not stay as it is until"
            f" then ({len(mine)} such neurons). Give its sources {'delays of 2 or more to it, and ' if at_once else ''}fewer"
            " targets or a longer delay to them, so that no relay is needed"
        )
    return problems

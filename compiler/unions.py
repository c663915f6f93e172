"""Unions: sources that share an axon because the network asks for it, so that their simultaneous spikes count once.

A projection with ``merge="or"`` adds the weight w to a neuron if *any* of the sources that it connects to the neuron with w at
one delay spikes. These sources are the members of a union. A union is a source of its own: it spikes when a member does. On the
chip it costs nothing, since any number of neurons and input lines may be sent to one axon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.synapses import Block, Edges

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Unions:
    """Members of union k: ``member[start[k]:start[k + 1]]``, input lines and neurons as numbered in IntegerNetwork, ascending.

    Union k is source ``first`` + k of the network.
    """

    first: int
    start: Array
    member: Array

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def of_member(self) -> Array:
        """Union of every entry of ``member``."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def members(self, union: int) -> Array:
        """Members of one union."""
        return self.member[self.start[union] : self.start[union + 1]]

    def expand(self, source: Array) -> tuple[Array, Array]:
        """Input lines and neurons that stand behind sources [n]: the place 0..n-1 of each in ``source``, and its number.

        Places ascend; a source that is no union stands for itself.
        """
        if not len(self):
            return np.arange(len(source)), source.astype(np.int64)
        union = np.maximum(source - self.first, 0)
        joined = source >= self.first
        count = np.where(joined, np.diff(self.start)[np.where(joined, union, 0)], 1)
        place = np.repeat(np.arange(len(source)), count)
        step = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        inside = joined[place]
        number = source[place].astype(np.int64)
        number[inside] = self.member[self.start[union[place[inside]]] + step[inside]]
        return place, number

    def active(self, spiking: Array) -> Array:
        """Unions with a member among the sources ``spiking``."""
        return np.unique(self.of_member[np.isin(self.member, spiking)])


class UnionFinder:
    """Replaces the synapses of merging projections by those of unions; equal sets of members make one union."""

    def __init__(self, n_sources: int) -> None:
        self.first = n_sources
        self._known: dict[bytes, int] = {}
        self._members: list[Array] = []

    def joined(self, edges: Edges, first_source: int) -> Iterator[Edges]:
        """The synapses of one projection whose sources are numbered from ``first_source``: of single sources, then of unions."""
        target, weight, delay, source = _sorted_columns(edges)
        new = np.ones(len(source), bool)
        new[1:] = (np.diff(target) != 0) | (np.diff(weight) != 0) | (np.diff(delay) != 0)
        first = np.flatnonzero(new)
        size = np.diff(np.append(first, len(source)))
        alone = first[size == 1]
        yield _edges(edges, source[alone], target[alone], weight[alone], delay[alone])
        together = np.flatnonzero(size > 1)
        runs = [source[first[k] : first[k] + size[k]] + first_source for k in together.tolist()]
        union = np.array([self.number(run) for run in runs], np.int64)
        first = first[together]
        yield _edges(edges, union, target[first], weight[first], delay[first], of_unions=True)

    def number(self, members: Array) -> int:
        """Number of the union of these sources (ascending)."""
        key = members.tobytes()
        if key not in self._known:
            self._known[key] = len(self._members)
            self._members.append(members)
        return self._known[key]

    def found(self) -> Unions:
        """All unions so far."""
        start = np.concatenate([[0], np.cumsum([len(members) for members in self._members])]).astype(np.int64)
        return Unions(self.first, start, np.concatenate([np.zeros(0, np.int64), *self._members]))


def _sorted_columns(edges: Edges) -> tuple[Array, Array, Array, Array]:
    """Target, weight, delay and source of all synapses, sorted by them, each once."""
    parts = [np.zeros((4, 0), np.int64)]
    for block in edges.blocks():
        delay = np.broadcast_to(block.delay, len(block.source))
        parts.append(np.stack([block.target, block.weight, delay, block.source]).astype(np.int64))
    columns = np.concatenate(parts, axis=1)
    columns = columns[:, np.lexsort(columns[::-1])]
    new = np.ones(columns.shape[1], bool)
    new[1:] = (np.diff(columns, axis=1) != 0).any(axis=0)
    target, weight, delay, source = columns[:, new]
    return target, weight, delay, source


def _edges(
    edges: Edges, source: Array, target: Array, weight: Array, delay: Array, *, of_unions: bool = False
) -> Edges:
    block = Block(
        source.astype(np.int32),
        target.astype(np.int32),
        weight.astype(np.int32),
        np.ascontiguousarray(delay, np.uint16),
    )
    return Edges(edges.projection, lambda: iter((block,)), of_unions)

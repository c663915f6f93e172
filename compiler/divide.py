"""Copies before there are routes: how many neurons will need, and the division of cores that have no room for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.compiler.cutter import SPAN, Cutter, Run

Array = npt.NDArray[Any]

MOST_DIVIDED = 1.25
"""Cores after a division, relative to those before, beyond which all cores of a population had better get shorter."""
SPARE_PART = 50
"""The part of a core that is left free where the need of copies is not known exactly, as 1 / this."""
FIRST_PARTS = (0.95, 0.5)
"""How full the first parts of divided cores are: full ones are best where neurons share few sources, halves where they do."""


def demands(cutter: Cutter, runs: list[Run]) -> list[int]:
    """Neurons that each run is likely to take, copies for its fan-out included, where these fit beside it."""
    neurons, members = cutter.arch.core.neurons, [run.members for run in runs]
    fan_out = _fan_out(cutter, members)
    wanted = [_wanted(fan_out, core) for core in members]
    return [want if want <= neurons else len(core) for want, core in zip(wanted, members, strict=True)]


def make_room(cutter: Cutter, cores: Sequence[Array], populations: Collection[int]) -> list[Array] | None:
    """The neurons of cores, divided where copies of neurons of these populations have no room beside them.

    None if that takes too many more cores: every neuron that both parts of a core read needs a copy more.
    """
    fan_out, rank = _fan_out(cutter, cores), _ranks(cutter)
    population, weight = cutter.network.population_of(), cutter.network.weight
    # Where weights differ, the code that routing chooses may take an axon more than counted here for some of the sources.
    exact = (weight == weight[:1]).all()
    room = cutter.arch.core.neurons - (0 if exact else cutter.arch.core.neurons // SPARE_PART)
    ways: list[list[Array]] = []
    for share in FIRST_PARTS:
        division = _Division(cutter, cores, fan_out.copy())
        while len(division.cores) <= MOST_DIVIDED * len(cores):
            full = [k for k in division.fuller_than(room) if population[division.cores[k][0]] in populations]
            if not full:
                ways.append(division.cores)
                break
            for k in full:
                division.divide(k, int(share * room), rank)
    return min(ways, key=len, default=None)


class _Division:
    """Cores and the targets [N] that every neuron is likely to need, as cores are divided."""

    def __init__(self, cutter: Cutter, cores: Sequence[Array], fan_out: Array) -> None:
        self.cutter, self.cores, self.fan_out = cutter, list(cores), fan_out

    def fuller_than(self, room: int) -> list[int]:
        """The cores of several neurons that take more than ``room`` with their copies."""
        return [k for k, core in enumerate(self.cores) if len(core) > 1 and _wanted(self.fan_out, core) > room]

    def divide(self, k: int, most: int, rank: Array) -> None:
        """Leave the neurons first by ``rank`` [N], which take ``most`` with their copies; the others get a core."""
        core = self.cores[k][np.argsort(rank[self.cores[k]], kind="stable")]
        ends = np.cumsum(np.maximum(self.fan_out[core], 1))
        n = min(max(int(np.searchsorted(ends, most, side="right")), 1), len(core) - 1)
        np.subtract.at(self.fan_out, _read(self.cutter, core), 1)
        for part in (core[:n], core[n:]):
            np.add.at(self.fan_out, _read(self.cutter, part), 1)
        self.cores[k] = core[:n]
        self.cores.append(core[n:])


def _ranks(cutter: Cutter) -> Array:
    """Place [N] of every neuron in the order of what ties those of its population, where that was looked for."""
    offsets, rank = cutter.network.offsets(), np.arange(cutter.network.n_neurons)
    for number, order in cutter.orders.items():
        rank[offsets[number] + order] = offsets[number] + np.arange(len(order))
    return rank


def _wanted(fan_out: Array, members: Array) -> int:
    """Neurons of a core and their copies."""
    return int(np.maximum(fan_out[members], 1).sum())


def _fan_out(cutter: Cutter, cores: Sequence[Array]) -> Array:
    """Targets [N] that every neuron is likely to need if these neurons share cores."""
    network = cutter.network
    fan_out = np.bincount(network.output_neuron, minlength=network.n_neurons)
    for members in cores:
        np.add.at(fan_out, _read(cutter, members), 1)
    return fan_out


def _read(cutter: Cutter, members: Array) -> Array:
    """Neurons that a core reads, each as often as it is likely to need an axon: for every delay and weight."""
    network = cutter.network
    signals, core = cutter.core(members)
    values, rank = core.ranked
    read, _ = distinct(core.signal * len(values) + rank)
    source = network.unions.expand(signals[read // max(len(values), 1)] // SPAN)[1] - network.n_inputs
    return np.asarray(source[source >= 0])

"""Quantisation ``fit``: which neurons share a core, and the values of their axon types.

Neurons that share a core share its axons and the types of these, so that the fewer they are the better their weights can be
fitted, and the more cores and relays the network takes. :func:`fit_populations` begins with as many neurons a core as do not
matter, and doubles where that saves most cores for least loss, until an estimate of all cores keeps within the budget.

Neurons of a convolution are grouped by pixel: the neurons of some channels at one pixel read the same sources with the same
weights as those at every other pixel, so that a whole map needs one fit per group of channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.floats import FloatNetwork
from neurocore.compiler.network import Network
from neurocore.compiler.typefit import TypeFit, fit_types
from neurocore.errors import FitError
from neurocore.wording import setting

Array = npt.NDArray[Any]


MOST_TRIED = 24
"""Groups of a population that are fitted to judge how many neurons may share a core."""
WORTH_IT, LOSS_UNIT = 1.1, 0.005
"""Relative errors that differ by less than this factor, or by this much, are not worth more cores."""


@dataclass(frozen=True)
class Members:
    """Groups of neurons [groups, neurons of a group] that read the same ``wanted`` weights [sources, neurons of a group]."""

    neurons: Array
    wanted: Array


@dataclass(frozen=True)
class FittedPopulation:
    """Values [size, types] of every neuron, connections [synapses, types] in the order of the flat network, group [size]."""

    values: Array
    connected: npt.NDArray[np.bool_]
    group: Array
    neurons_per_core: int


class _Choice:
    """A population's fits for 1, 2, 4, ... neurons a core, made when they are asked for."""

    def __init__(self, network: Network, name: str, part: range, flat: FloatNetwork, arch: Architecture) -> None:
        self.network, self.name, self.part, self.flat, self.arch = network, name, part, flat, arch
        self.first = flat.starts()
        own = slice(self.first[part.start], self.first[part.stop])
        span = int(flat.delay.max(initial=0)) + 1
        # A signal is a source with a delay.
        self.signal = flat.source * span + flat.delay
        self.from_neurons = bool((flat.source[own] >= flat.n_inputs).any())
        self.fits: dict[tuple[int, int], TypeFit] = {}
        self.losses: dict[int, float] = {}

    def fit(self, share: int) -> list[tuple[Members, TypeFit]]:
        """Members and their fits if ``share`` neurons share a core."""
        return [(item, self.fit_one(share, number, item)) for number, item in enumerate(self.members(share))]

    def fit_one(self, share: int, number: int, item: Members) -> TypeFit:
        """The fit of one of the groups."""
        if (share, number) not in self.fits:
            core = self.arch.core
            self.fits[share, number] = fit_types(item.wanted, core.axon_types, core.axons)
        return self.fits[share, number]

    def members(self, share: int) -> Iterator[Members]:
        """The groups of ``share`` neurons."""
        maps = self._maps()
        if maps is None:
            for begin in range(self.part.start, self.part.stop, share):
                yield self._listed(np.arange(begin, min(begin + share, self.part.stop)))
            return
        numbers, per_group = maps
        for begin in range(0, len(numbers), per_group):
            for low in range(begin, begin + per_group, share):
                channels = np.arange(low, min(low + share, begin + per_group))
                # The neurons of an inner pixel have every synapse of the kernel; those at the border lack some.
                count = np.diff(self.first)[numbers[channels]].sum(axis=0)
                inner = self._listed(numbers[channels][:, int(count.argmax())])
                yield Members(numbers[channels].T, inner.wanted)

    def _listed(self, neurons: Array) -> Members:
        """Some neurons with their weights, rows being the signals that any of them reads."""
        synapse = np.concatenate([np.arange(self.first[neuron], self.first[neuron + 1]) for neuron in neurons])
        column = np.repeat(np.arange(len(neurons)), np.diff(self.first)[neurons])
        signals, row = np.unique(self.signal[synapse], return_inverse=True)
        wanted = np.zeros((len(signals), len(neurons)))
        wanted[row, column] = self.flat.weight[synapse]
        return Members(neurons[None], wanted)

    def _maps(self) -> tuple[Array, int] | None:
        """Neuron numbers [channel, pixel] and channels per group, if all weights come from one kernel that fits the map."""
        incoming = [item for item in self.network.projections if item.target == self.name]
        shape = self.network.populations[self.name].shape
        if len(incoming) != 1 or incoming[0].conv2d is None or len(shape) != 3:
            return None
        kernel = np.asarray(incoming[0].conv2d.kernel)
        size = np.count_nonzero(kernel.reshape(len(kernel), -1), axis=1)
        numbers = np.arange(self.part.start, self.part.stop).reshape(shape[0], -1)
        if (np.diff(self.first)[numbers].max(axis=1) != size).any():
            return None
        return numbers, shape[0] // int(np.asarray(incoming[0].conv2d.groups))

    def misfit(self) -> str | None:
        """What is wrong if some neuron reads more signals than a core has axons."""
        reads = np.diff(self.first)[self.part.start : self.part.stop]
        most, worst = int(reads.max(initial=0)), int(reads.argmax())
        if most <= self.arch.core.axons:
            return None
        return (
            f"E-FANIN population {self.name!r}: {self.name}[{worst}] reads {most} signals (source and delay), each of which needs"
            f" an axon; a core of {self.arch.name!r} has {self.arch.core.axons} ({most - self.arch.core.axons} over;"
            f" {int((reads > self.arch.core.axons).sum())} of {len(reads)} neurons are). Limit receptive fields, split"
            f" {self.name!r} into groups, or use {setting('quantise', 'weight_bits=B')} or {setting('quantise', 'levels=N')},"
            f" whose weights {setting('fan_in', 'dilate')} can gather"
        )

    def possible(self, share: int) -> bool:
        """Whether groups of ``share`` neurons can be cut at all: the core has axons for their signals, one each."""
        maps = self._maps()
        most = len(self.part) if maps is None else maps[1]
        if share > self.arch.core.neurons or share >= 2 * most:
            return False
        return all(len(item.wanted) <= self.arch.core.axons for item in self.members(share))

    def groups(self, share: int) -> int:
        """Cores for the neurons themselves."""
        return sum(len(item.neurons) for item in self.members(share))

    def driven(self, share: int) -> float:
        """Axons of these cores that neurons drive; each takes a neuron, a copy or a relay."""
        total = 0.0
        count = np.diff(self.first)
        for item in self.members(share):
            axons = min(self.arch.core.axons, len(item.wanted) * self.arch.core.axon_types)
            reads = count[item.neurons].max(axis=1)
            # At the border of a map a group reads less.
            total += axons * float((reads / max(1, reads.max(initial=0))).sum())
        return total * self.from_neurons

    def loss(self, share: int) -> float:
        """Squared error over squared weights; of many groups, some are tried."""
        if share not in self.losses:
            items = list(enumerate(self.members(share)))
            chosen = items[:: -(-len(items) // MOST_TRIED)]
            error = sum(self.fit_one(share, number, item).error * len(item.neurons) for number, item in chosen)
            energy = sum(float((item.wanted**2).sum()) * len(item.neurons) for _, item in chosen)
            self.losses[share] = error / energy if energy else 0.0
        return self.losses[share]

    def coarsest(self) -> int:
        """The most neurons a core, doubling, whose loss is nearly that of one neuron a core."""
        share, bound = 1, WORTH_IT * np.sqrt(self.loss(1)) + LOSS_UNIT
        while self.possible(2 * share) and np.sqrt(self.loss(2 * share)) <= bound:
            share *= 2
        return share


def fit_populations(
    network: Network, flat: FloatNetwork, wanted: Mapping[str, range], arch: Architecture, budget: int
) -> dict[str, FittedPopulation]:
    """Fits for all populations of ``wanted``. Raises FitError that lists every one with a neuron that no core can hold."""
    choices = {name: _Choice(network, name, part, flat, arch) for name, part in wanted.items()}
    problems = [problem for choice in choices.values() if (problem := choice.misfit()) is not None]
    if problems:
        raise FitError(problems)
    others = flat.n_neurons - sum(len(choice.part) for choice in choices.values())
    share = {name: choice.coarsest() for name, choice in choices.items()}
    while (cores := _estimate(network, choices, share, others, arch)) > budget:
        price: dict[str, float] = {}
        for name, choice in choices.items():
            if choice.possible(2 * share[name]):
                fewer = _estimate(network, choices, {**share, name: 2 * share[name]}, others, arch)
                added = choice.loss(2 * share[name]) - choice.loss(share[name])
                price[name] = added / (cores - fewer) if fewer < cores else np.inf
        if not price:
            break
        share[min(price, key=lambda item: price[item])] *= 2
    return {name: _spread(choice, share[name]) for name, choice in choices.items()}


def _estimate(
    network: Network, choices: Mapping[str, _Choice], share: Mapping[str, int], others: int, arch: Architecture
) -> float:
    """Cores of all groups, and of the copies and relays that drive their axons; copies find room beside their neurons."""
    groups = {name: choice.groups(share[name]) for name, choice in choices.items()}
    total = sum(groups.values()) + others / arch.core.neurons
    for name, choice in choices.items():
        sources = {item.source for item in network.projections if item.target == name} & set(choices)
        room = sum(groups[source] * (arch.core.neurons - share[source]) for source in sources)
        total += max(0.0, choice.driven(share[name]) - room) / arch.core.neurons
    return total


def _spread(choice: _Choice, share: int) -> FittedPopulation:
    """A fit for every neuron and synapse of a population."""
    flat, part, first = choice.flat, choice.part, choice.first
    begin = int(first[part.start])
    n_types = choice.arch.core.axon_types
    values, group = np.zeros((len(part), n_types)), np.zeros(len(part), np.int64)
    connected = np.zeros((int(first[part.stop]) - begin, n_types), bool)
    n_groups = 0
    for members, fit in choice.fit(share):
        values[members.neurons - part.start] = fit.values[None]
        group[members.neurons - part.start] = n_groups + np.arange(len(members.neurons))[:, None]
        n_groups += len(members.neurons)
        for column in range(members.wanted.shape[1]):
            _connect(flat, first, members, fit, column, connected, begin)
    return FittedPopulation(values, connected, group, share)


def _connect(
    flat: FloatNetwork, first: Array, members: Members, fit: TypeFit, column: int, connected: Array, begin: int
) -> None:
    """Connections of one neuron of every group: what the fit says for the row of its weight.

    A neuron of a map reads the kernel's taps in the order of its sources; those at the border lack some.
    """
    rows = np.flatnonzero(members.wanted[:, column])
    own = [np.arange(first[neuron], first[neuron + 1]) for neuron in members.neurons[:, column]]
    taps = flat.tap[max(own, key=len)]
    for synapses in own:
        whole = len(synapses) == len(rows)
        mine = rows if whole else rows[np.searchsorted(taps, flat.tap[synapses])]
        connected[synapses - begin] = fit.connected[mine, column]

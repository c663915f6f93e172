"""Copies before there are routes: how many neurons will need, and the division of cores that have no room for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.compiler.cutter import SPAN, Cutter, Run
from neurocore.compiler.nets import Nets, cut_with_room, cut_without_room

Array = npt.NDArray[Any]

MOST_DIVIDED = 1.25
"""Cores after a division, relative to those before, beyond which all cores of a population had better get shorter."""
MOST_RECUT = 20_000_000
"""Synapses of neurons that are cut anew."""
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


def recut(cutter: Cutter, runs: Sequence[Run], populations: Collection[int]) -> list[Array] | None:
    """The neurons of runs, those of these populations cut anew with room for their copies, in the order in which they stand.

    Where weights need no more axons than one for each signal and weight, their cores are as full as can be, and fit; else they
    are likely to. None where neurons share cores and sources share axons for other reasons, or there are too many synapses.
    """
    if not can_recut(cutter, populations):
        return None
    network = cutter.network
    population = network.population_of()
    chosen = sorted(
        (run for run in runs if population[run.members[0]] in populations), key=lambda run: population[run.members[0]]
    )
    others = [run.members for run in runs if population[run.members[0]] not in populations]
    neurons = np.concatenate([run.members for run in chosen])
    nets = _nets(cutter, chosen, neurons, _fan_out(cutter, others)[neurons])
    orders = np.split(np.arange(len(neurons)), np.flatnonzero(np.diff(population[neurons])) + 1)
    cut = cut_with_room(nets, cut_without_room(nets, *orders), *orders)
    return others + np.split(neurons, np.flatnonzero(np.diff(cut.core)) + 1)


def can_recut(cutter: Cutter, populations: Collection[int]) -> bool:
    """Whether :func:`recut` cuts these populations."""
    network, offsets = cutter.network, cutter.network.offsets()
    size = sum(int(network.start[offsets[number + 1]] - network.start[offsets[number]]) for number in populations)
    return network.values is None and not len(network.unions) and 0 < size <= MOST_RECUT


def _nets(cutter: Cutter, runs: Sequence[Run], neurons: Array, exits: Array) -> Nets:
    """What neurons read, a net for every signal and weight; ``runs`` of them say how many axons these may take."""
    network, core = cutter.network, cutter.arch.core
    synapse, place = cutter.synapses_of(neurons)
    values, rank = distinct(network.weight[synapse].astype(np.int64) * 2 + network.stochastic[synapse])
    nets, net = distinct(cutter.signals_of(synapse) * len(values) + rank)
    source = nets // len(values) // SPAN - network.n_inputs
    number = np.full(network.n_neurons + 1, -1)
    number[neurons] = np.arange(len(neurons))
    per_net, room = 1.0, core.neurons
    if len(values) > core.axon_types:
        run = np.repeat(np.arange(len(runs)), [len(item.members) for item in runs])
        pairs = len(distinct(run[place] * len(nets) + net)[0])
        per_net = max(sum(item.n_axons for item in runs) / pairs, 1.0)
        room -= core.neurons // SPARE_PART
    return Nets(
        np.concatenate([[0], np.cumsum(cutter.start[neurons + 1] - cutter.start[neurons])]),
        net.astype(np.int32),
        number[np.maximum(source, -1)].astype(np.int32),
        exits,
        np.array([core.neurons, core.axons / per_net, room / per_net], np.int64),
    )


def make_room(cutter: Cutter, cores: Sequence[Array], populations: Collection[int]) -> list[Array] | None:
    """The neurons of cores, divided where copies of neurons of these populations have no room beside them.

    None if that takes too many more cores: every neuron that both parts of a core read needs a copy more.
    """
    fan_out, rank = _fan_out(cutter, cores), _ranks(cutter)
    population = cutter.network.population_of()
    room = cutter.arch.core.neurons - (0 if _is_exact(cutter) else cutter.arch.core.neurons // SPARE_PART)
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


def _is_exact(cutter: Cutter) -> bool:
    """Whether a core takes no more axons than its signals have weights: there are types for all weights."""
    network = cutter.network
    if network.values is not None or network.n_synapses > MOST_RECUT:
        return False
    return len(distinct(network.weight.astype(np.int64) * 2 + network.stochastic)[0]) <= cutter.arch.core.axon_types


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
    return fan_out + np.bincount(_read(cutter, *cores), minlength=network.n_neurons)


def _read(cutter: Cutter, *cores: Array) -> Array:
    """Neurons that cores read, each as often as it is likely to need an axon: for every core, delay and weight."""
    network, parts = cutter.network, [np.zeros(0, np.int64)]
    for synapse, core, _ in cutter.batches(cores):
        signals, signal = distinct(cutter.signals_of(synapse))
        values, rank = distinct(network.weight[synapse].astype(np.int64) * 2 + network.stochastic[synapse])
        weighted = signal * len(values) + rank if len(values) > 1 else signal
        read, _ = distinct(core * (len(signals) * len(values)) + weighted if len(core) > 1 else weighted)
        parts.append(signals[read // max(len(values), 1) % max(len(signals), 1)] // SPAN)
    source = network.unions.expand(np.concatenate(parts))[1] - network.n_inputs
    return np.asarray(source[source >= 0])

"""Second stage: which neurons share a core.

Each population is cut, in an order of its own, into runs that fit a core (neurons and axons, weight code included); runs that
leave room are then packed together. Axons are the scarce resource, not neurons: a core needs an axon for every signal
(source and delay) that any of its neurons reads, and more where the weight code asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.encode import CoreSynapses, encode
from neurocore.errors import FitError

Array = npt.NDArray[Any]

TILES = tuple((height, width) for height in range(1, 5) for width in range(1, 5)) + tuple(
    (n, n) for n in (5, 6, 8, 12, 16)
)
"""Tiles in which maps are cut: rows and columns."""
MAX_TRIES = 8
"""Cores that the packer tries for one run before it opens a new core."""


@dataclass(frozen=True)
class Partition:
    """Neurons of every core, in order; ``codes`` names the weight code that each core had when it was cut."""

    members: tuple[Array, ...]
    codes: tuple[str, ...]

    @property
    def n_cores(self) -> int:
        """Cores used."""
        return len(self.members)

    def core_of(self, n_neurons: int) -> Array:
        """Core [n_neurons] of every neuron."""
        result = np.full(n_neurons, -1, np.int64)
        for core, members in enumerate(self.members):
            result[members] = core
        return result

    def dump(self, network: IntegerNetwork) -> str:
        """One line per core: its neurons by population, and the weight code."""
        population, offsets = network.population_of(), network.offsets()
        lines = [f"partition: {self.n_cores} cores"]
        for core, members in enumerate(self.members):
            parts = []
            for number in np.unique(population[members]):
                inside = members[population[members] == number] - offsets[number]
                parts.append(f"{network.populations[number].name}{_runs(inside)}")
            lines.append(f"  core {core}: {len(members)} neurons, {self.codes[core]}: {' '.join(parts)}")
        return "\n".join(lines)


def _runs(index: Array) -> str:
    """Indices as ``[0..3,7]``."""
    index = np.sort(index)
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    shown = [f"{part[0]}" if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in np.split(index, breaks)]
    return f"[{','.join(shown)}]"


@dataclass(frozen=True)
class _Run:
    """Neurons that were cut together, with what their core needs."""

    members: Array
    n_axons: int
    code: str


class Cutter:
    """What cutting and packing need to know of a network: its synapses by target, with signals numbered."""

    def __init__(self, network: IntegerNetwork, arch: Architecture) -> None:
        self.network, self.arch = network, arch
        span = int(network.delay.max(initial=0)) + 1
        self.signals, self.signal = np.unique(network.source * span + network.delay, return_inverse=True)
        key = network.weight * 2 + network.stochastic
        _, rank = np.unique(key, return_inverse=True)
        self.valued = self.signal.astype(np.int64) * (int(rank.max(initial=0)) + 1) + rank
        self.start = np.searchsorted(network.target, np.arange(network.n_neurons + 1))

    def synapses_of(self, neurons: Array) -> tuple[Array, Array]:
        """Synapse numbers of the given neurons, one neuron after the other, and the place of each one's neuron."""
        count = self.start[neurons + 1] - self.start[neurons]
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        place = np.repeat(np.arange(len(neurons)), count)
        return np.arange(total) - np.repeat(ends - count - self.start[neurons], count), place

    def need(self, neurons: Array) -> tuple[int, str]:
        """Axons that a core with these neurons needs (more than the core has if there is no code), and the code."""
        synapse, place = self.synapses_of(neurons)
        used, signal = np.unique(self.signal[synapse], return_inverse=True)
        if len(used) > self.arch.core.axons:
            return len(used), "too many signals"
        net = self.network
        values = None if net.values is None or not net.values[neurons].any() else net.values[neurons]
        core = CoreSynapses(
            signal, place, net.weight[synapse], net.stochastic[synapse], len(used), len(neurons), values
        )
        encoding = encode(core, self.arch, thrifty=False)
        if encoding is None:
            return self.arch.core.axons + 1, "no exact weight code"
        return encoding.n_axons, encoding.code


def partition(network: IntegerNetwork, arch: Architecture, limits: Mapping[int, int]) -> Partition:
    """Assign neurons to cores.

    ``limits`` maps a population number to the most neurons of it that may share a core, where room must be left for copies.
    Raises FitError (E-FANIN, E-LEVELS) that lists every population with a neuron that no core can hold.
    """
    cutter = Cutter(network, arch)
    problems: list[str] = []
    runs: list[_Run] = []
    offsets = network.offsets()
    for number, group in enumerate(network.populations):
        most = min(limits.get(number, arch.core.neurons), arch.core.neurons)
        misfit = _misfit(cutter, number)
        if misfit:
            problems.append(misfit)
            continue
        if network.group is not None and network.group[offsets[number]] >= 0:
            runs.extend(_grouped(cutter, int(offsets[number]), int(offsets[number + 1]), most))
            continue
        orders = [offsets[number] + order for order in _orders(group.shape)]
        best = min(orders, key=lambda order: _estimate(cutter, order, most)) if len(orders) > 1 else orders[0]
        runs.extend(_cut(cutter, best, most))
    if problems:
        raise FitError(problems)
    runs = _pack(cutter, runs, limits, _demands(cutter, runs))
    return Partition(tuple(run.members for run in runs), tuple(run.code for run in runs))


def _misfit(cutter: Cutter, number: int) -> str | None:
    """What is wrong with a population of which some neuron fits no core, even by itself."""
    network, arch = cutter.network, cutter.arch
    offsets = network.offsets()
    neurons = np.arange(offsets[number], offsets[number + 1])
    fan_in = cutter.start[neurons + 1] - cutter.start[neurons]
    name = network.populations[number].name
    worst = int(neurons[np.argmax(fan_in)])
    if fan_in.max(initial=0) > arch.core.axons:
        count = int((fan_in > arch.core.axons).sum())
        return (
            f"E-FANIN population {name!r}: {network.label(worst)} reads {int(fan_in.max())} signals (source and delay), each"
            f" of which needs an axon; a core of {arch.name!r} has {arch.core.axons} ({int(fan_in.max()) - arch.core.axons}"
            f" over; {count} of {len(neurons)} neurons are). Limit receptive fields, or split {name!r} into groups"
        )
    for neuron in neurons[np.argsort(-fan_in, kind="stable")][:64]:
        if cutter.need(np.array([neuron]))[0] > arch.core.axons:
            return _why_not(cutter, int(neuron))
    return None


def _why_not(cutter: Cutter, neuron: int) -> str:
    """Why no core holds a neuron, even by itself."""
    network, arch = cutter.network, cutter.arch
    need, code = cutter.need(np.array([neuron]))
    weights = network.weight[cutter.start[neuron] : cutter.start[neuron + 1]]
    name = network.populations[int(network.population_of()[neuron])].name
    levels = len(np.unique(weights))
    if code == "no exact weight code":
        return (
            f"E-LEVELS population {name!r}: {network.label(neuron)} has {levels} different weights up to"
            f" {int(np.abs(weights).max())}; {arch.name!r} has {arch.core.axon_types} axon types of {arch.neuron.weight} and no"
            " exact code fits. Use fewer or smaller weights"
        )
    return (
        f"E-FANIN population {name!r}: {network.label(neuron)} reads {len(weights)} signals with {levels} different weights, for"
        f" which the best code found takes {need} axons; a core of {arch.name!r} has {arch.core.axons}"
        f" ({need - arch.core.axons} over). Limit receptive fields or use fewer different weights"
    )


# ---------------------------------------------------------------- orders


def _orders(shape: tuple[int, ...]) -> list[Array]:
    """Orders in which a population may be cut: as numbered, and for maps [channel, row, column] in tiles."""
    natural = np.arange(int(np.prod(shape, dtype=np.int64)))
    if len(shape) < 2 or min(shape[-2:]) < 2:
        return [natural]
    number = natural.reshape(-1, *shape[-2:])
    rows, columns = shape[-2:]
    orders = [natural]
    orders += [_tiles(number, *tile) for tile in TILES if tile[0] <= rows and tile[1] <= columns]
    return orders


def _tiles(number: Array, height: int, width: int) -> Array:
    """Numbers [channel, row, column] tile by tile, all channels of a tile together, pixels within it in order."""
    rows, columns = number.shape[1:]
    row, column = np.indices((rows, columns))
    tile = row // height * -(-columns // width) + column // width
    by_pixel = number.reshape(len(number), -1)
    order = np.argsort(tile.reshape(-1), kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(tile.reshape(-1)[order])) + 1)
    return np.concatenate([by_pixel[:, block].reshape(-1) for block in blocks])


# ---------------------------------------------------------------- cutting


class _Sweep:
    """Counts, for every run of an order, the different signals that it reads, without looking at a synapse twice."""

    def __init__(self, cutter: Cutter, order: Array, key: Array) -> None:
        synapse, self.place = cutter.synapses_of(order)
        self.first = np.searchsorted(self.place, np.arange(len(order) + 1))
        value = key[synapse]
        by_value = np.argsort(value, kind="stable")
        before = np.full(len(value), -1, np.int64)
        same = value[by_value][1:] == value[by_value][:-1]
        before[by_value[1:][same]] = self.place[by_value[:-1][same]]
        self.before = before

    def reach(self, begin: int, most: int, limit: int) -> tuple[int, int]:
        """The longest run from ``begin`` of at most ``most`` neurons and ``limit`` signals, and how many of these it reads."""
        end = min(begin + most, len(self.first) - 1)
        part = slice(self.first[begin], self.first[end])
        new = self.before[part] < begin
        count = np.bincount(self.place[part][new] - begin, minlength=end - begin)
        total = np.cumsum(count)
        size = int(np.searchsorted(total, limit, side="right"))
        return size, int(total[size - 1]) if size else 0


def _estimate(cutter: Cutter, order: Array, most: int) -> tuple[int, int]:
    """Cores that an order would need if every signal took one axon per weight, and the axons used."""
    sweep = _Sweep(cutter, order, cutter.valued)
    begin = cores = axons = 0
    while begin < len(order):
        size, used = sweep.reach(begin, most, cutter.arch.core.axons)
        begin += max(1, size)
        cores += 1
        axons += used
    return cores, axons


def _cut(cutter: Cutter, order: Array, most: int) -> list[_Run]:
    """Runs of an order, each as long as fits a core."""
    signals, valued = _Sweep(cutter, order, cutter.signal), _Sweep(cutter, order, cutter.valued)
    limit = cutter.arch.core.axons
    runs, begin = [], 0
    while begin < len(order):
        upper = max(1, signals.reach(begin, most, limit)[0])
        lower = max(1, min(upper, valued.reach(begin, most, limit)[0]))
        size = _longest(_Fits(cutter, order[begin:]), lower, upper)
        members = order[begin : begin + size]
        if size == 1 and cutter.need(members)[0] > limit:
            raise FitError(_why_not(cutter, int(members[0])))
        runs.append(_Run(members, *cutter.need(members)))
        begin += size
    return runs


def _grouped(cutter: Cutter, begin: int, end: int, most: int) -> list[_Run]:
    """Runs of the neurons that were fitted to share a core; a group that must be smaller is cut as any other."""
    group = cutter.network.group
    assert group is not None, "the network was fitted"
    neurons = np.arange(begin, end)
    order = neurons[np.argsort(group[neurons], kind="stable")]
    runs: list[_Run] = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        need = cutter.need(members)
        fits = len(members) <= most and need[0] <= cutter.arch.core.axons
        runs.extend([_Run(members, *need)] if fits else _cut(cutter, members, most))
    return runs


@dataclass(frozen=True)
class _Fits:
    """Whether the first ``size`` neurons of an order fit a core."""

    cutter: Cutter
    order: Array

    def __call__(self, size: int) -> bool:
        return self.cutter.need(self.order[:size])[0] <= self.cutter.arch.core.axons


def _longest(fits: Callable[[int], bool], lower: int, upper: int) -> int:
    """The longest run between the bounds that fits; shorter than ``lower`` only if that does not fit. At least 1."""
    if fits(upper):
        return upper
    while lower > 1 and not fits(lower):
        lower, upper = lower // 2, lower
    while upper - lower > max(1, lower // 32):
        middle = (lower + upper) // 2
        if fits(middle):
            lower = middle
        else:
            upper = middle
    return lower


# ---------------------------------------------------------------- packing


def _demands(cutter: Cutter, runs: list[_Run]) -> list[int]:
    """Neurons that each run is likely to take, copies for its fan-out included, where these fit beside it."""
    network, neurons = cutter.network, cutter.arch.core.neurons
    run_of = np.zeros(network.n_neurons, np.int64)
    for number, run in enumerate(runs):
        run_of[run.members] = number
    pairs = np.unique(
        run_of[network.target] * (int(cutter.valued.max(initial=0)) + 1) + cutter.valued, return_index=True
    )[1]
    source = network.source[pairs] - network.n_inputs
    fan_out = np.bincount(source[source >= 0], minlength=network.n_neurons)
    fan_out += np.bincount(network.output_neuron, minlength=network.n_neurons)
    wanted = [int(np.maximum(fan_out[run.members], 1).sum()) for run in runs]
    return [want if want <= neurons else len(run.members) for want, run in zip(wanted, runs, strict=True)]


def _pack(cutter: Cutter, runs: list[_Run], limits: Mapping[int, int], demands: list[int]) -> list[_Run]:
    """Put runs that leave room together, those that share most signals first; the largest open a core."""
    arch, population = cutter.arch, cutter.network.population_of()
    order = sorted(range(len(runs)), key=lambda number: (-runs[number].n_axons, -len(runs[number].members), number))
    cores: list[_Run] = []
    signals: list[frozenset[int]] = []
    opened: list[int] = []
    room: list[int] = []
    for number in order:
        run = runs[number]
        bounded = population[run.members[0]] in limits
        mine = frozenset(np.unique(cutter.signal[cutter.synapses_of(run.members)[0]]).tolist())
        place = None if bounded else _find_room(cutter, run, mine, cores, signals, room, demands[number])
        if place is None:
            cores.append(run)
            room.append(0 if bounded else arch.core.neurons - demands[number])
            signals.append(mine)
            opened.append(number)
            continue
        members = np.concatenate([cores[place].members, run.members])
        cores[place] = _Run(members, *cutter.need(members))
        signals[place] |= mine
        room[place] -= demands[number]
        opened[place] = min(opened[place], number)
    return [cores[place] for place in sorted(range(len(cores)), key=lambda place: opened[place])]


def _find_room(
    cutter: Cutter,
    run: _Run,
    mine: frozenset[int],
    cores: list[_Run],
    signals: list[frozenset[int]],
    room: list[int],
    demand: int,
) -> int | None:
    """The core with most signals in common that can also take the run; ``room`` is for neurons and their copies."""
    arch = cutter.arch
    possible = [place for place in range(len(cores)) if room[place] >= demand]
    possible.sort(key=lambda place: (-len(signals[place] & mine), place))
    for place in possible[:MAX_TRIES]:
        shared = len(signals[place] & mine)
        if len(signals[place]) + len(mine) - shared > arch.core.axons:
            continue
        # Without a signal in common, the axons simply add up.
        if not shared and cores[place].n_axons + run.n_axons > arch.core.axons:
            continue
        if cutter.need(np.concatenate([cores[place].members, run.members]))[0] <= arch.core.axons:
            return place
    return None

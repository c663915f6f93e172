"""Second stage: which neurons share a core.

Each population is cut, in an order of its own, into runs that fit a core (neurons and axons, weight code included); runs that
leave room are then packed together. Axons are the scarce resource, not neurons: a core needs an axon for every signal
(source and delay) that any of its neurons reads, and more where the weight code asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import Runs, count_weights, distinct
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.encode import CoreSynapses, choose
from neurocore.compiler.groups import Nets, find_groups
from neurocore.errors import FitError

Array = npt.NDArray[Any]

TILES = tuple((height, width) for height in range(1, 5) for width in range(1, 5)) + tuple(
    (n, n) for n in (5, 6, 8, 12, 16)
)
"""Tiles in which maps are cut: rows and columns."""
MAX_SUSPECTS = 64
"""Neurons of a population that are looked at one by one before it is cut."""
SPAN = 1 << 16
"""More than the longest delay: a signal is source * SPAN + delay."""
MAX_TRIES = 8
"""Cores that the packer tries for one run before it opens a new core."""


WASTE = 1.1
"""Cores of a population, relative to the least that its neurons and signals need, beyond which other groups are sought."""
MOST_REGROUPED = 20_000_000
"""Synapses of a population up to which they are."""


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
    """What cutting and packing need to know of a network: the synapses of any neurons, and how far runs of them reach."""

    def __init__(self, network: IntegerNetwork, arch: Architecture) -> None:
        self.network, self.arch, self.start = network, arch, network.start
        chance = network.stochastic.view(np.uint8)
        self.runs = Runs(network.start, network.source, network.weight, network.delay, chance, arch.core.axons)

    @cached_property
    def random(self) -> Array:
        """Neurons [N] that draw random numbers."""
        return random_neurons(self.network)

    def outer_reads(self, number: int) -> Array:
        """Neurons of a population, once for every other population that reads them."""
        population, neuron = self._reads_between
        return neuron[(population == number)]

    @cached_property
    def _reads_between(self) -> tuple[Array, Array]:
        """Population and number of every neuron, once for every other population that reads it."""
        network = self.network
        offsets, of = network.offsets(), network.population_of()
        parts = [np.zeros(0, np.int64)]
        for number in range(len(network.populations)):
            span = slice(int(network.start[offsets[number]]), int(network.start[offsets[number + 1]]))
            read = distinct(network.source[span].astype(np.int64))[0] - network.n_inputs
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
        return signals, CoreSynapses(signal, place, weight, chance, len(signals), len(neurons))

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
        orders = [offsets[number] + order for order in _orders(group.shape)]
        best = _best_order(cutter, orders, most) if len(orders) > 1 else orders[0]
        natural = _cut(cutter, best, most)
        runs.extend(_regrouped(cutter, number, natural, most) or natural)
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
    suspects = cutter.suspects(int(offsets[number]), int(offsets[number + 1]))
    for neuron in suspects[np.argsort(-fan_in[suspects - offsets[number]], kind="stable")][:MAX_SUSPECTS]:
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


def _estimate(cutter: Cutter, order: Array, most: int, enough: int) -> tuple[int, int]:
    """Cores that an order would need if every signal took one axon per weight, and the axons; gives up beyond ``enough``."""
    return cutter.runs.count(order, most, cutter.arch.core.axons, True, enough)


def _best_order(cutter: Cutter, orders: list[Array], most: int) -> Array:
    """The order that needs fewest cores, then fewest axons; the first of equals."""
    best, best_need = orders[0], _estimate(cutter, orders[0], most, len(orders[0]))
    for order in orders[1:]:
        need = _estimate(cutter, order, most, best_need[0])
        if need < best_need:
            best, best_need = order, need
    return best


def _cut(cutter: Cutter, order: Array, most: int) -> list[_Run]:
    """Runs of an order, each as long as fits a core."""
    limit = cutter.arch.core.axons
    runs, begin = [], 0
    while begin < len(order):
        upper = max(1, cutter.runs.longest(order, begin, most, limit, False)[0])
        lower = max(1, min(upper, cutter.runs.longest(order, begin, most, limit, True)[0]))
        fits = _Fits(cutter, order[begin:])
        size = _longest(fits, lower, upper)
        if not fits(size):
            raise FitError(_why_not(cutter, int(order[begin])))
        runs.append(_Run(order[begin : begin + size], *fits.need(size)))
        begin += size
    return runs


class _Fits:
    """Whether the first ``size`` neurons of an order fit a core."""

    def __init__(self, cutter: Cutter, order: Array) -> None:
        self.cutter, self.order = cutter, order
        self.known: dict[int, tuple[int, str]] = {}

    def need(self, size: int) -> tuple[int, str]:
        """Axons and code of the first neurons."""
        if size not in self.known:
            self.known[size] = self.cutter.need(self.order[:size])
        return self.known[size]

    def __call__(self, size: int) -> bool:
        return self.need(size)[0] <= self.cutter.arch.core.axons


def _regrouped(cutter: Cutter, number: int, natural: list[_Run], most: int) -> list[_Run] | None:
    """The runs of groups found by wiring, if the population's own order wastes cores and these waste fewer."""
    network, arch = cutter.network, cutter.arch
    begin, end = (int(edge) for edge in network.offsets()[number : number + 2])
    part = slice(int(network.start[begin]), int(network.start[end]))
    if len(natural) < 3 or part.stop - part.start > MOST_REGROUPED:
        return None
    signals, signal = distinct(cutter.signals_of(np.arange(part.start, part.stop)))
    # Codes that take several axons a signal leave room for fewer signals.
    taken = [len(distinct(cutter.signals_of(cutter.synapses_of(run.members)[0]))[0]) for run in natural]
    per_signal = max(sum(run.n_axons for run in natural) / max(sum(taken), 1), 1.0)
    room = max(int(arch.core.axons / per_signal), 1)
    least = max(-(-(end - begin) // most), -(-len(signals) // room))
    if len(natural) <= WASTE * least:
        return None
    source = signals // SPAN - network.n_inputs
    inside = (source >= begin) & (source < end)
    exits = np.bincount(network.output_neuron, minlength=network.n_neurons)[begin:end]
    exits = exits + np.bincount(cutter.outer_reads(number) - begin, minlength=end - begin)
    copyable = not cutter.random[begin:end].any()
    nets = Nets(
        np.asarray(network.start[begin : end + 1] - part.start),
        signal.astype(np.int32),
        np.where(inside, source - begin, -1).astype(np.int32),
        exits.astype(np.int64),
        np.array([most, room, arch.core.neurons if copyable else np.iinfo(np.int32).max], np.int64),
    )
    core = find_groups(nets, len(natural))
    if core is None:
        return None
    order = np.argsort(core, kind="stable")
    groups = np.split(begin + order, np.flatnonzero(np.diff(core[order])) + 1)
    runs = [run for group in groups for run in _cut(cutter, group, most)]
    return runs if len(runs) < len(natural) else None


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
    fan_out = np.bincount(network.output_neuron, minlength=network.n_neurons)
    for run in runs:
        signals, core = cutter.core(run.members)
        values, rank = distinct(core.weight * 2 + core.stochastic)
        read, _ = distinct(core.signal * len(values) + rank)
        source = signals[read // max(len(values), 1)] // SPAN - network.n_inputs
        np.add.at(fan_out, source[source >= 0], 1)
    wanted = [int(np.maximum(fan_out[run.members], 1).sum()) for run in runs]
    return [want if want <= neurons else len(run.members) for want, run in zip(wanted, runs, strict=True)]


def _pack(cutter: Cutter, runs: list[_Run], limits: Mapping[int, int], demands: list[int]) -> list[_Run]:
    """Put runs that leave room together, those that share most signals first; the largest open a core."""
    population = cutter.network.population_of()
    packer = _Packer(cutter, runs, demands)
    order = sorted(range(len(runs)), key=lambda number: (-runs[number].n_axons, -len(runs[number].members), number))
    for number in order:
        bounded = population[runs[number].members[0]] in limits
        place = None if bounded else packer.find_room(number)
        if place is None:
            packer.open(number, bounded)
        else:
            packer.join(number, place)
    return [packer.cores[place] for place in sorted(range(len(packer.cores)), key=lambda place: packer.opened[place])]


class _Packer:
    """Cores that are being packed: their runs, signals and room; ``room`` is for neurons and their copies."""

    def __init__(self, cutter: Cutter, runs: list[_Run], demands: list[int]) -> None:
        self.cutter, self.runs, self.demands = cutter, runs, demands
        self.cores: list[_Run] = []
        self.opened: list[int] = []
        self.room = np.zeros(len(runs), np.int64)
        self.n_signals = np.zeros(len(runs), np.int64)
        self.place_of = np.full(len(runs), -1, np.int64)
        self.signal, self.first = self._signals()
        # The runs that read each signal.
        self.reader = np.repeat(np.arange(len(runs)), np.diff(self.first))[np.argsort(self.signal, kind="stable")]
        self.read_from = np.concatenate([[0], np.cumsum(np.bincount(self.signal))]).astype(np.int64)

    def _signals(self) -> tuple[Array, Array]:
        """Signals of all runs, numbered, and where those of each run begin."""
        cutter = self.cutter
        parts = [distinct(cutter.signals_of(cutter.synapses_of(run.members)[0]))[0] for run in self.runs]
        first = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_inverse=True)[1], first

    def shared(self, number: int) -> Array:
        """How many signals of a run each core [cores] reads already."""
        mine = self.signal[self.first[number] : self.first[number + 1]]
        count = self.read_from[mine + 1] - self.read_from[mine]
        ends = np.cumsum(count)
        entry = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count - self.read_from[mine], count)
        place = self.place_of[self.reader[entry]]
        pair = np.repeat(np.arange(len(mine)), count)[place >= 0] * len(self.runs) + place[place >= 0]
        return np.bincount(np.unique(pair) % len(self.runs), minlength=len(self.cores))

    def find_room(self, number: int) -> int | None:
        """The core with most signals in common that can also take the run."""
        run, axons = self.runs[number], self.cutter.arch.core.axons
        n_mine = int(self.first[number + 1] - self.first[number])
        possible = np.flatnonzero(self.room[: len(self.cores)] >= self.demands[number])
        if not len(possible):
            return None
        shared = self.shared(number)
        order = possible[np.argsort(-shared[possible], kind="stable")][:MAX_TRIES]
        for place in order.tolist():
            if self.n_signals[place] + n_mine - shared[place] > axons:
                continue
            # Without a signal in common, the axons simply add up.
            if not shared[place] and self.cores[place].n_axons + run.n_axons > axons:
                continue
            if self.cutter.need(np.concatenate([self.cores[place].members, run.members]))[0] <= axons:
                return place
        return None

    def open(self, number: int, bounded: bool) -> None:
        """A core for a run of its own."""
        place = len(self.cores)
        self.cores.append(self.runs[number])
        self.opened.append(number)
        self.room[place] = 0 if bounded else self.cutter.arch.core.neurons - self.demands[number]
        self.n_signals[place] = self.first[number + 1] - self.first[number]
        self.place_of[number] = place

    def join(self, number: int, place: int) -> None:
        """Put a run into a core."""
        self.n_signals[place] += self.first[number + 1] - self.first[number] - self.shared(number)[place]
        members = np.concatenate([self.cores[place].members, self.runs[number].members])
        self.cores[place] = _Run(members, *self.cutter.need(members))
        self.room[place] -= self.demands[number]
        self.opened[place] = min(self.opened[place], number)
        self.place_of[number] = place

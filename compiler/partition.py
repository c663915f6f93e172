"""Second stage: which neurons share a core.

Each population is cut, in an order of its own, into runs that fit a core (neurons and axons, weight code included); runs that
leave room are then packed together. Axons are the scarce resource, not neurons: a core needs an axon for every signal
(source and delay) that any of its neurons reads, and more where the weight code asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.architecture import Architecture
from neurocore.compiler.advice import fan_in_advice, read_names
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.cutter import Cutter, Run
from neurocore.compiler.divide import demands, make_room, recut
from neurocore.compiler.groups import MOST_COUNTS, by_chains
from neurocore.compiler.packing import pack
from neurocore.compiler.regroup import MOST_REGROUPED, WASTE, alternatives
from neurocore.compiler.tiles import best_orders, tile_shapes
from neurocore.errors import FitError
from neurocore.wording import counted

Array = npt.NDArray[Any]

MAX_SUSPECTS = 64
"""Neurons of a population that are looked at one by one before it is cut."""


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
        lines = [f"partition: {counted(self.n_cores, 'core')}"]
        for core, members in enumerate(self.members):
            parts = []
            for number in np.unique(population[members]):
                inside = members[population[members] == number] - offsets[number]
                parts.append(f"{network.populations[number].name}{runs_text(inside)}")
            lines.append(f"  core {core}: {counted(len(members), 'neuron')}, {self.codes[core]}: {' '.join(parts)}")
        return "\n".join(lines)


def runs_text(index: Array) -> str:
    """Indices as ``[0..3,7]``."""
    index = np.sort(index)
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    shown = [f"{part[0]}" if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in np.split(index, breaks)]
    return f"[{','.join(shown)}]"


def partition(
    network: IntegerNetwork,
    arch: Architecture,
    limits: Mapping[int, int],
    cutter: Cutter | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Partition:
    """Assign neurons to cores.

    ``limits`` maps a population number to the most neurons of it that may share a core, where room must be left for copies.
    ``progress(done, total)`` is called for every population.
    Raises FitError (E-FANIN, E-LEVELS) that lists every population with a neuron that no core can hold.
    """
    cutter = cutter or Cutter(network, arch)
    problems: list[str] = []
    runs: list[Run] = []
    for number in range(len(network.populations)):
        most = min(limits.get(number, arch.core.neurons), arch.core.neurons)
        problem = misfit(cutter, number)
        if problem:
            problems.append(problem)
            continue
        if (number, most) not in cutter.cuts:
            fitted = network.group is not None and network.group[network.offsets()[number]] >= 0
            cutter.cuts[number, most] = (_grouped if fitted else _best_cut)(cutter, number, most)
        runs.extend(cutter.cuts[number, most])
        if progress is not None:
            progress(number + 1, len(network.populations))
    if problems:
        raise FitError(problems)
    if limits:
        runs = _with_room(cutter, runs, limits)
    runs = pack(cutter, runs, limits, demands(cutter, runs))
    return Partition(tuple(run.members for run in runs), tuple(run.code for run in runs))


def _with_room(cutter: Cutter, runs: list[Run], limits: Mapping[int, int]) -> list[Run]:
    """The runs, those of populations in ``limits`` cut anew or divided where they have no room for copies.

    As they were if many have none even so, or if they are to be shorter in any case.
    """
    room = cutter.arch.core.neurons
    if all(most >= room for most in limits.values()):
        anew = recut(cutter, runs, limits)
        runs = runs if anew is None else _kept(cutter, runs, anew)
    divided = make_room(cutter, [run.members for run in runs], limits)
    return runs if divided is None else _kept(cutter, runs, divided)


def _kept(cutter: Cutter, runs: list[Run], parts: list[Array]) -> list[Run]:
    """Runs of the parts, which are cut if they do not fit; of ``runs`` those that are still whole."""
    kept = {id(run.members): run for run in runs}
    result: list[Run] = []
    for part in parts:
        run = kept.get(id(part)) or Run(part, *cutter.need(part))
        result.extend([run] if run.n_axons <= cutter.arch.core.axons else cut(cutter, part, cutter.arch.core.neurons))
    return result


def misfit(cutter: Cutter, number: int) -> str | None:
    """What is wrong with a population of which some neuron fits no core, even by itself."""
    network, arch = cutter.network, cutter.arch
    offsets = network.offsets()
    neurons = np.arange(offsets[number], offsets[number + 1])
    fan_in = cutter.start[neurons + 1] - cutter.start[neurons]
    worst = int(neurons[np.argmax(fan_in)])
    if fan_in.max(initial=0) > arch.core.axons:
        count = int((fan_in > arch.core.axons).sum())
        return (
            f"E-FANIN population {_wired(network, worst)}: {network.label(worst)} reads {int(fan_in.max())} signals (source and"
            f" delay), each of which needs an axon; a core of {arch.name!r} has {arch.core.axons}"
            f" ({int(fan_in.max()) - arch.core.axons} over; {count} of {len(neurons)} neurons are)."
            f" {fan_in_advice(network, arch, worst)}"
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
    mine = slice(cutter.start[neuron], cutter.start[neuron + 1])
    weights, random = network.weight[mine], network.stochastic[mine]
    name = network.populations[int(network.population_of()[neuron])].name
    levels = len(np.unique(np.stack([weights, random]), axis=1).T)
    if code == "no exact weight code":
        types, allowed = arch.core.axon_types, arch.neuron.weight
        beyond = max(int(weights.max()) - allowed.max, allowed.min - int(weights.min()))
        n_random = len(np.unique(weights[random]))
        chance = f", {n_random} of them stochastic, which no sum of others replaces" if n_random else ""
        return (
            f"E-LEVELS population {name!r}: {network.label(neuron)} has {levels} different weights up to"
            f" {int(np.abs(weights).max())}{chance}; a core of {arch.name!r} has {types} axon types of {allowed}"
            f" ({levels - types if levels > types else beyond} over) and {arch.core.axons} axons, on which no exact code for them"
            " was found. Use fewer or smaller weights"
        )
    return (
        f"E-FANIN population {_wired(network, neuron)}: {network.label(neuron)} reads {len(weights)} signals with {levels}"
        f" different weights, for which the best code found takes {need} axons; a core of {arch.name!r} has {arch.core.axons}"
        f" ({need - arch.core.axons} over). {fan_in_advice(network, arch, neuron)}"
    )


def _wired(network: IntegerNetwork, neuron: int) -> str:
    """The population of a neuron and what the neuron reads, as messages show them."""
    name = network.populations[int(network.population_of()[neuron])].name
    return f"{name!r} <- {read_names(network, neuron)}"


# ---------------------------------------------------------------- cutting


def cut(cutter: Cutter, order: Array, most: int) -> list[Run]:
    """Runs of an order, each as long as fits a core. Raises FitError if some neuron fits none."""
    limit = cutter.arch.core.axons
    runs, begin, size = [], 0, most
    while begin < len(order):
        upper = max(1, cutter.runs.longest(order, begin, most, limit, False)[0])
        lower = max(1, min(upper, cutter.runs.longest(order, begin, most, limit, True)[0]))
        fits = _Fits(cutter, order[begin:])
        # Most runs are about as long as the one before.
        size = _longest(fits, lower, upper, size)
        if not fits(size):
            raise FitError(_why_not(cutter, int(order[begin])))
        runs.append(Run(order[begin : begin + size], *fits.need(size)))
        begin += size
    return runs


def _best_cut(cutter: Cutter, number: int, most: int) -> list[Run]:
    """The runs of a population: by its own order or the best of its tiles, or by wiring if that needs fewer cores."""
    chained = _chained(cutter, number, most)
    natural = _natural(cutter, number, most) if chained is None else chained

    def cut_all(groups: Sequence[Array]) -> list[Run]:
        return [run for group in groups for run in cut(cutter, group, most)]

    for groups, bound in alternatives(cutter, number, natural, most, cut_all, derived=chained is not None):
        runs = cut_all(groups)
        if len(runs) < bound:
            return runs
    return natural


def _natural(cutter: Cutter, number: int, most: int) -> list[Run]:
    """The runs of a population's own order, or of the best of its tiles."""
    orders = best_orders(cutter, number, cutter.network.populations[number].shape, most)
    tried = [[run for part in order.parts() for run in cut(cutter, part, most)] for order in orders]
    return min(tried, key=lambda runs: (len(runs), sum(run.n_axons for run in runs)))


def _chained(cutter: Cutter, number: int, most: int) -> list[Run] | None:
    """The runs of a large population in an order by wiring; None unless its own order surely needs more of them.

    Asked where the table of cores and signals of its own order would be too large for groups to be found in any other way.
    """
    network = cutter.network
    begin, end = (int(edge) for edge in network.offsets()[number : number + 2])
    first, last = int(network.start[begin]), int(network.start[end])
    if last - first > MOST_REGROUPED or tile_shapes(network.populations[number].shape, most):
        return None
    own = _least_runs(cutter, np.arange(begin, end), most, end - begin + 1)
    # There are no more signals than synapses.
    if own <= WASTE * -(-(end - begin) // most) or own * (last - first) <= MOST_COUNTS:
        return None
    signals, signal = distinct(cutter.signals_of(np.arange(first, last)))
    if own * len(signals) <= MOST_COUNTS:
        return None
    order = cutter.orders.get(number)
    if order is None:
        order = by_chains(network.start[begin : end + 1] - first, signal)
    if order is None:
        return None
    cutter.orders[number] = order
    order = begin + order
    if _least_runs(cutter, order, most, own) >= own:
        return None
    runs = cut(cutter, order, most)
    return runs if len(runs) < own else None


def _least_runs(cutter: Cutter, order: Array, most: int, enough: int) -> int:
    """Runs of an order if every signal took a single axon: :func:`cut` finds no fewer. Counts until there are ``enough``."""
    return cutter.runs.count(order, np.array([len(order)]), most, cutter.arch.core.axons, False, enough - 1)[0]


def _grouped(cutter: Cutter, number: int, most: int) -> list[Run]:
    """Runs of the neurons that were fitted to share a core; a group that must be smaller is cut as any other."""
    group = cutter.network.group
    assert group is not None, "the network was fitted"
    neurons = np.arange(*cutter.network.offsets()[number : number + 2])
    order = neurons[np.argsort(group[neurons], kind="stable")]
    runs: list[Run] = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        need = cutter.need(members)
        fits = len(members) <= most and need[0] <= cutter.arch.core.axons
        runs.extend([Run(members, *need)] if fits else cut(cutter, members, most))
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


def _longest(fits: Callable[[int], bool], lower: int, upper: int, guess: int) -> int:
    """The longest run between the bounds that fits; shorter than ``lower`` only if that does not fit. At least 1.

    ``guess`` says how long it may be.
    """
    for middle in (guess, guess + max(1, guess // 8)):
        if lower < upper:
            middle = min(max(middle, lower + 1), upper)
            lower, upper = (middle, upper) if fits(middle) else (lower, middle)
    while lower > 1 and not fits(lower):
        lower, upper = lower // 2, lower
    while upper - lower > max(1, lower // 32):
        # The geometric mean: long runs take longest to ask for, and most often do not fit.
        middle = max(math.isqrt(lower * upper), lower + 1)
        lower, upper = (middle, upper) if fits(middle) else (lower, middle)
    return upper if fits(upper) else lower

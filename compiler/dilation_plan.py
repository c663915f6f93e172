"""What time dilation has to do to a network: which neurons are gathered or counted, from which parts, and what is in its way.

How it is done is said in :mod:`neurocore.compiler.dilate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import RESET_MODES, Architecture
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.encode import axons_per_signal
from neurocore.compiler.partition import misfit
from neurocore.compiler.synapses import MAX_DELAY

Array = npt.NDArray[Any]

VALUE, LINEAR, NONE = 0, 1, 2
"""Reset modes, as numbered in chip.md."""
RESET_DELAY = 3
"""Ticks from a counted neuron's spike to its reset, which leaves time for relays if it has many targets besides."""
SPARSE = 2
"""How many times the parts of a single neuron those of a population may be, for all its neurons to be divided alike."""


@dataclass(frozen=True)
class Entries:
    """What neurons read: ``source`` as in IntegerNetwork, -1 for the leak's clock; sorted by neuron."""

    neuron: Array
    source: Array
    weight: Array
    delay: Array


@dataclass(frozen=True)
class Partials:
    """Partial neurons of one population: the neuron and sign of each, and which ``partial`` reads which ``entry``.

    ``longest`` is the longest burst; ``swing`` how far bursts can move the membrane of each neuron, up or down.
    """

    neuron: Array
    sign: Array
    partial: Array
    entry: Array
    longest: int
    swing: Array


class Plan:
    """Which populations are gathered from partials, and the partials."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, more: frozenset[int] = frozenset()) -> None:
        self.network, self.arch = network, arch
        self.offsets = network.offsets()
        cutter = Cutter(network, arch)
        n = len(network.populations)
        misfits = [number in more or (misfit(cutter, number) or "").startswith("E-FANIN") for number in range(n)]
        self.wide = np.array(misfits, bool)
        self.above, self.below = step_bounds(network)
        mode, alpha = network.neuron["reset_mode"], network.neuron["threshold"]
        restless = (mode == NONE) | ((mode == LINEAR) & (self.above > alpha))
        self.counted = self.by_population(restless)
        self.gathered = self.wide | self.counted
        entries = {int(number): self.entries(int(number)) for number in np.flatnonzero(self.gathered)}
        self.partials = {number: _divide(item, arch) for number, item in entries.items() if len(item.neuron)}
        self.swing = self.swings()
        # A linear reset leaves only the floor to be shifted; where that is impossible, counting helps as well.
        low = network.neuron["floor"] + 2 * self.swing > arch.neuron.floor.max
        self.counted |= self.gathered & self.by_population((mode == LINEAR) & low)

    def by_population(self, neurons: Array) -> npt.NDArray[np.bool_]:
        """Populations with a neuron among some [N]."""
        found = np.zeros(len(self.network.populations), bool)
        found[self.network.population_of()[np.flatnonzero(neurons)]] = True
        return found

    def swings(self) -> Array:
        """X [N] of every neuron, one for all of a population; 0 where nothing is gathered."""
        swings = np.zeros(self.network.n_neurons, np.int64)
        for number, partials in self.partials.items():
            n_steps, step = clock_steps(int(partials.swing.max()), self.arch)
            swings[self.members(number)] = n_steps * step
        return swings

    def members(self, number: int) -> slice:
        """Neurons of a population."""
        return slice(int(self.offsets[number]), int(self.offsets[number + 1]))

    def entries(self, number: int) -> Entries:
        """What the neurons of a population read, leaks included."""
        net, mine = self.network, self.members(number)
        part = slice(int(net.start[mine.start]), int(net.start[mine.stop]))
        neuron = np.repeat(np.arange(mine.start, mine.stop), np.diff(net.start[mine.start : mine.stop + 1]))
        leaking = mine.start + np.flatnonzero(net.neuron["leak"][mine])
        columns = (
            np.concatenate([neuron, leaking]),
            np.concatenate([net.source[part].astype(np.int64), np.full(len(leaking), -1)]),
            np.concatenate([net.weight[part].astype(np.int64), net.neuron["leak"][leaking]]),
            np.concatenate([net.delay[part].astype(np.int64), np.zeros(len(leaking), np.int64)]),
        )
        order = np.argsort(columns[0], kind="stable")
        return Entries(*(column[order] for column in columns))

    @property
    def least_factor(self) -> int:
        """The longest burst, and two ticks; for a burst that resets a count, RESET_DELAY more and its way back."""
        bursts = [item.longest for item in self.partials.values()]
        values = self.network.neuron
        linear = np.repeat(self.counted, np.diff(self.offsets)) & (values["reset_mode"] == LINEAR)
        resets = values["threshold"][linear] + RESET_DELAY - 1
        return 2 + max([*bursts, int(resets.max(initial=0))])


def _divide(entries: Entries, arch: Architecture) -> Partials:
    """Divide what the neurons read among as few cores as their weights allow, and make a partial for either sign."""
    mixed = bool((entries.weight > 0).any() and (entries.weight < 0).any())
    # Where signs are mixed, a partial has a twin with the opposite weights.
    part = find_parts(entries, max(arch.core.axons // axons_per_signal(entries.weight, arch, mirrored=mixed), 1))
    n_neurons = int(entries.neuron.max()) + 1
    share = part * n_neurons + entries.neuron
    keys, numbers, read = [], [], []
    for one in (1, -1):
        needed = np.unique(share[entries.weight * one > 0])
        mine = np.flatnonzero(np.isin(share, needed))
        keys.append(needed * 2 + (one < 0))
        numbers.append(share[mine] * 2 + (one < 0))
        read.append(mine)
    key = np.concatenate(keys)
    key = key[np.lexsort((key, _first_sources(share, entries.source)[key // 2], key // 2 // n_neurons))]
    order = np.argsort(key)
    partial = order[np.searchsorted(key[order], np.concatenate(numbers))]
    entry, sign, neuron = np.concatenate(read), np.where(key % 2, -1, 1), key // 2 % n_neurons
    size = np.zeros(len(key), np.int64)
    np.add.at(size, partial, np.maximum(entries.weight[entry] * sign[partial], 0))
    swing = np.stack([np.bincount(neuron[sign == one], size[sign == one], n_neurons) for one in (1, -1)])
    return Partials(neuron, sign, partial, entry, int(size.max()), swing.max(axis=0).astype(np.int64))


def _first_sources(share: Array, source: Array) -> Array:
    """The first source of every share; shares of one part that begin alike mostly read alike, and then stand side by side."""
    first, is_leak = np.full(int(share.max()) + 1, np.iinfo(np.int64).max), source < 0
    np.minimum.at(first, share[~is_leak], source[~is_leak])
    return first


def find_parts(entries: Entries, room: int) -> Array:
    """Part of every entry; a neuron reads at most ``room`` signals of a part.

    Where most neurons read most of the signals, parts are ranges of these, so that many partials share a core; else every
    neuron's own are divided evenly.
    """
    _, first, count = np.unique(entries.neuron, return_index=True, return_counts=True)
    most = int(count.max())
    n_parts = -(-most // room)
    place = np.arange(len(entries.neuron)) - np.repeat(first, count)
    signals, signal = np.unique(entries.source * (MAX_DELAY + 1) + entries.delay, return_inverse=True)
    n_ranges = -(-len(signals) // room)
    if n_ranges <= SPARSE * n_parts:
        return np.asarray(signal * n_ranges // len(signals))
    return place * n_parts // most


# ---------------------------------------------------------------- what cannot be dilated


Reason = tuple[Array, Callable[[int], str]]
"""Neurons [N] that cannot be dilated, and how to say why of one of them."""


def obstacles(network: IntegerNetwork, arch: Architecture, plan: Plan) -> list[str]:
    """A sentence for every population that would do something in the ticks between two ticks of the network."""
    found = _Obstacles(network, arch, plan)
    problems = []
    for number, group in enumerate(network.populations):
        mine = plan.members(number)
        for wrong, sentence in found.reasons:
            place = np.flatnonzero(wrong[mine])
            if len(place):
                first = mine.start + int(place[0])
                problems.append(f"E-DILATE population {group.name!r}: {network.label(first)} {sentence(first)}")
                break
    return problems


class _Obstacles:
    """Why neurons cannot be dilated: what they do by themselves, what their resets do, and what exceeds the chip's ranges."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, plan: Plan) -> None:
        self.network, self.arch, self.plan, self.values = network, arch, plan, network.neuron
        self.gathered, self.counted = (
            np.repeat(which, np.diff(plan.offsets)) for which in (plan.gathered, plan.counted)
        )
        self.shift = np.where(self.counted, 1, 2) * plan.swing
        self.reasons = [*self.by_themselves(), *self.by_count(), *self.at_rest(), *self.by_floor(), *self.by_clamp()]

    def by_themselves(self) -> Iterator[Reason]:
        """Neurons that move, draw or leave their floor in every tick."""
        values = self.values
        yield (
            random_neurons(self.network),
            lambda _: (
                "draws random numbers, and would draw them in every tick of the chip; use plain weights and parameters"
            ),
        )
        yield (
            (values["leak_reversal"] != 0) & (values["leak"] != 0),
            lambda _: (
                "has a leak that depends on the membrane (leak_reversal), which no clock can stand for; use a plain leak"
            ),
        )
        yield (
            values["floor_mode"] == 0,
            lambda _: "has floor_mode reset, whose result may lie below the floor again; use saturate",
        )

    def by_count(self) -> Iterator[Reason]:
        """Neurons that would have to be counted and cannot be."""
        counted, mode, arch = self.counted, self.values["reset_mode"], self.arch
        yield (
            counted & (mode == VALUE),
            lambda _: (
                "has reset_mode value, and others of its population have linear or none, which is done in another way; make"
                " them two populations"
            ),
        )
        able = "none" in arch.neuron.reset_modes and arch.neuron.leak.min <= -1
        yield (
            counted & (not able),
            lambda j: (
                f"may be left at or above its threshold by its reset_mode {RESET_MODES[mode[j]]}, and {arch.name!r} has not"
                " the reset_mode none and the leak -1 that counting takes; use reset_mode value, or a larger threshold"
            ),
        )
        yield (
            counted & (self.plan.swing == 0),
            lambda _: "has reset_mode none, but reads nothing that could be counted; use value",
        )
        yield (
            counted & (mode == LINEAR) & (self.values["threshold"] < 1),
            lambda _: "has reset_mode linear and threshold 0, so that its reset does nothing; use none",
        )

    def at_rest(self) -> Iterator[Reason]:
        """Neurons that are reset or start where they would not stay."""
        yield self.outside("reset") & (self.values["reset_mode"] == VALUE), self.said_of("reset", "is reset to")
        yield self.outside("initial"), self.said_of("initial", "starts at")

    def outside(self, name: str) -> npt.NDArray[np.bool_]:
        """Neurons [N] whose parameter is no membrane that they would keep."""
        value = self.values[name]
        above = (value >= self.values["threshold"]) & ~self.counted
        return np.asarray(above | (value < -self.values["floor"]))

    def said_of(self, name: str, what: str) -> Callable[[int], str]:
        """The sentence about such a parameter."""
        value, alpha, beta = (self.values[item] for item in (name, "threshold", "floor"))
        return lambda j: (
            f"{what} {int(value[j])}, outside {-int(beta[j])}..{int(alpha[j]) - 1} (floor to threshold), where it would not"
            f" stay; use a value of {name} within"
        )

    @property
    def low(self) -> npt.NDArray[np.bool_]:
        """Neurons [N] whose floor would be lowered."""
        return np.asarray(~self.counted & ~raises_threshold(self.values, self.shift, self.arch))

    def by_floor(self) -> Iterator[Reason]:
        """Neurons whose floor cannot be lowered as far as bursts may take them."""
        beta, shift, limits = self.values["floor"], self.shift, self.arch.neuron.floor

        def sentence(j: int) -> str:
            lower = f"Give it a floor of at most {limits.max - int(shift[j])}"
            return (
                f"has the floor {int(beta[j])}; to gather its input needs {int(shift[j])} more, and {self.arch.name!r} has"
                f" {limits}. {lower if shift[j] <= limits.max else 'Use smaller weights or receptive fields'}"
            )

        yield self.gathered & self.low & (beta + shift > limits.max), sentence

    def by_clamp(self) -> Iterator[Reason]:
        """Neurons whose membrane could meet the clamp."""
        alpha, beta, limits = self.values["threshold"], self.values["floor"], self.arch.neuron.membrane
        above, below = self.plan.above, self.plan.below
        top = np.where(self.counted, np.maximum(self.values["initial"], alpha - 1), alpha - 1)
        high = top + above + np.where(self.low, 0, self.shift) > limits.max

        def sentence(j: int) -> str:
            further = f", and {int(self.shift[j])} further while it gathers its input" if self.shift[j] else ""
            return (
                f"may go from -{int(beta[j])} - {int(below[j])} to {int(top[j])} + {int(above[j])} in a tick{further}; membranes"
                f" of {self.arch.name!r} have {limits}. Use smaller weights, floors or thresholds"
            )

        yield high | (-beta - below - np.where(self.low, self.shift, 0) < limits.min), sentence


def step_bounds(network: IntegerNetwork) -> tuple[Array, Array]:
    """The most [N] that weights and leak can add to each neuron in one tick, and the most that they can take away."""
    target, weight, leak = network.target, network.weight, network.neuron["leak"]
    above = np.bincount(target, np.maximum(weight, 0), network.n_neurons).astype(np.int64)
    below = np.bincount(target, np.maximum(-weight, 0), network.n_neurons).astype(np.int64)
    return above + np.maximum(leak, 0), below + np.maximum(-leak, 0)


def clock_steps(swing: int, arch: Architecture) -> tuple[int, int]:
    """How many spikes of which weight move a membrane by at least ``swing``."""
    largest = min(arch.neuron.weight.max, -arch.neuron.weight.min)
    n_steps = -(-swing // largest)
    return n_steps, -(-swing // n_steps)


def raises_threshold(values: dict[str, Array], shift: Array, arch: Architecture) -> npt.NDArray[np.bool_]:
    """Neurons [N] whose threshold is raised by ``shift``; with the others it is the floor that is lowered."""
    limits = arch.neuron
    fits = (values["threshold"] + shift <= limits.threshold.max) & (values["reset"] + shift <= limits.reset.max)
    return np.asarray((values["reset_mode"] == VALUE) & fits)

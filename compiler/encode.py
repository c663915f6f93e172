"""Weights through axon types: which axons a core needs so that its neurons read exactly the weights they should.

A *signal* is a source with a delay. Every signal that a core reads gets one or more axons; each axon has a type, and a
neuron's weight for an axon is the neuron's own value for that type. Four exact codes are used:

* the *value code*: each neuron gives every distinct weight it has a type of its own, and a signal gets one axon for every
  type that some neuron uses for it. It works if no neuron has more distinct weights than there are types. If sources can be
  coloured with the types so that no neuron has two weights for one colour, this costs one axon per signal.
* the *digit code*: the types stand for digits (1, 2, 4, -8, ...) times a scale of the neuron's own; a signal gets several
  axons of a type where a digit exceeds one. It works for every range of weights that is not stochastic.

* the *fitted code*, where quantisation has chosen each neuron's values for the types: every weight is a sum of some of them.
* the *coin code*, for a core of very few neurons: as the digit code, but each neuron chooses its digits freely.

The cheapest is taken, per core.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import choose_types, distinct
from neurocore.architecture import Architecture, Range
from neurocore.compiler.coincode import MOST_COIN_TYPES, choose_coins
from neurocore.compiler.digitcode import DigitCode, find_digit_code

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CoreSynapses:
    """Synapses of a core: entry k lets signal ``signal[k]`` reach neuron ``neuron[k]``; pairs are unique.

    ``n_signals`` and ``n_neurons`` bound the two numbers. ``values`` [n_neurons, types] are those that the neurons were fitted
    to, all 0 where there are none.
    """

    signal: Array
    neuron: Array
    weight: Array
    stochastic: Array
    n_signals: int
    n_neurons: int
    values: Array | None = None

    @cached_property
    def ranked(self) -> tuple[Array, Array]:
        """The different (weight, stochastic), as weight * 2 + stochastic, ascending, and the rank of each synapse's."""
        return distinct(self.weight * 2 + self.stochastic)

    @cached_property
    def n_weights(self) -> Array:
        """How many different (weight, stochastic) each neuron [n_neurons] has."""
        values, rank = self.ranked
        used = _used(self.neuron * len(values) + rank, self.n_neurons * len(values))
        return np.asarray(used.reshape(self.n_neurons, len(values)).sum(axis=1))


@dataclass(frozen=True)
class Encoding:
    """Axons [K] of a core: their signals and types, the crossbar [K, neurons] and the weights [types, neurons]."""

    signal: Array
    kind: Array
    crossbar: npt.NDArray[np.bool_]
    weight: Array
    stochastic: npt.NDArray[np.bool_]
    code: str

    @property
    def n_axons(self) -> int:
        """Axons needed."""
        return len(self.signal)


@dataclass(frozen=True)
class Choice:
    """A code for a core, the axons that it takes, and how to make its encoding."""

    n_axons: int
    code: str
    build: Callable[[], Encoding]


def encode(synapses: CoreSynapses, arch: Architecture) -> Encoding | None:
    """The cheapest exact code for a core's synapses; None if there is none (too many stochastic weights of one neuron)."""
    choice = choose(synapses, arch)
    return None if choice is None else choice.build()


def choose(synapses: CoreSynapses, arch: Architecture, *, thrifty: bool = True) -> Choice | None:
    """As :func:`encode`, without making the encoding.

    Without ``thrifty`` any code that fits the core will do, which is quicker to say.
    """
    if synapses.values is not None and (fitted := _fitted_code(synapses, synapses.values)) is not None:
        return fitted
    values = _value_code(synapses, arch, thrifty)
    if values is not None and values.n_axons <= synapses.n_signals:
        return values
    codes = [values, _digit_code(synapses, arch)]
    if values is None:
        codes.append(_coin_code(synapses, arch))
    return min((code for code in codes if code is not None), key=lambda code: code.n_axons, default=None)


# ---------------------------------------------------------------- fitted code


def _fitted_code(synapses: CoreSynapses, values: Array) -> Choice | None:
    """The code that quantisation had in mind; None if some weight is no sum of its neuron's ``values`` [n_neurons, types]."""
    n_types = values.shape[1]
    subsets = np.array(list(itertools.product((0, 1), repeat=n_types)))
    # The fewest axons first, so that a weight with two sums takes the shorter one.
    subsets = subsets[np.argsort(subsets.sum(axis=1), kind="stable")]
    sums = values @ subsets.T
    # A type whose value is 0 has no part in any sum.
    sensible = ((values == 0) @ subsets.T) == 0
    hit = (sums[synapses.neuron] == synapses.weight[:, None]) & sensible[synapses.neuron]
    if synapses.stochastic.any() or not hit.any(axis=1).all():
        return None
    choice = hit.argmax(axis=1)
    twice = hit.sum(axis=1) > 1
    if twice.any():
        # Where several sums make a weight, the one that needs fewest axons besides those the other synapses need.
        have = np.zeros((synapses.n_signals, n_types), bool)
        np.logical_or.at(have, synapses.signal[~twice], subsets[choice[~twice]] > 0)
        extra = ~have[synapses.signal[twice]] @ subsets.T
        choice[twice] = np.where(hit[twice], extra, n_types + 1).argmin(axis=1)
    return _counted(synapses, subsets[choice].T, values.T.copy(), "fitted")


# ---------------------------------------------------------------- value code


def _value_code(synapses: CoreSynapses, arch: Architecture, thrifty: bool) -> Choice | None:
    n_types, limits = arch.core.axon_types, arch.neuron.weight
    if len(synapses.weight) and (synapses.weight.max() > limits.max or synapses.weight.min() < limits.min):
        return None
    everything = np.arange(len(synapses.weight))
    if len(synapses.weight) == 0:
        return _typed(synapses, everything, everything, n_types)
    by_value = _types_by_value(synapses, n_types)
    plain = None
    if by_value is not None:
        plain = _typed(synapses, by_value, everything, n_types)
        if plain.n_axons == synapses.n_signals or (plain.n_axons <= arch.core.axons and not thrifty):
            return plain
    if synapses.n_weights.max() > n_types:
        return None
    greedy = _typed(synapses, *_types_greedily(synapses, n_types), n_types)
    return plain if plain is not None and plain.n_axons <= greedy.n_axons else greedy


def _typed(synapses: CoreSynapses, kind: Array, order: Array, n_types: int) -> Choice:
    """The value code in which synapse ``order[k]`` goes through an axon of type ``kind[k]``."""
    used = _used(synapses.signal[order] * n_types + kind, synapses.n_signals * n_types)
    return Choice(int(used.sum()), "values", lambda: _from_types(synapses, kind, order, used, n_types))


def _types_by_value(synapses: CoreSynapses, n_types: int) -> Array | None:
    """Type of every synapse if the core as a whole has few enough different weights: the rank of its weight."""
    values, rank = synapses.ranked
    return rank if len(values) <= n_types else None


def _used(values: Array, n: int) -> npt.NDArray[np.bool_]:
    """Which of 0..n-1 occur."""
    used = np.zeros(n, bool)
    used[values] = True
    return used


def _types_greedily(synapses: CoreSynapses, n_types: int) -> tuple[Array, Array]:
    """Type of every synapse, signal by signal, each with as few types as the choices made so far allow.

    Returns the types and the order of synapses that they refer to. A neuron may give one weight to several types as long as
    enough types are left for its other weights.
    """
    pair = synapses.signal * synapses.n_neurons + synapses.neuron
    # Numbers of 16 bits are sorted in linear time.
    few = synapses.n_signals * synapses.n_neurons <= 1 << 16
    order = np.argsort(pair.astype(np.uint16) if few else pair, kind="stable")
    start = np.searchsorted(synapses.signal[order], np.arange(synapses.n_signals + 1))
    key = (synapses.weight * 2 + synapses.stochastic)[order]
    kind = np.full(len(key), -1, np.int64)
    choose_types(start, synapses.neuron[order], key, n_types - synapses.n_weights, n_types, kind)
    return kind, order


def _from_types(synapses: CoreSynapses, kind: Array, order: Array, used: Array, n_types: int) -> Encoding:
    """The encoding of :func:`_typed`; ``used`` [signals * types] are the axons."""
    signal, neuron = synapses.signal[order], synapses.neuron[order]
    axons, axon = np.flatnonzero(used), (np.cumsum(used) - 1)[signal * n_types + kind]
    crossbar = np.zeros((len(axons), synapses.n_neurons), bool)
    crossbar[axon, neuron] = True
    weight = np.zeros((n_types, synapses.n_neurons), np.int64)
    weight[kind, neuron] = synapses.weight[order]
    stochastic = np.zeros(weight.shape, bool)
    stochastic[kind, neuron] = synapses.stochastic[order]
    return Encoding(axons // n_types, axons % n_types, crossbar, weight, stochastic, "values")


# ---------------------------------------------------------------- digit code


def axons_per_signal(weight: Array, arch: Architecture, *, mirrored: bool = False) -> int:
    """Axons that a signal takes where many neurons with such weights share a core; more than a core has if no code fits.

    With ``mirrored`` there are neurons with the opposite weights as well.
    """
    limits, n_types = arch.neuron.weight, arch.core.axon_types
    values = np.unique(weight[weight != 0])
    low, high = min(int(values.min(initial=0)), 0), max(int(values.max(initial=0)), 0)
    if mirrored:
        low, high = min(low, -high), max(high, -low)
    code = find_digit_code(low, high, n_types, min(limits.max, -limits.min))
    ways = [len(values)] * (len(values) <= n_types) + ([code.n_axons] if code is not None else [])
    return max(min(ways, default=arch.core.axons + 1), 1)


def _divisors(synapses: CoreSynapses) -> Array:
    """Largest common divisor [n_neurons] of each neuron's weights, negative for neurons whose weights all are; 1 without."""
    order = np.argsort(synapses.neuron, kind="stable")
    neuron, weight = synapses.neuron[order], synapses.weight[order]
    scale = np.ones(synapses.n_neurons, np.int64)
    present, start = np.unique(neuron, return_index=True)
    scale[present] = np.gcd.reduceat(np.abs(weight), start)
    negative = np.maximum.reduceat(weight, start) < 0
    scale[present[negative]] *= -1
    return scale


def _choose_digits(synapses: CoreSynapses, arch: Architecture) -> tuple[DigitCode, Array] | None:
    """The cheapest code for all neurons of a core, and the scale [n_neurons] of each.

    A large scale leaves room for small digits only, so that smaller scales, which divide it, are tried as well.
    """
    limits = arch.neuron.weight
    limit = min(limits.max, -limits.min)
    divisor = _divisors(synapses)
    best: tuple[DigitCode, Array] | None = None
    scale = np.zeros(0, np.int64)
    largest = int(np.abs(divisor).max())
    caps = [limit, *(limit >> step for step in range(1, limit.bit_length())), 1]
    # Caps that bound nothing all lead to the divisors themselves.
    for cap in dict.fromkeys([min(limit, largest), *(cap for cap in caps if cap < largest)]):
        before, scale = scale, np.sign(divisor) * _largest_divisor(np.abs(divisor), cap)
        if np.array_equal(before, scale):
            continue
        reduced = synapses.weight // scale[synapses.neuron]
        low, high = min(int(reduced.min()), 0), max(int(reduced.max()), 0)
        code = find_digit_code(low, high, arch.core.axon_types, *_digit_range(scale, limits))
        if code is not None and (best is None or code.n_axons < best[0].n_axons):
            best = code, scale
    return best


def _digit_range(scale: Array, limits: Range) -> tuple[int, int]:
    """The largest and the lowest digit that every neuron's scale keeps within the chip's weights."""
    steps = (int(scale.max()), int(scale.min()))
    largest = min((limits.max if step > 0 else -limits.min) // abs(step) for step in steps)
    lowest = min((-limits.min if step > 0 else limits.max) // abs(step) for step in steps)
    return largest, -lowest


def _largest_divisor(values: Array, cap: int) -> Array:
    """The largest divisor of each value that is at most ``cap``."""
    each, place = distinct(values)
    known = [_all_divisors(value) for value in each.tolist()]
    found = [int(divisors[np.searchsorted(divisors, cap, side="right") - 1]) for divisors in known]
    return np.asarray(np.array(found)[place])


@lru_cache(1 << 12)
def _all_divisors(value: int) -> Array:
    """All divisors of a positive number, ascending."""
    low = np.arange(1, math.isqrt(value) + 1)
    low = low[value % low == 0]
    return np.unique(np.concatenate([low, value // low]))


def _digit_code(synapses: CoreSynapses, arch: Architecture) -> Choice | None:
    if synapses.stochastic.any() or not len(synapses.weight):
        return None
    found = _choose_digits(synapses, arch)
    if found is None or found[0].n_axons > arch.core.axons:
        return None
    code, scale = found
    reduced = synapses.weight // scale[synapses.neuron]
    weight = np.zeros((arch.core.axon_types, synapses.n_neurons), np.int64)
    weight[: len(code.values)] = np.array(code.values)[:, None] * scale[None]
    return _counted(synapses, code.digits(reduced), weight)


def _counted(synapses: CoreSynapses, digits: Array, weight: Array, code: str = "digits") -> Choice:
    """The code in which a synapse connects ``digits`` [types, synapses] axons of each type."""
    counts = np.zeros((len(digits), synapses.n_signals), np.int64)
    for number in range(len(digits)):
        np.maximum.at(counts[number], synapses.signal, digits[number])
    return Choice(int(counts.sum()), code, lambda: _from_counts(synapses, digits, counts, weight, code))


def _from_counts(synapses: CoreSynapses, digits: Array, counts: Array, weight: Array, code: str) -> Encoding:
    """The encoding of :func:`_counted`; ``counts`` [types, signals] are the axons."""
    signal, kind = _axon_list(counts)
    crossbar = np.zeros((len(signal), synapses.n_neurons), bool)
    first = np.cumsum(counts.T.reshape(-1)).reshape(synapses.n_signals, len(digits)).T - counts
    for number in range(len(digits)):
        used = np.flatnonzero(digits[number])
        for step in range(int(digits[number].max(initial=0))):
            reached = used[digits[number][used] > step]
            crossbar[first[number, synapses.signal[reached]] + step, synapses.neuron[reached]] = True
    return Encoding(signal, kind, crossbar, weight, np.zeros(weight.shape, bool), code)


def _axon_list(counts: Array) -> tuple[Array, Array]:
    """Signal and type of every axon, in the order signal, type, copy, from the numbers of axons [types, signals]."""
    entry = np.repeat(np.arange(counts.size), counts.T.reshape(-1))
    return entry // len(counts), entry % len(counts)


# ---------------------------------------------------------------- coin code


def _coin_code(synapses: CoreSynapses, arch: Architecture) -> Choice | None:
    """Few neurons with more weights than types: each pays its weights in the coins that suit it best.

    A coin is the neuron's value for a type, and a weight is a sum of coins; a signal gets as many axons of a type as any neuron
    spends on it. The search is small and not complete. None if it finds nothing.
    """
    n_types = arch.core.axon_types
    if synapses.stochastic.any() or not len(synapses.weight) or not synapses.n_neurons <= n_types <= MOST_COIN_TYPES:
        return None
    counts = np.zeros((n_types, len(synapses.weight)), np.int64)
    weight = np.zeros((n_types, synapses.n_neurons), np.int64)
    for neuron in range(synapses.n_neurons):
        mine = np.flatnonzero(synapses.neuron == neuron)
        if not len(mine):
            continue
        found = choose_coins(synapses.weight[mine], arch)
        if found is None:
            return None
        weight[:, neuron], counts[:, mine] = found
    return _counted(synapses, counts, weight)

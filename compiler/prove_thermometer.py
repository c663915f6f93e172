"""Translation validation of thermometer codes: a network with lines does what another does without, tick for tick.

Given are the two networks, nothing else. The neurons of the one come first in the other, with the same parameters; those that
follow must be *lines*: with threshold 1, leak -k and a floor, a reset and a V(0) of 0, a line ends every tick at 0, so that it
fires exactly if what arrives adds up to more than k. A neuron that reads the same in both networks does the same. For one that
reads lines, those that read the same signals with the same weights say what these add up to, by a staircase: the weights of all
that fire. The proof lists every sum that some of the signals make, and looks at the staircase there:

- it is the sum itself, or
- it is another one, and whatever the neuron holds and reads besides, both take it from any membrane that it can have to the same:
  to its reset after a spike, or through its floor.

Then the membranes of both networks are equal after every tick, by induction. Lines act in the tick in which the neurons that they
read would have: delays of 0 are of the network alone, and what it becomes on a chip is proved as that of any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.errors import MismatchError

Array = npt.NDArray[Any]
Terms = dict[tuple[int, int], int]
"""Weight by (source, delay)."""

MAX_LISTED = 12
MOST_SUM = 1 << 22
"""Sums beyond this are not listed."""
MOST_ADDED = 1 << 30
"""What a neuron may be sent in a tick, well within 32 bits."""


def prove_thermometer(network: IntegerNetwork, lined: IntegerNetwork) -> None:
    """Check that ``lined``, whose first neurons are those of ``network``, does what that does.

    Raises MismatchError that lists what differs.
    """
    _Prover(network, lined).run()


@dataclass(frozen=True)
class _Stairs:
    """What a neuron reads of the lines over the same signals: ``weight`` of each that fires if the sum exceeds ``below``."""

    terms: Terms
    below: Array
    weight: Array

    def height(self, sums: Array) -> Array:
        """What they come to at each of these sums."""
        return np.asarray((self.weight * (sums[:, None] > self.below)).sum(axis=1))


class _Prover:
    def __init__(self, network: IntegerNetwork, lined: IntegerNetwork) -> None:
        self.net, self.lined = network, lined
        self.n, self.n_inputs = network.n_neurons, network.n_inputs
        self.added = lined.n_neurons - network.n_neurons
        self.problems: list[str] = []

    def run(self) -> None:
        self.compare_frames()
        self.stop_if_failed()
        self.check_lines()
        self.stop_if_failed()
        for v in np.flatnonzero(self.changed()).tolist():
            problem = self.compare(v)
            if problem is not None:
                self.fail(f"{self.net.label(v)}: {problem}")
                break
        self.stop_if_failed()

    def fail(self, text: str) -> None:
        self.problems.append(f"network with lines: {text}")

    def stop_if_failed(self) -> None:
        if self.problems:
            raise MismatchError(self.problems[:MAX_LISTED])

    def compare_frames(self) -> None:
        """Inputs, outputs, unions, and the neurons that there were: all as they were."""
        net, lined = self.net, self.lined
        same = (net.inputs, net.outputs, net.populations) == (
            lined.inputs,
            lined.outputs,
            lined.populations[: len(net.populations)],
        )
        if not same or not np.array_equal(net.output_neuron, lined.output_neuron):
            self.fail("its inputs, outputs or populations are not those of the network")
        unions = all(
            np.array_equal(getattr(net.unions, name), getattr(lined.unions, name)) for name in ("start", "member")
        )
        if not unions or lined.unions.first != lined.n_inputs + lined.n_neurons:
            self.fail("its unions are not those of the network")
        for name in NEURON_ARRAYS:
            wrong = np.flatnonzero(net.neuron[name] != lined.neuron[name][: self.n])
            if len(wrong):
                self.fail(f"{net.label(int(wrong[0]))} has another {name}")

    def is_line(self, source: Array) -> npt.NDArray[np.bool_]:
        """Which sources are lines."""
        first = self.n_inputs + self.n
        return np.asarray((source >= first) & (source < first + self.added))

    def check_lines(self) -> None:
        """Lines forget everything in every tick, and read what the network has, without random numbers."""
        part = {name: self.lined.neuron[name][self.n :] for name in NEURON_ARRAYS}
        wrong = (part["leak"] > 0) | (part["threshold"] != 1)
        # Below a floor of 0 a neuron is held at 0 or reset to minus its reset value: either is 0.
        for name in set(NEURON_ARRAYS) - {"leak", "threshold", "floor_mode"}:
            wrong |= part[name] != 0
        reads = slice(int(self.lined.start[self.n]), None)
        target = self.lined.target[reads]
        wrong[target[self.is_line(self.lined.source[reads]) | self.lined.stochastic[reads]] - self.n] = True
        for place in np.flatnonzero(wrong)[:3].tolist():
            self.fail(f"{self.lined.label(self.n + place)} is no line: its parameters, or what it reads, are others")

    def changed(self) -> npt.NDArray[np.bool_]:
        """Neurons [n] that do not read the same in both networks."""
        before, after = np.diff(self.net.start), np.diff(self.lined.start[: self.n + 1])
        changed: npt.NDArray[np.bool_] = before != after
        count = np.where(changed, 0, before)
        neuron = np.repeat(np.arange(self.n), count)
        step = np.arange(len(neuron)) - np.repeat(np.cumsum(count) - count, count)
        pairs = zip(self.columns(self.net, neuron, step), self.columns(self.lined, neuron, step), strict=True)
        for mine, others in pairs:
            changed[neuron[mine != others]] = True
        return changed

    def columns(self, network: IntegerNetwork, neuron: Array, step: Array) -> tuple[Array, Array, Array, Array]:
        """Source (unions as the network without lines numbers them), delay, weight and stochastic of some synapses."""
        place = network.start[neuron] + step
        source = network.source[place].astype(np.int64)
        source[source >= network.unions.first] += self.net.unions.first - network.unions.first
        delay, weight = network.delay[place].astype(np.int64), network.weight[place].astype(np.int64)
        return source, delay, weight, network.stochastic[place]

    # ---------------------------------------------------------------- one neuron

    def row(self, network: IntegerNetwork, neuron: int) -> tuple[Array, Array, Array, Array]:
        """Source, delay, weight and stochastic of what a neuron reads."""
        return self.columns(network, np.array(neuron), np.arange(int(np.diff(network.start[neuron : neuron + 2])[0])))

    def compare(self, v: int) -> str | None:
        """What is wrong with a neuron that reads lines."""
        source, delay, weight, chance = self.row(self.net, v)
        if chance.any():
            return "its weights are stochastic, and lines have none"
        wanted = _terms(source, delay, weight)
        stairs = self.stairs(v)
        if isinstance(stairs, str):
            return stairs
        parts: list[tuple[int, _Stairs]] = []
        for item in stairs:
            scale = _scale(wanted, item.terms)
            if scale is None:
                return "the weights of its lines are not those of the network, up to a factor for all of them"
            parts.append((scale, item))
            for key in item.terms:
                del wanted[key]
        if wanted:
            return f"its lines say nothing of {self.net.source_label(next(iter(wanted))[0])}"
        return self.follow(v, parts)

    def stairs(self, v: int) -> list[_Stairs] | str:
        """The lines that a neuron reads, by the signals that they are over."""
        part = slice(int(self.lined.start[v]), int(self.lined.start[v + 1]))
        sources = self.lined.source[part].astype(np.int64)
        if not self.is_line(sources).all() or self.lined.stochastic[part].any():
            return "it reads something beside its lines"
        found: dict[bytes, tuple[Terms, list[int], list[int]]] = {}
        columns = (sources - self.n_inputs, self.lined.delay[part], self.lined.weight[part])
        for line, wait, weight in zip(*(column.tolist() for column in columns), strict=True):
            source, delay, weights, _ = self.row(self.lined, line)
            key = np.stack([source, delay + wait, weights]).tobytes()
            if key not in found:
                found[key] = _terms(source, delay + wait, weights), [], []
            found[key][1].append(-int(self.lined.neuron["leak"][line]))
            found[key][2].append(weight)
        return [_Stairs(terms, np.array(below), np.array(weight)) for terms, below, weight in found.values()]

    def follow(self, v: int, parts: list[tuple[int, _Stairs]]) -> str | None:
        """Replace one sum after another by its staircase: what the neuron does must stay the same each time."""
        tables: list[tuple[Array, Array]] = []
        for scale, stairs in sorted(parts, key=lambda part: -part[0]):
            sums = _possible(list(stairs.terms.values()))
            if sums is None:
                return f"the sums that its lines are about go beyond {MOST_SUM:,}"
            tables.append((scale * sums, stairs.height(sums)))
        if sum(int(np.abs(table).max()) for table in tables) > MOST_ADDED:
            return f"its sums go beyond {MOST_ADDED:,}, where a chip's membranes may not tell them apart"
        least, most = ([int(getattr(true, end)()) for true, _ in tables] for end in ("min", "max"))
        sure, floored = self.limits(v, sum(least))
        for place, (true, shown) in enumerate(tables):
            below, above = sum(least) - least[place], sum(most) - most[place]
            away = true != shown
            fires = np.minimum(true, shown) + below >= sure
            falls = np.maximum(true, shown) + above <= floored
            wrong = away & ~fires & ~falls
            if wrong.any():
                found, wanted = int(shown[wrong][0]), int(true[wrong][0])
                return f"its lines show {found} where a part of its sum is {wanted}, and that may matter"
            least[place], most[place] = int(shown.min()), int(shown.max())
        return None

    def limits(self, v: int, least_sum: int) -> tuple[float, float]:
        """Sums of weights from which on, and down to which, what a neuron does depends on nothing else.

        ``least_sum`` is the smallest that its weights may add up to. From any membrane that it may have at the end of a tick, a
        sum of the first value or more makes it fire, and one of the second or less goes below its floor; both lead to one
        membrane if its reset is to a value.
        """
        values = {name: int(column[v]) for name, column in self.net.neuron.items()}
        if values["reset_mode"] != 0:
            return np.inf, -np.inf
        step = min(1, max(-1, values["leak"])) if values["leak_stochastic"] else values["leak"]
        steps = (
            {step} | ({0} if values["leak_stochastic"] else set()) | ({0, -step} if values["leak_reversal"] else set())
        )
        random = 2 ** values["threshold_mask_bits"] - 1
        bottom = -values["floor"] - (0 if values["floor_mode"] == 1 else random)
        ends = {values["initial"], values["reset"]} | (set() if values["floor_mode"] == 1 else {-values["reset"]})
        falling = least_sum + min(steps) < 0
        low = min(ends | ({bottom} if falling else set()))
        high = max(ends | {bottom, values["threshold"] + random - 1})
        return values["threshold"] + random - low - min(steps), -values["floor"] - random - 1 - high - max(steps)


def _terms(source: Array, delay: Array, weight: Array) -> Terms:
    """Weights by what they are of."""
    terms: Terms = {}
    for key in zip(source.tolist(), delay.tolist(), weight.tolist(), strict=True):
        terms[key[:2]] = terms.get(key[:2], 0) + key[2]
    return terms


def _scale(wanted: Terms, terms: Terms) -> int | None:
    """The whole number that turns the weights of lines into those of the network on the same signals, if there is one."""
    ratio: set[tuple[int, int]] = set()
    for key, weight in terms.items():
        if weight <= 0 or key not in wanted:
            return None
        ratio.add(divmod(wanted[key], weight))
    scale, rest = next(iter(ratio), (0, 1))
    return scale if len(ratio) == 1 and rest == 0 else None


def _possible(weights: list[int]) -> Array | None:
    """All sums of some of the (positive) weights; None if the largest is too large."""
    total = sum(weights)
    if total > MOST_SUM:
        return None
    made = np.zeros(total + 1, bool)
    made[0] = True
    for value, times in _counted(weights):
        for often in times:
            moved = made[: total + 1 - often * value].copy()
            made[often * value :] |= moved
    return np.flatnonzero(made)


def _counted(weights: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Different weights, and numbers that add up to any number of times that each can count: 1, 2, 4, ... and the rest."""
    for value, times in zip(*np.unique(weights, return_counts=True), strict=True):
        left, parts = int(times), list[int]()
        while left:
            parts.append(min(left, 1 << len(parts)))
            left -= parts[-1]
        yield int(value), parts

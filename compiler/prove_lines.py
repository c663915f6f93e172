"""What proofs of networks with lines have in common: the frame around both networks, and which lines stand for what.

Given are two networks. The neurons of the one come first in the other, with the same parameters; what follows must be lines, and
only lines may take the place of something that a neuron read. Nothing here knows how lines are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.prove_added import frame_faults
from neurocore.errors import MismatchError

Array = npt.NDArray[Any]
Terms = dict[tuple[int, int], int]
"""Weight by (source, delay)."""

MAX_LISTED = 12


@dataclass(frozen=True)
class Told:
    """What a neuron is told by lines that read the same: ``scale`` times the sum of the ``terms``, all of them positive.

    The neuron reads each ``line`` (a neuron of the network with lines) with a ``weight``.
    """

    terms: Terms
    scale: int
    line: Array
    weight: Array


class LinesProver:
    """Compares two networks; how a line may behave, and what it says, is for a proof of its own to know."""

    def __init__(self, network: IntegerNetwork, lined: IntegerNetwork) -> None:
        self.net, self.lined = network, lined
        self.n, self.n_inputs = network.n_neurons, network.n_inputs
        self.added = lined.n_neurons - network.n_neurons
        self.problems: list[str] = []

    def run(self) -> None:
        """Raise MismatchError that lists what differs."""
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

    def misbehaving(self, part: dict[str, Array]) -> npt.NDArray[np.bool_]:
        """Which of the added neurons are no lines, by their parameters."""
        raise NotImplementedError

    def follow(self, v: int, parts: list[Told]) -> str | None:
        """What is wrong with a neuron that is told all that it read."""
        raise NotImplementedError

    def fail(self, text: str) -> None:
        """One more difference."""
        self.problems.append(f"network with lines: {text}")

    def stop_if_failed(self) -> None:
        """Raise what was found so far."""
        if self.problems:
            raise MismatchError(self.problems[:MAX_LISTED])

    def compare_frames(self) -> None:
        """Inputs, outputs, unions, and the neurons that there were: all as they were."""
        net, lined = self.net, self.lined
        for fault in frame_faults(net, lined):
            self.fail(fault)
        for name in NEURON_ARRAYS:
            wrong = np.flatnonzero(net.neuron[name] != lined.neuron[name][: self.n])
            if len(wrong):
                self.fail(f"{net.label(int(wrong[0]))} has another {name}")

    def is_line(self, source: Array) -> npt.NDArray[np.bool_]:
        """Which sources are lines."""
        first = self.n_inputs + self.n
        return np.asarray((source >= first) & (source < first + self.added))

    def check_lines(self) -> None:
        """Lines behave as such, and read what the network has, without random numbers."""
        wrong = self.misbehaving({name: self.lined.neuron[name][self.n :] for name in NEURON_ARRAYS})
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
        found = self.groups(v)
        if isinstance(found, str):
            return found
        parts: list[Told] = []
        for terms, line, weights in found:
            scale = _scale(wanted, terms)
            if scale is None:
                return "the weights of its lines are not those of the network, up to a factor for all of them"
            parts.append(Told(terms, scale, np.array(line), np.array(weights)))
            for key in terms:
                del wanted[key]
        if wanted:
            return f"its lines say nothing of {self.net.source_label(next(iter(wanted))[0])}"
        return self.follow(v, parts)

    def groups(self, v: int) -> list[tuple[Terms, list[int], list[int]]] | str:
        """The lines that a neuron reads, and their weights, by the signals that they read."""
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
            found[key][1].append(line)
            found[key][2].append(weight)
        return list(found.values())


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

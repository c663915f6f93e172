"""Thermometer codes: fan-in beyond a core's axons, exactly, for a tick of latency.

What a neuron reads is divided into *families*: the signals of one part, which fits a core, and of one sign. In every tick a
family has a sum, which is told to the neuron by *lines*, neurons that remember nothing and fire if the sum is large enough:

    possible sums 0 2 3 5 7, now 5:    lines >= 2: 1, >= 3: 1, >= 5: 1, >= 7: 0    of weights 2, 1, 2, 2    2 + 1 + 2 = 5

A line has threshold 1, and its leak takes away the largest sum that is too small for it, so that what is too small ends at the
floor of 0. There is a line for every sum that some of the signals make and that can matter: where a neuron is reset to a value
and its membrane has bounds, sums beyond some size make it fire, or meet its floor, whatever it holds.

Lines act in the network's own tick: the neuron reads them after 0 ticks (1, where all its delays have one to spare), and retiming
finds the tick that they take on the chip. A neuron that then reads too many lines is given lines of lines.

Whether the result does what the network does is proved by :mod:`neurocore.compiler.prove_thermometer`, without any code of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csgraph, csr_array

from neurocore.architecture import Architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.families import Family, SumRange, divide
from neurocore.compiler.partition import misfit
from neurocore.compiler.route import TightCycleError, longest_paths
from neurocore.config import Group
from neurocore.errors import FitError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Thermometer:
    """A network and what it became: each of ``steps`` has the neurons of the one before, in their places, and then lines."""

    origin: IntegerNetwork
    steps: tuple[IntegerNetwork, ...]

    @property
    def network(self) -> IntegerNetwork:
        """What goes onto the chip."""
        return self.steps[-1]

    @property
    def n_lines(self) -> int:
        """Lines in all."""
        return self.network.n_neurons - self.origin.n_neurons

    @property
    def n_readers(self) -> int:
        """Neurons of the network that read lines."""
        net, n = self.network, self.origin.n_neurons
        reader = net.target[(net.source >= net.n_inputs + n) & (net.source < net.unions.first)]
        return len(np.unique(reader[reader < n]))

    def __str__(self) -> str:
        """What was done, for certificates and reports."""
        lines, readers = (
            f"{n:,} {word}{'s' * (n != 1)}" for n, word in ((self.n_lines, "line"), (self.n_readers, "neuron"))
        )
        return f"{lines} of a thermometer code tell{'s' * (self.n_lines == 1)} {readers} the sums of what they read"


def thermometer(network: IntegerNetwork, arch: Architecture, most_synapses: int | None = None) -> Thermometer | None:
    """The network with lines for its widest neurons; None if all neurons fit a core as they are.

    Lines have at most ``most_synapses``, or those of the whole chip. Raises FitError that names every population for which lines
    are no way out, and why, or a cycle that has no time for them.
    """
    most = arch.n_cores * arch.core.axons * arch.core.neurons if most_synapses is None else most_synapses
    steps, wide = [network], _misfits(network, arch)
    while wide:
        builder = _Builder(steps[-1], arch, sorted(wide), most)
        steps.append(builder.run())
        wide = _misfits(steps[-1], arch)
        builder.check(steps[-1], wide)
    if len(steps) == 1:
        return None
    _check_cycles(network, steps[-1])
    return Thermometer(network, tuple(steps[1:]))


def _misfits(network: IntegerNetwork, arch: Architecture) -> dict[int, str]:
    """Populations with a neuron that reads more than a core has axons for, and the sentence about it."""
    cutter = Cutter(network, arch)
    texts = {number: misfit(cutter, number) or "" for number in range(len(network.populations))}
    return {number: text for number, text in texts.items() if text.startswith("E-FANIN")}


# ---------------------------------------------------------------- the network with lines


class _Rows:
    """Synapses under construction, neuron after neuron; a source -1 - k is line k."""

    def __init__(self) -> None:
        self.reads = [np.zeros(1, np.int64)]
        self.columns = [np.zeros((4, 0), np.int32)]

    def add(self, reads: Any, source: Array, weight: Array, delay: Array, stochastic: Array | bool = False) -> None:
        """Synapses of neurons that follow one another and read so many each, those of each sorted by source and delay."""
        chance = np.broadcast_to(stochastic, len(source))
        self.reads.append(np.asarray(reads, np.int64))
        self.columns.append(np.stack([source, weight, delay, chance]).astype(np.int32))


class _Builder:
    """Puts the network with lines together: the neurons that there were, then the lines of each wide population."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, wide: list[int], most_synapses: int) -> None:
        self.network, self.arch, self.wide, self.room = network, arch, wide, most_synapses
        self.range = SumRange(network)
        self.groups = list(network.populations)
        self.rows, self.lines = _Rows(), _Rows()
        self.leak: list[int] = []
        self.rate: list[float] = []
        self.problems: list[str] = []

    def run(self) -> IntegerNetwork:
        """The network. Raises FitError that names every population that lines cannot serve."""
        for number in range(len(self.network.populations)):
            if number in self.wide:
                self.population(number)
            else:
                self.copy(number)
        if self.problems:
            raise FitError(self.problems)
        return self.finished()

    def fail(self, v: int, text: str) -> None:
        """One more population that is refused, and why; ``v`` is a neuron of it."""
        name = self.network.populations[int(self.network.population_of()[v])].name
        self.problems.append(f"E-THERMOMETER population {name!r}: {self.network.label(v)} {text}")

    def copy(self, number: int) -> None:
        """A population that reads what it read."""
        net = self.network
        begin, end = net.offsets()[number : number + 2].tolist()
        part = slice(int(net.start[begin]), int(net.start[end]))
        columns = (item[part] for item in (net.source, net.weight, net.delay, net.stochastic))
        self.rows.add(np.diff(net.start[begin : end + 1]), *columns)

    def population(self, number: int) -> None:
        """A wide population: lines for its families, and what its neurons read of them."""
        division = divide(self.network, self.arch, self.range, number)
        if division.problem is not None:
            self.fail(division.neuron, division.problem)
            return
        begin, end = self.network.offsets()[number : number + 2].tolist()
        self.room -= division.n_synapses
        if self.room < 0:
            cores, over = f"{self.arch.n_cores:,} cores of {self.arch.name!r}", -self.room
            self.fail(
                begin,
                f"and those after it need lines that read more than {cores} can ({over:,} synapse{'s' * (over > 1)} over). Use"
                " fewer neurons or smaller receptive fields",
            )
            return
        before, name = len(self.leak), self.network.populations[number].name
        known: dict[bytes, dict[int, int]] = {}
        for family, sums in zip(division.families, division.sums, strict=True):
            self.lines_of(family, sums.tolist(), known.setdefault(family.key, {}))
        for mine in division.by_neuron(begin, end):
            parts = [self.read(family, sums, known[family.key]) for family, sums in mine]
            line, weight, wait = np.concatenate([np.zeros((3, 0), np.int64), *parts], axis=1)
            order = np.argsort(line)
            self.rows.add([len(line)], -1 - line[order], weight[order], wait[order])
        self.groups.append(Group(self.fresh(f"{name}.lines"), (len(self.leak) - before,)))

    def lines_of(self, family: Family, sums: list[int], known: dict[int, int]) -> None:
        """Add the lines of a family that no other neuron has asked for; ``known`` are those that fire above some sum."""
        new = [below for below in sums[:-1] if below not in known]
        known.update({below: len(self.leak) + place for place, below in enumerate(new)})
        columns = (np.tile(column, len(new)) for column in (family.source, family.weight, family.delay))
        self.lines.add(np.full(len(new), len(family.source)), *columns)
        self.leak += [-below for below in new]
        mean = float(self.rates(family.source) @ family.weight)
        self.rate += [min(mean / (below + 1), 1.0) for below in new]

    def read(self, family: Family, sums: Array, known: dict[int, int]) -> Array:
        """Line, weight and delay [3, n] of what a neuron reads of a family."""
        line = np.array([known[below] for below in sums[:-1].tolist()], np.int64)
        return np.stack([line, family.scale * np.diff(sums), np.full(len(line), family.wait)])

    def rates(self, source: Array) -> Array:
        """Expected spikes per tick of sources; of a union, those of its members together."""
        place, number = self.network.unions.expand(source)
        return np.bincount(place, self.network.rate[number], len(source))

    def fresh(self, name: str) -> str:
        """A name that no input and no population has: this, or with a number after it."""
        known = {group.name for group in (*self.groups, *self.network.inputs)}
        return next(item for item in chain([name], (f"{name}{n}" for n in count(2))) if item not in known)

    def finished(self) -> IntegerNetwork:
        """The network of all that was added."""
        net, n = self.network, len(self.leak)
        source, weight, delay, chance = np.concatenate(self.rows.columns + self.lines.columns, axis=1)
        of_line, of_union = source < 0, source >= net.unions.first
        source = np.where(of_line, net.unions.first - 1 - source, source + np.where(of_union, n, 0))
        added = dict.fromkeys(NEURON_ARRAYS, np.zeros(n, np.int64))
        added["threshold"] = np.ones(n, np.int64)
        # Below the floor of 0 both modes lead to 0, as the reset is to 0; some chips have only one.
        added["floor_mode"] = np.full(n, "saturate" in self.arch.neuron.floor_modes, np.int64)
        added["leak"] = np.array(self.leak, np.int64)
        return replace(
            net,
            populations=tuple(self.groups),
            neuron={name: np.concatenate([net.neuron[name], added[name]]) for name in NEURON_ARRAYS},
            start=np.cumsum(np.concatenate(self.rows.reads + self.lines.reads[1:])),
            source=source.astype(np.int32),
            weight=weight,
            delay=delay.astype(np.uint16),
            stochastic=chance != 0,
            rate=np.concatenate([net.rate, self.rate]),
            unions=replace(net.unions, first=net.unions.first + n),
            group=self.kept(net.group, -1),
            values=self.kept(net.values, 0),
        )

    def kept(self, given: Array | None, nothing: int) -> Array | None:
        """What quantisation left for the neurons that read what they read."""
        if given is None:
            return None
        added = np.full((len(self.leak), *given.shape[1:]), nothing, given.dtype)
        wide = np.isin(self.network.population_of(), self.wide)
        old = np.where(wide.reshape(-1, *[1] * (given.ndim - 1)), nothing, given)
        return np.concatenate([old, added]).astype(given.dtype)

    def check(self, network: IntegerNetwork, misfits: dict[int, str]) -> None:
        """Raise FitError if populations do not fit, lines included, and lines of their lines cannot help."""
        after = np.diff(network.start)
        for number, text in misfits.items():
            if number >= len(self.network.populations):
                self.problems.append(
                    f"E-THERMOMETER population {network.populations[number].name!r} does not fit: {text}"
                )
                continue
            begin, end = network.offsets()[number : number + 2].tolist()
            worst = begin + int(np.argmax(after[begin:end]))
            if after[worst] <= self.arch.core.axons:
                self.fail(worst, f"reads {after[worst]} lines, which do not fit either: {text}")
        if self.problems:
            raise FitError(self.problems)


# ---------------------------------------------------------------- cycles


def _check_cycles(network: IntegerNetwork, lined: IntegerNetwork) -> None:
    """Raise FitError if a cycle has less delay than steps: each line on it takes a tick of its own."""
    source, target, need = _inner_edges(lined)
    if not (need > 0).any():
        return
    node, place = np.unique(np.concatenate([source, target]), return_inverse=True)
    try:
        longest_paths(place[: len(source)], place[len(source) :], need, len(node))
    except TightCycleError as cycle:
        numbers = [int(network.population_of()[v]) for v in node[cycle.blocks].tolist() if v < network.n_neurons]
        way, rounds = _once_round(numbers)
        names, missing = [network.populations[number].name for number in way], -(-cycle.missing // rounds)
        raise FitError(
            f"E-CYCLE {' -> '.join(map(repr, (*names, names[0])))} has {missing} tick{'s' * (missing > 1)} less delay than its"
            f" neurons need: lines of a thermometer code take a tick of their own. Raise a delay on the cycle by {missing}"
        ) from cycle


def _once_round(way: list[int]) -> tuple[list[int], int]:
    """The shortest way that repeats to a way round a cycle, and how often it does."""
    length = next(n for n in range(1, len(way) + 1) if len(way) % n == 0 and way[:n] * (len(way) // n) == way)
    return way[:length], len(way) // length


def _inner_edges(network: IntegerNetwork) -> tuple[Array, Array, Array]:
    """Synapses between neurons that are on a cycle: source, target, and the ticks that a spike takes beyond its delay."""
    place, source = network.unions.expand(network.source)
    inner = source >= network.n_inputs
    source, target = source[inner] - network.n_inputs, network.target[place[inner]].astype(np.int64)
    n = network.n_neurons
    graph = csr_array((np.ones(len(source), np.int8), (source, target)), shape=(n, n))
    component = csgraph.connected_components(graph, connection="strong")[1]
    on_cycle = component[source] == component[target]
    need = 1 - network.delay[place[inner]].astype(np.int64)
    return source[on_cycle], target[on_cycle], need[on_cycle]

"""Networks with lines: neurons added to tell others what they would read, and a tick in which they do.

Lines are for neurons that read more than a core has axons for; what lines say is the business of
:mod:`neurocore.compiler.thermometer` and :mod:`neurocore.compiler.carry`. They act in the network's own tick: a neuron may read
them after 0 ticks, and retiming finds the tick that they take on the chip.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csgraph, csr_array

from neurocore.architecture import Architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.families import Family
from neurocore.compiler.partition import misfit
from neurocore.compiler.retiming import TightCycleError, longest_paths
from neurocore.compiler.slack import CycleError, once_round
from neurocore.config import Group
from neurocore.wording import counted

Array = npt.NDArray[Any]


def too_wide(network: IntegerNetwork, arch: Architecture) -> dict[int, str]:
    """Populations with a neuron that reads more than a core has axons for, and the sentence about it."""
    cutter = Cutter(network, arch)
    texts = {number: misfit(cutter, number) or "" for number in range(len(network.populations))}
    return {number: text for number, text in texts.items() if text.startswith("E-FANIN")}


def count_readers(network: IntegerNetwork, n: int) -> int:
    """How many of the first ``n`` neurons read any of the others."""
    reader = network.target[(network.source >= network.n_inputs + n) & (network.source < network.unions.first)]
    return len(np.unique(reader[reader < n]))


def said_lines(n_lines: int, what: str, n_readers: int) -> str:
    """What was done, for certificates and reports; ``what`` lines are or do."""
    tell = f"{what} tell{'s' * (n_lines == 1)}"
    return f"{counted(n_lines, 'line')} {tell} {counted(n_readers, 'neuron')} the sums of what they read"


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


class LineBuilder:
    """Puts a network with lines together: the neurons that there were, population after population, then the lines."""

    def __init__(self, network: IntegerNetwork, wide: list[int]) -> None:
        self.network, self.wide = network, wide
        self.groups = list(network.populations)
        self.rows, self.lines = _Rows(), _Rows()
        self.values: list[dict[str, int]] = []
        self.rate: list[float] = []

    @property
    def n_lines(self) -> int:
        """Lines so far."""
        return len(self.values)

    def copy(self, number: int) -> None:
        """A population that reads what it read."""
        net = self.network
        begin, end = net.offsets()[number : number + 2].tolist()
        part = slice(int(net.start[begin]), int(net.start[end]))
        columns = (item[part] for item in (net.source, net.weight, net.delay, net.stochastic))
        self.rows.add(np.diff(net.start[begin : end + 1]), *columns)

    def add_lines(self, family: Family, values: list[dict[str, int]], rates: list[float]) -> None:
        """Lines that read a family's signals, with these parameters (0 where none is given) and expected spikes per tick."""
        columns = (np.tile(column, len(values)) for column in (family.source, family.weight, family.delay))
        self.lines.add(np.full(len(values), len(family.source)), *columns)
        self.values += values
        self.rate += [min(rate, 1.0) for rate in rates]

    def add_reader(self, line: Array, weight: Array, wait: Array) -> None:
        """The next neuron of a wide population, which reads lines."""
        order = np.argsort(line)
        self.rows.add([len(line)], -1 - line[order], weight[order], wait[order])

    def close(self, number: int, name: str, first_line: int) -> None:
        """All lines from one on are those of a population; they become one that is named after it."""
        full = f"{self.network.populations[number].name}.{name}"
        self.groups.append(Group(self.fresh(full), (self.n_lines - first_line,)))

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
        net, n = self.network, self.n_lines
        source, weight, delay, chance = np.concatenate(self.rows.columns + self.lines.columns, axis=1)
        of_line, of_union = source < 0, source >= net.unions.first
        source = np.where(of_line, net.unions.first - 1 - source, source + np.where(of_union, n, 0))
        added = {name: np.array([values.get(name, 0) for values in self.values], np.int64) for name in NEURON_ARRAYS}
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
        added = np.full((self.n_lines, *given.shape[1:]), nothing, given.dtype)
        wide = np.isin(self.network.population_of(), self.wide)
        old = np.where(wide.reshape(-1, *[1] * (given.ndim - 1)), nothing, given)
        return np.concatenate([old, added]).astype(given.dtype)


def check_cycles(network: IntegerNetwork, lined: IntegerNetwork, what: str) -> None:
    """Raise CycleError if a cycle has less delay than steps: each line on it takes a tick of its own; ``what`` lines are."""
    source, target, need = _inner_edges(lined)
    if not (need > 0).any():
        return
    node, place = np.unique(np.concatenate([source, target]), return_inverse=True)
    try:
        longest_paths(place[: len(source)], place[len(source) :], need, len(node))
    except TightCycleError as cycle:
        numbers = [int(network.population_of()[v]) for v in node[cycle.blocks].tolist() if v < network.n_neurons]
        way, rounds = once_round(numbers)
        names, missing = [network.populations[number].name for number in way], -(-cycle.missing // rounds)
        raise CycleError(
            f"E-CYCLE {' -> '.join(map(repr, (*names, names[0])))} has {counted(missing, 'tick')} less delay than its"
            f" neurons need: {what} take a tick of their own.",
            missing,
            way,
        ) from cycle


def _inner_edges(network: IntegerNetwork) -> tuple[Array, Array, Array]:
    """Synapses between neurons that are on a cycle: source, target, and the ticks that a spike takes beyond its delay."""
    place, source = network.unions.expand(network.source)
    inner = source >= network.n_inputs
    source, target = source[inner] - network.n_inputs, network.target[place[inner]].astype(np.int64)
    n = network.n_neurons
    graph = csr_array((np.ones(len(source), np.int32), (source, target)), shape=(n, n))
    component = csgraph.connected_components(graph, connection="strong")[1]
    on_cycle = component[source] == component[target]
    need = 1 - network.delay[place[inner]].astype(np.int64)
    return source[on_cycle], target[on_cycle], need[on_cycle]

"""Carried sums: fan-in beyond a core's axons, approximately. What is too much for a tick is told in the next ones.

What a neuron reads is divided into families, signals of one part and one sign, as for :mod:`neurocore.compiler.thermometer`.
But the lines of a family remember: n of them read its signals with threshold n u, linear reset and V(0) = 0, u, ... (n - 1) u.
As long as no tick brings more than n u, line i has fired floor((X + i u) / (n u)) times when X has arrived in all, and together
they have floor(X / u) times (Hermite's identity). So each spike stands for u, and nothing is ever lost:

- a sum of more than n u is late, and goes on into the next ticks;
- of a sum that is no multiple of u, the rest waits for more.

How many lines a family gets follows from what its
sums are when the network runs on random input: enough for nearly all of them, with the least u for which the neuron has axons.
The difference that remains is measured, on other input, and declared (:mod:`neurocore.compiler.deviation`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.deviation import recorded
from neurocore.compiler.encode import CoreSynapses, choose
from neurocore.compiler.families import Family, by_neuron, find_families, find_rooms, random_weights
from neurocore.compiler.lines import LineBuilder, check_cycles, count_readers, said_lines, too_wide
from neurocore.compiler.synapses import MAX_WEIGHT
from neurocore.errors import FitError
from neurocore.wording import counted

Array = npt.NDArray[Any]

LINEAR = 1
"""Reset mode, as numbered in chip.md."""
FEW = 4
"""Sums of parts are few for a core if there could be so many lines for each."""
MARGIN = 4.0
"""Standard deviations above its mean up to which a sum is to be told at once, or up to the largest seen if that is more."""
SAMPLE_TICKS, SAMPLE_SEED = 200, 1
"""Ticks and seed of the random input on which sums are looked at."""


@dataclass(frozen=True)
class Carry:
    """A network and what it became: the neurons that there were, in their places, and then lines."""

    origin: IntegerNetwork
    network: IntegerNetwork

    @property
    def n_lines(self) -> int:
        """Lines in all."""
        return self.network.n_neurons - self.origin.n_neurons

    def __str__(self) -> str:
        """What was done, for certificates and reports."""
        n_readers = count_readers(self.network, self.origin.n_neurons)
        return said_lines(self.n_lines, "with carry", n_readers)


def carry(network: IntegerNetwork, arch: Architecture, most_synapses: int | None = None) -> Carry | None:
    """The network with lines for its widest neurons; None if all neurons fit a core as they are.

    Lines have at most ``most_synapses``, or those of the whole chip. Raises FitError that names every population for which lines
    are no way out, and why, or a cycle that has no time for them.
    """
    wide = too_wide(network, arch)
    if not wide:
        return None
    builder, problems = LineBuilder(network, sorted(wide)), list[str]()
    seen = recorded(network, arch, SAMPLE_TICKS, SAMPLE_SEED)
    room = arch.n_cores * arch.core.axons * arch.core.neurons if most_synapses is None else most_synapses
    for number in range(len(network.populations)):
        if number in wide:
            population = _Population(builder, arch, number, seen, room)
            problem = population.add()
            problems += [] if problem is None else [problem]
            room -= population.n_synapses
        else:
            builder.copy(number)
    if problems:
        raise FitError(problems)
    result = builder.finished()
    _check_fit(network, result, arch)
    check_cycles(network, result, "lines that carry sums")
    return Carry(network, result)


def _check_fit(network: IntegerNetwork, lined: IntegerNetwork, arch: Architecture) -> None:
    """Raise FitError if populations do not fit, lines included."""
    problems = []
    for number, text in too_wide(lined, arch).items():
        name = lined.populations[number].name
        what = "and its lines do not fit a core either" if number < len(network.populations) else "does not fit a core"
        problems.append(f"E-CARRY population {name!r} {what}: {text}")
    if problems:
        raise FitError(problems)


@dataclass(frozen=True)
class _Share:
    """The lines of a family: how many, and for how much of its sum a spike of one stands."""

    n_lines: int
    unit: int


class _Population:
    """Gives a wide population its lines."""

    def __init__(
        self, builder: LineBuilder, arch: Architecture, number: int, seen: npt.NDArray[np.bool_], room: int
    ) -> None:
        self.builder, self.arch, self.number, self.network, self.seen = builder, arch, number, builder.network, seen
        self.room, self.n_synapses = room, 0
        self.families = self.divided()
        self.first = builder.n_lines
        self.known: dict[tuple[bytes, _Share], int] = {}

    def divided(self) -> list[Family]:
        """Families: with the fewest cores for their lines, or if these are too many for a neuron, the fewest families."""
        rooms = find_rooms(self.network, self.arch, self.number)
        found = find_families(self.network, self.number, rooms[0])
        most = max(map(len, by_neuron(found).values()))
        return found if most <= self.arch.core.axons // FEW else find_families(self.network, self.number, rooms[-1])

    def add(self) -> str | None:
        """Add the lines and what the neurons read of them; or say what is wrong with the first neuron that can have none."""
        mine = by_neuron(self.families)
        shares: dict[int, _Share] = {}
        for v, families in mine.items():
            problem = random_weights(self.network, v) or self.divide(families, shares)
            if problem is not None:
                name = self.network.populations[self.number].name
                return f"E-CARRY population {name!r}: {self.network.label(v)} {problem}"
        lines = {(family.key, share): share.n_lines * len(family.source) for family, share in self.shared(shares)}
        self.n_synapses = sum(lines.values())
        if self.n_synapses > self.room:
            cores, over = f"{self.arch.n_cores:,} cores of {self.arch.name!r}", self.n_synapses - self.room
            return (
                f"E-CARRY population {self.network.populations[self.number].name!r} and those before it need lines that read more"
                f" than {cores} can ({counted(over, 'synapse')} over). Use fewer neurons or smaller receptive fields"
            )
        for family, share in self.shared(shares):
            self.lines_of(family, share)
        begin, end = self.network.offsets()[self.number : self.number + 2].tolist()
        for v in range(begin, end):
            parts = [self.read(family, shares[id(family)]) for family in mine.get(v, [])]
            self.builder.add_reader(*np.concatenate([np.zeros((3, 0), np.int64), *parts], axis=1))
        self.builder.close(self.number, "carry", self.first)
        return None

    def shared(self, shares: dict[int, _Share]) -> Iterator[tuple[Family, _Share]]:
        """All families with their lines."""
        return ((family, shares[id(family)]) for family in self.families)

    def divide(self, families: list[Family], shares: dict[int, _Share]) -> str | None:
        """Add how many lines each family of a neuron has, by its identity; or say why there are too few."""
        room, axons, wanted = self.arch.core.axons, self.arch.core.axons, [self.wanted(family) for family in families]
        while True:
            if len(families) > room:
                return (
                    f"has {len(families)} sums of parts to read; with their weights a core of {self.arch.name!r} has axons for"
                    f" {room} ({len(families) - room} over). Use smaller receptive fields or weights"
                )
            found = _allotted(wanted, room)
            need = self.axons(families, found)
            if need <= axons:
                break
            room = min(room * axons // need, room - 1)
        largest = max(share.n_lines * share.unit for share in found)
        over = largest - min(self.arch.neuron.threshold.max, self.arch.neuron.membrane.max)
        if over > 0:
            return (
                f"must be told sums up to {largest:,} in a tick, which is the threshold of their lines; {self.arch.name!r} has"
                f" thresholds {self.arch.neuron.threshold} ({over:,} over). Use smaller weights"
            )
        heaviest = max(abs(family.scale) * share.unit for family, share in zip(families, found, strict=True))
        if heaviest > MAX_WEIGHT:
            return (
                f"has axons for so few lines that a spike of one must stand for {heaviest:,}, which is its weight; weights go up"
                f" to {MAX_WEIGHT:,} ({heaviest - MAX_WEIGHT:,} over). Use smaller weights or receptive fields"
            )
        shares.update({id(family): share for family, share in zip(families, found, strict=True)})
        return None

    def wanted(self, family: Family) -> int:
        """The largest sum that is to be told at once."""
        shift = family.delay - family.delay.min()
        last = SAMPLE_TICKS - int(shift.max())
        if last < SAMPLE_TICKS // 2:
            shift, last = np.zeros_like(shift), SAMPLE_TICKS
        sums = np.zeros(last, np.int64)
        for late in np.unique(shift).tolist():
            mine, begin = shift == late, SAMPLE_TICKS - last - late
            sums += self.seen[begin : begin + last][:, family.source[mine]] @ family.weight[mine]
        usual = ceil(float(sums.mean()) + MARGIN * float(sums.std()))
        return min(max(usual, int(sums.max()), 1), family.most)

    def axons(self, families: list[Family], shares: list[_Share]) -> int:
        """Axons that a neuron takes for its lines; more than a core has if there is no code."""
        pairs = zip(families, shares, strict=True)
        weight = np.concatenate([np.full(share.n_lines, family.scale * share.unit) for family, share in pairs])
        n = len(weight)
        lines = CoreSynapses(np.arange(n), np.zeros(n, np.int64), weight, np.zeros(n, bool), n, 1)
        choice = choose(lines, self.arch, thrifty=False)
        return 2 * n if choice is None else choice.n_axons

    def lines_of(self, family: Family, share: _Share) -> None:
        """Add the lines of a family, unless another neuron has asked for the same."""
        if (family.key, share) in self.known:
            return
        self.known[family.key, share] = self.builder.n_lines
        plain = {"threshold": share.n_lines * share.unit, "reset_mode": LINEAR}
        plain |= {"floor_mode": int("saturate" in self.arch.neuron.floor_modes)}
        rate = float(self.seen[:, family.source].mean(axis=0) @ family.weight) / plain["threshold"]
        values = [plain | {"initial": place * share.unit} for place in range(share.n_lines)]
        self.builder.add_lines(family, values, [rate] * share.n_lines)

    def read(self, family: Family, share: _Share) -> Array:
        """Line, weight and delay [3, n] of what a neuron reads of a family."""
        line = self.known[family.key, share] + np.arange(share.n_lines)
        return np.stack([line, np.full(len(line), family.scale * share.unit), np.full(len(line), family.wait)])


def _allotted(wanted: list[int], room: int) -> list[_Share]:
    """Lines for sums up to ``wanted`` each, ``room`` at most in all: all spikes stand for the least with which that is so."""
    sizes = range(1, max(wanted) + 1)
    unit = sizes[bisect_left(sizes, True, key=lambda size: sum(-(-most // size) for most in wanted) <= room)]
    return [_Share(-(-most // unit), unit) for most in wanted]

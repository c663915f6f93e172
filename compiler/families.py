"""What lines of a thermometer code must tell: the families of signals that neurons read, and which of their sums matter.

How lines are made of that is said in :mod:`neurocore.compiler.thermometer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import RESET_MODES, Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.dilation_plan import Entries, find_parts
from neurocore.compiler.encode import axons_per_signal

Array = npt.NDArray[Any]

VALUE, SATURATE = 0, 1
"""Reset and floor mode, as numbered in chip.md."""
FAR = 1 << 40
"""A sum that no neuron reads."""
MOST_SUM = 1 << 20
"""Sums of a family up to which the possible ones are listed, in multiples of what its weights have in common."""
MOST_WEIGHT = 1 << 30
"""Weights that a neuron may read in all, so that no sum wraps at 32 bits where a chip has no clamp."""


@dataclass(frozen=True)
class Family:
    """Signals of one part and one sign that a neuron reads: ``scale`` times the sum of the positive ``weight`` of those active.

    ``weight`` [n] have no common divisor. The neuron reads the lines ``wait`` ticks after these read ``source`` after ``delay``.
    """

    neuron: int
    scale: int
    source: Array
    delay: Array
    weight: Array
    wait: int

    @cached_property
    def most(self) -> int:
        """The sum of all."""
        return int(self.weight.sum())

    @cached_property
    def key(self) -> bytes:
        """Equal for families whose sums are the same number in every tick."""
        return np.stack([self.source, self.delay, self.weight]).tobytes()

    def end(self, needed: int) -> int:
        """From where on sums are all the same if neurons need to know them up to ``needed``; at least 1."""
        return min(max(-(-needed // abs(self.scale)), 1), self.most)

    def sums(self, needed: int) -> Array:
        """Sums below :meth:`end` that some of the signals make, ascending from 0, and it itself, for all that are no less."""
        end = self.end(needed)
        made, within = 1, (1 << end) - 1
        for weight in self.weight[self.weight < end].tolist():
            made |= (made << weight) & within
        bits = np.frombuffer(made.to_bytes(made.bit_length() // 8 + 1, "little"), np.uint8)
        return np.append(np.flatnonzero(np.unpackbits(bits, bitorder="little")), end)


class SumRange:
    """Between which sums of its weights in a tick each neuron [N] tells any two apart.

    At or above ``high`` any sum makes it fire, which leads to its reset value; at or below ``low`` any takes it through its
    floor. So it is only where the reset is to a value and membranes have bounds, ``least`` to ``largest`` from tick to tick.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network, values = network, network.neuron
        self.bounded = values["reset_mode"] == VALUE
        mask = (1 << values["threshold_mask_bits"]) - 1
        drop, rise = self.leaks()
        rest = [values["initial"], values["reset"]]
        ends = np.where(values["floor_mode"] == SATURATE, values["reset"], -values["reset"])
        lowest = -values["floor"] - np.where(values["floor_mode"] == SATURATE, 0, mask)
        falls = np.zeros(network.n_neurons, bool)
        falls[network.target_of(np.flatnonzero(network.weight < 0))] = True
        falls |= drop < 0
        self.least = np.minimum.reduce([*rest, ends, np.where(falls, lowest, rest[0])])
        self.largest = np.maximum.reduce([*rest, ends, -values["floor"], values["threshold"] + mask - 1])
        self.high = np.where(self.bounded, values["threshold"] + mask - self.least - drop, FAR)
        self.low = np.where(self.bounded, -values["floor"] - mask - 1 - self.largest - rise, -FAR)

    def leaks(self) -> tuple[Array, Array]:
        """The most that the leak takes away in a tick (0 or less), and adds (0 or more)."""
        values = self.network.neuron
        random, turned = values["leak_stochastic"] != 0, values["leak_reversal"] != 0
        step = np.where(random, np.sign(values["leak"]), values["leak"])
        drop = np.where(random, np.minimum(step, 0), step)
        rise = np.where(random, np.maximum(step, 0), step)
        return np.where(turned, -np.abs(step), drop), np.where(turned, np.abs(step), rise)

    def needed(self, families: list[Family]) -> Iterator[tuple[Family, int]]:
        """Families of one neuron, positive ones first, and the size of sum that it must tell from all smaller ones."""
        positive = [item for item in families if item.scale > 0]
        negative = [item for item in families if item.scale < 0]
        v = families[0].neuron
        enough = int(self.high[v]) - sum(item.scale * item.most for item in negative)
        yield from ((item, enough) for item in positive)
        against = sum(item.scale * int(item.sums(enough)[-1]) for item in positive)
        yield from ((item, against - int(self.low[v])) for item in negative)

    def reason(self, v: int) -> str:
        """Why a neuron needs as many lines as it does, as part of a sentence."""
        if not self.bounded[v]:
            mode = RESET_MODES[int(self.network.neuron["reset_mode"][v])]
            return f"one for every sum that they may have, as with reset_mode {mode} each leaves it another membrane"
        weight = self.network.weight[int(self.network.start[v]) : int(self.network.start[v + 1])].astype(np.int64)
        low = max(int(self.low[v]) + 1, int(weight[weight < 0].sum()))
        high = min(int(self.high[v]), int(weight[weight > 0].sum()))
        return f"as its membrane is {int(self.least[v])} to {int(self.largest[v])} and sums from {low} to {high} may matter to it"

    def too_many(self, v: int, n_lines: int, arch: Architecture) -> str:
        """Why a neuron has too many lines, after its name."""
        axons, n_signals = arch.core.axons, int(self.network.start[v + 1] - self.network.start[v])
        return (
            f"needs {n_lines:,} lines for the {n_signals:,} signals that it reads, {self.reason(v)}; a core of {arch.name!r} has"
            f" {axons} axons ({n_lines - axons:,} over). {self.ways(v)}"
        )

    def ways(self, v: int) -> str:
        """What would take fewer lines or lower ones for a neuron: of its parameters, those that are not as low as can be."""
        values = {name: int(column[v]) for name, column in self.network.neuron.items()}
        sinks = values["floor"] > 0 and int(self.least[v]) < min(values["initial"], values["reset"])
        found = ["smaller receptive fields or weights"]
        if not self.bounded[v]:
            found.append("reset_mode value" + " with a smaller floor" * sinks)
        else:
            found += ["a lower threshold"] * (values["threshold"] > 1) + ["a smaller floor"] * sinks
        return f"Use {', '.join(found[:-1])}, or {found[-1]}" if len(found) > 1 else f"Use {found[0]}"


@dataclass(frozen=True)
class Division:
    """What the neurons of a population read, divided into families, and the sums of each that lines must tell apart.

    ``most_lines`` is how many the neuron with the most has. If ``neuron`` can have none, ``problem`` says why.
    """

    families: list[Family]
    sums: list[Array]
    most_lines: int = 0
    neuron: int = -1
    problem: str | None = None

    @property
    def n_synapses(self) -> int:
        """What all lines read; families with one key share theirs."""
        size: dict[bytes, int] = {}
        for family, sums in zip(self.families, self.sums, strict=True):
            size[family.key] = max(size.get(family.key, 0), (len(sums) - 1) * len(family.source))
        return sum(size.values())

    def by_neuron(self, begin: int, end: int) -> list[list[tuple[Family, Array]]]:
        """Families and sums of each of the neurons begin..end-1."""
        result: list[list[tuple[Family, Array]]] = [[] for _ in range(begin, end)]
        for family, sums in zip(self.families, self.sums, strict=True):
            result[family.neuron - begin].append((family, sums))
        return result


def divide(network: IntegerNetwork, arch: Architecture, limits: SumRange, number: int) -> Division:
    """Families of a population with the fewest cores for their lines, or else with the fewest lines."""
    tried: list[Division] = []
    for room in find_rooms(network, arch, number):
        tried.append(_divide(limits, arch, find_families(network, number, room)))
        if tried[-1].problem is None and tried[-1].most_lines <= arch.core.axons:
            break
    return min(tried, key=lambda item: (item.problem is not None, item.most_lines))


def _divide(limits: SumRange, arch: Architecture, families: list[Family]) -> Division:
    """The sums of all families; or the first neuron that can have no lines for them."""
    sums: dict[int, Array] = {}
    most_lines = 0
    for v, mine in by_neuron(families).items():
        problem = random_weights(limits.network, v) or _list_sums(limits, arch, mine, sums)
        if problem is not None:
            return Division(families, [], neuron=v, problem=problem)
        most_lines = max(most_lines, sum(len(sums[id(family)]) - 1 for family in mine))
    return Division(families, [sums[id(family)] for family in families], most_lines)


def _list_sums(limits: SumRange, arch: Architecture, mine: list[Family], sums: dict[int, Array]) -> str | None:
    """Add the sums of one neuron's families, by their identity; or say why there are no lines for them."""
    v, leaks = mine[0].neuron, arch.neuron.leak
    total = sum(abs(family.scale) * family.most for family in mine)
    if total > MOST_WEIGHT:
        return (
            f"reads weights of {total:,} in all, whose sums may wrap at 32 bits; lines tell sums up to {MOST_WEIGHT:,}"
            f" ({total - MOST_WEIGHT:,} over). Use smaller weights"
        )
    for family, needed in limits.needed(mine):
        over = family.end(needed) - MOST_SUM
        if over > 0:
            return (
                f"has a part whose sum is up to {over + MOST_SUM:,} steps, {limits.reason(v)}; the compiler lists up to"
                f" {MOST_SUM:,} ({over:,} over). Use smaller weights"
            )
        sums[id(family)] = family.sums(needed)
    found = [sums[id(family)] for family in mine]
    n_lines, n_signals = sum(map(len, found)) - len(found), sum(len(family.source) for family in mine)
    # Lines of lines can only help where there are fewer of them each time.
    if n_lines > arch.core.axons and n_lines >= n_signals:
        return limits.too_many(v, n_lines, arch)
    largest = max(int(item[-2]) for item in found)
    if largest > -leaks.min:
        return (
            f"needs a line for sums above {largest}, whose leak takes that much away; {arch.name!r} has leaks {leaks}"
            f" ({largest + leaks.min} over). {limits.ways(v)}"
        )
    return None


def random_weights(network: IntegerNetwork, v: int) -> str | None:
    """Why a neuron can have no lines, if its weights are stochastic; after its name."""
    if not network.stochastic[int(network.start[v]) : int(network.start[v + 1])].any():
        return None
    return "reads stochastic weights, for which each of its lines would draw other numbers. Use plain weights"


def by_neuron(families: list[Family]) -> dict[int, list[Family]]:
    """Families of each neuron."""
    result: dict[int, list[Family]] = {}
    for family in families:
        result.setdefault(family.neuron, []).append(family)
    return result


def find_families(network: IntegerNetwork, number: int, room: int) -> list[Family]:
    """Families of all neurons of a population, part by part; a part has at most ``room`` signals for a neuron."""
    entries = _entries(network, number)
    if not len(entries.neuron):
        return []
    part = find_parts(entries, room)
    order = np.lexsort((entries.delay, entries.source, entries.neuron, entries.weight < 0, part))
    columns = np.stack([part, entries.weight < 0, entries.neuron])[:, order]
    first = np.flatnonzero(np.append(True, (np.diff(columns, axis=1) != 0).any(axis=0)))
    return [_family(entries, mine) for mine in np.split(order, first[1:])]


def find_rooms(network: IntegerNetwork, arch: Architecture, number: int) -> list[int]:
    """Signals that a part may have: as many as fit a core of lines of any neurons, or of one alone, which takes more cores."""
    entries = _entries(network, number)
    start = np.flatnonzero(np.append(True, np.diff(entries.neuron) != 0))
    size = np.gcd.reduceat(entries.weight, start) if len(entries.weight) else np.zeros(0, np.int64)
    weight = np.abs(entries.weight) // np.repeat(size, np.diff(np.append(start, len(entries.weight))))
    shared = max(arch.core.axons // axons_per_signal(weight, arch), 1)
    most = max((len(np.unique(part)) for part in np.split(weight, start[1:])), default=0)
    return [shared] if most > arch.core.axon_types or shared == arch.core.axons else [shared, arch.core.axons]


def _entries(network: IntegerNetwork, number: int) -> Entries:
    """What the neurons of a population read."""
    begin, end = network.offsets()[number : number + 2].tolist()
    part = slice(int(network.start[begin]), int(network.start[end]))
    neuron = np.repeat(np.arange(begin, end), np.diff(network.start[begin : end + 1]))
    return Entries(neuron, *(item[part].astype(np.int64) for item in (network.source, network.weight, network.delay)))


def _family(entries: Entries, mine: Array) -> Family:
    weight, delay = entries.weight[mine], entries.delay[mine]
    size = int(np.gcd.reduce(weight))
    # A tick that all delays leave is better spent behind the lines: their neuron need not run late for it.
    wait = int(np.clip(delay.min() - 1, 0, 1))
    scale = size if weight[0] > 0 else -size
    return Family(int(entries.neuron[mine[0]]), scale, entries.source[mine], delay - wait, weight // scale, wait)

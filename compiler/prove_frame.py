"""One neuron of a dilated network through a frame: what arrives when, and where its membrane is.

The second half of the proof in :mod:`neurocore.compiler.prove_dilation`, which finds out what holds of the networks as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork

Array = npt.NDArray[Any]

LEAK = -1
"""Stands for a clock among sources."""
CLOCK, PARTIAL, SUM = 0, 1, 2
"""What an added neuron can be."""


@dataclass(frozen=True)
class Known:
    """What is known of a network ``net`` and its dilated form ``slow`` before single neurons are looked at.

    ``phase`` [N] is the chip tick in which each neuron of the network takes its first step; ``fires`` that of the spike which a
    source of ``slow`` sends in the network's tick 0, -1 for added neurons; ``kind`` and ``first`` [added] what an added neuron
    is, and the first spike of a clock. Membranes of the network end a tick at ``top`` [N] at most; those that may not stay below
    their threshold, where they would ``rests`` [N], may rise by ``growth`` [N] a tick.
    """

    net: IntegerNetwork
    slow: IntegerNetwork
    arch: Architecture
    factor: int
    phase: Array
    fires: Array
    kind: Array
    first: Array
    rests: npt.NDArray[np.bool_]
    top: Array
    growth: Array


class FrameProof:
    """Checks neuron after neuron; ``horizon`` is for how many ticks those that were checked do what the network does."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.net, self.slow, self.arch = known.net, known.slow, known.arch
        self.factor, self.phase = known.factor, known.phase
        self.fires, self.kind, self.first = known.fires, known.kind, known.first
        self.n, self.n_inputs = known.net.n_neurons, known.net.n_inputs
        self.horizon: int | None = None

    def check(self, neuron: int, kind: int) -> str | None:
        """What is wrong with a neuron that reads added neurons of this kind, the highest; None if nothing is."""
        return {CLOCK: self.direct, PARTIAL: self.gathered, SUM: self.counted}[kind](neuron)

    # ---------------------------------------------------------------- what is read

    def row(self, neuron: int) -> tuple[Array, Array, Array]:
        """Source, weight and delay of what a neuron of the dilated network reads."""
        part = slice(int(self.slow.start[neuron]), int(self.slow.start[neuron + 1]))
        return (
            self.slow.source[part].astype(np.int64),
            self.slow.weight[part].astype(np.int64),
            self.slow.delay[part].astype(np.int64),
        )

    def added(self, source: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which sources are clocks, and which partials."""
        number = source - self.n_inputs - self.n
        kind = np.full(len(source), -1)
        inside = (number >= 0) & (number < len(self.kind))
        kind[inside] = self.kind[number[inside]]
        return kind == CLOCK, kind == PARTIAL

    def ticks_of(self, source: Array, delay: Array) -> Array:
        """First chip tick in which spikes of network sources (of tick 0) and of clocks arrive."""
        clock, _ = self.added(source)
        first = self.fires[source]
        first[clock] = self.first[source[clock] - self.n_inputs - self.n]
        return first + delay

    def terms(self, source: Array, weight: Array, delay: Array, begin: int) -> Array | None:
        """What arrives in the one tick ``begin`` of a frame, as sorted rows (source, delay in network ticks, weight).

        Clocks stand for a leak (source LEAK, delay 0). None if something arrives in another tick.
        """
        clock, partial = self.added(source)
        late = self.ticks_of(source, delay) - begin
        wrong = np.where(clock, late != 0, (late % self.factor != 0) | (late < self.factor))
        if partial.any() or wrong.any() or (self.fires[source[~clock]] < 0).any():
            return None
        rows = np.stack(
            [np.where(clock, LEAK, self.named(source)), np.where(clock, 0, late // self.factor), weight], axis=1
        )
        return _summed(rows)

    def named(self, source: Array) -> Array:
        """Sources as the network numbers them."""
        return np.where(
            source >= self.slow.unions.first, source - self.slow.unions.first + self.net.unions.first, source
        )

    def wanted(self, neuron: int) -> Array:
        """Rows as of :meth:`terms` of what the network's neuron adds up in a tick."""
        net = self.net
        part = slice(int(net.start[neuron]), int(net.start[neuron + 1]))
        rows = np.stack([net.source[part], net.delay[part], net.weight[part]], axis=1).astype(np.int64)
        return _summed(np.concatenate([rows, [[LEAK, 0, int(net.neuron["leak"][neuron])]]]))

    def changed(self, neuron: int, names: tuple[str, ...]) -> str | None:
        """The first of some parameters that is not the network's."""
        for name in names:
            if self.slow.neuron[name][neuron] != self.net.neuron[name][neuron]:
                return f"{name} is {int(self.slow.neuron[name][neuron])}, in the network {int(self.net.neuron[name][neuron])}"
        return None if self.slow.neuron["leak"][neuron] == 0 else "it leaks in every tick of the chip"

    # ---------------------------------------------------------------- neurons

    def direct(self, neuron: int) -> str | None:
        """What is wrong with a neuron that reads its sources itself; it may act in one tick of a frame only."""
        names = ("threshold", "threshold_mask_bits", "reset_mode", "reset", "floor", "floor_mode", "initial")
        if not self.known.rests[neuron]:
            return "its reset may leave it above its threshold, where it would fire in every tick of the chip"
        terms = self.terms(*self.row(neuron), int(self.phase[neuron]))
        if terms is None or not np.array_equal(terms, self.wanted(neuron)):
            return "what arrives in a frame is not what the network adds up in a tick"
        return self.changed(neuron, names)

    def gathered(self, neuron: int) -> str | None:
        """What is wrong with a neuron that gathers bursts of partial sums under the control of clocks."""
        source, weight, delay = self.row(neuron)
        clock, partial = self.added(source)
        if not self.known.rests[neuron]:
            return "its reset may leave it above its threshold, where it would fire in every tick of the chip"
        if not (clock | partial).all() or (np.abs(weight[partial]) != 1).any():
            return "it reads something other than partial sums and clocks"
        when = self.ticks_of(source[clock], delay[clock])
        steps, place = np.unique(when, return_inverse=True)
        if len(steps) != 3 or steps[1] != self.phase[neuron] or steps[2] - steps[0] >= self.factor:
            return "its clocks do not move it three times a frame, the second time to its threshold"
        moves = np.bincount(place, weight[clock]).astype(np.int64)
        window = int(steps[2]) - self.factor, int(steps[0])
        found = self.sums(source[partial] - self.n_inputs, weight[partial], delay[partial], window)
        if isinstance(found, str):
            return found
        terms, gain, loss = found
        if not np.array_equal(terms, self.wanted(neuron)):
            return "the partial sums do not add up to what the network adds up in a tick"
        return self.changed(neuron, ("threshold_mask_bits", "reset_mode", "floor_mode")) or self.walk(
            neuron, moves, gain, loss
        )

    def counted(self, neuron: int) -> str | None:
        """What is wrong with a neuron that lets through one spike a frame of a sum, and has it reset."""
        source, weight, delay = self.row(neuron)
        clock, partial = self.added(source)
        gate = {"threshold": 1, "leak": -1, "floor_mode": 1}
        if len(source) != 2 or clock.sum() != 1 or partial.any() or (weight != 1).any():
            return "it reads something other than one sum and one clock"
        if any(self.slow.neuron[name][neuron] != gate.get(name, 0) for name in NEURON_ARRAYS):
            return "it does not fire just when both arrive: its parameters are others"
        if int(self.ticks_of(source[clock], delay[clock])[0]) != self.phase[neuron]:
            return "its clock does not come in the tick in which it takes effect"
        total, tested = int(source[~clock][0]) - self.n_inputs, int(self.phase[neuron] - delay[~clock][0])
        if self.known.rests[neuron] and self.net.neuron["reset_mode"][neuron] == 0:
            return "its reset to a value is not one that a sum can do"
        return self.summed(neuron, total, tested)

    def summed(self, neuron: int, total: int, tested: int) -> str | None:
        """What is wrong with the sum ``total`` of a counted neuron, whose spike of the tick ``tested`` of a frame counts."""
        source, weight, delay = self.row(total)
        clock, partial = self.added(source)
        if not (clock | partial).all() or (np.abs(weight[partial]) != 1).any():
            return "its sum reads something other than partial sums and clocks"
        when = self.ticks_of(source[clock], delay[clock])
        steps, place = np.unique(when, return_inverse=True)
        if len(steps) != 2 or steps[1] != tested or steps[1] - steps[0] >= self.factor:
            return "the clocks of its sum do not move it twice a frame, and back when its threshold is tested"
        moves = np.bincount(place, weight[clock]).astype(np.int64)
        lines = np.stack([source[partial] - self.n_inputs, weight[partial], delay[partial]])
        resets = self.resets(neuron, lines, tested + 1, tested + self.factor)
        if isinstance(resets, str):
            return resets
        partials, sign, wait = lines[:, ~resets]
        found = self.sums(partials, sign, wait, (int(steps[0]), tested))
        if isinstance(found, str):
            return found
        terms, gain, loss = found
        if not np.array_equal(terms, self.wanted(neuron)):
            return "the partial sums do not add up to what the network adds up in a tick"
        return self.follow(neuron, total, moves, gain, loss)

    def resets(self, neuron: int, lines: Array, begin: int, end: int) -> npt.NDArray[np.bool_] | str:
        """Which of the lines (partial, weight, delay) to a sum is the burst that takes the threshold off it; or what is wrong.

        It is as long as the threshold, follows from the neuron's spike alone, and lies in the ticks ``begin`` to ``end``.
        Without a reset there is none. If a weight of the neuron to itself looks the same, it does the same as well.
        """
        chosen = np.zeros(lines.shape[1], bool)
        if self.net.neuron["reset_mode"][neuron] == 2:
            return chosen
        threshold = int(self.net.neuron["threshold"][neuron])
        if threshold > min(self.factor, self.arch.neuron.membrane.max):
            return "its threshold is more than a burst can take off its sum in a frame"
        for place, (partial, weight, delay) in enumerate(lines.T.tolist()):
            source, amount, wait = (column.tolist() for column in self.row(partial))
            if (source, amount, weight) == ([self.n_inputs + neuron], [threshold], -1):
                first = int(self.phase[neuron]) + wait[0] + delay
                if begin <= first and first + threshold - 1 <= end:
                    chosen[place] = True
                    return chosen
        return "no burst takes its threshold off its sum in time"

    def follow(self, neuron: int, total: int, moves: Array, gain: int, loss: int) -> str | None:
        """Follow the membrane of a sum through a frame; it holds the network's membrane exactly when it is tested."""
        old = {name: int(self.net.neuron[name][neuron]) for name in NEURON_ARRAYS}
        new = {name: int(self.slow.neuron[name][total]) for name in NEURON_ARRAYS}
        lift, limits = int(moves[0]), self.arch.neuron.membrane
        room = limits.max - max(lift, 0) - gain - int(self.known.top[neuron])
        tested = new["initial"] == old["initial"] and int(moves.sum()) == 0
        for right, sentence in (
            (tested, "its sum is not tested where the network's membrane is"),
            (new["threshold"] == old["threshold"], "its sum has another threshold"),
            (new["floor"] == old["floor"], "its sum has another floor"),
            (lift >= loss, "its sum may meet its floor during a burst"),
            (room >= 0 and -old["floor"] - loss >= limits.min, "its sum may meet a clamp at once"),
        ):
            if not right:
                return sentence
        if self.known.growth[neuron] > 0:
            ticks = room // int(self.known.growth[neuron]) + 1
            self.horizon = ticks if self.horizon is None else min(self.horizon, ticks)
        return None

    def sums(self, partials: Array, sign: Array, delay: Array, window: tuple[int, int]) -> tuple[Array, int, int] | str:
        """Rows that all partials add up to, and how far up and down bursts may move the membrane on the way.

        The bursts arrive in the ticks of ``window``, first and last, counted in a frame.

        A partial shows only the positive part of its sum. It stands for the whole if it can have no other, or together with
        a partial of the opposite sign that reads the same with opposite weights.
        """
        groups: dict[bytes, list[tuple[int, Array]]] = {}
        swing = {1: 0, -1: 0}
        for q, s, d in zip(partials.tolist(), sign.tolist(), delay.tolist(), strict=True):
            columns = self.row(q)
            begin = self.begin(columns, window[0] - d)
            terms = self.terms(*columns, begin)
            if terms is None:
                return f"what {self.slow.label(q)} reads does not arrive in one tick of a frame"
            longest = int(np.maximum(terms[:, 2], 0).sum())
            if begin + d + longest - 1 > window[1]:
                return f"a burst of {self.slow.label(q)} lasts longer than its neuron waits"
            if int(np.abs(terms[:, 2]).sum()) > min(self.arch.neuron.membrane.max, -self.arch.neuron.membrane.min):
                return f"the membrane of {self.slow.label(q)} may meet a clamp"
            swing[s] += longest
            signed = terms * np.array([1, 1, s])
            groups.setdefault(signed.tobytes(), []).append((s, signed))
        for found in groups.values():
            alone = len(found) == 1 and (found[0][1][:, 2] * found[0][0] >= 0).all()
            twins = sorted(s for s, _ in found) == [-1, 1]
            if not alone and not twins:
                return "the negative part of a partial sum is missing, or one counts twice"
        signed_rows = [np.zeros((0, 3), np.int64), *(found[0][1] for found in groups.values())]
        return _summed(np.concatenate(signed_rows)), swing[1], swing[-1]

    def begin(self, columns: tuple[Array, Array, Array], earliest: int) -> int:
        """The tick, from ``earliest`` on, in which a partial's frame begins; spikes of sources arrive a multiple of K later."""
        source, _, delay = columns
        tick = int(self.ticks_of(source[:1], delay[:1])[0])
        return earliest + (tick - earliest) % self.factor

    def walk(self, neuron: int, moves: Array, gain: int, loss: int) -> str | None:
        """Follow the membrane through a frame, as an interval; offsets are the dilated membrane minus the network's."""
        old = {name: int(self.net.neuron[name][neuron]) for name in NEURON_ARRAYS}
        new = {name: int(self.slow.neuron[name][neuron]) for name in NEURON_ARRAYS}
        rest = new["initial"] - old["initial"]
        floor = rest + int(moves[0])
        spike = floor + int(moves[1])
        low, high = -old["floor"] - loss, old["threshold"] - 1 + gain
        by_value = old["reset_mode"] == 0 and new["reset"] == old["reset"] + spike
        limits = self.arch.neuron.membrane
        for right, sentence in (
            (spike + int(moves[2]) == rest, "its clocks do not bring it back to where it was"),
            (
                rest + low >= -new["floor"] and rest + high < new["threshold"],
                "it may fire or meet its floor during a burst",
            ),
            (-new["floor"] == floor - old["floor"], "its floor is not where the first clock moves it"),
            (floor + high < new["threshold"] and spike >= floor, "it may fire when its floor is tested"),
            (new["threshold"] == old["threshold"] + spike, "its threshold is not where the second clock moves it"),
            (
                by_value or (old["reset_mode"] == 1 and spike == 0),
                "its reset does not lead to where the network's does",
            ),
            (max(rest, spike) + high <= limits.max and min(rest, floor) + low >= limits.min, "it may meet a clamp"),
        ):
            if not right:
                return sentence
        return None


def _summed(rows: Array) -> Array:
    """Rows (source, delay, weight) sorted, those of one source and delay added up, sums of zero left out."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    if not len(rows):
        return rows
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(rows[:, :2], axis=0) != 0).any(axis=1)
    first = np.flatnonzero(new)
    total = np.add.reduceat(rows[:, 2], first)
    return np.ascontiguousarray(np.column_stack([rows[first, :2], total])[total != 0])

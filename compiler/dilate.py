"""Time dilation: fan-in beyond a core's axons, exactly, at the price of time.

Every tick of the network becomes a *frame* of K ticks of the chip. What a neuron reads in a network tick arrives in one tick of
the frame. Sources that are too many for a core are divided among *partial* neurons, which send their sums on as bursts, one
spike a tick: one partial for the positive part of a sum, one for the negative (threshold 1, linear reset, floor 0). The neuron
itself gathers the bursts and must neither fire nor meet its floor before all of them are in. Clocks see to that. During the
burst the membrane stands well between threshold and floor; then a clock moves it to where only the floor can act, then to where
only the threshold can, then back:

    tick of the frame   0        1 .. M         M              M + 1             M + 2
                        input    bursts         -X: the floor  +2 X: the spike   -X: as before

with bursts of at most M ticks, and X no less than all bursts together. Threshold, floor and reset are shifted by constants for
that. Leaks would act in every tick of the chip, so they become spikes of a clock.

A neuron whose reset may leave it at or above its threshold cannot rest in any place. It is *counted*: a *sum* without reset,
which clocks lift off the floor during the bursts, gathers them and may fire in every tick; the neuron itself lets only the spike
of the tick pass in which the sum is back and complete. Each of its spikes takes the threshold off the sum by a burst of another
neuron, the *reset*.

Whether the result does what the network does is proved by :mod:`neurocore.compiler.prove_dilation`, without any code of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.dilation_plan import (
    LINEAR,
    NONE,
    RESET_DELAY,
    Entries,
    Partials,
    Plan,
    clock_steps,
    obstacles,
    raises_threshold,
)
from neurocore.compiler.partition import misfit
from neurocore.compiler.synapses import MAX_DELAY
from neurocore.config import Group
from neurocore.errors import FitError

Array = npt.NDArray[Any]

FAR = np.iinfo(np.int64).max // 4
UNIONS = 1 << 40
"""Where the numbers of unions begin until it is known how many neurons come before them."""


@dataclass(frozen=True)
class Dilated:
    """A network in chip ticks that does in ``factor`` ticks what another does in one.

    Its first neurons and all its inputs and outputs are those of the other. Neuron v of these fires at tick t * factor +
    ``phase[v]`` exactly when the other network's v fires at tick t; outputs all have the phase ``latency``. ``is_counting`` says
    whether some membranes are counted and may rise without end. ``slack`` of the ``factor`` ticks are more than it takes.
    """

    network: IntegerNetwork
    factor: int
    phase: Array
    latency: int
    is_counting: bool
    slack: int = 0

    @property
    def shift(self) -> Array:
        """``phase`` of the first neurons, 0 for the added ones."""
        added = self.network.n_neurons - len(self.phase)
        return np.concatenate([self.phase, np.zeros(added, np.int64)])


def dilate(network: IntegerNetwork, arch: Architecture, factor: int | None = None) -> Dilated | None:
    """The dilated network, with the least factor or a larger one if given; None if all neurons fit a core as they are.

    Raises FitError that names every population which cannot be dilated, and why.
    """
    plan = Plan(network, arch)
    while plan.wide.any():
        problems = obstacles(network, arch, plan)
        if problems:
            raise FitError(problems)
        dilated = _Builder(plan, max(plan.least_factor, factor or 0)).run()
        more = _misfits(dilated, arch, plan)
        if not more:
            return dilated
        plan = Plan(network, arch, frozenset({*np.flatnonzero(plan.wide).tolist(), *more}))
    return None


def _misfits(dilated: Dilated, arch: Architecture, plan: Plan) -> list[int]:
    """Populations that must be gathered as well, since the clock of their leak is a signal more.

    Raises FitError if some neuron cannot even read all its bursts.
    """
    cutter, names = Cutter(dilated.network, arch), dilated.network.populations
    problem = {number: misfit(cutter, number) for number in range(len(names))}
    wrong = [number for number, text in problem.items() if text]
    hopeless = [number for number in wrong if number >= len(plan.gathered) or plan.gathered[number]]
    if hopeless:
        raise FitError(
            [
                f"E-DILATE population {names[number].name!r} does not fit even if dilated: {problem[number]}"
                for number in hopeless
            ]
        )
    return wrong


# ---------------------------------------------------------------- the dilated network


class _Builder:
    """Puts the dilated network together: the neurons of the network first, then partials and clocks."""

    def __init__(self, plan: Plan, factor: int) -> None:
        self.plan, self.network, self.arch, self.factor = plan, plan.network, plan.arch, factor
        self.slack = factor - plan.least_factor
        self.groups = list(plan.network.populations)
        self.neuron = {name: [values.copy()] for name, values in plan.network.neuron.items()}
        self.rate = [plan.network.rate / factor]
        self.n_neurons = plan.network.n_neurons
        self.synapses: list[Array] = [np.zeros((4, 0), np.int64)]
        lag = [plan.partials[p].longest + 1 if p in plan.partials else 0 for p in range(len(self.groups))]
        self.lag = np.array(lag, np.int64)
        self.phase, self.latency = self.phases()

    def run(self) -> Dilated:
        for number in range(len(self.network.populations)):
            self.population(number)
        neuron = {name: np.concatenate(parts) for name, parts in self.neuron.items()}
        phase = np.repeat(self.phase, np.diff(self.plan.offsets))
        counting = bool(self.plan.counted.any())
        return Dilated(self.finished(neuron), self.factor, phase, self.latency, counting, self.slack)

    def phases(self) -> tuple[Array, int]:
        """The phase of every population, and that of the outputs.

        Spikes wait as little as possible for those who read them: a phase is as late as its readers allow, and outputs, like
        whatever reaches none, have the earliest.
        """
        source, target, delay = self.between_populations()
        output = np.unique(self.network.population_of()[self.network.output_neuron])
        n = len(self.network.populations)
        fixed = np.isin(np.arange(n), output)
        slack = delay * self.factor - 1 - self.lag[target]
        phase = np.where(fixed, 0, FAR)
        for _ in range(n):
            before = phase.copy()
            np.minimum.at(phase, source, np.minimum(phase[target] + slack, FAR))
            phase[fixed] = 0
            if (phase == before).all():
                break
        if (phase >= FAR).any():
            phase = self.loose_ends(phase, source, target, slack)
        first = 1 - int((phase - self.lag).min())
        return phase + first, first

    def loose_ends(self, phase: Array, source: Array, target: Array, slack: Array) -> Array:
        """Phases when those that no output limits are as early as outputs are."""
        phase = np.where(phase >= FAR, 0, phase)
        for _ in range(len(phase)):
            np.minimum.at(phase, source, phase[target] + slack)
        return phase

    def between_populations(self) -> tuple[Array, Array, Array]:
        """Source, target and least delay of every pair of populations of which one reads the other."""
        net, of = self.network, self.network.population_of()
        place, source = net.unions.expand(net.source)
        inner = source >= net.n_inputs
        n = len(net.populations)
        pair = of[source[inner] - net.n_inputs] * n + of[net.target[place[inner]]]
        keys, member = np.unique(pair, return_inverse=True)
        least = np.full(len(keys), FAR)
        np.minimum.at(least, member, net.delay[place[inner]].astype(np.int64))
        return keys // n, keys % n, least

    def fired(self, source: Array) -> Array:
        """Phase of sources; the members of a union are of one population."""
        net = self.network
        of = net.population_of()
        single = source.copy()
        joined = single >= net.unions.first
        single[joined] = net.unions.member[net.unions.start[single[joined] - net.unions.first]]
        inner = single >= net.n_inputs
        return np.where(inner, self.phase[of[np.where(inner, single - net.n_inputs, 0)]] if len(of) else 0, 0)

    def add(self, name: str, size: int, rate: float, **values: Any) -> int:
        """Add a population; returns its first neuron."""
        first, known = self.n_neurons, {group.name for group in (*self.groups, *self.network.inputs)}
        while name in known:
            name += "_"
        self.groups.append(Group(name, (size,)))
        defaults = dict.fromkeys(NEURON_ARRAYS, 0) | {"floor": self.arch.neuron.floor.max, "floor_mode": 1}
        for key in NEURON_ARRAYS:
            self.neuron[key].append(np.broadcast_to(np.asarray((defaults | values)[key], np.int64), size))
        self.rate.append(np.full(size, min(rate, 1.0)))
        self.n_neurons += size
        return first

    def clocks(self, name: str, size: int, first_tick: int) -> int:
        """Neurons that fire in chip tick ``first_tick`` and once a frame from then on."""
        start, limits = self.factor - 1 - first_tick, self.arch.neuron
        if self.factor > limits.threshold.max or start <= max(-limits.floor.max, limits.membrane.min):
            raise FitError(
                f"E-DILATE network {self.network.name!r}: a clock of {self.factor} ticks that begins at tick {first_tick} has"
                f" threshold {self.factor} and V(0) {start}; {self.arch.name!r} has thresholds {limits.threshold}, membranes"
                f" {limits.membrane} and floors {limits.floor}. Use fewer layers, or smaller weights and receptive fields"
            )
        return self.add(name, size, 1 / self.factor, threshold=self.factor, leak=1, initial=start)

    def connect(self, source: Array, target: Array, weight: Array, delay: Array | int) -> None:
        """Add synapses; neurons are sources from n_inputs on."""
        columns = np.broadcast_arrays(target, source, delay, weight)
        self.synapses.append(np.stack([np.asarray(column, np.int64) for column in columns]))

    def population(self, number: int) -> None:
        """The neurons of a population of the network, read as they were or gathered."""
        net, mine = self.network, self.plan.members(number)
        entries, name = self.plan.entries(number), net.populations[number].name
        begin = int(self.phase[number] - self.lag[number])
        delay = entries.delay * self.factor + begin - self.fired(np.maximum(entries.source, 0))
        source = np.where(
            entries.source >= net.unions.first, entries.source - net.unions.first + UNIONS, entries.source
        )
        leak = source < 0
        if leak.any():
            clock = self.clocks(f"{name}.leak", 1, begin - 1)
            source[leak], delay[leak] = net.n_inputs + clock, 1
        self.neuron["leak"][0][mine] = 0
        if number not in self.plan.partials:
            self.connect(source, entries.neuron, entries.weight, delay)
            return
        self.gather(number, self.plan.partials[number], Entries(entries.neuron, source, entries.weight, delay))

    def gather(self, number: int, partials: Partials, entries: Entries) -> None:
        """The partials of a population, what they read, their lines to its neurons, and the clocks of these."""
        net, name = self.network, self.network.populations[number].name
        n = len(partials.neuron)
        part, sign = partials.entry, partials.sign[partials.partial]
        rate = float(np.abs(entries.weight).mean()) / self.factor
        first = self.add(f"{name}.partial", n, rate, threshold=1, reset_mode=LINEAR, floor=0)
        weight = entries.weight[part] * sign
        self.connect(entries.source[part], first + partials.partial, weight, entries.delay[part])
        lines = net.n_inputs + first + np.arange(n)
        if self.plan.counted[number]:
            begin = self.plan.members(number).start
            self.connect(lines, self.count(number, partials) + partials.neuron - begin, partials.sign, 1)
        else:
            self.connect(lines, partials.neuron, partials.sign, 1)
            self.gate(number, partials)

    def count(self, number: int, partials: Partials) -> int:
        """Sums in place of a population's neurons, which let through one spike of a sum a frame; returns the first sum."""
        name, mine, values = self.network.populations[number].name, self.plan.members(number), self.network.neuron
        neurons, n_inputs = np.arange(mine.start, mine.stop), self.network.n_inputs
        n_steps, step = clock_steps(int(partials.swing.max()), self.arch)
        sums = self.add(
            f"{name}.sum",
            len(neurons),
            1.0,
            threshold=values["threshold"][mine],
            floor=values["floor"][mine],
            reset_mode=NONE,
            initial=values["initial"][mine],
        )
        begin = int(self.phase[number] - self.lag[number])
        lifts = n_inputs + self.clocks(f"{name}.lift", n_steps, begin - 1) + np.arange(n_steps)
        clocks = n_inputs + self.clocks(f"{name}.clock", n_steps, begin + partials.longest - 1) + np.arange(n_steps)
        for source, weight in ((lifts, step), (clocks, -step)):
            target = np.tile(sums + neurons - mine.start, n_steps)
            self.connect(np.repeat(source, len(neurons)), target, np.array(weight), 1)
        # A neuron fires if the clock and its sum's spike of that tick meet; either alone leaks away.
        self.connect(clocks[:1], neurons, np.array(1), 2)
        self.connect(n_inputs + sums + neurons - mine.start, neurons, np.array(1), 1)
        for key, value in ((key, {"threshold": 1, "leak": -1, "floor_mode": 1}.get(key, 0)) for key in NEURON_ARRAYS):
            self.neuron[key][0][mine] = value
        linear = neurons[values["reset_mode"][mine] == LINEAR]
        if len(linear):
            resets = self.add(f"{name}.reset", len(linear), 1.0, threshold=1, reset_mode=LINEAR, floor=0)
            own = np.arange(resets, resets + len(linear))
            # Time beyond what bursts take is for relays: here too, as this way is a cycle.
            self.connect(n_inputs + linear, own, values["threshold"][linear], RESET_DELAY + self.slack)
            self.connect(n_inputs + own, sums + linear - mine.start, np.array(-1), 1)
        return sums

    def gate(self, number: int, partials: Partials) -> None:
        """Clocks that keep floor and threshold apart, and the neurons' parameters for it.

        Neurons that read nothing stay as they are.
        """
        net, neurons = self.network, np.unique(partials.neuron)
        n_steps, step = clock_steps(int(partials.swing.max()), self.arch)
        # The last spikes of a burst arrive as the first clock does.
        begin = int(self.phase[number] - self.lag[number])
        first = self.clocks(f"{net.populations[number].name}.clock", 2 * n_steps, begin + partials.longest - 1)
        for delay, weight, clocks in (
            (1, -step, np.arange(n_steps)),
            (2, step, np.arange(2 * n_steps)),
            (3, -step, np.arange(n_steps, 2 * n_steps)),
        ):
            source = np.repeat(net.n_inputs + first + clocks, len(neurons))
            self.connect(source, np.tile(neurons, len(clocks)), np.array(weight), delay)
        swing = n_steps * step
        own = {name: column[neurons] for name, column in net.neuron.items()}
        up = raises_threshold(own, np.array(2 * swing), self.arch)
        for name, step_up, step_down in (
            ("threshold", 2 * swing, 0),
            ("reset", 2 * swing, 0),
            ("floor", 0, 2 * swing),
            ("initial", swing, -swing),
        ):
            self.neuron[name][0][neurons] += np.where(up, step_up, step_down)

    def finished(self, neuron: dict[str, Array]) -> IntegerNetwork:
        """The network of all that was added."""
        net = self.network
        target, source, delay, weight = np.concatenate(self.synapses, axis=1)
        longest = int(delay.max(initial=0))
        if longest > MAX_DELAY:
            raise FitError(
                f"E-DILATE network {net.name!r}: with {self.factor} ticks of the chip to one of the network a delay becomes"
                f" {longest} ticks; delays lie in 1..{MAX_DELAY} ({longest - MAX_DELAY} over). Use shorter delays"
            )
        unions = replace(net.unions, first=net.n_inputs + self.n_neurons)
        source = np.where(source >= UNIONS, source - UNIONS + unions.first, source)
        order = np.lexsort((delay, source, target))
        start = np.searchsorted(target[order], np.arange(self.n_neurons + 1)).astype(np.int64)
        return replace(
            net,
            populations=tuple(self.groups),
            neuron=neuron,
            start=start,
            source=source[order].astype(np.int32),
            weight=weight[order].astype(np.int32),
            delay=delay[order].astype(np.uint16),
            stochastic=np.zeros(len(source), bool),
            rate=np.concatenate(self.rate),
            unions=unions,
            group=self.kept(net.group, -1),
            values=self.kept(net.values, 0),
        )

    def kept(self, given: Array | None, nothing: int) -> Array | None:
        """What quantisation left for the neurons that are read as they were."""
        if given is None:
            return None
        result = np.full((self.n_neurons, *given.shape[1:]), nothing, given.dtype)
        result[: len(given)] = given
        for number in self.plan.partials:
            result[self.plan.members(number)] = nothing
        return result

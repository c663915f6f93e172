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

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.families import Division, Family, SumRange, divide
from neurocore.compiler.lines import LineBuilder, check_cycles, count_readers, said_lines, too_wide
from neurocore.errors import FitError
from neurocore.wording import counted

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

    def __str__(self) -> str:
        """What was done, for certificates and reports."""
        return said_lines(self.n_lines, "of a thermometer code", count_readers(self.network, self.origin.n_neurons))


def thermometer(network: IntegerNetwork, arch: Architecture, most_synapses: int | None = None) -> Thermometer | None:
    """The network with lines for its widest neurons; None if all neurons fit a core as they are.

    Lines have at most ``most_synapses``, or those of the whole chip. Raises FitError that names every population for which lines
    are no way out, and why, or a cycle that has no time for them.
    """
    most = arch.n_cores * arch.core.axons * arch.core.neurons if most_synapses is None else most_synapses
    steps, wide = [network], too_wide(network, arch)
    while wide:
        builder = _Builder(steps[-1], arch, sorted(wide), most)
        steps.append(builder.run())
        wide = too_wide(steps[-1], arch)
        builder.check(steps[-1], wide)
    if len(steps) == 1:
        return None
    check_cycles(network, steps[-1], "lines of a thermometer code")
    return Thermometer(network, tuple(steps[1:]))


class _Builder:
    """One step: lines for the wide populations of a network."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, wide: list[int], most_synapses: int) -> None:
        self.network, self.arch, self.wide, self.room = network, arch, wide, most_synapses
        self.range, self.built = SumRange(network), LineBuilder(network, wide)
        # Below the floor of 0 both modes lead to 0, as the reset is to 0; some chips have only one.
        self.plain = {"threshold": 1, "floor_mode": int("saturate" in arch.neuron.floor_modes)}
        self.problems: list[str] = []

    def run(self) -> IntegerNetwork:
        """The network. Raises FitError that names every population that lines cannot serve."""
        for number in range(len(self.network.populations)):
            if number in self.wide:
                self.population(number)
            else:
                self.built.copy(number)
        if self.problems:
            raise FitError(self.problems)
        return self.built.finished()

    def fail(self, v: int, text: str) -> None:
        """One more population that is refused, and why; ``v`` is a neuron of it."""
        name = self.network.populations[int(self.network.population_of()[v])].name
        self.problems.append(f"E-THERMOMETER population {name!r}: {self.network.label(v)} {text}")

    def population(self, number: int) -> None:
        """A wide population: lines for its families, and what its neurons read of them."""
        division = divide(self.network, self.arch, self.range, number)
        if division.problem is not None:
            self.fail(division.neuron, division.problem)
            return
        self.room -= division.n_synapses
        if self.room < 0:
            cores, over = f"{self.arch.n_cores:,} cores of {self.arch.name!r}", -self.room
            self.fail(
                int(self.network.offsets()[number]),
                f"and those after it need lines that read more than {cores} can ({counted(over, 'synapse')} over). Use"
                " fewer neurons or smaller receptive fields",
            )
            return
        self.add(number, division)

    def add(self, number: int, division: Division) -> None:
        """The lines of a population, and what its neurons read of them."""
        first, known = self.built.n_lines, dict[bytes, dict[int, int]]()
        for family, sums in zip(division.families, division.sums, strict=True):
            self.lines_of(family, sums.tolist(), known.setdefault(family.key, {}))
        begin, end = self.network.offsets()[number : number + 2].tolist()
        for mine in division.by_neuron(begin, end):
            parts = [self.read(family, sums, known[family.key]) for family, sums in mine]
            self.built.add_reader(*np.concatenate([np.zeros((3, 0), np.int64), *parts], axis=1))
        self.built.close(number, "lines", first)

    def lines_of(self, family: Family, sums: list[int], known: dict[int, int]) -> None:
        """Add the lines of a family that no other neuron has asked for; ``known`` are those that fire above some sum."""
        new = [below for below in sums[:-1] if below not in known]
        known.update({below: self.built.n_lines + place for place, below in enumerate(new)})
        mean = float(self.built.rates(family.source) @ family.weight)
        self.built.add_lines(
            family, [{**self.plain, "leak": -below} for below in new], [mean / (below + 1) for below in new]
        )

    def read(self, family: Family, sums: Array, known: dict[int, int]) -> Array:
        """Line, weight and delay [3, n] of what a neuron reads of a family."""
        line = np.array([known[below] for below in sums[:-1].tolist()], np.int64)
        return np.stack([line, family.scale * np.diff(sums), np.full(len(line), family.wait)])

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

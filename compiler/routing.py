"""What routing finds: the axons of every core, when every neuron runs, and where every spike goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.encode import Encoding
from neurocore.compiler.relays import OUTPUT_LINE, TO_ROW, Exits, Legs, RelayRows
from neurocore.wording import counted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CoreAxons:
    """The axons of one core: source and arrival (ticks from the source's time 0 to its activity) of each, and the code."""

    members: Array
    source: Array
    arrival: Array
    encoding: Encoding


@dataclass(frozen=True)
class Routing:
    """Where everything is and goes, before placement.

    ``shift`` [N] is tau; ``latency`` T; ``start`` [N] the membrane before the chip's tick 0; ``exits`` the targets of neurons and
    their copies; ``n_cores`` counts cores of relays as well.
    """

    cores: tuple[CoreAxons, ...]
    shift: Array
    start: Array
    latency: int
    exits: Exits
    rows: RelayRows
    n_cores: int
    n_copies: int

    def packets_per_tick(self, network: IntegerNetwork) -> float:
        """Expected spikes per tick that enter from inputs or are sent to an axon, relays included."""
        rate = network.rate
        read = [network.unions.expand(core.source)[1] for core in self.cores]
        fed = [rate[source[source < network.n_inputs]].sum() for source in read]
        sent = rate[network.n_inputs + self.exits.neuron[self.exits.legs.core != OUTPUT_LINE]].sum()
        relayed = np.repeat(self.rows.source, np.diff(self.rows.start))[self.rows.legs.core != OUTPUT_LINE]
        return float(sum(fed) + sent + rate[network.n_inputs + relayed].sum())

    @property
    def n_relays(self) -> int:
        """Relay neurons."""
        return len(self.rows.legs)

    def dump(self, network: IntegerNetwork) -> str:
        """Shifts by population, then every neuron that needs more than a direct target."""
        population = network.population_of()
        added = f"{counted(self.n_copies, 'copy')}, {counted(self.n_relays, 'relay')}"
        lines = [f"routing: {counted(self.n_cores, 'core')}, latency {self.latency}, {added}"]
        for number, group in enumerate(network.populations):
            shifts = np.unique(self.shift[population == number])
            lines.append(f"  {group.name}: shift {', '.join(map(str, shifts))}")
        for core, axons in enumerate(self.cores):
            lines.append(
                f"  core {core}: {counted(axons.encoding.n_axons, 'axon')}, {counted(len(axons.members), 'neuron')}"
            )
        lines += self._fan_out(network)
        for row in range(len(self.rows)):
            targets = ", ".join(self._shown(self.rows.legs, self.rows.start[row], self.rows.start[row + 1]))
            source = network.label(int(self.rows.source[row]))
            lines.append(f"  relay core {self.rows.core[row]} axon {self.rows.axon[row]} <- {source}: {targets}")
        return "\n".join(lines)

    def _fan_out(self, network: IntegerNetwork) -> Iterator[str]:
        """A line for every neuron with copies or relays."""
        neurons, first, count = np.unique(self.exits.neuron, return_index=True, return_counts=True)
        for place in np.flatnonzero((count > 1) | (self.exits.legs.core[first] == TO_ROW)):
            shown = self._shown(self.exits.legs, first[place], first[place] + count[place])
            yield f"  {network.label(int(neurons[place]))} -> {', '.join(shown)}"

    def _shown(self, legs: Legs, begin: int, end: int) -> Iterator[str]:
        columns = (column[begin:end].tolist() for column in (legs.core, legs.axon, legs.delay))
        return (self.rows.shown(leg) for leg in zip(*columns, strict=True))

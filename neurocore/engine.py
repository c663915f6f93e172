"""What the emulator asks of an engine, and the plain data that passes between them.

Two engines satisfy the contract: the readable :class:`neurocore.oracle.Oracle`, which is the executable specification, and
the compiled one of :mod:`neurocore.compiled`. One test suite runs over both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Events:
    """External spikes: entry k makes axon ``axon[k]`` of core row ``row[k]`` active in tick ``tick[k]``; ticks ascend."""

    tick: Array
    row: Array
    axon: Array

    def __len__(self) -> int:
        return len(self.tick)

    def window(self, start: int, stop: int) -> Events:
        """The events of ticks start..stop-1."""
        part = slice(*np.searchsorted(self.tick, (start, stop)))
        return Events(self.tick[part], self.row[part], self.axon[part])


@dataclass(frozen=True)
class Probes:
    """What to record: spikes where ``spikes`` [n, N] is set, membranes of neurons ``row[k]``, ``neuron[k]``, rows ascending."""

    spikes: npt.NDArray[np.bool_] | None = None
    row: Array | None = None
    neuron: Array | None = None

    @property
    def n_membranes(self) -> int:
        """Number of membranes recorded in every tick."""
        return 0 if self.row is None else len(self.row)


@dataclass(frozen=True)
class Record:
    """What an engine observed since it was last asked.

    Output spikes (``output_tick``, ``output_line``) and probed spikes (``spike_tick``, ``spike_row``, ``spike_neuron``) are
    sorted; a line that several neurons drove in a tick is repeated. ``membranes`` is [ticks, probed neurons], int32.
    """

    output_tick: Array
    output_line: Array
    spike_tick: Array
    spike_row: Array
    spike_neuron: Array
    membranes: Array

    def fired(self) -> Array:
        """Output lines of a record of one tick, ascending, each once."""
        line = self.output_line
        unique = set(line.tolist())
        return line if len(unique) == len(line) else np.array(sorted(unique), np.int64)

    @classmethod
    def joined(cls, records: Sequence[Record]) -> Record:
        """One record out of those of successive windows, at least one."""
        if len(records) == 1:
            return records[0]
        return cls(*(np.concatenate([getattr(item, part.name) for item in records]) for part in fields(cls)))


@dataclass(frozen=True)
class Counters:
    """Counts since the last reset of the counters; n core rows, A axons, N neurons.

    ``axon_spikes`` [n, A]: ticks in which the axon was active; ``neuron_spikes`` [n, N]: spikes fired; ``due`` [n]:
    deliveries that were due, external ones included. Merges are deliveries due minus active axons.
    """

    axon_spikes: Array
    neuron_spikes: Array
    due: Array


class Engine(Protocol):
    """An engine holds a chip and its state: tick, membranes, scheduler, counters."""

    @property
    def tick(self) -> int:
        """The tick that comes next."""

    def advance(self, events: Events, n_ticks: int) -> None:
        """Run n_ticks ticks with the given external spikes, whose ticks lie in that window."""

    def take(self) -> Record:
        """Hand over what was recorded since the last call."""

    def counters(self) -> Counters:
        """Counts since the last reset of the counters."""

    def clear_counters(self) -> None:
        """Begin a new window of counting."""

    def membranes(self) -> Array:
        """A copy of the membranes [n, N], int32."""

    def reset(self) -> None:
        """Return to the state before tick 0."""

    def save_state(self) -> dict[str, Array]:
        """State as arrays: ``tick`` [1], ``membrane`` [n, N], ``scheduler`` bool [slots, n, A], ``pending`` [slots, n].

        Slot s of the scheduler is read in the ticks t with t % slots = s; ``pending`` counts the deliveries in it, merged
        ones included.
        """

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a saved state; the counters start anew."""

    def clone(self) -> Engine:
        """An engine of the same chip in its initial state; shares what does not change."""

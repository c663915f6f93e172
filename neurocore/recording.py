"""A run whose long parts, spikes and probes, may lie in a file: what is of fixed size, and columns that come in blocks.

The columns of a run are ``spikes/tick`` and ``spikes/line``, and for probe number k ``probes/k/tick``, ``probes/k/line`` and
``probes/k/membranes``; they grow with the ticks, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.errors import InputError
from neurocore.result import RunResult
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

BLOCK_BYTES = 2**22
"""Columns are copied in blocks of about this size."""


@dataclass(frozen=True)
class Column:
    """Rows of shape ``tail``, ``length`` of them, that :attr:`blocks` gives in order."""

    dtype: np.dtype[Any]
    tail: tuple[int, ...]
    length: int
    blocks: Callable[[], Iterator[Array]]

    @classmethod
    def of(cls, values: Array) -> Column:
        """A column that is in memory."""
        return cls(values.dtype, values.shape[1:], len(values), lambda: iter((values,)))

    def array(self) -> Array:
        """The whole column in memory."""
        whole = np.empty((self.length, *self.tail), self.dtype)
        start = 0
        for block in self.blocks():
            whole[start : start + len(block)] = block
            start += len(block)
        assert start == self.length or not whole.size
        return whole


@dataclass(frozen=True)
class Recording:
    """A run: ``head`` is the run without spikes and with probes that saw nothing, ``columns`` holds those."""

    head: RunResult
    columns: Mapping[str, Column]

    @classmethod
    def of(cls, run: RunResult) -> Recording:
        """A run that is in memory."""
        return cls(without_columns(run), {name: Column.of(values) for name, values in columns_of(run).items()})

    def result(self) -> RunResult:
        """The run in memory."""
        return with_columns(self.head, {name: column.array() for name, column in self.columns.items()})

    def summary(self) -> dict[str, Any]:
        """The fields of ``run --json``."""
        return {**self.head.summary(), "output_spikes": self.columns["spikes/tick"].length}


def columns_of(run: RunResult) -> dict[str, Array]:
    """The columns of a run by name."""
    columns = {"spikes/tick": run.spikes.tick, "spikes/line": run.spikes.line}
    for number, probe in enumerate(run.probes.values()):
        columns[f"probes/{number}/tick"] = probe.spikes.tick
        columns[f"probes/{number}/line"] = probe.spikes.line
        columns[f"probes/{number}/membranes"] = probe.membranes
    return columns


def without_columns(run: RunResult) -> RunResult:
    """A run as if it had recorded nothing."""
    nothing = Spikes.empty()
    probes = {
        name: replace(probe, spikes=nothing, membranes=np.zeros((0, *probe.membranes.shape[1:]), np.int32))
        for name, probe in run.probes.items()
    }
    return replace(run, spikes=nothing, probes=probes)


def with_columns(head: RunResult, columns: Mapping[str, Array]) -> RunResult:
    """A run out of its head and its columns. Raises InputError for spikes that are none."""
    probes = {
        name: replace(
            probe,
            spikes=Spikes.from_lines(columns[f"probes/{number}/tick"], columns[f"probes/{number}/line"]),
            membranes=columns[f"probes/{number}/membranes"],
        )
        for number, (name, probe) in enumerate(head.probes.items())
    }
    spikes = Spikes.from_lines(columns["spikes/tick"], columns["spikes/line"])
    return replace(head, spikes=spikes, probes=probes)


def check_lengths(head: RunResult, columns: Mapping[str, Column]) -> None:
    """Raise InputError if columns that belong together differ in length, or membranes do not have one row per tick."""
    for name, column in columns.items():
        stem, _, last = name.rpartition("/")
        if last == "line" and column.length != columns[f"{stem}/tick"].length:
            raise InputError(f"{stem!r} holds {columns[f'{stem}/tick'].length} ticks and {column.length} lines")
        if last == "membranes" and column.tail != (0,) and column.length != head.ticks:
            raise InputError(f"{name!r} has {column.length} rows for {head.ticks} ticks")

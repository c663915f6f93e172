"""RANC's ``output.txt``, reproduced from a run byte for byte.

A byte-order mark; then one line per tick, ``0`` or ``1`` and a blank for every line of the output bus. Line L shows the
neurons that fired in neurocore tick L - 1 (RANC's tick L) and the packets that the input addressed straight to the bus in
``packets[L]``; hence line 0 can only show such packets, and what fires in the last tick is never shown.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import numpy as np

from neurocore.container import StrPath, atomic_path
from neurocore.errors import InputError
from neurocore.formats.ranc_build import PASSED
from neurocore.result import RunResult

_BLOCK = 2**22
"""About so many bytes are made at a time."""


def output_text(run: RunResult) -> str:
    """The text of ``output.txt``, its byte-order mark included; as many lines as the run has ticks.

    Any chip's run can be written: its output lines take the place of the bus. Raises InputError for a run that does not
    begin at tick 0.
    """
    return b"".join(output_blocks(run)).decode("utf-8")


def write_output(run: RunResult, path: StrPath) -> None:
    """Write ``output.txt`` atomically. Raises OutputError if it cannot be written."""
    blocks = output_blocks(run)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for block in blocks:
            file.write(block)


def output_blocks(run: RunResult) -> Iterator[bytes]:
    """The bytes of ``output.txt``, some lines at a time."""
    if run.first_tick:
        raise InputError(
            f"the run begins at tick {run.first_tick}; RANC's output begins at tick 0: run the chip from there"
        )
    return _blocks(run)


def _blocks(run: RunResult) -> Iterator[bytes]:
    yield codecs.BOM_UTF8
    groups = run.chip.outputs
    passed = groups[-1].start if groups and groups[-1].name == PASSED else None
    width = sum(group.size for group in groups) if passed is None else passed
    direct = run.spikes.line >= width
    at = run.spikes.tick + np.where(direct, 0, 1)
    line = run.spikes.line - np.where(direct, width, 0)
    order = np.argsort(at, kind="stable")
    at, line = at[order], line[order]
    step = max(1, _BLOCK // (2 * width + 1))
    blank = np.frombuffer(b"0 " * width + b"\n", np.uint8)
    for start in range(0, run.ticks, step):
        rows = min(step, run.ticks - start)
        block = np.tile(blank, (rows, 1))
        first, last = np.searchsorted(at, [start, start + rows])
        block[at[first:last] - start, 2 * line[first:last]] = ord("1")
        yield block.tobytes()

"""Recording a run to disk while it goes on, in memory that does not grow with its ticks.

What the engine hands over is kept in memory, up to BUFFER_BYTES, and then appended to ``RUN.h5.part``
(:mod:`neurocore.partfile`). Every FLUSH_SECONDS or so a flush adds the counters and brings all to the disk: up to there a run
can be recovered after a crash, of the machine too. At the end the columns are copied, block by block, into the run file, which
is written under a temporary name; the part file goes when the run file stands. Both are there for a moment, so that the disk
needs room for twice the recording. A run that ends before its first flush leaves no part file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import container
from neurocore.emulator import Emulator
from neurocore.engine import Record
from neurocore.errors import OutputError
from neurocore.interrupts import Interrupts
from neurocore.partfile import PartFile, part_path
from neurocore.partread import OpenPart
from neurocore.recording import Column, Recording, columns_of, without_columns
from neurocore.result import RunResult, join_runs
from neurocore.runfile import column_kinds, save_recording
from neurocore.spikes import Spikes
from neurocore.wording import counted

Array = npt.NDArray[Any]

FIRST_FLUSH_SECONDS = 0.5
FLUSH_SECONDS = 1.0
"""Time between flushes; longer where the counters of a large chip would take more than FLUSH_SHARE of it.

The rows do not count: the disk must take them in any case, and the longer it is not asked to the longer it takes.
"""
FLUSH_SHARE = 0.02
BUFFER_BYTES = 2**23
"""What is kept in memory until it is written, about."""
RECORD_BYTES = 1024
"""What a record takes besides its values: counts when a run goes tick by tick."""


class Recorder:
    """Records what an emulator does from now on, for the run file ``path``.

    As a context: an error or interrupt keeps what was recorded until then in the part file; ``kept`` is then the number of
    ticks in it, 0 if there was nothing to keep. ``aside`` is where the part file of an earlier run went, None if there was none.
    Raises OutputError, which names ``path`` and says what is kept, if a file cannot be written.
    """

    def __init__(self, emulator: Emulator, path: str) -> None:
        container.check_writable(path)
        self.emulator, self.path = emulator, path
        self.kept = 0
        self.aside: str | None = None
        self._part: PartFile | None = None
        self._records: list[Record] = []
        self._loose: list[dict[str, Array]] = []
        self._bytes, self._merges, self._seconds = 0, 0, 0.0
        self._whole, self._has_news = True, False
        self._next_flush = time.monotonic() + FIRST_FLUSH_SECONDS
        emulator.begin()
        self._total = emulator.counted()
        self._kinds = column_kinds(self._total)
        self._lengths = dict.fromkeys(self._kinds, 0)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._whole and self._has_news:
                self.flush()
        except OutputError as failure:
            raise self._with_hint(failure) from error
        finally:
            self._close()
        if isinstance(error, OutputError):
            raise self._with_hint(error) from error

    def _with_hint(self, error: OutputError) -> OutputError:
        return OutputError(f"{error}; {self.hint}" if self.kept else error.problems)

    @property
    def hint(self) -> str:
        """Where what was kept is, and what to do with it."""
        part = part_path(self.path)
        kept = f"{counted(self.kept, 'tick')} {'is' if self.kept == 1 else 'are'} kept in {part}"
        return (
            f"{kept}: neurocore recover {part} -o {self.path} makes a run file of {'it' if self.kept == 1 else 'them'}"
        )

    def _close(self) -> None:
        if self._part is not None:
            self._part.close() if self.kept else self._part.remove()
            self._part = None

    # Recording

    def run(self, spikes: Spikes, stop: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Run up to tick ``stop`` with spikes that lie before it, in parts; an interrupt ends it between two of them."""
        emulator, first = self.emulator, self.emulator.tick
        emulator.check(spikes)
        with Interrupts() as interrupts:
            for size in emulator.chunks(stop - first):
                emulator.send(emulator.due(spikes, emulator.tick, emulator.tick + size))
                self.advance(size)
                if progress is not None:
                    progress(emulator.tick - first, stop - first)
                interrupts.check()

    def advance(self, ticks: int) -> Record:
        """Advance the emulator and record; returns what the engine handed over."""
        self._whole, self._has_news = False, True
        begun = time.perf_counter()
        record = self.emulator.advance(ticks)
        self._seconds += time.perf_counter() - begun
        if n_bytes := sum(array.nbytes for array in vars(record).values()):
            self._records.append(record)
            self._bytes += RECORD_BYTES + n_bytes
        self._whole = True
        is_full = self._bytes > BUFFER_BYTES
        if time.monotonic() >= self._next_flush or (is_full and self._part is None):
            self.flush()  # at once with the first rows, so that a disk that they fill keeps something
        elif is_full:
            self._spill()
        return record

    def step(self, lines: Iterable[int] = ()) -> Array:
        """:meth:`neurocore.emulator.Emulator.step`, recorded; an interrupt waits until the tick is."""
        with Interrupts():
            self.emulator.send_lines(lines)
            return self.advance(1).fired()

    def step_axons(self, axons: Iterable[tuple[int, int]]) -> Array:
        """:meth:`step` for a chip without input lines."""
        with Interrupts():
            self.emulator.send_axons(axons)
            return self.advance(1).fired()

    def flush(self) -> None:
        """Bring all that was recorded so far to the disk, in the part file."""
        part = self._spill()
        self._whole = False
        part.sync()
        begun = time.monotonic()
        self._tally()
        part.flush(self._head())
        self.kept = self._total.ticks
        self._whole, self._has_news = True, False
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_SECONDS, (now - begun) / FLUSH_SHARE)

    def _spill(self) -> PartFile:
        """Append what is in memory to the part file, which the next flush makes part of the recording."""
        self._whole = False
        if self._part is None:
            self._part = PartFile(self.path, self._total)
            self.aside = self._part.aside
        self._drain()
        for columns in self._loose:
            for name, rows in columns.items():
                self._part.append(name, rows)
        self._loose = []
        self._bytes = 0
        self._whole = True
        return self._part

    def absorb(self, recording: Recording) -> None:
        """Begin with what an earlier run of the same chip recorded, which the emulator goes on from."""
        assert self._total.ticks == 0
        head = recording.head
        places = {name: number for number, name in enumerate(head.probes)}
        self._total = replace(head, probes={name: head.probes[name] for name in self.emulator.probes})
        self._merges = head.output_merges
        self.emulator.begin()
        for name in self._kinds:
            first, _, last = name.rpartition("/")
            number = first.rpartition("/")[2]
            source = f"probes/{places[self.emulator.probes[int(number)]]}/{last}" if number.isdigit() else name
            for block in recording.columns[source].blocks():
                self._keep({name: block})
                if self._bytes > BUFFER_BYTES:
                    self._spill()

    def _tally(self) -> None:
        """Add the counters since the last time to those of all; the emulator begins to count anew."""
        self._total = without_columns(join_runs(self._total, self.emulator.counted(self._seconds)))
        self._seconds = 0.0
        self.emulator.begin()

    def _head(self) -> RunResult:
        return replace(self._total, output_merges=self._merges)

    def _drain(self) -> None:
        """Turn what the engine handed over into rows of the columns."""
        if not self._records:
            return
        spikes, merges, probes = self.emulator.observed(Record.joined(self._records))
        self._records = []
        self._merges += merges
        self._keep(columns_of(replace(self._total, spikes=spikes, probes=probes)))

    def _keep(self, columns: dict[str, Array]) -> None:
        self._loose.append(columns)
        for name, rows in columns.items():
            self._lengths[name] += len(rows)
            self._bytes += rows.nbytes

    # Results

    def recording(self) -> Recording:
        """All that was recorded so far; to be read before the emulator goes on."""
        self._tally()
        self._drain()
        columns = {
            name: Column(np.dtype(kind), tail, self._lengths[name], lambda name=name: self._blocks(name))  # type: ignore[misc]
            for name, (kind, tail) in self._kinds.items()
        }
        return Recording(self._head(), columns)

    def _blocks(self, name: str) -> Iterator[Array]:
        if self._part is not None:
            yield from self._part.rows(name)
        for columns in self._loose:
            if name in columns:
                yield columns[name]

    def finish(self) -> dict[str, Any]:
        """Write the run file; returns the fields of ``run --json``. A part file stays if that fails."""
        if self._part is not None and self._has_news:
            self.flush()
        recording = self.recording()
        save_recording(recording, self.path)
        if self._part is not None:
            self._part.remove()
            self._part = None
        self.kept = 0
        return recording.summary()


def recover(part: str, path: str) -> Recording:
    """Make the run file ``path`` of a part file, which stays as it is; returns what it holds, columns not to be read.

    Raises InputError for a file that is not the part file of a run or holds no whole flush, OutputError if ``path`` cannot be
    written.
    """
    with OpenPart(part) as opened:
        save_recording(opened.recording, path)
        return opened.recording

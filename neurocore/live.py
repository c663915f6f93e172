"""Live runs: spikes come in on a stream while the chip runs, and go out as they occur.

Without a pace the chip runs as far as it can know its input: a spike or a mark (:mod:`neurocore.spikelines`) of tick t says that
nothing more comes before t, and all ticks before t are run. The result is then that of :meth:`Emulator.run` with the same
spikes, however the stream is cut. With a pace the wall clock says when a tick is run, with what has come until then.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neurocore.emulator import Emulator
from neurocore.errors import InputError, UsageError
from neurocore.interrupts import Interrupts
from neurocore.recorder import FLUSH_SECONDS, Recorder
from neurocore.spikelines import NOW, ON_LINE, Block, LineReader, write_lines
from neurocore.spikes import Spikes

Array = npt.NDArray[np.int64]
T = TypeVar("T")

LATE = ("error", "drop", "now")
"""What becomes of a spike whose tick has been: the run ends with an error; it is dropped; it counts for the next tick."""
AHEAD_TICKS = 4096
"""A paced run does not read on while it holds spikes for ticks so far ahead; the sender waits."""
READ_BYTES = 2**18


class Port(Protocol):
    """Both ends of a stream."""

    name: str

    def fileno(self) -> int:
        """A descriptor to wait for."""

    def read(self, size: int) -> bytes:
        """What has come, at least one byte; nothing at the end."""

    def write(self, data: bytes) -> None:
        """Send at once. Raises BrokenPipeError or ConnectionError if nobody listens."""


class Pacer:
    """Holds a run to a tick rate in Hz and counts the ticks that were late.

    A tick is late if it was not done when the next one was due; ``late_ticks`` counts them, ``worst_seconds`` is the most by
    which one was. No tick is left out: a run that is behind goes on without a pause until it has caught up.
    """

    def __init__(self, hz: float) -> None:
        if not 0 < hz < float("inf"):
            raise UsageError(f"a pace of {hz:g} Hz cannot be kept; it must be finite and above 0")
        self.hz = hz
        self.late_ticks, self.worst_seconds = 0, 0.0
        self._begun: float | None = None
        self._ticks = 0

    def left(self) -> float:
        """Seconds until the next tick is due; the first one is due at once."""
        if self._begun is None:
            self._begun = time.monotonic()
        return self._begun + self._ticks / self.hz - time.monotonic()

    def done(self) -> None:
        """Say that a tick was run."""
        self._ticks += 1
        behind = -self.left()
        if behind > 0:
            self.late_ticks += 1
            self.worst_seconds = max(self.worst_seconds, behind)

    def paced(self, source: Iterable[T]) -> Iterator[T]:
        """The items of a source, each when its tick is due; for :meth:`Emulator.stream`."""
        for item in source:
            if (left := self.left()) > 0:
                time.sleep(left)
            yield item
            self.done()


@dataclass(frozen=True)
class LiveReport:
    """What a live run did: ``ended`` is ``ticks`` (all that were asked for), ``input`` (its end) or ``reader`` (nobody listens).

    ``late_spikes`` came when their tick had been, ``unused_spikes`` were for ticks after the last. ``late_ticks`` and
    ``worst_late_ms`` are 0 without a pace.
    """

    ended: str
    ticks: int
    input_spikes: int
    output_spikes: int
    late_spikes: int
    unused_spikes: int
    pace_hz: float | None
    late_ticks: int
    worst_late_ms: float

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``run --live --json``."""
        return asdict(self)


class LiveRun:
    """One live run of an emulator: what comes in on a port drives it, what it fires goes out there.

    ``ticks`` is where it ends, else it ends ``latency`` ticks of the chip after the last tick that its input names. ``late`` is
    one of LATE, by default ``error`` without a pace, ``drop`` with one. With a recorder it is recorded as well.
    """

    def __init__(
        self,
        emulator: Emulator,
        port: Port,
        *,
        ticks: int | None = None,
        pace: float | None = None,
        late: str | None = None,
        as_json: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        if late is not None and late not in LATE:
            raise UsageError(f"late is {late!r}; there are {', '.join(LATE)}")
        self._emulator, self._port, self._recorder = emulator, port, recorder
        self._pacer = Pacer(pace) if pace is not None else None
        self._late = late or ("error" if pace is None else "drop")
        self._reader = LineReader(emulator.chip, port.name, has_now=pace is not None)
        self._stop, self._as_json = ticks, as_json
        self._named = emulator.tick  # no spike for an earlier tick is in time
        self._last = emulator.tick  # the tick after the last that the input has named
        self._marks: list[int] = []
        self._error: InputError | None = None
        self._n_in = self._n_out = self._n_late = self._n_unused = 0

    def run(self) -> LiveReport:
        """Run to the end. Raises InputError for a bad line, KeyboardInterrupt for an interrupt between two ticks."""
        first = self._emulator.tick
        with Interrupts() as interrupts:
            try:
                if not self._as_json:
                    self._port.write(b"tick,line\n")
                ended = self._unpaced(interrupts) if self._pacer is None else self._paced(self._pacer, interrupts)
            except (BrokenPipeError, ConnectionError):
                ended = "reader"
        pacer = self._pacer
        return LiveReport(
            ended,
            self._emulator.tick - first,
            self._n_in,
            self._n_out,
            self._n_late,
            self._n_unused,
            pacer.hz if pacer else None,
            pacer.late_ticks if pacer else 0,
            round(1000 * pacer.worst_seconds, 3) if pacer else 0.0,
        )

    def _unpaced(self, interrupts: Interrupts) -> str:
        while not self._is_over():
            data = self._read(interrupts, None)
            if not data:
                self._take(self._reader.end())
                self._advance_to(self._named if self._error else self._end(), interrupts)
                self._raise_error()
                return "input"
            self._take(self._reader.feed(data))
            self._advance_to(self._named, interrupts)
            self._raise_error()
        return "ticks"

    def _paced(self, pacer: Pacer, interrupts: Interrupts) -> str:
        is_open = True
        while not self._is_over():
            if not is_open and self._stop is None and self._emulator.tick >= self._end():
                return "input"
            while (left := pacer.left()) > 0:
                interrupts.check()
                if is_open and self._last < self._emulator.tick + AHEAD_TICKS:
                    is_open = self._receive(interrupts, left)
                else:
                    time.sleep(min(left, FLUSH_SECONDS))
            if is_open and self._last < self._emulator.tick + AHEAD_TICKS:
                is_open = self._receive(interrupts, 0)
            self._advance_to(self._emulator.tick + 1, interrupts)
            pacer.done()
        return "ticks"

    def _receive(self, interrupts: Interrupts, seconds: float) -> bool:
        """Take what comes within that time; returns whether more may come."""
        data = self._read(interrupts, seconds)
        if data is None:
            return True
        self._take(self._reader.feed(data) if data else self._reader.end())
        self._raise_error()
        return bool(data)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _read(self, interrupts: Interrupts, seconds: float | None) -> bytes | None:
        """What comes within that time; None if nothing does. Without a limit the recording is flushed while nothing comes."""
        wait = FLUSH_SECONDS if seconds is None else seconds
        while True:
            with interrupts.waiting():
                if select.select([self._port], [], [], wait)[0]:
                    return self._port.read(READ_BYTES)
            if seconds is not None:
                return None
            if self._recorder is not None:
                self._recorder.flush_if_due()

    def _is_over(self) -> bool:
        return self._stop is not None and self._emulator.tick >= self._stop

    def _end(self) -> int:
        return self._last + self._emulator.chip.latency if self._stop is None else self._stop

    def _take(self, block: Block) -> None:
        """Put the spikes of a block on their way; keeps an error of it for when what came before was run."""
        tick, bound = self._times(block)
        late = tick < bound[:-1]
        self._error = block.error
        if late.any():
            self._n_late += int(late.sum())
            if self._late == "error":
                first = int(np.flatnonzero(late)[0])
                self._take(_cut(block, first))
                self._error = InputError(
                    f"{self._port.name}:{block.number[first]}: a spike for tick {tick[first]} comes too late:"
                    f" tick {bound[first]} was named before; send ticks in ascending order, or choose --late drop or --late now"
                )
                return
            tick = np.where(late, bound[:-1], tick)
        self._send(block, tick, ~late if self._late == "drop" else np.ones(len(tick), bool))
        self._named = max(self._named, int(bound[-1]))
        last = max([mark for mark, _ in block.marks] + [int(tick.max()) + 1 if len(tick) else 0])
        self._last = max(self._last, last)
        self._marks = sorted({*self._marks, *(mark for mark, _ in block.marks)})

    def _times(self, block: Block) -> tuple[Array, Array]:
        """The tick of each spike, and the earliest that it could have; the last entry of the second is for what comes next.

        Without a pace that is the greatest tick that a spike or mark before it has named.
        """
        now = self._emulator.tick
        tick = np.where(block.tick == NOW, now, block.tick)
        if self._pacer is not None:
            return tick, np.full(len(tick) + 1, now)
        bound = np.concatenate([[self._named], tick])
        for mark, place in block.marks:
            bound[place] = max(bound[place], mark)
        return tick, np.maximum.accumulate(bound)

    def _send(self, block: Block, tick: Array, kept: npt.NDArray[np.bool_]) -> None:
        self._n_in += len(tick)
        if self._stop is not None:
            self._n_unused += int((kept & (tick >= self._stop)).sum())
            kept = kept & (tick < self._stop)
        on_line = kept & (block.core == ON_LINE)
        on_axon = kept & ~on_line
        if on_line.any():
            self._emulator.send(Spikes.from_lines(tick[on_line], block.place[on_line]))
        if on_axon.any():
            self._emulator.send(Spikes.from_axons(tick[on_axon], block.core[on_axon], block.place[on_axon]))

    def _advance_to(self, tick: int, interrupts: Interrupts) -> None:
        """Run up to a tick, or to the last, and write what was fired and which marks were reached."""
        stop = tick if self._stop is None else min(tick, self._stop)
        runner = self._recorder or self._emulator
        self._write(np.zeros((0, 2), np.int64))
        for size in self._emulator.chunks(stop - self._emulator.tick):
            record = runner.advance(size)
            self._write(np.unique(np.stack([record.output_tick, record.output_line], axis=1), axis=0))
            interrupts.check()

    def _write(self, spikes: Array) -> None:
        reached = [mark for mark in self._marks if mark <= self._emulator.tick]
        self._marks = self._marks[len(reached) :]
        self._n_out += len(spikes)
        data = b"".join(write_lines(spikes[:, 0], spikes[:, 1], reached, as_json=self._as_json))
        if data:
            self._port.write(data)


def _cut(block: Block, n_spikes: int) -> Block:
    """What came before spike ``n_spikes`` of a block."""
    columns = (column[:n_spikes] for column in block[:4])
    return Block(*columns, [mark for mark in block.marks if mark[1] <= n_spikes])

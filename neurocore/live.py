"""Live runs: spikes come in line by line while the chip runs, and its output spikes leave in the tick that fired them.

``docs/live.md`` describes the protocol. Without pacing the input is the clock: a tick runs as soon as a later one has been
named. With pacing the clock of the computer is: tick k runs k periods after the start, with what has come by then.

Ticks are those of the chip's network, in and out: on a dilated chip each is as many ticks of the chip as ``chip.dilation`` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.endpoint import Endpoint
from neurocore.engine import Array
from neurocore.errors import InputError, UsageError
from neurocore.recorder import Recorder
from neurocore.spikes import CHIP_COLUMNS, MAX_VALUE, NETWORK_COLUMNS
from neurocore.wording import counted

MAX_LINE_BYTES = 256
"""A line longer than this is no spike; input without line ends must not fill the memory."""

_LAYOUTS = {
    ",".join(columns[first:]): columns[first:] for columns in (NETWORK_COLUMNS, CHIP_COLUMNS) for first in (0, 1)
}
"""The headers that may begin the input; those without a tick are for pacing."""


class Row(NamedTuple):
    """A line of the input: a spike, or with an empty ``place`` the promise that nothing earlier than ``tick`` follows.

    ``place`` is ``(line,)`` or ``(core, axon)``; ``tick`` is None for the tick at hand.
    """

    number: int
    tick: int | None
    place: tuple[int, ...]


class RowReader:
    """Reads rows from an endpoint and checks them against the chip.

    Complaints are InputErrors that begin with the place, as in ``stdin:12:``.
    """

    def __init__(self, endpoint: Endpoint, chip: ChipConfig, *, paced: bool) -> None:
        self.ended = False
        self.number = 0
        self._endpoint = endpoint
        self._chip = chip
        self._paced = paced
        self._columns: tuple[str, ...] = NETWORK_COLUMNS if chip.n_inputs else CHIP_COLUMNS
        self._configured = frozenset(chip.cores.core.tolist())
        self._begun = False
        self._lines: Iterator[bytes] = iter(())
        self._rest = b""

    def fill(self, timeout: float | None) -> None:
        """Read what has come, once; call it when :meth:`row` has nothing more."""
        data = self._endpoint.read(timeout)
        if data is None:
            return
        self.ended = not data
        *lines, rest = (self._rest + data).split(b"\n")
        if self.ended and rest:
            lines, rest = [rest], b""
        if len(rest) > MAX_LINE_BYTES:
            lines.append(rest)  # which complains when its turn comes
        self._lines, self._rest = iter(lines), rest

    def row(self) -> Row | None:
        """The next row of what was read, None if there is none."""
        for line in self._lines:
            self.number += 1
            if len(line) > MAX_LINE_BYTES:
                raise self.complaint(f"the line is longer than {MAX_LINE_BYTES} bytes; {self._expected()}")
            text = line.partition(b"#")[0].decode("utf-8", "replace").strip()
            if text and not self._is_header(text):
                return self._parse(text)
        return None

    def complaint(self, sentence: str) -> InputError:
        """An error about the row at hand."""
        return InputError(f"{self._endpoint.name}:{self.number}: {sentence}")

    def _is_header(self, text: str) -> bool:
        """Whether this is the header, which may stand before the first row and chooses the columns."""
        if self._begun:
            return False
        self._begun = True
        columns = _LAYOUTS.get(text.replace(" ", ""))
        if columns is None:
            return False
        if columns[0] != "tick" and not self._paced:
            raise self.complaint(f"the header {text!r} has no tick; without --pace every spike needs one: tick,{text}")
        self._columns = columns
        return True

    def _parse(self, text: str) -> Row:
        fields = [part.strip() for part in text.split(",")]
        timed = self._columns[0] == "tick"
        if timed and (len(fields) == 1 or (len(fields) == 2 and not fields[1])):
            return Row(self.number, self._whole("tick", fields[0]), ())
        if len(fields) != len(self._columns):
            raise self.complaint(f"found {text!r}; {self._expected()}")
        values = [self._whole(name, field) for name, field in zip(self._columns, fields, strict=True)]
        place = tuple(values[1:] if timed else values)
        self._check(place)
        return Row(self.number, values[0] if timed else None, place)

    def _whole(self, name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_VALUE):
            raise self.complaint(f"{name} is {text!r}; a whole number 0..{MAX_VALUE} was expected")
        return int(text)

    def _check(self, place: tuple[int, ...]) -> None:
        if len(place) == 1:
            if place[0] >= self._chip.n_inputs:
                raise self.complaint(
                    f"input line {place[0]} does not exist; the chip has {counted(self._chip.n_inputs, 'input line')}"
                )
            return
        core, axon = place
        axons = self._chip.architecture.core.axons
        if self._chip.dilation != 1:
            raise self.complaint(
                f"core {core}, axon {axon}: {self._chip.name!r} takes {self._chip.dilation} ticks to one of its network, whose"
                " spikes enter on input lines only"
            )
        if core not in self._configured:
            raise self.complaint(f"core {core} is not configured on {self._chip.name!r}; see neurocore inspect")
        if axon >= axons:
            raise self.complaint(f"axon {axon} does not exist; a core has {axons} axons")

    def _expected(self) -> str:
        columns = ",".join(self._columns)
        return f"{columns} was expected" + (", or a tick alone" if self._columns[0] == "tick" else "")


@dataclass
class LiveReport:
    """What a live run did; grows while it runs.

    A tick is ``dilation`` ticks of the chip. ``late_ticks`` began more than a period after they were due, the worst of them
    ``worst_late_s`` seconds; ``late_spikes`` came after their tick and were not run. ``ended`` is ``input``, ``ticks``, ``reader
    gone``, ``interrupted`` or ``error``.
    """

    tick_hz: float | None = None
    dilation: int = 1
    ticks: int = 0
    input_spikes: int = 0
    output_spikes: int = 0
    late_spikes: int = 0
    late_ticks: int = 0
    worst_late_s: float = 0.0
    seconds: float = 0.0
    ended: str = "error"

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self.__dict__)

    def __str__(self) -> str:
        frames = f" of {self.dilation} of the chip" if self.dilation != 1 else ""
        text = (
            f"{counted(self.ticks, 'tick')}{frames} in {self.seconds:.3f} s, {counted(self.input_spikes, 'spike')} in,"
            f" {self.output_spikes:,} out (ended: {self.ended})"
        )
        if self.tick_hz is None:
            return text
        worst = f", the worst by {self.worst_late_s * 1000:.3g} ms" if self.late_ticks else ""
        return (
            f"{text}; at {self.tick_hz:g} Hz {counted(self.late_ticks, 'tick')} began late{worst},"
            f" {counted(self.late_spikes, 'spike')} came too late"
        )


class LiveRun:
    """A run of ``emulator`` over ``endpoint``, up to tick ``ticks`` if given, else to the end of the input.

    ``tick_hz`` asks for pacing; its ticks are the network's, as all others. A ``recorder`` of the emulator keeps what it does;
    the caller ends it. ``clock`` (seconds) and ``sleep`` are arguments so that tests need not wait. Raises UsageError for an
    impossible pace, and for an emulator that stands within a tick of the network.
    """

    def __init__(
        self,
        emulator: Emulator,
        endpoint: Endpoint,
        *,
        ticks: int | None = None,
        tick_hz: float | None = None,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if tick_hz is not None and not 0 < tick_hz < float("inf"):
            raise UsageError(f"the pace is {tick_hz} Hz; it must be finite and above 0")
        self._dilation = emulator.chip.dilation
        if emulator.tick % self._dilation:
            raise UsageError(
                f"the emulator stands at chip tick {emulator.tick}, within a tick of the network, which is {self._dilation} of"
                f" {emulator.chip.name!r}; reset() it, or step it to the next"
            )
        self.report = LiveReport(tick_hz, self._dilation)
        self._emulator = emulator
        self._chip = emulator if recorder is None else recorder
        self._endpoint = endpoint
        self._rows = RowReader(endpoint, emulator.chip, paced=tick_hz is not None)
        self._stop = ticks
        self._clock, self._sleep = clock, sleep
        self._due: list[tuple[int, ...]] = []
        self._ahead: Row | None = None

    def run(self) -> LiveReport:
        """Run to the end. A reader that goes ends the run; after an error or an interrupt ``report`` tells how far it came."""
        started = self._clock()
        try:
            if self.report.tick_hz is None:
                self._follow()
            else:
                self._keep_pace(started, self.report.tick_hz)
            self.report.ended = "ticks" if self._finished else "input"
        except (BrokenPipeError, ConnectionError):
            self.report.ended = "reader gone"
        except KeyboardInterrupt:
            self.report.ended = "interrupted"
            raise
        finally:
            self.report.seconds = self._clock() - started
        return self.report

    @property
    def _now(self) -> int:
        """The tick at hand."""
        return self._emulator.tick // self._dilation

    @property
    def _finished(self) -> bool:
        return self._stop is not None and self._now >= self._stop

    def _tick(self) -> None:
        """Run the tick at hand with the spikes that are due, and hand over what it fired."""
        tick, due = self._now, self._due
        self._due = []
        if due and len(due[0]) > 1:
            fired = self._chip.step_axons((core, axon) for core, axon in due)
        else:
            fired = self._chip.step(line for (line,) in due)
        self.report.ticks += 1
        self.report.input_spikes += len(due)
        self._hand_over(tick, fired)
        for _ in range(1, self._dilation):
            self._hand_over(tick, self._chip.step())

    def _hand_over(self, tick: int, fired: Array) -> None:
        if len(fired):
            self.report.output_spikes += len(fired)
            self._endpoint.write("".join(f"{tick},{line}\n" for line in fired.tolist()).encode())

    # The input is the clock.

    def _follow(self) -> None:
        while not self._finished and not self._rows.ended:
            self._rows.fill(None)
            while not self._finished and (row := self._rows.row()) is not None:
                self._accept(row)
        while not self._finished and (self._due or self._stop is not None):
            self._tick()

    def _accept(self, row: Row) -> None:
        """Run the ticks that this row proves complete, and keep its spike for its own."""
        tick = self._now
        assert row.tick is not None  # only pacing allows rows without
        if row.tick < tick:
            raise self._rows.complaint(
                f"tick {row.tick} is in the past, the chip stands at tick {tick}; ticks must not decrease"
            )
        while self._now < row.tick and not self._finished:
            self._tick()
        if row.place and not self._finished:
            self._due.append(row.place)

    # The clock of the computer is.

    def _keep_pace(self, start: float, tick_hz: float) -> None:
        first = self._now
        while not self._finished:
            due = start + (self._now - first) / tick_hz
            self._gather(due)
            if self._exhausted:
                return
            late = self._clock() - due
            if late > 1 / tick_hz:
                self.report.late_ticks += 1
                self.report.worst_late_s = max(self.report.worst_late_s, late)
            self._tick()

    @property
    def _exhausted(self) -> bool:
        return self._stop is None and self._rows.ended and self._ahead is None and not self._due

    def _gather(self, due: float) -> None:
        """Take what comes until the time ``due``; read no further than the first row of a later tick.

        When the time has passed there is one more look, so that a flood of input cannot hold up the chip.
        """
        while True:
            self._sort_rows()
            left = due - self._clock()
            if self._ahead is not None or self._rows.ended:
                if left > 0 and not self._exhausted:
                    self._sleep(left)
                return
            self._rows.fill(max(left, 0.0))
            if left <= 0:
                self._sort_rows()
                return

    def _sort_rows(self) -> None:
        """Keep rows for the tick at hand and one of a later tick; count those that come too late."""
        now = self._now
        while (row := self._ahead or self._rows.row()) is not None:
            self._ahead = None
            if row.tick is not None and row.tick > now:
                self._ahead = row
                return
            if not row.place:
                continue
            if row.tick is None or row.tick == now:
                self._due.append(row.place)
            else:
                self.report.late_spikes += 1

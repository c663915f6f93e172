"""Lines in which spikes travel on a stream: in to a chip that runs live, and out of it.

A line in is one of

    12,5                     a spike in tick 12 on input line 5
    12,67,3                  a spike in tick 12 on axon 3 of core 67, for a bare chip (core = x + y * columns)
    now,5                    the same as 12,5 for the tick that comes next, in a run that is paced
    12                       a mark: there is nothing more to come before tick 12
    {"tick": 12, "lines": [5, 6]}           any number of spikes; "axons": [[67, 3]] for a bare chip, no "tick" for the next one
    {"tick": 12}             a mark, and so is a tick with no lines

and blank lines, the headers ``tick,line`` and ``tick,core,axon``, and all behind a ``#`` mean nothing. Out come ``12,5`` and,
when a mark was reached, ``# 12``; or the same in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig
from neurocore.errors import InputError
from neurocore.spikes import CHIP_COLUMNS, MAX_VALUE, NETWORK_COLUMNS, parse_clean, parse_field

Array = npt.NDArray[np.int64]

MAX_LINE_BYTES = 2**20
"""Longer lines are refused, so that a stream that is not made of lines does not fill the memory."""

NOW = -1
"""The tick of a spike that was sent for the tick that comes next."""
ON_LINE = -1
"""The core of a spike on an input line."""

_FEW_LINES = 8
_HEADERS = (",".join(NETWORK_COLUMNS), ",".join(CHIP_COLUMNS))
_EXPECTED = "tick,line or tick,core,axon or a JSON object was expected"


class Block(NamedTuple):
    """Spikes in the order in which they came, and the marks between them.

    ``number`` [k] are the numbers of the lines, ``core`` [k] is ON_LINE where ``place`` [k] is an input line and not an axon.
    ``marks`` are pairs of a tick and the number of spikes that came before. ``error`` is what is wrong with the line after
    them: what came before it counts, however the stream was cut into blocks.
    """

    number: Array
    tick: Array
    core: Array
    place: Array
    marks: list[tuple[int, int]]
    error: InputError | None = None


class LineReader:
    """Turns the bytes of a stream into blocks of spikes; errors name the source and the number of the line."""

    def __init__(self, chip: ChipConfig, source: str, *, has_now: bool) -> None:
        self._n_lines, self._n_axons = chip.n_inputs, chip.architecture.core.axons
        self._rows = chip.row_of()
        self._source, self._has_now = source, has_now
        self._rest = b""
        self._number = 0

    def feed(self, data: bytes) -> Block:
        """The spikes of the lines that ``data`` completes."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rest += data
            whole = b""
        else:
            whole, self._rest = self._rest + whole + b"\n", rest
        block = self._block(whole.replace(b"\r\n", b"\n"))
        if len(self._rest) > MAX_LINE_BYTES and block.error is None:
            error = self._wrong(self._number + 1, f"the line is longer than {MAX_LINE_BYTES} bytes; {_EXPECTED}")
            return block._replace(error=error)
        return block

    def end(self) -> Block:
        """The spikes of a last line without an end."""
        rest, self._rest = self._rest, b""
        return self._block(rest + b"\n" if rest else b"")

    def _block(self, body: bytes) -> Block:
        first = self._number + 1
        n_lines = body.count(b"\n")
        self._number += n_lines
        clean = self._clean(body, n_lines) if n_lines > _FEW_LINES else None
        if clean is not None:
            return Block(np.arange(first, first + n_lines), *clean, [])
        rows: list[tuple[int, int, int, int]] = []
        marks: list[tuple[int, int]] = []
        error = None
        try:
            for number, raw in enumerate(body.split(b"\n")[:-1], first):
                text = raw.decode("utf-8", "replace").partition("#")[0].strip()
                if text and text not in _HEADERS:
                    tick, places = self._line(number, text)
                    if places is None:
                        marks.append((tick, len(rows)))
                    else:
                        rows += ((number, tick, core, place) for core, place in places)
        except InputError as found:
            error = found
        numbers, ticks, cores, placed = np.array(rows, np.int64).reshape(-1, 4).T
        return Block(numbers, ticks, cores, placed, marks, error)

    def _clean(self, body: bytes, n_lines: int) -> tuple[Array, Array, Array] | None:
        """Tick, core and place of lines that are all plain spikes of one kind, many times faster; None for others."""
        for width in (2, 3):
            columns = parse_clean(body, width)
            if columns is None or len(columns[0]) != n_lines:
                continue
            core = columns[1] if width == 3 else np.full(n_lines, ON_LINE, np.int64)
            return (columns[0], core, columns[-1]) if self._all_exist(core, columns[-1]) else None
        return None

    def _all_exist(self, core: Array, place: Array) -> bool:
        if core[0] == ON_LINE:
            return bool(place.max() < self._n_lines)
        inside = core.max() < len(self._rows) and place.max() < self._n_axons
        return bool(inside and (self._rows[core] >= 0).all())

    def _line(self, number: int, text: str) -> tuple[int, list[tuple[int, int]] | None]:
        """Tick and places of the spikes in a line; no places for a mark."""
        if text.startswith("{"):
            tick, places = self._json(number, text)
        else:
            tick, places = self._text(number, text)
        if tick == NOW and not self._has_now:
            raise self._wrong(number, "a spike without a tick needs --pace, by which ticks come and go")
        for core, place in places or ():
            self._check_place(number, core, place)
        return tick, places

    def _text(self, number: int, text: str) -> tuple[int, list[tuple[int, int]] | None]:
        fields = [part.strip() for part in text.split(",")]
        try:
            if len(fields) > 3:
                raise ValueError
            is_now = fields[0] == "now" and len(fields) > 1
            tick, *place = ([NOW] if is_now else [parse_field(fields[0])]) + [parse_field(part) for part in fields[1:]]
        except ValueError as error:
            raise self._wrong(number, f"found {_short(text)}; {_EXPECTED}") from error
        if not place:
            return tick, None
        return tick, [(ON_LINE, place[0]) if len(place) == 1 else (place[0], place[1])]

    def _json(self, number: int, text: str) -> tuple[int, list[tuple[int, int]] | None]:
        try:
            given = json.loads(text)
            tick = _whole(given.pop("tick")) if "tick" in given else NOW
            places = [(ON_LINE, _whole(line)) for line in given.get("lines", ())]
            places += [(_whole(core), _whole(axon)) for core, axon in given.get("axons", ())]
            unknown = set(given) - {"lines", "axons"}
        except (ValueError, TypeError, RecursionError) as error:
            form = '{"tick": 12, "lines": [5, 6]} or {"tick": 12, "axons": [[67, 3]]}'
            raise self._wrong(number, f"found {_short(text)}; {form} was expected") from error
        if unknown:
            raise self._wrong(number, f"{sorted(unknown)[0]!r} means nothing here; there are tick, lines and axons")
        return tick, places if places or tick == NOW else None

    def _check_place(self, number: int, core: int, place: int) -> None:
        if core == ON_LINE:
            if place >= self._n_lines:
                has = f"the chip has {self._n_lines} input lines" + (
                    ", counted from 0" if self._n_lines else ": send tick,core,axon"
                )
                raise self._wrong(number, f"input line {place} does not exist; {has}")
            return
        if core >= len(self._rows) or self._rows[core] < 0:
            raise self._wrong(number, f"core {core} is not configured on this chip")
        if place >= self._n_axons:
            raise self._wrong(number, f"axon {place} does not exist; a core has {self._n_axons} axons, counted from 0")

    def _wrong(self, number: int, what: str) -> InputError:
        return InputError(f"{self._source}:{number}: {what}")


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_VALUE:
        raise ValueError
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def write_lines(tick: Array, line: Array, marks: Iterable[int], *, as_json: bool) -> Iterator[bytes]:
    """Output spikes, ticks ascending, and marks reached, ascending, each mark before the spikes of its tick."""
    start = 0
    for mark in marks:
        stop = int(np.searchsorted(tick, mark))
        yield from _spikes(tick[start:stop], line[start:stop], as_json)
        yield (json.dumps({"tick": mark}) if as_json else f"# {mark}").encode() + b"\n"
        start = stop
    yield from _spikes(tick[start:], line[start:], as_json)


def _spikes(tick: Array, line: Array, as_json: bool) -> Iterator[bytes]:
    """The spikes, in JSON one object per tick."""
    if not len(tick):
        return
    ticks, lines = tick.tolist(), line.tolist()
    if not as_json:
        yield "".join(map("%d,%d\n".__mod__, zip(ticks, lines, strict=True))).encode()
        return
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(tick)) + 1).tolist(), len(tick)]):
        yield json.dumps({"tick": ticks[start], "lines": lines[start:stop]}).encode() + b"\n"

"""Input spikes on their way into a chip: the forms in which they are given, the chip's input map, and those still to come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig
from neurocore.engine import Events
from neurocore.errors import InputError
from neurocore.spikes import MAX_VALUE, Spikes
from neurocore.wording import counted, is_whole, shown

Array = npt.NDArray[Any]
SpikeInput = Spikes | npt.ArrayLike | None

Entry = tuple[int, int, int]
"""Where a spike on a line goes: ticks of delay, core row, axon."""

NO_EVENTS = Events(*(np.zeros(0, np.int64) for _ in range(3)))


def is_raster(spikes: SpikeInput) -> bool:
    """Whether spikes are given as booleans [ticks, lines] or [ticks, *shape]."""
    return isinstance(spikes, np.ndarray) and spikes.dtype == bool and spikes.ndim >= 2


def as_spikes(spikes: SpikeInput, first_tick: int = 0) -> Spikes:
    """Spikes given as such, as rows of (tick, line), as a raster of booleans from ``first_tick`` on, or None."""
    if spikes is None:
        return Spikes.empty()
    if isinstance(spikes, Spikes):
        return spikes
    array = _as_array(spikes)
    if array.dtype == bool and array.ndim >= 2:
        tick, line = np.nonzero(array.reshape(len(array), math.prod(array.shape[1:])))
        return Spikes.from_lines(tick + first_tick, line)
    if array.size == 0:
        return Spikes.empty()
    if array.ndim != 2 or array.shape[1] != 2:
        found = f"have shape {array.shape}" if array.ndim else f"are {shown(spikes)}"
        raise InputError(
            f"input spikes {found}; rows of (tick, line) or booleans [ticks, lines] were expected"
            " (make a raster of numbers boolean with .astype(bool))"
        )
    return Spikes.from_lines(array[:, 0], array[:, 1])


def as_axons(axons: Iterable[tuple[int, int]], tick: int) -> Spikes:
    """Pairs (core, axon) as spikes of one tick. Raises InputError for anything else."""
    pairs = listed("axons", axons, "pairs (core, axon)")
    try:
        rows = [(tick, core, axon) for core, axon in pairs]
    except Exception as error:
        raise InputError(f"axons are {shown(pairs)}; pairs (core, axon) were expected") from error
    return Spikes.from_rows(rows)


def listed(what: str, given: Any, expected: str) -> list[Any]:
    """The items of something that is given. Raises InputError if it has none; what goes wrong as they are made is passed on."""
    return list(items(what, given, expected))


def in_order(what: str, given: Any, expected: str) -> list[Any]:
    """As :func:`listed`, for items whose order matters, which a set does not have."""
    if isinstance(given, Set):
        raise InputError(f"{what} are {shown(given)}; {expected}, in an order, were expected")
    return listed(what, given, expected)


def items(what: str, given: Any, expected: str) -> Iterator[Any]:
    """The items of something that is given, as they are asked for. Raises InputError at once if it has none."""
    try:
        # SciPy's sparse matrices seem to have items; only some of them do.
        if not isinstance(given, str | bytes | bytearray | Mapping) and not hasattr(given, "tocoo"):
            return iter(given)
    except Exception as error:
        # A class may have items, as NumPy's scalars and other libraries' tensors do, and this object none.
        raise InputError(f"{what} are {shown(given)}; {expected} were expected") from error
    raise InputError(f"{what} are {shown(given)}; {expected} were expected")


def _as_array(
    given: Any, what: str = "input spikes", expected: str = "rows of (tick, line) or booleans [ticks, lines]"
) -> Array:
    """What is given as an array. Raises InputError for what is none or has masked values."""
    if np.ma.is_masked(given):
        raise InputError(f"{what} hold masked values, which stand for none; fill them")
    try:
        return np.asarray(given)
    except Exception as error:
        # What makes an array of an object is its own code, which may raise anything.
        raise InputError(f"{what} are {shown(given)}; {expected} were expected") from error


def as_lines(lines: Any, n_lines: int) -> Iterable[int]:
    """Input lines of one tick, given as numbers or as booleans, one per line: their numbers, each once.

    Numbers are not yet checked against the ``n_lines`` lines of the chip. Raises InputError for anything else.
    """
    if not isinstance(lines, np.ndarray):
        if not isinstance(lines, list):
            single = is_whole(lines) or isinstance(lines, bool)
            lines = [lines] if single else listed("input lines", lines, "numbers of lines, or booleans")
        if all(type(line) is int for line in lines):
            return lines if len(lines) < 2 else set(lines)
    given = np.atleast_1d(_as_array(lines, "input lines", "numbers of lines, or booleans"))
    if given.dtype == bool and given.size:
        if given.size != n_lines:
            raise InputError(
                f"{counted(given.size, 'boolean')} for all lines; the chip has {counted(n_lines, 'input line')}"
            )
        return np.flatnonzero(given).tolist()
    if given.size and given.dtype.kind not in "iu":
        raise InputError(f"input lines must be whole numbers or booleans, not {given.dtype}")
    return set(given.ravel().tolist())


def ticks_per(given: Spikes, chip: ChipConfig) -> int:
    """Ticks of the chip to a tick of spikes, which are the network's where lines are given, and the chip's for axons."""
    return chip.dilation if given.is_network else 1


def check_spikes(given: Spikes, chip: ChipConfig, rows: Array, tick: int) -> None:
    """Raise InputError for spikes that are out of range, or of a time before the chip's ``tick``.

    ``rows`` are the rows of the chip's cores, -1 for those that are not configured.
    """
    dilation = ticks_per(given, chip)
    if len(given) and given.tick[-1] > MAX_VALUE // dilation:
        raise InputError(
            f"an input spike is at tick {int(given.tick[-1])}, {dilation} times as many of the chip; they end at {MAX_VALUE}"
        )
    late = given.tick[given.tick * dilation < tick]
    if len(late):
        chip_tick = f", chip tick {int(late[0]) * dilation}," if dilation != 1 else ""
        raise InputError(
            f"an input spike at tick {int(late[0])}{chip_tick} is in the past; the emulator stands at tick {tick}:"
            " reset() it or shift the spikes"
        )
    if given.is_network:
        given.check(n_lines=chip.n_inputs)
        return
    given.check(n_cores=chip.architecture.n_cores, n_axons=chip.architecture.core.axons)
    row = rows[given.core]
    if (row < 0).any():
        core = int(given.core[row < 0][0])
        raise InputError(f"an input spike goes to core {core}, which is not configured on {chip.name!r}")


class InputFan:
    """Turns spikes on input lines into events on axons; entries of the input map sorted by line."""

    def __init__(self, chip: ChipConfig, rows: Array) -> None:
        entry = chip.input_map
        order = np.argsort(entry.line, kind="stable")
        self.row = rows[entry.core[order]]
        self.axon = entry.axon[order].astype(np.int64)
        self.delay = entry.delay[order].astype(np.int64)
        self.n_lines, self.dilation = chip.n_inputs, chip.dilation
        self.start = np.searchsorted(entry.line[order], np.arange(chip.n_inputs + 1))
        self._entries: dict[int, tuple[Entry, ...]] = {}

    def events(self, tick: Array, line: Array) -> Events:
        """Events of the given spikes, whose ticks (not sorted) are the network's. Raises InputError for unknown lines."""
        if len(line) and (line.min() < 0 or line.max() >= self.n_lines):
            raise self._no_such_line(int(line[(line < 0) | (line >= self.n_lines)][0]))
        count = self.start[line + 1] - self.start[line]
        ends = np.cumsum(count)
        entry = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count - self.start[line], count)
        return Events(np.repeat(tick * self.dilation, count) + self.delay[entry], self.row[entry], self.axon[entry])

    def entries(self, line: int) -> tuple[Entry, ...]:
        """The entries of one line, kept as plain numbers: for the few spikes of a step arrays cost more than they save."""
        found = self._entries.get(line)
        if found is None:
            if not 0 <= line < self.n_lines:
                raise self._no_such_line(line)
            part = slice(self.start[line], self.start[line + 1])
            columns = (column[part].tolist() for column in (self.delay, self.row, self.axon))
            found = self._entries[line] = tuple(zip(*columns, strict=True))
        return found

    def _no_such_line(self, line: int) -> InputError:
        return InputError(
            f"input line {shown(line)} does not exist; the chip has {counted(self.n_lines, 'input line')}"
        )


class Waiting:
    """External spikes that are on their way to an axon, by the tick in which they will be active.

    ``_many`` holds them as arrays; ``_few``, what steps add one by one, as flat lists of tick, row, axon.
    """

    def __init__(self) -> None:
        self._many = NO_EVENTS
        self._few: dict[int, list[int]] = {}

    def add(self, events: Events) -> None:
        """Add events, ticks in any order."""
        if not len(events):
            return
        many = self._many
        tick = np.concatenate([many.tick, events.tick])
        row, axon = np.concatenate([many.row, events.row]), np.concatenate([many.axon, events.axon])
        order = np.argsort(tick, kind="stable")
        self._many = Events(tick[order], row[order], axon[order])

    def add_entries(self, tick: int, entries: tuple[Entry, ...]) -> None:
        """Add what a spike at ``tick`` on a line with these entries causes."""
        few = self._few
        for delay, row, axon in entries:
            when = tick + delay
            if when in few:
                few[when] += (when, row, axon)
            else:
                few[when] = [when, row, axon]

    def take_tick(self, tick: int) -> Events:
        """Hand over the events of one tick, the earliest there can be."""
        if len(self._many) and self._many.tick[0] == tick:
            return self.take(tick + 1)
        found = self._few.pop(tick, None)
        if found is None:
            return NO_EVENTS
        flat = np.array(found, np.int64)
        return Events(flat[::3], flat[1::3], flat[2::3])

    def take(self, stop: int) -> Events:
        """Hand over the events before tick ``stop``, ticks ascending."""
        every = self.all()
        cut = int(np.searchsorted(every.tick, stop))
        self._many = Events(every.tick[cut:], every.row[cut:], every.axon[cut:])
        return Events(every.tick[:cut], every.row[:cut], every.axon[:cut])

    def all(self) -> Events:
        """All of them, ticks ascending."""
        if self._few:
            flat = [number for rows in self._few.values() for number in rows]
            self._few = {}
            self.add(Events(*np.array(flat, np.int64).reshape(-1, 3).T))
        return self._many

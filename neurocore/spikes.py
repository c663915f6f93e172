"""Spikes: what goes into a chip and comes out of it.

Columns are ``tick, line`` for a network's inputs and outputs, and ``tick, core, axon`` for a bare chip
(core = x + y * width).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from neurocore.container import StrPath
from neurocore.errors import InputError

Array = npt.NDArray[np.int64]

MAX_VALUE = 2**62 - 1
"""Ticks, lines, cores and axons lie in 0..MAX_VALUE, so that a tick plus any delay is still an int64."""

MAX_FLOAT = 2**53
"""The same for numbers given as floats, which above this no longer tell neighbours apart."""

MAX_SPIKES = 100_000_000
"""A file that announces more spikes than this is refused before they are read (800 MB a column)."""

NETWORK_COLUMNS = ("tick", "line")
CHIP_COLUMNS = ("tick", "core", "axon")

_LISTED = 5
"""Complaints show at most this many rows."""


@dataclass(frozen=True, eq=False, repr=False)
class Spikes:
    """Spikes sorted by tick, then by line or by core and axon, none twice; arrays are read-only int64 [n].

    ``places`` is ``(line,)`` or ``(core, axon)``. ``n_merged`` is the number of duplicates that were merged when
    this value was made; it does not matter when two values are compared. Numbers may be given in any type, floats
    included, as long as they are whole. Raises InputError for fractions, NaN, negative numbers, numbers above
    MAX_VALUE and columns that differ in length.
    """

    tick: Array
    places: tuple[Array, ...]
    n_merged: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        names = NETWORK_COLUMNS if len(self.places) == 1 else CHIP_COLUMNS
        given = _whole_columns(names, (self.tick, *self.places))
        kept = _sort_and_merge(given)
        for column in kept:
            column.flags.writeable = False
        object.__setattr__(self, "tick", kept[0])
        object.__setattr__(self, "places", tuple(kept[1:]))
        object.__setattr__(self, "n_merged", len(given[0]) - len(kept[0]))

    @classmethod
    def from_lines(cls, tick: npt.ArrayLike, line: npt.ArrayLike) -> Spikes:
        """Make spikes of a network: ``tick`` and ``line`` of shape [n], in any order."""
        return cls(cast(Array, tick), (cast(Array, line),))

    @classmethod
    def from_axons(cls, tick: npt.ArrayLike, core: npt.ArrayLike, axon: npt.ArrayLike) -> Spikes:
        """Make spikes of a bare chip: ``tick``, ``core`` and ``axon`` of shape [n], in any order."""
        return cls(cast(Array, tick), (cast(Array, core), cast(Array, axon)))

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[Any]]) -> Spikes:
        """Make spikes from tuples, all ``(tick, line)`` or all ``(tick, core, axon)``.

        No rows give spikes of a network. Raises InputError that names the first row of another length.
        """
        listed = list(rows)
        if not listed:
            return cls.empty()
        widths = [len(row) if hasattr(row, "__len__") else 1 for row in listed]
        wanted = {2: "(tick, line)", 3: "(tick, core, axon)"}.get(widths[0])
        for number, width in enumerate(widths):
            if width != widths[0] or wanted is None:
                expected = wanted or "(tick, line) or (tick, core, axon)"
                raise InputError(f"row {number} has {width} values; {expected} was expected")
        tick, *places = (cast(Array, list(column)) for column in zip(*listed, strict=True))
        return cls(tick, tuple(places))

    @classmethod
    def empty(cls, *, network: bool = True) -> Spikes:
        """Make an empty value, of a network or of a bare chip."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, (nothing,) if network else (nothing, nothing))

    @property
    def is_network(self) -> bool:
        """Whether these are spikes on lines of a network rather than on axons of a bare chip."""
        return len(self.places) == 1

    @property
    def line(self) -> Array:
        """Lines [n]. Raises InputError for spikes of a bare chip."""
        if not self.is_network:
            raise InputError(
                "the spikes have columns tick,core,axon of a bare chip; tick,line of a network was expected"
            )
        return self.places[0]

    @property
    def core(self) -> Array:
        """Cores [n]. Raises InputError for spikes of a network."""
        return self._chip_places()[0]

    @property
    def axon(self) -> Array:
        """Axons [n]. Raises InputError for spikes of a network."""
        return self._chip_places()[1]

    @property
    def columns(self) -> dict[str, Array]:
        """The arrays by name, in the order of the files' columns."""
        names = NETWORK_COLUMNS if self.is_network else CHIP_COLUMNS
        return dict(zip(names, (self.tick, *self.places), strict=True))

    def __len__(self) -> int:
        return len(self.tick)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spikes):
            return NotImplemented
        mine, others = self.columns, other.columns
        return mine.keys() == others.keys() and all(np.array_equal(mine[name], others[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        where = "lines" if self.is_network else "axons"
        ticks = f", ticks {self.tick[0]}..{self.tick[-1]}" if len(self) else ""
        return f"<Spikes: {len(self)} on {where}{ticks}>"

    def window(self, start: int, stop: int) -> Spikes:
        """Return the spikes of ticks ``start`` .. ``stop - 1``."""
        first, last = np.searchsorted(self.tick, [start, max(start, stop)])
        return Spikes(self.tick[first:last], tuple(place[first:last] for place in self.places))

    def shifted(self, dt: int) -> Spikes:
        """Return the same spikes ``dt`` ticks later. Raises InputError if a tick would leave 0..MAX_VALUE."""
        if not len(self):
            return self
        first, last = int(self.tick[0]), int(self.tick[-1])
        if first + dt < 0 or last + dt > MAX_VALUE:
            raise InputError(
                f"spikes of ticks {first}..{last} cannot be shifted by {dt} ticks:"
                f" ticks lie in 0..{MAX_VALUE}; use a smaller shift"
            )
        return Spikes(self.tick + dt, self.places)

    def check(self, *, n_lines: int | None = None, n_cores: int | None = None, n_axons: int | None = None) -> None:
        """Raise InputError that lists the first spikes beyond the given limits, and how many there are."""
        limits = (("line", n_lines), ("core", n_cores), ("axon", n_axons))
        problems = [self._beyond(name, limit) for name, limit in limits if limit is not None]
        if any(problems):
            raise InputError([problem for problem in problems if problem])

    def _beyond(self, name: str, limit: int) -> str:
        """Say what is wrong with a column whose values must be below ``limit``; an empty text if nothing is."""
        values: Array = getattr(self, name)
        bad = np.flatnonzero(values >= limit)
        if not len(bad):
            return ""
        shown = ", ".join(f"{name} {values[row]} at tick {self.tick[row]}" for row in bad[:_LISTED])
        more = ", ..." if len(bad) > _LISTED else ""
        allowed = f"{name}s 0..{limit - 1} exist" if limit > 0 else f"there are no {name}s"
        return (
            f"{len(bad)} of {len(self)} spikes are on {name}s that do not exist ({shown}{more}); {allowed}:"
            " check that the spikes were made for this chip"
        )

    def _chip_places(self) -> tuple[Array, ...]:
        if self.is_network:
            raise InputError(
                "the spikes have columns tick,line of a network; tick,core,axon of a bare chip was expected"
            )
        return self.places


# Columns


def _whole_columns(names: Sequence[str], values: Sequence[npt.ArrayLike]) -> list[Array]:
    """Return the columns as int64 of one length, as copies. Raises InputError that lists what is wrong."""
    columns: list[Array] = []
    problems: list[str] = []
    for name, given in zip(names, values, strict=True):
        try:
            columns.append(_whole(name, given))
        except InputError as error:
            problems += error.problems
    if not problems and len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in zip(names, columns, strict=True))
        problems.append(f"the columns differ in length ({lengths}); every spike needs one value in each")
    if problems:
        raise InputError(problems)
    return columns


def _whole(name: str, given: npt.ArrayLike) -> Array:
    """Return a column as int64, as a copy. Raises InputError that names the first value out of range."""
    if np.ma.is_masked(given):
        raise InputError(f"{name} holds masked values, which stand for none; leave their spikes out")
    try:
        values = np.asarray(given)
    except Exception as error:
        # What makes an array of an object is its own code, which may raise anything.
        raise InputError(f"{name} is not an array of numbers: {error}") from error
    if values.ndim != 1:
        raise InputError(f"{name} has shape {values.shape}; one value per spike, shape (n,), was expected")
    if not values.size:
        return np.zeros(0, np.int64)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name} holds values of type {values.dtype}; whole numbers were expected")
    limit = MAX_VALUE
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            values, limit = values.astype(np.float64), MAX_FLOAT
    good = (values >= 0) & (values <= limit) & (values == np.floor(values))
    if not good.all():
        bad = np.flatnonzero(~good)
        count = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
        found = f"{name}[{bad[0]}] is {values[bad[0]]}{count}"
        raise InputError(f"{found}; whole numbers 0..{limit} were expected")
    return values.astype(np.int64)


def _sort_and_merge(columns: list[Array]) -> list[Array]:
    """Return the rows sorted by the columns from left to right, each row once."""
    if not len(columns[0]):
        return columns
    spans = [int(column.max()) + 1 for column in columns]
    if math.prod(spans) > MAX_VALUE:
        return _sort_wide(columns)
    key = np.ravel_multi_index(columns, spans)  # one number per row sorts many times faster
    if (key[1:] > key[:-1]).all():
        return columns
    key.sort()
    parts = np.unravel_index(key[_fresh([key])], spans)
    return [np.ascontiguousarray(part, np.int64) for part in parts]


def _sort_wide(columns: list[Array]) -> list[Array]:
    """Do the same for rows that do not fit into one number."""
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    fresh = _fresh(ordered)
    return [column[fresh] for column in ordered]


def _fresh(columns: list[Array]) -> npt.NDArray[np.bool_]:
    """Mark the rows [n] of sorted columns that differ from the row before."""
    fresh = np.ones(len(columns[0]), bool)
    fresh[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return fresh


def read(path: StrPath) -> Spikes:
    """Read spikes from a ``.npz`` or ``.csv`` file; its contents decide which of the two it is.

    Raises InputError that says what is wrong, for CSV text with ``file:line:column``.
    """
    from neurocore.spikefiles import read_file

    return read_file(path)


def write(path: StrPath, spikes: Spikes) -> None:
    """Write spikes atomically, as ``.npz`` or ``.csv`` by the ending of ``path``; equal spikes give equal bytes.

    Raises UsageError for another ending, OutputError if the file cannot be written.
    """
    from neurocore.spikefiles import write_file

    write_file(path, spikes)

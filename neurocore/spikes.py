"""Spikes, and the ``.npz`` and ``.csv`` files that hold them.

Columns are ``tick, line`` for a network's inputs and outputs, and ``tick, core, axon`` for a bare chip
(core = x + y * width).
"""

from __future__ import annotations

import codecs
import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from neurocore.container import StrPath, atomic_path, is_text, looks_like, open_input
from neurocore.errors import InputError, UsageError

Array = npt.NDArray[np.int64]

MAX_VALUE = 2**62 - 1
"""Ticks, lines, cores and axons lie in 0..MAX_VALUE, so that a tick plus any delay is still an int64."""

MAX_FLOAT = 2**53
"""The same for numbers given as floats, which above this no longer tell neighbours apart."""

MAX_SPIKES = 100_000_000
"""A ``.npz`` file that announces more spikes than this is refused before they are read (800 MB a column)."""

MAX_CSV_BYTES = 2**32
"""A ``.csv`` file larger than this is refused."""

NETWORK_COLUMNS = ("tick", "line")
CHIP_COLUMNS = ("tick", "core", "axon")

_LISTED = 5
"""Complaints show at most this many rows."""

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
)


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
    try:
        values = np.asarray(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name} is not an array of numbers: {error}") from error
    if values.ndim != 1:
        raise InputError(f"{name} has shape {values.shape}; one value per spike, shape (n,), was expected")
    if not values.size:
        return np.zeros(0, np.int64)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name} holds values of type {values.dtype}; whole numbers were expected")
    limit = MAX_VALUE
    if values.dtype.kind == "f":
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


# Files


def read(path: StrPath) -> Spikes:
    """Read spikes from a ``.npz`` or ``.csv`` file; its contents decide which of the two it is.

    Raises InputError that says what is wrong, for CSV text with ``file:line:column``.
    """
    name = os.fspath(path)
    with open_input(path) as file:
        try:
            start = file.read(4096)
            file.seek(0)
            if start.startswith(_ZIP_SIGNATURES):
                return _read_npz(file, name)
            if is_text(start):
                return _read_csv(file, name)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}; check the disk") from error
    raise InputError(f"{name} looks like {looks_like(start)}; spikes in .npz or .csv were expected")


def write(path: StrPath, spikes: Spikes) -> None:
    """Write spikes atomically, as ``.npz`` or ``.csv`` by the ending of ``path``; equal spikes give equal bytes.

    Raises UsageError for another ending, OutputError if the file cannot be written.
    """
    writers: dict[str, Callable[[IO[bytes], Spikes], None]] = {".npz": _write_npz, ".csv": _write_csv}
    ending = os.path.splitext(path)[1].lower()
    if ending not in writers:
        raise UsageError(f"{path!s} has the ending {ending!r}; spikes are written as .npz or .csv")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        writers[ending](file, spikes)


# NumPy archives


def _read_npz(file: IO[bytes], path: str) -> Spikes:
    try:
        with zipfile.ZipFile(file) as archive:
            tick, *places = (_read_npy(archive, name) for name in _npz_columns(archive.namelist()))
        return Spikes(cast(Array, tick), tuple(cast(list[Array], places)))
    except InputError as error:
        raise InputError(f"{path}: {problem}" for problem in error.problems) from error
    except _BROKEN_ZIP as error:
        raise InputError(f"{path} is not a sound .npz file: {error}; copy or make it again") from error


def _npz_columns(members: list[str]) -> tuple[str, ...]:
    """Choose the columns to read of the arrays that an archive has."""
    found = {name.removesuffix(".npy") for name in members if name.endswith(".npy")}
    chosen = [names for names in (NETWORK_COLUMNS, CHIP_COLUMNS) if found.issuperset(names)]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(sorted(found)) or "none"
    if chosen:
        raise InputError(f"its arrays ({listed}) name both lines and axons; keep tick,line or tick,core,axon")
    raise InputError(f"its arrays are {listed}; tick,line or tick,core,axon were expected")


def _read_npy(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read one array [n] of an archive; its header is checked before its values are read."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name} is packed by method {entry.compress_type}; use numpy.savez or savez_compressed")
    with archive.open(entry) as stream:
        n, dtype = _npy_header(stream, name)
        data = stream.read(n * dtype.itemsize)
        if len(data) != n * dtype.itemsize or stream.read(1):
            raise InputError(f"{name} does not hold the {n} values that it announces; make the file again")
    return np.frombuffer(data, dtype)


def _npy_header(stream: IO[bytes], name: str) -> tuple[int, np.dtype[Any]]:
    """Read number and type of an array's values. Raises InputError if they are not those of spikes.

    Headers of version 1.0 have at most 64 KiB; NumPy writes others only for structured types.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version[0]}.{version[1]} instead of 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # evaluating a hostile header may raise anything
        raise InputError(f"{name} has an unusable .npy header: {error}; make the file again") from error
    if dtype.hasobject:
        raise InputError(f"{name} holds pickled objects, which are never loaded; store whole numbers")
    if dtype.kind not in "iuf":
        raise InputError(f"{name} holds values of type {dtype}; whole numbers were expected")
    if len(shape) != 1 or shape[0] < 0:
        raise InputError(f"{name} has shape {shape}; one value per spike, shape (n,), was expected")
    if shape[0] > MAX_SPIKES:
        raise InputError(f"{name} announces {shape[0]} spikes; at most {MAX_SPIKES} are read: split the file")
    return shape[0], dtype


def _write_npz(file: IO[bytes], spikes: Spikes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, values in spikes.columns.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same on every system
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=values.nbytes >= 2**30) as stream:
                np.lib.format.write_array(stream, values.astype("<i8", copy=False), (1, 0))


# CSV text


_WHOLE = rb" *+[0-9]{1,18}+"
_DECIMAL = rb" *+[0-9]{1,18}+(?:\.[0-9]*+)?+(?:[eE][+-]?+[0-9]{1,3}+)?+"


def _read_csv(file: IO[bytes], path: str) -> Spikes:
    size = os.fstat(file.fileno()).st_size
    if size > MAX_CSV_BYTES:
        raise InputError(f"{path} has {size} bytes; at most {MAX_CSV_BYTES} of CSV are read: store it as .npz")
    data = file.read().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    names, start, line = _csv_header(data, path)
    columns = parse_clean(data[start:], len(names))
    if columns is None:
        columns = _parse_lines(data[start:].decode("utf-8", "replace"), names, path, line)
    return Spikes(columns[0], tuple(columns[1:]))


def _csv_header(data: bytes, path: str) -> tuple[tuple[str, ...], int, int]:
    """Return the columns, where in ``data`` the rows begin, and the number of the line before them."""
    start, expected = 0, "the header tick,line or tick,core,axon was expected"
    for number, raw in enumerate(io.BytesIO(data), 1):
        start += len(raw)
        text = raw.decode("utf-8", "replace").partition("#")[0].strip()
        if text:
            names = tuple(part.strip() for part in text.split(","))
            if names in (NETWORK_COLUMNS, CHIP_COLUMNS):
                return names, start, number
            raise InputError(f"{path}:{number}:1: found {_quoted(text)}; {expected}")
    raise InputError(f"{path}:1:1: the file has no rows; {expected}")


def parse_clean(body: bytes, width: int) -> list[Array] | None:
    """Return the columns of rows in plain spelling, comments aside; None if anything else is there.

    Ten million rows take seconds this way; :func:`_parse_lines` takes minutes but knows where it is.
    """
    if b"#" in body:
        body = re.sub(rb" *#[^\n]*", b"", body)
    if b"\n\n" in body:
        body = re.sub(rb"\n{2,}", b"\n", body)
    body = body.strip(b"\n") + b"\n"
    for field_pattern, dtype, limit in ((_WHOLE, np.int64, MAX_VALUE), (_DECIMAL, np.float64, MAX_FLOAT)):
        row = b",".join([field_pattern] * width) + b"\n"
        if not re.fullmatch(b"(?:" + row + b")++", body):
            continue
        values = np.fromstring(body.replace(b"\n", b","), dtype, sep=",").reshape(-1, width)
        if values.max() <= limit and (dtype is np.int64 or (values == np.floor(values)).all()):
            return list(values.astype(np.int64).T)
    return None


def _parse_lines(body: str, names: Sequence[str], path: str, line: int) -> list[Array]:
    """Return the columns of rows in any spelling. Raises InputError that lists the first bad fields by place."""
    rows: list[list[int]] = []
    problems: list[str] = []
    for number, raw in enumerate(body.split("\n"), line + 1):
        text = raw.partition("#")[0]
        if not text.strip():
            continue
        fields = text.split(",")
        try:
            if len(fields) != len(names):
                found = f"{path}:{number}:1: found {len(fields)} values"
                raise InputError(f"{found}; {len(names)} were expected: {','.join(names)}")
            rows.append([parse_field(part) for part in fields])
        except InputError as error:
            problems += error.problems
        except ValueError:
            problems += _complain(fields, names, f"{path}:{number}")
        if len(problems) >= _LISTED:
            problems.append(f"{path}: the lines after {number} were not checked")
            break
    if problems:
        raise InputError(problems)
    values = np.array(rows, np.int64).reshape(-1, len(names))
    return [values[:, column] for column in range(len(names))]


def parse_field(text: str) -> int:
    """Read a whole number in range, also written as 5.0 or 5e0. Raises ValueError."""
    if "_" in text:
        raise ValueError
    try:
        value = int(text)
    except ValueError:
        number = float(text)
        if not (number.is_integer() and number <= MAX_FLOAT):
            raise
        value = int(number)
    if not 0 <= value <= MAX_VALUE:
        raise ValueError
    return value


def _complain(fields: Sequence[str], names: Sequence[str], place: str) -> list[str]:
    """Return one complaint for each field that is no whole number in range."""
    problems, column = [], 1
    for name, text in zip(names, fields, strict=True):
        try:
            parse_field(text)
        except ValueError:
            start = column + len(text) - len(text.lstrip())
            found = f"{place}:{start}: {name} is {_quoted(text.strip())}"
            problems.append(f"{found}; a whole number 0..{MAX_VALUE} was expected")
        column += len(text) + 1
    return problems


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _write_csv(file: IO[bytes], spikes: Spikes) -> None:
    columns = spikes.columns
    file.write(",".join(columns).encode() + b"\n")
    template = ",".join(["%d"] * len(columns)) + "\n"
    step = 2**16
    for start in range(0, len(spikes), step):
        rows = zip(*(values[start : start + step].tolist() for values in columns.values()), strict=True)
        file.write("".join(map(template.__mod__, rows)).encode())

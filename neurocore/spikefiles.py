"""The ``.npz`` and ``.csv`` files that hold spikes."""

from __future__ import annotations

import codecs
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from neurocore.container import StrPath, atomic_path, is_text, looks_like, open_input
from neurocore.errors import InputError, UsageError
from neurocore.spikes import CHIP_COLUMNS, MAX_FLOAT, MAX_SPIKES, MAX_VALUE, NETWORK_COLUMNS, Array, Spikes

MAX_CSV_BYTES = 2**32
"""A ``.csv`` file larger than this is refused."""

_LISTED = 5
"""Complaints show at most this many lines."""

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


def read_file(path: StrPath) -> Spikes:
    """What :func:`neurocore.spikes.read` reads."""
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


def write_file(path: StrPath, spikes: Spikes) -> None:
    """Writes for :func:`neurocore.spikes.write`."""
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

"""Part files: what a run has recorded so far, in a form that survives the death of the process at any moment.

Layout, version 1, numbers little-endian::

    header     HEADER_BYTES of text: the magic line, length and CRC-32 of the head, padded with blanks
    head       JSON (what :func:`neurocore.runfile.describe` says; names, types and shapes of all arrays), then the arrays that
               never change, one after the other
    slot 0, 1  the state of the counters at a flush: a fixed number of bytes, written in turn, so that one is always whole,
               and only when the frames that it speaks of are on the disk
    frames     rows of the columns, appended; each with the number of its column, its length and CRC-32

A slot says up to which byte the frames belong to it. A reader takes the newest slot that is whole; what was appended after it
is left out. No byte of such a file ever reaches libhdf5. The checksums find damage, they do not prove origin.
"""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.container import sync_folder, why_not
from neurocore.errors import InputError, OutputError
from neurocore.result import RunResult
from neurocore.runfile import column_kinds, describe, fixed_arrays, tally_arrays

Array = npt.NDArray[Any]

HEADER_BYTES = 128
MAGIC = b"neurocore recording "

HEADER = re.compile(rb"neurocore recording 1\nhead: ([0-9]{1,12})\ncrc32: ([0-9a-f]{8})\n *\n")
SLOT = struct.Struct("<8sQQQQdI")
"""Magic, number of the flush, ticks, end of the frames, output merges, seconds, CRC-32 of slot and arrays."""
SLOT_MAGIC = b"NCflush\n"
_FRAME = struct.Struct("<4sIQI")
"""Magic, column, bytes, CRC-32 of column, length and rows."""
_FRAME_MAGIC = b"NCfr"
_sync = getattr(os, "fdatasync", os.fsync)
"""Brings what was written, and how long the file now is, to the disk; macOS has only the slower call."""
TYPES = {"<i4": np.int32, "<i8": np.int64}


def part_path(path: str) -> str:
    """Where a run that will be written to ``path`` is recorded until it ends."""
    return f"{path}.part"


class PartFile:
    """The part file of the run file ``run`` while it is written; locked against other writers.

    ``aside`` is the new name of an earlier one that was in the way, if there was one. The constructor and all methods raise
    OutputError that names ``run``.
    """

    def __init__(self, run: str, head: RunResult) -> None:
        self.run, self.path = run, part_path(run)
        self.kinds = column_kinds(head)
        self._columns = list(self.kinds)
        self._n_flushes, self._synced = 0, False
        text = _encode_head(head)
        self._slots = HEADER_BYTES + len(text)
        self._slot_bytes = _slot_bytes(tally_arrays(head))
        self._data = self._end = self._slots + 2 * self._slot_bytes
        with self._named():
            self.aside = set_aside(self.path)
            self._file = io.FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "r+")
            _lock(self._file)
            try:
                self._write(0, _encode_header(text) + text + bytes(2 * self._slot_bytes))
                sync_folder(os.path.dirname(self.path))
            except BaseException:
                self.remove()
                raise

    def append(self, name: str, rows: Array) -> None:
        """Append rows of a column."""
        kind, tail = self.kinds[name]
        assert (rows.dtype.type, rows.shape[1:]) == (kind, tail), name
        if not rows.size:
            return
        number, data = self._columns.index(name), np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        crc = zlib.crc32(data, zlib.crc32(struct.pack("<IQ", number, len(data))))
        with self._named():
            self._write(self._end, _FRAME.pack(_FRAME_MAGIC, number, len(data), crc))
            self._write(self._end + _FRAME.size, data)
        self._end += _FRAME.size + len(data)
        self._synced = False

    def sync(self) -> None:
        """Bring what was appended to the disk."""
        if not self._synced:
            with self._named():
                _sync(self._file.fileno())
            self._synced = True

    def flush(self, head: RunResult) -> None:
        """Make all that was appended part of the recording, together with the counters of ``head``, and bring it to the disk."""
        self._n_flushes += 1
        values = (SLOT_MAGIC, self._n_flushes, head.ticks, self._end, head.output_merges, head.seconds)
        body = b"".join(_raw(array) for array in tally_arrays(head).values())
        crc = zlib.crc32(body, zlib.crc32(SLOT.pack(*values, 0)))
        place = self._slots + self._n_flushes % 2 * self._slot_bytes
        self.sync()  # before: no slot that a crash leaves behind may speak of rows that are not there
        with self._named():
            self._write(place, SLOT.pack(*values, crc) + body)
            _sync(self._file.fileno())

    def rows(self, name: str) -> Iterator[Array]:
        """The rows of a column, as they were appended."""
        kind, tail = self.kinds[name]
        return blocks(self.path, self._file, self._data, self._end, self._columns.index(name), kind, tail)

    def close(self) -> None:
        """Let go of the file; it stays for :class:`neurocore.partread.OpenPart`."""
        self._file.close()

    def remove(self) -> None:
        """Close and remove the file."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        self._file.close()

    def _write(self, place: int, data: bytes | memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._file.fileno(), data[done:], place + done)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Within this context an OSError becomes an OutputError that names the file that the user asked for."""
        try:
            yield
        except OSError as error:
            raise OutputError(why_not(self.run, os.path.abspath(self.path), error)) from error


def set_aside(path: str) -> str | None:
    """Rename an earlier part file to the first of ``path.1``, ``path.2``, … that is free, so that nothing recorded is lost.

    Returns the new name, None if there was no such file. Raises OutputError if another process is still writing it.
    """
    if not os.path.lexists(path):
        return None
    with open(path, "rb") as file:
        _lock(file)
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise _in_use(path)  # another run was quicker, and this is its own file now
        aside = next(name for number in itertools.count(1) if not os.path.lexists(name := f"{path}.{number}"))
        os.rename(path, aside)
    return aside


def _in_use(path: str) -> OutputError:
    return OutputError(f"{path} is being written by another run; give this one another output")


def _lock(file: io.FileIO | io.BufferedReader) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _in_use(str(file.name)) from error
    except OSError:
        return  # a file system without locks


def _encode_header(text: bytes) -> bytes:
    header = f"neurocore recording 1\nhead: {len(text)}\ncrc32: {zlib.crc32(text):08x}\n"
    return header.ljust(HEADER_BYTES - 1).encode() + b"\n"


def _encode_head(head: RunResult) -> bytes:
    fixed = fixed_arrays(head)
    text = {
        "description": json.loads(describe(head)),
        "threads": head.threads,
        "widths": {name: probe.membranes.shape[1] for name, probe in head.probes.items()},
        "fixed": [_layout(name, array) for name, array in fixed.items()],
        "tally": [_layout(name, array) for name, array in tally_arrays(head).items()],
    }
    return json.dumps(text).encode() + b"\n" + b"".join(_raw(array) for array in fixed.values())


def _layout(name: str, array: Array) -> list[Any]:
    return [name, array.dtype.newbyteorder("<").str, list(array.shape)]


def _raw(array: Array) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _slot_bytes(arrays: Mapping[str, Array]) -> int:
    return SLOT.size + sum(array.nbytes for array in arrays.values())


def frames(file: io.FileIO | io.BufferedReader, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Column, place of the rows, their bytes and checksum, of the frames in a stretch of the file."""
    place = start
    while place < end:
        header = os.pread(file.fileno(), _FRAME.size, place)
        if len(header) < _FRAME.size:
            raise InputError(f"it is truncated at byte {place}")
        magic, column, length, crc = _FRAME.unpack(header)
        place += _FRAME.size
        if magic != _FRAME_MAGIC or place + length > end:
            raise InputError(f"it is damaged at byte {place - _FRAME.size}: no frame begins there")
        yield column, place, length, crc
        place += length
    if place != end:
        raise InputError(f"it is damaged: its frames end at byte {place} instead of {end}")


def blocks(
    path: str,
    file: io.FileIO | io.BufferedReader,
    start: int,
    end: int,
    number: int,
    kind: type,
    tail: tuple[int, ...],
) -> Iterator[Array]:
    """The rows of a column, frame by frame. Raises InputError for one that does not match its checksum."""
    for column, place, length, expected in frames(file, start, end):
        if column != number:
            continue
        data = _pread(file, place, length)
        crc = zlib.crc32(data, zlib.crc32(struct.pack("<IQ", number, length)))
        if len(data) != length or crc != expected:
            raise InputError(f"{path}: it is damaged: the rows at byte {place} do not match their checksum")
        yield np.frombuffer(data, np.dtype(kind).newbyteorder("<")).astype(kind, copy=False).reshape(-1, *tail)


def _pread(file: io.FileIO | io.BufferedReader, place: int, length: int) -> bytes:
    parts, left = [], length
    while left > 0 and (part := os.pread(file.fileno(), min(left, 2**30), place + length - left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

"""Reading part files (:mod:`neurocore.partfile`): every size, type and checksum is checked before it is believed."""

from __future__ import annotations

import io
import json
import os
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.chipfile import checked
from neurocore.container import looks_like, open_input
from neurocore.errors import InputError
from neurocore.partfile import HEADER, HEADER_BYTES, MAGIC, SLOT, SLOT_MAGIC, TYPES, blocks, frames
from neurocore.recording import Column, Recording, check_lengths
from neurocore.result import RunResult
from neurocore.runfile import column_kinds, read_head

Array = npt.NDArray[Any]


class OpenPart:
    """A part file open for reading: :attr:`recording` is that of its newest flush that is whole.

    Raises InputError for a file that is foreign, damaged, or holds no flush. ``n_lost`` is the number of flushes that came
    later but are not whole.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_input(path)
        try:
            self.recording: Recording = checked(path, self._read)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> OpenPart:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self) -> Recording:
        text = _read_head_text(self._file)
        line, _, rest = text.partition(b"\n")
        head = json.loads(line)
        fixed, used = _arrays(head["fixed"], rest)
        if used != len(rest):
            raise InputError("its head does not hold what it announces")
        slots = HEADER_BYTES + len(text)
        size, body = self._newest(slots, _layout_bytes(head["tally"]))
        _, _, ticks, end, merges, seconds, _ = SLOT.unpack_from(body)
        tally, _ = _arrays(head["tally"], body[SLOT.size :])
        description = {**head["description"], "ticks": ticks, "output_merges": merges}
        timing = {"seconds": seconds, "threads": head["threads"]}
        arrays = {**fixed, **tally}

        def fetch(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...] | None) -> Array:
            array = arrays[name]
            if array.dtype != np.dtype(dtype) or (shape is not None and array.shape != shape):
                raise InputError(f"array {name!r} is {array.dtype} {array.shape}; {np.dtype(dtype)} was expected")
            return array

        run = read_head(description, timing, head["widths"], fetch)
        return self._recording(run, slots + 2 * size, end)

    def _newest(self, start: int, n_bytes: int) -> tuple[int, bytes]:
        """Size of a slot, and the contents of the newest whole one."""
        size = SLOT.size + n_bytes
        length = os.fstat(self._file.fileno()).st_size
        if start + 2 * size > length:
            raise InputError(f"it is truncated: {length} bytes, its frames begin at byte {start + 2 * size}")
        found = []
        for place in (start, start + size):
            self._file.seek(place)
            body = self._file.read(size)
            magic, number, ticks, end, merges, seconds, crc = SLOT.unpack_from(body)
            blank = SLOT.pack(magic, number, ticks, end, merges, seconds, 0)
            if magic == SLOT_MAGIC and zlib.crc32(body[SLOT.size :], zlib.crc32(blank)) == crc and end <= length:
                found.append((number, body))
        if not found:
            raise InputError("it holds no flush that is whole, so there is nothing to recover")
        return size, max(found)[1]

    def _recording(self, head: RunResult, start: int, end: int) -> Recording:
        kinds = column_kinds(head)
        n_bytes = [0] * len(kinds)
        for column, _, length, _ in frames(self._file, start, end):
            if column >= len(kinds):
                raise InputError("it is damaged: a frame belongs to no column")
            n_bytes[column] += length
        columns = {}
        for number, (name, (kind, tail)) in enumerate(kinds.items()):
            row = np.dtype(kind).itemsize * int(np.prod(tail))
            rows, rest = divmod(n_bytes[number], row) if row else (0, 0)
            if rest:
                raise InputError(f"it is damaged: column {name!r} ends within a row")
            # As a default argument each lambda keeps its own column.
            columns[name] = Column(
                np.dtype(kind),
                tail,
                rows,
                lambda n=number, k=kind, t=tail: blocks(self._path, self._file, start, end, n, k, t),  # type: ignore[misc]
            )
        check_lengths(head, columns)
        return Recording(head, columns)


def _read_head_text(file: io.BufferedReader) -> bytes:
    header = file.read(HEADER_BYTES)
    if not header.startswith(MAGIC):
        what = looks_like(header + file.read(4096)) if header else "an empty file"
        raise InputError(f"it is not the part file of a run: it looks like {what}; give the RUN.h5.part of a run")
    match = HEADER.fullmatch(header)
    if not match:
        raise InputError("its header is damaged, or of a version that this neurocore does not read")
    length = int(match[1])
    left = os.fstat(file.fileno()).st_size - HEADER_BYTES
    if length > left:
        raise InputError(f"it is truncated: its head has {length} bytes, {left} of them are there")
    text = file.read(length)
    if zlib.crc32(text) != int(match[2], 16):
        raise InputError("it is damaged: its head does not match its checksum")
    return text


def _layout_bytes(layout: list[list[Any]]) -> int:
    return sum(_count(shape) * np.dtype(TYPES[kind]).itemsize for _, kind, shape in layout)


def _count(shape: list[int]) -> int:
    count = 1
    for size in shape:
        if not isinstance(size, int) or size < 0:
            raise InputError(f"{shape} is not the shape of an array")
        count *= size
    return count


def _arrays(layout: list[list[Any]], data: bytes) -> tuple[dict[str, Array], int]:
    """Arrays that stand one after the other, and the number of bytes that they take."""
    arrays, place = {}, 0
    for name, kind, shape in layout:
        count = _count(shape)
        size = count * np.dtype(TYPES[kind]).itemsize
        if place + size > len(data):
            raise InputError(f"it is truncated: array {name!r} is not all there")
        values = np.frombuffer(data, kind, count, place).astype(TYPES[kind])
        arrays[name] = values.reshape(shape)
        place += size
    return arrays, place

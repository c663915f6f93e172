"""Large JSON files read one array element at a time, in bounded memory, with the place of every fault.

The text may be gzip-compressed. A file is never held whole: only the value at hand is, and no value may exceed MAX_VALUE
bytes, no file MAX_FILE bytes once uncompressed. What JSON forbids is refused (comments, NaN, repeated keys), and so is
nesting beyond MAX_DEPTH, however the text may be cut.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn, cast

import numpy as np

from neurocore.container import StrPath, open_input
from neurocore.errors import InputError

MAX_VALUE = 2**28
"""An array element, or the value of a key that is not an array, longer than this many bytes is refused."""

MAX_FILE = 2**34
"""A file with more bytes than this (uncompressed) is refused."""

MAX_DEPTH = 32
"""Values nested deeper than this are refused."""

MAX_BLANK = 2**26
"""More white space than this in a row is refused: it takes a packed file next to nothing, and its reader long."""

MAX_KEYS = 10_000
"""A top-level object with more keys than this is refused; no format has as many."""

_CHUNK = 2**18
_QUICK = 2**12
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb"[^ \t\r\n,\[\]{}:\"]*+")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_EMPTY = re.compile(rb"(?:\[[ \t\r\n]*+\][ \t\r\n]*+,[ \t\r\n]*+)++")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)

_KIND = bytes({ord("["): 1, ord("{"): 1, ord("]"): 255, ord("}"): 255, ord('"'): 2}.get(byte, 0) for byte in range(256))
"""By byte: 1 opens, 255 (as a signed byte -1) closes, 2 is a quote."""


class RepeatedKeyError(ValueError):
    """A key that stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise RepeatedKeyError(f"the key {twice[:40]!r} is given twice")
    return result


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def plain_reason(error: Exception) -> str:
    """What a decoder complains of, without the interpreter's advice on numbers of thousands of digits."""
    text = str(error)
    return "a number has thousands of digits" if "integer string conversion" in text else text


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


class JsonStream:
    """The members of a file's top-level object, in the order of the file.

    Usage: ``for key in stream.members():`` and in the body exactly one of :meth:`value`, :meth:`items` or
    :meth:`raw_items`, run to its end. Every method raises InputError with ``name: where: what``.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._file = file
        self._buffer = b""
        self._at = 0
        self._line = 1
        self._read = 0
        self._ended = False

    # The text

    def _fill(self) -> bool:
        """Bring in more text; False at the end of the file."""
        if self._ended:
            return False
        kept = len(self._buffer) - self._at
        try:
            more = self._file.read(max(_CHUNK, kept))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.name} is not a sound gzip file: {error}; copy or make it again") from error
        self._read += len(more)
        if self._read > MAX_FILE:
            raise InputError(f"{self.name} holds more than {MAX_FILE:,} bytes uncompressed; split the network")
        self._line += self._buffer.count(b"\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        self._ended = not more
        return bool(more)

    def line(self, offset: int = 0) -> int:
        """1-based number of the line that is ``offset`` bytes ahead."""
        return self._line + self._buffer.count(b"\n", 0, self._at + offset)

    def fail(self, reason: str, offset: int = 0) -> NoReturn:
        """Raise InputError for what stands ``offset`` bytes ahead."""
        raise InputError(f"{self.name}:{self.line(offset)}: {reason}")

    def _peek(self) -> int:
        """The next byte that is not white space, where the stream then stands; -1 at the end of the file."""
        blank = 0
        while True:
            match = _SPACE.match(self._buffer, self._at)
            end = match.end() if match else self._at
            blank += end - self._at
            if blank > MAX_BLANK:
                self.fail(f"there are more than {MAX_BLANK:,} bytes of white space in a row; no such file has")
            self._at = end
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return -1

    def _take(self, wanted: bytes, where: str) -> int:
        """Consume one of the wanted bytes and return it."""
        found = self._peek()
        if found < 0:
            self.fail(f"the file ends in {where}; it is truncated: copy or make it again")
        if found not in wanted:
            expected = " or ".join(chr(byte) for byte in wanted)
            self.fail(f"not valid JSON: {expected} was expected in {where}, {chr(found)!r} was found")
        self._at += 1
        return found

    # The structure

    def members(self) -> Iterator[str]:
        """Keys of the top-level object; the caller consumes the value of each."""
        if self._peek() == 0xEF:
            self._at += 3  # a byte-order mark
        if self._peek() != ord("{"):
            self.fail("the top level is not a JSON object in braces")
        self._at += 1
        seen: set[str] = set()
        if self._peek() == ord("}"):
            self._at += 1
        else:
            while True:
                if self._peek() != ord('"'):
                    self.fail("not valid JSON: a key in quotes was expected")
                key = self.decode(self.raw(), "a key")
                self._take(b":", f"the value of {key[:40]!r}")
                if key in seen:
                    self.fail(f"the key {key[:40]!r} is given twice")
                seen.add(key)
                if len(seen) > MAX_KEYS:
                    self.fail(f"the top-level object has more than {MAX_KEYS:,} keys; no such file has")
                yield key
                if self._take(b",}", "the top-level object") == ord("}"):
                    break
        if self._peek() >= 0:
            self.fail("not valid JSON: there is more after the end of the top-level object")

    def value(self, path: str) -> Any:
        """The next value, parsed."""
        self._peek()
        raw = self.raw()
        return self.decode(raw, path)

    def items(self, path: str) -> Iterator[Any]:
        """Elements of the next value, an array, parsed one at a time."""
        for _, item in self.filled_items(path, sparse=False):
            yield item

    def filled_items(self, path: str, *, sparse: bool = True) -> Iterator[tuple[int, Any]]:
        """Elements of the next value, an array, with their numbers; if ``sparse``, empty arrays may be left out."""
        for number, raw in self._elements(path, sparse=sparse):
            yield number, raw if not isinstance(raw, bytes) else self.decode(raw, f"{path}[{number}]")

    def raw_items(self, path: str) -> Iterator[bytes]:
        """Elements of the next value, an array, as text."""
        return (cast("bytes", raw) for _, raw in self._elements(path, quick=False))

    def _elements(self, path: str, *, quick: bool = True, sparse: bool = False) -> Iterator[tuple[int, Any]]:
        number = 0
        if self._peek() != ord("["):
            self.fail(f"{path} is not an array in brackets")
        self._at += 1
        if self._peek() == ord("]"):
            self._at += 1
            return
        while True:
            self._peek()
            if sparse and (match := _EMPTY.match(self._buffer, self._at)):
                number += self._buffer.count(b"[", self._at, match.end())
                self._at = match.end()
                continue
            value, size = self._small() if quick else (None, 0)
            if size:
                self._at += size
                yield number, value
            else:
                yield number, self.raw()
            number += 1
            if self._take(b",]", path) == ord("]"):
                return

    def _small(self) -> tuple[Any, int]:
        """A small array or object that stands next, with its length; length 0 if it is not one or is faulty."""
        if self._buffer[self._at : self._at + 1] not in (b"[", b"{"):
            return None, 0
        try:
            text = self._buffer[self._at : self._at + _QUICK].decode("ascii")
            return _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            return None, 0

    def raw(self) -> bytes:
        """The text of the next value, at which the stream stands; its brackets match, no more is known of it."""
        first = self._peek()
        if first < 0:
            self.fail("the file ends where a value was expected; it is truncated: copy or make it again")
        size = self._container_size() if first in b"[{" else self._plain_size(first)
        result = self._buffer[self._at : self._at + size]
        self._at += size
        return result

    def _plain_size(self, first: int) -> int:
        """Length of a string or of a number or word."""
        pattern = _STRING if first == ord('"') else _SCALAR
        while True:
            match = pattern.match(self._buffer, self._at)
            if match and (first == ord('"') or match.end() < len(self._buffer) or self._ended):
                if match.end() == self._at:
                    self.fail(f"not valid JSON: a value was expected, {chr(first)!r} was found")
                return match.end() - self._at
            self._check_size(len(self._buffer) - self._at)
            if not self._fill() and first == ord('"'):
                self.fail("the file ends within a string; it is truncated: copy or make it again")

    def _container_size(self) -> int:
        """Length of an array or object: up to the bracket that closes it, brackets in strings aside."""
        depth, quoted, done, window = 0, False, 0, 512
        while True:
            text = self._window(done, window)
            step = text if b"\\" not in text else _ESCAPE.sub(b"  ", text)
            kinds = np.frombuffer(step.translate(_KIND), np.int8)
            places = np.flatnonzero(kinds != 0)
            quotes = kinds[places] == 2
            inside = (np.cumsum(quotes) + quoted) % 2 == 1
            depths = depth + np.cumsum(np.where(inside | quotes, 0, kinds[places]), dtype=np.int64)
            closed = np.flatnonzero(depths == 0)
            stop = int(closed[0]) + 1 if len(closed) else len(depths)
            if depths[:stop].max(initial=0) > MAX_DEPTH:
                self.fail(f"arrays and objects are nested more than {MAX_DEPTH} deep", done)
            if len(closed):
                return done + int(places[closed[0]]) + 1
            if len(places):
                depth, quoted = int(depths[-1]), bool(inside[-1])
            done += len(text)
            self._check_size(done)
            window = min(4 * window, _CHUNK)

    def _window(self, done: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``done`` bytes ahead on; an escaped character is never cut in two."""
        while True:
            start = self._at + done
            text = self._buffer[start : start + size]
            if text and (len(text) - len(text.rstrip(b"\\"))) % 2:
                text = self._buffer[start : start + len(text) + 1]
                if start + len(text) == len(self._buffer) and text.endswith(b"\\") and self._fill():
                    continue
            if text:
                return text
            self._check_size(done)
            if not self._fill():
                self.fail("the file ends within an array or object; it is truncated: copy or make it again", done)

    def _check_size(self, size: int) -> None:
        if size > MAX_VALUE:
            self.fail(f"a single value has more than {MAX_VALUE:,} bytes; split the network")

    def decode(self, raw: bytes, path: str) -> Any:
        """A value's text, parsed. The stream stands behind it."""
        path = path if len(path) <= 80 else f"{path[:80]}..."
        try:
            return _DECODER.decode(raw.decode("utf-8"))
        except json.JSONDecodeError as error:
            back = raw.count(b"\n", error.pos)
            raise InputError(f"{self.name}:{self.line() - back}: {path} is not valid JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            what = "a byte is not UTF-8" if isinstance(error, UnicodeDecodeError) else plain_reason(error)
            raise InputError(f"{self.name}:{self.line()}: {path} is not valid JSON: {what}") from error


@contextmanager
def open_json(path: StrPath) -> Iterator[JsonStream]:
    """Open a JSON file, plain or gzip-compressed. Raises InputError if it cannot be read."""
    with open_input(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield JsonStream(file, str(path))
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield JsonStream(cast("IO[bytes]", unpacked), str(path))

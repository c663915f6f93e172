"""A streaming JSON reader for model files of IBM's Corelet Programming Environment.

Such a file is one JSON object whose sections stand in a fixed order and whose key ``core`` repeats; it may hold ``/* */`` and
``//`` comments. :class:`JsonStream` walks the outermost object, and arrays directly within it, one value at a time, so that
memory does not grow with the file: at most ``CHUNK`` characters wait to be read, and no single value is longer than
``MAX_VALUE`` characters (a core with its crossbar takes 40 to 120 thousand).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from neurocore.errors import InputError
from neurocore.formats.jsonstream import plain_reason

CHUNK = 2**19
"""Characters that are read from the file at a time."""

MAX_VALUE = 2**21
"""Characters of the longest value, string or comment that is accepted."""

_NEAR_END = 64
"""A fault closer than this to the end of what was read may be due to the cut, and is looked at again with more text."""

_OPEN_COMMENT = "this comment is not closed; it needs */"
_PLAIN = re.compile(r'(?:[^"/]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*+")
_COMMENTS = re.compile(r"(?:[ \t\n\r]*+(?://[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/))++")
_VISIBLE = re.compile(r"[^\n]")


class JsonStream:
    """The values of a JSON object, one after another.

    Use :meth:`members` for the keys of the outermost object; after each, call either :meth:`value` or :meth:`items` once.
    All methods raise InputError that starts with a place for text that is not JSON, for a file that is cut short, for nesting
    deeper than Python's recursion limit, for keys that repeat within a value, and for values that are too long.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._source = _Uncommented(file)
        self._text, self._at, self._start = "", 0, 0  # what was read; where reading stands; where the last value begins
        self._line, self._column = 1, 1  # of the first character that is held
        self._decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number).raw_decode

    @property
    def place(self) -> str:
        """``file:line:column`` of the value that was read last."""
        return self._place(self._start)

    def members(self) -> Iterator[str]:
        """Yield the keys of the outermost object, repeated ones as often as they occur."""
        self._expect("{", "a JSON object {...} was expected")
        more = self._next() != "}"
        while more:
            key = self.value()
            if not isinstance(key, str):
                raise InputError(f'{self.place}: found {key!r:.40}; a key in "quotes" was expected')
            self._expect(":", f'":" was expected after the key {key!r:.40}')
            yield key
            more = self._next() == ","
            self._at += more
        self._expect("}", '"," or the closing "}" was expected')
        if self._next():
            raise self._error('there is more text after the closing "}"; one model per file was expected')

    def items(self) -> Iterator[Any]:
        """Yield the items of an array, each decoded; or, if no array comes next, the one value there is."""
        if self._next() != "[":
            yield self.value()
            return
        self._at += 1
        more = self._next() != "]"
        while more:
            yield self.value()
            more = self._next() == ","
            self._at += more
        self._expect("]", '"," or the closing "]" was expected')

    def value(self) -> Any:
        """Decode the next value whole."""
        self._next()
        while True:
            self._start = self._at
            try:
                value, end = self._decode(self._text, self._at)
                if end < len(self._text) or self._source.ended:
                    break
            except json.JSONDecodeError as error:
                if self._source.ended or error.pos < len(self._text) - _NEAR_END:
                    raise self._syntax(error) from None
            except RecursionError:
                raise InputError(f"{self.place}: values are nested too deeply; a model has 6 levels") from None
            except ValueError as error:
                raise InputError(f"{self.place}: {plain_reason(error)}") from None
            self._grow()
        self._at = end
        return value

    def _next(self) -> str:
        """The next character that is no blank, which stays unread; empty at the end of the file."""
        while True:
            if self._at < len(self._text) and self._text[self._at] > " ":
                return self._text[self._at]
            match = _BLANK.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._source.ended:
                return ""
            self._fill()

    def _expect(self, character: str, reason: str) -> None:
        found = self._next()
        if self._text.startswith("/*", self._at):
            raise self._error(_OPEN_COMMENT)
        if found != character:
            raise self._error(f"found {found!r}; {reason}" if found else f"the file ends here; {reason}")
        self._at += 1

    def _fill(self) -> None:
        """Drop what was used and read one more piece."""
        self._line, self._column = self._line_column(self._at)
        try:
            more = self._source.read()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name} is not UTF-8 text: {error.reason}; a model file was expected") from None
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}; check the disk") from None
        except _TooLongError as error:
            raise InputError(f"{self.name}: after line {self._line}, {error}") from None
        self._text, self._at = self._text[self._at :] + more, 0

    def _grow(self) -> None:
        """Read on until twice as much of a value is there."""
        held = len(self._text) - self._at
        if held > MAX_VALUE:
            raise InputError(
                f"{self.place}: this value takes more than {MAX_VALUE:,} characters; no part of a model does"
            )
        while len(self._text) - self._at < 2 * held and not self._source.ended:
            self._fill()

    def _line_column(self, at: int) -> tuple[int, int]:
        lines = self._text.count("\n", 0, at)
        return self._line + lines, at - self._text.rfind("\n", 0, at) if lines else self._column + at

    def _place(self, at: int) -> str:
        line, column = self._line_column(at)
        return f"{self.name}:{line}:{column}"

    def _error(self, reason: str) -> InputError:
        return InputError(f"{self._place(self._at)}: {reason}")

    def _syntax(self, error: json.JSONDecodeError) -> InputError:
        rest = self._text[error.pos : error.pos + 2]
        if not self._text[error.pos :].strip() or error.msg.startswith("Unterminated"):
            reason = (
                f"the file ends in the middle of the value that starts at {self.place}: it is cut short, copy it again"
            )
        elif rest == "/*":
            reason = _OPEN_COMMENT
        else:
            reason = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        return InputError(f"{self._place(error.pos)}: {reason}")


class _TooLongError(Exception):
    """A string or comment longer than MAX_VALUE."""


class _Uncommented:
    """The text of a file, piece by piece, comments replaced by blanks so that lines and columns stay as they are."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8-sig")
        self._rest = ""
        self.ended = False

    def read(self) -> str:
        """Return the next piece, which never ends within a string or a comment; sets ``ended`` at the end of the file."""
        chunk = self._file.read(CHUNK)
        self.ended = not chunk
        raw, parts, at = self._rest + chunk, [], 0
        while at < len(raw):
            match = _PLAIN.match(raw, at)
            stop = match.end() if match else at
            parts.append(raw[at:stop])
            at, replaced = self._special(raw, stop)
            parts.append(replaced)
            if not replaced:
                break
        self._rest = raw[at:]
        if len(self._rest) > MAX_VALUE:
            raise _TooLongError(f"a string or comment takes more than {MAX_VALUE:,} characters or is not closed")
        return "".join(parts)

    def _special(self, raw: str, at: int) -> tuple[int, str]:
        """Where to go on after the quote or slash at ``at``, and what replaces it: nothing if more text is needed."""
        start = raw[at : at + 2]
        if start in ("/*", "//"):
            end = raw.find("*/", at + 2) + 2 if start == "/*" else raw.find("\n", at) + 1
            if end > at + 1:
                if run := _COMMENTS.match(raw, at):
                    end = run.end()
                return end, _VISIBLE.sub(" ", raw[at:end])
            if self.ended and start == "//":
                return len(raw), " "
        elif start[:1] == "/" and len(start) == 2:
            return at + 1, "/"
        return (len(raw), raw[at:]) if self.ended else (at, "")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object. Raises ValueError for keys that repeat."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r:.40} stands twice in one object")
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")

"""YAML with positions: what was read, and where in the file each part of it stands.

Chip definitions and networks are checked with pydantic after they were read; this module lets every complaint point at
``file:line:column`` and lists all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from neurocore.errors import InputError

MAX_NODES = 2_000_000
"""A file with more nodes than this, aliases expanded, is refused (a few short lines can otherwise stand for billions)."""

Location = tuple[str | int, ...]

_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-3`` as a number, as YAML 1.2 does."""


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Decimal digits as they stand: YAML 1.1 would read 010 as eight."""
    return int(node.value)


# YAML 1.1 also reads 1:30 as ninety and 1_000 as a thousand; whole numbers here are plain digits.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:int"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the place of every mapping entry and list item.

    ``positions`` maps a path such as ``("core", "axons")`` to its 1-based (line, column).
    """

    path: str
    data: Any
    positions: Mapping[Location, tuple[int, int]]

    def place(self, location: Location) -> tuple[int, int]:
        """Line and column of the innermost part of ``location`` that the file has."""
        while location and location not in self.positions:
            location = location[:-1]
        return self.positions.get(location, (1, 1))

    def where(self, location: Location) -> str:
        """``file:line:column`` of the innermost part of ``location`` that the file has."""
        line, column = self.place(location)
        return f"{self.path}:{line}:{column}"

    def complain(self, location: Location, reason: str) -> str:
        """One line ``file:line:column: field: reason``."""
        return f"{self.where(location)}: {field_name(location)}: {reason}"


def field_name(location: Location) -> str:
    """A part of a file as messages name it."""
    return ".".join(str(part) for part in location) or "the file"


def read_yaml(path: str | Path, text: str | None = None) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises InputError with ``file:line:column`` for unreadable files, broken YAML, repeated keys and oversized documents.
    """
    name = str(path)
    source = _read_text(name) if text is None else text
    try:
        node = yaml.compose(source, Loader=_Loader)
        if node is None:
            raise InputError(f"{name}:1:1: the file is empty; a mapping of keys and values was expected")
        builder = _Builder(name)
        data = builder.build(node, ())
        if builder.repeated:
            raise InputError(builder.repeated)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise InputError(f"{place}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise InputError(f"{name}: nested too deeply to be read") from error
    if not isinstance(data, dict):
        raise InputError(f"{name}:1:1: the top level is a {type(data).__name__}; a mapping of keys was expected")
    return Document(name, data, builder.positions)


def _read_text(name: str) -> str:
    try:
        return Path(name).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not a text file (byte {error.start} is not UTF-8)") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{name!r}: cannot be read: {error}") from error


class _Builder:
    """Turns YAML nodes into plain data and notes where each part stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[Location, tuple[int, int]] = {}
        self.repeated: list[str] = []
        self.count = 0
        self.scalars = _Loader("")

    def build(self, node: yaml.Node, location: Location) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise InputError(f"{self.name}: holds more than {MAX_NODES:,} values once its aliases are expanded")
        self.positions.setdefault(location, self._mark(node))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            line, column = self._mark(node)
            raise InputError(f"{self.name}:{line}:{column}: the tag {node.tag!r} is not known here")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*location, index)) for index, item in enumerate(node.value)]
        try:
            value = self.scalars.construct_object(node)
            return _joined(value) if isinstance(value, str) else value
        except ValueError as error:
            line, column = self._mark(node)
            raise InputError(f"{self.name}:{line}:{column}: cannot read {node.value!r}: {error}") from error

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, column = self._mark(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{self.name}:{line}:{column}: a key must be a plain word")
            try:
                key = _joined(str(key_node.value))
            except ValueError as error:
                raise InputError(f"{self.name}:{line}:{column}: cannot read {key_node.value!r}: {error}") from error
            if key in result:
                first = "{}:{}".format(*self.positions[(*location, key)])
                self.repeated.append(f"{self.name}:{line}:{column}: {key!r} is given twice, first at {first}")
                continue
            self.positions[(*location, key)] = (line, column)
            result[key] = self.build(value_node, (*location, key))
        return result

    @staticmethod
    def _mark(node: yaml.Node) -> tuple[int, int]:
        return node.start_mark.line + 1, node.start_mark.column + 1


def _joined(text: str) -> str:
    """Pairs of surrogates as the characters that they stand for: JSON escapes characters so, and YAML takes them one by one."""
    if not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise ValueError("half of a surrogate pair is no character") from error


def describe(errors: Iterable[Mapping[str, Any]], document: Document) -> list[str]:
    """The errors of a pydantic ValidationError as lines ``file:line:column: field: reason``, in file order."""
    lines = []
    for error in errors:
        location = tuple(part for part in error["loc"] if isinstance(part, str | int))
        lines.append((document.place(location), document.complain(location, _reason(error))))
    return [line for _, line in sorted(lines, key=lambda item: item[0])]


def _reason(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return "is not a known key"
    if kind == "missing":
        return "is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    value = error.get("input")
    shown = repr(value) if isinstance(value, str | int | float | bool) or value is None else ""
    found = f" (found {shown[:60]})" if shown and kind != "value_error" else ""
    return message[0].lower() + message[1:] + found

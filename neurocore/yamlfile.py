"""YAML with positions: what was read, and where in the file each part of it stands.

Chip definitions and networks are checked with pydantic after they were read; this module lets every complaint point at
``file:line:column`` and lists all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from neurocore.container import looks_like
from neurocore.errors import InputError
from neurocore.wording import did_you_mean

MAX_NODES = 2_000_000
"""A file with more nodes than this, aliases expanded, is refused (a few short lines can otherwise stand for billions)."""

LOOKED_AT = 8192
"""Bytes of a file by which it is told what it seems to be."""

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
        what = looks_like(error.object[:LOOKED_AT])
        raise InputError(f"{name}: not a text file (byte {error.start} is not UTF-8); it looks like {what}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist; check the path") from error
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


def stranger(key: str, known: Iterable[str]) -> str:
    """What is said of a key that a mapping does not have."""
    return f"is not a known key{did_you_mean(key, known)}"


EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "string_too_short": "a text of at least one character",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of names",
    "model_type": "a mapping of keys",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "at least {min_length} of them",
    "literal_error": "{expected}",
}
"""What stands in place of what was found, by pydantic's names of errors; braces hold what it says of one."""
UNION = "no_kind"
"""Name of the error of a value that is of none of several kinds; its message is what was expected."""
LONGEST_SHOWN = 60
"""Characters of a wrong value that are shown."""


def describe(errors: Iterable[Mapping[str, Any]], document: Document, schema: type[BaseModel]) -> list[str]:
    """The errors of a pydantic ValidationError of a schema as lines ``file:line:column: field: reason``, in file order.

    Parts of a location in angle brackets are tags of unions, and no part of the file.
    """
    lines = []
    for error in errors:
        location = tuple(part for part in error["loc"] if not _is_tag(part))
        lines.append((document.place(location), document.complain(location, _reason(error, location, schema))))
    return [line for _, line in sorted(lines, key=lambda item: item[0])]


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def _reason(error: Mapping[str, Any], location: Location, schema: type[BaseModel]) -> str:
    kind, value = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(str(location[-1]), *_fields_at(schema, location[:-1]))
    if kind == "missing":
        return "is missing"
    if kind == UNION or kind in EXPECTED:
        expected = error["msg"] if kind == UNION else EXPECTED[kind].format_map(error.get("ctx", {}))
        nearest = did_you_mean(value, re.findall("'([^']+)'", expected)) if kind == "literal_error" else ""
        return f"is {_shown(value)}; {expected} was expected{_example(kind, value, location, schema)}{nearest}"
    message = str(error["msg"]).removeprefix("Value error, ")
    found = f" (found {_shown(value)})" if kind != "value_error" else ""
    return message[0].lower() + message[1:] + found


def _example(kind: str, value: Any, location: Location, schema: type[BaseModel]) -> str:
    """What a list or a mapping looks like that may stand in place of something else."""
    if kind == "list_type" and isinstance(value, int | float):
        return f", such as [{value}]"
    keys = [name for fields in _fields_at(schema, location) for name in fields]
    return f", such as {{{keys[0]}: ...}}" if kind == "model_type" and keys else ""


def _shown(value: Any) -> str:
    """A value as a file has it."""
    if value is None or value == [] or value == {}:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 4]} ..."


Fields = Mapping[str, Any]


def _fields_at(kind: Any, location: Location) -> list[Fields]:
    """The fields, name and type, of what a schema may have at a location; nothing where that has no keys of its own."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {name: item.annotation for name, item in kind.model_fields.items()}
        return _fields_at(fields.get(str(location[0])), location[1:]) if location else [fields]
    inside = get_args(kind)
    if get_origin(kind) in (dict, list):
        return _fields_at(inside[-1], location[1:]) if location else []
    return [found for item in inside for found in _fields_at(item, location)]


def _unknown_key(key: str, *choices: Fields) -> str:
    """What is said of a key that a schema does not have, where it may be one of some mappings."""
    for name, kind in (item for fields in choices for item in fields.items()):
        if any(key in fields for fields in _fields_at(kind, ())):
            return f"belongs under '{name}'; write {name}: {{{key}: ...}}"
    return stranger(key, [name for fields in choices for name in fields])

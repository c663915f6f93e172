"""RANC's simulator input, ``input.json``: read core by core, every fault named by its JSON path.

A core's ``connections`` are most of the file; they are turned into bits without ever becoming Python objects.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import pack_crossbar
from neurocore.container import StrPath
from neurocore.errors import InputError
from neurocore.formats.jsonstream import JsonStream, open_json
from neurocore.formats.ranc_config import (
    INT_MAX,
    INT_MIN,
    LOWEST,
    Complaints,
    RancConfig,
    Report,
    parse_bus,
    parse_pair,
    shown,
)
from neurocore.formats.ranc_model import DESTINATION, PARAMETERS, CoreBlock, Packets, RancModel, check_memory
from neurocore.spikes import MAX_SPIKES

Array = npt.NDArray[Any]
Rows = list[Array] | Array
"""Rows of bits: as one array if they are equally long."""

_CORE_KEYS = ("coordinates", "axons", "connections", "neurons")
_NUMBERS = (*PARAMETERS, *DESTINATION)
_NEURON_KEYS = (*_NUMBERS, "weights", "destination_core_offset")
_PACKET_KEYS = ("destination_core", "destination_axon", "destination_tick")

_CONNECTIONS = re.compile(rb'"connections"[ \t\r\n]*+:[ \t\r\n]*+(\[[\[\]01, \t\r\n]*\])')
_SPARE = 10_000
"""Entries of ``connections`` beyond twice a core's that are still looked at one by one, to say where they stand."""
_HELD = ""
"""Key of the object that stands for connections that were cut out of a core's text."""


def read_input(path: StrPath, config: RancConfig, name: str, report: Report) -> RancModel:
    """Read ``input.json``, plain or gzip-compressed. Raises InputError that lists what is wrong, with JSON paths."""
    reader = _Reader(str(path), config, report)
    with open_json(path) as stream:
        for key in stream.members():
            reader.member(stream, key)
    return reader.finish(name)


class _Reader:
    """Collects the parts of the file in whatever order they stand."""

    def __init__(self, name: str, config: RancConfig, report: Report) -> None:
        self.config, self.report = config, report
        self.wrong = Complaints(name)
        self.bus: tuple[int, int, int] | None = None
        self.cores: list[CoreBlock] = []
        self.places: dict[tuple[int, int], str] = {}
        self.packets = array("q")
        self.found: set[str] = set()

    def member(self, stream: JsonStream, key: str) -> None:
        """Read the value of one key of the top-level object."""
        self.found.add(key)
        if key == "packets":
            for number, tick in stream.filled_items("packets"):
                self.tick(tick, number)
        elif key == "cores":
            for number, raw in enumerate(stream.raw_items("cores")):
                self.core(stream, raw, number)
        elif key == "output_bus":
            data = stream.value("output_bus")
            self.bus = parse_bus(data, self.config.columns, self.config.rows, self.wrong)
            if isinstance(data, dict):
                self.report.unknown(data, ("coordinates", "num_outputs"), "output_bus.")
        else:
            stream.raw()
            self.report.unknown([key], (), "")

    def finish(self, name: str) -> RancModel:
        """The network, if nothing is wrong."""
        for key in ("packets", "output_bus", "cores"):
            if key not in self.found:
                self.wrong.add(key, "is missing")
        self.wrong.raise_if_any()
        assert self.bus is not None
        return RancModel(
            name, self.config, self.bus, self.cores, Packets.from_rows(np.frombuffer(self.packets, np.int64))
        )

    # Packets

    def tick(self, tick: Any, number: int) -> None:
        """The packets of one tick."""
        if type(tick) is not list:
            self.wrong.add(f"packets[{number}]", f"is {shown(tick)}; an array of packets was expected")
            return
        for place, packet in enumerate(tick):
            row = self.packet(packet, number, place)
            if row is not None:
                self.packets.extend(row)
        if len(self.packets) > 5 * MAX_SPIKES:
            raise InputError(f"{self.wrong.name}: packets: more than {MAX_SPIKES:,}; split the file")

    def packet(self, packet: Any, number: int, place: int) -> tuple[int, int, int, int, int] | None:
        """One packet as (index, x, y, axon, field)."""
        config = self.config
        try:
            (x, y), axon, tick = (packet[key] for key in _PACKET_KEYS)
        except (KeyError, TypeError, ValueError):
            x = y = axon = tick = None
        good = (
            type(x) is int
            and type(y) is int
            and type(axon) is int
            and type(tick) is int
            and type(packet["destination_core"]) is list
            and 0 <= x < config.columns
            and 0 <= y < config.rows
            and 0 <= axon < config.axons
            and 0 <= tick < config.depth
        )
        if not good:
            self.complain_of_packet(packet, f"packets[{number}][{place}]")
            return None
        if len(packet) > 3:
            self.report.unknown(packet, _PACKET_KEYS, "packets[].")
        return number, x, y, axon, tick

    def complain_of_packet(self, packet: Any, path: str) -> None:
        """Say what is wrong with a packet."""
        if not isinstance(packet, dict):
            self.wrong.add(path, f"is {shown(packet)}; an object was expected")
            return
        if missing := [key for key in _PACKET_KEYS if key not in packet]:
            self.wrong.add(path, f"has no {' and no '.join(missing)}")
            return
        config = self.config
        parse_pair(packet["destination_core"], f"{path}.destination_core", config.columns, config.rows, self.wrong)
        self.wrong.whole(packet["destination_axon"], f"{path}.destination_axon", 0, config.axons - 1)
        self.wrong.whole(packet["destination_tick"], f"{path}.destination_tick", 0, config.depth - 1)

    # Cores

    def core(self, stream: JsonStream, raw: bytes, number: int) -> None:
        """One core from its text."""
        path = f"cores[{number}]"
        blocks: list[bytes] = []

        def hold(match: re.Match[bytes]) -> bytes:
            blocks.append(match[1])
            return b'"connections":{"":%d}' % (len(blocks) - 1)

        data = stream.decode(_CONNECTIONS.sub(hold, raw), path)
        check_memory(self.config, len(self.cores) + 1)
        before = self.wrong.count
        if not isinstance(data, dict):
            self.wrong.add(path, f"is {shown(data)}; an object was expected")
            return
        if missing := [key for key in _CORE_KEYS if key not in data]:
            self.wrong.add(path, f"has no {' and no '.join(missing)}")
            return
        self.report.unknown(data, _CORE_KEYS, "cores[].")
        place = self.place(data["coordinates"], path)
        axon_type = self.axon_types(data["axons"], path)
        neurons = data["neurons"]
        if type(neurons) is not list or len(neurons) > self.config.neurons:
            found = f"is {shown(neurons)}; an array of at most {self.config.neurons} neurons was expected"
            self.wrong.add(f"{path}.neurons", found)
            return
        connections = _held(data["connections"], blocks)
        most, given = self.config.axons * self.config.neurons, 0
        if isinstance(connections, bytes) and (given := connections.count(b",") + 1) > 2 * most + _SPARE:
            self.wrong.add(f"{path}.connections", f"has {given:,} entries; a core has room for {most:,}")
            return
        rows = parse_bits(connections) if isinstance(connections, bytes) else None
        if rows is None:
            text = isinstance(connections, bytes)
            plain = stream.decode(connections, f"{path}.connections") if text else connections
            rows = _plain_bits(plain, f"{path}.connections", self.wrong)
        crossbar = self.crossbar(rows, len(neurons), f"{path}.connections")
        columns = self.neurons(neurons, f"{path}.neurons")
        if self.wrong.count == before:
            assert place is not None
            assert columns is not None
            numbers, weights, offset = columns
            self.cores.append(CoreBlock(path, *place, axon_type, crossbar, weights, offset, numbers))

    def place(self, value: Any, path: str) -> tuple[int, int] | None:
        """A core's position, which no other core may have."""
        place = parse_pair(value, f"{path}.coordinates", self.config.columns, self.config.rows, self.wrong)
        if place is not None and self.places.setdefault(place, path) != path:
            self.wrong.add(f"{path}.coordinates", f"({place[0]}, {place[1]}) is already that of {self.places[place]}")
        return place

    def axon_types(self, value: Any, path: str) -> Array:
        """Axon types [A]; those not given are 0."""
        result = np.zeros(self.config.axons, np.uint8)
        if type(value) is not list or len(value) > self.config.axons:
            found = f"is {shown(value)}; an array of at most {self.config.axons} axon types was expected"
            self.wrong.add(f"{path}.axons", found)
            return result
        top = self.config.weights - 1
        if set(map(type, value)) <= {int} and (not value or (min(value) >= 0 and max(value) <= top)):
            result[: len(value)] = value
            return result
        for place, item in enumerate(value):
            self.wrong.whole(item, f"{path}.axons[{place}]", 0, top)
        return result

    def crossbar(self, rows: Rows | None, n: int, path: str) -> Array:
        """The crossbar [A, W] of the first n rows of ``connections``; rows are neurons, short ones end in zeros."""
        config = self.config
        packed = np.zeros((config.axons, -(-config.neurons // 64)), np.uint64)
        if rows is None:
            return packed
        if not n <= len(rows) <= config.neurons:
            most = f"and no more than {config.neurons} rows"
            self.wrong.add(path, f"has {len(rows)} rows; every one of the {n} neurons needs one, {most} are allowed")
            return packed
        self.report.counts["connection_rows_without_neuron"] += sum(bool(row.any()) for row in rows[n:])
        long = [number for number, row in enumerate(rows[:n]) if len(row) > config.axons]
        for number in long:
            found = f"has {len(rows[number])} entries; a core has {config.axons} axons"
            self.wrong.add(f"{path}[{number}]", found)
        if not long:
            for word in range(-(-n // 64)):
                packed[:, word] = _pack(rows[64 * word : min(64 * word + 64, n)], config.axons)
        return packed

    # Neurons

    def neurons(self, items: list[Any], path: str) -> tuple[dict[str, Array], Array, Array] | None:
        """Numbers {name: [n]}, weights [n, G] and offsets [n, 2] of a core's neurons; None if anything is wrong."""
        if not all(type(item) is dict for item in items):
            for number, item in enumerate(items):
                if type(item) is not dict:
                    self.wrong.add(f"{path}[{number}]", f"is {shown(item)}; an object was expected")
            return None
        for item in items:
            if len(item) > len(_NEURON_KEYS):
                self.report.unknown(item, _NEURON_KEYS, "cores[].neurons[].")
        before = self.wrong.count
        limits = {
            "reset_mode": (0, 1),
            "destination_tick": (0, self.config.depth - 1),
            "negative_threshold": (INT_MIN, INT_MAX),
        }
        numbers = {name: self.column(items, name, path, *limits.get(name, (LOWEST, INT_MAX))) for name in _NUMBERS}
        weights = self.table(items, "weights", path, self.config.weights)
        offset = self.table(items, "destination_core_offset", path, 2, exact=True)
        return (numbers, weights, offset) if self.wrong.count == before else None

    def column(self, items: list[dict[str, Any]], name: str, path: str, low: int, high: int) -> Array:
        """One number of every neuron, [n] int32."""
        values = [item.get(name) for item in items]
        if _all_whole(values, low, high):
            return np.array(values, np.int32)
        for number, (item, value) in enumerate(zip(items, values, strict=True)):
            if name not in item:
                self.wrong.add(f"{path}[{number}].{name}", "is missing")
            else:
                self.wrong.whole(value, f"{path}[{number}].{name}", low, high)
        return np.zeros(0, np.int32)

    def table(self, items: list[dict[str, Any]], name: str, path: str, width: int, *, exact: bool = False) -> Array:
        """A list of every neuron, [n, width] int32, short ones ending in zeros."""
        lists: list[Any] = [item.get(name) for item in items]
        if set(map(type, lists)) == {list} and set(map(len, lists)) == {width}:
            flat = list(chain.from_iterable(lists))
            if _all_whole(flat, LOWEST, INT_MAX):
                return np.array(flat, np.int32).reshape(-1, width)
        result = np.zeros((len(items), width), np.int32)
        for number, (item, values) in enumerate(zip(items, lists, strict=True)):
            place = f"{path}[{number}].{name}"
            if type(values) is list and (len(values) == width or (len(values) < width and not exact)):
                if _all_whole(values, LOWEST, INT_MAX):
                    result[number, : len(values)] = values
                else:
                    for index, value in enumerate(values):
                        self.wrong.whole(value, f"{place}[{index}]")
            elif name not in item:
                self.wrong.add(place, "is missing")
            else:
                most = "" if exact else "at most "
                self.wrong.add(place, f"is {shown(values)}; an array of {most}{width} numbers was expected")
        return result


def _pack(rows: Rows, n_axons: int) -> Array:
    """Up to 64 rows, each a neuron's, as one word of the crossbar for each axon [A]."""
    bits = np.zeros((n_axons, 64), bool)
    if isinstance(rows, np.ndarray):
        bits[: rows.shape[1], : len(rows)] = rows.T
    else:
        for number, row in enumerate(rows):
            bits[: len(row), number] = row
    return pack_crossbar(bits)[:, 0]


def _all_whole(values: Sequence[Any], low: int, high: int) -> bool:
    return set(map(type, values)) <= {int} and (not values or (min(values) >= low and max(values) <= high))


def _held(value: Any, blocks: list[bytes]) -> bytes | Any:
    """The text that was cut out and is represented by ``value``, or the value itself."""
    if isinstance(value, Mapping) and type(value.get(_HELD)) is int and 0 <= value[_HELD] < len(blocks):
        return blocks[value[_HELD]]
    return value


def _plain_bits(value: Any, path: str, wrong: Complaints) -> Rows | None:
    """Rows of connections that :func:`parse_bits` did not take: None and complaints if anything is wrong with them."""
    before = wrong.count
    if type(value) is not list:
        wrong.add(path, f"is {shown(value)}; an array of rows was expected")
        return None
    for number, row in enumerate(value):
        if type(row) is not list:
            wrong.add(f"{path}[{number}]", f"is {shown(row)}; an array of 0 and 1 was expected")
            continue
        for index, bit in enumerate(row):
            wrong.whole(bit, f"{path}[{number}][{index}]", 0, 1)
    return [np.array(row, bool) for row in value] if wrong.count == before else None


_CLASS = np.full(256, 4, np.uint8)
_CLASS[list(b"01")] = 0
_CLASS[list(b",")] = 1
_CLASS[list(b"[")] = 2
_CLASS[list(b"]")] = 3
_NEXT = np.array([[0, 1, 0, 1, 0], [1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
"""Which class of byte may follow which within the outer brackets: digit, comma, open, close."""


def parse_bits(text: bytes) -> Rows | None:
    """Rows of an array of arrays of 0 and 1 from its JSON text, as booleans; None if the text is anything else."""
    inner = text.translate(None, b" \t\r\n")[1:-1]
    if not inner:
        return []
    rows = _even_bits(inner)
    return rows if rows is not None else _ragged_bits(inner)


def _even_bits(inner: bytes) -> Array | None:
    """Rows ``[0,1,...],[...]`` of one length as an array; None if they are anything else."""
    length = inner.find(b"]") // 2
    if length < 1 or (len(inner) + 1) % (2 * length + 2):
        return None
    table = np.frombuffer(inner + b",", np.uint8).reshape(-1, 2 * length + 2)
    digits = table[:, 1:-1:2]
    sound = (
        (table[:, 0] == ord("[")).all()
        and (table[:, -2] == ord("]")).all()
        and (table[:, -1] == ord(",")).all()
        and (table[:, 2:-2:2] == ord(",")).all()
        and (digits & 0xFE == ord("0")).all()
    )
    return (digits & 1).astype(bool) if sound else None


def _ragged_bits(inner: bytes) -> list[Array] | None:
    """Rows of any lengths."""
    kind = _CLASS[np.frombuffer(inner, np.uint8)]
    comma = np.flatnonzero(kind[1:-1] == 1) + 1
    sound = (
        kind[0] == 2
        and kind[-1] == 3
        and bool(_NEXT[kind[:-1], kind[1:]].all())
        and bool(((kind[comma - 1] == 3) == (kind[comma + 1] == 2)).all())
    )
    if not sound:
        return None
    digits = kind == 0
    ends = np.cumsum(digits)[kind == 3]
    return np.split(np.frombuffer(inner, np.uint8)[digits] == ord("1"), ends[:-1])

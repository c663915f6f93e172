"""RANC's ``config.json`` and what it makes of the ``ranc`` chip definition; remarks and complaints of all RANC readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from neurocore.architecture import MAX_CORES, Architecture, load_architecture
from neurocore.container import StrPath
from neurocore.errors import InputError
from neurocore.formats.jsonstream import open_json

MAX_LISTED = 20
"""Complaints shown for one file; the others are counted."""

MAX_COMPLAINTS = 1000
"""After this many complaints a file is not read further."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LOWEST = INT_MIN + 1
"""The lowest parameter that a chip can have."""

LIMITS = {
    "num_neurons": (1, 65_535),
    "num_axons": (1, 65_535),
    "num_cores_x": (1, 4096),
    "num_cores_y": (1, 4096),
    "num_weights": (1, 256),
    "max_tick_offset": (2, 256),
    "neuron_reset_type": (0, 1),
}
"""The keys that matter, and what neurocore can express of them. RANC itself has no limits."""

TRACING = ("neuron_block_trace_verbosity", "core_controller_trace_verbosity", "scheduler_trace_verbosity")
"""Keys that only steer RANC's trace file."""


@dataclass
class Report:
    """What a reader noticed and the user should know: one sentence per remark, and counts by kind.

    ``counts`` holds the remarks as numbers: ``lost_packets``, ``lost_neurons``, ``bus_packets``, ``merged_packets``, ...
    ``unknown_keys`` maps the path of a key that is not part of the format to the number of times it stood there.
    """

    remarks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unknown_keys: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, count: int, remark: str) -> None:
        """Add a remark if there is anything to remark on."""
        if count:
            self.counts[kind] += count
            self.remarks.append(remark)

    def unknown(self, given: Iterable[str], known: Iterable[str], path: str) -> None:
        """Count the keys that are not known."""
        for key in set(given) - set(known):
            name = f"{path}{key[:60]}"
            full = name not in self.unknown_keys and len(self.unknown_keys) >= MAX_COMPLAINTS
            self.unknown_keys["(others)" if full else name] += 1

    def lines(self) -> list[str]:
        """All remarks, the unknown keys last."""
        keys = [f"unknown key {key} ignored ({count} times)" for key, count in sorted(self.unknown_keys.items())]
        hidden = len(keys) - MAX_LISTED
        return [*self.remarks, *keys[:MAX_LISTED], *([f"and {hidden} more unknown keys"] if hidden > 0 else [])]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "remarks": list(self.remarks),
            "counts": dict(sorted(self.counts.items())),
            "unknown_keys": dict(sorted(self.unknown_keys.items())),
        }


class Complaints:
    """Collects what is wrong with a file; raises once, with the first MAX_LISTED and a count of the rest."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.listed: list[str] = []
        self.count = 0

    def add(self, path: str, reason: str) -> None:
        """One fault. Raises InputError if there are too many already."""
        self.count += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(f"{self.name}: {path}: {reason}")
        if self.count >= MAX_COMPLAINTS:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Raise InputError if anything is wrong."""
        hidden = self.count - len(self.listed)
        if self.count:
            raise InputError([*self.listed, *([f"{self.name}: and {hidden} more faults"] if hidden else [])])

    def whole(self, value: Any, path: str, low: int = LOWEST, high: int = INT_MAX) -> int | None:
        """The value if it is a whole number in range, else None and a complaint."""
        if type(value) is not int:
            self.add(path, f"is {shown(value)}; a whole number {low}..{high} was expected")
        elif not low <= value <= high:
            self.add(path, f"is {shown(value)}; {low}..{high} is allowed")
        else:
            return value
        return None


def shown(value: Any) -> str:
    """A JSON value for an error message, cut short."""
    if isinstance(value, dict | list):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


@dataclass(frozen=True)
class RancConfig:
    """RANC's global parameters: sizes of a core and of the grid, scheduler depth M, and the test at the floor.

    ``output_bus`` is (x, y, number of lines) if the file names one, which RANC's own does not: the reader of hardware
    images takes it from there.
    """

    neurons: int
    axons: int
    columns: int
    rows: int
    weights: int
    depth: int
    reset_type: int
    output_bus: tuple[int, int, int] | None = None

    @property
    def last_field(self) -> int:
        """The delay field with which a packet is lost."""
        return self.depth - 1

    @property
    def core_neurons(self) -> int:
        """Neurons of a core of the chip, which has two at least; RANC may have one."""
        return max(self.neurons, 2)

    def architecture(self, more_rows: int = 0) -> Architecture:
        """The ``ranc`` chip definition with these sizes; ``more_rows`` are added in the north."""
        data = load_architecture("ranc").model_dump()
        data["mesh"] = {"columns": self.columns, "rows": self.rows + more_rows}
        data["core"] = {
            "axons": self.axons,
            "neurons": self.core_neurons,
            "axon_types": self.weights,
            "scheduler_slots": self.depth,
        }
        data["routing"]["delay"] = {"min": 1, "max": self.depth - 1}
        data["routing"]["lost_delay"] = self.depth
        data["rules"]["floor_inclusive"] = self.reset_type == 1
        try:
            return Architecture.model_validate(data)
        except ValidationError as error:
            raise InputError([f"config.json: {item['msg']}" for item in error.errors()]) from error

    def as_json(self) -> dict[str, int]:
        """The file's contents, tracing off."""
        sizes = (self.neurons, self.axons, self.columns, self.rows, self.weights, self.depth)
        return {
            **dict(zip(LIMITS, sizes, strict=False)),
            **dict.fromkeys(TRACING, 0),
            "neuron_reset_type": self.reset_type,
        }


def read_config(path: StrPath, report: Report) -> RancConfig:
    """Read ``config.json``. Raises InputError that lists all that is missing or out of range."""
    with open_json(path) as stream:
        data = {key: stream.value(key) for key in stream.members()}
    return parse_config(data, str(path), report)


def parse_config(data: Mapping[str, Any], name: str, report: Report) -> RancConfig:
    """Check the contents of ``config.json``."""
    wrong = Complaints(name)
    values: dict[str, int] = {}
    for key, (low, high) in LIMITS.items():
        if key not in data:
            way_out = "; add 0 for V < negative_threshold, 1 for V <= it" if key == "neuron_reset_type" else ""
            wrong.add(key, f"is missing; a whole number {low}..{high} was expected{way_out}")
        elif (value := wrong.whole(data[key], key, low, high)) is not None:
            values[key] = value
    if not wrong.count and values["num_cores_x"] * values["num_cores_y"] > MAX_CORES:
        wrong.add("num_cores_y", f"makes a grid of more than {MAX_CORES:,} cores")
    bus = None
    if "output_bus" in data and not wrong.count:
        bus = parse_bus(data["output_bus"], values["num_cores_x"], values["num_cores_y"], wrong)
    wrong.raise_if_any()
    report.unknown(data, (*LIMITS, *TRACING, "output_bus"), "config: ")
    names = ("neurons", "axons", "columns", "rows", "weights", "depth", "reset_type")
    return RancConfig(**dict(zip(names, (values[key] for key in LIMITS), strict=True)), output_bus=bus)


MAX_OUTPUTS = 2**24
"""More output lines than this are refused; a line of ``output.txt`` has two bytes for each."""


def parse_bus(data: Any, columns: int, rows: int, wrong: Complaints) -> tuple[int, int, int] | None:
    """The ``output_bus`` object as (x, y, number of lines); complains and gives None if it is faulty."""
    before = wrong.count
    if not isinstance(data, dict):
        wrong.add("output_bus", f"is {shown(data)}; an object with coordinates and num_outputs was expected")
        return None
    for key in ("coordinates", "num_outputs"):
        if key not in data:
            wrong.add(f"output_bus.{key}", "is missing")
    place = parse_pair(data.get("coordinates", [0, 0]), "output_bus.coordinates", columns, rows, wrong)
    lines = wrong.whole(data.get("num_outputs", 0), "output_bus.num_outputs", 0, MAX_OUTPUTS)
    return (*place, lines) if place and lines is not None and wrong.count == before else None


def parse_pair(value: Any, path: str, columns: int, rows: int, wrong: Complaints) -> tuple[int, int] | None:
    """A position [x, y] on the grid, or None and a complaint."""
    if type(value) is not list or len(value) != 2:
        wrong.add(path, f"is {shown(value)}; [x, y] was expected")
        return None
    x = wrong.whole(value[0], f"{path}[0]", 0, columns - 1)
    y = wrong.whole(value[1], f"{path}[1]", 0, rows - 1)
    return None if x is None or y is None else (x, y)

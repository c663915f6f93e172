"""Words of RANC's hardware: the layout of its memory images and of its packets, and what a chip needs of it.

A line of ``csram_NNN.mem`` is a neuron: its connections (the last axon first), current and reset potential, weights (type 0
first), leak, positive and negative threshold, reset mode, then the packet it sends: dx, dy, axon, delay field. Numbers are
two's complement, most significant bit first. A line of ``tc_NNN.mem`` is the type of an axon, of ``tb_input.txt`` a packet.
Source: Core.v and CSRAM.v of RANC, and rancutils/emulation.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.container import atomic_path
from neurocore.errors import InputError
from neurocore.formats.jsonstream import open_json
from neurocore.formats.ranc_config import Complaints, RancConfig

Array = npt.NDArray[Any]

NARROW, WIDE = 9, 32
"""Bits of potentials, weights, leaks and thresholds: the Verilog's default, and the most that are read or written."""

OFFSET_BITS = 9
"""Bits of dx and dy: MAX_DIMENSION_X and _Y of 512."""

HARDWARE_FILE = "hardware.json"


@dataclass(frozen=True)
class Widths:
    """Bits of a neuron's numbers, parameters of the Verilog; ``mode`` is 0 in images older than the reset modes."""

    potential: int = NARROW
    weight: int = NARROW
    leak: int = NARROW
    threshold: int = NARROW
    mode: int = 1


def address_bits(count: int) -> int:
    """$clog2 of a count, at least 1."""
    return max(1, (count - 1).bit_length())


def packet_layout(config: RancConfig) -> list[tuple[str, int]]:
    """Fields of a packet and their bits."""
    return [
        ("dx", OFFSET_BITS),
        ("dy", OFFSET_BITS),
        ("destination_axon", address_bits(config.axons)),
        ("destination_tick", address_bits(config.depth)),
    ]


def neuron_layout(config: RancConfig, widths: Widths) -> list[tuple[str, int]]:
    """Fields of a neuron's word behind the connections, and their bits."""
    return [
        ("current_potential", widths.potential),
        ("reset_potential", widths.potential),
        *((f"weight{kind}", widths.weight) for kind in range(config.weights)),
        ("leak", widths.leak),
        ("positive_threshold", widths.threshold),
        ("negative_threshold", widths.threshold),
        *((("reset_mode", widths.mode),) if widths.mode else ()),
        *packet_layout(config),
    ]


_UNSIGNED = ("reset_mode", "destination_axon", "destination_tick")


def pack_fields(layout: list[tuple[str, int]], values: Mapping[str, Array]) -> Array:
    """Numbers {field: [n]} as bits [n, width], most significant first. Values must fit."""
    parts = []
    for name, width in layout:
        value = values[name].astype(np.int64)
        low, high = (0, 2**width - 1) if name in _UNSIGNED else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
        assert ((value >= low) & (value <= high)).all(), name
        parts.append(value[:, None] >> np.arange(width - 1, -1, -1) & 1)
    return np.concatenate(parts, axis=1).astype(np.uint8)


def unpack_fields(layout: list[tuple[str, int]], bits: Array) -> dict[str, Array]:
    """The reverse of :func:`pack_fields`: numbers {field: [n] int64}."""
    values: dict[str, Array] = {}
    at = 0
    for name, width in layout:
        part = bits[:, at : at + width].astype(np.int64)
        value = part @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))
        values[name] = value if name in _UNSIGNED else value - (part[:, 0] << width)
        at += width
    return values


def bit_lines(bits: Array) -> bytes:
    """Bits [n, width] as lines of 0 and 1."""
    lines = np.full((bits.shape[0], bits.shape[1] + 1), ord("\n"), np.uint8)
    lines[:, :-1] = bits + ord("0")
    return lines.tobytes()


def write_parameters(config: RancConfig, bus: tuple[int, int, int], widths: Widths, folder: str) -> str:
    """Write ``hardware.json``: the parameters to give to the Verilog's RANCNetwork. Returns its path."""
    x, y, lines = bus
    parameters = {
        "GRID_DIMENSION_X": config.columns,
        "GRID_DIMENSION_Y": config.rows,
        "OUTPUT_CORE_X_COORDINATE": x,
        "OUTPUT_CORE_Y_COORDINATE": y,
        "NUM_OUTPUTS": lines,
        "NUM_NEURONS": config.neurons,
        "NUM_AXONS": config.axons,
        "NUM_TICKS": config.depth,
        "NUM_WEIGHTS": config.weights,
        "NUM_RESET_MODES": 2,
        **{f"{name.upper()}_WIDTH": width for name, width in asdict(widths).items() if name != "mode"},
        "MAX_DIMENSION_X": 2**OFFSET_BITS,
        "MAX_DIMENSION_Y": 2**OFFSET_BITS,
    }
    path = os.path.join(folder, HARDWARE_FILE)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(parameters, file, indent=1)
        file.write("\n")
    return path


def read_parameters(path: str) -> tuple[RancConfig, Widths]:
    """Read ``hardware.json``: sizes, bus and widths. Raises InputError that lists what is missing or out of range."""
    with open_json(path) as stream:
        data = {key: stream.value(key) for key in stream.members()}
    wrong = Complaints(path)
    ranges = {
        "NUM_NEURONS": (1, 65_535),
        "NUM_AXONS": (1, 65_535),
        "GRID_DIMENSION_X": (1, 4096),
        "GRID_DIMENSION_Y": (1, 4096),
        "NUM_WEIGHTS": (1, 256),
        "NUM_TICKS": (2, 256),
        "OUTPUT_CORE_X_COORDINATE": (0, 4095),
        "OUTPUT_CORE_Y_COORDINATE": (0, 4095),
        "NUM_OUTPUTS": (0, 2**24),
        **{f"{item.name.upper()}_WIDTH": (1, WIDE) for item in fields(Widths) if item.name != "mode"},
    }
    values = [wrong.whole(data.get(name), name, *limits) for name, limits in ranges.items()]
    wrong.raise_if_any()
    numbers = [value for value in values if value is not None]
    neurons, axons, columns, rows, weights, depth, x, y, lines = numbers[:9]
    if x >= columns or y >= rows:
        raise InputError(f"{path}: the output core ({x}, {y}) is outside the grid of {columns} x {rows}")
    config = RancConfig(neurons, axons, columns, rows, weights, depth, 0, (x, y, lines))
    return config, Widths(*numbers[9:])

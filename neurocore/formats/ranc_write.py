"""Chips as RANC's simulator reads them: ``input.json`` and ``config.json``.

Neurons that send nowhere get the last delay field, with which RANC loses every packet; on the way back the reader makes
them send nowhere again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from neurocore.config import NOWHERE, OUTPUT, ChipConfig
from neurocore.container import atomic_path
from neurocore.errors import InputError
from neurocore.formats.ranc_build import BUS_NOTE, GRID_NOTE, PASSED
from neurocore.formats.ranc_config import RancConfig
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

MAX_TICKS = 10_000_000
"""``input.json`` has an array for every tick up to the last packet's; more than this are not written."""


@dataclass(frozen=True)
class Layout:
    """Where a chip's parts stand in RANC: configuration, bus, and the rows of cores that become RANC cores.

    ``passing`` are the core numbers that only pass packets on to the bus; RANC does without them.
    """

    config: RancConfig
    bus: tuple[int, int, int]
    rows: Array
    passing: frozenset[int]

    @staticmethod
    def of(chip: ChipConfig) -> Layout:
        """The grid that the chip was imported from; else the smallest, from (0, 0), with a free place for the bus."""
        arch = chip.architecture
        groups = chip.outputs
        lines = groups[-1].start if groups and groups[-1].name == PASSED else chip.n_outputs
        columns, rows, x, y = _noted(chip) or _smallest(chip)
        core = chip.cores.core
        passes = (core == x + y * arch.columns) | (core // arch.columns >= rows)
        sizes = arch.core
        reset_type = int(arch.rules.floor_inclusive)
        config = RancConfig(
            sizes.neurons, sizes.axons, columns, rows, sizes.axon_types, sizes.scheduler_slots, reset_type
        )
        return Layout(config, (x, y, lines), np.flatnonzero(~passes), frozenset(core[passes].tolist()))


def _noted(chip: ChipConfig) -> tuple[int, int, int, int] | None:
    """Columns, rows and position of the bus as the importer noted them, if they still fit the chip."""
    notes, arch, cores = dict(chip.notes), chip.architecture, chip.cores
    grid = re.fullmatch(r"(\d{1,4}) x (\d{1,4})", notes.get(GRID_NOTE, ""))
    bus = re.fullmatch(r"(\d{1,4}), (\d{1,4})", notes.get(BUS_NOTE, ""))
    if not grid or not bus:
        return None
    columns, rows, x, y = (int(part) for part in (*grid.groups(), *bus.groups()))
    if columns != arch.columns or rows > arch.rows or x >= columns or y >= rows:
        return None
    passes = (cores.core == x + y * columns) | (cores.core // columns >= rows)
    if (cores.configured & (cores.population >= 0))[passes].any() or (cores.target_core == x + y * columns).any():
        return None
    return columns, rows, x, y


def _smallest(chip: ChipConfig) -> tuple[int, int, int, int]:
    """Columns, rows and position of the bus: a free place within the cores in use, or one more column."""
    arch = chip.architecture
    target = chip.cores.target_core
    taken = {arch.core_xy(int(core)) for core in np.union1d(chip.cores.core, target[target >= 0])}
    columns = 1 + max((x for x, _ in taken), default=0)
    rows = 1 + max((y for _, y in taken), default=0)
    for y in range(rows):
        for x in range(columns):
            if (x, y) not in taken:
                return columns, rows, x, y
    return columns + 1, rows, columns, 0


@dataclass(frozen=True)
class PacketList:
    """Packets [n] sorted by the array of ``packets`` they belong to: index, position, axon. Delay fields are all 0."""

    index: Array
    x: Array
    y: Array
    axon: Array

    @staticmethod
    def of(chip: ChipConfig, layout: Layout, spikes: Spikes) -> PacketList:
        """The packets that make a chip's input spikes. Raises InputError for spikes that do not fit the chip."""
        if spikes.is_network:
            spikes = on_axons(chip, spikes)
        arch = chip.architecture
        spikes.check(n_cores=arch.n_cores, n_axons=arch.core.axons)
        passed = np.isin(spikes.core, list(layout.passing))
        x = np.where(passed, layout.bus[0], spikes.core % arch.columns)
        y = np.where(passed, layout.bus[1], spikes.core // arch.columns)
        outside = (x >= layout.config.columns) | (y >= layout.config.rows)
        if outside.any():
            raise InputError(f"an input spike goes to core ({x[outside][0]}, {y[outside][0]}), which is not in use")
        if len(spikes) and int(spikes.tick[-1]) >= MAX_TICKS:
            raise InputError(
                f"an input spike is at tick {int(spikes.tick[-1])}; RANC's file takes ticks below {MAX_TICKS}"
            )
        return PacketList(spikes.tick, x, y, spikes.axon)


def on_axons(chip: ChipConfig, spikes: Spikes) -> Spikes:
    """Spikes on input lines as spikes on the axons that the lines lead to, delays included."""
    spikes.check(n_lines=chip.n_inputs)
    entry = chip.input_map
    order = np.argsort(entry.line, kind="stable")
    start, stop = (np.searchsorted(entry.line[order], spikes.line, side) for side in ("left", "right"))
    count = stop - start
    which = order[np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))]
    return Spikes.from_axons(
        np.repeat(spikes.tick * chip.dilation, count) + entry.delay[which], entry.core[which], entry.axon[which]
    )


def write_config(layout: Layout, folder: str) -> str:
    """Write ``config.json``; returns its path."""
    path = os.path.join(folder, "config.json")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(layout.config.as_json(), file, indent=1)
        file.write("\n")
    return path


def write_input(chip: ChipConfig, layout: Layout, packets: PacketList, folder: str) -> str:
    """Write ``input.json``, one core or tick per line; returns its path."""
    path = os.path.join(folder, "input.json")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        x, y, lines = layout.bus
        file.write(b'{"output_bus":{"coordinates":[%d,%d],"num_outputs":%d},\n"packets":[' % (x, y, lines))
        _join(file, _packet_texts(packets))
        file.write(b'],\n"cores":[')
        _join(file, (_core_text(chip, int(row), layout) for row in layout.rows))
        file.write(b"]}\n")
    return path


def _join(file: IO[bytes], parts: Iterator[bytes]) -> None:
    for number, part in enumerate(parts):
        file.write(b",\n" if number else b"\n")
        file.write(part)


def _packet_texts(packets: PacketList) -> Iterator[bytes]:
    ticks = int(packets.index[-1]) + 1 if len(packets.index) else 0
    edges = np.searchsorted(packets.index, np.arange(ticks + 1))
    columns = [values.tolist() for values in (packets.x, packets.y, packets.axon)]
    for tick in range(ticks):
        part = slice(edges[tick], edges[tick + 1])
        rows = zip(*(column[part] for column in columns), strict=True)
        text = b'{"destination_core":[%d,%d],"destination_axon":%d,"destination_tick":0}'
        yield b"[" + b",".join(text % row for row in rows) + b"]"


def _core_text(chip: ChipConfig, row: int, layout: Layout) -> bytes:
    cores, arch = chip.cores, chip.architecture
    used = np.flatnonzero(cores.configured[row])
    n = int(used[-1]) + 1 if len(used) else 0
    items = neuron_items(chip, row, n, layout.bus)
    x, y = arch.core_xy(int(cores.core[row]))
    types = cores.axon_type[row].tolist()
    head = json.dumps({"coordinates": [x, y], "axons": types}, separators=(",", ":")).encode()
    neurons = b",\n ".join(json.dumps(item, separators=(",", ":")).encode() for item in items)
    connections = _rows(chip.crossbar_bits(row)[:, :n].T)
    return b'%b,"neurons":[\n %b],"connections":[%b]}' % (head[:-1], neurons, connections)


def _rows(bits: Array) -> bytes:
    """Rows of bits as JSON, without the outer brackets."""
    table = np.full((bits.shape[0], 2 * bits.shape[1] + 2), ord(","), np.uint8)
    table[:, 0], table[:, -2] = ord("["), ord("]")
    table[:, 1:-1:2] = bits + ord("0")
    return table.tobytes()[:-1]


def neuron_items(chip: ChipConfig, row: int, n: int, bus: tuple[int, int, int]) -> Iterator[dict[str, Any]]:
    """The first n neurons of a core as RANC's objects; unused ones among them are inert, as RANC's defaults."""
    cores, arch = chip.cores, chip.architecture
    x, y = arch.core_xy(int(cores.core[row]))
    names = ("reset", "leak", "threshold", "floor", "initial", "reset_mode", "target_core", "target_axon", "delay")
    values = [getattr(cores, name)[row, :n].tolist() for name in names]
    weights = cores.weight[row, :, :n].T.tolist()
    for used, weight, *item in zip(cores.configured[row, :n].tolist(), weights, *values, strict=True):
        reset, leak, alpha, beta, start, mode, target, axon, delay = item
        offset, tick = [0, 0], delay - 1
        if target >= 0:
            offset = [target % arch.columns - x, target // arch.columns - y]
        elif target == NOWHERE:
            tick = arch.core.scheduler_slots - 1
        elif target == OUTPUT:
            offset = [bus[0] - x, bus[1] - y]
        if not used:
            reset = leak = mode = start = axon = tick = beta = 0
            offset, weight, alpha = [0, 0], [0] * arch.core.axon_types, 1
        yield {
            "reset_potential": reset,
            "weights": weight,
            "leak": leak,
            "positive_threshold": alpha,
            "negative_threshold": -beta,
            "destination_core_offset": offset,
            "destination_axon": axon,
            "destination_tick": max(tick, 0),
            "current_potential": start,
            "reset_mode": mode,
        }

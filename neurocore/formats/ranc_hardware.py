"""Chips as memory images of RANC's FPGA design, with the packets of its test bench."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import NOWHERE, OUTPUT, ChipConfig
from neurocore.container import atomic_path
from neurocore.formats.ranc_express import Bounds
from neurocore.formats.ranc_words import (
    HARDWARE_FILE,
    NARROW,
    OFFSET_BITS,
    WIDE,
    Widths,
    address_bits,
    bit_lines,
    neuron_layout,
    pack_fields,
    packet_layout,
    write_parameters,
)
from neurocore.formats.ranc_write import Layout, PacketList

Array = npt.NDArray[Any]

MAX_CORES = 999
"""Memory images are numbered with three digits, and the Verilog knows that many names."""

PACKET_BITS = 32
"""The input stream of the FPGA design is that wide."""


def hardware_reasons(chip: ChipConfig, layout: Layout) -> list[str]:
    """Why the FPGA design cannot hold a chip that the simulator can run; empty if it can."""
    config, cores = layout.config, chip.cores
    reasons = []
    if config.reset_type:
        reasons.append(
            "the FPGA design tests V < negative threshold only; the chip tests V <= it (neuron_reset_type 1)"
        )
    if config.depth & (config.depth - 1):
        reasons.append(f"the FPGA design's scheduler needs a power of two of slots; the chip has {config.depth}")
    if config.columns * config.rows > MAX_CORES:
        found = f"{config.columns * config.rows:,} grid positions"
        reasons.append(f"the FPGA design names at most {MAX_CORES} memory images; the grid has {found}")
    if 1 in (config.weights, config.axons, config.neurons):
        reasons.append("the FPGA design needs at least two axons, neurons and weights")
    bits = sum(width for _, width in packet_layout(config))
    if bits > PACKET_BITS:
        reasons.append(f"a packet needs {bits} bits; the FPGA design's input stream has {PACKET_BITS}")
    line = cores.target_axon[layout.rows][cores.target_core[layout.rows] == OUTPUT].max(initial=0)
    if line >= 2 ** address_bits(config.axons):
        reasons.append(f"output line {line} does not fit the {address_bits(config.axons)} bits of a packet's axon")
    far = int(abs(_offsets(chip, layout)).max(initial=0))
    if max(far, config.columns - 1, config.rows - 1) >= 2 ** (OFFSET_BITS - 1):
        reasons.append(f"a packet's dx and dy have {OFFSET_BITS} bits; the grid is {config.columns} x {config.rows}")
    mute = np.asarray((cores.target_core == NOWHERE) & cores.configured)
    if mute[layout.rows].any() and _dead_end(chip, layout) is None:
        reasons.append("a neuron sends nowhere, and no axon is without synapses to take its spikes")
    return reasons


def hardware_names(layout: Layout) -> list[str]:
    """Names of the files of :func:`write_hardware`: the position of the bus has no images."""
    config = layout.config
    bus = layout.bus[0] + layout.bus[1] * config.columns
    numbers = [number for number in range(config.columns * config.rows) if number != bus]
    images = [f"{kind}_{number:03d}.mem" for number in numbers for kind in ("csram", "tc")]
    return [HARDWARE_FILE, *images, "tb_input.txt", "tb_num_inputs.txt"]


def write_hardware(chip: ChipConfig, layout: Layout, packets: PacketList, folder: str) -> list[str]:
    """Write all images, packets and parameters; returns the paths. There must be no :func:`hardware_reasons`."""
    config, widths = layout.config, needed_widths(chip, layout)
    row_of = {int(chip.cores.core[row]): int(row) for row in layout.rows}
    paths = [write_parameters(config, layout.bus, widths, folder)]
    columns = chip.architecture.columns
    destinations = _destinations(chip, layout)
    for number in range(config.columns * config.rows):
        if number == layout.bus[0] + layout.bus[1] * config.columns:
            continue
        row = row_of.get(number % config.columns + number // config.columns * columns)
        neurons = _neuron_lines(chip, layout, widths, destinations, row)
        paths.append(_write(folder, f"csram_{number:03d}.mem", neurons))
        paths.append(_write(folder, f"tc_{number:03d}.mem", _axon_lines(chip, layout, row)))
    return [*paths, *_write_packets(layout, packets, folder)]


def needed_widths(chip: ChipConfig, layout: Layout) -> Widths:
    """The narrowest words, at least the Verilog's default, in which no number is cut and no membrane wraps."""
    cores, bounds = chip.cores, Bounds.of(chip)
    rows = layout.rows
    used = cores.configured[rows]

    def bits(*values: Array) -> int:
        needed = [NARROW]
        for value in values:
            kept = value[rows][used].astype(np.int64)
            needed += [int(kept.max(initial=0)).bit_length() + 1, int(-kept.min(initial=0) - 1).bit_length() + 1]
        return min(max(needed), WIDE)

    weight = max((bits(cores.weight[:, kind]) for kind in range(cores.weight.shape[1])), default=NARROW)
    drifts = (bounds.low_drift[rows] != 0) | (bounds.high_drift[rows] != 0)
    membrane = bits(
        cores.reset, -cores.reset.astype(np.int64), cores.initial, bounds.low + bounds.down, bounds.high + bounds.up
    )
    potential = WIDE if (drifts & used).any() else max(membrane, weight)
    return Widths(potential, weight, bits(cores.leak), bits(cores.threshold, -cores.floor.astype(np.int64)))


def _offsets(chip: ChipConfig, layout: Layout) -> Array:
    """Offsets dx and dy [rows of the layout, N, 2] of every neuron; 0 where a neuron sends nowhere."""
    cores, columns = chip.cores, chip.architecture.columns
    core = cores.core[layout.rows][:, None].astype(np.int64)
    target = cores.target_core[layout.rows].astype(np.int64)
    x = np.where(target == OUTPUT, layout.bus[0], target % columns)
    y = np.where(target == OUTPUT, layout.bus[1], target // columns)
    offset = np.stack([x - core % columns, y - core // columns], axis=-1)
    return np.where((target == NOWHERE)[..., None], 0, offset)


def _dead_end(chip: ChipConfig, layout: Layout) -> tuple[int, int, int] | None:
    """An axon (x, y, axon) of a core of the grid that reaches no neuron, or None."""
    reaching = np.bitwise_or.reduce(chip.cores.crossbar, axis=2)
    for row in layout.rows:
        free = np.flatnonzero(reaching[row] == 0)
        if len(free):
            return (*chip.architecture.core_xy(int(chip.cores.core[row])), int(free[0]))
    return None


def _destinations(chip: ChipConfig, layout: Layout) -> dict[str, Array]:
    """Packets {field: [rows of the layout, N]} that the neurons send; those that send nowhere, to a dead end."""
    cores, rows, columns = chip.cores, layout.rows, chip.architecture.columns
    offset, axon = _offsets(chip, layout), cores.target_axon[rows].astype(np.int64)
    nowhere = cores.target_core[rows] == NOWHERE
    x, y, free = _dead_end(chip, layout) or (0, 0, 0)
    core = cores.core[rows].astype(np.int64)[:, None]
    return {
        "dx": np.where(nowhere, x - core % columns, offset[..., 0]),
        "dy": np.where(nowhere, y - core // columns, offset[..., 1]),
        "destination_axon": np.where(nowhere, free, axon),
        "destination_tick": np.maximum(cores.delay[rows].astype(np.int64) - 1, 0),
    }


def _neuron_lines(
    chip: ChipConfig, layout: Layout, widths: Widths, destinations: dict[str, Array], row: int | None
) -> bytes:
    """The lines of a core's neurons; ``row`` None is a core that is not configured. Unused neurons are inert."""
    config, cores = layout.config, chip.cores
    values = {name: np.zeros(config.neurons, np.int64) for name, _ in neuron_layout(config, widths)}
    values["positive_threshold"][:] = 1
    connections = np.zeros((config.neurons, config.axons), np.uint8)
    if row is not None:
        used, place = cores.configured[row], int(np.searchsorted(layout.rows, row))
        connections = chip.crossbar_bits(row).T[:, ::-1].astype(np.uint8)
        given = {
            "current_potential": cores.initial[row],
            "reset_potential": cores.reset[row],
            **{f"weight{kind}": cores.weight[row, kind] for kind in range(config.weights)},
            "leak": cores.leak[row],
            "positive_threshold": cores.threshold[row],
            "negative_threshold": -cores.floor[row].astype(np.int64),
            "reset_mode": cores.reset_mode[row],
            **{name: field[place] for name, field in destinations.items()},
        }
        for name, value in given.items():
            values[name][used] = value[used]
    return bit_lines(np.concatenate([connections, pack_fields(neuron_layout(config, widths), values)], axis=1))


def _axon_lines(chip: ChipConfig, layout: Layout, row: int | None) -> bytes:
    config = layout.config
    types = np.zeros(config.axons, np.int64) if row is None else chip.cores.axon_type[row].astype(np.int64)
    width = address_bits(config.weights)
    return bit_lines((types[:, None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8))


def _write_packets(layout: Layout, packets: PacketList, folder: str) -> list[str]:
    n = len(packets.index)
    values = {
        "dx": packets.x,
        "dy": packets.y,
        "destination_axon": packets.axon,
        "destination_tick": np.zeros(n, np.int64),
    }
    ticks = int(packets.index[-1]) + 1 if n else 0
    counts = np.bincount(packets.index, minlength=ticks) if n else np.zeros(0, np.int64)
    lines = bit_lines(pack_fields(packet_layout(layout.config), values))
    return [
        _write(folder, "tb_input.txt", lines),
        _write(folder, "tb_num_inputs.txt", "".join(f"{count}\n" for count in counts.tolist()).encode()),
    ]


def _write(folder: str, name: str, text: bytes) -> str:
    path = os.path.join(folder, name)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(text)
    return path

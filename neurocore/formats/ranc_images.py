"""Memory images of RANC's FPGA design, ``csram_*.mem`` and ``tc_*.mem``, and the packets of its test bench.

The images do not say what the grid is, where the output bus stands and how wide the words are. That comes from
``hardware.json``, which the exporter writes beside them, or from a RANC ``config.json`` to which an ``output_bus`` may be
added; without one the bus is the position that neurons send to and that has no image, or one without a live neuron.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import pack_crossbar
from neurocore.container import open_input
from neurocore.errors import InputError
from neurocore.formats.ranc_config import Complaints, RancConfig, Report, read_config
from neurocore.formats.ranc_model import DESTINATION, PARAMETERS, CoreBlock, Packets, RancModel, check_memory
from neurocore.formats.ranc_words import (
    HARDWARE_FILE,
    Widths,
    address_bits,
    neuron_layout,
    packet_layout,
    read_parameters,
    unpack_fields,
)

Array = npt.NDArray[Any]

MAX_TEXT = 2**30
"""An image larger than this is refused."""

_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NAME = re.compile(r"(csram|tc)_(\d+)\.mem")


def read_images(folder: str, config_path: str | None, name: str, report: Report) -> RancModel:
    """Read a folder of images. Raises InputError that says what is missing or wrong, by file."""
    config, widths = _parameters(folder, config_path, report)
    found = _find(folder)
    beyond = [number for number in found["csram"] if number >= config.columns * config.rows]
    if beyond:
        raise InputError(
            f"{folder}: {found['csram'][beyond[0]]} has no place on a grid of {config.columns} x {config.rows}; check"
            " num_cores_x and num_cores_y"
        )
    check_memory(config, len(found["csram"]))
    cores = [
        _read_core(folder, number, found["csram"][number], found["tc"].get(number), config, widths)
        for number in sorted(found["csram"])
    ]
    bus = config.output_bus or _guess_bus(cores, config, folder, report)
    cores = [block for block in cores if (block.x, block.y) != bus[:2]]
    return RancModel(name, config, bus, cores, _read_packets(folder, config, report))


def _parameters(folder: str, config_path: str | None, report: Report) -> tuple[RancConfig, Widths]:
    beside = os.path.join(folder, HARDWARE_FILE)
    if config_path is not None:
        return read_config(config_path, report), Widths()
    if os.path.exists(beside):
        return read_parameters(beside)
    raise InputError(
        f"{folder}: memory images do not say how large the grid is; give RANC's config.json after the folder, with"
        ' "output_bus": {"coordinates": [x, y], "num_outputs": n} added if you know it'
    )


def _find(folder: str) -> dict[str, dict[int, str]]:
    """Image files by kind and number."""
    found: dict[str, dict[int, str]] = {"csram": {}, "tc": {}}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}; check the path") from error
    for name in names:
        if match := _NAME.fullmatch(name):
            number = int(match[2])
            if found[match[1]].setdefault(number, name) != name:
                raise InputError(f"{folder}: {name} and {found[match[1]][number]} are the same core's")
    if not found["csram"] and HARDWARE_FILE not in names:
        raise InputError(f"{folder} holds no csram_*.mem; give the folder of the memory images")
    return found


def _read_words(folder: str, name: str) -> list[bytes]:
    """The words of a file in the notation of $readmemb, comments and underscores aside."""
    path = os.path.join(folder, name)
    with open_input(path) as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise InputError(f"{path} has more than {MAX_TEXT:,} bytes; no image is that large")
    words = _COMMENT.sub(b" ", data).replace(b"_", b"").split()
    for number, word in enumerate(words):
        if word.strip(b"01"):
            text = word[:40].decode("ascii", "replace")
            raise InputError(f"{path}: word {number} is {text!r}; digits 0 and 1 were expected")
    return words


def _bit_table(words: list[bytes], path: str, widths: tuple[int, ...], what: str) -> Array:
    """Words of one of the given widths as bits [n, width]."""
    for number, word in enumerate(words):
        if len(word) not in widths or len(word) != len(words[0]):
            expected = " or ".join(str(width) for width in dict.fromkeys(widths))
            raise InputError(f"{path}: {what} {number} has {len(word)} bits; {expected} were expected: check the sizes")
    width = len(words[0]) if words else widths[0]
    return np.frombuffer(b"".join(words), np.uint8).reshape(len(words), width) - ord("0")


def _read_core(folder: str, number: int, csram: str, tc: str | None, config: RancConfig, widths: Widths) -> CoreBlock:
    """One core from its two images; axons without an image are of type 0."""
    path = os.path.join(folder, csram)
    old = Widths(widths.potential, widths.weight, widths.leak, widths.threshold, 0)
    sizes = [config.axons + sum(width for _, width in neuron_layout(config, item)) for item in (widths, old)]
    bits = _bit_table(_read_words(folder, csram), path, tuple(sizes), "neuron")
    if len(bits) > config.neurons:
        raise InputError(f"{path}: holds {len(bits)} neurons; the configuration has {config.neurons}")
    layout = neuron_layout(config, widths if bits.shape[1] == sizes[0] else old)
    values = unpack_fields(layout, bits[:, config.axons :])
    values.setdefault("reset_mode", np.zeros(len(bits), np.int64))
    connections = np.zeros((config.axons, config.neurons), bool)
    connections[:, : len(bits)] = bits[:, : config.axons][:, ::-1].T
    weights = np.stack([values[f"weight{kind}"] for kind in range(config.weights)], axis=1)
    block = CoreBlock(
        csram,
        number % config.columns,
        number // config.columns,
        np.zeros(config.axons, np.uint8) if tc is None else _read_axons(folder, tc, config),
        pack_crossbar(connections),
        weights.astype(np.int32),
        np.stack([values["dx"], values["dy"]], axis=1).astype(np.int32),
        {name: values[name].astype(np.int32) for name in (*PARAMETERS, *DESTINATION)},
    )
    _check_fields(block, config, path)
    return block


def _check_fields(block: CoreBlock, config: RancConfig, path: str) -> None:
    """Fields with more bits than values."""
    wrong = Complaints(path)
    for number in np.flatnonzero(block.neurons["destination_tick"] >= config.depth):
        found = f"is {block.neurons['destination_tick'][number]}; 0..{config.depth - 1} is allowed"
        wrong.add(f"neurons[{number}].destination_tick", found)
    wrong.raise_if_any()


def _read_axons(folder: str, name: str, config: RancConfig) -> Array:
    """Axon types [A]; those not given are 0."""
    path = os.path.join(folder, name)
    bits = _bit_table(_read_words(folder, name), path, (address_bits(config.weights),), "axon")
    if len(bits) > config.axons:
        raise InputError(f"{path}: holds {len(bits)} axons; the configuration has {config.axons}")
    types = np.zeros(config.axons, np.uint8)
    types[: len(bits)] = bits.astype(np.int64) @ (1 << np.arange(bits.shape[1] - 1, -1, -1))
    if types.max(initial=0) >= config.weights:
        raise InputError(f"{path}: axon type {types.max()} is not below num_weights, {config.weights}")
    return types


def _guess_bus(cores: list[CoreBlock], config: RancConfig, folder: str, report: Report) -> tuple[int, int, int]:
    """The position that live neurons send to and that holds no live neuron itself."""
    live = {(block.x, block.y) for block in cores if _alive(block).any()}
    lines: dict[tuple[int, int], int] = {}
    for block in cores:
        used = _alive(block)
        x, y = block.x + block.offset[used, 0], block.y + block.offset[used, 1]
        for place in sorted(set(zip(x.tolist(), y.tolist(), strict=True)) - live):
            most = int(block.neurons["destination_axon"][used][(x == place[0]) & (y == place[1])].max())
            lines[place] = max(lines.get(place, 0), most + 1)
    inside = {(x, y): n for (x, y), n in lines.items() if 0 <= x < config.columns and 0 <= y < config.rows}
    if len(inside) != 1:
        known = ", ".join(map(str, sorted(inside)[:5])) or "none"
        raise InputError(
            f"{folder}: where the output bus stands cannot be told (candidates: {known}); add"
            ' "output_bus": {"coordinates": [x, y], "num_outputs": n} to config.json'
        )
    (place, count) = next(iter(inside.items()))
    report.note("guessed_bus", 1, f"the output bus is taken to stand at {place}, with {count} lines")
    return (*place, count)


def _alive(block: CoreBlock) -> Array:
    """Neurons [n] whose membrane can change or that fire from the start."""
    values = block.neurons
    reached = np.bitwise_or.reduce(block.crossbar, axis=0)
    bits = np.unpackbits(reached.astype("<u8").view(np.uint8), bitorder="little")[: block.n].astype(bool)
    start = values["current_potential"]
    moved = (values["leak"] != 0) | (start >= values["positive_threshold"]) | (start < values["negative_threshold"])
    return np.asarray(bits | moved)


def _read_packets(folder: str, config: RancConfig, report: Report) -> Packets:
    """Packets of ``tb_input.txt``, divided into ticks by ``tb_num_inputs.txt``; none if there are no such files."""
    path = os.path.join(folder, "tb_input.txt")
    if not os.path.exists(path):
        report.note("no_packets", 1, f"{folder} has no tb_input.txt; there are no input spikes")
        return Packets.from_rows(np.zeros((0, 5)))
    layout = packet_layout(config)
    bits = _bit_table(_read_words(folder, "tb_input.txt"), path, (sum(width for _, width in layout),), "packet")
    values = unpack_fields(layout, bits)
    index = _packet_ticks(folder, len(bits), report)
    rows = np.stack([index, *(values[name] for name, _ in layout)], axis=1)
    limits = np.array([config.columns, config.rows, config.axons, config.depth])
    wrong = Complaints(path)
    for number in np.flatnonzero(((rows[:, 1:] < 0) | (rows[:, 1:] >= limits)).any(axis=1)):
        x, y, axon, tick = rows[number, 1:]
        wrong.add(f"packet {number}", f"goes to core ({x}, {y}), axon {axon}, delay field {tick}; that does not exist")
    wrong.raise_if_any()
    return Packets.from_rows(rows)


def _packet_ticks(folder: str, n: int, report: Report) -> Array:
    """The index of the tick [n] to which each packet belongs."""
    path = os.path.join(folder, "tb_num_inputs.txt")
    if not os.path.exists(path):
        report.note("no_ticks", n, f"{folder} has no tb_num_inputs.txt; all packets are taken as those of packets[0]")
        return np.zeros(n, np.int64)
    with open_input(path) as file:
        words = file.read(MAX_TEXT).split()
    if not all(re.fullmatch(rb"\d{1,9}", word) for word in words):
        raise InputError(f"{path}: a number of packets per line was expected")
    counts = np.array([int(word) for word in words], np.int64)
    if counts.sum() != n:
        raise InputError(f"{path}: announces {counts.sum()} packets; tb_input.txt has {n}")
    return np.repeat(np.arange(len(counts)), counts)

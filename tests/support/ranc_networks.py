"""A network of two RANC cores by hand, and how to change it, for tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurocore.architecture import Architecture, load_architecture
from neurocore.config import OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays
from neurocore.formats.ranc import read_ranc
from neurocore.spikes import Spikes

CONFIG = {
    "num_neurons": 2,
    "num_axons": 2,
    "num_cores_x": 2,
    "num_cores_y": 1,
    "num_weights": 4,
    "max_tick_offset": 16,
    "neuron_block_trace_verbosity": 0,
    "core_controller_trace_verbosity": 0,
    "scheduler_trace_verbosity": 0,
    "neuron_reset_type": 0,
}


def packet(x: int, y: int, axon: int, field: int) -> dict[str, Any]:
    return {"destination_core": [x, y], "destination_axon": axon, "destination_tick": field}


def neuron(**changes: Any) -> dict[str, Any]:
    usual = {
        "reset_potential": 0,
        "weights": [2, 3, 0, 0],
        "leak": 0,
        "positive_threshold": 3,
        "negative_threshold": -5,
        "destination_core_offset": [1, 0],
        "destination_axon": 0,
        "destination_tick": 0,
        "current_potential": 0,
        "reset_mode": 1,
    }
    return {**usual, **changes}


SECOND = neuron(
    weights=[1, 1], leak=1, positive_threshold=4, destination_core_offset=[0, 0], destination_tick=3, reset_mode=0
)
INPUT = {
    "packets": [[packet(0, 0, 1, 0), packet(1, 0, 1, 5)], [], [], [packet(1, 0, 0, 15), packet(1, 0, 0, 0)]],
    "output_bus": {"coordinates": [1, 0], "num_outputs": 2},
    "cores": [{"coordinates": [0, 0], "axons": [0, 1], "connections": [[1, 1], [0, 1]], "neurons": [neuron(), SECOND]}],
}


GOOD = json.dumps(INPUT).encode()


def network(data: Any = INPUT, config: Any = CONFIG) -> tuple[ChipConfig, Spikes, Any]:
    """The network of an input, given as data or as text, and of a configuration."""
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    Path("input.json").write_bytes(text)
    Path("config.json").write_text(json.dumps(config))
    return read_ranc("input.json", "config.json")


def changed(change: Callable[[Any], Any]) -> Any:
    data = copy.deepcopy(INPUT)
    change(data)
    return data


def first_neuron(**changes: Any) -> Any:
    return changed(lambda d: d["cores"][0]["neurons"][0].update(changes))


def first_core(**changes: Any) -> Any:
    return changed(lambda d: d["cores"][0].update(changes))


def small_chip(arch: Architecture | str = "truenorth", **changes: Any) -> ChipConfig:
    """One core with neurons 0 and 1: axon 0 drives neuron 0, that neuron 1, that output line 0."""
    arch = load_architecture(arch)
    arrays = blank_arrays(arch, 1)
    arrays["crossbar"][0, 0, 0], arrays["crossbar"][0, 1, 0] = 1, 2
    arrays["weight"][0, 0, :2] = 1
    for name, values in (
        ("configured", True),
        ("threshold", 1),
        ("floor", 0),
        ("floor_mode", 0),
        ("target_core", [0, OUTPUT]),
        ("target_axon", [1, 0]),
        ("delay", [3, 0]),
    ):
        arrays[name][0, :2] = values
    for name, values in changes.items():
        arrays[name][..., :2] = values
    entry = InputMap(*(np.array([value], np.int64) for value in (0, 0, 0, 2)))
    return ChipConfig(
        arch, Cores(**arrays), inputs=(Group("in", (1,)),), outputs=(Group("out", (1,)),), input_map=entry
    ).validate()

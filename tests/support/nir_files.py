"""NIR files for tests, laid out as the nir package does it."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np


def write(path: Path, nodes: dict, edges: list[tuple[str, str]]) -> str:
    """A NIR file as the nir package lays it out; nodes are (type, parameters)."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        root = file.create_group("node")
        root["type"] = "NIRGraph"
        root["edges"] = np.array(edges, dtype=h5py.string_dtype())
        group = root.create_group("nodes")
        for name, (kind, parameters) in nodes.items():
            node = group.create_group(name)
            node["type"] = kind
            for key, value in parameters.items():
                node[key] = value
    return str(path)


def chain(*names: str) -> list[tuple[str, str]]:
    return list(itertools.pairwise(names))


def neurons(shape, **more) -> tuple[str, dict]:
    return "IF", {"r": np.ones(shape, "f4"), "v_threshold": np.ones(shape, "f4"), **more}


def maps(path: Path, pool: str, channels: int = 2) -> str:
    """input [2, 6, 6] -> conv, stride 1 -> IF -> pool -> flatten -> linear -> IF [3]."""
    rng = np.random.default_rng(0)
    nodes = {
        "input": ("Input", {"shape": [2, 6, 6]}),
        "conv": (
            "Conv2d",
            {
                "input_shape": [6, 6],
                "weight": rng.normal(0.2, 0.4, (channels, 2, 3, 3)),
                "bias": np.zeros(channels),
                "stride": [1, 1],
                "padding": [1, 1],
                "dilation": [1, 1],
                "groups": 1,
            },
        ),
        "a": neurons((channels, 6, 6)),
        "pool": (pool, {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}),
        "flat": ("Flatten", {"start_dim": 0, "end_dim": -1, "input_type": [channels, 3, 3]}),
        "fc": ("Linear", {"weight": rng.normal(0.2, 0.5, (3, channels * 9))}),
        "b": neurons(3),
        "output": ("Output", {"shape": [3]}),
    }
    return write(path, nodes, chain(*nodes))  # fmt: skip

"""The N-MNIST network of the NIR paper, as sinabs exported it: 8,970 neurons on one chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurocore.chipfile import load_chip
from neurocore.compiler.nirfile import load_nir
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.spikes import Spikes, write


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip).run(spikes, ticks).spikes


def moving_edge(ticks: int) -> Spikes:
    """Events of a bar that moves over the 34 x 34 pixels of both polarities, and some noise."""
    rng = np.random.default_rng(0)
    frames = rng.random((ticks, 2, 34, 34)) < 0.002
    for tick in range(ticks):
        for polarity, column in ((0, tick // 2 % 30), (1, (tick // 2 - 4) % 30)):
            frames[tick, polarity, 6:28, column : column + 3] |= rng.random((22, 3)) < 0.3
    return Spikes.from_lines(*np.nonzero(frames.reshape(ticks, -1)))


def test_the_graph_is_read(data: Path) -> None:
    net = load_nir(data / "nir" / "cnn_sinabs.nir")
    assert net.inputs["input"].shape == (2, 34, 34)
    shapes = {name: item.shape for name, item in net.populations.items()}
    pools = {"4": (16, 8, 8), "7": (8, 4, 4)}
    assert shapes == {"1": (16, 16, 16), "3": (16, 16, 16), "6": (8, 8, 8), "10": (256,), "12": (10,), **pools}
    assert sum(int(np.prod(shape)) for name, shape in shapes.items() if name not in pools) == 8970


@pytest.mark.slow
def test_one_chip_holds_it(data: Path, tmp_path: Path, command) -> None:
    path, chip_path, sample = str(data / "nir" / "cnn_sinabs.nir"), str(tmp_path / "cnn.h5"), str(tmp_path / "in.npz")
    write(sample, moving_edge(60))
    report = command("compile", path, "-o", chip_path, "--sample", sample, "--json").json
    assert report["cores"] <= 4096
    losses = {item["name"]: item["weight_error"] for item in report["quantisation"]["populations"]}
    assert set(losses) == {"1", "3", "6", "10", "12"}
    assert max(losses.values()) < 0.25
    effect = {item["name"]: item for item in report["effect"]["populations"]}
    assert effect["10"]["spikes_before"] > 100
    assert all(effect[name]["correlation"] > 0.8 for name in ("1", "3", "6", "10"))
    chip = load_chip(chip_path)
    verdict = verify(load_nir(path), chip, moving_edge(40), 50, run)
    assert verdict.equal

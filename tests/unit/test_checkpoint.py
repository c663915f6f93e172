"""A resumed run ends as if it had never been interrupted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from neurocore.checkpoint import load_checkpoint, run_with_checkpoints
from neurocore.compare import first_difference
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import InputError, UsageError
from neurocore.recorder import Recorder
from neurocore.runfile import load_run
from neurocore.spikes import Spikes

PROBES = ["p:membrane"]


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    net = Network("net")
    x, p = net.input("x", 4), net.population("p", 12, threshold=3, leak=9, leak_stochastic=True)
    net.connect(x, p, all_to_all=1, delay=30)
    net.connect(p, p, one_to_one=2, delay=9)
    net.output("p", p)
    return compile_network(net)


@pytest.fixture(scope="module")
def spikes() -> Spikes:
    rng = np.random.default_rng(3)
    return Spikes.from_lines(rng.integers(0, 200, 150), rng.integers(0, 4, 150))


def run(
    chip: ChipConfig,
    spikes: Spikes,
    ticks: int,
    path: str | None = None,
    every: int | None = None,
    resume: str | None = None,
):
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/r.h5"
        with Recorder(Emulator(chip, probes=PROBES), output) as recorder:
            run_with_checkpoints(recorder, spikes, ticks, path, every, resume, lambda done, total: None)
            recorder.finish()
        return load_run(output)


@pytest.mark.parametrize("every", [1, 37, 500])
def test_checkpoints_change_nothing(chip: ChipConfig, spikes: Spikes, tmp_path: Path, every: int) -> None:
    whole = Emulator(chip, probes=PROBES).run(spikes, 200)
    assert first_difference(run(chip, spikes, 200, str(tmp_path / "c"), every), whole) is None


def test_resumed_run_equals_the_whole(chip: ChipConfig, spikes: Spikes, tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    run(chip, spikes, 90, path, 45)
    resumed = run(chip, spikes, 200, resume=path)
    whole = Emulator(chip, probes=PROBES).run(spikes, 200)
    assert first_difference(resumed, whole) is None
    resumed.save(str(tmp_path / "r.h5"))
    assert first_difference(load_run(str(tmp_path / "r.h5")), whole) is None


def test_refusals(chip: ChipConfig, spikes: Spikes, tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    run(chip, spikes, 50, path, 50)
    with pytest.raises(UsageError, match="stands at tick 50, beyond the 40 ticks asked for"):
        run(chip, spikes, 40, resume=path)
    with pytest.raises(InputError, match="was recorded with probes"):
        load_checkpoint(path, Recorder(Emulator(chip), str(tmp_path / "r.h5")))
    with pytest.raises(InputError, match="the state was saved with seed 0; this emulator has 5"):
        load_checkpoint(path, Recorder(Emulator(chip, probes=PROBES, seed=5), str(tmp_path / "r.h5")))
    other = Network("other")
    other.population("p", 12)
    with pytest.raises(InputError, match="was saved from chip 'net', which is not the chip given"):
        load_checkpoint(path, Recorder(Emulator(compile_network(other), probes=PROBES), str(tmp_path / "r.h5")))
    with pytest.raises(InputError, match="holds a checkpoint"):
        load_run(path)

"""101 vector-matrix networks against what IBM's own Compass simulator recorded, and RANC's output of the same, byte for byte."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from neurocore.emulator import Emulator
from neurocore.formats.ranc import output_text, read_ranc

CASES = [*(f"batch{number:03d}" for number in range(100)), "single"]


def check(folder: Path, engine: str) -> None:
    ticks = json.loads((folder / "meta.json").read_text())["ticks"]
    chip, spikes, report = read_ranc(folder / "input.json.gz", folder / "config.json")
    assert report.lines() == []
    run = Emulator(chip, engine=engine).run(spikes, ticks)

    recorded = np.load(folder / "compass.npz")["output_spikes"]
    shown = np.zeros((ticks + 1, run.chip.outputs[0].size), np.uint8)
    shown[run.spikes.tick + 1, run.spikes.line] = 1  # row t shows what fired in RANC's and Compass' tick t
    assert recorded.sum() > 0
    assert np.array_equal(shown[:ticks], recorded)
    assert output_text(run).encode() == gzip.decompress((folder / "output.txt.gz").read_bytes())


@pytest.mark.parametrize("case", CASES)
def test_compiled_engine_equals_compass(data: Path, case: str) -> None:
    check(data / "compass" / case, "compiled")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (i % 4 != 0)) for i, case in enumerate(CASES)]
)
def test_oracle_equals_compass(data: Path, case: str) -> None:
    check(data / "compass" / case, "oracle")


def test_all_recordings_are_tested(data: Path) -> None:
    assert sorted(folder.name for folder in (data / "compass").iterdir()) == CASES

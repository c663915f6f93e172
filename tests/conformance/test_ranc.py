"""Networks that RANC's simulator ran: every line of its output, every neuron spike, every membrane at every tick."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.formats.ranc import Report, export_ranc, output_text, read_hardware, read_ranc
from neurocore.result import RunResult
from neurocore.spikes import Spikes

CASES = (
    "f01_fuzz",
    "f02_fuzz",
    "q01_lost_max_delay",
    "q02_duplicates",
    "q05_odd_thresholds",
    "v01_ff_absolute",
    "v02_ff_linear",
    "v05_recurrent_delays",
    "v09_rect_32x96_w8_mt8",
    "v12_large_values",
)
ENGINES = ("compiled", "oracle")


@pytest.fixture(scope="module", params=CASES)
def folder(request: pytest.FixtureRequest, data: Path) -> Path:
    return data / "ranc" / request.param


@pytest.fixture(scope="module")
def network(folder: Path) -> tuple[ChipConfig, Spikes, Report]:
    return read_ranc(folder / "input.json.gz", folder / "config.json")


@pytest.fixture(scope="module")
def meta(folder: Path) -> dict:
    return json.loads((folder / "meta.json").read_text())


@pytest.fixture(scope="module", params=ENGINES)
def run(request: pytest.FixtureRequest, network: tuple[ChipConfig, Spikes, Report], meta: dict) -> RunResult:
    chip, spikes, _ = network
    return Emulator(chip, engine=request.param, probes=["neurons:membrane"]).run(spikes, meta["ticks"])


def test_all_recordings_are_tested(data: Path) -> None:
    assert tuple(sorted(path.name for path in (data / "ranc").iterdir())) == CASES


def test_output_text(run: RunResult, folder: Path) -> None:
    assert output_text(run).encode() == (folder / "output.txt").read_bytes()


def test_every_neuron_spike(run: RunResult, folder: Path, network: tuple[ChipConfig, Spikes, Report]) -> None:
    chip = network[0]
    rows = chip.row_of()
    with gzip.open(folder / "neuron_spikes.csv.gz", "rt") as file:
        expected = {
            (int(item["tick"]) - 1, chip.cores.index[rows[chip.architecture.core_id(x, y)], int(item["neuron"])])
            for item in csv.DictReader(file)
            for x, y in [(int(item["core_x"]), int(item["core_y"]))]
        }
    spikes = run.probes["neurons:membrane"].spikes
    assert set(zip(spikes.tick.tolist(), spikes.line.tolist(), strict=True)) == expected
    assert run.n_spikes == len(expected)


def test_every_membrane_at_every_tick(run: RunResult, folder: Path, network: tuple[ChipConfig, Spikes, Report]) -> None:
    chip = network[0]
    recorded = np.load(folder / "potentials.npz")
    rows = chip.row_of()[recorded["core_index"]]
    assert sorted(rows) == list(range(len(chip.cores)))
    probed = run.probes["neurons:membrane"].membranes
    assert np.array_equal(probed[:, chip.cores.index[rows]], recorded["potential"])


def test_input_spikes(network: tuple[ChipConfig, Spikes, Report], folder: Path) -> None:
    """``seen_in_tick`` counts from 1; packets with the last delay field are lost, duplicates merge."""
    chip, spikes, report = network
    last = chip.architecture.core.scheduler_slots - 1
    with (folder / "input_spikes.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = {
        (
            int(row["seen_in_tick"]) - 1,
            chip.architecture.core_id(int(row["core_x"]), int(row["core_y"])),
            int(row["axon"]),
        )
        for row in rows
        if int(row["delay_field"]) != last
    }
    assert set(zip(spikes.tick.tolist(), spikes.core.tolist(), spikes.axon.tolist(), strict=True)) == expected
    assert report.counts["lost_packets"] == sum(int(row["delay_field"]) == last for row in rows)


def test_losses_are_reported(data: Path) -> None:
    folder = data / "ranc" / "q01_lost_max_delay"
    report = read_ranc(folder / "input.json.gz", folder / "config.json")[2]
    assert report.lines() == [
        "66 input packets have delay field 15, the last, which RANC loses: left out",
        "10 neurons send with delay field 15, the last, which RANC loses: their spikes go nowhere",
    ]


def test_export_is_the_identity(
    network: tuple[ChipConfig, Spikes, Report], meta: dict, folder: Path, tmp_path: Path
) -> None:
    chip, spikes, _ = network
    done = export_ranc(chip, tmp_path, spikes=spikes)
    again, spikes_again, _ = read_ranc(tmp_path / "input.json", tmp_path / "config.json")
    assert again.digest() == chip.digest()
    assert spikes_again == spikes
    if not done.hardware_reasons:
        images, packets, report = read_hardware(tmp_path)
        assert packets == spikes
        assert report.lines() == []
        run = Emulator(images).run(packets, meta["ticks"])
        assert output_text(run).encode() == (folder / "output.txt").read_bytes()

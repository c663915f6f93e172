"""Model and spike files that IBM's Corelet Programming Environment wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.config import NOWHERE, OUTPUT, ChipConfig
from neurocore.emulator import Emulator
from neurocore.formats.ibm import read_model, write_model
from neurocore.formats.ibm_spikes import (
    output_map,
    read_output_spikes,
    read_spikes,
    write_output_spikes,
    write_spikes,
)


@pytest.fixture(scope="module")
def model(data: Path) -> ChipConfig:
    return read_model(data / "ibm" / "ex1.json")[0]


@pytest.fixture(scope="module")
def plain(data: Path) -> dict[str, Any]:
    """The same file by another reader: comments cut out, then ordinary JSON; no key repeats in this one."""
    text = (data / "ibm" / "ex1.json").read_text(encoding="utf-8")
    return json.loads(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def test_facts_of_the_file(model: ChipConfig, plain: dict[str, Any]) -> None:
    cores = model.cores
    assert len(cores) == plain["model"]["coreCount"] == 1
    assert cores.core.tolist() == [plain["core"]["id"]]
    assert cores.stream.tolist() == [plain["core"]["rngSeed"]]
    used = np.arange(256) < 200
    assert plain["core"]["neurons"]["types"] == ["1x200", "0x56"]
    assert np.array_equal(cores.configured[0], used)
    assert (cores.target_core[0] == np.where(used, OUTPUT, NOWHERE)).all()
    assert cores.target_axon[0, :200].tolist() == list(range(200))
    assert [(group.name, group.size) for group in model.outputs] == [("connector -32", 200)]


def test_synapses_of_the_file(model: ChipConfig, plain: dict[str, Any]) -> None:
    rows = plain["crossbarTypes"][0]["crossbar"]["rows"]
    bits = np.array([[digit == "1" for digit in f"{int(row['synapses'].replace(' ', ''), 16):0256b}"] for row in rows])
    assert not bits[:, 200:].any()
    assert np.array_equal(model.crossbar_bits(0), bits)
    assert model.cores.axon_type[0].tolist() == [int(row["type"][1]) for row in rows]


def test_parameters_of_the_file(model: ChipConfig, plain: dict[str, Any]) -> None:
    kind, cores = plain["neuronTypes"][0], model.cores
    for g in range(4):
        assert (cores.weight[0, g, :200] == kind[f"sigma{g}"] * kind[f"s{g}"]).all()
        assert (cores.weight_stochastic[0, g, :200] == kind[f"b{g}"]).all()
    expected = {
        "leak": kind["sigma_lambda"] * kind["lambda"],
        "leak_stochastic": kind["c_lambda"],
        "leak_reversal": kind["epsilon"],
        "threshold": kind["alpha"],
        "floor": kind["beta"],
        "threshold_mask_bits": kind["TM"],
        "reset_mode": kind["gamma"],
        "floor_mode": kind["kappa"],
        "reset": kind["sigma_VR"] * (2 ** kind["VR"] - 1),
        "initial": kind["V"],
    }
    for name, value in expected.items():
        assert (getattr(cores, name)[0, :200] == value).all(), name


def test_spikes_are_active_one_default_delay_later(data: Path) -> None:
    spikes = read_spikes(data / "ibm" / "ex1_spikes.sfti")
    lines = (data / "ibm" / "ex1_spikes.sfti").read_text(encoding="utf-8").splitlines()
    header = json.loads(lines[1])
    given = [json.loads(line)["spike"] for line in lines[2:]]
    rows = sorted((s["srcTime"] + header["defaultDestinationDelay"], s["destCore"], s["destAxon"]) for s in given)
    assert list(zip(spikes.tick.tolist(), spikes.core.tolist(), spikes.axon.tolist(), strict=True)) == rows


def _weighted_sums(model: ChipConfig, data: Path, ticks: int) -> set[tuple[int, int]]:
    """Output spikes (tick, line) by arithmetic: this model only adds weights, subtracts 22 and bounces at 0."""
    bits, axon_type = model.crossbar_bits(0), model.cores.axon_type[0]
    weight = np.take_along_axis(model.cores.weight[0].astype(int), axon_type[:, None].astype(int), axis=0) * bits
    spikes = read_spikes(data / "ibm" / "ex1_spikes.sfti")
    membrane, fired = np.zeros(256, int), set()
    for tick in range(ticks):
        membrane += weight[spikes.axon[spikes.tick == tick]].sum(axis=0)
        for neuron in np.flatnonzero(membrane[:200] >= 22).tolist():
            fired.add((tick, neuron))
            membrane[neuron] -= 22
    return fired


def test_runs_equally_on_both_engines(model: ChipConfig, data: Path) -> None:
    spikes = read_spikes(data / "ibm" / "ex1_spikes.sfti")
    runs = [Emulator(model, engine=engine).run(spikes, ticks=40) for engine in ("compiled", "oracle")]
    assert runs[0].spikes == runs[1].spikes
    assert np.array_equal(runs[0].membranes, runs[1].membranes)
    found = set(zip(runs[0].spikes.tick.tolist(), runs[0].spikes.line.tolist(), strict=True))
    assert found == _weighted_sums(model, data, 40)
    assert len(found) > 100


def test_round_trip(model: ChipConfig, data: Path, tmp_path: Path) -> None:
    assert write_model(model, tmp_path / "exported") == ()
    again, report = read_model(tmp_path / "exported" / "model.json")
    assert again.digest() == model.digest()
    assert report.sentences() == ()
    spikes = read_spikes(data / "ibm" / "ex1_spikes.sfti")
    for name in ("again.sfti", "again.sfri"):
        write_spikes(tmp_path / name, spikes)
        assert read_spikes(tmp_path / name) == spikes
    fired = Emulator(model).run(spikes, ticks=40).spikes
    for name in ("out.sfto", "out.sfro"):
        write_output_spikes(tmp_path / name, fired, output_map(model))
        assert read_output_spikes(tmp_path / name, output_map(again)) == fired

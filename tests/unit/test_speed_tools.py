"""The tools that compare speeds: the network that other simulators get, and the verdict over a baseline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurocore.emulator import Emulator

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    """Imports a tool by name."""
    monkeypatch.syspath_prepend(str(TOOLS))

    def load(name: str) -> ModuleType:
        sys.modules.pop(name, None)
        return __import__(name)

    return load


def test_other_simulators_get_the_same_network(tool) -> None:
    """A plain simulation of the arrays fires spike for spike as the chip does."""
    compare_speed = tool("compare_speed")
    chip = compare_speed.comparable_chip(3, 50, 40, stochastic=False)
    arrays, ticks = compare_speed.network_arrays(chip), 200
    arriving = np.zeros((ticks + 16, len(arrays["threshold"])), np.int64)
    membrane, counts = arrays["initial"].astype(np.int64), np.zeros(len(arrays["threshold"]), np.int64)
    order = np.argsort(arrays["source"], kind="stable")
    source, target, weight, delay = (arrays[name][order] for name in ("source", "target", "weight", "delay"))
    first = np.searchsorted(source, np.arange(len(counts) + 1))
    for tick in range(ticks):
        membrane += arriving[tick] + arrays["leak"]
        fired = membrane >= arrays["threshold"]
        membrane -= np.where(fired, arrays["threshold"], 0)
        counts += fired
        for neuron in np.flatnonzero(fired):
            part = slice(first[neuron], first[neuron + 1])
            np.add.at(arriving, (tick + delay[part].astype(int), target[part]), weight[part])
    run = Emulator(chip, threads=1).run(None, ticks)
    assert (run.neuron_spikes.ravel() == counts).all()
    assert (run.membranes.ravel() == membrane).all()
    assert len(run.spikes) == run.neuron_spikes[0].sum() > 0


def test_chance_of_a_stochastic_leak(tool) -> None:
    compare_speed = tool("compare_speed")
    chip = compare_speed.comparable_chip(2, 20, 16, stochastic=True)
    arrays = compare_speed.network_arrays(chip)
    assert (arrays["leak"] == 1).all()
    assert (arrays["chance"] == (chip.cores.leak.ravel() + 1) / 256).all()
    assert len(arrays["source"]) == chip.n_synapses


def test_table_names_the_ratio_and_what_is_missing(tool) -> None:
    compare_speed = tool("compare_speed")
    contenders = [
        compare_speed.Contender(name, lambda: (0, 0.0, 0.0), speeds=speeds, rates=[rate])
        for name, speeds, rate in (("slow", [10.0, 30.0, 20.0], 25.0), ("neurocore", [100.0, 80.0, 90.0], 20.0))
    ]
    shown = compare_speed.table(contenders, {"gone": "not installed"})
    assert "| neurocore | 90.0 | 80.0–100.0 | 20.00 | 1.0 |" in shown
    assert "| slow | 20.0 | 10.0–30.0 | 25.00 (differs) | 4.5 |" in shown
    assert "| gone | not run: not installed | | | |" in shown


def test_changes_of_more_than_ten_percent_are_shown(tool) -> None:
    check_speed = tool("check_speed")
    stored = {name: {"ratio": 100.0} for name in ("a", "b", "c")}
    found = {
        name: {"ratio": ratio, "spread": 0.01} for name, ratio in (("a", 88.0), ("b", 109.0), ("c", 120.0), ("d", 1.0))
    }
    lines, slower = check_speed.compare(found, stored)
    assert slower
    assert [line.split()[-1] for line in lines[1:]] == ["slower", "1.0%", "faster", "1.000"]
    assert not check_speed.compare({"b": found["b"]}, stored)[1]


def test_baseline_holds_every_point(tool) -> None:
    check_speed = tool("check_speed")
    stored = json.loads(check_speed.BASELINE.read_text())["points"]
    assert stored.keys() == check_speed.POINTS.keys()
    assert all(values["ratio"] > 0 for values in stored.values())

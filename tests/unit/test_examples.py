"""The examples do what they claim, on proved and verified chips."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.spikes import Spikes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip).run(spikes, ticks).spikes


def test_twenty_circuits_share_a_core_and_follow_their_rules() -> None:
    circuits = example("circuits")
    chip = compile_network(circuits.network())
    assert len(circuits.CIRCUITS) == len(chip.outputs) == 20
    assert len(chip.cores) == 1
    given = circuits.stimulus(400)
    answers = circuits.measured(chip, given)
    for name, right in circuits.expected(given).items():
        assert right.any(), name
        assert not right.all(), name
        assert np.array_equal(answers[name], right), name
    spikes = Spikes.from_lines(*np.nonzero(given))
    assert verify(circuits.network(), chip, spikes, 400, run).equal


def test_a_wrong_circuit_would_be_noticed() -> None:
    circuits = example("circuits")
    net = circuits.network()
    one = next(item for item in net.projections if item.source == "majority")
    net.projections[net.projections.index(one)] = type(one)(one.source, one.target, [[1], [1], [1], [1], [2]])
    given = circuits.stimulus(400)
    answers, wanted = circuits.measured(compile_network(net), given), circuits.expected(given)
    assert [name for name, right in wanted.items() if not np.array_equal(answers[name], right)] == ["majority"]


def test_the_balanced_network_fires_asynchronously_and_irregularly() -> None:
    balanced = example("balanced")
    net, ticks = balanced.network(), 600
    chip = compile_network(net)
    spikes = balanced.drive(ticks)
    found = run(chip, spikes, ticks + chip.latency)
    assert sum(item.size for item in net.populations.values()) == 1024
    assert 0.02 < len(found) / 1024 / ticks < 0.15
    assert 0.7 < balanced.irregularity(found) < 1.3
    assert balanced.synchrony(found, ticks + chip.latency) < 0.05
    verdict = verify(net, chip, spikes, 150, run)
    assert verdict.equal
    assert verdict.spikes_compared > 5000


def test_without_inhibition_it_is_neither() -> None:
    """The measures can fail: the same network without inhibition fires in step, like clocks."""
    balanced = example("balanced")
    balanced.INHIBITION = 0
    chip = compile_network(balanced.network())
    found = run(chip, balanced.drive(600), 600 + chip.latency)
    assert balanced.irregularity(found) < 0.6 or balanced.synchrony(found, 600 + chip.latency) > 0.2


def test_the_liquid_remembers_what_its_input_no_longer_shows() -> None:
    liquid = example("liquid")
    net = liquid.network()
    chip = compile_network(net)
    result = liquid.experiment(chip, n_train=400, n_test=200)
    chance = 1 / len(liquid.ORDERS)
    assert result["liquid"] > 0.75
    assert result["input"] < chance + 0.1
    assert verify(net, chip, liquid.samples(1, 3)[0][0], 100, run).equal

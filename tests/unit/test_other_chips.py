"""The definitions beside TrueNorth: what is special about each chip, against computations that know nothing of neurocore."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import load_architecture
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.verify import verify
from neurocore.compiler.yamlnet import load_network
from neurocore.config import OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays, pack_crossbar
from neurocore.emulator import Emulator
from neurocore.errors import FitError
from neurocore.spikes import Spikes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ENGINES = ["oracle", "compiled"]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- IBM's core of 2011


def golden_gate(seed: int) -> tuple[ChipConfig, dict[str, Any]]:
    """A recurrent core that uses all axons and types, written with the chip's own numbers."""
    arch, rng = load_architecture("goldengate"), np.random.default_rng(seed)
    axons, neurons = arch.core.axons, arch.core.neurons
    own = {
        "bits": rng.random((axons, neurons)) < 0.02,
        "type": rng.integers(0, arch.core.axon_types, axons),
        "weight": rng.integers(-6, 9, (arch.core.axon_types, neurons)),
        "threshold": rng.integers(1, 20, neurons),
        "leak": rng.integers(-3, 3, neurons),
        "initial": rng.integers(0, 10, neurons),
        "target": rng.permutation(axons)[:neurons],
        "delay": rng.integers(arch.routing.delay.min, arch.routing.delay.max, neurons, endpoint=True),
    }
    own["output"] = np.arange(neurons) < 100
    written = example("sound_localisation").neuron
    arrays = blank_arrays(arch, 1)
    arrays["crossbar"][0] = pack_crossbar(own["bits"][None])[0]
    arrays["axon_type"][0], arrays["weight"][0] = own["type"], own["weight"]
    arrays["configured"][:] = True
    for index in range(neurons):
        values = written(int(own["threshold"][index]), int(own["leak"][index]), int(own["initial"][index]))
        for name in ("threshold", "leak", "floor", "reset", "initial"):
            arrays[name][0, index] = values[name]
    arrays["target_core"][0] = np.where(own["output"], OUTPUT, 0)
    arrays["target_axon"][0] = np.where(own["output"], np.arange(neurons), own["target"])
    arrays["delay"][0] = np.where(own["output"], 0, own["delay"])
    lines = np.arange(axons)
    inputs = InputMap(lines, np.zeros(axons, np.int64), lines, np.zeros(axons, np.int64))
    groups = (Group("axons", (axons,)),), (Group("fired", (100,)),)
    return ChipConfig(arch, Cores(**arrays), inputs=groups[0], outputs=groups[1], input_map=inputs).validate(), own


def as_the_chip_does(own: dict[str, Any], events: np.ndarray, ticks: int) -> list[tuple[int, int]]:
    """Two phases a tick: axons one by one, then for every neuron the comparison, the reset, the leak, the cut at 0."""
    membrane = own["initial"].copy()
    due = {(int(tick), int(axon)) for tick, axon in events}
    seen = []
    for tick in range(ticks):
        for axon in range(len(own["type"])):
            if (tick, axon) in due:
                membrane += own["bits"][axon] * own["weight"][own["type"][axon]]
        for index in range(len(membrane)):
            if membrane[index] >= own["threshold"][index]:
                membrane[index] = 0
                if own["output"][index]:
                    seen.append((tick, index))
                else:
                    due.add((tick + int(own["delay"][index]), int(own["target"][index])))
            membrane[index] = max(0, membrane[index] + own["leak"][index])
    return seen


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(3))
def test_goldengate_in_its_own_order(seed: int, engine: str) -> None:
    """Leaking after the comparison, as the 2011 core does, is what the definition's recipe gives."""
    chip, own = golden_gate(seed)
    rng = np.random.default_rng(seed)
    events = np.unique(np.stack([rng.integers(0, 60, 3000), rng.integers(0, 1024, 3000)], axis=1), axis=0)
    assert (events[:, 1] > 255).any()
    expected = as_the_chip_does(own, events, 80)
    run = Emulator(chip, engine=engine).run(Spikes.from_lines(events[:, 0], events[:, 1]), 80)
    assert list(zip(run.spikes.tick.tolist(), run.spikes.line.tolist(), strict=True)) == expected
    assert len(expected) > 300


@pytest.mark.parametrize("engine", ENGINES)
def test_goldengate_hears_where_sound_comes_from(engine: str) -> None:
    demo = example("sound_localisation")
    chip = compile_network(demo.build(), "goldengate")
    used = np.flatnonzero(chip.crossbar_bits(0).any(axis=1))
    assert len(used) == 480
    assert used.max() > 255
    emulator = Emulator(chip, engine=engine)
    for band, lead in ((0, -14), (7, 0), (7, 6), (15, 14), (3, 5)):
        emulator.reset()
        run = emulator.run([(20, band), (20 + lead, demo.N_BANDS + band)], ticks=60)
        place = np.argwhere(run.output("position").any(axis=0)).tolist()
        assert place == [[band, k] for k in np.flatnonzero(lead == demo.LEADS)]


def test_goldengate_is_one_core() -> None:
    with pytest.raises(FitError, match="'goldengate'"):
        compile_network(EXAMPLES / "digits" / "network.yaml", "goldengate")


# ---------------------------------------------------------------- PAICORE


@pytest.mark.parametrize("engine", ENGINES)
def test_paicore_weights_are_eight_bit_planes(engine: str) -> None:
    demo = example("eight_bit_layer")
    weights, neuron = demo.parameters()
    chip = compile_network(demo.build(), "paicore")
    used = chip.crossbar_bits(0).any(axis=1)
    assert used.sum() == 8 * demo.N_INPUTS
    kinds = np.unique(chip.cores.axon_type[0][used])
    planes = np.sort(chip.cores.weight[0][kinds][:, chip.cores.configured[0]], axis=0)
    assert (planes == np.array([-128, 1, 2, 4, 8, 16, 32, 64])[:, None]).all()

    raster = np.random.default_rng(3).random((80, demo.N_INPUTS)) < 0.1
    run = Emulator(chip, engine=engine).run(raster)
    membrane, expected = np.zeros(demo.N_NEURONS, np.int64), []
    for tick in range(80):
        membrane += (raster[tick - 1] @ weights if tick else 0) + neuron["leak"]
        fired = membrane >= neuron["threshold"]
        expected += [(tick + chip.latency, int(line)) for line in np.flatnonzero(fired)]
        membrane = np.maximum(np.where(fired, membrane - neuron["threshold"], membrane), -1000)
    seen = list(zip(run.spikes.tick.tolist(), run.spikes.line.tolist(), strict=True))
    assert seen == [spike for spike in expected if spike[0] < run.ticks]
    assert {line >= demo.N_NEURONS // 2 for _, line in seen} == {False, True}


@pytest.mark.parametrize("engine", ENGINES)
def test_paicore_leaks_through_zero(engine: str) -> None:
    """Its converging leak rings, where TrueNorth's stops."""
    arch = load_architecture("paicore")
    arrays = blank_arrays(arch, 1)
    arrays["configured"][0, 0] = arrays["leak_reversal"][0, 0] = True
    arrays["leak"][0, 0], arrays["initial"][0, 0] = -300_000_000, 500_000_000
    chip = ChipConfig(arch, Cores(**arrays)).validate()
    seen = [int(Emulator(chip, engine=engine).run(ticks=ticks).membranes[0, 0]) for ticks in range(1, 5)]
    assert seen == [200_000_000, -100_000_000, 200_000_000, -100_000_000]


def test_digits_on_paicore() -> None:
    """The demo's network fits a chip with other cores, and is the same network there."""
    net = load_network(EXAMPLES / "digits" / "network.yaml")
    chip, report = compile_with_report(net, "paicore")
    assert report.cores < compile_with_report(net, "truenorth")[1].cores
    rng = np.random.default_rng(0)
    spikes = Spikes.from_lines(rng.integers(0, 50, 900), rng.integers(0, 64, 900))
    verdict = verify(net, chip, spikes, 50, lambda chip, given, ticks: Emulator(chip).run(given, ticks).spikes)
    assert verdict.equal
    assert verdict.spikes_compared > 100


# ---------------------------------------------------------------- RANC


@pytest.mark.parametrize("engine", ENGINES)
def test_ranc_membranes_wrap_and_floors_are_signed(engine: str) -> None:
    """What RANC's plain ints do: a floor above 0, a sum that goes around, two reset modes and no third."""
    arch = load_architecture("ranc")
    arrays = blank_arrays(arch, 1)
    arrays["configured"][0, :2] = True
    arrays["threshold"][0, :2], arrays["floor"][0, :2] = 2**31 - 1, (-50, 2**31 - 1)
    arrays["initial"][0, :2], arrays["leak"][0, :2] = (45, 2**31 - 10), (2, 20)
    arrays["reset"][0, :2], arrays["floor_mode"][0, :2] = -100, 0
    chip = ChipConfig(arch, Cores(**arrays)).validate()
    seen = [Emulator(chip, engine=engine).run(ticks=ticks).membranes[0, :2].tolist() for ticks in (1, 2, 3)]
    assert seen == [[100, 10 - 2**31], [102, 30 - 2**31], [104, 50 - 2**31]]

"""The golden example that was published as identical on the silicon and on the vendor's simulator, and the corners of a tick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocore.architecture import Architecture
from neurocore.config import OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays, pack_crossbar
from neurocore.emulator import Emulator
from neurocore.options import ENGINES
from neurocore.result import RunResult


def one_core(
    arch: Architecture, neurons: list[dict[str, Any]], weights: dict[int, dict[int, int]] | None = None
) -> ChipConfig:
    """A core whose neuron j goes to output line j; ``weights`` maps an axon to the weights of the neurons that it reaches.

    Axon a is of type a and is input line a.
    """
    arrays = blank_arrays(arch, 1)
    bits = np.zeros((1, arch.core.axons, arch.core.neurons), bool)
    for slot, values in enumerate(neurons):
        arrays["configured"][0, slot] = True
        arrays["target_core"][0, slot], arrays["target_axon"][0, slot] = OUTPUT, slot
        for name, value in values.items():
            arrays[name][0, slot] = value
    for axon, reached in (weights or {}).items():
        arrays["axon_type"][0, axon] = axon
        for slot, weight in reached.items():
            bits[0, axon, slot] = True
            arrays["weight"][0, axon, slot] = weight
    arrays["crossbar"][:] = pack_crossbar(bits)
    lines = np.array(sorted(weights or {}), np.int64)
    inputs = InputMap(lines, np.zeros_like(lines), lines, np.ones_like(lines))
    groups = (Group("in", (int(lines.max()) + 1,)),) if len(lines) else ()
    return ChipConfig(arch, Cores(**arrays), inputs=groups, outputs=(Group("out", (len(neurons),)),), input_map=inputs)


def fired(run: RunResult, line: int) -> list[int]:
    return run.spikes.tick[run.spikes.line == line].tolist()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_golden_example(truenorth: Architecture, engine: str) -> None:
    """Periods 10, 10, 6 and 5 with their phases (chip.md)."""
    chip = one_core(
        truenorth,
        [
            {"threshold": 10, "leak": 1},
            {"threshold": 10, "leak": 1, "initial": 1},
            {"threshold": 11, "leak": 2},
            {"threshold": 10, "leak": -1, "floor": 0, "floor_mode": 0},
        ],
        {0: {3: 3}},
    )
    run = Emulator(chip, engine=engine).run([(tick, 0) for tick in range(100)], 100)
    assert fired(run, 0) == list(range(9, 100, 10))
    assert fired(run, 1) == list(range(8, 100, 10))
    assert fired(run, 2) == list(range(5, 100, 6))
    assert fired(run, 3) == list(range(5, 100, 5))


def test_tonic_bursting_pair(truenorth: Architecture, engine: str) -> None:
    """Two neurons of NeMo's biological models: six spikes 17 ticks apart per input spike, then the second one stops the first."""
    arrays = blank_arrays(truenorth, 1)
    bits = np.zeros((1, 256, 256), bool)
    bits[0, 0, 0] = bits[0, 1, 0] = bits[0, 2, 1] = True
    arrays["axon_type"][0, :3] = [0, 1, 0]
    arrays["weight"][0, :2, 0] = [1, -100]
    arrays["weight"][0, 0, 1] = 1
    both = slice(0, 2)
    arrays["configured"][0, both] = True
    arrays["leak_reversal"][0, both] = True
    arrays["leak"][0, 0] = 1
    arrays["threshold"][0, both] = [18, 6]
    arrays["floor"][0, both] = 0
    arrays["reset"][0, 0] = 1
    arrays["target_core"][0, both] = 0
    arrays["target_axon"][0, both] = [2, 1]
    arrays["delay"][0, both] = 1
    arrays["crossbar"][:] = pack_crossbar(bits)
    arrays["population"][0, both] = 0
    arrays["index"][0, both] = [0, 1]
    entry = InputMap(*(np.array([value]) for value in (0, 0, 0, 0)))
    chip = ChipConfig(truenorth, Cores(**arrays), (Group("in", (1,)),), (), (Group("pair", (2,)),), entry)
    run = Emulator(chip, engine=engine, probes=["pair"]).run([(100, 0), (400, 0), (700, 0)], 1000)
    spikes = run.probes["pair"].spikes
    first = spikes.tick[spikes.line == 0].tolist()
    assert first[:7] == [116, 133, 150, 167, 184, 201, 416]
    assert spikes.tick[spikes.line == 1].tolist() == [202, 502, 802]


RESETS = [
    # gamma, kappa, membrane after 25 against threshold 20, membrane after -25 against floor 20 (R = 3)
    (0, 0, 3, -3),
    (0, 1, 3, -20),
    (1, 0, 5, -5),
    (1, 1, 5, -20),
    (2, 0, 25, -25),
    (2, 1, 25, -20),
]


@pytest.mark.parametrize(("gamma", "kappa", "above", "below"), RESETS)
def test_six_reset_behaviours(
    truenorth: Architecture, engine: str, gamma: int, kappa: int, above: int, below: int
) -> None:
    values = {"threshold": 20, "floor": 20, "reset": 3, "reset_mode": gamma, "floor_mode": kappa}
    chip = one_core(truenorth, [{**values, "initial": 25}, {**values, "initial": -25}])
    run = Emulator(chip, engine=engine).run(None, 1)
    assert run.membranes[0, :2].tolist() == [above, below]
    assert fired(run, 0) == [0]
    assert fired(run, 1) == []


@pytest.mark.parametrize(
    ("leak", "initial", "expected"),
    [(2, 5, 7), (2, -5, -7), (-2, 5, 3), (-2, -5, -3), (-2, 1, 0), (-2, -1, 0), (2, 0, 0), (-255, 100, 0)],
)
def test_leak_reversal(truenorth: Architecture, engine: str, leak: int, initial: int, expected: int) -> None:
    """Diverging and converging leaks; a converging one stops at zero, and zero stays."""
    values = {"threshold": 1000, "leak": leak, "leak_reversal": True, "initial": initial}
    assert Emulator(one_core(truenorth, [values]), engine=engine).run(None, 1).membranes[0, 0] == expected


def test_clamp(truenorth: Architecture, engine: str) -> None:
    """A membrane above the clamp is clamped and fires; one below is clamped."""
    limit = truenorth.neuron.membrane.max
    rising = {"threshold": 262143, "threshold_mask_bits": 18, "leak": 255, "initial": limit, "reset_mode": 2}
    falling = {"threshold": 262143, "floor": 262143, "floor_mode": 0, "reset_mode": 2, "leak": -255, "initial": -limit}
    run = Emulator(one_core(truenorth, [rising, falling]), engine=engine).run(None, 3)
    assert run.membranes[0, :2].tolist() == [limit, -limit]
    assert fired(run, 0) == [0, 1, 2]


def test_stochastic_weight_and_leak_rates(truenorth: Architecture, engine: str) -> None:
    """A random weight or leak of magnitude m acts with probability (m + 1) / 256."""
    always = {"threshold": 1, "floor": 0}
    chip = one_core(
        truenorth,
        [{**always}, {**always, "leak": 63, "leak_stochastic": True}, {**always, "leak": -5, "leak_stochastic": True}],
        {0: {0: 127}},
    )
    arrays = {name: getattr(chip.cores, name).copy() for name in Cores.__dataclass_fields__}
    arrays["weight_stochastic"][0, 0, 0] = True
    chip = ChipConfig(truenorth, Cores(**arrays), chip.inputs, chip.outputs, input_map=chip.input_map, seed=7)
    ticks = 4000
    run = Emulator(chip, engine=engine).run([(tick, 0) for tick in range(ticks)], ticks)
    for line, chance in ((0, 128 / 256), (1, 64 / 256), (2, 0.0)):
        spread = 4.5 * np.sqrt(ticks * chance * (1 - chance))
        assert abs(len(fired(run, line)) - ticks * chance) <= spread + 1


def test_random_threshold_stays_within_its_mask(truenorth: Architecture, engine: str) -> None:
    """alpha <= threshold < alpha + 2^TM: certain to fire above, impossible below, even in between."""
    values = {"threshold": 10, "threshold_mask_bits": 4, "reset_mode": 2}
    chip = one_core(truenorth, [{**values, "initial": 9}, {**values, "initial": 25}, {**values, "initial": 17}])
    run = Emulator(chip, engine=engine, seed=3).run(None, 2000)
    counts = [len(fired(run, line)) for line in range(3)]
    assert counts[0] == 0
    assert counts[1] == 2000
    assert abs(counts[2] - 1000) < 4.5 * np.sqrt(500)


def test_merges_are_counted_when_due(truenorth: Architecture, engine: str) -> None:
    """Two spikes for one axon and tick are one; the merge belongs to the tick in which they were due."""
    arrays = blank_arrays(truenorth, 1)
    pair = slice(0, 2)
    arrays["configured"][0, :3] = True
    arrays["threshold"][0, pair] = 10
    arrays["initial"][0, pair] = 10
    arrays["target_core"][0, pair] = 0
    arrays["delay"][0, pair] = 4
    chip = ChipConfig(truenorth, Cores(**arrays))
    emulator = Emulator(chip, engine=engine)
    before, after = emulator.run(None, 4), emulator.run(None, 4)
    assert before.n_spikes == 2
    assert before.cores.delivered.tolist() == [0]
    assert before.cores.merges.tolist() == [0]
    assert after.cores.delivered.tolist() == [2]
    assert after.cores.merges.tolist() == [1]
    assert after.cores.active_axons.tolist() == [1]

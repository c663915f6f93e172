"""The emulator: runs, steps and batches agree; input is checked; probes and output are what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore import emulator as emulator_module
from neurocore.architecture import Architecture
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.config import ChipConfig, Cores, blank_arrays
from neurocore.emulator import Emulator
from neurocore.errors import InputError, UsageError
from neurocore.runfile import load_run
from neurocore.runpage import run_page
from neurocore.spikes import Spikes


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    """A two-layer network with a delay of 20 ticks at its input and a random leak in its second layer."""
    rng = np.random.default_rng(1)
    net = Network("layers")
    pixels = net.input("pixels", (2, 4))
    hidden = net.population("hidden", 12, threshold=2, reset_mode="linear")
    out = net.population("out", (2, 3), threshold=2, leak=9, leak_stochastic=True)
    net.connect(pixels, hidden, rng.integers(-1, 3, (8, 12)), delay=20)
    net.connect(hidden, out, rng.integers(-1, 2, (12, 6)), delay=3)
    net.output("class", out)
    net.output("copy", hidden)
    return compile_network(net, "truenorth")


@pytest.fixture(scope="module")
def spikes() -> Spikes:
    rng = np.random.default_rng(2)
    return Spikes.from_lines(rng.integers(0, 100, 200), rng.integers(0, 8, 200))


def test_steps_equal_a_run(chip: ChipConfig, spikes: Spikes) -> None:
    whole = Emulator(chip).run(spikes, 150)
    stepped = Emulator(chip)
    seen = []
    for tick in range(150):
        lines = stepped.step(spikes.line[spikes.tick == tick])
        seen += [(tick, int(line)) for line in lines]
    assert seen == list(zip(whole.spikes.tick.tolist(), whole.spikes.line.tolist(), strict=True))
    assert stepped.tick == 150


@pytest.mark.parametrize("engine", ["compiled", "oracle"])
def test_probes_of_steps_are_kept(chip: ChipConfig, spikes: Spikes, engine: str) -> None:
    names = ["hidden:membrane", "out"]
    run = Emulator(chip, probes=names, engine=engine).run(spikes, 60)
    emulator = Emulator(chip, probes=names, engine=engine)
    parts = []
    for first, last in ((0, 25), (25, 25), (25, 60)):
        for tick in range(first, last):
            emulator.step(spikes.line[spikes.tick == tick])
        parts.append(emulator.take_probes())
    for name in names:
        whole = run.probes[name]
        membranes = np.concatenate([part[name].membranes for part in parts])
        np.testing.assert_array_equal(membranes.reshape(whole.membranes.shape), whole.membranes)
        np.testing.assert_array_equal(np.concatenate([part[name].spikes.tick for part in parts]), whole.spikes.tick)
        np.testing.assert_array_equal(np.concatenate([part[name].spikes.line for part in parts]), whole.spikes.line)
    assert not len(emulator.take_probes()["out"].spikes)


def test_runs_in_parts_equal_one_run(chip: ChipConfig, spikes: Spikes) -> None:
    """Input that is still under way at the end of a part arrives in the next."""
    whole = Emulator(chip).run(spikes, 150)
    emulator = Emulator(chip, threads=1)
    parts = [emulator.run(spikes.window(start, start + 30), 30) for start in range(0, 150, 30)]
    assert sum(part.n_spikes for part in parts) == whole.n_spikes
    assert np.concatenate([part.spikes.tick for part in parts]).tolist() == whole.spikes.tick.tolist()
    np.testing.assert_array_equal(parts[-1].membranes, whole.membranes)


def test_parts_are_sized_by_what_they_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """What twenty neurons record decides how many ticks fit in memory, and to a part what they might record at any time."""
    monkeypatch.setattr(emulator_module, "CHUNK_SECONDS", 1e9)
    monkeypatch.setattr(emulator_module, "CHUNK_BYTES", 2**20)
    most = 2**20 / (20 * emulator_module.SPIKE_BYTES)
    for threshold, output, probes, longest in (
        (1, True, (), most),
        (1, True, ("cells",), most / 2),
        (2, True, (), 2 * most),  # every other tick
        (1000, True, (), emulator_module.BURST * most),
        (1, False, (), 64 * 4**5),
        (1, False, ("cells:membrane",), 2**20 / (20 * (emulator_module.SPIKE_BYTES + emulator_module.MEMBRANE_BYTES))),
    ):
        net = Network("pacemaker")
        cells = net.population("cells", 20, threshold=threshold, leak=1)
        if output:
            net.output("spikes", cells)
        emulator = Emulator(compile_network(net), probes=probes)
        sizes = []
        for size in emulator.chunks(64 * sum(4**power for power in range(6))):
            emulator.advance(size)
            sizes.append(size)
        assert sizes[:2] == [64, 256]
        assert longest * 0.9 <= max(sizes) <= longest


def test_saved_state_continues_the_run(chip: ChipConfig, spikes: Spikes) -> None:
    whole = Emulator(chip).run(spikes, 150)
    emulator = Emulator(chip)
    emulator.run(spikes, 90)
    other = Emulator(chip, engine="oracle")
    other.load_state(emulator.save_state())
    rest = other.run(None, 60)
    assert rest.spikes == whole.spikes.window(90, 150)


def test_batch_equals_single_runs(chip: ChipConfig, spikes: Spikes) -> None:
    samples = [spikes.window(0, stop) for stop in (0, 10, 40, 100)]
    emulator = Emulator(chip, threads=2)
    batch = emulator.run_batch(samples, 80)
    for sample, run in zip(samples, batch, strict=True):
        alone = Emulator(chip).run(sample, 80)
        assert run.spikes == alone.spikes
        np.testing.assert_array_equal(run.membranes, alone.membranes)
    assert emulator.tick == 0


def test_dense_and_row_input(chip: ChipConfig, spikes: Spikes) -> None:
    dense = np.zeros((100, 8), bool)
    dense[spikes.tick, spikes.line] = True
    rows = np.stack([spikes.tick, spikes.line], axis=1)
    expected = Emulator(chip).run(spikes, 150).spikes
    assert Emulator(chip).run(dense, 150).spikes == expected
    assert Emulator(chip).run(rows, 150).spikes == expected


def test_named_output_and_probe_agree(chip: ChipConfig, spikes: Spikes) -> None:
    """Output "copy" shows the population that the probe watches, T - tau ticks later."""
    run = Emulator(chip, probes=["hidden:membrane", "out"]).run(spikes, 150)
    shown = run.output("copy")
    assert shown.shape == (150, 12)
    assert run.output("class").shape == (150, 2, 3)
    probe = run.probes["hidden:membrane"]
    assert probe.membranes.shape == (150, 12)
    late = chip.latency - int(chip.timing[0])
    tick, neuron = np.nonzero(shown)
    assert (tick - late).tolist() == probe.spikes.window(0, 150 - late).tick.tolist()
    assert neuron.tolist() == probe.spikes.window(0, 150 - late).line.tolist()
    np.testing.assert_array_equal(
        probe.membranes[-1],
        Emulator(chip, probes=["hidden:membrane"], engine="oracle")
        .run(spikes, 150)
        .probes["hidden:membrane"]
        .membranes[-1],
    )


def test_seeds_differ_and_repeat(chip: ChipConfig, spikes: Spikes) -> None:
    first, again, other = (Emulator(chip, seed=seed).run(spikes, 150) for seed in (1, 1, 2))
    assert first.spikes == again.spikes
    assert first.spikes != other.spikes


def test_refusals(chip: ChipConfig) -> None:
    emulator = Emulator(chip)
    with pytest.raises(InputError, match="8"):
        emulator.run([(0, 8)], 10)
    with pytest.raises(InputError, match=r"input line 9 does not exist; the chip has 8 input lines"):
        emulator.step([9])
    emulator.run(None, 5)
    with pytest.raises(InputError, match=r"an input spike at tick 3 is in the past; the emulator stands at tick 5"):
        emulator.run([(3, 0)], 10)
    with pytest.raises(UsageError, match=r"probe 'nobody' is not known"):
        Emulator(chip, probes=["nobody"])
    with pytest.raises(UsageError, match=r"threads is 0; at least 1 is needed"):
        Emulator(chip, threads=0)
    with pytest.raises(UsageError, match=r"ticks is -1"):
        emulator.run(None, -1)
    with pytest.raises(InputError, match=r"the chip has no output 'x'; its outputs: class, copy"):
        emulator.run(None, 1).output("x")


def test_step_takes_booleans(chip: ChipConfig) -> None:
    masks, numbers = Emulator(chip), Emulator(chip)
    mask = np.zeros(8, bool)
    mask[[1, 6]] = True
    assert all(masks.step(mask).tolist() == numbers.step([1, 6]).tolist() for _ in range(60))
    assert masks.tick == 60
    with pytest.raises(InputError, match="3 booleans for all lines; the chip has 8 input lines"):
        masks.step(mask[:3])
    with pytest.raises(InputError, match="input lines must be whole numbers or booleans, not float64"):
        masks.step([0.5])


def test_rasters_and_ticks(chip: ChipConfig, spikes: Spikes) -> None:
    dense = np.zeros((100, 8), bool)
    dense[spikes.tick, spikes.line] = True
    shaped = Emulator(chip).run(dense.reshape(100, 2, 4))
    assert shaped.ticks == 100
    assert shaped.spikes == Emulator(chip).run(spikes, 100).spikes
    with pytest.raises(UsageError, match="ticks is missing: say how many ticks to run"):
        Emulator(chip).run(spikes)
    with pytest.raises(InputError, match=r"make a raster of numbers boolean with .astype\(bool\)"):
        Emulator(chip).run(dense.astype(int), 100)


def test_samples_with_seeds_of_their_own(chip: ChipConfig, spikes: Spikes) -> None:
    emulator = Emulator(chip, seed=9)
    same = emulator.run_batch([spikes, spikes], 150)
    assert same[0].spikes == same[1].spikes
    own = emulator.run_batch([spikes, spikes], 150, seeds=[1, 2])
    assert [run.spikes for run in own] == [Emulator(chip, seed=seed).run(spikes, 150).spikes for seed in (1, 2)]
    with pytest.raises(UsageError, match="3 seeds were given for 2 samples"):
        emulator.run_batch([spikes, spikes], 150, seeds=[1, 2, 3])


def test_probe_in_network_time(chip: ChipConfig, spikes: Spikes) -> None:
    """Shifted back, a probe no longer shows when the chip runs the population."""
    probe = Emulator(chip, probes=["out:membrane"]).run(spikes, 150).probes["out:membrane"]
    moved = probe.in_network_time()
    shift = int(probe.shift[0])
    assert moved.spikes == Spikes.from_lines(probe.spikes.tick - shift, probe.spikes.line)
    np.testing.assert_array_equal(moved.membranes, probe.membranes[shift:])


def test_not_a_chip() -> None:
    with pytest.raises(
        UsageError, match=r"an emulator takes a compiled chip, not str: neurocore.compile\(network\) makes one"
    ):
        Emulator("c.h5")


BAD_STATES = [
    ("tick", lambda value: -value - 1),
    ("tick", lambda value: value.astype(np.float64)),
    ("membrane", lambda value: value + 500_000),
    ("pending", lambda value: value - 1),
    ("waiting", lambda value: np.array([[10**6], [0], [10**8]])),
    ("waiting", lambda value: np.array([[0], [0], [0]])),
    ("waiting", lambda value: np.array([10**6, 0, 0])),
    ("scheduler", lambda value: value[:3]),
]


@pytest.mark.parametrize(("name", "change"), BAD_STATES)
def test_damaged_states_are_refused(chip: ChipConfig, spikes: Spikes, name: str, change: Callable[[Any], Any]) -> None:
    emulator = Emulator(chip)
    emulator.run(spikes, 50)
    state = emulator.save_state()
    before = emulator.save_state()
    state[name] = change(state[name])
    with pytest.raises(InputError, match=name):
        emulator.load_state(state)
    after = emulator.save_state()
    assert all((before[item] == after[item]).all() for item in before)


def test_state_of_another_chip_is_refused(chip: ChipConfig) -> None:
    state = Emulator(chip).save_state()
    state["chip"] = state["chip"] ^ 1
    with pytest.raises(InputError, match="the state was saved from another chip than 'layers'"):
        Emulator(chip).load_state(state)
    del state["seed"]
    with pytest.raises(InputError, match="the saved state does not fit the chip: 'seed'"):
        Emulator(chip).load_state(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: {"ticks": -5},
        lambda run: {"neuron_spikes": -run.neuron_spikes - 1},
        lambda run: {"chip": replace(run.chip, core=run.chip.core + 5000)},
        lambda run: {"chip": replace(run.chip, target_core=np.full_like(run.chip.target_core, 10**6))},
        lambda run: {"chip": replace(run.chip, population=np.full_like(run.chip.population, 999))},
    ],
)
def test_run_files_with_impossible_numbers(
    chip: ChipConfig, tmp_path: Path, change: Callable[[Any], dict[str, Any]]
) -> None:
    """A right digest does not make the contents right."""
    run = Emulator(chip).run(None, 5)
    path = str(tmp_path / "r.h5")
    replace(run, **change(run)).save(path)
    with pytest.raises(InputError, match=r"r.h5: "):
        load_run(path)


@pytest.mark.parametrize("engine", ["compiled", "oracle"])
def test_chip_without_cores(tiny: Architecture, engine: str, tmp_path: Path) -> None:
    chip = ChipConfig(tiny, Cores(**blank_arrays(tiny, 0)))
    run = Emulator(chip, engine=engine).run(None, 3)
    assert (run.n_spikes, run.ticks) == (0, 3)
    run.save(str(tmp_path / "r.h5"))
    assert load_run(str(tmp_path / "r.h5")).traffic().packets == 0


def test_raster_without_ticks_is_a_run_of_none(chip: ChipConfig) -> None:
    assert Emulator(chip).run(np.zeros((0, chip.n_inputs), bool)).ticks == 0


def test_names_with_colons_are_probed() -> None:
    net = Network("colons")
    line = net.input("line", 1)
    for name in ("V1:exc", "V1:inh"):
        net.connect(line, net.population(name, 1, threshold=1, floor=0), [[1]])
    net.output("out", "V1:exc")
    run = Emulator(compile_network(net), probes=["V1:exc", "V1:inh:membrane"]).run([(1, 0)], 4)
    assert run.probes["V1:exc"].spikes.tick.tolist() == run.probes["V1:inh:membrane"].spikes.tick.tolist() == [2]
    assert run.probes["V1:inh:membrane"].membranes.shape == (4, 1)
    page = run_page(run, None)
    assert "Probe of V1:exc" in page
    assert "Membranes of V1:inh," in page

"""The compiled engine equals the oracle in every spike, membrane, counter and state, on generated chips."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.architecture import Architecture, Range, Rules, load_architecture
from neurocore.compiled import CompiledEngine
from neurocore.config import ChipConfig
from neurocore.engine import Counters, Events, Probes, Record
from neurocore.oracle import Oracle
from random_chips import ALL_FEATURES, random_chip, random_events

SEEDS = st.integers(0, 2**32 - 1)
FEATURES = st.frozensets(st.sampled_from(sorted(ALL_FEATURES)))


def assert_equal(one: object, other: object, kind: type) -> None:
    for item in fields(kind):
        np.testing.assert_array_equal(getattr(one, item.name), getattr(other, item.name), err_msg=item.name)


def some_probes(chip: ChipConfig, seed: int) -> Probes:
    rng = np.random.default_rng(seed)
    n, neurons = chip.cores.configured.shape
    row = np.sort(rng.integers(0, n, 4))
    return Probes(rng.random((n, neurons)) < 0.3, row, rng.integers(0, neurons, 4))


def compare(chip: ChipConfig, seed: int, ticks: int, threads: int, rate: float) -> None:
    """Run both engines over two windows, so that counters begin with spikes under way."""
    events = Events(*random_events(chip, seed, ticks, rate))
    probes = some_probes(chip, seed)
    engines = Oracle(chip, probes=probes), CompiledEngine(chip, threads=threads, probes=probes)
    cut = ticks // 3
    for engine in engines:
        engine.advance(events.window(0, cut), cut)
        engine.clear_counters()
        engine.advance(events.window(cut, ticks), ticks - cut)
    oracle, compiled = engines
    assert_equal(oracle.counters(), compiled.counters(), Counters)
    np.testing.assert_array_equal(oracle.membranes(), compiled.membranes())
    states = oracle.save_state(), compiled.save_state()
    for name in states[0]:
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)
    assert_equal(oracle.take(), compiled.take(), Record)


@given(
    seed=SEEDS,
    features=FEATURES,
    n_cores=st.integers(1, 6),
    threads=st.sampled_from([1, 2]),
    rate=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_tiny(seed: int, features: frozenset[str], n_cores: int, threads: int, rate: float) -> None:
    compare(random_chip(load_architecture("tiny"), seed, n_cores, features), seed, 40, threads, rate)


@given(seed=SEEDS, features=FEATURES, threads=st.sampled_from([1, 2]), rate=st.sampled_from([0.0, 5.0, 80.0]))
def test_truenorth(seed: int, features: frozenset[str], threads: int, rate: float) -> None:
    compare(random_chip(load_architecture("truenorth"), seed, 2, features), seed, 24, threads, rate)


@settings(max_examples=15)
@pytest.mark.parametrize("name", ["goldengate", "paicore", "ranc"])
@given(seed=SEEDS, features=FEATURES, threads=st.sampled_from([1, 2]), rate=st.sampled_from([0.0, 5.0, 80.0]))
def test_other_chips(name: str, seed: int, features: frozenset[str], threads: int, rate: float) -> None:
    compare(random_chip(load_architecture(name), seed, 2, features), seed, 20, threads, rate)


@given(
    seed=SEEDS,
    features=FEATURES,
    axons=st.integers(1, 600),
    neurons=st.integers(2, 600),
    threads=st.sampled_from([1, 3]),
    rate=st.sampled_from([1.0, 60.0]),
)
def test_cores_of_any_size(
    seed: int, features: frozenset[str], axons: int, neurons: int, threads: int, rate: float
) -> None:
    tiny = load_architecture("tiny")
    arch = tiny.model_copy(update={"core": tiny.core.model_copy(update={"axons": axons, "neurons": neurons})})
    compare(random_chip(arch, seed, 4, features), seed, 12, threads, rate)


@given(
    seed=SEEDS,
    cores=st.integers(5, 60),
    axons=st.sampled_from([40, 300, 600, 900, 1152]),
    threads=st.integers(1, 4),
    rate=st.sampled_from([1.0, 20.0]),
)
def test_any_number_of_cores(seed: int, cores: int, axons: int, threads: int, rate: float) -> None:
    """Cores are taken in chunks, of which the last may have fewer, and the words of a core's axons are any number."""
    tiny = load_architecture("tiny").model_dump()
    tiny["mesh"] = {"columns": 8, "rows": 8}
    tiny["routing"]["reach"] = {"dx": {"min": -7, "max": 7}, "dy": {"min": -7, "max": 7}}
    tiny["core"].update(axons=axons, neurons=20)
    compare(random_chip(Architecture.model_validate(tiny), seed, cores, frozenset()), seed, 12, threads, rate)


@settings(max_examples=20)
@given(seed=SEEDS, cores=st.integers(8, 40), working=st.lists(st.integers(1, 4), min_size=2, max_size=8))
def test_threads_come_and_go(seed: int, cores: int, working: list[int]) -> None:
    """The pool puts fewer of its threads to work where processors are busy; here it is told how many, every few ticks."""
    chip = random_chip(load_architecture("truenorth"), seed, cores, frozenset())
    events = Events(*random_events(chip, seed, 4 * len(working), 20.0))
    oracle, compiled = Oracle(chip), CompiledEngine(chip, threads=4)
    for part, number in enumerate(working):
        compiled._state.working = number
        window = events.window(4 * part, 4 * part + 4)
        oracle.advance(window, 4)
        compiled.advance(window, 4)
    np.testing.assert_array_equal(oracle.membranes(), compiled.membranes())
    assert_equal(oracle.counters(), compiled.counters(), Counters)
    assert_equal(oracle.take(), compiled.take(), Record)


@given(seed=SEEDS, features=FEATURES, chip=st.sampled_from(["tiny", "truenorth"]), rate=st.sampled_from([3.0, 80.0]))
def test_rows_that_are_alike(seed: int, features: frozenset[str], chip: str, rate: float) -> None:
    """Most axons reach all the neurons that any axon of their core does: such rows are counted and not read."""
    base = random_chip(load_architecture(chip), seed, 2, features)
    rows = base.cores.crossbar.copy()
    alike = np.random.default_rng(seed).random(rows.shape[:2]) < 0.85
    rows[alike] = np.broadcast_to(np.bitwise_or.reduce(rows, axis=1)[:, None], rows.shape)[alike]
    compare(replace(base, cores=replace(base.cores, crossbar=rows)).validate(), seed, 16, 2, rate)


@given(seed=SEEDS, largest=st.sampled_from([0, 1, 3]), leak=st.booleans(), chip=st.sampled_from(["truenorth", "tiny"]))
def test_small_weights_beside_large_leaks(seed: int, largest: int, leak: bool, chip: str) -> None:
    """A leak makes sums wide whose weights take one or two planes; weights of later rows are not read in their place."""
    arch = load_architecture(chip)
    base = random_chip(arch, seed, 3, frozenset({"random_leak"} if leak else ()))
    used, rng = base.cores.configured, np.random.default_rng(seed)
    limits = arch.neuron.leak
    own = {
        "weight": rng.integers(-largest, largest, base.cores.weight.shape, endpoint=True) * used[:, None, :],
        "leak": rng.integers(limits.min, limits.max, used.shape, endpoint=True) * used,
    }
    own = {name: values.astype(getattr(base.cores, name).dtype) for name, values in own.items()}
    compare(replace(base, cores=replace(base.cores, **own)).validate(), seed, 12, 2, 3.0)


VARIANTS = [
    Rules(leak_stops_at_zero=False),
    Rules(clamp=False),
    Rules(clamp_fires=False),
    Rules(floor_inclusive=True),
    Rules(leak_stops_at_zero=False, clamp=False, floor_inclusive=True),
]


def variant(arch: Architecture, rules: Rules, **neuron: object) -> Architecture:
    return arch.model_copy(update={"rules": rules, "neuron": arch.neuron.model_copy(update=neuron)})


@pytest.mark.parametrize("rules", VARIANTS, ids=str)
@given(seed=SEEDS, threads=st.sampled_from([1, 2]))
def test_rules(rules: Rules, seed: int, threads: int) -> None:
    arch = variant(load_architecture("tiny"), rules, membrane=Range(min=-41, max=41))
    compare(random_chip(arch, seed, 3), seed, 40, threads, 2.0)


@pytest.mark.parametrize("limits", [(-31, 31), (-63, 63), (-64, 63), (-20, 63), (-63, 20)], ids=str)
@given(seed=SEEDS, fires=st.booleans())
def test_clamps_beside_powers_of_two(limits: tuple[int, int], seed: int, fires: bool) -> None:
    """One limit may need a plane more than the other: the nearer one is compared with before values can reach the farther."""
    membrane = Range(min=limits[0], max=limits[1])
    arch = variant(load_architecture("tiny"), Rules(clamp_fires=fires), membrane=membrane)
    compare(random_chip(arch, seed, 3), seed, 40, 1, 2.0)


@given(seed=SEEDS)
def test_signed_floor(seed: int) -> None:
    """A floor may be given as a positive membrane (beta < 0), as in RANC."""
    limits = load_architecture("tiny").neuron
    arch = variant(
        load_architecture("tiny"),
        Rules(clamp=False, floor_inclusive=bool(seed % 2)),
        floor=limits.floor.model_copy(update={"min": -200}),
    )
    compare(random_chip(arch, seed, 3), seed, 40, 1, 2.0)


@given(seed=SEEDS, cuts=st.lists(st.integers(1, 30), max_size=5))
def test_cuts_and_checkpoints_change_nothing(seed: int, cuts: list[int]) -> None:
    """However a run is cut, saved and restored, in whichever engine, it stays the same run."""
    chip = random_chip(load_architecture("tiny"), seed, 3)
    ticks = 60
    events = Events(*random_events(chip, seed, ticks, 2.0))
    whole = CompiledEngine(chip)
    whole.advance(events, ticks)

    engine: Oracle | CompiledEngine = CompiledEngine(chip, threads=2)
    due = np.zeros(len(chip.cores), np.int64)
    outputs = []
    bounds = sorted({0, ticks, *(cut for cut in np.cumsum(cuts).tolist() if cut < ticks)})
    for number, (start, stop) in enumerate(pairwise(bounds)):
        engine.advance(events.window(start, stop), stop - start)
        due += engine.counters().due
        outputs.append(engine.take().output_line)
        state = engine.save_state()
        engine = Oracle(chip) if number % 2 else CompiledEngine(chip, threads=2)
        engine.load_state(state)
    np.testing.assert_array_equal(engine.membranes(), whole.membranes())
    np.testing.assert_array_equal(due, whole.counters().due)
    np.testing.assert_array_equal(np.concatenate(outputs), whole.take().output_line)


def test_probes_change_nothing() -> None:
    chip = random_chip(load_architecture("tiny"), 5, 4)
    events = Events(*random_events(chip, 5, 50, 2.0))
    plain, probed = CompiledEngine(chip), CompiledEngine(chip, probes=some_probes(chip, 1))
    for engine in (plain, probed):
        engine.advance(events, 50)
    assert_equal(plain.counters(), probed.counters(), Counters)
    np.testing.assert_array_equal(plain.membranes(), probed.membranes())

"""Chips with thermometer codes are the networks they came from, proved and replayed; those with carry are what they declare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import compile_or_refuse, run
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions import FIELDS, corrupt
from neurocore.compiler.certificate import prove_chip
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork, check, random_neurons
from neurocore.compiler.pipeline import compile_with_report
from neurocore.compiler.prove_thermometer import prove_thermometer
from neurocore.compiler.reference import Reference
from neurocore.compiler.thermometer import Thermometer, thermometer
from neurocore.compiler.verify import verify
from neurocore.errors import FitError, InputError, MismatchError
from neurocore.spikes import Spikes
from random_networks import counting_network, random_spikes, wide_chip, wide_network

SEEDS = st.integers(0, 2**32 - 1)
REFUSALS = ("E-THERMOMETER", "E-CARRY", "E-START", "E-CYCLE", "E-CAP", "E-LEVELS")
TICKS = 25
FEWER = settings().max_examples // 2
"""Examples: half as many as of small networks, as these take longer."""
SMALL = wide_chip()


def check_one(seed: int) -> str:
    """Compile, prove and replay one network; says what became of it."""
    net = counting_network(SMALL, seed)
    fitted = compile_or_refuse(net, SMALL, "thermometer", REFUSALS)
    if fitted is None:
        return "refused"
    chip, report = fitted
    verdict = verify(net, chip, random_spikes(net, seed, TICKS), TICKS, run)
    assert verdict.equal, verdict
    assert not verdict.cause
    if not report.fan_in:
        return "plain"
    return "random" if random_neurons(check(net, SMALL)).any() else "lined"


def carry_one(seed: int) -> str:
    """The same with sums that are carried over: all that differs is what is declared."""
    net = (counting_network if seed % 2 else wide_network)(SMALL, seed)
    fitted = compile_or_refuse(net, SMALL, "carry", REFUSALS)
    if fitted is None:
        return "refused"
    chip, report = fitted
    verdict = verify(net, chip, random_spikes(net, seed, TICKS), TICKS, run)
    assert verdict.as_declared, verdict
    assert not verdict.cause
    assert verdict.approximate != report.exact
    if report.exact:
        return "plain"
    return "equal" if verdict.equal else "differing"


@settings(max_examples=FEWER)
@given(seed=SEEDS)
def test_counting_networks(seed: int) -> None:
    check_one(seed)


@settings(max_examples=FEWER // 2)
@given(seed=SEEDS)
def test_networks_with_carry(seed: int) -> None:
    carry_one(seed)


@pytest.mark.slow
def test_many_networks_with_carry() -> None:
    outcomes = [carry_one(seed) for seed in range(30)]
    assert outcomes.count("equal") > 4
    assert outcomes.count("differing") > 2


@pytest.mark.slow
def test_hundreds_of_counting_networks() -> None:
    outcomes = [check_one(seed) for seed in range(150)]
    assert outcomes.count("lined") > 5
    assert outcomes.count("random") > 10


# ---------------------------------------------------------------- the proof is worth something


def fired(network: IntegerNetwork, n: int, spikes: Spikes) -> set[tuple[int, int]]:
    """(tick, neuron) of every spike of the first ``n`` neurons."""
    simulator, found = Reference(network, SMALL), set()
    for now in range(TICKS):
        spiking = np.flatnonzero(simulator.tick(spikes.line[spikes.tick == now])[:n])
        found |= {(now, int(neuron)) for neuron in spiking}
    return found


def corrupted(network: IntegerNetwork, n: int, rng: np.random.Generator) -> IntegerNetwork:
    """A network with lines, which begin at neuron ``n``, with one number changed, mostly at a line or at what it feeds."""
    name = str(rng.choice(["source", "weight", "delay", "leak", *NEURON_ARRAYS]))
    if name in NEURON_ARRAYS:
        values = network.neuron[name].copy()
        place = rng.integers(n * (rng.random() < 0.7), len(values))
        values[place] += int(rng.choice([-1, 1, 2]))
        return replace(network, neuron={**network.neuron, name: values})
    values = getattr(network, name).copy()
    near = np.flatnonzero((network.source >= network.n_inputs + n) | (network.target >= n))
    place = rng.choice(near) if rng.random() < 0.7 else rng.integers(len(values))
    changed = int(values[place]) + int(rng.choice([-1, 1, 2]))
    bounds = {"source": (0, network.unions.first - 1), "delay": (0, 65_535), "weight": (-999, 999)}[name]
    values[place] = np.clip(changed, *bounds)
    return replace(network, **{name: values})


def lined_of(seed: int) -> Thermometer | None:
    """A network of deterministic neurons with lines, if that seed leads to one."""
    try:
        return thermometer(check(counting_network(SMALL, seed, random_parts=False), SMALL), SMALL)
    except FitError:
        return None


def accepted_corruptions(seed: int, n: int) -> tuple[int, int]:
    """How many corruptions of a network with lines were tried and accepted; those accepted must behave the same."""
    lined = lined_of(seed)
    if lined is None:
        return 0, 0
    before = (lined.origin, *lined.steps)[-2]
    rng, accepted = np.random.default_rng(seed), 0
    spikes = random_spikes(counting_network(SMALL, seed, random_parts=False), seed, TICKS)
    expected = fired(before, before.n_neurons, spikes)
    assert fired(lined.network, before.n_neurons, spikes) == expected
    for _ in range(n):
        changed = corrupted(lined.network, before.n_neurons, rng)
        try:
            prove_thermometer(before, changed)
        except MismatchError:
            continue
        accepted += 1
        assert fired(changed, before.n_neurons, spikes) == expected
    return n, accepted


@settings(max_examples=FEWER)
@given(seed=SEEDS)
def test_what_the_proof_accepts_behaves_the_same(seed: int) -> None:
    accepted_corruptions(seed, 10)


def attacked_chip(seed: int, n: int) -> tuple[int, int]:
    """How many corruptions of a chip with lines were tried and accepted; the outputs of those accepted are as before."""
    net = counting_network(SMALL, seed, random_parts=False)
    try:
        chip, report = compile_with_report(net, SMALL, fan_in="thermometer")
    except FitError:
        return 0, 0
    if not report.fan_in:
        return 0, 0
    flat, spikes, rng = check(net, SMALL), random_spikes(net, seed, TICKS), np.random.default_rng(seed)
    ticks, tried, accepted = TICKS + chip.latency, 0, 0
    expected = run(chip, spikes, ticks)
    for name in rng.choice(FIELDS, n):
        change = corrupt(chip, str(name), rng)
        try:
            changed = chip if change is None else change.chip.validate()
        except InputError:
            continue
        tried += changed is not chip
        try:
            prove_chip(flat, changed)
        except MismatchError:
            continue
        accepted += changed is not chip
        assert run(changed, spikes, ticks) == expected, change
    return tried, accepted


@settings(max_examples=FEWER)
@given(seed=SEEDS)
def test_what_the_proof_accepts_of_chips_behaves_the_same(seed: int) -> None:
    attacked_chip(seed, 8)


@pytest.mark.slow
def test_corruptions_of_chips() -> None:
    tried, accepted = np.sum([attacked_chip(seed, 40) for seed in range(60)], axis=0)
    assert tried > 150
    assert accepted < 0.4 * tried


@pytest.mark.slow
def test_nearly_all_corruptions_are_refused() -> None:
    tried, accepted = np.sum([accepted_corruptions(seed, 30) for seed in range(150)], axis=0)
    assert tried > 300
    assert accepted < 0.1 * tried

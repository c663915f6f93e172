"""Dilated chips are the networks they came from: proved, and replayed spike for spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting import compile_or_refuse, run
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork, check
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.prove_dilation import Claim, prove_dilation
from neurocore.compiler.reference import Reference
from neurocore.compiler.verify import verify
from neurocore.errors import FitError, MismatchError
from neurocore.spikes import Spikes
from random_networks import random_spikes, wide_chip, wide_network

SEEDS = st.integers(0, 2**32 - 1)
REFUSALS = ("E-FANIN", "E-START", "E-CYCLE", "E-CAP", "E-LEVELS", "E-DILATE", "E-DELAY")
TICKS = 25
FEWER = settings().max_examples // 2
"""Examples: half as many as of small networks, as these take longer."""


SMALL = wide_chip()


def check_one(seed: int) -> str:
    """Compile, prove and replay one network; says what became of it."""
    net = wide_network(SMALL, seed)
    fitted = compile_or_refuse(net, SMALL, "dilate", REFUSALS)
    if fitted is None:
        return "refused"
    chip, report = fitted
    ticks = min(TICKS, report.exact_ticks or TICKS)
    verdict = verify(net, chip, random_spikes(net, seed, ticks), ticks, run)
    assert verdict.equal, verdict
    return "plain" if chip.dilation == 1 else "dilated"


@settings(max_examples=FEWER)
@given(seed=SEEDS)
def test_wide_networks(seed: int) -> None:
    check_one(seed)


@pytest.mark.slow
def test_hundreds_of_wide_networks() -> None:
    outcomes = [check_one(seed) for seed in range(120)]
    assert outcomes.count("dilated") > 30


# ---------------------------------------------------------------- the proof is worth something


def dilated_spikes(dilated: Dilated, spikes: Spikes, ticks: int, network: IntegerNetwork) -> set[tuple[int, int]]:
    """(chip tick, neuron) of every spike of the first neurons, from the reference simulator run in chip ticks."""
    simulator = Reference(dilated.network, SMALL)
    found = set()
    for now in range(ticks * dilated.factor + int(dilated.phase.max(initial=0))):
        lines = spikes.line[spikes.tick * dilated.factor == now]
        fired = np.flatnonzero(simulator.tick(lines)[: network.n_neurons])
        found |= {(now, int(neuron)) for neuron in fired}
    return found


def network_spikes(network: IntegerNetwork, dilated: Dilated, spikes: Spikes, ticks: int) -> set[tuple[int, int]]:
    """The same from the network itself."""
    simulator = Reference(network, SMALL)
    found = set()
    for now in range(ticks):
        fired = np.flatnonzero(simulator.tick(spikes.line[spikes.tick == now]))
        found |= {(now * dilated.factor + int(dilated.phase[neuron]), int(neuron)) for neuron in fired}
    return found


def corrupted(dilated: Dilated, rng: np.random.Generator) -> Dilated:
    """The dilated network with one number changed."""
    slow = dilated.network
    name = str(rng.choice(["source", "weight", "delay", "phase", "latency", *NEURON_ARRAYS]))
    if name == "latency":
        return replace(dilated, latency=dilated.latency + 1)
    if name == "phase":
        phase = dilated.phase.copy()
        phase[rng.integers(len(phase))] += int(rng.choice([-1, 1]))
        return replace(dilated, phase=phase)
    if name in NEURON_ARRAYS:
        values = slow.neuron[name].copy()
        values[rng.integers(len(values))] += int(rng.choice([-1, 1, 2]))
        return replace(dilated, network=replace(slow, neuron={**slow.neuron, name: values}))
    values = getattr(slow, name).copy()
    place = rng.integers(len(values))
    changed = int(values[place]) + int(rng.choice([-1, 1, dilated.factor]))
    bounds = {"source": (0, slow.unions.first - 1), "delay": (1, 65_535), "weight": (-999, 999)}[name]
    values[place] = np.clip(changed, *bounds)
    return replace(dilated, network=replace(slow, **{name: values}))


def claim(dilated: Dilated) -> Claim:
    return Claim(dilated.network, dilated.factor, dilated.phase, dilated.latency)


def accepted_corruptions(seed: int, n: int) -> tuple[int, int]:
    """How many corruptions of a dilated network were tried and accepted; those accepted must behave the same."""
    net = wide_network(SMALL, seed)
    try:
        flat = check(net, SMALL)
        dilated = dilate(flat, SMALL)
    except FitError:
        return 0, 0
    if dilated is None:
        return 0, 0
    ticks = min(prove_dilation(flat, claim(dilated), SMALL) or 8, 8)
    rng = np.random.default_rng(seed)
    spikes = random_spikes(net, seed, ticks)
    expected = network_spikes(flat, dilated, spikes, ticks)
    accepted = 0
    for _ in range(n):
        changed = corrupted(dilated, rng)
        try:
            kept = prove_dilation(flat, claim(changed), SMALL)
        except MismatchError:
            continue
        accepted += 1
        assert kept is None or kept >= ticks
        late = network_spikes(flat, changed, spikes, ticks)
        found = dilated_spikes(changed, spikes, ticks, flat)
        end = ticks * dilated.factor
        assert {spike for spike in found if spike[0] < end} == {spike for spike in late if spike[0] < end}
    assert expected <= dilated_spikes(dilated, spikes, ticks, flat)
    return n, accepted


@settings(max_examples=FEWER)
@given(seed=SEEDS)
def test_what_the_proof_accepts_behaves_the_same(seed: int) -> None:
    accepted_corruptions(seed, 10)


@pytest.mark.slow
def test_nearly_all_corruptions_are_refused() -> None:
    tried, accepted = np.sum([accepted_corruptions(seed, 20) for seed in range(80)], axis=0)
    assert tried > 300
    assert accepted < 0.2 * tried

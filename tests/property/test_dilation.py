"""Dilated chips are the networks they came from: proved, and replayed spike for spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork, check
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.prove_dilation import Claim, prove_dilation
from neurocore.compiler.reference import Reference
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, MismatchError
from neurocore.spikes import Spikes
from random_networks import random_spikes, wide_network

SEEDS = st.integers(0, 2**32 - 1)
REFUSALS = ("E-FANIN", "E-START", "E-CYCLE", "E-CAP", "E-LEVELS", "E-DILATE", "E-DELAY")
TICKS = 25
FEWER = settings().max_examples // 2
"""Examples: half as many as of small networks, as these take longer."""


def small() -> Architecture:
    """The tiny chip with wider cores: a core of it has so few axons that no neuron can gather bursts."""
    tiny = load_architecture("tiny")
    core = tiny.core.model_copy(update={"axons": 31, "neurons": 37, "axon_types": 4})
    neuron = tiny.neuron.model_copy(
        update={
            "threshold": Range(min=0, max=1021),
            "membrane": Range(min=-1801, max=1801),
        }
    )
    mesh = tiny.mesh.model_copy(update={"columns": 5, "rows": 13})
    reach = tiny.routing.reach.model_copy(update={"dy": Range(min=-12, max=12)})
    routing = tiny.routing.model_copy(update={"reach": reach})
    return tiny.model_copy(update={"name": "small", "core": core, "neuron": neuron, "mesh": mesh, "routing": routing})


SMALL = small()


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def check_one(seed: int) -> str:
    """Compile, prove and replay one network; says what became of it."""
    net = wide_network(SMALL, seed)
    try:
        chip = compile_network(net, SMALL, fan_in="dilate")
    except FitError as refusal:
        unknown = [problem for problem in refusal.problems if not problem.startswith(REFUSALS)]
        if unknown:
            raise
        return "refused"
    verdict = verify(net, chip, random_spikes(net, seed, TICKS), TICKS, run)
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
    prove_dilation(flat, claim(dilated), SMALL)
    rng = np.random.default_rng(seed)
    spikes = random_spikes(net, seed, 8)
    expected = network_spikes(flat, dilated, spikes, 8)
    accepted = 0
    for _ in range(n):
        changed = corrupted(dilated, rng)
        try:
            prove_dilation(flat, claim(changed), SMALL)
        except MismatchError:
            continue
        accepted += 1
        late = network_spikes(flat, changed, spikes, 8)
        found = dilated_spikes(changed, spikes, 8, flat)
        assert {spike for spike in found if spike[0] < 8 * dilated.factor} == {
            spike for spike in late if spike[0] < 8 * dilated.factor
        }
    assert len(expected) == len(dilated_spikes(dilated, spikes, 8, flat) & expected)
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

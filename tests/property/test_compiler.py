"""Compiled chips are the networks they came from: proved, and replayed spike for spike on both engines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.architecture import load_architecture
from neurocore.compiler.check import check
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.prove import prove
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig, Cores
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError, MismatchError
from neurocore.spikes import Spikes
from random_networks import random_network, random_spikes

SEEDS = st.integers(0, 2**32 - 1)
REFUSALS = ("E-FANIN", "E-START", "E-CYCLE", "E-CAP", "E-LEVELS")
TICKS = 60


def runner(engine: str):
    def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
        return Emulator(chip, engine=engine, threads=1).run(spikes, ticks).spikes

    return run


def check_one(
    chip_name: str, seed: int, random_parts: bool, engine: str = "compiled", *, merging: bool = False
) -> bool:
    """Compile, prove and replay one network; True if it fitted."""
    net = random_network(load_architecture(chip_name), seed, random_parts=random_parts, merging=merging)
    try:
        chip = compile_network(net, chip_name)
    except FitError as refusal:
        unknown = [problem for problem in refusal.problems if not problem.startswith(REFUSALS)]
        if unknown:
            raise
        return False
    verdict = verify(net, chip, random_spikes(net, seed, TICKS), TICKS, runner(engine))
    assert verdict.equal, verdict
    return True


@given(
    seed=SEEDS, chip=st.sampled_from(["tiny", "truenorth", "paicore"]), engine=st.sampled_from(["compiled", "oracle"])
)
def test_deterministic_networks(seed: int, chip: str, engine: str) -> None:
    check_one(chip, seed, random_parts=False, engine=engine)


@given(seed=SEEDS, chip=st.sampled_from(["tiny", "truenorth"]))
def test_networks_with_random_parts(seed: int, chip: str) -> None:
    check_one(chip, seed, random_parts=True)


@settings(max_examples=settings().max_examples // 2)
@given(seed=SEEDS, chip=st.sampled_from(["tiny", "truenorth"]), random_parts=st.booleans())
def test_networks_that_merge_spikes(seed: int, chip: str, random_parts: bool) -> None:
    check_one(chip, seed, random_parts, merging=True)


@pytest.mark.slow
def test_a_thousand_networks() -> None:
    fitted = sum(check_one(["tiny", "truenorth"][seed % 2], seed, False) for seed in range(1000))
    assert fitted > 600


# ---------------------------------------------------------------- the proof is worth something

MUTABLE = {
    "crossbar": 0,
    "axon_type": 3,
    "weight": 0,
    "leak": 0,
    "threshold": 0,
    "threshold_mask_bits": 3,
    "floor": 0,
    "floor_mode": 2,
    "reset": 0,
    "reset_mode": 3,
    "initial": 0,
    "target_core": 0,
    "target_axon": 0,
    "delay": 0,
    "leak_reversal": 2,
    "leak_stochastic": 2,
    "weight_stochastic": 2,
    "index": 0,
    "population": 0,
}


def mutated(chip: ChipConfig, rng: np.random.Generator) -> tuple[str, ChipConfig] | None:
    """The chip with one field of one configured neuron changed, or None if the result is not even a valid chip."""
    name = str(rng.choice(sorted(MUTABLE)))
    arrays = {item: getattr(chip.cores, item).copy() for item in Cores.__dataclass_fields__}
    array = arrays[name]
    used = np.argwhere(chip.cores.configured)
    row, slot = used[rng.integers(len(used))]
    if name == "crossbar":
        axon = rng.integers(array.shape[1])
        array[row, axon, slot // 64] ^= np.uint64(1) << np.uint64(slot % 64)
    else:
        place = {2: (row, slot), 3: (row, rng.integers(array.shape[1]), slot)}[array.ndim]
        if name == "axon_type":
            place = (row, rng.integers(array.shape[1]))
        if name in ("leak_reversal", "leak_stochastic", "weight_stochastic"):
            array[place] = not array[place]
        else:
            bounds = np.iinfo(array.dtype)
            changed = int(array[place]) + int(rng.choice([-1, 1, 2]))
            array[place] = min(max(changed, bounds.min, -2), bounds.max)
    mutant = ChipConfig(**{**chip.__dict__, "cores": Cores(**arrays)})
    try:
        return name, mutant.validate()
    except InputError:
        return None


@given(seed=SEEDS, merging=st.booleans())
def test_what_the_proof_accepts_behaves_the_same(seed: int, merging: bool) -> None:
    """Single-field corruptions are refused, or change nothing that a run shows."""
    arch = load_architecture("tiny")
    net = random_network(arch, seed, merging=merging)
    try:
        chip = compile_network(net, arch)
    except FitError:
        return
    flat = check(net, arch)
    spikes = random_spikes(net, seed, TICKS)
    rng = np.random.default_rng(seed)
    expected = runner("compiled")(chip, spikes, TICKS + chip.latency)
    for _ in range(12):
        result = mutated(chip, rng)
        if result is None:
            continue
        name, changed = result
        try:
            prove(flat, changed)
        except MismatchError:
            continue
        assert runner("compiled")(changed, spikes, TICKS + chip.latency) == expected, name

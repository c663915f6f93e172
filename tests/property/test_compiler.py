"""Compiled chips are the networks they came from: proved, and replayed spike for spike on both engines."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from neurocore.architecture import FLOOR_MODES, RESET_MODES, Architecture, load_architecture
from neurocore.compiler.check import IntegerNetwork, check, random_neurons
from neurocore.compiler.idling import idled
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.prove import prove
from neurocore.compiler.reference import Places
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError
from neurocore.spikes import Spikes
from random_networks import KINDS, LONGEST, larger, network_of, random_network, random_spikes
from replay import Replay, rich_spikes

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


# ---------------------------------------------------------------- networks of every kind


def targets() -> tuple[Architecture, ...]:
    """Tiny, the same with more cores, and a board of nine small chips."""
    tiny = load_architecture("tiny")
    return tiny, larger(tiny, 9, 7), larger(tiny, 3, 3, (3, 3))


class Survey:
    """Compiles and replays networks; counts what those that fitted had in them, and why the others were refused."""

    def __init__(self) -> None:
        self.traits: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.delays: set[int] = set()

    def add(self, net: Network, arch: Architecture, seed: int) -> None:
        flat = check(net, arch)
        try:
            chip, report = compile_with_report(net, arch)
        except FitError as refusal:
            for problem in refusal.problems:
                assert is_right(problem, flat, arch), problem
            self.codes.update({problem.split()[0] for problem in refusal.problems})
            return
        places = Places.of(flat, chip, prove(flat, chip), chip.seed)
        replay = Replay.of(flat, arch, rich_spikes(flat.n_inputs, seed, part=25), 125, places)
        assert replay.difference(flat, chip) is None, (net.name, seed)
        self.delays |= set(flat.delay.tolist())
        self.traits.update(traits_of(flat, replay) | {"fitted"})
        self.traits.update(name for name in ("copies", "relays") if getattr(report, name))
        self.traits.update({"late starts"} if chip.timing.any() else ())


def traits_of(flat: IntegerNetwork, replay: Replay) -> set[str]:
    """What a network has in it."""
    n_sources = flat.n_inputs + flat.n_neurons
    place, source = flat.unions.expand(flat.source)
    target = flat.target[place]
    graph = sparse.csr_array((np.ones(len(target)), (source, flat.n_inputs + target)), (n_sources, n_sources))
    n_strong = connected_components(graph, connection="strong")[0]
    loops = (source == flat.n_inputs + target).any()
    _, member = connected_components(graph, connection="weak")
    fan_out, reads = np.bincount(source, minlength=n_sources), np.unique(source * flat.n_neurons + target)
    shared = np.bincount(reads // flat.n_neurons, minlength=n_sources)[: flat.n_inputs].max(initial=0) > 1
    levels = [len(np.unique(flat.weight[a:b])) for a, b in pairwise(flat.start.tolist())]
    known = {
        "recurrent": n_strong < n_sources or loops,
        "feed-forward": n_strong == n_sources and not loops,
        "signed weights": flat.weight.min(initial=0) < 0 < flat.weight.max(initial=0),
        "weights of three values and more": max(levels, default=0) > 2,
        "more weights than axon types": max(levels, default=0) > 3,
        "delays over 20": flat.delay.max(initial=0) > 20,
        "tonic start": bool(replay.fired[: len(replay.fired) // 5].any()),
        "quiescent start": not replay.fired[: len(replay.fired) // 5].any(),
        "fan-out over 256": fan_out.max(initial=0) > 256,
        "shared inputs": bool(shared),
        "components": len(np.unique(member[source])) > 1,
        "unions": len(flat.unions) > 0,
        "random": bool(random_neurons(flat).any()),
        "spikes": bool(replay.fired.any()),
    }
    modes = {f"reset {RESET_MODES[mode]}" for mode in np.unique(flat.neuron["reset_mode"])}
    modes |= {f"floor {FLOOR_MODES[mode]}" for mode in np.unique(flat.neuron["floor_mode"])}
    return modes | {name for name, has in known.items() if has}


LEAST = {
    "fitted": 0.7,
    "spikes": 0.5,
    "recurrent": 0.2,
    "feed-forward": 0.1,
    "signed weights": 0.3,
    "weights of three values and more": 0.3,
    "more weights than axon types": 0.05,
    "delays over 20": 0.15,
    "reset value": 0.2,
    "reset linear": 0.2,
    "reset none": 0.2,
    "floor saturate": 0.3,
    "floor reset": 0.3,
    "tonic start": 0.2,
    "quiescent start": 0.1,
    "fan-out over 256": 0.05,
    "shared inputs": 0.3,
    "components": 0.1,
    "unions": 0.05,
    "random": 0.2,
    "copies": 0.2,
    "relays": 0.3,
    "late starts": 0.1,
}
"""What part of all networks must fit and have each trait."""


def survey(n: int, first: int = 0) -> Survey:
    """About n networks, equally many of each kind on each target."""
    found, chips = Survey(), targets()
    for seed in range(first, first + n // len(KINDS)):
        for kind in KINDS:
            arch = chips[seed % len(chips)] if kind != "wide" else chips[1 + seed % 2]
            found.add(network_of(kind, arch, seed, random_parts=seed % 4 == 3), arch, seed)
    return found


def check_coverage(found: Survey, n: int) -> None:
    lacking = {name: found.traits[name] for name, share in LEAST.items() if found.traits[name] < share * n}
    assert not lacking, (lacking, found.codes)


def test_networks_of_every_kind() -> None:
    check_coverage(survey(54), 54)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_thousand_networks(part: int) -> None:
    n = 261
    found = survey(n, first=part * n)
    check_coverage(found, n)
    assert found.delays >= set(range(1, LONGEST + 1))
    assert found.codes.keys() >= {"E-FANIN", "E-START"}


@pytest.mark.slow
def test_networks_on_truenorth() -> None:
    fitted = sum(check_one("truenorth", seed, False) for seed in range(40))
    assert fitted > 24


# ---------------------------------------------------------------- a refusal says what is so


def is_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    """Whether a refusal's figures are those of the network and the chip, and are a reason to refuse."""
    return RIGHT[problem.split()[0]](problem, flat, arch)


def _numbers(pattern: str, problem: str) -> list[int]:
    found = re.search(pattern, problem)
    return [] if found is None else [int(part.replace(",", "")) for part in found.groups()]


def _neuron(problem: str, flat: IntegerNetwork) -> int:
    names = [group.name for group in flat.populations]
    name, index = re.search(r"(\w+)\[(\d+)\]", problem).groups()
    return int(flat.offsets()[names.index(name)]) + int(index)


def _fan_in_is_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    neuron = _neuron(problem, flat)
    synapses = int(flat.start[neuron + 1] - flat.start[neuron])
    reads, limit = _numbers(r"reads ([\d,]+) signals", problem) + _numbers(r"core of '\w+' has ([\d,]+)", problem)
    taken = _numbers(r"takes ([\d,]+) axons", problem)
    return reads == synapses and limit == arch.core.axons and max([reads, *taken]) > limit


def _levels_are_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    neuron = _neuron(problem, flat)
    mine = slice(flat.start[neuron], flat.start[neuron + 1])
    different = len(set(zip(flat.weight[mine].tolist(), flat.stochastic[mine].tolist(), strict=True)))
    return _numbers(r"has ([\d,]+) different weights", problem) == [different] and different > arch.core.axon_types


def _capacity_is_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    needs, has, over = _numbers(r"needs ([\d,]+) cores; '\w+' has ([\d,]+) \(([\d,]+) over\)", problem)
    return has == arch.n_cores and over == needs - has > 0


def _cycle_is_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    names = re.findall(r"'(\w+)'", problem.split(" has ")[0])
    number = [[group.name for group in flat.populations].index(name) for name in names]
    (place, source), population = flat.unions.expand(flat.source), flat.population_of()
    inner = source >= flat.n_inputs
    reader = population[flat.target[place[inner]]]
    edges = set(zip(population[source[inner] - flat.n_inputs].tolist(), reader.tolist(), strict=True))
    # Relays of one reader may tap the axon of another, which then is a step of the cycle.
    together = {
        pair for source in range(len(flat.populations)) for pair in product(*[[b for a, b in edges if a == source]] * 2)
    }
    steps = edges | together
    return len(number) > 1 and number[0] == number[-1] and all(pair in steps for pair in pairwise(number))


def _start_is_right(problem: str, flat: IntegerNetwork, arch: Architecture) -> bool:
    neuron = _neuron(problem, flat)
    values = {name: column[neuron : neuron + 1] for name, column in flat.neuron.items()}
    shown = _numbers(r"leak (-?\d+), threshold (\d+) and initial (-?\d+)", problem)
    membrane, disturbed = idled(values["initial"], np.array([1]), values, arch)
    moves = bool(disturbed[0] or membrane[0] != values["initial"][0])
    return moves and shown == [int(values[name][0]) for name in ("leak", "threshold", "initial")]


RIGHT = {
    "E-FANIN": _fan_in_is_right,
    "E-LEVELS": _levels_are_right,
    "E-CAP": _capacity_is_right,
    "E-CYCLE": _cycle_is_right,
    "E-START": _start_is_right,
}

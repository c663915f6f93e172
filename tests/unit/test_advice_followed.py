"""The ways out that refusals name are taken, word for word: the network then fits, or meets another limit than the one named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards import board, chain
from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.check import check
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_with_report
from neurocore.errors import FitError
from random_networks import counting_network, larger


@pytest.fixture(scope="module")
def roomy() -> Architecture:
    """Tiny's cores, so many that only their own limits matter."""
    return larger(load_architecture("tiny"), 40, 40)


def said_of(net: Network, arch: Architecture, **options: Any) -> str:
    """The first thing that is said of a network that is refused; nothing of one that compiles."""
    try:
        compile_with_report(net, arch, **options)
    except FitError as error:
        return error.problems[0]
    return ""


def with_delays(net: Network, raised: list[tuple[str, str, int]]) -> Network:
    """The network with longer delays from population to population, which must have projections."""
    projections = list(net.projections)
    for source, target, more in raised:
        mine = [number for number, item in enumerate(projections) if (item.source, item.target) == (source, target)]
        assert mine, f"{source} -> {target} is no projection"
        for number in mine:
            projections[number] = replace(projections[number], delay=projections[number].delay + more)
    return replace(net, projections=projections)


def loops(seed: int) -> Network:
    """Populations that drive each other with few ticks of delay; some draw random numbers, so that they cannot be copied."""
    rng = np.random.default_rng(seed)
    net = Network(f"loops{seed}")
    places = [
        net.population(f"p{number}", int(rng.integers(2, 14)), threshold_mask_bits=int(rng.choice([0, 1])))
        for number in range(rng.integers(1, 4))
    ]
    for _ in range(rng.integers(1, 6)):
        source, target = (places[rng.integers(len(places))] for _ in range(2))
        weights = np.zeros((source.size, target.size), int)
        weights[: min(source.size, 4)] = 1
        net.connect(source, target, weights, delay=int(rng.choice([1, 1, 1, 2, 3])))
    net.output("out", places[0])
    return net


def test_delays_that_give_cycles_time(roomy: Architecture) -> None:
    """E-CYCLE asks for all delays at once."""
    followed = 0
    for seed in range(24):
        net = loops(seed)
        said = said_of(net, roomy)
        if said.startswith("E-CYCLE"):
            asked = re.search(r"Raise the delays? (.*), with which all cycles have time", said)
            assert asked, said
            steps = re.findall(r"'(\w+)' -> '(\w+)' by (\d+)", asked[1])
            then = said_of(with_delays(net, [(source, target, int(more)) for source, target, more in steps]), roomy)
            assert then == "", f"loops({seed}): {said}\nthen {then}"
            followed += 1
    assert followed >= 5


def narrowed(net: Network, arch: Architecture, most: int) -> Network:
    """The network with at most so many signals to a neuron, the first of each."""
    flat = check(net, arch)
    own = np.concatenate([np.arange(a, b)[:most] for a, b in zip(flat.start[:-1], flat.start[1:], strict=True)])
    result = replace(net, projections=[])
    sources = [*net.inputs.values(), *net.populations.values()]
    starts, offsets = np.cumsum([0, *(item.size for item in sources)]), flat.offsets()
    from_, to = np.searchsorted(starts, flat.source[own], "right") - 1, flat.population_of()[flat.target_of(own)]
    kinds = np.unique(np.stack([from_, to, flat.stochastic[own]]), axis=1).T
    for source, target, chance in kinds.tolist():
        mine = own[(from_ == source) & (to == target) & (flat.stochastic[own] == chance)]
        columns = {
            "source": flat.source[mine] - starts[source],
            "target": flat.target_of(mine) - offsets[target],
            "weight": flat.weight[mine],
            "delay": flat.delay[mine],
        }
        result.connect(sources[source], list(net.populations)[target], edges=columns, stochastic=bool(chance))
    return result


def ways_out(net: Network, arch: Architecture, said: str) -> Iterator[tuple[str, Network, dict[str, str]]]:
    """What E-FANIN names: the way, and the network and the options of compiling it as it says."""
    limit = re.search(r"Limit receptive fields to (\d+) signals", said)
    if limit and not len(check(net, arch).unions):
        yield "limit", narrowed(net, arch, int(limit[1])), {}
    for way in re.findall(r'use fan_in="(\w+)":', said):
        yield way, net, {"fan_in": way}
    if 'use merge="or"' in said:
        name = re.match(r"E-FANIN population '(\w+)'", said)
        assert name, said
        merged = [replace(item, merge="or") if item.target == name[1] else item for item in net.projections]
        yield "or", replace(net, projections=merged), {}


def fan_ins() -> Iterator[Network]:
    """Networks of neurons that read too much in many ways, and one for which merging is as good."""
    tiny = load_architecture("tiny")
    for seed in range(14):
        yield counting_network(tiny, seed)
    for n in (14, 40):
        net = Network(f"wide{n}")
        net.connect(net.input("in", n), net.population("p", 2), np.ones((n, 2), int))
        net.output("out", "p")
        yield net


def test_ways_out_of_too_much_fan_in(roomy: Architecture) -> None:
    """Each makes the neurons fit; what may be in the way then is time, for cycles or for neurons that cannot start late."""
    followed = dict.fromkeys(("limit", "dilate", "thermometer", "carry", "or"), 0)
    for net in fan_ins():
        said = said_of(net, roomy)
        if not said.startswith("E-FANIN"):
            continue
        for way, changed, options in ways_out(net, roomy, said):
            then = said_of(changed, roomy, **options)
            same = re.match(r"E-FANIN population '\w+'", said)
            assert same, said
            assert then.startswith(("E-CYCLE", "E-START")) or then == "", f"{net.name}: {said}\n{way}: {then}"
            followed[way] += then == ""
    assert min(followed.values()) >= 1, followed


def test_as_many_cores_as_are_needed_are_enough() -> None:
    """E-CAP says how many cores a network takes, and so many are enough."""
    net = chain(20)
    tiny = load_architecture("tiny")
    needed = re.match(r"E-CAP network 'chain' needs (\d+) cores; 'tiny' has 15 \((\d+) over\)", said_of(net, tiny))
    assert needed
    assert int(needed[2]) == int(needed[1]) - 15
    assert said_of(net, larger(tiny, int(needed[1]), 1)) == ""
    assert said_of(net, larger(tiny, int(needed[1]) - 1, 1)).startswith("E-CAP")
    assert said_of(chain(15), tiny) == ""


def ring(seed: int) -> tuple[Network, Architecture, str]:
    """Populations that each fill a core, in a ring, on a board whose packets do not get far; and places for them."""
    rng = np.random.default_rng(seed)
    net = Network("ring")
    places = [net.population(f"c{number}", 9) for number in range(rng.integers(2, 5))]
    for source, target in zip(places, [*places[1:], places[0]], strict=True):
        net.connect(source, target, one_to_one=1, delay=int(rng.choice([1, 1, 2, 3])))
    net.connect(net.input("in", 9), places[0], one_to_one=1)
    net.output("out", places[0])
    sites = rng.choice(90, len(places), replace=False).tolist()
    listed = [f"{{core: {core}, at: [{site % 15}, {site // 15}]}}" for core, site in enumerate(sites)]
    return net, board(3, 2, 4, 2), f"rest: place\ncores: [{', '.join(listed)}]\n"


def test_ways_out_of_a_reach_that_is_too_short(tmp_path: Path) -> None:
    """E-REACH names a cycle of the network and what it lacks at least; without the places given, nothing does."""
    path = tmp_path / "places.yaml"
    followed = 0
    for seed in range(5):
        net, arch, places = ring(seed)
        path.write_text(places)
        said = said_of(net, arch, placement=path)
        if not said:
            continue
        found = re.search(
            r"^E-REACH the spikes of (\w+)\[\d\] need [1-9]\d* more ticks? .*; but they are on the cycle (.*), which leaves (\d+)"
            r" too few\. Raise a delay on it, or .*; without the given placement all cores find their places$",
            said,
        )
        assert found, said
        assert said_of(net, arch) == ""
        way = re.findall(r"'(\w+)'", found[2])
        assert found[1] in way
        # One tick less than what is missing is not enough.
        assert said_of(with_delays(net, [(*way[-2:], int(found[3]) - 1)]), arch, placement=path) != ""
        followed += 1
    assert followed >= 2

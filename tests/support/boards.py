"""Boards of tiny with a short reach, networks of many small cores for them, defects, and a walk along all packets."""

from __future__ import annotations

import numpy as np

from neurocore.architecture import Architecture, Grid, Range, Reach, load_architecture
from neurocore.compiler.defects import Defects
from neurocore.compiler.network import Network
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from random_networks import random_spikes

STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def board(columns: int, rows: int, dx: int, dy: int) -> Architecture:
    """Chips of tiny in a plane, with packets that travel dx and dy cores."""
    tiny = load_architecture("tiny")
    reach = Reach(dx=Range(min=-dx, max=dx), dy=Range(min=-dy, max=dy))
    changes = {"board": Grid(columns=columns, rows=rows), "routing": tiny.routing.model_copy(update={"reach": reach})}
    return tiny.model_copy(update={"name": "board", **changes})


def layers(seed: int, n: int = 14) -> Network:
    """A network of many small cores: layers that read two earlier ones after various delays, and a long loop."""
    rng = np.random.default_rng(seed)
    net = Network(f"layers{seed}")
    places = [net.input("in", 4)]
    for number in range(n):
        here = net.population(f"p{number}", int(rng.integers(6, 9)), threshold=2)
        for source in rng.choice(len(places), min(2, len(places)), replace=False):
            weights = np.zeros((places[source].size, here.size), int)
            for neuron in range(here.size):
                weights[rng.choice(len(weights), 2, replace=False), neuron] = 1
            net.connect(places[source], here, weights, delay=int(rng.choice([1, 1, 2, 9])))
        places.append(here)
    net.connect(places[-1], places[3], np.eye(places[-1].size, places[3].size, dtype=int), delay=30)
    net.output("end", places[-1])
    return net


def chain(n: int, size: int = 9, delay: int = 1) -> Network:
    """Populations that each fill a core of tiny and drive the next, neuron by neuron."""
    net = Network("chain")
    previous: object = net.input("x", size)
    for number in range(n):
        here = net.population(f"c{number}", size)
        net.connect(previous, here, one_to_one=1, delay=delay)
        previous = here
    net.output("end", previous)
    return net


def is_equal(net: Network, chip: ChipConfig, ticks: int = 40) -> bool:
    """Whether network and chip give the same spikes on some input."""
    return verify(
        net, chip, random_spikes(net, 1, ticks), ticks, lambda *run: Emulator(run[0]).run(*run[1:]).spikes
    ).equal


def site_of(chip: ChipConfig, population: str) -> set[tuple[int, int]]:
    """Cores that hold neurons of a population."""
    number = [group.name for group in chip.populations].index(population)
    rows = np.flatnonzero((chip.cores.population == number).any(axis=1))
    return {chip.architecture.core_xy(int(chip.cores.core[row])) for row in rows}


def random_defects(arch: Architecture, seed: int) -> Defects:
    """Some dead cores, axons and links."""
    rng = np.random.default_rng(seed)
    n_cores, n_axons, n_links = rng.integers(0, [4, 40, 5])
    cores = np.stack([rng.integers(0, arch.columns, n_cores), rng.integers(0, arch.rows, n_cores)], axis=1)
    axons = [rng.integers(0, size, n_axons) for size in (arch.columns, arch.rows, arch.core.axons)]
    links = np.stack([rng.integers(0, size, n_links) for size in (arch.columns - 1, arch.rows, 2)], axis=1)
    links[:, 0] += links[:, 2]
    return Defects(cores, np.stack(axons, axis=1), links)


def walk_packets(chip: ChipConfig, defects: Defects) -> None:
    """Every packet goes step by step, x first, and meets nothing that is dead."""
    arch, cores = chip.architecture, chip.cores
    dead_links, dead_cores = set(map(tuple, defects.links.tolist())), set(map(tuple, defects.cores.tolist()))
    dead_axons = set(map(tuple, defects.axons.tolist()))
    assert not dead_cores & {arch.core_xy(int(core)) for core in cores.core}
    for row, slot in np.argwhere(cores.target_core >= 0).tolist():
        (x, y), (x1, y1) = arch.core_xy(int(cores.core[row])), arch.core_xy(int(cores.target_core[row, slot]))
        assert x1 - x in arch.routing.reach.dx
        assert y1 - y in arch.routing.reach.dy
        assert (x1, y1, int(cores.target_axon[row, slot])) not in dead_axons
        while (x, y) != (x1, y1):
            side = (0 if x1 > x else 1) if x != x1 else (2 if y1 > y else 3)
            assert (x, y, side) not in dead_links
            x, y = x + STEPS[side][0], y + STEPS[side][1]
    outputs = cores.core[(cores.target_core == -2).any(axis=1)].tolist()
    for core in [*outputs, *chip.input_map.core.tolist()]:
        x, y = arch.core_xy(int(core))
        assert not dead_links & {(k, y, 0) for k in range(x)} | dead_links & {(k, y, 1) for k in range(x + 1)}
    entries = zip(chip.input_map.core.tolist(), chip.input_map.axon.tolist(), strict=True)
    assert not dead_axons & {(*arch.core_xy(core), axon) for core, axon in entries}

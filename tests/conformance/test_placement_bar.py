"""The placer's bar: mean hops on core graphs from elsewhere, and on graphs of the same families made here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from neurocore.compiler.place import CoreTraffic, link_loads, place

ROOT = Path(__file__).parents[2]
GRAPHS = Path(os.environ.get("NEUROCORE_DATA", ROOT / "../shared/data")) / "placement"
BAR = {
    "conv": 3.65,
    "smallworld": 6.30,
    "local2d": 4.40,
    "grid4": 1.000,
    "disjoint": 1.01,
    "conv1k": 3.45,
    "er": 26.6,
}
SIDE = 64
SECONDS = 9.0
"""The bar is about 3 CPU seconds; three times that still tells a placer that has become slow from a machine that is busy."""


def load(name: str) -> tuple[CoreTraffic, tuple[int, int]]:
    path = GRAPHS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no core graph {path}; NEUROCORE_DATA names the folder that has it")
    with np.load(path) as data:
        traffic = CoreTraffic(int(data["n_cores"]), data["source"], data["target"], data["spikes_per_tick"])
        columns, rows = data["mesh"].tolist()
    return traffic, (columns, rows)


def check(traffic: CoreTraffic, mesh: tuple[int, int], bar: float, seed: int = 0) -> None:
    began = time.process_time()
    placement = place(traffic, mesh, seed=seed)
    assert time.process_time() - began <= SECONDS
    sites = placement.core_ids(mesh[0])
    assert len(np.unique(sites)) == traffic.n_cores
    assert sites.min() >= 0
    assert sites.max() < mesh[0] * mesh[1]
    assert link_loads(traffic, placement, mesh).sum() == pytest.approx(placement.weighted_hops)
    assert placement.mean_hops <= bar + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", BAR)
def test_given_graph(name: str) -> None:
    check(*load(name), BAR[name])


def test_grid_is_placed_at_its_optimum() -> None:
    check(*load("grid4"), BAR["grid4"])


@pytest.mark.slow
@pytest.mark.parametrize("name", BAR)
def test_names_of_cores_do_not_matter(name: str) -> None:
    traffic, mesh = load(name)
    new = np.random.default_rng(1).permutation(traffic.n_cores)
    relabelled = CoreTraffic(traffic.n_cores, new[traffic.source], new[traffic.target], traffic.spikes_per_tick)
    check(relabelled, mesh, BAR[name], seed=1)


def shuffled(source: np.ndarray, target: np.ndarray, rates: np.ndarray, rng: np.random.Generator) -> CoreTraffic:
    """A graph of SIDE * SIDE cores under random names."""
    name = rng.permutation(SIDE * SIDE)
    return CoreTraffic(SIDE * SIDE, name[source], name[target], rates)


def grid(seed: int, block: int) -> CoreTraffic:
    """Four-neighbour grids of block * block cores that fill the mesh."""
    rng = np.random.default_rng(seed)
    core = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    west, south = core[:, :-1].ravel(), core[:-1].ravel()
    west, south = west[west % block != block - 1], south[south // SIDE % block != block - 1]
    one, other = np.concatenate([west, south]), np.concatenate([west + 1, south + SIDE])
    source, target = np.concatenate([one, other]), np.concatenate([other, one])
    return shuffled(source, target, rng.uniform(0.5, 1.5, len(source)), rng)


def neighbourhoods(seed: int) -> CoreTraffic:
    """Ten edges a core to Gaussian neighbours in the plane, 3 % of them to anywhere."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(SIDE * SIDE), 10)
    x, y = (at + np.rint(rng.normal(0, 2, len(source))).astype(int) for at in (source % SIDE, source // SIDE))
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    source, target = source[inside], (y * SIDE + x)[inside]
    anywhere = rng.random(len(source)) < 0.03
    target = np.where(anywhere, rng.integers(0, SIDE * SIDE, len(source)), target)
    return shuffled(source, target, rng.lognormal(0, 0.5, len(source)), rng)


def ring(seed: int) -> CoreTraffic:
    """A Watts-Strogatz ring: eight edges a core onwards, 10 % of them to anywhere."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(SIDE * SIDE), 8)
    target = (source + np.tile(np.arange(1, 9), SIDE * SIDE)) % (SIDE * SIDE)
    anywhere = rng.random(len(source)) < 0.1
    target = np.where(anywhere, rng.integers(0, SIDE * SIDE, len(source)), target)
    return shuffled(source, target, rng.lognormal(0, 0.5, len(source)), rng)


def anywhere(seed: int) -> CoreTraffic:
    """No structure: eight edges a core to cores drawn at random."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(SIDE * SIDE), 8)
    return CoreTraffic(
        SIDE * SIDE, source, rng.integers(0, SIDE * SIDE, len(source)), rng.lognormal(0, 0.5, len(source))
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 23])
def test_other_graphs_of_the_families(seed: int) -> None:
    mesh = (SIDE, SIDE)
    check(grid(seed, SIDE), mesh, BAR["grid4"])
    check(grid(seed, 8), mesh, BAR["disjoint"])
    check(neighbourhoods(seed), mesh, BAR["local2d"])
    check(ring(seed), mesh, BAR["smallworld"])
    check(anywhere(seed), mesh, BAR["er"])

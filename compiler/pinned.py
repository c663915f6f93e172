"""Placing some cores around others that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.refine import ANCHORS, ROUNDS, Annealer, solve
from neurocore.compiler.sites import Graph, Point, rows_of

Array = npt.NDArray[Any]


def place_around(graph: Graph, pinned: Array, seed: int, advance: Callable[[], None]) -> Point:
    """Sites of all cores when those of ``pinned`` [n, 2], where it is not -1, are given.

    The others are drawn to the cores that they talk to, take the nearest free sites, and are annealed; the pinned ones stay.
    """
    fixed = pinned[:, 0] >= 0
    order = np.argsort(fixed, kind="stable")
    n_movable = int((~fixed).sum())
    sites = pinned[order].astype(np.int64)
    if n_movable:
        # The kernel moves the first cores, so the pinned ones go behind.
        sorted_graph = Graph(graph.links[order][:, order].tocsr(), graph.edge_pull[order], graph.mesh)
        start = _around(sorted_graph, sites, n_movable, advance)
        sites = np.stack(Annealer(sorted_graph, seed, n_movable).anneal(start, advance), axis=1)
    result = np.empty_like(sites)
    result[order] = sites
    return result[:, 0], result[:, 1]


def _around(graph: Graph, sites: Array, n: int, advance: Callable[[], None]) -> Point:
    """The best of several rounds: the first ``n`` cores solved for with the others fixed, then put on free sites."""
    free = graph.mesh.free.copy()
    free[sites[n:, 1], sites[n:, 0]] = False
    middle = sites[n:].mean(axis=0)
    solved = [np.where(np.arange(len(sites)) < n, middle[axis], sites[:, axis]).astype(float) for axis in range(2)]
    at = [values.copy() for values in solved]
    rows, weight = rows_of(graph.links), np.asarray(graph.links.sum(axis=1))[:n] + graph.edge_pull[:n]
    heaviest = np.argsort(-weight, kind="stable")
    pulls = (graph.edge_pull, np.zeros(graph.n_cores))
    best: Point | None = None
    for anchor in np.geomspace(*ANCHORS, ROUNDS):
        solved = [solve(graph.links, rows, pulls[axis], solved[axis], at[axis], anchor, n) for axis in range(2)]
        chosen = _nearest_free(free, np.stack(solved, axis=1)[heaviest])
        found = sites.copy()
        found[heaviest] = chosen
        point = (found[:, 0], found[:, 1])
        best = point if best is None else min(best, point, key=graph.cost)
        at = [values.astype(float) for values in point]
        advance()
    assert best is not None, "there is at least one round"
    return best


def _nearest_free(free: Array, wanted: Array) -> Array:
    """Sites [n, 2], one each: the first takes the free site nearest to ``wanted`` [n, 2], and so on."""
    y, x = (part.astype(np.int64) for part in np.nonzero(free))
    taken = np.zeros(len(x))
    result = np.empty((len(wanted), 2), np.int64)
    for number, (to_x, to_y) in enumerate(wanted.tolist()):
        place = int(np.argmin(np.abs(x - to_x) + np.abs(y - to_y) + taken))
        taken[place] = np.inf
        result[number] = x[place], y[place]
    return result

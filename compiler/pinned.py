"""Placing some cores around others that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.refine import ANCHORS, ROUNDS, Annealer, solve
from neurocore.compiler.sites import Box, Graph, Legaliser, Mesh, Point, rows_of

Array = npt.NDArray[Any]


def place_around(
    graph: Graph, pinned: Array, seed: int, advance: Callable[[], None], unpinned: Point | None = None
) -> Point:
    """Sites of all cores when those of ``pinned`` [n, 2], where it is not -1, are given.

    The others are drawn to the cores that they talk to, take free sites, and are annealed; the pinned ones stay. ``unpinned`` is
    a placement without regard to pins, from which to start if that is cheaper once the pinned cores have changed places.
    """
    fixed = pinned[:, 0] >= 0
    order = np.argsort(fixed, kind="stable")
    n_movable = int((~fixed).sum())
    sites = pinned[order].astype(np.int64)
    if n_movable:
        # The kernel moves the first cores, so the pinned ones go behind.
        sorted_graph = Graph(graph.links[order][:, order].tocsr(), graph.edge_pull[order], graph.mesh)
        start = _around(sorted_graph, sites, n_movable, advance)
        if unpinned is not None:
            swapped = _swapped(np.stack(unpinned, axis=1)[order], sites, n_movable)
            start = min(start, (swapped[:, 0], swapped[:, 1]), key=sorted_graph.cost)
        sites = np.stack(Annealer(sorted_graph, seed, n_movable).anneal(start, advance), axis=1)
    result = np.empty_like(sites)
    result[order] = sites
    return result[:, 0], result[:, 1]


def _swapped(at: Array, sites: Array, n: int) -> Array:
    """Sites [cores, 2] after each core from ``n`` on has changed places with whatever is at its own of ``sites``."""
    at = at.copy()
    core_at = {tuple(site): core for core, site in enumerate(at.tolist())}
    for core in range(n, len(at)):
        old, new = tuple(at[core].tolist()), tuple(sites[core].tolist())
        other = core_at.pop(new, None)
        core_at.pop(old, None)
        at[core], core_at[new] = new, core
        if other is not None and other != core:
            at[other], core_at[old] = old, other
    return at


def _around(graph: Graph, sites: Array, n: int, advance: Callable[[], None]) -> Point:
    """The best of several rounds: the first ``n`` cores solved for with the others fixed, then put on free sites.

    Two ways to do the latter: the nearest free site to each core, which suits few cores among many that are pinned, and
    k-d splits of the region around the pinned ones, which suit many.
    """
    free = graph.mesh.free.copy()
    free[sites[n:, 1], sites[n:, 0]] = False
    mesh = replace(graph.mesh, free=free)
    split = Legaliser(mesh, _region(mesh, sites[n:], n), n)
    middle = sites[n:].mean(axis=0)
    solved = [np.where(np.arange(len(sites)) < n, middle[axis], sites[:, axis]).astype(float) for axis in range(2)]
    at = [values.copy() for values in solved]
    rows, weight = rows_of(graph.links), np.asarray(graph.links.sum(axis=1))[:n] + graph.edge_pull[:n]
    heaviest = np.argsort(-weight, kind="stable")
    pulls = (graph.edge_pull, np.zeros(graph.n_cores))
    best: Point | None = None
    for anchor in np.geomspace(*ANCHORS, ROUNDS):
        solved = [solve(graph.links, rows, pulls[axis], solved[axis], at[axis], anchor, n) for axis in range(2)]
        wanted = np.stack(solved, axis=1)[:n]
        found = [sites.copy(), sites.copy()]
        found[0][heaviest] = _nearest_free(free, wanted[heaviest])
        found[1][:n] = np.stack(split((wanted[:, 0], wanted[:, 1])), axis=1)
        points = [(places[:, 0], places[:, 1]) for places in found]
        here = min(points, key=graph.cost)
        best = here if best is None else min(best, here, key=graph.cost)
        at = [values.astype(float) for values in here]
        advance()
    assert best is not None, "there is at least one round"
    return best


def _region(mesh: Mesh, pinned: Array, n: int) -> Box:
    """The box of the pinned sites, grown to all sides until it has ``n`` free ones."""
    rows, columns = mesh.free.shape
    (x0, y0), (x1, y1) = pinned.min(axis=0).tolist(), pinned.max(axis=0).tolist()
    for margin in range(max(rows, columns)):
        box = (max(x0 - margin, 0), min(x1 + 1 + margin, columns), max(y0 - margin, 0), min(y1 + 1 + margin, rows))
        if mesh.n_free(box) >= n:
            return box
    return (0, columns, 0, rows)


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

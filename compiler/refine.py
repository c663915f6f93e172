"""Making a placement better: solves that bend squared distances towards Manhattan distances, and annealing in compiled code.

Both take sites and give sites; what they give costs no more than what they took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import cg

from neurocore._anneal import anneal
from neurocore.compiler.sites import Graph, Legaliser, Point, rows_of

Array = npt.NDArray[Any]

ROUNDS = 14
ANCHORS = (0.001, 0.1)
"""Strength of the first and the last anchors, relative to a core's own springs."""
SOLVE_TOLERANCE = 1e-3

HEATS = ((0.04, 0.2), (0.6, 0.8))
"""Annealing runs: start temperature in mean costs of moving a core by one hop, and share of the moves. The cool one mends
a placement that the hot one would melt."""
COOLING = 1 / 20
BLOCKS = 64
WINDOWS = (4, 1)
MOVES = 4_000_000
MOVES_PER_CORE = (1_000, 10_000)


def anneal_steps() -> int:
    """How often :meth:`Annealer.anneal` says that it got on."""
    return len(HEATS) * BLOCKS


def straighten(graph: Graph, legalise: Legaliser, start: Point, advance: Callable[[], None]) -> Point:
    """Reweighted solves: springs w / max(1, distance) pull like the Manhattan distance, anchors hold cores at their sites."""
    best, best_cost = start, graph.cost(start)
    sites = start
    solved = [np.asarray(values, np.float64) for values in start]
    pulls = (graph.edge_pull, np.zeros(graph.n_cores))
    rows = rows_of(graph.links)
    for anchor in np.geomspace(*ANCHORS, ROUNDS):
        for axis in range(2):
            solved[axis] = solve(graph.links, rows, pulls[axis], solved[axis], sites[axis], anchor)
        sites = legalise((solved[0], solved[1]))
        cost = graph.cost(sites)
        if cost < best_cost:
            best, best_cost = sites, cost
        advance()
    return best


def solve(
    links: Any, rows: Array, pull: Array, before: Array, site: Array, anchor: float, n_movable: int | None = None
) -> Array:
    """New coordinates [n] along one axis: springs between cores, to coordinate 0 and to the present sites.

    Cores from ``n_movable`` on keep the coordinates that they have.
    """
    n = len(before) if n_movable is None else n_movable
    springs = links.data / np.maximum(1.0, np.abs(before[rows] - before[links.indices]))
    own = np.bincount(rows, springs, len(before)) + pull / np.maximum(1.0, np.abs(before))
    # Cores that nothing pulls still need an anchor, or the system is singular.
    held = anchor * (own + (1e-3 * own.mean() or 1.0))
    wires = sparse.csr_array((springs, links.indices, links.indptr), links.shape)[:n]
    diagonal = (own + held)[:n]
    system = sparse.diags_array(diagonal, format="csr") - wires[:, :n]
    wanted = (held * site)[:n] + wires[:, n:] @ before[n:]
    preconditioner = sparse.diags_array(1.0 / diagonal)
    solution, _ = cg(system, wanted, x0=before[:n], rtol=SOLVE_TOLERANCE, maxiter=60, M=preconditioner)
    return np.concatenate([solution, before[n:]])


class Annealer:
    """Owns the kernel's arrays for one graph, of which the first ``n_movable`` cores may move (all by default)."""

    def __init__(self, graph: Graph, seed: int, n_movable: int | None = None) -> None:
        self._graph = graph
        self._n = graph.n_cores if n_movable is None else n_movable
        self._first = graph.links.indptr[: self._n + 1].astype(np.int64)
        self._neighbour = graph.links.indices.astype(np.int32)
        self._random = np.array([np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]], np.uint64)
        per_core = np.clip(MOVES // self._n, *MOVES_PER_CORE)
        self._n_moves = int(per_core) * self._n
        self._scale = float(graph.links.sum() + graph.edge_pull.sum()) / graph.n_cores

    def anneal(self, start: Point, advance: Callable[[], None]) -> Point:
        """The best of the start and of every annealing run."""
        best = start
        for heat, share in HEATS:
            best = self.run(best, heat, share, advance)
        return best

    def run(self, start: Point, heat: float, share: float, advance: Callable[[], None]) -> Point:
        """Anneal from a start temperature of heat mean core moves; the better of before and after."""
        mesh, graph = self._graph.mesh, self._graph
        site = np.stack(start, axis=1).astype(np.int32)
        position = np.stack([mesh.along_x[start[0]], mesh.along_y[start[1]]], axis=1)
        occupant = np.where(mesh.free, -1, -2).astype(np.int32)
        occupant[start[1], start[0]] = np.where(np.arange(graph.n_cores) < self._n, np.arange(graph.n_cores), -2)
        fractions = np.linspace(0.0, 1.0, BLOCKS)
        windows = np.rint(WINDOWS[0] * (WINDOWS[1] / WINDOWS[0]) ** fractions).astype(int)
        temperatures = heat * self._scale * COOLING**fractions
        temperatures[-4:] = 0.0
        n_moves = int(self._n_moves * share) // BLOCKS + 1
        for temperature, window in zip(temperatures.tolist(), windows.tolist(), strict=True):
            anneal(
                self._first, self._neighbour, graph.links.data, graph.edge_pull, mesh.along_x, mesh.along_y,
                site, position, occupant, self._random, n_moves, temperature, window,
            )  # fmt: skip
            advance()
        end = (site[:, 0].astype(np.int64), site[:, 1].astype(np.int64))
        return min(start, end, key=graph.cost)

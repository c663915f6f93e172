"""Placement's first guess: two slow modes of the graph's random walk as coordinates, turned and packed to suit the mesh."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from neurocore.compiler.sites import Box, Graph, Legaliser, Point, rows_of

Array = npt.NDArray[Any]

OVERLAP_FLOOR = 0.02
"""Weight left to an edge whose ends share no neighbour, when the embedding looks for local edges."""
OVERLAP_WORK = 200_000_000
"""Pairs of edges up to which common neighbours are counted; a graph of hubs is embedded as it is."""
OVERLAP_STEP = 5_000_000
"""Pairs of edges that are held in memory at a time."""
DENSE_SIZE = 24
"""Components up to this size are diagonalised whole; beyond it, threads of the dense solver cost more than they save."""
KRYLOV_SIZE = 80
EIGEN_TOLERANCE = 1e-7
"""Looser tolerances blur the two modes: 1e-4 costs a factor of 2.4 on a plain grid."""
EIGEN_RESTARTS = 100
JITTER = 0.05
"""Relative noise on the weights that the modes are found with."""
N_ANGLES = 64
ANGLE_SCANS = 3


def by_overlap(links: Any) -> Any:
    """The graph with edges weighted by the neighbours that their ends share; the same graph if none do.

    A few long random edges would otherwise pull the slow modes together.
    """
    degree = np.diff(links.indptr)
    work = np.cumsum(np.bincount(rows_of(links), degree[links.indices], len(degree)))
    if not work.size or work[-1] > OVERLAP_WORK:
        return links
    pattern = sparse.csr_array((np.ones(links.nnz), links.indices, links.indptr), links.shape)
    bounds = np.searchsorted(work, np.arange(OVERLAP_STEP, work[-1] + OVERLAP_STEP, OVERLAP_STEP), side="right")
    parts = []
    for low, high in pairwise(np.unique([0, *bounds.tolist(), len(degree)]).tolist()):
        some = pattern[low:high]
        # Adding the pattern itself keeps the edges whose ends share nothing.
        shared = ((some @ pattern).multiply(some) + some).tocsr()
        shared.sort_indices()
        parts.append(shared.data - 1.0)
    smaller = np.minimum(degree[rows_of(links)], degree[links.indices])
    common = np.concatenate(parts) / np.maximum(smaller - 1, 1)
    if not common.any():
        return links
    return sparse.csr_array((links.data * (OVERLAP_FLOOR + common), links.indices, links.indptr), links.shape)


def _slow_modes(links: Any, random: np.random.Generator) -> Array:
    """The second and third mode [n, 2] of a connected graph's random walk; zeros where there are too few cores."""
    n = links.shape[0]
    modes = np.zeros((n, 2))
    if n < 2:
        return modes
    # A Krylov space sees one vector of a degenerate pair, so regular graphs are made a little irregular.
    upper = sparse.triu(links, format="csr")
    upper.data *= random.uniform(1.0 - JITTER, 1.0 + JITTER, upper.nnz)
    links = upper + upper.T
    scale = 1.0 / np.sqrt(links.sum(axis=1))
    walk = (sparse.diags_array(scale) @ links @ sparse.diags_array(scale)).tocsr()
    if n <= DENSE_SIZE:
        vectors = np.linalg.eigh(walk.toarray())[1]
    else:
        options = {"k": 3, "v0": random.normal(size=n), "tol": EIGEN_TOLERANCE, "ncv": min(KRYLOV_SIZE, n - 1)}
        try:
            vectors = eigsh(walk, which="LA", maxiter=EIGEN_RESTARTS, **options)[1]
        except ArpackNoConvergence:
            # Slow convergence means a long thin graph, whose factors stay sparse.
            vectors = eigsh(sparse.eye_array(n, format="csc") - walk.tocsc(), sigma=-1e-6, **options)[1][:, ::-1]
    found = vectors[:, -2:-4:-1]
    modes[:, : found.shape[1]] = found
    return np.asarray(modes * scale[:, None])


def _components(links: Any) -> tuple[Array, Array]:
    """Component number [n] of every core and size of every component; cores without edges share one."""
    label = connected_components(links, directed=False)[1]
    label = np.where(np.diff(links.indptr) > 0, label, -1)
    _, label, sizes = np.unique(label, return_inverse=True, return_counts=True)
    return label, sizes


def _pack(sizes: Array, box: Box) -> Array:
    """A treemap: one rectangle (x0, x1, y0, y1) [components, 4] per component, its area in proportion to its size."""
    frames = np.zeros((len(sizes), 4))
    stack = [(np.argsort(-sizes, kind="stable").tolist(), tuple(float(side) for side in box))]
    while stack:
        members, (x0, x1, y0, y1) = stack.pop()
        if len(members) == 1:
            frames[members[0]] = x0, x1, y0, y1
            continue
        low, high = _halve(members, sizes)
        share = sum(sizes[low]) / sum(sizes[members])
        if x1 - x0 >= y1 - y0:
            cut = x0 + (x1 - x0) * share
            stack += [(low, (x0, cut, y0, y1)), (high, (cut, x1, y0, y1))]
        else:
            cut = y0 + (y1 - y0) * share
            stack += [(low, (x0, x1, y0, cut)), (high, (x0, x1, cut, y1))]
    return frames


def _halve(members: list[int], sizes: Array) -> tuple[list[int], list[int]]:
    """Components, largest first, in two groups of nearly equal size."""
    low: list[int] = []
    high: list[int] = []
    lead = 0
    for member in members:
        (high if lead > 0 else low).append(member)
        lead += -int(sizes[member]) if lead > 0 else int(sizes[member])
    return low, high


def embed(graph: Graph, links: Any, legalise: Legaliser, box: Box, random: np.random.Generator) -> Point:
    """Sites from slow modes: components embedded apart, packed, and each turned by the angle that suits it best.

    Modes of a square come in degenerate pairs, of which the solver returns any rotation.
    """
    label, sizes = _components(links)
    frames = _pack(sizes, box)[label]
    order = np.argsort(label, kind="stable")
    modes = np.zeros((graph.n_cores, 2))
    for members in np.split(order, np.cumsum(sizes)[:-1]):
        if links.indptr[members[0]] < links.indptr[members[0] + 1]:
            modes[members] = _slow_modes(links[members][:, members], random)
    angle = _best_angles(graph, lambda angle: legalise(_turned(modes, angle[label], label, sizes, frames)), label)
    return legalise(_turned(modes, angle[label], label, sizes, frames))


def _best_angles(graph: Graph, sites_at: Callable[[Array], Point], label: Array) -> Array:
    """The angle [components] at which each component costs least: a coarse scan, then finer ones around the best."""
    one, _, weight = graph.pairs
    n = int(label.max()) + 1
    best = np.zeros(n)
    best_cost = np.full(n, np.inf)
    # Only the pull to the west tells a placement from the same one upside down.
    step = (2 if graph.edge_pull.any() else 1) * np.pi / N_ANGLES
    offsets = np.arange(N_ANGLES) * step
    for _ in range(ANGLE_SCANS):
        centre = best.copy()
        for offset in offsets:
            at = sites_at(centre + offset)
            costs = np.bincount(label[one], weight * graph.lengths(at), n) + np.bincount(
                label, graph.edge_pull * at[0], n
            )
            best = np.where(costs < best_cost, centre + offset, best)
            best_cost = np.minimum(costs, best_cost)
        offsets = np.linspace(-step, step, 10)[1:-1]
        step /= 4
    return best


def _turned(modes: Array, angle: Array, label: Array, sizes: Array, frames: Array) -> Point:
    """Modes turned by an angle per core and spread evenly over the frame of the core's component."""
    cos, sin = np.cos(angle), np.sin(angle)
    x = _ranks_within(cos * modes[:, 0] + sin * modes[:, 1], label, sizes)
    y = _ranks_within(cos * modes[:, 1] - sin * modes[:, 0], label, sizes)
    return (
        frames[:, 0] + (frames[:, 1] - frames[:, 0]) * x,
        frames[:, 2] + (frames[:, 3] - frames[:, 2]) * y,
    )


def _ranks_within(values: Array, label: Array, sizes: Array) -> Array:
    """Rank of every value within its component, scaled to 0..1."""
    ranks = np.empty(len(values))
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    ranks[np.lexsort((values, label))] = np.arange(len(values)) - starts
    return np.asarray((ranks + 0.5) / sizes[label])

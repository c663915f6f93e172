"""Placement stage: which site of the mesh each core gets, so that spikes travel few hops and rarely leave their chip.

Meaning never depends on placement (a delay is a programmed number), so this stage only has to be legal and good. The method
is analytic: two slow modes of the graph's random walk as coordinates, rotated to suit the mesh; k-d splits that turn
coordinates into sites; solves that bend squared distances towards Manhattan distances, held by ever stiffer anchors; and
annealing in compiled code. Every step keeps the better of before and after.

Eigenvectors differ in the last bits between machines, and so may placements: store one, do not recompute it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, cg, eigsh

from neurocore._anneal import anneal
from neurocore.errors import FitError, InputError

Array = npt.NDArray[Any]
Point = tuple[Array, Array]
"""One coordinate pair per core: x [n], y [n]."""
Box = tuple[int, int, int, int]
"""Sites x0 <= x < x1, y0 <= y < y1."""
Progress = Callable[[int, int], None]

CROSSING_WEIGHT = 360.0
"""Hops that cost as much as leaving a chip: 832 pJ against 2.3 pJ by the published energies."""

FAINT = 1e-9
"""Rates below this part of the largest are left out of the optimisation, where they could only do numerical harm."""
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


def _read_only(values: Any, dtype: npt.DTypeLike) -> Array:
    """A private copy that nobody can write to."""
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def _same(one: Any, other: Any) -> bool:
    """Whether two fields, arrays or not, are equal."""
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other


@dataclass(frozen=True, eq=False)
class CoreTraffic:
    """Expected spikes per tick between n_cores logical cores.

    ``source``, ``target`` and ``spikes_per_tick`` [E] describe directed pairs; repeated pairs add up, and a core's traffic to
    itself travels no hop. ``edge_pull`` [n_cores] counts the spikes per tick that enter or leave a core over the west edge of
    its row. Raises :class:`InputError` for shapes that differ, cores out of range, and rates that are negative or not finite.
    """

    n_cores: int
    source: Array
    target: Array
    spikes_per_tick: Array
    edge_pull: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        pull = self.edge_pull if np.size(self.edge_pull) else np.zeros(max(self.n_cores, 0))
        for name, values, dtype in (
            ("source", self.source, np.int64),
            ("target", self.target, np.int64),
            ("spikes_per_tick", self.spikes_per_tick, np.float64),
            ("edge_pull", pull, np.float64),
        ):
            object.__setattr__(self, name, _read_only(values, dtype))
        problems = list(self._problems())
        if problems:
            raise InputError(problems)

    def _problems(self) -> Iterator[str]:
        if self.n_cores < 0:
            yield f"core traffic: n_cores is {self.n_cores}; it must not be negative"
            return
        if not (self.source.ndim == 1 and self.source.shape == self.target.shape == self.spikes_per_tick.shape):
            shapes = f"{self.source.shape}, {self.target.shape} and {self.spikes_per_tick.shape}"
            yield f"core traffic: source, target and spikes_per_tick have shapes {shapes}; they must be one length"
        if self.edge_pull.shape != (self.n_cores,):
            yield f"core traffic: edge_pull has shape {self.edge_pull.shape}; it must be ({self.n_cores},)"
        for name, cores in (("source", self.source), ("target", self.target)):
            outside = cores[(cores < 0) | (cores >= self.n_cores)]
            if outside.size:
                yield f"core traffic: {name} holds core {outside[0]}; cores are 0 to {self.n_cores - 1}"
        for name, rates in (("spikes_per_tick", self.spikes_per_tick), ("edge_pull", self.edge_pull)):
            wrong = rates[~(np.isfinite(rates) & (rates >= 0))]
            if wrong.size:
                yield f"core traffic: {name} holds {wrong[0]}; rates must be finite and not negative"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoreTraffic):
            return NotImplemented
        return all(_same(mine, vars(other)[name]) for name, mine in vars(self).items())

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Placement:
    """Site of every core: ``x``, ``y`` [n_cores], y growing northwards, and what the traffic costs there.

    ``mean_hops`` is the mean of abs(dx) + abs(dy) over core-to-core packets, those within a core counting 0;
    ``weighted_hops`` is the sum of spikes per tick times hops. ``seconds`` of wall-clock time do not enter equality.
    """

    x: Array
    y: Array
    mean_hops: float
    weighted_hops: float
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", _read_only(self.x, np.int64))
        object.__setattr__(self, "y", _read_only(self.y, np.int64))

    def core_ids(self, columns: int) -> Array:
        """Physical core numbers [n_cores], x + y * columns."""
        return np.asarray(self.x + self.y * columns)

    def dump(self) -> str:
        """One line per core, after a line of totals; equal placements print equally."""
        head = (
            f"placement of {len(self.x)} cores, mean hops {self.mean_hops:.3f}, spikes x hops {self.weighted_hops:.3f}"
        )
        lines = [f"  core {core}: ({x}, {y})" for core, (x, y) in enumerate(zip(self.x, self.y, strict=True))]
        return "\n".join([head, *lines])

    def __str__(self) -> str:
        return self.dump()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        fields = ("x", "y", "mean_hops", "weighted_hops")
        return all(_same(getattr(self, name), getattr(other, name)) for name in fields)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class _Mesh:
    """The sites: ``free`` [rows, columns], and chips of ``chip`` = (columns, rows) sites.

    ``along_x`` and ``along_y`` stretch the mesh by the crossing weight at every chip edge. Distances between stretched
    coordinates are then hops plus weighted crossings, so that nothing else needs to know of chips.
    """

    free: Array
    chip: tuple[int, int]
    crossing_weight: float

    @cached_property
    def along_x(self) -> Array:
        x = np.arange(self.free.shape[1])
        return np.asarray(x + self.crossing_weight * (x // self.chip[0]))

    @cached_property
    def along_y(self) -> Array:
        y = np.arange(self.free.shape[0])
        return np.asarray(y + self.crossing_weight * (y // self.chip[1]))

    @cached_property
    def _counts(self) -> list[list[int]]:
        """Free sites south-west of every corner, [rows + 1][columns + 1]: plain lists, for many single look-ups."""
        padded = np.pad(self.free.astype(np.int64), ((1, 0), (1, 0)))
        counts: list[list[int]] = padded.cumsum(0).cumsum(1).tolist()
        return counts

    def n_free(self, box: Box) -> int:
        """Free sites in a box."""
        x0, x1, y0, y1 = box
        counts = self._counts
        return counts[y1][x1] - counts[y0][x1] - counts[y1][x0] + counts[y0][x0]

    def split(self, box: Box) -> tuple[Box, Box]:
        """A box in two: at the chip edge nearest its middle if there is one, else across its longer side."""
        x0, x1, y0, y1 = box
        cut_x, edge_x = _middle(x0, x1, self.chip[0])
        cut_y, edge_y = _middle(y0, y1, self.chip[1])
        across_x = x1 - x0 >= y1 - y0 if edge_x == edge_y else edge_x
        if across_x:
            return (x0, cut_x, y0, y1), (cut_x, x1, y0, y1)
        return (x0, x1, y0, cut_y), (x0, x1, cut_y, y1)

    def box_for(self, n_cores: int) -> Box:
        """A near-square box with n_cores free sites at the west edge, on as few chips as can hold it."""
        rows, columns = self.free.shape
        regions = [
            (min(across * self.chip[0], columns), min(up * self.chip[1], rows))
            for across in range(1, -(-columns // self.chip[0]) + 1)
            for up in range(1, -(-rows // self.chip[1]) + 1)
        ]
        regions.sort(key=lambda region: (region[0] * region[1], abs(region[0] - region[1])))
        width, height = next(size for size in regions if self.n_free((0, size[0], 0, size[1])) >= n_cores)
        for side in range(1, width + height):
            wide, high = min(side, width), min(side, height)
            south = (height - high) // 2
            for box in ((0, min(max(wide - 1, 1), width), south, south + high), (0, wide, south, south + high)):
                if self.n_free(box) >= n_cores:
                    return box
        return (0, width, 0, height)


def _middle(low: int, high: int, chip: int) -> tuple[int, bool]:
    """Where to cut low..high, and whether that is a chip edge."""
    middle = (low + high) // 2
    edges = range((low // chip + 1) * chip, high, chip)
    return (min(edges, key=lambda edge: abs(edge - middle)), True) if edges else (middle, False)


@dataclass(frozen=True)
class _Graph:
    """The traffic as an undirected graph without self loops, ``links`` [n, n] symmetric in compressed rows."""

    links: Any
    edge_pull: Array
    mesh: _Mesh

    @property
    def n_cores(self) -> int:
        """Cores."""
        return len(self.edge_pull)

    @cached_property
    def pairs(self) -> tuple[Array, Array, Array]:
        """Every edge once: its two cores and its weight."""
        upper = sparse.triu(self.links, 1).tocoo()
        return upper.coords[0], upper.coords[1], upper.data

    def lengths(self, at: Point) -> Array:
        """Hops plus weighted chip crossings of every pair."""
        one, other, _ = self.pairs
        x, y = self.mesh.along_x[at[0]], self.mesh.along_y[at[1]]
        return np.asarray(np.abs(x[one] - x[other]) + np.abs(y[one] - y[other]))

    def cost(self, at: Point) -> float:
        """What is minimised, in spikes x hops per tick."""
        return float(self.pairs[2] @ self.lengths(at) + self.edge_pull @ at[0])


class _Legaliser:
    """Turns any coordinates into sites of a box, one core each, by k-d splits that are fixed beforehand."""

    def __init__(self, mesh: _Mesh, box: Box, n_cores: int) -> None:
        self._levels: list[tuple[Array, Array]] = []
        cells = [(box, n_cores)] if n_cores else []
        while any(_area(cell) > 1 for cell, _ in cells):
            counts = [count for _, count in cells]
            # Cores stay sorted by cell, so that the number of a core's cell follows from its position alone.
            cell_start = np.repeat(np.arange(len(cells)) * n_cores, counts)
            by_x = np.repeat([mesh.split(cell)[0][1] < cell[1] for cell, _ in cells], counts)
            self._levels.append((cell_start, by_x))
            cells = [part for cell, count in cells for part in _divide(mesh, cell, count)]
        self._x = np.array([cell[0] for cell, _ in cells], np.int64)
        self._y = np.array([cell[2] for cell, _ in cells], np.int64)

    def __call__(self, at: Point) -> Point:
        rank_x, rank_y = _ranks(at[0]), _ranks(at[1])
        order = np.arange(len(self._x))
        for cell_start, by_x in self._levels:
            order = order[np.argsort(cell_start + np.where(by_x, rank_x[order], rank_y[order]))]
        back = np.argsort(order)
        return self._x[back], self._y[back]


def _area(box: Box) -> int:
    """Sites of a box."""
    return (box[1] - box[0]) * (box[3] - box[2])


def _divide(mesh: _Mesh, box: Box, n_cores: int) -> Iterator[tuple[Box, int]]:
    """The parts of a cell that get cores, each its share by free sites."""
    if _area(box) == 1:
        yield box, n_cores
        return
    low, high = mesh.split(box)
    free_low, free_high = mesh.n_free(low), mesh.n_free(high)
    n_low = round(n_cores * free_low / (free_low + free_high))
    n_low = min(max(n_low, n_cores - free_high), free_low)
    if n_low:
        yield low, n_low
    if n_low < n_cores:
        yield high, n_cores - n_low


def _ranks(values: Array) -> Array:
    """Position of every value in sorted order, ties by index."""
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def _by_overlap(links: Any) -> Any:
    """The graph with edges weighted by the neighbours that their ends share; the same graph if none do.

    A few long random edges would otherwise pull the slow modes together.
    """
    degree = np.diff(links.indptr)
    work = np.cumsum(np.bincount(_rows(links), degree[links.indices], len(degree)))
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
    smaller = np.minimum(degree[_rows(links)], degree[links.indices])
    common = np.concatenate(parts) / np.maximum(smaller - 1, 1)
    if not common.any():
        return links
    return sparse.csr_array((links.data * (OVERLAP_FLOOR + common), links.indices, links.indptr), links.shape)


def _rows(links: Any) -> Array:
    """Row of every stored element of compressed rows."""
    return np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))


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


def _embed(graph: _Graph, links: Any, legalise: _Legaliser, box: Box, random: np.random.Generator) -> Point:
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


def _best_angles(graph: _Graph, sites_at: Callable[[Array], Point], label: Array) -> Array:
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


def _straighten(graph: _Graph, legalise: _Legaliser, start: Point, advance: Callable[[], None]) -> Point:
    """Reweighted solves: springs w / max(1, distance) pull like the Manhattan distance, anchors hold cores at their sites."""
    best, best_cost = start, graph.cost(start)
    sites = start
    solved = [np.asarray(values, np.float64) for values in start]
    pulls = (graph.edge_pull, np.zeros(graph.n_cores))
    rows = _rows(graph.links)
    for anchor in np.geomspace(*ANCHORS, ROUNDS):
        for axis in range(2):
            solved[axis] = _solve(graph.links, rows, pulls[axis], solved[axis], sites[axis], anchor)
        sites = legalise((solved[0], solved[1]))
        cost = graph.cost(sites)
        if cost < best_cost:
            best, best_cost = sites, cost
        advance()
    return best


def _solve(links: Any, rows: Array, pull: Array, before: Array, site: Array, anchor: float) -> Array:
    """New coordinates [n] along one axis: springs between cores, to coordinate 0 and to the present sites."""
    springs = links.data / np.maximum(1.0, np.abs(before[rows] - before[links.indices]))
    own = np.bincount(rows, springs, len(before)) + pull / np.maximum(1.0, np.abs(before))
    # Cores that nothing pulls still need an anchor, or the system is singular.
    held = anchor * (own + (1e-3 * own.mean() or 1.0))
    diagonal = own + held
    system = sparse.diags_array(diagonal, format="csr") - sparse.csr_array(
        (springs, links.indices, links.indptr), links.shape
    )
    solution, _ = cg(
        system, held * site, x0=before, rtol=SOLVE_TOLERANCE, maxiter=60, M=sparse.diags_array(1.0 / diagonal)
    )
    return np.asarray(solution)


class _Annealer:
    """Owns the kernel's arrays for one graph."""

    def __init__(self, graph: _Graph, seed: int) -> None:
        self._graph = graph
        self._first = graph.links.indptr.astype(np.int64)
        self._neighbour = graph.links.indices.astype(np.int32)
        self._random = np.array([np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]], np.uint64)
        per_core = np.clip(MOVES // graph.n_cores, *MOVES_PER_CORE)
        self._n_moves = int(per_core) * graph.n_cores
        self._scale = float(graph.links.sum() + graph.edge_pull.sum()) / graph.n_cores

    def run(self, start: Point, heat: float, share: float, advance: Callable[[], None]) -> Point:
        """Anneal from a start temperature of heat mean core moves; the better of before and after."""
        mesh, graph = self._graph.mesh, self._graph
        site = np.stack(start, axis=1).astype(np.int32)
        position = np.stack([mesh.along_x[start[0]], mesh.along_y[start[1]]], axis=1)
        occupant = np.where(mesh.free, -1, -2).astype(np.int32)
        occupant[start[1], start[0]] = np.arange(graph.n_cores)
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


def place(
    traffic: CoreTraffic,
    mesh: tuple[int, int],
    chip: tuple[int, int] | None = None,
    crossing_weight: float = CROSSING_WEIGHT,
    blocked: Array | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Placement:
    """Give every core a free site of its own, at low cost in hops, chip crossings and way to the west edge.

    ``mesh`` and ``chip`` (the whole mesh by default) are (columns, rows); ``blocked`` [rows, columns] marks dead core sites.
    The cost is the sum of spikes per tick x (hops + crossing_weight x chip crossings), plus ``edge_pull`` x x.
    ``progress(done, total)`` is called now and then. Equal arguments give equal placements on one machine. Raises
    :class:`FitError` ``E-CAP`` if there are more cores than free sites, :class:`InputError` for impossible arguments.
    """
    began = time.perf_counter()
    sites = _checked_mesh(mesh, chip or mesh, crossing_weight, blocked)
    n_free = int(sites.free.sum())
    if traffic.n_cores > n_free:
        raise FitError(
            f"E-CAP needs {traffic.n_cores:,} cores; the mesh of {mesh[0]} x {mesh[1]} has {n_free:,} free "
            f"({traffic.n_cores - n_free:,} over). Use more chips, or a smaller network."
        )
    x, y = _optimise(traffic, sites, seed, progress or (lambda done, total: None))
    hops = np.abs(x[traffic.source] - x[traffic.target]) + np.abs(y[traffic.source] - y[traffic.target])
    weighted = float(traffic.spikes_per_tick @ hops)
    packets = float(traffic.spikes_per_tick.sum())
    return Placement(x, y, weighted / packets if packets else 0.0, weighted, time.perf_counter() - began)


def _checked_mesh(mesh: tuple[int, int], chip: tuple[int, int], crossing_weight: float, blocked: Array | None) -> _Mesh:
    """The sites, or every argument that is impossible."""
    problems = [
        f"place: {name} is {size[0]} x {size[1]}; both sides must be at least 1"
        for name, size in (("mesh", mesh), ("chip", chip))
        if min(size) < 1
    ]
    if not (np.isfinite(crossing_weight) and crossing_weight >= 0):
        problems.append(f"place: crossing_weight is {crossing_weight}; it must be finite and not negative")
    shape = (mesh[1], mesh[0])
    if blocked is not None and np.shape(blocked) != shape:
        problems.append(
            f"place: blocked has shape {np.shape(blocked)}; the mesh has {shape[0]} rows, {shape[1]} columns"
        )
    if problems:
        raise InputError(problems)
    free = np.ones(shape, bool) if blocked is None else ~np.asarray(blocked, bool)
    return _Mesh(free, chip, crossing_weight)


def _optimise(traffic: CoreTraffic, mesh: _Mesh, seed: int, progress: Progress) -> Point:
    """The best sites found: the better of two embeddings, straightened, then annealed."""
    n = traffic.n_cores
    box = mesh.box_for(n)
    legalise = _Legaliser(mesh, box, n)
    unit = max(traffic.spikes_per_tick.max(initial=0.0), traffic.edge_pull.max(initial=0.0)) or 1.0
    links = _symmetric(traffic, unit)
    graph = _Graph(links, traffic.edge_pull / unit, mesh)
    if n == 0 or not (links.nnz or graph.edge_pull.any()):
        progress(1, 1)
        return legalise((np.arange(n), np.arange(n)))
    overlap = _by_overlap(links)
    views = [links] if overlap is links else [overlap, links]
    total = ROUNDS + len(HEATS) * BLOCKS
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    random = np.random.default_rng(seed)
    start = min((_embed(graph, view, legalise, box, random) for view in views), key=graph.cost)
    best = _straighten(graph, legalise, start, advance)
    annealer = _Annealer(graph, seed)
    for heat, share in HEATS:
        best = annealer.run(best, heat, share, advance)
    return best


def _symmetric(traffic: CoreTraffic, unit: float) -> Any:
    """Traffic of both directions [n, n] in units of ``unit``: sorted compressed rows without self loops and faint pairs."""
    spikes = traffic.spikes_per_tick / unit
    kept = (traffic.source != traffic.target) & (spikes > FAINT)
    ends = (traffic.source[kept], traffic.target[kept])
    one_way = sparse.csr_array((spikes[kept], ends), (traffic.n_cores,) * 2)
    links = (one_way + one_way.T).tocsr()
    links.sum_duplicates()
    return links


def link_loads(traffic: CoreTraffic, placement: Placement, mesh: tuple[int, int]) -> Array:
    """Spikes per tick over every link under x-then-y routing: [4, rows, columns], leaving a site east, west, north, south."""
    columns, rows = mesh
    loads = np.zeros((4, rows + 1, columns + 1))
    x0, x1 = placement.x[traffic.source], placement.x[traffic.target]
    y0, y1 = placement.y[traffic.source], placement.y[traffic.target]
    # Packets enter the sum at their first link and leave it after their last, seen in ascending coordinates.
    for link, (start, stop) in enumerate(((x0, x1), (x1 + 1, x0 + 1), (y0, y1), (y1 + 1, y0 + 1))):
        moves = start < stop
        spikes = traffic.spikes_per_tick[moves]
        for at, sign in ((start[moves], 1.0), (stop[moves], -1.0)):
            site = (y0[moves], at) if link < 2 else (at, x1[moves])
            np.add.at(loads[link], site, sign * spikes)
    loads[:2] = loads[:2].cumsum(axis=2)
    loads[2:] = loads[2:].cumsum(axis=1)
    # Sums that should cancel leave a rounding error, of either sign.
    return np.maximum(loads[:, :rows, :columns], 0.0)


def max_link(traffic: CoreTraffic, placement: Placement, mesh: tuple[int, int]) -> float:
    """Spikes per tick over the busiest link; 0 if nothing moves."""
    return float(link_loads(traffic, placement, mesh).max(initial=0.0))


def chip_crossings(traffic: CoreTraffic, placement: Placement, chip: tuple[int, int]) -> float:
    """Chip edges crossed per tick: the sum of spikes x edges on the way."""
    across, up = placement.x // chip[0], placement.y // chip[1]
    edges = np.abs(across[traffic.source] - across[traffic.target]) + np.abs(up[traffic.source] - up[traffic.target])
    return float(traffic.spikes_per_tick @ edges)

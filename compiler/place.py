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
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import cg

from neurocore._anneal import anneal
from neurocore.compiler.embed import by_overlap, embed
from neurocore.compiler.sites import Graph, Legaliser, Mesh, Point, rows_of
from neurocore.errors import FitError, InputError

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]

CROSSING_WEIGHT = 360.0
"""Hops that cost as much as leaving a chip: 832 pJ against 2.3 pJ by the published energies."""

FAINT = 1e-9
"""Rates below this part of the largest are left out of the optimisation, where they could only do numerical harm."""

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


def _straighten(graph: Graph, legalise: Legaliser, start: Point, advance: Callable[[], None]) -> Point:
    """Reweighted solves: springs w / max(1, distance) pull like the Manhattan distance, anchors hold cores at their sites."""
    best, best_cost = start, graph.cost(start)
    sites = start
    solved = [np.asarray(values, np.float64) for values in start]
    pulls = (graph.edge_pull, np.zeros(graph.n_cores))
    rows = rows_of(graph.links)
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

    def __init__(self, graph: Graph, seed: int) -> None:
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


def _checked_mesh(mesh: tuple[int, int], chip: tuple[int, int], crossing_weight: float, blocked: Array | None) -> Mesh:
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
    return Mesh(free, chip, crossing_weight)


def _optimise(traffic: CoreTraffic, mesh: Mesh, seed: int, progress: Progress) -> Point:
    """The best sites found: the better of two embeddings, straightened, then annealed."""
    n = traffic.n_cores
    box = mesh.box_for(n)
    legalise = Legaliser(mesh, box, n)
    unit = max(traffic.spikes_per_tick.max(initial=0.0), traffic.edge_pull.max(initial=0.0)) or 1.0
    links = _symmetric(traffic, unit)
    graph = Graph(links, traffic.edge_pull / unit, mesh)
    if n == 0 or not (links.nnz or graph.edge_pull.any()):
        progress(1, 1)
        return legalise((np.arange(n), np.arange(n)))
    overlap = by_overlap(links)
    views = [links] if overlap is links else [overlap, links]
    total = ROUNDS + len(HEATS) * BLOCKS
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    random = np.random.default_rng(seed)
    start = min((embed(graph, view, legalise, box, random) for view in views), key=graph.cost)
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

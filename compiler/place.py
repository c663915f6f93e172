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

from neurocore.compiler.embed import by_overlap, embed
from neurocore.compiler.pinned import place_around
from neurocore.compiler.refine import ROUNDS, Annealer, anneal_steps, straighten
from neurocore.compiler.sites import Graph, Legaliser, Mesh, Point
from neurocore.errors import FitError, InputError
from neurocore.wording import counted

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]

CROSSING_WEIGHT = 360.0
"""Hops that cost as much as leaving a chip: 832 pJ against 2.3 pJ by the published energies."""

FAINT = 1e-9
"""Rates below this part of the largest are left out of the optimisation, where they could only do numerical harm."""


FEW_PINNED = 0.5
"""Share of pinned cores up to which a placement without regard to them is worth starting from."""


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
        hops = f"mean hops {self.mean_hops:.3f}, spikes x hops {self.weighted_hops:.3f}"
        head = f"placement of {counted(len(self.x), 'core')}, {hops}"
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


def place(
    traffic: CoreTraffic,
    mesh: tuple[int, int],
    chip: tuple[int, int] | None = None,
    crossing_weight: float = CROSSING_WEIGHT,
    blocked: Array | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    pinned: Array | None = None,
    span: tuple[int, int] | None = None,
) -> Placement:
    """Give every core a free site of its own, at low cost in hops, chip crossings and way to the west edge.

    ``mesh`` and ``chip`` (the whole mesh by default) are (columns, rows); ``blocked`` [rows, columns] marks dead core sites.
    The cost is the sum of spikes per tick x (hops + crossing_weight x chip crossings), plus ``edge_pull`` x x.
    ``progress(done, total)`` is called now and then. Equal arguments give equal placements on one machine. ``pinned``
    [n_cores, 2] are sites that cores keep, -1 for those to be placed around them. ``span`` are the most columns and rows
    over which cores are spread if fewer hold them: packets travel no farther. Raises :class:`FitError` ``E-CAP`` if there are
    more cores than free sites, :class:`InputError` for impossible arguments.
    """
    began = time.perf_counter()
    sites = _checked_mesh(mesh, chip or mesh, crossing_weight, blocked, span)
    pins = None if pinned is None else _checked_pins(pinned, traffic.n_cores, sites)
    n_free = int(sites.free.sum())
    if traffic.n_cores > n_free:
        raise FitError(
            f"E-CAP the graph needs {counted(traffic.n_cores, 'core')}; the mesh of {mesh[0]} x {mesh[1]} has {n_free:,} free "
            f"({traffic.n_cores - n_free:,} over). Use more chips, or a smaller network."
        )
    silent = progress or (lambda done, total: None)
    x, y = _optimise(traffic, sites, seed, silent) if pins is None else _around(traffic, sites, pins, seed, silent)
    return measured(traffic, x, y, time.perf_counter() - began)


def measured(traffic: CoreTraffic, x: Array, y: Array, seconds: float = 0.0) -> Placement:
    """The placement of cores at given sites, with what the traffic costs there."""
    hops = np.abs(x[traffic.source] - x[traffic.target]) + np.abs(y[traffic.source] - y[traffic.target])
    weighted = float(traffic.spikes_per_tick @ hops)
    packets = float(traffic.spikes_per_tick.sum())
    return Placement(x, y, weighted / packets if packets else 0.0, weighted, seconds)


def _checked_mesh(
    mesh: tuple[int, int],
    chip: tuple[int, int],
    crossing_weight: float,
    blocked: Array | None,
    span: tuple[int, int] | None,
) -> Mesh:
    """The sites, or every argument that is impossible."""
    problems = [
        f"place: {name} is {size[0]} x {size[1]}; both sides must be at least 1"
        for name, size in (("mesh", mesh), ("chip", chip), *([] if span is None else [("span", span)]))
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
    return Mesh(free, chip, crossing_weight, span or mesh)


def _checked_pins(pinned: Array, n_cores: int, mesh: Mesh) -> Array | None:
    """The pins as int64 [n, 2], None if there are none. Raises InputError for pins on one site or on no free site."""
    pins = np.asarray(pinned, np.int64)
    if pins.shape != (n_cores, 2):
        raise InputError(f"place: pinned has shape {pins.shape}; it must be ({n_cores}, 2)")
    held = pins[(pins != -1).any(axis=1)]
    rows, columns = mesh.free.shape
    inside = (held >= 0).all(axis=1) & (held[:, 0] < columns) & (held[:, 1] < rows)
    problems = [f"place: pinned site ({x}, {y}) is outside the mesh" for x, y in held[~inside].tolist()]
    held = held[inside]
    problems += [
        f"place: pinned site ({x}, {y}) is blocked" for x, y in held[~mesh.free[held[:, 1], held[:, 0]]].tolist()
    ]
    sites, count = np.unique(held, axis=0, return_counts=True)
    problems += [
        f"place: {n} cores are pinned to ({x}, {y})" for (x, y), n in zip(sites.tolist(), count, strict=True) if n > 1
    ]
    if problems:
        raise InputError(problems)
    return pins if len(held) else None


def _graph(traffic: CoreTraffic, mesh: Mesh) -> Graph:
    """The traffic as what the optimisers take."""
    unit = max(traffic.spikes_per_tick.max(initial=0.0), traffic.edge_pull.max(initial=0.0)) or 1.0
    return Graph(_symmetric(traffic, unit), traffic.edge_pull / unit, mesh)


def _counter(progress: Progress) -> Callable[[], None]:
    """Something to call after every step of the optimisation."""
    done, total = 0, ROUNDS + anneal_steps()

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance


def _around(traffic: CoreTraffic, mesh: Mesh, pins: Array, seed: int, progress: Progress) -> Point:
    """The best sites found for the cores that are not pinned."""
    few = (pins[:, 0] >= 0).sum() <= FEW_PINNED * len(pins)
    unpinned = _optimise(traffic, mesh, seed, progress) if few else None
    return place_around(_graph(traffic, mesh), pins, seed, _counter(progress), unpinned)


def _optimise(traffic: CoreTraffic, mesh: Mesh, seed: int, progress: Progress) -> Point:
    """The best sites found: the better of two embeddings, straightened, then annealed."""
    n = traffic.n_cores
    box = mesh.box_for(n)
    mesh = mesh.within_span(box)
    legalise = Legaliser(mesh, box, n)
    graph = _graph(traffic, mesh)
    if n == 0 or not (graph.links.nnz or graph.edge_pull.any()):
        progress(1, 1)
        return legalise((np.arange(n), np.arange(n)))
    overlap = by_overlap(graph.links)
    views = [graph.links] if overlap is graph.links else [overlap, graph.links]
    advance, random = _counter(progress), np.random.default_rng(seed)
    start = min((embed(graph, view, legalise, box, random) for view in views), key=graph.cost)
    return Annealer(graph, seed).anneal(straighten(graph, legalise, start, advance), advance)


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

"""The mesh as the placer sees it: sites, chips, the traffic to lay out on it, and legal sites from any coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[Any]
Point = tuple[Array, Array]
"""One coordinate pair per core: x [n], y [n]."""
Box = tuple[int, int, int, int]
"""Sites x0 <= x < x1, y0 <= y < y1."""


@dataclass(frozen=True)
class Mesh:
    """The sites: ``free`` [rows, columns], and chips of ``chip`` = (columns, rows) sites.

    ``along_x`` and ``along_y`` stretch the mesh by the crossing weight at every chip edge. Distances between stretched
    coordinates are then hops plus weighted crossings, so that nothing else needs to know of chips. ``span`` = (columns, rows)
    is as far as packets travel: cores should not be spread farther.
    """

    free: Array
    chip: tuple[int, int]
    crossing_weight: float
    span: tuple[int, int]

    @cached_property
    def along_x(self) -> Array:
        """Stretched coordinate [columns] of every column."""
        x = np.arange(self.free.shape[1])
        return np.asarray(x + self.crossing_weight * (x // self.chip[0]))

    @cached_property
    def along_y(self) -> Array:
        """Stretched coordinate [rows] of every row."""
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
        """A near-square box with n_cores free sites at the west edge: within the span if it can be, on few chips."""
        rows, columns = self.free.shape
        wide, high = self.span
        across = {min(n * self.chip[0], columns) for n in range(1, -(-columns // self.chip[0]) + 1)}
        up = {min(n * self.chip[1], rows) for n in range(1, -(-rows // self.chip[1]) + 1)}
        regions = [(x, y) for x in across | {min(wide, columns)} for y in up | {min(high, rows)}]
        regions.sort(
            key=lambda size: (size[0] > wide or size[1] > high, size[0] * size[1], abs(size[0] - size[1]), size)
        )
        width, height = next(size for size in regions if self.n_free((0, size[0], 0, size[1])) >= n_cores)
        for side in range(1, width + height):
            wide, high = min(side, width), min(side, height)
            south = (height - high) // 2
            for box in ((0, min(max(wide - 1, 1), width), south, south + high), (0, wide, south, south + high)):
                if self.n_free(box) >= n_cores:
                    return box
        return (0, width, 0, height)

    def within_span(self, box: Box) -> Mesh:
        """The mesh without the sites from which a packet may not reach all of the box; the mesh itself if the box is too wide."""
        x0, x1, y0, y1 = box
        wide, high = self.span
        rows, columns = self.free.shape
        if (x1 - x0 > wide or y1 - y0 > high) or (columns <= wide and rows <= high):
            return self
        south = min(max(0, (y0 + y1 - high) // 2), max(0, rows - high))
        free = np.zeros_like(self.free)
        free[south : south + high, :wide] = self.free[south : south + high, :wide]
        return Mesh(free, self.chip, self.crossing_weight, self.span)


def _middle(low: int, high: int, chip: int) -> tuple[int, bool]:
    """Where to cut low..high, and whether that is a chip edge."""
    middle = (low + high) // 2
    edges = range((low // chip + 1) * chip, high, chip)
    return (min(edges, key=lambda edge: abs(edge - middle)), True) if edges else (middle, False)


@dataclass(frozen=True)
class Graph:
    """The traffic as an undirected graph without self loops, ``links`` [n, n] symmetric in compressed rows."""

    links: Any
    edge_pull: Array
    mesh: Mesh

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


class Legaliser:
    """Turns any coordinates into sites of a box, one core each, by k-d splits that are fixed beforehand."""

    def __init__(self, mesh: Mesh, box: Box, n_cores: int) -> None:
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
        """The sites that keep the order of the coordinates best."""
        rank_x, rank_y = _ranks(at[0]), _ranks(at[1])
        order = np.arange(len(self._x))
        for cell_start, by_x in self._levels:
            order = order[np.argsort(cell_start + np.where(by_x, rank_x[order], rank_y[order]))]
        back = np.argsort(order)
        return self._x[back], self._y[back]


def _area(box: Box) -> int:
    """Sites of a box."""
    return (box[1] - box[0]) * (box[3] - box[2])


def _divide(mesh: Mesh, box: Box, n_cores: int) -> Iterator[tuple[Box, int]]:
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


def rows_of(links: Any) -> Array:
    """Row of every stored element of compressed rows."""
    return np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))

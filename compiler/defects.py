"""What of one chip or board does not work: dead cores, axons and links, read from a file, and where cores can therefore be.

A dead core computes nothing, but its router forwards packets; a dead axon is never active; a dead link loses the packets that
would leave a core on one side. Inputs come, and outputs leave, over the links of the core's row on its west.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.faults import whole_numbers
from neurocore.errors import InputError
from neurocore.yamlfile import Document, read_yaml, stranger

Array = npt.NDArray[Any]

SIDES = ("east", "west", "north", "south")
SHAPES = {"cores": "[x, y]", "axons": "[x, y, axon]", "links": f"[x, y, side], side being {', '.join(SIDES)}"}

MOST_LINKS = 100


@dataclass(frozen=True)
class Defects:
    """``cores`` [n, 2] are x, y; ``axons`` [n, 3] are x, y, axon; ``links`` [n, 3] are x, y, index of the side in SIDES.

    A link is that which leaves core (x, y) on that side; the one back is another. A west link of column 0 is where the
    row's inputs enter and its outputs leave.
    """

    cores: Array = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    axons: Array = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    links: Array = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __post_init__(self) -> None:
        for name in SHAPES:
            object.__setattr__(self, name, _rows(name, getattr(self, name)))

    def __bool__(self) -> bool:
        return bool(len(self.cores) + len(self.axons) + len(self.links))

    def __str__(self) -> str:
        counts = (("core", len(self.cores)), ("axon", len(self.axons)), ("link", len(self.links)))
        return ", ".join(f"{n} dead {what}{'s' * (n > 1)}" for what, n in counts if n) or "no defects"

    def check(self, arch: Architecture) -> None:
        """Raise InputError that lists every entry that lies outside the chip."""
        problems = [
            f"defects: {name}[{number}] is {row}: {fault}"
            for name in SHAPES
            for number, row in enumerate(getattr(self, name).tolist())
            if (fault := _outside(name, row, arch))
        ]
        if problems:
            raise InputError(problems)

    def dead_cores(self, arch: Architecture) -> npt.NDArray[np.bool_]:
        """Cores [rows, columns] that are dead."""
        dead = np.zeros((arch.rows, arch.columns), bool)
        dead[self.cores[:, 1], self.cores[:, 0]] = True
        return dead

    def dead_axons(self, x: int, y: int) -> Array:
        """Numbers of the dead axons of a core, sorted."""
        mine = (self.axons[:, 0] == x) & (self.axons[:, 1] == y)
        return np.unique(self.axons[mine, 2])

    def n_axons(self, arch: Architecture) -> Array:
        """Axons [rows, columns] of every core that work."""
        count = np.full((arch.rows, arch.columns), arch.core.axons)
        x, y, _ = np.unique(self.axons, axis=0).T
        np.subtract.at(count, (y, x), 1)
        return count

    def reached_by_io(self, arch: Architecture) -> npt.NDArray[np.bool_]:
        """Cores [rows, columns] whose inputs and outputs find their way along the row."""
        reached = np.ones((arch.rows, arch.columns), bool)
        for x, y, side in self.links.tolist():
            if SIDES[side] == "east":
                reached[y, x + 1 :] = False
            elif SIDES[side] == "west":
                reached[y, x:] = False
        return reached


def clear_window(arch: Architecture, defects: Defects, n_cores: int) -> npt.NDArray[np.bool_] | None:
    """The sites [rows, columns] outside a window with no dead link inside that holds ``n_cores``; None if there is none.

    Packets between cores of a rectangle never leave it, so none of them meets a dead link. Of all windows that are large
    enough, it is one that is square enough and near the west edge. With more than MOST_LINKS dead links none is looked for.
    """
    if not 0 < len(defects.links) <= MOST_LINKS:
        return None
    usable = ~defects.dead_cores(arch) & (defects.n_axons(arch) == arch.core.axons) & defects.reached_by_io(arch)
    count = np.pad(usable.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    side = int(np.ceil(np.sqrt(n_cores)))
    best: tuple[tuple[int, int, int], tuple[int, int, int, int]] | None = None
    for x0, x1, y0, y1 in _windows(arch, defects):
        if count[y1, x1] - count[y0, x1] - count[y1, x0] + count[y0, x0] >= n_cores:
            rank = (max(0, side - min(x1 - x0, y1 - y0)), x0, -(x1 - x0) * (y1 - y0))
            best = min(best or (rank, (x0, x1, y0, y1)), (rank, (x0, x1, y0, y1)))
    if best is None:
        return None
    x0, x1, y0, y1 = best[1]
    spared = np.ones((arch.rows, arch.columns), bool)
    spared[y0:y1, x0:x1] = False
    return spared


def _windows(arch: Architecture, defects: Defects) -> Iterator[tuple[int, int, int, int]]:
    """Rectangles x0 <= x < x1, y0 <= y < y1 without a dead link inside, the largest of every range of rows that can matter."""
    x, y, side = np.unique(defects.links, axis=0).T
    # A dead link lies between two columns of a row, or between two rows of a column: the western or southern one of them.
    flat = side < 2
    west, south = x - (side == 1), y - (side == 3)
    bounds = np.unique(np.concatenate([[0, arch.rows], y[flat], y[flat] + 1, south[~flat] + 1])).tolist()
    for low, high in combinations(bounds, 2):
        between = np.unique(west[flat & (y >= low) & (y < high)] + 1).tolist()
        blocked = np.unique(x[~flat & (south >= low) & (south + 1 < high)]).tolist()
        # Columns between two dead links along a row, and those beside a column with one across rows.
        starts = sorted({0, *between, *(column + 1 for column in blocked)})
        stops = sorted({arch.columns, *between, *blocked})
        for start in starts:
            stop = next((stop for stop in stops if stop > start), start)
            if start not in blocked and stop > start:
                yield start, stop, low, high


def load_defects(path: str | Path, arch: Architecture) -> Defects:
    """Read a file of defects: lists ``cores``, ``axons`` and ``links`` (YAML or JSON).

    Raises InputError that lists every fault of the file as ``file:line:column: entry: reason``.
    """
    document = read_yaml(path)
    problems = [document.complain((key,), stranger(key, SHAPES)) for key in document.data if key not in SHAPES]
    found = {name: _entries(document, name, arch, problems) for name in SHAPES}
    if problems:
        raise InputError(problems)
    return Defects(
        **{name: np.array(rows, np.int64).reshape(-1, 2 + (name != "cores")) for name, rows in found.items()}
    )


def _rows(name: str, given: Any) -> Array:
    """Entries as an array of whole numbers, one a row."""
    width = 2 + (name != "cores")
    try:
        rows = whole_numbers(given)
    except ValueError as error:
        raise InputError(f"defects: {name} {error}") from error
    if not rows.size:
        return np.zeros((0, width), np.int64)
    if rows.ndim != 2 or rows.shape[1] != width:
        columns = "[x, y, index of the side]" if name == "links" else SHAPES[name]
        raise InputError(f"defects: {name} has shape {rows.shape}; rows of {columns} were expected")
    return rows


def _entries(document: Document, name: str, arch: Architecture, problems: list[str]) -> list[list[int]]:
    """The entries of one list that are in order; complaints about the others are collected."""
    given = document.data.get(name) or []
    if not isinstance(given, list):
        problems.append(document.complain((name,), f"must be a list of {SHAPES[name]}"))
        return []
    rows = []
    for number, entry in enumerate(given):
        row = _entry(name, entry)
        fault = f"is {entry!r}; {SHAPES[name]} was expected" if row is None else _outside(name, row, arch)
        if fault:
            problems.append(document.complain((name, number), fault))
        elif row is not None:
            rows.append(row)
    return rows


def _entry(name: str, entry: Any) -> list[int] | None:
    """An entry as whole numbers; None if it is something else."""
    if not isinstance(entry, list) or len(entry) != 2 + (name != "cores"):
        return None
    if name == "links":
        entry = [*entry[:2], SIDES.index(entry[2]) if entry[2] in SIDES else None]
    return entry if all(type(value) is int for value in entry) else None


def _outside(name: str, row: list[int], arch: Architecture) -> str:
    """What is wrong with an entry's numbers, if anything."""
    x, y = row[:2]
    if not (0 <= x < arch.columns and 0 <= y < arch.rows):
        return f"core ({x}, {y}) is outside the {arch.columns} x {arch.rows} cores of {arch.name!r}"
    if name == "axons" and not 0 <= row[2] < arch.core.axons:
        return f"axon {row[2]} is outside 0..{arch.core.axons - 1}"
    if name == "links" and not 0 <= row[2] < len(SIDES):
        return f"side {row[2]} is outside 0..{len(SIDES) - 1} ({', '.join(SIDES)})"
    if name == "links":
        dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[row[2]]
        if x + dx == arch.columns or not 0 <= y + dy < arch.rows:
            return f"core ({x}, {y}) has no neighbour in the {SIDES[row[2]]}, and no link there"
    return ""

"""Spike traffic over the mesh: hops, loads of the links, the hottest of them, crossings between chips.

All of it follows from how many packets each core sent to which other, since routes are static: first
along x, then along y. Core ``x + y * columns`` stands in column x and row y; y grows northwards. Inputs
enter and outputs leave at the west edge of the core's row; their way is I/O and counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurocore.wording import counted

if TYPE_CHECKING:
    from neurocore.board import BoardReport

Ints = npt.NDArray[np.int64]

N_HOTTEST = 10
"""How many of the most loaded links a report lists."""


class LinkLoads(NamedTuple):
    """Packets that crossed each directed link: int64 [rows, columns], by the core that they leave.

    ``east[y, x]`` left (x, y) for (x + 1, y), ``west`` for (x - 1, y), ``north`` for (x, y + 1),
    ``south`` for (x, y - 1).
    """

    east: Ints
    west: Ints
    north: Ints
    south: Ints

    def plus(self, other: LinkLoads) -> LinkLoads:
        """Return the loads of both together."""
        return LinkLoads(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def between_chips(self, chip_columns: int, chip_rows: int) -> LinkLoads:
        """Sum the loads of each chip's edges [chip rows, chip columns], by the chip that they leave.

        Chips of chip_columns x chip_rows cores are tiled from (0, 0); the last may be cut off by the mesh.
        """
        rows, columns = self.east.shape
        x, y = np.arange(columns), np.arange(rows)[:, None]
        last_column, last_row = (x + 1) % chip_columns == 0, (y + 1) % chip_rows == 0
        at_edge = (last_column, x % chip_columns == 0, last_row, y % chip_rows == 0)
        first_rows, first_columns = np.arange(0, rows, chip_rows), np.arange(0, columns, chip_columns)
        return LinkLoads(
            *(
                np.add.reduceat(np.add.reduceat(loads * edge, first_rows, axis=0), first_columns, axis=1)
                for loads, edge in zip(self, at_edge, strict=True)
            )
        )

    def crossings(self, chip_columns: int, chip_rows: int) -> int:
        """Count passages from chip to chip, chips of chip_columns x chip_rows cores tiled from (0, 0)."""
        return sum(int(loads.sum()) for loads in self.between_chips(chip_columns, chip_rows))


STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""dx and dy of a link, in the order of the fields of LinkLoads."""


def link_loads(
    source_core: npt.ArrayLike, target_core: npt.ArrayLike, packets: npt.ArrayLike, columns: int, rows: int
) -> LinkLoads:
    """Count packets per link when ``packets[i]`` go from ``source_core[i]`` to ``target_core[i]``, each [k].

    Cores lie in 0..columns*rows-1; a packet within a core crosses no link. The work grows with k and with
    the mesh, not with packets or hops. Raises TypeError for numbers that are not integers.
    """
    source, target, count = _integers(source_core), _integers(target_core), _integers(packets)
    assert _inside(source, columns * rows), "a source core lies outside the mesh"
    assert _inside(target, columns * rows), "a target core lies outside the mesh"
    y0, x0 = np.divmod(source, columns)
    y1, x1 = np.divmod(target, columns)
    east, west = _line_loads(y0, x0, x1, count, rows, columns)
    north, south = _line_loads(x1, y0, y1, count, columns, rows)
    return LinkLoads(_frozen(east), _frozen(west), _frozen(north.T), _frozen(south.T))


def _line_loads(line: Ints, start: Ints, end: Ints, count: Ints, n_lines: int, length: int) -> tuple[Ints, Ints]:
    """Return the loads [n_lines, length] of the upward and the downward links of parallel lines.

    Links are numbered by the place that they leave. Each way adds its count to a run of neighbouring
    links: +count where the run begins and -count behind its end, summed up along the line.
    """
    up = np.zeros((n_lines, length + 1), np.int64)
    down = np.zeros((n_lines, length + 1), np.int64)
    rising, falling = start < end, start > end
    np.add.at(up, (line[rising], start[rising]), count[rising])
    np.add.at(up, (line[rising], end[rising]), -count[rising])
    np.add.at(down, (line[falling], end[falling] + 1), count[falling])
    np.add.at(down, (line[falling], start[falling] + 1), -count[falling])
    return up.cumsum(axis=1)[:, :length], down.cumsum(axis=1)[:, :length]


@dataclass(frozen=True, eq=False)
class TrafficReport:
    """The packets of a run and the ways that they took; prints itself as a table.

    ``packets`` went from a core to a core, ``local_packets`` of them stayed within one; ``hops`` are
    theirs in total, and ``hop_histogram[h]`` of them took h hops. ``input_packets`` and
    ``output_packets`` took ``io_hops`` hops between core and edge. ``links`` counts all packets,
    ``io_links`` the part of inputs and outputs; ``chip_crossings`` (passages from chip to chip) and
    ``io_chip_crossings`` likewise. Link figures per tick are means over the run, 0 for a run without
    ticks. ``board`` has the same by chip where there is more than one. ``dilation`` ticks make one of the network.
    """

    ticks: int
    columns: int
    rows: int
    packets: int
    local_packets: int
    hops: int
    hop_histogram: Ints
    input_packets: int
    output_packets: int
    io_hops: int
    links: LinkLoads
    io_links: LinkLoads
    chip_crossings: int
    io_chip_crossings: int
    board: BoardReport | None = None
    dilation: int = 1

    @property
    def mean_hops(self) -> float:
        """Mean hops of a core-to-core packet, those within a core included; 0 if there was none."""
        return self.hops / self.packets if self.packets else 0.0

    @property
    def io_packets(self) -> int:
        """Input and output packets."""
        return self.input_packets + self.output_packets

    @property
    def max_link_packets_per_tick(self) -> float:
        """Load of the most loaded link, I/O included."""
        return self.per_tick(max(int(loads.max(initial=0)) for loads in self.links))

    @property
    def hottest_links(self) -> list[dict[str, Any]]:
        """The most loaded links, I/O included: ``from`` and ``to`` as [x, y], and ``packets_per_tick``.

        At most ten, none without load; equal loads by row, then column, then east, west, north, south.
        """
        loads = np.stack(self.links, axis=-1).ravel()
        order = np.argsort(-loads, kind="stable")[:N_HOTTEST]
        return [self._link(int(index), int(loads[index])) for index in order if loads[index] > 0]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of ``traffic --json``: plain Python values."""
        return {
            "ticks": self.ticks,
            "packets": self.packets,
            "local_packets": self.local_packets,
            "hops": self.hops,
            "mean_hops": self.mean_hops,
            "hop_histogram": np.trim_zeros(self.hop_histogram, "b").tolist(),
            "io_packets": self.io_packets,
            "input_packets": self.input_packets,
            "output_packets": self.output_packets,
            "io_hops": self.io_hops,
            "chip_crossings": self.chip_crossings,
            "io_chip_crossings": self.io_chip_crossings,
            "max_link_packets_per_tick": self.max_link_packets_per_tick,
            "hottest_links": self.hottest_links,
            **(self.board.as_dict() if self.board is not None else {}),
        }

    def __str__(self) -> str:
        lines = (f"  {name:<14} {value}" for name, value in self.in_words())
        return "\n".join(
            [f"Traffic over {self.columns} x {self.rows} cores, {self.span}", *lines, *self._board_lines()]
        )

    @property
    def span(self) -> str:
        """How long the run was, in words."""
        clock = f" of the chip, {self.dilation} to one of the network" if self.dilation != 1 else ""
        return counted(self.ticks, "tick") + clock

    def in_words(self) -> Iterator[tuple[str, str]]:
        """The counts in words, as name and value; then the hottest links, or that there is none."""
        crossing = self.packets - self.local_packets
        ways = f"{crossing:,} over the mesh, {self.local_packets:,} within their core"
        yield "core to core", f"{counted(self.packets, 'packet')}: {ways}"
        far = f", {self.hops / crossing:.4f} per packet over the mesh" if crossing else ""
        yield "hops", f"{self.hops:,}, {self.mean_hops:.4f} per packet{far}"
        in_out = f"{self.input_packets:,} in, {self.output_packets:,} out"
        edge = f"{counted(self.io_hops, 'hop')} to or from the west edge"
        yield "I/O", f"{counted(self.io_packets, 'packet')}: {in_out}, {edge}"
        if self.board is not None or self.chip_crossings:
            yield "chip crossings", f"{self.chip_crossings:,}, {self.io_chip_crossings:,} of them I/O"
        for number, link in enumerate(self.hottest_links):
            yield (
                "then" if number else "hottest link",
                f"{link_name(link)}: {link['packets_per_tick']:.4f} packets per tick",
            )
        if not self.hottest_links:
            yield "hottest link", "none: no packet crosses a link of the mesh"

    def _board_lines(self) -> Iterator[str]:
        return iter(()) if self.board is None else self.board.lines()

    def per_tick(self, packets: int) -> float:
        """Mean over the run; 0 for a run without ticks."""
        return packets / self.ticks if self.ticks else 0.0

    def _link(self, index: int, packets: int) -> dict[str, Any]:
        core, direction = divmod(index, len(STEPS))
        y, x = divmod(core, self.columns)
        dx, dy = STEPS[direction]
        return {"from": [x, y], "to": [x + dx, y + dy], "packets_per_tick": self.per_tick(packets)}


def measure_traffic(
    source_core: npt.ArrayLike,
    target_core: npt.ArrayLike,
    packets: npt.ArrayLike,
    ticks: int,
    columns: int,
    rows: int,
    chip_columns: int,
    chip_rows: int,
    input_core: npt.ArrayLike = (),
    input_packets: npt.ArrayLike = (),
    output_core: npt.ArrayLike = (),
    output_packets: npt.ArrayLike = (),
) -> TrafficReport:
    """Measure the traffic of a run on a mesh of columns x rows cores, in chips of chip_columns x chip_rows.

    ``packets[i]`` went from ``source_core[i]`` to ``target_core[i]``, each [k]; ``input_packets[i]`` came
    in for ``input_core[i]``, ``output_packets[i]`` went out from ``output_core[i]``. Pairs and cores may
    be listed more than once. Raises TypeError for numbers that are not integers.
    """
    source, target, count = _integers(source_core), _integers(target_core), _integers(packets)
    inward, n_inward = _integers(input_core), _integers(input_packets)
    outward, n_outward = _integers(output_core), _integers(output_packets)
    distance = _distance(source, target, columns)
    io_links = link_loads(_west_edge(inward, columns), inward, n_inward, columns, rows).plus(
        link_loads(outward, _west_edge(outward, columns), n_outward, columns, rows)
    )
    links = link_loads(source, target, count, columns, rows).plus(io_links)
    return TrafficReport(
        ticks=ticks,
        columns=columns,
        rows=rows,
        packets=int(count.sum()),
        local_packets=int(count[distance == 0].sum()),
        hops=int((distance * count).sum()),
        hop_histogram=_histogram(distance, count, columns + rows - 1),
        input_packets=int(n_inward.sum()),
        output_packets=int(n_outward.sum()),
        io_hops=int((inward % columns * n_inward).sum() + (outward % columns * n_outward).sum()),
        links=LinkLoads(*map(_frozen, links)),
        io_links=LinkLoads(*map(_frozen, io_links)),
        chip_crossings=links.crossings(chip_columns, chip_rows),
        io_chip_crossings=io_links.crossings(chip_columns, chip_rows),
    )


def _west_edge(core: Ints, columns: int) -> Ints:
    """Return the core at the west edge of each core's row."""
    return core - core % columns


def _distance(source: Ints, target: Ints, columns: int) -> Ints:
    """Hops between cores."""
    dx, dy = source % columns - target % columns, source // columns - target // columns
    hops: Ints = np.abs(dx) + np.abs(dy)
    return hops


def _histogram(distance: Ints, packets: Ints, n_bins: int) -> Ints:
    """Packets [n_bins] by hops."""
    histogram = np.zeros(n_bins, np.int64)
    np.add.at(histogram, distance, packets)
    return _frozen(histogram)


def _integers(values: npt.ArrayLike) -> Ints:
    """Return the values as int64; floating-point numbers are a TypeError, never cut off."""
    array = np.asarray(values)
    return array.astype(np.int64, casting="same_kind" if array.size else "unsafe", copy=False)


def _inside(core: Ints, n_cores: int) -> bool:
    return bool(((core >= 0) & (core < n_cores)).all())


def _frozen(array: Ints) -> Ints:
    array.setflags(write=False)
    return array


def link_name(link: Mapping[str, Any]) -> str:
    """``(0, 0) to (1, 0)``: an item of :attr:`TrafficReport.hottest_links` in words."""
    (x0, y0), (x1, y1) = link["from"], link["to"]
    return f"({x0}, {y0}) to ({x1}, {y1})"

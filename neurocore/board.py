"""A board of chips: what each chip counted, and the packets that the merge-split blocks carried over every edge.

Chips are tiled in a plane; chip (0, 0) holds the core (0, 0). Between two neighbours there is one shared link in each direction:
a merge block gathers the packets of all rows or columns of an edge and tags them, a split block on the other side spreads them
again (Akopyan et al., IEEE TCAD 34, 2015). Routes are static, so that a link's packets follow from the loads of the mesh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.traffic import STEPS, LinkLoads
from neurocore.wording import counted

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tiling:
    """Cores [columns x rows] of a board and of each of its chips; chip (x, y) has the number x + y * chips per row."""

    columns: int
    rows: int
    chip_columns: int
    chip_rows: int

    @property
    def across(self) -> int:
        """Chips from west to east."""
        return -(-self.columns // self.chip_columns)

    @property
    def n_chips(self) -> int:
        """Chips of the board."""
        return self.across * -(-self.rows // self.chip_rows)

    def chip_of(self, core: npt.ArrayLike) -> Ints:
        """Number of the chip that holds each core."""
        y, x = np.divmod(np.asarray(core, np.int64), self.columns)
        chip: Ints = x // self.chip_columns + y // self.chip_rows * self.across
        return chip

    def total(self, core: npt.ArrayLike, counts: npt.ArrayLike) -> Ints:
        """Sum by chip [chips] what was counted by core."""
        sums = np.zeros(self.n_chips, np.int64)
        np.add.at(sums, self.chip_of(core), np.asarray(counts, np.int64))
        return sums

    def position(self, chip: int) -> tuple[int, int]:
        """Column and row of a chip."""
        return chip % self.across, chip // self.across


@dataclass(frozen=True)
class Edge:
    """One directed link between neighbouring chips, and what crossed it; ``io_packets`` are those of inputs and outputs."""

    source: tuple[int, int]
    target: tuple[int, int]
    packets: int
    io_packets: int


@dataclass(frozen=True)
class ChipCounts:
    """What one chip of a board did: cores in use, and counts of the run.

    ``packets_sent`` came from its cores for any core, ``packets_received`` were for its cores; ``crossings_out`` left over its
    edges and ``crossings_in`` came in over them, packets in transit and I/O included.
    """

    position: tuple[int, int]
    cores: int
    spikes: int
    synaptic_events: int
    packets_sent: int
    packets_received: int
    crossings_out: int
    crossings_in: int


@dataclass(frozen=True)
class BoardReport:
    """The chips of a board in rows from the south-west, and the edges between them; prints itself as a table."""

    ticks: int
    chips: tuple[ChipCounts, ...]
    edges: tuple[Edge, ...]

    @property
    def busiest_edge(self) -> Edge | None:
        """The edge with most packets, the first of equals; None if none carried any."""
        busiest = max(self.edges, key=lambda edge: edge.packets, default=None)
        return busiest if busiest is not None and busiest.packets else None

    def per_tick(self, packets: int) -> float:
        """Mean over the run; 0 for a run without ticks."""
        return packets / self.ticks if self.ticks else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that ``traffic --json`` has for boards: plain Python values."""
        busiest = self.busiest_edge
        return {
            "chips": [self._chip_fields(chip) for chip in self.chips],
            "chip_edges": [self._edge_fields(edge) for edge in self.edges],
            "busiest_edge": None if busiest is None else self._edge_fields(busiest),
        }

    def lines(self) -> Iterator[str]:
        """Yield a line per chip that has cores in use or carried packets, then the busiest edge."""
        idle = 0
        for chip in self.chips:
            if not (chip.cores or chip.crossings_in or chip.crossings_out):
                idle += 1
                continue
            yield (
                f"  chip {chip.position}".ljust(20)
                + f"{chip.cores:>6,} core{'' if chip.cores == 1 else 's'}, {counted(chip.spikes, 'spike')},"
                f" {counted(chip.synaptic_events, 'synaptic event')}, {counted(chip.packets_sent, 'packet')} sent,"
                f" {chip.packets_received:,} received, {chip.crossings_out:,} crossings out, {chip.crossings_in:,} in"
            )
        if idle:
            yield f"  {counted(idle, 'chip')} idle"
        if (busiest := self.busiest_edge) is not None:
            load = f"{self.per_tick(busiest.packets):.4f} packets per tick"
            yield f"  busiest chip edge {busiest.source} -> {busiest.target}: {load}"

    def _chip_fields(self, chip: ChipCounts) -> dict[str, Any]:
        names = (
            "cores",
            "spikes",
            "synaptic_events",
            "packets_sent",
            "packets_received",
            "crossings_out",
            "crossings_in",
        )
        return {"chip": list(chip.position), **{name: getattr(chip, name) for name in names}}

    def _edge_fields(self, edge: Edge) -> dict[str, Any]:
        return {
            "from": list(edge.source),
            "to": list(edge.target),
            "packets": edge.packets,
            "io_packets": edge.io_packets,
            "packets_per_tick": self.per_tick(edge.packets),
        }


def measure_board(
    tiling: Tiling,
    ticks: int,
    links: LinkLoads,
    io_links: LinkLoads,
    *,
    core: npt.ArrayLike,
    spikes: npt.ArrayLike,
    synaptic_events: npt.ArrayLike,
    source_core: npt.ArrayLike,
    target_core: npt.ArrayLike,
    packets: npt.ArrayLike,
) -> BoardReport:
    """Count by chip and by edge.

    ``spikes[i]`` and ``synaptic_events[i]`` are those of ``core[i]`` [n], the cores in use; ``packets[k]`` went from
    ``source_core[k]`` to ``target_core[k]``; ``links`` are all loads, ``io_links`` those of inputs and outputs.
    """
    size = (tiling.chip_columns, tiling.chip_rows)
    crossed, io_crossed = links.between_chips(*size), io_links.between_chips(*size)
    edges = tuple(_edges(crossed, io_crossed))
    out, into = np.zeros(tiling.n_chips, np.int64), np.zeros(tiling.n_chips, np.int64)
    for edge in edges:
        out[edge.source[0] + edge.source[1] * tiling.across] += edge.packets
        into[edge.target[0] + edge.target[1] * tiling.across] += edge.packets
    columns = (
        tiling.total(core, np.ones_like(np.asarray(core))),
        tiling.total(core, spikes),
        tiling.total(core, synaptic_events),
        tiling.total(source_core, packets),
        tiling.total(target_core, packets),
        out,
        into,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    chips = tuple(ChipCounts(tiling.position(number), *row) for number, row in enumerate(rows))
    return BoardReport(ticks, chips, edges)


def _edges(crossed: LinkLoads, io_crossed: LinkLoads) -> Iterator[Edge]:
    """Every directed edge inside the board, by the chip that it leaves, then east, west, north, south."""
    rows, columns = crossed.east.shape
    for y in range(rows):
        for x in range(columns):
            for loads, io_loads, (dx, dy) in zip(crossed, io_crossed, STEPS, strict=True):
                if 0 <= x + dx < columns and 0 <= y + dy < rows:
                    yield Edge((x, y), (x + dx, y + dy), int(loads[y, x]), int(io_loads[y, x]))

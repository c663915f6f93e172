"""Link loads against a walk of every packet, and small cases by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocore.traffic import LinkLoads, TrafficReport, link_loads, measure_traffic

Link = tuple[int, int, int, int]
Flow = list[tuple[int, int, int]]
Ends = list[tuple[int, int]]


class Case(NamedTuple):
    """Flows (source, target, packets) and inputs and outputs (core, packets) on a mesh, with a chip size."""

    columns: int
    rows: int
    chip_columns: int
    chip_rows: int
    flows: Flow
    inputs: Ends
    outputs: Ends

    def report(self, ticks: int = 7) -> TrafficReport:
        source, target, packets = columns_of(self.flows, 3)
        mesh = (self.columns, self.rows, self.chip_columns, self.chip_rows)
        ends = (*columns_of(self.inputs, 2), *columns_of(self.outputs, 2))
        return measure_traffic(source, target, packets, ticks, *mesh, *ends)

    def io_flows(self) -> Flow:
        ways_in = [(core - core % self.columns, core, packets) for core, packets in self.inputs]
        return ways_in + [(core, core - core % self.columns, packets) for core, packets in self.outputs]

    def walked(self, flows: Flow) -> Counter[Link]:
        """Packets per link (x, y, next x, next y), packet by packet and hop by hop."""
        loads: Counter[Link] = Counter()
        for source, target, packets in flows:
            for link in walk(source, target, self.columns):
                loads[link] += packets
        return +loads


def columns_of(rows: list[Any], width: int) -> list[list[int]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def walk(source: int, target: int, columns: int) -> Iterator[Link]:
    """The links of a way, x first."""
    (y, x), (y1, x1) = divmod(source, columns), divmod(target, columns)
    while x != x1:
        step = 1 if x1 > x else -1
        yield x, y, x + step, y
        x += step
    while y != y1:
        step = 1 if y1 > y else -1
        yield x, y, x, y + step
        y += step


def by_link(loads: LinkLoads) -> Counter[Link]:
    found: Counter[Link] = Counter()
    for grid, (dx, dy) in zip(loads, ((1, 0), (-1, 0), (0, 1), (0, -1)), strict=True):
        for y, x in np.argwhere(grid).tolist():
            found[x, y, x + dx, y + dy] = int(grid[y, x])
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    columns, rows = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    core, count = st.integers(0, columns * rows - 1), st.integers(0, 1000)
    return Case(
        columns,
        rows,
        draw(st.integers(1, columns)),
        draw(st.integers(1, rows)),
        draw(st.lists(st.tuples(core, core, count), max_size=30)),
        draw(st.lists(st.tuples(core, count), max_size=10)),
        draw(st.lists(st.tuples(core, count), max_size=10)),
    )


def crossings(case: Case, loads: Counter[Link]) -> int:
    w, h = case.chip_columns, case.chip_rows
    return sum(n for (x, y, u, v), n in loads.items() if (x // w, y // h) != (u // w, v // h))


@given(cases())
def test_links_are_those_of_every_packet_walked(case: Case) -> None:
    report = case.report()
    assert by_link(report.links) == case.walked(case.flows + case.io_flows())
    assert by_link(report.io_links) == case.walked(case.io_flows())


@given(cases())
def test_link_loads_alone(case: Case) -> None:
    source, target, packets = columns_of(case.flows, 3)
    loads = link_loads(source, target, packets, case.columns, case.rows)
    assert by_link(loads) == case.walked(case.flows)
    assert all(grid.shape == (case.rows, case.columns) and grid.dtype == np.int64 for grid in loads)


@given(cases())
def test_counts_are_those_of_every_packet_walked(case: Case) -> None:
    report = case.report()
    lengths: Counter[int] = Counter()
    for source, target, packets in case.flows:
        lengths[sum(1 for _ in walk(source, target, case.columns))] += packets
    assert report.packets == lengths.total()
    assert report.local_packets == lengths[0]
    assert report.hops == sum(hops * n for hops, n in lengths.items()) == case.walked(case.flows).total()
    assert dict(enumerate(report.hop_histogram.tolist())) == {
        hops: lengths[hops] for hops in range(case.columns + case.rows - 1)
    }
    assert report.io_hops == case.walked(case.io_flows()).total()
    assert report.io_packets == sum(n for _, n in case.inputs + case.outputs)
    assert report.chip_crossings == crossings(case, case.walked(case.flows + case.io_flows()))
    assert report.io_chip_crossings == crossings(case, case.walked(case.io_flows()))


@given(cases())
def test_hottest_links_are_the_most_loaded_in_a_stable_order(case: Case) -> None:
    report = case.report(ticks=8)
    directions = [(1, 0), (-1, 0), (0, 1), (0, -1)]

    def rank(item: tuple[Link, int]) -> tuple[int, ...]:
        (x, y, u, v), packets = item
        return -packets, y, x, directions.index((u - x, v - y))

    expected = sorted(case.walked(case.flows + case.io_flows()).items(), key=rank)
    assert report.hottest_links == [
        {"from": [x, y], "to": [u, v], "packets_per_tick": packets / 8} for (x, y, u, v), packets in expected[:10]
    ]
    assert report.max_link_packets_per_tick == (expected[0][1] / 8 if expected else 0)


def test_one_way_goes_first_along_x_and_then_along_y() -> None:
    east, west, north, south = link_loads([1], [3 + 2 * 5], [6], columns=5, rows=3)
    assert east.tolist() == [[0, 6, 6, 0, 0], [0] * 5, [0] * 5]
    assert north.tolist() == [[0, 0, 0, 6, 0], [0, 0, 0, 6, 0], [0] * 5]
    assert not west.any()
    assert not south.any()


def test_way_back_takes_other_links() -> None:
    east, west, north, south = link_loads([3 + 2 * 5], [1], [6], columns=5, rows=3)
    assert west.tolist() == [[0] * 5, [0] * 5, [0, 0, 6, 6, 0]]
    assert south.tolist() == [[0] * 5, [0, 6, 0, 0, 0], [0, 6, 0, 0, 0]]
    assert not east.any()
    assert not north.any()


def test_inputs_come_from_the_west_and_outputs_go_there() -> None:
    report = measure_traffic([], [], [], 10, 5, 3, 5, 3, [7], [20], [11], [30])
    assert report.links.east.tolist() == [[0] * 5, [20, 20, 0, 0, 0], [0] * 5]
    assert report.links.west.tolist() == [[0] * 5, [0] * 5, [0, 30, 0, 0, 0]]
    assert (report.input_packets, report.output_packets, report.io_hops) == (20, 30, 70)
    assert (report.packets, report.hops, report.mean_hops) == (0, 0, 0.0)


def test_mean_hops_counts_packets_within_a_core() -> None:
    report = measure_traffic([0, 0], [0, 4], [3, 1], 1, 5, 3, 5, 3)
    assert report.mean_hops == 1.0
    assert report.local_packets == 3


def test_crossings_of_two_by_two_chips() -> None:
    report = measure_traffic([0, 27], [27, 8], [5, 2], 1, 6, 6, 3, 3)
    assert report.chip_crossings == 5 * 2 + 2 * 2


def test_large_counts_stay_exact() -> None:
    east = link_loads([0, 0], [1, 1], [2**60, 1], columns=3, rows=1).east
    assert int(east[0, 0]) == 2**60 + 1


def test_fractional_packets_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Cannot cast array data from dtype\('float64'\) to dtype\('int64'\)"):
        link_loads([0], [1], [0.5], columns=3, rows=1)


@pytest.mark.parametrize(("source", "target"), [([-1], [0]), ([0], [15])])
def test_cores_outside_the_mesh_break_an_invariant(source: list[int], target: list[int]) -> None:
    with pytest.raises(AssertionError, match="core lies outside the mesh"):
        link_loads(source, target, [1], columns=5, rows=3)


def test_run_without_ticks_has_zero_rates() -> None:
    report = measure_traffic([], [], [], 0, 5, 3, 5, 3)
    assert report.max_link_packets_per_tick == 0
    assert report.hottest_links == []
    assert report.mean_hops == 0


def test_arrays_are_read_only() -> None:
    report = measure_traffic([0], [1], [1], 1, 5, 3, 5, 3)
    for array in (*report.links, *report.io_links, report.hop_histogram):
        assert not array.flags.writeable


def test_json_has_the_fields_that_scripts_read() -> None:
    fields = measure_traffic([0, 3], [7, 3], [8, 2], 4, 5, 3, 5, 3, [1], [4], [], []).as_dict()
    assert json.loads(json.dumps(fields)) == fields
    assert fields["packets"] == 10
    assert fields["mean_hops"] == 2.4
    assert fields["max_link_packets_per_tick"] == 3.0
    assert fields["hop_histogram"] == [2, 0, 0, 8]
    assert fields["hottest_links"] == [
        {"from": [0, 0], "to": [1, 0], "packets_per_tick": 3.0},
        {"from": [1, 0], "to": [2, 0], "packets_per_tick": 2.0},
        {"from": [2, 0], "to": [2, 1], "packets_per_tick": 2.0},
    ]


def test_report_prints_a_table() -> None:
    report = measure_traffic([0, 3], [7, 3], [8000, 2], 4, 5, 3, 2, 3, [1], [1], [], [])
    assert str(report) == "\n".join(
        [
            "Traffic over 5 x 3 cores, 4 ticks",
            "  core to core   8,002 packets: 8,000 over the mesh, 2 within their core",
            "  hops           24,000, 2.9993 per packet, 3.0000 per packet over the mesh",
            "  I/O            1 packet: 1 in, 0 out, 1 hop to or from the west edge",
            "  chip crossings 8,000, 0 of them I/O",
            "  hottest link   (0, 0) to (1, 0): 2000.2500 packets per tick",
            "  then           (1, 0) to (2, 0): 2000.0000 packets per tick",
            "  then           (2, 0) to (2, 1): 2000.0000 packets per tick",
        ]
    )


def test_report_of_a_single_core_has_no_links() -> None:
    report = measure_traffic([5], [5], [7], 4, 5, 3, 5, 3, [5], [3], [5], [1])
    assert str(report) == "\n".join(
        [
            "Traffic over 5 x 3 cores, 4 ticks",
            "  core to core   7 packets: 0 over the mesh, 7 within their core",
            "  hops           0, 0.0000 per packet",
            "  I/O            4 packets: 3 in, 1 out, 0 hops to or from the west edge",
            "  hottest link   none: no packet crosses a link of the mesh",
        ]
    )
    dilated = replace(report, dilation=152)
    assert str(dilated).startswith("Traffic over 5 x 3 cores, 4 ticks of the chip, 152 to one of the network\n")

"""Boards of several chips: one mesh in all but the counters, which are checked against a walk of every packet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.verify import verify
from neurocore.config import OUTPUT, ChipConfig, Cores, Group, blank_arrays
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError
from neurocore.power import EnergyModel, estimate_power
from neurocore.result import RunResult
from neurocore.spikes import Spikes
from random_chips import random_chip, random_events

SEEDS = st.integers(0, 2**32 - 1)
TICKS = 40


def board(**changes: dict[str, int]) -> Architecture:
    """3 x 2 chips of tiny, 15 x 6 cores, with packets that reach all of them."""
    tiny = load_architecture("tiny")
    reach = {"dx": {"min": -14, "max": 14}, "dy": {"min": -5, "max": 5}}
    routing = {**tiny.routing.model_dump(), "reach": reach}
    sizes = {"board": {"columns": 3, "rows": 2}, **changes}
    return Architecture.model_validate({**tiny.model_dump(), "routing": routing, **sizes})


def busy_run(arch: Architecture, seed: int, engine: str = "compiled") -> RunResult:
    chip = random_chip(arch, seed, 14)
    tick, row, axon = random_events(chip, seed, TICKS, 3.0)
    events = Spikes.from_axons(tick, chip.cores.core[row], axon)
    return Emulator(chip, engine=engine).run(events, TICKS)


def walk(x: int, y: int, x1: int, y1: int):
    """The cores of a way after the first, x first."""
    while (x, y) != (x1, y1):
        x, y = (x + (1 if x1 > x else -1), y) if x != x1 else (x, y + (1 if y1 > y else -1))
        yield x, y


def counted(run: RunResult) -> dict[str, Counter]:
    """Everything by chip and by edge, from every neuron's spikes, walking each packet's way core by core."""
    arch, found = (
        run.chip.architecture,
        {name: Counter() for name in ("cores", "spikes", "sent", "received", "edge", "io")},
    )

    def chip_at(x: int, y: int) -> tuple[int, int]:
        return x // arch.mesh.columns, y // arch.mesh.rows

    def carry(start: tuple[int, int], end: tuple[int, int], packets: int, io: bool) -> None:
        at = start
        for step in walk(*start, *end):
            if chip_at(*at) != chip_at(*step):
                found["edge"][chip_at(*at), chip_at(*step)] += packets
                found["io"][chip_at(*at), chip_at(*step)] += packets * io
            at = step

    for row, core in enumerate(run.chip.core.tolist()):
        place = arch.core_xy(core)
        found["cores"][chip_at(*place)] += 1
        found["spikes"][chip_at(*place)] += int(run.neuron_spikes[row].sum())
        carry((0, place[1]), place, int(run.cores.input_packets[row]), io=True)
        for neuron, packets in enumerate(run.neuron_spikes[row].tolist()):
            target = int(run.chip.target_core[row, neuron])
            if target >= 0:
                found["sent"][chip_at(*place)] += packets
                found["received"][chip_at(*arch.core_xy(target))] += packets
                carry(place, arch.core_xy(target), packets, io=False)
            elif target == OUTPUT:
                carry(place, (0, place[1]), packets, io=True)
    return found


@settings(max_examples=15)
@given(seed=SEEDS)
def test_counters_are_those_of_every_packet_walked(seed: int) -> None:
    run = busy_run(board(), seed)
    traffic, found = run.traffic().as_dict(), counted(run)
    for chip in traffic["chips"]:
        at = tuple(chip["chip"])
        assert chip["cores"] == found["cores"][at]
        assert chip["spikes"] == found["spikes"][at]
        assert chip["packets_sent"] == found["sent"][at]
        assert chip["packets_received"] == found["received"][at]
        assert chip["crossings_out"] == sum(n for (here, _), n in found["edge"].items() if here == at)
        assert chip["crossings_in"] == sum(n for (_, there), n in found["edge"].items() if there == at)
    edges = {(tuple(edge["from"]), tuple(edge["to"])): edge for edge in traffic["chip_edges"]}
    assert len(edges) == 2 * (2 * 2 + 3 * 1)
    assert {key: edge["packets"] for key, edge in edges.items() if edge["packets"]} == dict(+found["edge"])
    assert {key: edge["io_packets"] for key, edge in edges.items() if edge["io_packets"]} == dict(+found["io"])
    assert sum(chip["synaptic_events"] for chip in traffic["chips"]) == int(run.cores.synaptic_events.sum())
    assert traffic["chip_crossings"] == found["edge"].total()
    busiest = max(found["edge"].values(), default=0)
    assert (traffic["busiest_edge"] or {"packets": 0})["packets"] == busiest
    if busiest:
        assert traffic["busiest_edge"]["packets_per_tick"] == busiest / TICKS


@settings(max_examples=15)
@given(seed=SEEDS, engine=st.sampled_from(["compiled", "oracle"]))
def test_a_board_is_one_mesh(seed: int, engine: str) -> None:
    """The same cores on 3 x 2 chips and on one chip of their size: the same run, but for the counters by chip."""
    whole = board(board={"columns": 1, "rows": 1}, mesh={"columns": 15, "rows": 6})
    tiled, single = busy_run(board(), seed, engine), busy_run(whole, seed, engine)
    assert tiled.spikes == single.spikes
    np.testing.assert_array_equal(tiled.membranes, single.membranes)
    np.testing.assert_array_equal(tiled.neuron_spikes, single.neuron_spikes)
    ours, theirs = tiled.traffic().as_dict(), single.traffic().as_dict()
    assert theirs["chip_crossings"] == 0
    assert "chips" not in theirs
    for name in theirs.keys() - {"chip_crossings", "io_chip_crossings"}:
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize("powered", ["used", "chip"])
def test_power_by_chip_adds_up(powered: str) -> None:
    run = busy_run(board(), 3)
    energies = {
        "neuron_update_pj": 10.0,
        "synaptic_event_pj": 2.0,
        "spike_pj": 4.0,
        "hop_pj": 3.0,
        "io_packet_pj": 50.0,
    }
    volts = {"reference_voltage": 1.0, "default_voltage": 1.0, "min_voltage": 0.5, "max_voltage": 2.0}
    model = EnergyModel(**volts, **energies, leakage_mw=0.5, leakage_exponent=3.0, crossing_pj=800.0, accuracy=0.1)
    report = estimate_power(model, run.activity(), powered=powered)
    chips = report.as_dict()["chips"]
    assert sum(chip["total_mw"] for chip in chips) == pytest.approx(report.total_mw - report.io_mw)
    assert sum(chip["crossing_mw"] for chip in chips) == pytest.approx(report.crossing_mw)
    assert sum(chip["powered_cores"] for chip in chips) == report.powered_cores
    counts = {tuple(chip["chip"]): chip for chip in run.traffic().as_dict()["chips"]}
    seconds = TICKS / 1000
    for chip in chips:
        mine = counts[tuple(chip["chip"])]
        assert chip["synapse_mw"] == pytest.approx(mine["synaptic_events"] * 2.0 * 1e-9 / seconds)
        assert chip["crossing_mw"] == pytest.approx(mine["crossings_out"] * 800.0 * 1e-9 / seconds)
        assert chip["powered_cores"] == (mine["cores"] if powered == "used" else 15)
        assert f"chip ({chip['chip'][0]}, {chip['chip'][1]})" in str(report) or not chip["powered_cores"]


def long_chain() -> Network:
    """A chain of populations that one chip of tiny cannot hold."""
    net = Network("chain")
    previous: object = net.input("x", 4)
    for number in range(34):
        here = net.population(f"p{number}", 5)
        net.connect(previous, here, all_to_all=1)
        previous = here
    net.output("end", previous)
    return net


def write_board(folder: Path, columns: int, rows: int, reach: str = "") -> str:
    path = folder / "board.yaml"
    path.write_text(f"extends: tiny\nname: board\ntitle: board\nboard: {{columns: {columns}, rows: {rows}}}\n{reach}")
    return str(path)


def test_a_network_larger_than_a_chip(tmp_path: Path, command) -> None:
    """One file makes a board; a network spreads over its chips and is still itself; the command line has the counters."""
    reach = "routing: {reach: {dx: {min: -14, max: 14}, dy: {min: -5, max: 5}}}\n"
    chip = compile_network(long_chain(), write_board(tmp_path, 3, 2, reach))
    assert len(chip.cores) > 15
    run = Emulator(chip).run([(0, 0), (3, 1)], ticks=TICKS)
    assert run.spikes.tick.tolist() == [34 + chip.latency] * 5 + [37 + chip.latency] * 5
    run.save(str(tmp_path / "r.h5"))
    chips = command("traffic", str(tmp_path / "r.h5"), "--json").json["chips"]
    assert len(chips) == 6
    assert sum(item["spikes"] for item in chips) == run.n_spikes
    assert sum(item["cores"] > 0 for item in chips) > 1
    out = command("traffic", str(tmp_path / "r.h5")).out
    assert "  busiest chip edge (" in out
    assert "  chip (0, 0)" in out


def test_ns16e_power_and_traffic_by_chip() -> None:
    """Real limits and energies: two TrueNorth chips of the board, one packet across their edge."""
    arch = load_architecture("ns16e")
    arrays = blank_arrays(arch, 2)
    arrays["core"][:] = arch.core_id(63, 5), arch.core_id(64, 5)
    arrays["configured"][:, 0] = True
    arrays["threshold"][:, 0], arrays["leak"][:, 0] = 1, (1, 0)
    arrays["target_core"][0, 0], arrays["target_axon"][0, 0], arrays["delay"][0, 0] = arch.core_id(64, 5), 7, 1
    chip = ChipConfig(arch, Cores(**arrays)).validate()
    run = Emulator(chip).run(ticks=100)
    busiest = run.traffic().as_dict()["busiest_edge"]
    assert busiest == {"from": [0, 0], "to": [1, 0], "packets": 100, "io_packets": 0, "packets_per_tick": 1.0}
    chips = run.power(powered="chip").as_dict()["chips"]
    assert len(chips) == 16
    assert chips[0]["crossing_mw"] == pytest.approx(832e-9 * 1000)
    assert {chip["powered_cores"] for chip in chips} == {4096}
    assert chips[5]["total_mw"] == pytest.approx(chips[9]["total_mw"])


def test_packets_beyond_nine_bits_are_refused() -> None:
    """Five TrueNorth chips in a row are wider than the packet's offset: the target 256 cores away, not the one 255 away."""
    truenorth = load_architecture("truenorth")
    arch = truenorth.model_copy(update={"board": truenorth.board.model_copy(update={"columns": 5})})
    for distance in (255, 256):
        arrays = blank_arrays(arch, 1)
        arrays["configured"][0, 3] = True
        arrays["target_core"][0, 3], arrays["delay"][0, 3] = arch.core_id(distance, 0), 1
        chip = ChipConfig(arch, Cores(**arrays), outputs=(Group("none", (1,)),))
        if distance == 255:
            chip.validate()
            continue
        with pytest.raises(InputError) as caught:
            chip.validate()
        assert str(caught.value) == (
            "core (0, 0): target_core[3] is 256; a packet of 'truenorth' travels dx -255..255, dy -255..255"
        )


@pytest.mark.parametrize("size", [11, 8])
def test_a_network_that_spreads_too_far_for_its_packets(tmp_path: Path, size: int) -> None:
    """Sources on the far chips of a row all drive one population; tiny's packets travel four cores.

    Full cores between them cannot relay; cores with neurons to spare do.
    """
    net = Network("star")
    lines = net.input("x", 1)
    hub = net.population("hub", 1, threshold=3)
    for number in range(12):
        leaf = net.population(f"leaf{number}", size, threshold=2, leak=1)
        net.connect(lines, leaf, all_to_all=1)
        net.connect(leaf, hub, edges=[(0, 0, 1)])
    net.output("hub", hub)
    board = write_board(tmp_path, 5, 1, "mesh: {columns: 3, rows: 1}\n")
    if size == 11:
        with pytest.raises(FitError) as refused:
            compile_network(net, board)
        assert str(refused.value).startswith("E-REACH core (")
        assert str(refused.value).endswith(
            ": a packet of 'board' travels -4..4 cores in x and -2..2 in y, and no core with a neuron and an axon to spare lies"
            ' so that it could relay. Use fewer cores, or give the two places nearer to each other (placement="FILE")'
        )
        return
    chip, report = compile_with_report(net, board)
    assert len(chip.cores) == 12
    assert report.stations > 0
    spikes = Spikes.from_lines([2, 3, 9], [0, 0, 0])
    assert verify(net, chip, spikes, 40, lambda chip, spikes, ticks: Emulator(chip).run(spikes, ticks).spikes).equal

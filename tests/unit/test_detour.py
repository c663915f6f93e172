"""Relays on far and broken ways."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from boards import board, chain, is_equal, layers, random_defects, walk_packets
from neurocore.architecture import Grid, load_architecture
from neurocore.compiler.defects import Defects
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.errors import FitError


def test_a_spike_across_five_chips_of_truenorth(tmp_path: Path) -> None:
    """Corner to corner of 320 x 320 cores, where a packet travels 255: one relay between, one tick later."""
    truenorth = load_architecture("truenorth")
    arch = truenorth.model_copy(update={"name": "big", "board": Grid(columns=5, rows=5)})
    net = chain(2, size=200)
    path = tmp_path / "corners.yaml"
    path.write_text("cores: [{core: 0, at: [0, 0]}, {core: 1, at: [319, 319]}]\n")
    chip, report = compile_with_report(net, arch, placement=path)
    assert (report.stations, report.latency, len(chip.cores)) == (200, 1, 3)
    (middle,) = {arch.core_xy(int(core)) for core in chip.cores.core} - {(0, 0), (319, 319)}
    assert all(64 <= value <= 255 for value in middle)
    assert is_equal(net, chip, 20)
    # Without the file, the cores lie side by side and no relay is needed.
    chip, report = compile_with_report(net, arch)
    assert (report.stations, report.latency) == (0, 0)


def test_a_board_wider_than_packets_travel_is_used_as_far_as_they_do() -> None:
    """Fifteen cores fit into 5 x 3; a region of two chips side by side would be as small, but too wide for 4."""
    chip, report = compile_with_report(chain(15), board(4, 4, 4, 4))
    x, y = chip.cores.core % 20, chip.cores.core // 20
    assert (x.max() - x.min() <= 4, y.max() - y.min() <= 4) == (True, True)
    assert report.stations == 0


def test_a_delay_that_is_long_enough_hides_the_relays(tmp_path: Path) -> None:
    path = tmp_path / "ends.yaml"
    path.write_text("cores: [{core: 0, at: [0, 0]}, {core: 1, at: [9, 0]}]\n")
    net = chain(2, delay=4)
    chip, report = compile_with_report(net, board(2, 1, 4, 2), placement=path)
    assert (report.stations, report.latency) == (2 * 9, 0)
    assert is_equal(net, chip)


def test_a_cycle_without_time_for_relays_is_refused(tmp_path: Path) -> None:
    net = chain(2)
    net.connect("c1", "c0", one_to_one=-1, delay=1)
    path = tmp_path / "ends.yaml"
    path.write_text("rest: place\ncores: [{core: 0, at: [0, 0]}, {core: 1, at: [6, 0]}]\n")
    with pytest.raises(FitError) as caught:
        compile_network(net, board(2, 1, 4, 2), placement=path)
    assert re.sub(r"c0\[\d\]", "c0[0]", str(caught.value)) == (
        "E-REACH the spikes of c0[0] need 1 more tick for relays on their way, as a packet of 'board' travels -4..4 cores in x"
        " and -2..2 in y; but they are on the cycle 'c0' -> 'c1' -> 'c0', which leaves 2 too few. Raise a delay on it, or give"
        ' its cores places nearer to each other (placement="FILE"); without the given placement all cores find their places'
    )


def test_places_of_an_earlier_chip_that_no_packet_reaches(tmp_path: Path) -> None:
    """The two cores are kept where they were, on a chip whose packets no longer travel from one to the other."""
    net = chain(2)
    path = tmp_path / "ends.yaml"
    path.write_text("cores: [{core: 0, at: [0, 0]}, {core: 1, at: [9, 0]}]\n")
    far, near = board(2, 1, 9, 2), board(2, 1, 4, 2)
    dead = Defects(cores=[[x, y] for x in range(10) for y in range(3) if (x, y) not in ((0, 0), (1, 0), (9, 0))])
    earlier = compile_network(net, far, placement=path)
    with pytest.raises(
        FitError, match=r"^E-REACH core \(0, 0\) cannot send .*; without the given placement all cores find"
    ):
        compile_network(net, near, placement=earlier, defects=dead)
    assert len(compile_network(net, near, defects=dead).cores) == 2


@given(seed=st.integers(0, 2**20))
@settings(max_examples=25)
def test_boards_with_defects_and_short_reach(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    arch = board(columns, rows, int(rng.integers(4, 5 * columns)), int(rng.integers(2, 3 * rows)))
    defects = random_defects(arch, seed)
    net = layers(seed, int(rng.integers(6, 16)))
    try:
        chip = compile_network(net, arch, defects=defects)
    except FitError as refused:
        event(refused.problems[0].split()[0])
        return
    event("compiled")
    walk_packets(chip, defects)
    assert is_equal(net, chip)


def test_sites_are_kept_free_for_relays() -> None:
    """Full cores on half of a board that is twice as wide as its packets travel leave no room between them at first."""
    net = layers(7, 28)
    chip, report = compile_with_report(net, board(4, 2, 7, 3))
    assert report.stations > 0
    walk_packets(chip, Defects())
    assert is_equal(net, chip)

"""Where cores are: places that are given or kept, relays on far and broken ways, and what does not work left alone."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurocore.architecture import Architecture, Grid, Range, Reach, load_architecture
from neurocore.cli import main
from neurocore.cli.output import compile_bar
from neurocore.compiler.check import check
from neurocore.compiler.defects import Defects, clear_window, load_defects
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.place import CoreTraffic, measured, place
from neurocore.compiler.prove import prove
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig, Cores
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError, MismatchError
from random_networks import random_spikes

STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def board(columns: int, rows: int, dx: int, dy: int) -> Architecture:
    """Chips of tiny in a plane, with packets that travel dx and dy cores."""
    tiny = load_architecture("tiny")
    reach = Reach(dx=Range(min=-dx, max=dx), dy=Range(min=-dy, max=dy))
    changes = {"board": Grid(columns=columns, rows=rows), "routing": tiny.routing.model_copy(update={"reach": reach})}
    return tiny.model_copy(update={"name": "board", **changes})


def layers(seed: int, n: int = 14) -> Network:
    """A network of many small cores: layers that read two earlier ones after various delays, and a long loop."""
    rng = np.random.default_rng(seed)
    net = Network(f"layers{seed}")
    places = [net.input("in", 4)]
    for number in range(n):
        here = net.population(f"p{number}", int(rng.integers(6, 9)), threshold=2)
        for source in rng.choice(len(places), min(2, len(places)), replace=False):
            weights = np.zeros((places[source].size, here.size), int)
            for neuron in range(here.size):
                weights[rng.choice(len(weights), 2, replace=False), neuron] = 1
            net.connect(places[source], here, weights, delay=int(rng.choice([1, 1, 2, 9])))
        places.append(here)
    net.connect(places[-1], places[3], np.eye(places[-1].size, places[3].size, dtype=int), delay=30)
    net.output("end", places[-1])
    return net


def chain(n: int, size: int = 9, delay: int = 1) -> Network:
    """Populations that each fill a core of tiny and drive the next, neuron by neuron."""
    net = Network("chain")
    previous: object = net.input("x", size)
    for number in range(n):
        here = net.population(f"c{number}", size)
        net.connect(previous, here, one_to_one=1, delay=delay)
        previous = here
    net.output("end", previous)
    return net


def is_equal(net: Network, chip: ChipConfig, ticks: int = 40) -> bool:
    """Whether network and chip give the same spikes on some input."""
    return verify(
        net, chip, random_spikes(net, 1, ticks), ticks, lambda *run: Emulator(run[0]).run(*run[1:]).spikes
    ).equal


def site_of(chip: ChipConfig, population: str) -> set[tuple[int, int]]:
    """Cores that hold neurons of a population."""
    number = [group.name for group in chip.populations].index(population)
    rows = np.flatnonzero((chip.cores.population == number).any(axis=1))
    return {chip.architecture.core_xy(int(chip.cores.core[row])) for row in rows}


# ---------------------------------------------------------------- given and kept places


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_saved_placement_gives_the_same_chip(tmp_path: Path, tiny: Architecture, suffix: str) -> None:
    chip, report = compile_with_report(layers(1, 4), tiny, seed=3)
    path = tmp_path / f"places.{suffix}"
    assert report.placement is not None
    path.write_text(report.placement(suffix == "json"))
    again, kept = compile_with_report(layers(1, 4), tiny, seed=4, placement=path)
    assert again.digest() == chip.digest()
    assert kept.cores_kept == kept.cores == len(chip.cores)
    assert "cores kept their place" in kept.kept_text
    assert report.cores_kept is None


@pytest.mark.parametrize(("seed", "same"), [(6, True), (8, False)])
def test_a_saved_placement_with_relays_on_the_way(tmp_path: Path, seed: int, same: bool) -> None:
    """What holds neurons has the place that the file says; the relays between may come out otherwise."""
    net, arch = layers(seed, 24), board(4, 2, 9, 2)
    chip, report = compile_with_report(net, arch)
    assert report.stations > 0
    assert report.placement is not None
    (tmp_path / "places.yaml").write_text(report.placement(False))
    again = compile_network(net, arch, placement=tmp_path / "places.yaml")
    assert (again.digest() == chip.digest()) is same
    for name in net.populations:
        assert site_of(again, name) == site_of(chip, name)
    assert is_equal(net, again)


def test_an_earlier_chip_gives_its_places(tmp_path: Path, tiny: Architecture) -> None:
    chip = compile_network(layers(1, 4), tiny, seed=3)
    chip.save(str(tmp_path / "old.h5"))
    for source in (chip, tmp_path / "old.h5"):
        assert compile_network(layers(1, 4), tiny, seed=4, placement=source).digest() == chip.digest()


def test_cores_that_did_not_change_keep_their_places() -> None:
    """One population of a chain grows and another is new: all others stay where they are, and the new ones come near."""
    arch = board(3, 3, 14, 8)
    old = compile_network(chain(12), arch, seed=5)
    net = chain(13)
    net.populations["c4"].neuron["threshold"] = np.array([1] * 8 + [2])
    chip, report = compile_with_report(net, arch, placement=old)
    assert report.cores_kept == 12
    assert report.cores == 13
    for number in range(12):
        assert site_of(chip, f"c{number}") == site_of(old, f"c{number}")
    (x, y), (x0, y0) = site_of(chip, "c12").pop(), site_of(chip, "c11").pop()
    assert abs(x - x0) + abs(y - y0) <= 3
    assert is_equal(net, chip)
    assert compile_network(net, arch, placement=old).digest() == chip.digest()


def test_a_core_that_died_moves_and_no_other() -> None:
    arch = board(2, 2, 9, 5)
    old = compile_network(chain(10), arch)
    (x, y) = site_of(old, "c3").pop()
    chip, report = compile_with_report(chain(10), arch, placement=old, defects=Defects(cores=np.array([[x, y]])))
    assert report.cores_kept == 9
    assert site_of(chip, "c3") != site_of(old, "c3")
    assert all(site_of(chip, f"c{k}") == site_of(old, f"c{k}") for k in range(10) if k != 3)


def test_a_file_may_name_some_cores(tmp_path: Path) -> None:
    arch = board(2, 2, 9, 5)
    path = tmp_path / "some.yaml"
    path.write_text("rest: place\ncores:\n  - {core: 0, at: [7, 4]}\n  - {core: 5, at: [0, 0], holds: 'c5[0..8]'}\n")
    chip, report = compile_with_report(chain(6), arch, placement=path)
    assert (site_of(chip, "c0"), site_of(chip, "c5")) == ({(7, 4)}, {(0, 0)})
    assert report.cores_kept == 2


def test_all_faults_of_a_placement_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "cores:\n  - {core: 0, at: [0, 0]}\n  - {core: 0, at: [1, 0]}\n  - {core: 1, at: [5, 0]}\n  - {core: 2, at: [0, 0]}\n"
        "  - {core: 3, at: [2, 2]}\n  - {core: 9, at: [3, 0]}\n  - {core: 4, at: [4, 0], holds: 'c5[0..8]'}\n"
    )
    with pytest.raises(InputError) as caught:
        compile_network(chain(6), "tiny", placement=path, defects=Defects(cores=np.array([[2, 2]])))
    assert [text.replace(f"{path}:", "") for text in caught.value.problems] == [
        "3:5: cores.1: core 0 is named twice, first at line 2",
        "4:5: cores.2: core 1 lies at (5, 0), outside the 5 x 3 cores of 'tiny'",
        "5:5: cores.3: core 2 lies at (0, 0), where core 0 is",
        "6:5: cores.4: core 3 lies at (2, 2), which is dead; give it another place",
        "7:5: cores.5: core 9 is one more than network 'chain' has: 0..5",
        "8:5: cores.6: core 4 holds 'c4[0..8]' now, not 'c5[0..8]'; check its place and correct or delete 'holds'",
        "1:1: cores: network 'chain' needs 6 cores and 1 have no place here: 5; name them, or say 'rest: place'",
    ]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("cores: 3\nrest: all\nkoers: 1\n", ["koers: is not a known key", "rest: is 'all'", "cores: must be a list"]),
        ("cores: [7, {core: -1, at: [0, 0]}]\n", ["cores.0: is 7; {core: number", "cores.1: core is -1"]),
        ("cores: [{core: 1, at: [0]}, {core: 1, at: [0, 1], t: 1}]\n", ["cores.0: at is [0]", "cores.1: 't' is not"]),
        ("cores: [{core: 1, at: [0, 0], holds: 3}]\n", ["cores.0: holds is 3; a text was expected"]),
    ],
)
def test_a_placement_file_that_cannot_be_read(tmp_path: Path, text: str, faults: list[str]) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        compile_network(chain(2), "tiny", placement=path)
    assert len(caught.value.problems) == len(faults)
    for problem, fault in zip(caught.value.problems, faults, strict=True):
        assert fault in problem


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_pinned_cores_stay_and_the_others_are_drawn_to_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, mesh = int(rng.integers(1, 30)), (9, 7)
    source, target = rng.integers(0, n, (2, 3 * n))
    traffic = CoreTraffic(n, source, target, rng.random(3 * n), rng.random(n) * rng.integers(0, 2))
    sites = rng.permutation(63)
    pinned = np.stack([sites[:n] % 9, sites[:n] // 9], axis=1)
    pinned[rng.random(n) < 0.6] = -1
    blocked = np.zeros((7, 9), bool)
    blocked.ravel()[sites[n : n + 10]] = True
    found = place(traffic, mesh, (3, 3), blocked=blocked, pinned=pinned, seed=1)
    at = np.stack([found.x, found.y], axis=1)
    fixed = pinned[:, 0] >= 0
    np.testing.assert_array_equal(at[fixed], pinned[fixed])
    assert not blocked[found.y, found.x].any()
    assert len(np.unique(found.core_ids(9))) == n
    assert found == place(traffic, mesh, (3, 3), blocked=blocked, pinned=pinned, seed=1)


@pytest.mark.parametrize(("share", "bar"), [(0.02, 1.0), (0.4, 1.05), (0.6, 1.05)])
def test_placing_around_pins_is_nearly_as_good_as_placing_all(share: float, bar: float) -> None:
    """Some cores of a grid are pinned where they would lie: the others find their way."""
    side = 12
    core = np.random.default_rng(1).permutation(side * side).reshape(side, side)
    source = np.concatenate([core[:, :-1].ravel(), core[:-1].ravel()])
    target = np.concatenate([core[:, 1:].ravel(), core[1:].ravel()])
    traffic = CoreTraffic(side * side, source, target, np.ones(len(source)))
    free = place(traffic, (side, side))
    mine = np.random.default_rng(2).random(side * side) < share
    pinned = np.where(mine[:, None], np.stack([free.x, free.y], axis=1), -1)
    assert place(traffic, (side, side), pinned=pinned).mean_hops <= bar


def test_impossible_pins_are_listed() -> None:
    traffic = CoreTraffic(4, np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    pinned = np.array([[0, 0], [0, 0], [3, 0], [1, 1]])
    blocked = np.array([[False, False], [False, True]])
    with pytest.raises(InputError) as caught:
        place(traffic, (2, 2), blocked=blocked, pinned=pinned, span=(2, 2))
    assert caught.value.problems == (
        "place: pinned site (3, 0) is outside the mesh",
        "place: pinned site (1, 1) is blocked",
        "place: 2 cores are pinned to (0, 0)",
    )


# ---------------------------------------------------------------- far ways


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
        " and -2..2 in y; but they are on a cycle that leaves 2 too few. Raise a delay on the cycle, or give its cores"
        " places nearer to each other (--placement)"
    )


def random_defects(arch: Architecture, seed: int) -> Defects:
    """Some dead cores, axons and links."""
    rng = np.random.default_rng(seed)
    n_cores, n_axons, n_links = rng.integers(0, [4, 40, 5])
    cores = np.stack([rng.integers(0, arch.columns, n_cores), rng.integers(0, arch.rows, n_cores)], axis=1)
    axons = [rng.integers(0, size, n_axons) for size in (arch.columns, arch.rows, arch.core.axons)]
    links = np.stack([rng.integers(0, size, n_links) for size in (arch.columns - 1, arch.rows, 2)], axis=1)
    links[:, 0] += links[:, 2]
    return Defects(cores, np.stack(axons, axis=1), links)


def walk_packets(chip: ChipConfig, defects: Defects) -> None:
    """Every packet goes step by step, x first, and meets nothing that is dead."""
    arch, cores = chip.architecture, chip.cores
    dead_links, dead_cores = set(map(tuple, defects.links.tolist())), set(map(tuple, defects.cores.tolist()))
    dead_axons = set(map(tuple, defects.axons.tolist()))
    assert not dead_cores & {arch.core_xy(int(core)) for core in cores.core}
    for row, slot in np.argwhere(cores.target_core >= 0).tolist():
        (x, y), (x1, y1) = arch.core_xy(int(cores.core[row])), arch.core_xy(int(cores.target_core[row, slot]))
        assert x1 - x in arch.routing.reach.dx
        assert y1 - y in arch.routing.reach.dy
        assert (x1, y1, int(cores.target_axon[row, slot])) not in dead_axons
        while (x, y) != (x1, y1):
            side = (0 if x1 > x else 1) if x != x1 else (2 if y1 > y else 3)
            assert (x, y, side) not in dead_links
            x, y = x + STEPS[side][0], y + STEPS[side][1]
    outputs = cores.core[(cores.target_core == -2).any(axis=1)].tolist()
    for core in [*outputs, *chip.input_map.core.tolist()]:
        x, y = arch.core_xy(int(core))
        assert not dead_links & {(k, y, 0) for k in range(x)} | dead_links & {(k, y, 1) for k in range(x + 1)}
    entries = zip(chip.input_map.core.tolist(), chip.input_map.axon.tolist(), strict=True)
    assert not dead_axons & {(*arch.core_xy(core), axon) for core, axon in entries}


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


# ---------------------------------------------------------------- defects


def test_sites_with_dead_axons_are_used_when_nothing_else_is_left(tiny: Architecture) -> None:
    """All of tiny's cores are needed: those with few axons go where few work."""
    axons = np.array([[x, y, a] for x in range(4) for y in range(2) for a in (0, 1, 2, 5)])
    net = chain(15)
    chip = compile_network(net, tiny, defects=Defects(axons=axons))
    assert len(chip.cores) == 15
    walk_packets(chip, Defects(axons=axons))
    assert is_equal(net, chip)


def test_too_many_dead_axons(tiny: Architecture) -> None:
    axons = np.array([[x, y, a] for x in range(4) for y in range(2) for a in range(5)])
    with pytest.raises(FitError) as caught:
        compile_network(chain(15), tiny, defects=Defects(axons=axons))
    assert str(caught.value) == (
        "E-DEFECT network 'chain' needs 15 cores; of the 15 that work, 8 have dead axons or no way for inputs and outputs, and 8"
        " too many of the network's cores cannot do with that (40 dead axons). Use fewer or smaller"
        " cores"
    )
    with pytest.raises(FitError) as caught:
        compile_network(chain(15), tiny, defects=Defects(cores=np.array([[2, 1]])))
    assert str(caught.value) == (
        "E-CAP network 'chain' needs 15 cores; 'tiny' has 14 that work (1 over). Largest: 'c0', 1 core (neuron-limited, 18 % of"
        " neurons unused); 'c1', 1 core (neuron-limited, 18 % of neurons unused); 'c2', 1 core (neuron-limited, 18 % of neurons"
        " unused); 12 more populations. Use fewer neurons, smaller receptive fields or a larger chip"
    )


def test_inputs_and_outputs_stay_before_a_dead_link(tiny: Architecture) -> None:
    """Two rows are cut off from the west after their second column; the first and the last core of a chain are not there."""
    links = np.array([[1, 0, 0], [1, 2, 0], [4, 2, 1]])
    defects = Defects(links=links)
    net = chain(9)
    chip = compile_network(net, tiny, defects=defects)
    walk_packets(chip, defects)
    assert is_equal(net, chip)


@given(seed=st.integers(0, 2**20))
@settings(max_examples=40)
def test_a_window_without_dead_links(seed: int) -> None:
    """No packet between two sites of the window meets a dead link; if there is none, no rectangle would do."""
    arch, rng = board(2, 2, 9, 5), np.random.default_rng(seed)
    whole = random_defects(arch, seed)
    across = np.stack([rng.integers(0, size, 3) for size in (10, 5)] + [np.full(3, 2)], axis=1)
    defects = Defects(whole.cores, whole.axons, np.concatenate([whole.links, across]))
    n_cores = int(rng.integers(1, 40))
    usable = ~defects.dead_cores(arch) & (defects.n_axons(arch) == arch.core.axons) & defects.reached_by_io(arch)

    def is_clear(x0: int, x1: int, y0: int, y1: int) -> bool:
        ends = ((x, y, x + STEPS[side][0], y + STEPS[side][1]) for x, y, side in defects.links.tolist())
        return not any(all(x0 <= x < x1 for x in end[::2]) and all(y0 <= y < y1 for y in end[1::2]) for end in ends)

    spared = clear_window(arch, defects, n_cores)
    if spared is not None:
        y, x = np.nonzero(~spared)
        assert (~spared).sum() == (x.max() + 1 - x.min()) * (y.max() + 1 - y.min())
        assert is_clear(x.min(), x.max() + 1, y.min(), y.max() + 1)
        assert (usable & ~spared).sum() >= n_cores
        return
    for x0, x1 in combinations(range(11), 2):
        for y0, y1 in combinations(range(7), 2):
            assert usable[y0:y1, x0:x1].sum() < n_cores or not is_clear(x0, x1, y0, y1)


def test_cycles_without_time_for_relays_stay_clear_of_dead_links(tiny: Architecture) -> None:
    """Cores that drive each other in a tick lie where no dead link is between them."""
    net = chain(6)
    for number in range(5):
        net.connect(f"c{number + 1}", f"c{number}", edges=[(0, 0, -1)])
    free = compile_network(net, tiny)
    (x, y), (x1, y1) = site_of(free, "c2").pop(), site_of(free, "c3").pop()
    defects = Defects(links=np.array([[x, y, STEPS.index((np.sign(x1 - x), 0 if x != x1 else np.sign(y1 - y)))]]))
    chip, report = compile_with_report(net, tiny, defects=defects)
    assert report.stations == 0
    walk_packets(chip, defects)
    assert is_equal(net, chip)


def test_all_faults_of_a_file_of_defects_are_listed(tmp_path: Path, tiny: Architecture) -> None:
    path = tmp_path / "dead.yaml"
    path.write_text(
        "cores: [[5, 0], [1, 2], 7]\naxons:\n  - [0, 0, 13]\n  - [0, 1]\nlinks:\n  - [4, 0, east]\n  - [0, 0, up]\n"
        "  - [0, 0, west]\n  - [0, 2, north]\nrouters: []\n"
    )
    with pytest.raises(InputError) as caught:
        load_defects(path, tiny)
    assert [text.replace(f"{path}:", "") for text in caught.value.problems] == [
        "10:1: routers: is not a known key",
        "1:9: cores.0: core (5, 0) is outside the 5 x 3 cores of 'tiny'",
        "1:25: cores.2: is 7; [x, y] was expected",
        "3:5: axons.0: axon 13 is outside 0..12",
        "4:5: axons.1: is [0, 1]; [x, y, axon] was expected",
        "6:5: links.0: core (4, 0) has no neighbour in the east, and no link there",
        "7:5: links.1: is [0, 0, 'up']; [x, y, side], side being east, west, north, south was expected",
        "9:5: links.3: core (0, 2) has no neighbour in the north, and no link there",
    ]
    path.write_text("cores: [[1, 2]]\naxons: [[0, 0, 12], [0, 0, 3]]\nlinks: [[0, 0, west]]\n")
    found = load_defects(path, tiny)
    assert str(found) == "1 dead core, 2 dead axons, 1 dead link"
    assert found.dead_axons(0, 0).tolist() == [3, 12]
    assert not Defects()


# ---------------------------------------------------------------- the proof


def moved(chip: ChipConfig, core: int, to: int) -> ChipConfig:
    """The chip with one core at another place, everything that is sent to it included."""
    arrays = {name: values.copy() for name, values in vars(chip.cores).items()}
    arrays["core"][arrays["core"] == core] = to
    arrays["target_core"][arrays["target_core"] == core] = to
    entry = {name: values.copy() for name, values in vars(chip.input_map).items()}
    entry["core"][entry["core"] == core] = to
    order = np.argsort(arrays["core"])
    cores = Cores(**{name: values[order] for name, values in arrays.items()})
    fields = {**vars(chip), "cores": cores, "input_map": type(chip.input_map)(**entry)}
    return ChipConfig(**fields)


def test_the_proof_checks_ways_and_defects() -> None:
    arch = board(3, 1, 4, 2)
    net = chain(3)
    chip, flat = compile_network(net, arch), check(net, arch)
    x, y = site_of(chip, "c1").pop()
    number = arch.core_id(x, y)
    far = moved(chip, number, arch.core_id(14, y))
    with pytest.raises(
        MismatchError,
        match=r"core \(\d+, \d\) neuron 0 sends -?\d+ cores far in x; a packet of 'board' travels -4\.\.4",
    ):
        prove(flat, far)
    axon = int(np.flatnonzero(chip.cores.crossbar[chip.row_of()[number]].any(axis=1))[0])
    x0, y0 = site_of(chip, "c0").pop()
    faults = {
        f"core ({x}, {y}) is dead, but configured": Defects(cores=np.array([[x, y]])),
        f"axon {axon} of core ({x}, {y}) is dead, but reaches a neuron": Defects(axons=np.array([[x, y, axon]])),
        f"core ({x0}, {y0}) has inputs or outputs beyond the dead link of core (0, {y0}) to the west": Defects(
            links=np.array([[0, y0, 1]])
        ),
    }
    for text, defects in faults.items():
        with pytest.raises(MismatchError) as caught:
            prove(flat, chip, defects)
        assert text in caught.value.problems
    side = STEPS.index((int(np.sign(x - x0)), 0 if x != x0 else int(np.sign(y - y0))))
    with pytest.raises(MismatchError) as caught:
        prove(flat, chip, Defects(links=np.array([[x0, y0, side]])))
    name = ("east", "west", "north", "south")[side]
    assert (
        f"core ({x0}, {y0}) neuron 0 sends over the dead link of core ({x0}, {y0}) to the {name}"
        in caught.value.problems
    )
    prove(flat, chip, Defects(cores=np.array([[14, 2]]), links=np.array([[13, 2, 0]])))


# ---------------------------------------------------------------- the command line


class Terminal:
    """A stderr that says that it is a terminal, and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True


def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(
        "network: n\ninputs: {x: {shape: [2]}}\npopulations: {a: {shape: [2]}}\n"
        "projections: [{source: x, target: a, weights: {one_to_one: 1}}]\noutputs: {o: {source: a}}\n"
    )
    for arguments, shown in ((["net.yaml", "-o", "c.h5"], True), (["net.yaml", "-o", "c.h5", "--json"], False)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        with pytest.raises(SystemExit) as stop:
            main(["compile", *arguments])
        assert stop.value.code == 0
        assert ("place" in terminal.text and "prove" in terminal.text and "100%" in terminal.text) is shown
        assert bool(terminal.text) is shown


def test_the_bar_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with compile_bar() as progress:
        for stage, done, total in (("route", 3, 4), ("partition", 0, 1), ("place", 0, 0), ("other", 1, 2)):
            progress(stage, done, total)
    shown = [int(part.split("%")[0].split()[-1]) for part in terminal.text.split("]")[1:] if "%" in part]
    assert shown == sorted(shown)
    assert shown[-1] == 100


def test_compile_options_for_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(
        "network: n\ninputs: {x: {shape: [2]}}\npopulations: {a: {shape: [2]}}\n"
        "projections: [{source: x, target: a, weights: {one_to_one: 1}}]\noutputs: {o: {source: a}}\n"
    )

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main(["compile", "net.yaml", "-o", "c.h5", *arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out + captured.err

    assert call("--save-placement", "p.yaml")[0] == 0
    Path("p.yaml").write_text(
        Path("p.yaml").read_text().replace("at: [0, 0]", "at: [9, 7]").replace("at: [0, 31]", "at: [9, 7]")
    )
    code, text = call("--placement", "p.yaml", "--report", "r.txt")
    assert (code, "1 of 1 cores kept their place" in text) == (0, True)
    assert "1 of 1 cores kept their place" in Path("r.txt").read_text()
    # The chip may be replaced by what is compiled from its own places.
    assert "1 of 1 cores kept their place" in call("--placement", "c.h5")[1]
    code, text = call("--save-placement", "p.txt")
    assert (code, "'p.txt': the name of a placement file ends in .yaml, .yml, .json." in text) == (2, True)
    assert (
        "The report and the placement cannot be one file."
        in call("--save-placement", "p.yaml", "--report", "p.yaml")[1]
    )
    assert "An --estimate places nothing" in call("--estimate", "--placement", "p.yaml")[1]
    Path("dead.yaml").write_text("cores: [[9, 7]]\n")
    code, text = call("--placement", "p.yaml", "--defects", "dead.yaml")
    assert (code, "core 0 lies at (9, 7), which is dead; give it another place" in text) == (3, True)
    code, text = call("--placement", "c.h5", "--defects", "dead.yaml")
    assert (code, "0 of 1 cores kept their place" in text, "W-DEFECTS 1 dead core" in text) == (0, True, True)


def test_measured_placements_are_those_of_the_placer() -> None:
    traffic = CoreTraffic(3, np.array([0, 1]), np.array([1, 2]), np.array([1.0, 3.0]), np.array([1.0, 0.0, 0.0]))
    found = place(traffic, (4, 4))
    assert measured(traffic, found.x, found.y) == found

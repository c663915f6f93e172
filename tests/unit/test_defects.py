"""What does not work is left alone, and the proof checks it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import STEPS, board, chain, is_equal, random_defects, site_of, walk_packets
from neurocore.architecture import Architecture
from neurocore.compiler.check import check
from neurocore.compiler.defects import Defects, clear_window, load_defects
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.prove import prove
from neurocore.config import ChipConfig, Cores
from neurocore.errors import FitError, InputError, MismatchError


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

"""Places that a file or an earlier chip gives, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boards import board, chain, is_equal, layers, site_of
from neurocore.architecture import Architecture
from neurocore.compiler.defects import Defects
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.errors import InputError


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_saved_placement_gives_the_same_chip(tmp_path: Path, tiny: Architecture, suffix: str) -> None:
    chip, report = compile_with_report(layers(1, 4), tiny, seed=3)
    path = tmp_path / f"places.{suffix}"
    assert report.placement is not None
    path.write_text(report.placement(suffix == "json"))
    again, kept = compile_with_report(layers(1, 4), tiny, seed=4, placement=path)
    assert again.digest() == chip.digest()
    assert kept.cores_kept == kept.cores == len(chip.cores)
    assert "cores kept the place given" in kept.kept_text
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
        "1:1: cores: network 'chain' needs 6 cores; 1 core has no place here: 5; name them, or say 'rest: place'",
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


def test_compile_options_for_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(
        "network: n\ninputs: {x: {shape: [2]}}\npopulations: {a: {shape: [2]}}\n"
        "projections: [{source: x, target: a, weights: {one_to_one: 1}}]\noutputs: {o: {source: a}}\n"
    )

    def call(*arguments: str) -> tuple[int, str]:
        found = cli("compile", "net.yaml", "-o", "c.h5", *arguments)
        return found.code, found.out + found.err

    assert call("--save-placement", "p.yaml")[0] == 0
    Path("p.yaml").write_text(
        Path("p.yaml").read_text().replace("at: [0, 0]", "at: [9, 7]").replace("at: [0, 31]", "at: [9, 7]")
    )
    code, text = call("--placement", "p.yaml", "--report", "r.txt")
    assert (code, "1 of 1 core kept the place given" in text) == (0, True)
    assert "1 of 1 core kept the place given" in Path("r.txt").read_text()
    # The chip may be replaced by what is compiled from its own places.
    assert "1 of 1 core kept the place given" in call("--placement", "c.h5")[1]
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
    assert (code, "0 of 1 core kept the place given" in text, "W-DEFECTS 1 dead core" in text) == (0, True, True)

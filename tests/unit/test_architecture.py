"""Chip definitions: what comes with the package, and every fault of a file at once with its place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from neurocore.architecture import Architecture, chip_names, chip_text, load_architecture
from neurocore.errors import InputError


def test_all_definitions_load() -> None:
    assert {"tiny", "truenorth"} <= set(chip_names())
    for name in chip_names():
        assert load_architecture(name).name == name


def test_truenorth_is_truenorth(truenorth: Architecture) -> None:
    assert (truenorth.n_cores, truenorth.core.axons, truenorth.core.neurons) == (4096, 256, 256)
    assert truenorth.energy is not None
    assert truenorth.sources


def test_limits_of_tiny_are_odd_and_differ(tiny: Architecture) -> None:
    """So that a number taken from the wrong place, or written into the code, shows."""
    limits = [
        tiny.mesh.columns,
        tiny.mesh.rows,
        tiny.core.axons,
        tiny.core.neurons,
        tiny.core.scheduler_slots,
        tiny.neuron.weight.max,
        tiny.neuron.leak.max,
        tiny.neuron.threshold.max,
        tiny.neuron.floor.max,
        tiny.neuron.reset.max,
        tiny.neuron.membrane.max,
    ]
    assert all(limit % 2 for limit in limits)
    assert len(set(limits)) == len(limits)


def aliases(name: str, next_name: str) -> str:
    """A line that repeats an alias ten times."""
    return f"{next_name}: &{next_name} [" + ",".join([f"*{name}"] * 10) + "]\n"


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_fault_is_listed_with_its_place(tmp_path: Path) -> None:
    text = chip_text("tiny").replace("axons: 13", "axons: many").replace("random_bits: 5", "random_bits: 9")
    text = text.replace("neurons: 11", "neurons: 11\n  dendrites: 3").replace("{columns: 5, rows: 3}", "{columns: 5}")
    path = written(tmp_path, text)
    with pytest.raises(InputError) as error:
        load_architecture(path)
    assert list(error.value.problems) == [
        f"{path}:9:1: mesh.rows: is missing",
        f"{path}:12:3: core.axons: is 'many'; a whole number was expected",
        f"{path}:14:3: core.dendrites: is not a known key",
        f"{path}:26:3: neuron.random_bits: is 9; at most 8 was expected",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("{min: 1, max: 7}", "{min: 0, max: 7}"), "routing.delay.min is 0; a spike takes at least one tick"),
        (
            ("{min: 1, max: 7}", "{min: 1, max: 9}"),
            "routing.delay.max 9 needs 10 scheduler slots; core.scheduler_slots is 9",
        ),
        (("{min: -701, max: 701}", "{min: 1, max: 701}"), "neuron.membrane 1..701 does not hold 0"),
        (("{min: -29, max: 29}", "{min: 30, max: 29}"), "min 30 is above max 29"),
        (("{min: -29, max: 29}", "{min: -29, max: 4294967296}"), "a range must fit 32-bit integers"),
        (("reset_modes: [value, linear, none]", "reset_modes: []"), "neuron.reset_modes is empty"),
        (
            ("reset_modes: [value,", "reset_modes: [vale,"),
            "neuron.reset_modes.0: is 'vale'; 'value', 'linear' or 'none' was expected; did you mean 'value'?",
        ),
        (
            ("floor: {min: 0, max: 241}", "floor: {min: -702, max: 241}"),
            "neuron.floor.min -702 lies above neuron.membrane.max 701",
        ),
        (("neurons: 11", "neurons: 1"), "core.neurons: is 1; at least 2 was expected"),
        (("mesh: {columns: 5, rows: 3}", "mesh: {columns: 4096, rows: 4096}"), "at most 4,194,304 are supported"),
        (("axons: 13", "axons: 1:30"), "core.axons: is '1:30'; a whole number was expected"),
        (("format: 1", "format: 2"), "format: is 2; this neurocore reads up to 1: upgrade it"),
        (("name: tiny", "name: 7"), "name: is 7; a text was expected"),
        (("axons: 13", "axons: true"), "core.axons: is true; a whole number was expected"),
    ],
)
def test_faults(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    with pytest.raises(InputError) as error:
        load_architecture(written(tmp_path, chip_text("tiny").replace(*change, 1)))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1:1: the file is empty"),
        ("- 1\n", "1:1: the top level is a list"),
        ("a: [1,\n", "not valid YAML"),
        ("a: 1\na: 2\n", "2:1: 'a' is given twice"),
        ("a: &x [1]\nb: !!python/object:os.system {}\n", "is not known here"),
        ("[" * 5000, "nested too deeply"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(aliases(a, b) for a, b in pairwise("abcdefg")),
            "more than 2,000,000 values once its aliases are expanded",
        ),
    ],
)
def test_broken_yaml(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError) as error:
        load_architecture(written(tmp_path, text))
    assert reason in str(error.value)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; check the path"):
        load_architecture(str(tmp_path / "nosuch.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        load_architecture(str(tmp_path / "binary.yaml"))


def test_a_definition_that_extends_another(tmp_path: Path, tiny: Architecture) -> None:
    own = written(tmp_path, "extends: tiny\nname: mine\ncore: {axons: 17}\n")
    arch = load_architecture(own)
    assert (arch.name, arch.core.axons, arch.core.neurons) == ("mine", 17, tiny.core.neurons)
    with pytest.raises(InputError, match=r"chip.yaml:1:1: extends: there is no chip definition 'huge' to extend"):
        load_architecture(written(tmp_path, "extends: huge\nname: mine\n"))
    with pytest.raises(InputError, match=r"chip.yaml:3:8: core.axon: is not a known key; did you mean 'axons'"):
        load_architecture(written(tmp_path, "extends: tiny\nname: mine\ncore: {axon: 17}\n"))


def test_boards(truenorth: Architecture) -> None:
    board = load_architecture("ns16e")
    assert (board.columns, board.rows, board.n_cores) == (256, 256, 16 * truenorth.n_cores)
    assert board.neuron == truenorth.neuron
    assert load_architecture("ns1e").n_cores == truenorth.n_cores

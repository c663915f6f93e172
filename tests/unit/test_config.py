"""A chip's validation finds every value that the architecture does not have; chip files keep a chip as it is."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import Architecture
from neurocore.chipfile import load_chip
from neurocore.config import OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays
from neurocore.errors import InputError, OutputError
from random_chips import random_chip


def changed(chip: ChipConfig, name: str, place: Any, value: int) -> ChipConfig:
    arrays = {item.name: getattr(chip.cores, item.name).copy() for item in fields(Cores)}
    arrays[name][place] = value
    return ChipConfig(**{**chip.__dict__, "cores": Cores(**arrays)})


@pytest.fixture(scope="module")
def chip(tiny: Architecture) -> ChipConfig:
    return random_chip(tiny, 3, 4)


WRONG = [
    ("weight", 30, "'tiny' allows -29..29"),
    ("leak", 18, "'tiny' allows -17..17"),
    ("threshold", 252, "'tiny' allows 0..251"),
    ("threshold_mask_bits", 8, "'tiny' allows 0..7"),
    ("floor", 242, "'tiny' allows 0..241"),
    ("reset", -128, "'tiny' allows -127..127"),
    ("initial", 702, "'tiny' allows -701..701"),
    ("axon_type", 3, "'tiny' allows 0..2"),
    ("reset_mode", 3, "'tiny' has 0 (value), 1 (linear), 2 (none)"),
    ("floor_mode", 2, "'tiny' has 0 (reset), 1 (saturate)"),
    ("target_core", 15, "'tiny' has cores 0..14"),
    ("target_core", -3, "'tiny' has cores 0..14"),
    ("delay", 8, "'tiny' allows 1..7"),
    ("delay", 0, "'tiny' allows 1..7"),
    ("target_axon", 13, "a core has axons 0..12"),
    ("configured", 0, "must be"),
    ("population", 0, "outside 0..-1"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_every_range_is_checked(chip: ChipConfig, name: str, value: int, reason: str) -> None:
    routed = np.argwhere(chip.cores.configured & (chip.cores.target_core >= 0))[0]
    place = {2: tuple(routed), 3: (routed[0], 0, routed[1])}[getattr(chip.cores, name).ndim]
    with pytest.raises(InputError) as error:
        changed(chip, name, place, value).validate()
    assert reason in str(error.value)
    if name not in ("configured", "population"):
        x, y = chip.architecture.core_xy(int(chip.cores.core[routed[0]]))
        assert f"core ({x}, {y}): {name}[" in str(error.value)


def test_other_faults(chip: ChipConfig) -> None:
    out = np.argwhere(chip.cores.target_core == OUTPUT)[0]
    with pytest.raises(InputError, match="the chip has 4 output lines"):
        changed(chip, "target_axon", tuple(out), 4).validate()
    with pytest.raises(InputError, match="core numbers must ascend without repeats"):
        changed(chip, "core", 1, int(chip.cores.core[0])).validate()
    with pytest.raises(InputError, match=r"core number 15 is outside 0..14"):
        changed(chip, "core", 3, 15).validate()
    with pytest.raises(InputError, match="crossbar bits beyond neuron 10 are set"):
        changed(chip, "crossbar", (0, 0, 0), 1 << 11).validate()
    entry = InputMap(*(np.array([value]) for value in (0, 0, 13, 1)))
    with pytest.raises(InputError, match=r"input map: axon 13 is outside 0..12"):
        ChipConfig(**{**chip.__dict__, "inputs": (Group("in", (1,)),), "input_map": entry}).validate()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"latency": -1}, "latency -1 is outside 0..2147483647"),
        ({"timing": np.array([0, -1])}, "timing: start shift -1 is outside 0..2147483647"),
        ({"timing": np.array([2**31, 0])}, "timing: start shift 2147483648 is outside 0..2147483647"),
        (
            {"timing": np.zeros(3, np.int64)},
            "timing is int64 of shape (3,); a whole number for each of the 2 neurons of the populations was expected, or none at"
            " all",
        ),
        (
            {"timing": np.zeros(2)},
            "timing is float64 of shape (2,); a whole number for each of the 2 neurons of the populations was expected, or none"
            " at all",
        ),
        (
            {"populations": (Group("p", (1,)),), "timing": np.zeros(1, np.int64)},
            "a neuron has index 1 in population 'p' of 1 neuron",
        ),
        (
            {"populations": (), "timing": np.zeros(0, np.int64)},
            "a neuron names a population outside 0..-1",
        ),
    ],
)
def test_what_a_chip_says_of_its_network(tiny: Architecture, change: dict[str, Any], sentence: str) -> None:
    arrays = blank_arrays(tiny, 1)
    for index in range(2):
        arrays["configured"][0, index], arrays["population"][0, index], arrays["index"][0, index] = True, 0, index
    good = ChipConfig(tiny, Cores(**arrays), populations=(Group("p", (2,)),), timing=np.zeros(2, np.int64)).validate()
    with pytest.raises(InputError) as error:
        replace(good, **change).validate()
    assert error.value.problems == (sentence,)


def test_faults_are_collected(chip: ChipConfig) -> None:
    broken = changed(changed(chip, "leak", (0, 0), 100), "floor_mode", (1, 1), 9)
    with pytest.raises(InputError) as error:
        broken.validate()
    assert len(error.value.problems) >= 2


def test_missing_features_are_refused(tiny: Architecture) -> None:
    chip = random_chip(tiny, 3, 4)
    plain = tiny.model_copy(update={"rules": tiny.rules.model_copy(update={"stochastic_leak": False})})
    with pytest.raises(InputError, match="does not have a stochastic leak"):
        ChipConfig(**{**chip.__dict__, "architecture": plain}).validate()


@pytest.mark.parametrize("seed", range(5))
def test_chip_files_keep_everything(tiny: Architecture, tmp_path: Path, seed: int) -> None:
    chip = random_chip(tiny, seed, 5)
    path = str(tmp_path / "c.h5")
    chip.save(path)
    loaded = load_chip(path)
    assert loaded.digest() == chip.digest()
    assert loaded.architecture == chip.architecture
    for item in fields(Cores):
        np.testing.assert_array_equal(getattr(loaded.cores, item.name), getattr(chip.cores, item.name))
    assert (loaded.outputs, loaded.name, loaded.seed) == (chip.outputs, chip.name, chip.seed)


def test_an_invalid_chip_is_not_written(chip: ChipConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        changed(chip, "leak", (0, 0), 100).save(str(tmp_path / "c.h5"))
    with pytest.raises(OutputError):
        chip.save(str(tmp_path / "nosuch" / "c.h5"))
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_read_only(chip: ChipConfig) -> None:
    with pytest.raises(ValueError, match="read-only"):
        chip.cores.leak[0, 0] = 1


def test_a_well_formed_container_with_odd_contents(tiny: Architecture, tmp_path: Path) -> None:
    """Right digest, wrong insides: still one clear sentence."""
    from neurocore import container

    path = str(tmp_path / "odd.h5")
    container.write(path, "chip", 1, lambda file: file.create_dataset("x", data=1))
    with pytest.raises(InputError, match=r"odd.h5: its contents are not as this version writes them"):
        load_chip(path)


@pytest.mark.parametrize("name", ["threshold_mask_bits", "leak", "initial"])
def test_unused_neurons_must_be_inert(tiny: Architecture, name: str) -> None:
    """An unused neuron with a random threshold once fired in one engine and not in the other."""
    arrays = blank_arrays(tiny, 1)
    arrays["configured"][0, 0] = True
    arrays[name][0, 5] = 7
    with pytest.raises(InputError, match=rf"{name}\[5\] is 7; a neuron that is not configured must be inert"):
        ChipConfig(tiny, Cores(**arrays)).validate()


def test_unused_neurons_stay_off_an_inclusive_floor(tiny: Architecture) -> None:
    arch = tiny.model_copy(update={"rules": tiny.rules.model_copy(update={"floor_inclusive": True})})
    arrays = blank_arrays(arch, 1)
    arrays["floor"][0, 5], arrays["floor_mode"][0, 5] = 0, 0
    with pytest.raises(InputError, match=r"floor\[5\] is 0; a neuron that is not configured must be inert"):
        ChipConfig(arch, Cores(**arrays)).validate()

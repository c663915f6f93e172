"""``verify`` names the first spike that differs, and what is wrong with the chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corruptions import with_array
from neurocore.chipfile import load_chip
from neurocore.config import ChipConfig, pack_crossbar

NETWORK = """\
network: chain
inputs: {x: {shape: [2]}}
populations:
  first: {shape: [3], neuron: {threshold: 2, reset_mode: linear}}
  last: {shape: [2], neuron: {threshold: THRESHOLD}}
projections:
  - {source: x, target: first, weights: [[1, 2, 1], [1, -1, 1]]}
  - {source: first, target: last, weights: [[1, 2], [1, 0], [0, 1]], delay: 3}
outputs: {out: {source: last}}
"""
INPUT = "tick,line\n" + "".join(f"{tick},0\n{tick},1\n" for tick in range(30))
Change = Callable[[ChipConfig], ChipConfig]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli, command):
    """Compile the network, change the chip, and compare; returns exit code, JSON and what was said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(INPUT)

    def call(change: Change, network: str = NETWORK.replace("THRESHOLD", "1"), *more: str) -> tuple[int, Any, str]:
        (tmp_path / "net.yaml").write_text(network)
        command("compile", "net.yaml", "-o", "good.h5", "--chip", "tiny")
        change(load_chip("good.h5")).save("bad.h5")
        found = cli("verify", "net.yaml", "bad.h5", "--input", "in.csv", "--ticks", "30", *(more or ("--json",)))
        return found.code, found.out if more else found.json, found.err

    return call


def neuron(chip: ChipConfig, population: int, index: int) -> tuple[int, int]:
    row, slot = np.argwhere((chip.cores.population == population) & (chip.cores.index == index))[0]
    return int(row), int(slot)


def changed(field: str, population: int, index: int, step: int) -> Change:
    """Adds to one field of one neuron."""

    def change(chip: ChipConfig) -> ChipConfig:
        array = getattr(chip.cores, field).copy()
        array[neuron(chip, population, index)] += step
        return with_array(chip, field, array)

    return change


def without_synapses(chip: ChipConfig) -> ChipConfig:
    """last[0] reads nothing any more."""
    bits = np.stack([chip.crossbar_bits(row) for row in range(len(chip.cores))])
    row, slot = neuron(chip, 1, 0)
    bits[row, :, slot] = False
    return with_array(chip, "crossbar", pack_crossbar(bits))


@pytest.mark.parametrize(
    ("change", "first", "cause"),
    [
        (
            changed("threshold", 1, 0, 1),
            {"tick": 4, "line": 0, "output": "out", "neuron": "last[0]", "network": True, "chip": False},
            "last[0]: threshold is 1 in the network and 2 on the chip (core",
        ),
        (
            changed("delay", 0, 0, 1),
            {"tick": 4, "line": 0, "output": "out", "neuron": "last[0]", "network": True, "chip": False},
            "last[0] <- first[0]: the weight at delay 3 is 1 in the network and none on the chip (core",
        ),
        (
            changed("initial", 1, 1, 1),
            {"tick": 0, "line": 1, "output": "out", "neuron": "last[1]", "network": False, "chip": True},
            "last[1]: V(0) is 0 in the network, but its image on the chip starts at 1 and idles 0 ticks",
        ),
        (
            without_synapses,
            {"tick": 4, "line": 0, "output": "out", "neuron": "last[0]", "network": True, "chip": False},
            "last[0] <- first[0]: the weight at delay 3 is 1 in the network and none on the chip (core",
        ),
    ],
)
def test_a_corrupted_chip_gives_the_cause(verify, change: Change, first: dict[str, Any], cause: str) -> None:
    code, found, said = verify(change)
    assert code == 5
    assert (found["equal"], found["first_difference"]) == (False, first)
    assert found["cause"][0].startswith(cause)
    assert said.splitlines() == [f"neurocore: {problem}" for problem in found["cause"]]


def test_the_difference_in_words(verify) -> None:
    code, text, said = verify(changed("threshold", 1, 0, 1), NETWORK.replace("THRESHOLD", "1"), "--threads", "1")
    assert code == 5
    assert text == "different: first at tick 4, output line 0 (last[0]): network only\n"
    assert said.startswith("neurocore: last[0]: threshold is 1 in the network and 2 on the chip (core")


def test_a_fault_that_the_input_does_not_show(verify) -> None:
    """Equal spikes do not make a chip right: what the static check finds is said nevertheless."""
    code, found, said = verify(changed("threshold", 1, 0, -1), NETWORK.replace("THRESHOLD", "200"))
    assert (code, found["equal"], found["first_difference"], found["as_declared"]) == (5, True, None, False)
    assert found["cause"][0].startswith("last[0]: threshold is 200 in the network and 199 on the chip (core")
    assert said.splitlines()[0] == "neurocore: equal on this input only; the chip is not the network:"


def test_a_good_chip(verify) -> None:
    code, found, said = verify(lambda chip: chip)
    assert (code, found["equal"], found["cause"], said) == (0, True, [], "")
    assert found["spikes_compared"] > 20


def test_a_network_that_draws_random_numbers(verify) -> None:
    """Only a chip that is the network says where numbers are drawn: the cause comes without a first difference."""
    noisy = NETWORK.replace("THRESHOLD", "2, threshold_mask_bits: 1")
    code, found, said = verify(changed("threshold", 1, 0, 1), noisy)
    assert code == 5
    assert found["error"]["problems"][0].startswith("last[0]: threshold is 2 in the network and 3 on the chip (core")
    assert said.startswith("neurocore: last[0]: threshold is 2 in the network and 3 on the chip (core")

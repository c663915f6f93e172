"""Values of odd kinds, given in Python: each is taken for what it says or refused in one sentence, and none is guessed at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import load_architecture
from neurocore.compiler.check import check
from neurocore.compiler.defects import Defects
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.emulator import Emulator
from neurocore.errors import NeurocoreError


def wired(weights: Any, **more: Any) -> Network:
    """Two lines that drive two neurons."""
    net = Network("net")
    net.output("out", net.population("p", 2))
    net.connect(net.input("x", 2), "p", weights, **more)
    return net


def refusal(attempt: Callable[[], object]) -> str:
    """What is said of something that is refused."""
    with pytest.raises(NeurocoreError) as error:
        attempt()
    return str(error.value)


MASKED = np.ma.MaskedArray([[1, 2], [3, 4]], mask=[[False, True], [False, False]])


@pytest.mark.parametrize("quantise", [None, "fit"])
def test_masked_values_are_no_weights(quantise: str | None) -> None:
    said = "holds masked values, which stand for none; fill them (0 is no synapse)"
    found = refusal(lambda: compile_network(wired(MASKED), "tiny", quantise=quantise))
    assert found == f"projection 'p' <- 'x': weights {said}"
    net = wired([[1, 0], [0, 1]])
    net.population("q", 2, threshold=np.ma.MaskedArray([1, 2], mask=[True, False]))
    assert refusal(lambda: compile_network(net, "tiny", quantise=quantise)) == f"population 'q': threshold {said}"
    assert check(wired(MASKED.filled(0)), load_architecture("tiny")).n_synapses == 3


def net_of_ones() -> Network:
    return wired(np.ones((2, 2), int))


@pytest.mark.parametrize(
    "weights",
    [
        np.ones((2, 2), bool),
        np.ones((2, 2), np.float16),
        np.ones((2, 2), ">i4"),
        np.ones((4, 4), np.uint8)[::2, ::2],
        np.array([[1, 1], [1, 1]], object),
        [[True, np.int8(1)], [1.0, np.uint64(1)]],
        np.ma.ones((2, 2), int),
    ],
    ids=lambda value: str(getattr(value, "dtype", "list")),
)
def test_ones_of_any_kind(weights: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chip = compile_network(wired(weights), "tiny")
    assert chip.network_digest == compile_network(net_of_ones(), "tiny").network_digest


@pytest.mark.parametrize("given", [0.5, 2, -1, None, "no", np.array([True, False])])
def test_stochastic_is_true_or_false(given: Any) -> None:
    assert refusal(lambda: wired([[1, 1], [1, 1]], stochastic=given)) == (
        f"'p' <- 'x': stochastic is {given!r}; it must be True or False"
    )


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: wired(None, conv2d=True), "conv2d is True; a Conv2d, or a mapping with a kernel, was expected"),
        (lambda: wired([[1, 1]], merge=np.zeros(2)), "'p' <- 'x': merge is array([0., 0.]); it must be one of sum, or"),
        (
            lambda: net_of_ones().rate([], 0.1),  # type: ignore[arg-type]
            "network 'net': a rate is given for []; give the name of an input or a population",
        ),
        (lambda: Network(None), "a network's name is None; names are texts"),  # type: ignore[arg-type]
        (
            lambda: Network("net").input("\ud800", 1),
            "network 'net': a name is '\\ud800'; names are texts of at least one character",
        ),
        (
            lambda: compile_network(net_of_ones(), "tiny", fan_in=np.zeros(2)),  # type: ignore[arg-type]
            "network 'net': fan_in is array([0., 0.]); it must be one of refuse, dilate, thermometer, carry",
        ),
        (
            lambda: compile_network(net_of_ones(), "tiny", defects=True),  # type: ignore[arg-type]
            "defects are True; a file of them, or Defects, was expected",
        ),
        (
            lambda: compile_network(net_of_ones(), "tiny", defects="a\0b"),
            "'a\\x00b': cannot be read: embedded null byte",
        ),
        *[
            (
                lambda seed=seed: compile_network(net_of_ones(), "tiny", seed=seed),
                f"seed is {seed!r}; it must be a whole number of at least 0",
            )
            for seed in (-1, 1.0, None, "1", True)
        ],
        *[
            (
                lambda seed=seed: Emulator(compile_network(net_of_ones(), "tiny"), seed=seed),
                f"seed is {seed!r}; a seed is a whole number in 0..2^64-1",
            )
            for seed in (-1, 1.5, "1", 2**64)
        ],
    ],
)
def test_one_sentence_says_what_was_expected(attempt: Callable[[], object], said: str) -> None:
    assert refusal(attempt) == said


def test_groups_of_a_convolution_are_one_number() -> None:
    net = Network("net")
    net.connect(
        net.input("x", (1, 2, 2)),
        net.population("p", (1, 2, 2)),
        conv2d={"kernel": np.ones((1, 1, 1, 1), int), "groups": []},
    )
    said = refusal(lambda: compile_network(net, "tiny"))
    assert said == "projection 'p' <- 'x': conv2d: groups has shape (0,); one number was expected"


def test_numbers_of_numpy_are_numbers() -> None:
    net = Network("net")
    net.population("p", np.array(2))
    net.population("q", np.array([2, 3]))
    assert [item.shape for item in net.populations.values()] == [(2,), (2, 3)]
    net.rate("p", np.float32(0.5))
    net.rate("q", np.int64(1))
    assert compile_network(net, "tiny", seed=np.int64(3)).seed == 0


@pytest.mark.parametrize(
    ("defects", "said"),
    [
        (
            lambda: Defects(cores=[[-1, 0]]),
            "defects: cores[0] is [-1, 0]: core (-1, 0) is outside the 5 x 3 cores of 'tiny'",
        ),
        (
            lambda: Defects(cores=[[5, 0]]),
            "defects: cores[0] is [5, 0]: core (5, 0) is outside the 5 x 3 cores of 'tiny'",
        ),
        (lambda: Defects(axons=[[0, 0, 13]]), "defects: axons[0] is [0, 0, 13]: axon 13 is outside 0..12"),
        (
            lambda: Defects(links=[[0, 0, 4]]),
            "defects: links[0] is [0, 0, 4]: side 4 is outside 0..3 (east, west, north, south)",
        ),
        (
            lambda: Defects(cores=[1, 2, 3]),
            "defects: cores has shape (3,); rows of [x, y] were expected",
        ),
        (
            lambda: Defects(cores=[[0.5, 1]]),
            "defects: cores holds 0.5 at [0, 0], which is not a whole number; make it one or, for weights and parameters of"
            ' neurons, use quantise="fit"',
        ),
    ],
)
def test_defects_lie_on_the_chip(defects: Callable[[], Defects], said: str) -> None:
    assert refusal(lambda: compile_network(net_of_ones(), "tiny", defects=defects())) == said
    chip, report = compile_with_report(net_of_ones(), "tiny", defects=Defects(cores=[[0, 0]]))
    assert "W-DEFECTS 1 dead core: avoided" in report.warnings
    assert 0 not in chip.cores.core


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", ["\U0001d4b3", "\x7f\x85\u2028\ufeff", 'a"\\b', "\u65e5\u672c"])
def test_names_of_any_character_come_back(tmp_path: Path, name: str, as_json: bool) -> None:
    """JSON, and YAML as JSON escapes it, has pairs of surrogates for what lies beyond 16 bits."""
    net = Network(name)
    net.output(name, net.population(name, 2))
    chip, report = compile_with_report(net, "tiny")
    assert report.placement is not None
    path = tmp_path / ("places.json" if as_json else "places.yaml")
    path.write_text(report.placement(as_json))
    again = compile_network(net, "tiny", placement=path)
    for number, one in enumerate((chip, again)):
        one.save(str(tmp_path / f"{number}.h5"))
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()


def test_half_of_a_pair_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    for text, value in (('network: "\\ud835"\n', "1:10"), ('network: n\n"\\udcb3x": 1\n', "2:1")):
        path.write_text(text)
        said = refusal(lambda: compile_network(path, "tiny"))
        assert said.startswith(f"{path}:{value}: cannot read ")
        assert said.endswith(": half of a surrogate pair is no character")

"""Input that makes no sense, given in Python and in YAML: one report of everything"
" that is wrong, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.place import CoreTraffic, place
from neurocore.compiler.verify import verify
from neurocore.compiler.yamlnet import load_network
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError
from neurocore.spikes import Spikes


def pair() -> Network:
    """Two lines and two neurons, not connected."""
    net = Network("net")
    net.input("x", 2)
    net.population("p", 2)
    return net


def problems(net: Network) -> list[str]:
    with pytest.raises(InputError) as error:
        compile_network(net, "tiny")
    return list(error.value.problems)


@pytest.fixture
def compile_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli):
    """Compiles a network given as text from the command line; returns the exit code and the lines of stderr."""
    monkeypatch.chdir(tmp_path)

    def call(text: str, chip: str = "tiny") -> tuple[int, list[str]]:
        (tmp_path / "net.yaml").write_text(text)
        found = cli("compile", "net.yaml", "-o", "c.h5", "--chip", chip)
        assert (tmp_path / "c.h5").exists() == (found.code == 0)
        return found.code, [line.removeprefix("neurocore: ") for line in found.err.splitlines()]

    return call


# ---------------------------------------------------------------- empty and clashing names


@pytest.mark.parametrize(
    ("shape", "shown"), [(0, "0"), ([0, 3], "0, 3"), ([], ""), (-1, "-1"), (True, "True"), (2.0, "2.0"), (None, "None")]
)
def test_empty_populations(shape: object, shown: str) -> None:
    for add in (Network("net").population, Network("net").input):
        with pytest.raises(InputError) as error:
            add("p", shape)  # type: ignore[operator]
        assert str(error.value) == f"'p' has shape [{shown}]; every size must be a whole number of at least 1"


def test_empty_populations_in_yaml(compile_yaml) -> None:
    text = "network: n\ninputs: {x: {shape: [0]}}\npopulations:\n  p: {shape: [2, 0]}\n  q: {shape: []}\n"
    assert compile_yaml(text) == (
        3,
        [
            "net.yaml:2:22: inputs.x.shape.0: is 0; at least 1 was expected",
            "net.yaml:4:18: populations.p.shape.1: is 0; at least 1 was expected",
            "net.yaml:5:7: populations.q.shape: is empty; at least 1 of them was expected",
        ],
    )
    assert compile_yaml("network: n\npopulations: {}\n") == (
        3,
        ["net.yaml:2:1: network 'n' has no populations; it needs at least one"],
    )


def test_names() -> None:
    net = pair()
    net.output("out", "p")
    for add in (net.input, net.population):
        for name in ("x", "p"):
            with pytest.raises(InputError, match=f"network 'net': the name '{name}' is given twice"):
                add(name, 1)
        for name in ("", 3, None):
            with pytest.raises(
                InputError, match=r"network 'net': a name is .*; names are texts of at least one character"
            ):
                add(name, 1)
    with pytest.raises(InputError, match="network 'net': output 'out' is given twice"):
        net.output("out", "p")
    with pytest.raises(InputError, match="an output's name is ''; names are texts"):
        net.output("", "p")
    with pytest.raises(
        InputError, match="None is no source or target; give an input, a population, or the name of one"
    ):
        net.connect(None, "p", [[1]])  # type: ignore[arg-type]


def test_names_in_yaml(compile_yaml) -> None:
    text = "network: n\ninputs: {p: {shape: [2]}, q: {shape: [2]}}\npopulations: {p: {shape: [2]}, q: {shape: [2]}}\n"
    assert compile_yaml(text) == (
        3,
        [
            "net.yaml:3:15: populations.p: network 'n': the name 'p' is given twice",
            "net.yaml:3:32: populations.q: network 'n': the name 'q' is given twice",
        ],
    )
    text = "network: n\npopulations: {p: {shape: [2]}, p: {shape: [3]}}\noutputs:\n  o: {source: p}\n  o: {source: p}\n"
    assert compile_yaml(text) == (
        3,
        ["net.yaml:2:32: 'p' is given twice, first at 2:15", "net.yaml:5:3: 'o' is given twice, first at 4:3"],
    )


# ---------------------------------------------------------------- weights and delays


EMPTY = [
    "W-UNUSED network 'net': 2 of 2 input lines reach no neuron, the first is x[0];"
    " spikes on them do nothing. Give them weights"
    " other than 0, or leave them out",
    "W-EMPTY network 'net': it has no synapse, because no projection has a weight other"
    " than 0; its neurons only do what they do"
    " by themselves",
]


def test_zero_weights_everywhere(compile_yaml) -> None:
    """That is a network, though hardly the one that was meant: it compiles, with a warning."""
    net = pair()
    net.connect("x", "p", np.zeros((2, 2)))
    net.connect("p", "p", one_to_one=0)
    net.connect("x", "p", edges=[(0, 0, 0)])
    chip, report = compile_with_report(net, "tiny")
    assert report.warnings == EMPTY
    assert chip.n_synapses == 0
    text = (
        "network: net\ninputs: {x: {shape: [2]}}\npopulations: {p: {shape: [2]}}\n"
        "projections: [{source: x, target: p, weights: [[0, 0], [0, 0]]}]\n"
    )
    assert compile_yaml(text) == (0, EMPTY)


def test_self_loops_at_delay_1() -> None:
    """A neuron may feed itself in the next tick, whether it is copied for other targets or not."""

    def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
        return Emulator(chip).run(spikes, ticks).spikes

    net = Network("loops")
    x, p = net.input("x", 5), net.population("p", 5, threshold=2)
    net.connect(x, p, one_to_one=2)
    net.connect(p, p, one_to_one=2)
    net.connect(p, net.population("q", 11, threshold=3), all_to_all=1)
    net.output("p", p)
    net.output("q", "q")
    verdict = verify(net, compile_network(net, "tiny"), Spikes.from_lines([3, 9], [0, 4]), 30, run)
    assert verdict.equal
    # Neurons 0 and 4 never rest again: 27 and 21 spikes.
    assert verdict.spikes_compared >= 48


ONES = [[1, 1], [1, 1]]
NUMBERS = [
    "population 'q': threshold holds nan at [1] (2 such values); only finite numbers are allowed",
    "population 'q': leak is -inf; only finite numbers are allowed",
    "projection 'p' <- 'x': weights holds nan at [0, 1] (2 such values); only finite numbers are allowed",
    "projection 'p' <- 'x': all_to_all is -inf; only finite numbers are allowed",
    "projection 'p' <- 'x': edges: weight holds nan at [0]; only finite numbers are allowed",
    "projection 'p' <- 'x': delay is 0; delays lie in 1..65535 ticks",
    "projection 'p' <- 'x': delay is 1000000; delays lie in 1..65535 ticks",
    "spike_rates: 'p' is nan; spikes per tick lie in 0..1",
]


def test_numbers_that_are_none() -> None:
    net = pair()
    net.population("q", 3, threshold=[1, np.nan, np.inf], leak=-np.inf)
    net.connect("x", "p", [[1, np.nan], [1, np.inf]])
    net.connect("x", "p", all_to_all=-np.inf)
    net.connect("x", "p", edges=[(0, 0, np.nan)])
    for delay in (0, 1_000_000):
        net.connect("x", "p", ONES, delay=delay)
    net.rate("p", np.nan)
    assert problems(net) == NUMBERS


def test_numbers_that_are_none_in_yaml(compile_yaml) -> None:
    text = """\
network: net
inputs: {x: {shape: [2]}}
populations:
  p: {shape: [2]}
  q: {shape: [3], neuron: {threshold: [1, .nan, .inf], leak: -.inf}}
projections:
  - {source: x, target: p, weights: [[1, .nan], [1, .inf]]}
  - {source: x, target: p, weights: {all_to_all: -.inf}}
  - {source: x, target: p, edges: [[0, 0, .nan]]}
  - {source: x, target: p, weights: [[1, 1], [1, 1]], delay: 0}
  - {source: x, target: p, weights: [[1, 1], [1, 1]], delay: 1000000}
spike_rates: {p: .nan}
"""
    places = ["5:28", "5:56", "7:28", "8:38", "9:28", "10:55", "11:55", "12:15"]
    assert compile_yaml(text) == (3, [f"net.yaml:{at}: {said}" for at, said in zip(places, NUMBERS, strict=True)])


@pytest.mark.parametrize(
    ("delay", "reason"),
    [
        (-1, "delay is -1; delays lie in 1..65535 ticks"),
        (10**30, f"delay is {10**30}, which is too large; integers end at 2^63 - 1"),
        (2**64 - 1, f"delay is {2**64 - 1}, which is too large; integers end at 2^63 - 1"),
        (1e300, "delay is 1e+300, which is too large; whole numbers with a decimal point end at 2^53"),
        (np.nan, "delay is nan; only finite numbers are allowed"),
        (None, "delay is None; numbers were expected"),
        ("2", "delay is '2'; numbers were expected"),
        ([1], "delay has shape (1,); one number was expected (edges may carry one each)"),
    ],
)
def test_delays_that_are_none(delay: object, reason: str) -> None:
    net = pair()
    net.connect("x", "p", ONES, delay=delay)  # type: ignore[arg-type]
    assert problems(net) == [f"projection 'p' <- 'x': {reason}"]


def test_keys_of_a_convolution() -> None:
    net = pair()
    nearest = r"; did you mean 'stride'\?"
    unknown, missing = ("'strid' is not known", nearest), ("the kernel is missing", "$")
    for given, found in (({"kernel": 1, "strid": 2}, unknown), ({"stride": 2}, missing)):
        with pytest.raises(
            InputError, match=f"conv2d: {found[0]}; there are kernel, stride, padding, groups{found[1]}"
        ):
            net.connect("x", "p", conv2d=given)


# ---------------------------------------------------------------- keys and kinds of values in YAML


PLAIN = """\
network: n
inputs: {x: {shape: [4]}}
populations:
  hidden: {shape: [3], neuron: {threshold: 1}}
projections:
  - {source: x, target: hidden, weights: {all_to_all: 2}}
outputs: {o: {source: hidden}}
"""
WEIGHTS = (
    "{all_to_all: number}, {one_to_one: number}, rows of numbers or the name of a file (.npy or .npz) was expected"
)
PER_NEURON = "a number, a list of numbers or the name of a file (.npy or .npz) was expected"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("all_to_all: 2", "all_to_all: '2'"), "6:43: projections.0.weights.all_to_all: is '2'; a number was expected"),
        (
            ("all_to_all", "all_too_all"),
            "6:43: projections.0.weights.all_too_all: is not a known key; did you mean 'all_to_all'?",
        ),
        (
            ("weights: {all_to_all: 2}", "all_to_all: 3"),
            "6:33: projections.0.all_to_all: belongs under 'weights'; write weights: {all_to_all: ...}",
        ),
        (("{all_to_all: 2}", "3"), f"6:33: projections.0.weights: is 3; {WEIGHTS}"),
        (("{all_to_all: 2}", "[[1, 2], [t, 3]]"), "6:52: projections.0.weights.1.0: is 't'; a number was expected"),
        (("{all_to_all: 2}", "w.txt"), f"6:33: projections.0.weights: is 'w.txt'; {WEIGHTS}"),
        (
            ("{all_to_all: 2}", "{}"),
            "6:33: projections.0.weights: give exactly one of all_to_all and one_to_one (found none)",
        ),
        (
            ("2}}", "2}, merge: Or}"),
            "6:59: projections.0.merge: is 'Or'; 'sum' or 'or' was expected; did you mean 'or'?",
        ),
        (("2}}", "2}, stochastic: 1}"), "6:59: projections.0.stochastic: is 1; true or false was expected"),
        (("shape: [3]", "shape: 40"), "4:12: populations.hidden.shape: is 40; a list was expected, such as [40]"),
        (("threshold: 1", "threshold: five"), f"4:33: populations.hidden.neuron.threshold: is 'five'; {PER_NEURON}"),
        (("threshold: 1", "threshold: true"), f"4:33: populations.hidden.neuron.threshold: is true; {PER_NEURON}"),
        (
            ("threshold: 1", "threshold: [1, two]"),
            "4:48: populations.hidden.neuron.threshold.1: is 'two'; a number was expected",
        ),
        (
            ("neuron: {threshold: 1}", "threshold: 1"),
            "4:24: populations.hidden.threshold: belongs under 'neuron'; write neuron: {threshold: ...}",
        ),
        (("x: {shape: [4]}", "x:"), "2:10: inputs.x: is empty; a mapping of keys was expected, such as {shape: ...}"),
        (("{source: x", "{source: y"), "6:6: projection 'hidden' <- 'y': 'y' is neither an input nor a population"),
        (
            ("target: hidden", "target: hiden"),
            "6:17: projection 'hiden' <- 'x': 'hiden' is neither an input nor a population; did you mean 'hidden'?",
        ),
        (
            ("{source: hidden}", "{source: Hidden}"),
            "7:15: output 'o': its source 'Hidden' is not a population; did you mean 'hidden'?",
        ),
        (
            ("outputs:", "fan_in: dilated\noutputs:"),
            "7:1: fan_in: is 'dilated'; 'refuse', 'dilate', 'thermometer' or 'carry' was"
            " expected; did you mean 'dilate'?",
        ),
        (
            ("outputs:", "quantise: weigth_bits=4\noutputs:"),
            "7:1: quantise: 'weigth_bits' is not known; there are fit, weight_bits, levels; did"
            " you mean 'weight_bits'?",
        ),
        (
            ("outputs:", "spike_rates: {hiden: 0.1}\noutputs:"),
            "7:15: spike_rates: 'hiden' is neither an input nor a population; did you mean 'hidden'?",
        ),
        (
            ("threshold: 1", "reset_mode: lineal"),
            "4:33: population 'hidden': reset_mode is 'lineal'; it must be one of value,"
            " linear, none; did you mean 'linear'?",
        ),
        (("outputs:", "output:"), "7:1: output: is not a known key; did you mean 'outputs'?"),
    ],
)
def test_one_complaint_says_what_was_found_and_what_is_expected(
    compile_yaml, change: tuple[str, str], complaint: str
) -> None:
    text = PLAIN.replace(*change)
    assert text != PLAIN
    assert compile_yaml(text) == (3, [f"net.yaml:{complaint}"])


def test_numbers_stay_as_they_stand(tmp_path: Path) -> None:
    """Whole numbers that no float could hold are read as they are, and so are numbers with a fraction."""
    text = PLAIN.replace("threshold: 1", f"threshold: [{2**60 + 1}, 1, 2.5]").replace("all_to_all: 2", "one_to_one: 3")
    (tmp_path / "net.yaml").write_text(text)
    network = load_network(tmp_path / "net.yaml")
    assert network.populations["hidden"].neuron["threshold"] == [2**60 + 1, 1, 2.5]
    assert (network.projections[0].one_to_one, network.projections[0].all_to_all) == (3, None)
    assert type(network.projections[0].one_to_one) is int


# ---------------------------------------------------------------- chips without cores


def test_a_target_without_cores(compile_yaml, tmp_path: Path, tiny: Architecture) -> None:
    (tmp_path / "none.yaml").write_text("extends: tiny\nname: none\nmesh: {columns: 0, rows: 0}\n")
    reasons = [
        "none.yaml:3:8: mesh.columns: is 0; at least 1 was expected",
        "none.yaml:3:20: mesh.rows: is 0; at least 1 was expected",
    ]
    assert compile_yaml("network: n\npopulations: {p: {shape: [2]}}\n", "none.yaml") == (3, reasons)
    with pytest.raises(InputError) as error:
        load_architecture("none.yaml")
    assert list(error.value.problems) == reasons
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Architecture.model_validate(tiny.model_dump() | {"mesh": {"columns": 0, "rows": 3}})


def test_all_cores_dead() -> None:
    none = np.zeros(0, int)
    with pytest.raises(FitError, match=r"^E-CAP the graph needs 1 core; the mesh of 5 x 3 has 0 free \(1 over\)\."):
        place(CoreTraffic(1, none, none, np.zeros(0)), (5, 3), blocked=np.ones((3, 5), bool))


WRONG_VALUES = """\
network: net
inputs:
  x: {shape: [4]}
populations:
  p: {shape: [3], neuron: {reset_mode: foo, threshold: [1, 2], leak: 1.5}}
  q: {shape: [2], neuron: {reset: 5000000}}
projections:
  - {source: x, target: z, weights: {all_to_all: 1}}
  - {source: x, target: p, weights: [[1, 2], [3, 4]]}
  - {source: x, target: q, delay: 0, weights: {all_to_all: 1}}
  - {source: x, target: q, edges: [[0, 7, 1]]}
  - {source: x, target: q, weights: {one_to_one: 1}}
outputs:
  o: {source: nothing}
spike_rates: {x: 3.0, y: 0.1}
"""


def test_wrong_values_stand_where_the_file_has_them(compile_yaml) -> None:
    """All in the order of the file; what the chip cannot represent comes last, as its sentence begins with a code."""
    code, lines = compile_yaml(WRONG_VALUES)
    *placed, misfit = lines
    starts = [line.split(": ")[0] for line in placed]
    places = [tuple(map(int, start.removeprefix("net.yaml:").split(":"))) for start in starts]
    assert code == 3
    assert places == [
        (5, 28), (5, 45), (5, 64), (8, 17), (9, 28), (10, 28), (11, 28), (12, 38), (14, 7), (15, 15), (15, 23),
    ]  # fmt: skip
    text = WRONG_VALUES.splitlines()
    subjects = [text[line - 1][column - 1 :].split(":")[0] for line, column in places]
    assert subjects == [
        "reset_mode", "threshold", "leak", "target", "weights", "delay", "edges", "one_to_one", "source", "x", "y",
    ]  # fmt: skip
    assert "population 'p': reset_mode is 'foo'; it must be one of value, linear, none" in placed[0]
    assert misfit.startswith("E-RANGE population 'q': reset[0] is 5000000;")
    assert misfit.endswith(" (net.yaml:6:28)")


def test_wrong_values_of_files_come_in_order(compile_yaml) -> None:
    """What is wrong with an array file and what with a method of quantisation, which stands before it."""
    text = WRONG_VALUES.replace("network: net", "network: net\nquantise: coarsely")
    text = text.replace("[[1, 2], [3, 4]]", "b.npy").replace("[1, 2]", "a.npy")
    assert [line.split(": ")[0] for line in compile_yaml(text)[1]] == [
        "net.yaml:2:1",
        "net.yaml:6:45",
        "net.yaml:10:28",
    ]


def test_wrong_values_to_be_quantised_have_places(compile_yaml) -> None:
    text = WRONG_VALUES.replace("network: net", "network: net\nquantise: fit").replace("5000000", ".inf")
    lines = compile_yaml(text)[1]
    assert [line.split(": ")[0] for line in lines if "reset is inf" in line or "threshold has 2" in line] == [
        "net.yaml:6:45",
        "net.yaml:7:28",
    ]
    assert all(line.startswith("net.yaml:") for line in lines)

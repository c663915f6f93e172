"""Objects of every kind for names, shapes, numbers and spikes: taken for what they say, or refused in a sentence."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import NeurocoreError
from neurocore.wording import MOST_SHOWN, shown


class Tensor:
    """As of a library whose tensors do not always become arrays, nor always have items."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self.error

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("iteration over a 0-d tensor")

    def __repr__(self) -> str:
        return "tensor(1.)"


class Frame:
    """As of a library of tables: an array inside, names as its items, and no truth value."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __bool__(self) -> bool:
        raise ValueError("the truth value of a table is ambiguous")


class Silent:
    """Has no text."""

    def __repr__(self) -> str:
        raise ValueError("no text")


class Alone:
    """Is equal to nothing, not even unequal."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("cannot be compared")


def itself() -> list[Any]:
    """A list that holds itself."""
    held: list[Any] = []
    held.append(held)
    return held


TENSOR = Tensor(RuntimeError("Can't call numpy() on Tensor that requires grad"))
ODD: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "true": lambda: True,
    "numpy true": lambda: np.True_,
    "negative zero": lambda: -0.0,
    "least float": lambda: 5e-324,
    "beyond a float": lambda: np.longdouble("1e400"),
    "half a float": lambda: np.float16(1),
    "unsigned": lambda: np.uint64(2**64 - 1),
    "beyond 64 bits": lambda: -(10**30),
    "beyond a text": lambda: 10**5000,
    "complex": lambda: 1 + 0j,
    "bytes": lambda: b"ab",
    "text": lambda: "ab",
    "half a pair": lambda: "\ud800",
    "decimal": lambda: Decimal(1),
    "signalling": lambda: Decimal("sNaN"),
    "fraction": lambda: Fraction(1, 2),
    "date": lambda: datetime.date(2020, 1, 1),
    "span": lambda: np.timedelta64(1, "s"),
    "no span": lambda: np.timedelta64("NaT"),
    "instant": lambda: np.datetime64("2020-01-01"),
    "spans": lambda: np.ones((2, 2), "m8[s]"),
    "objects": lambda: np.array([[1, None], [1.5, "x"]], object),
    "numbers as objects": lambda: np.array([[1, 1.0], [np.int8(1), True]], object),
    "fractions": lambda: np.array([[Fraction(1), 1], [1, 1]], object),
    "records": lambda: np.zeros(2, [("a", int), ("b", int)]),
    "void": lambda: np.zeros(2, "V4"),
    "ragged": lambda: [[1, 2], [3]],
    "masked": lambda: np.ma.MaskedArray([[0, 1], [1, 1]], mask=[[0, 1], [0, 0]]),
    "mask alone": lambda: np.ma.masked,
    "strided": lambda: np.ones((4, 4), int)[::2, ::-2],
    "scalar array": lambda: np.array(1),
    "scalar of none": lambda: np.array(None),
    "empty": lambda: np.zeros((0, 2)),
    "empty spans": lambda: np.zeros(0, "m8[s]"),
    "memory": lambda: memoryview(np.ones((2, 2), int)),
    "generator": lambda: (number for number in (1, 1)),
    "set": lambda: {0, 1},
    "mapping": lambda: {0: 1},
    "rows": lambda: sparse.csr_matrix(np.ones((2, 2), int)),
    "diagonals": lambda: sparse.dia_matrix(np.ones((2, 2), int)),
    "tensor": lambda: TENSOR,
    "tensor of values": lambda: Tensor(ValueError("sparse")),
    "tensors": lambda: [TENSOR, TENSOR],
    "table": lambda: Frame([[1, 1], [1, 1]]),
    "silent": Silent,
    "alone": Alone,
    "itself": itself,
    "module": lambda: np,
}


def net_of(name: Any = "net", **neuron: Any) -> Network:
    net = Network(name)
    net.input("x", 2)
    net.output("out", net.population("p", 2, **neuron))
    return net


def wired(**form: Any) -> Network:
    net = net_of()
    net.connect("x", "p", **form)
    return net


def convolved(**more: Any) -> Network:
    net = Network("net")
    net.connect(
        net.input("x", (1, 2, 2)),
        net.population("p", (1, 2, 2)),
        conv2d={"kernel": np.ones((1, 1, 1, 1), int), **more},
    )
    return net


def with_edges(**column: Any) -> Network:
    return wired(edges={"source": [0, 1], "target": [0, 1], "weight": [1, 1], "delay": [1, 1], **column})


def after(net: Network, act: Callable[[Network], object]) -> Network:
    act(net)
    return net


ONES = [[1, 1], [1, 1]]
NETWORKS: dict[str, Callable[[Any], Network]] = {
    "name": net_of,
    "input name": lambda value: after(net_of(), lambda net: net.input(value, 2)),
    "input shape": lambda value: after(net_of(), lambda net: net.input("y", value)),
    "population name": lambda value: after(net_of(), lambda net: net.population(value, 2)),
    "population shape": lambda value: after(net_of(), lambda net: net.population("q", value)),
    "threshold": lambda value: net_of(threshold=value),
    "floor": lambda value: net_of(floor=value),
    "leak_reversal": lambda value: net_of(leak_reversal=value),
    "reset_mode": lambda value: net_of(reset_mode=value),
    "initial": lambda value: net_of(initial=value),
    "output name": lambda value: after(net_of(), lambda net: net.output(value, "p")),
    "output source": lambda value: after(net_of(), lambda net: net.output("more", value)),
    "rate of": lambda value: after(net_of(), lambda net: net.rate(value, 0.1)),
    "rate": lambda value: after(net_of(), lambda net: net.rate("p", value)),
    "source": lambda value: after(net_of(), lambda net: net.connect(value, "p", ONES)),
    "target": lambda value: after(net_of(), lambda net: net.connect("x", value, ONES)),
    **{
        form: lambda value, form=form: wired(**{form: value})  # type: ignore[misc]
        for form in ("weights", "one_to_one", "all_to_all", "edges", "conv2d")
    },
    **{
        option: lambda value, option=option: wired(weights=ONES, **{option: value})  # type: ignore[misc]
        for option in ("delay", "stochastic", "merge")
    },
    **{
        f"edges {name}": lambda value, name=name: with_edges(**{name: value})  # type: ignore[misc]
        for name in ("source", "weight", "delay")
    },
    **{
        f"conv {name}": lambda value, name=name: convolved(**{name: value})  # type: ignore[misc]
        for name in ("kernel", "stride", "padding", "groups")
    },
}
COMPILING: dict[str, Callable[[Any], object]] = {
    "network": lambda value: compile_network(value, "tiny"),
    "chip": lambda value: compile_network(net_of(), value),
    **{
        option: lambda value, option=option: compile_network(net_of(), "tiny", **{option: value})  # type: ignore[misc]
        for option in ("seed", "quantise", "fan_in", "placement", "defects")
    },
    "bits": lambda value: compile_network(net_of(), "tiny", quantise={"weight_bits": value}),
}
RUNNING: dict[str, Callable[[ChipConfig, Any], object]] = {
    "chip": lambda _, value: Emulator(value),
    **{
        option: lambda chip, value, option=option: Emulator(chip, **{option: value})  # type: ignore[misc]
        for option in ("threads", "seed", "engine", "probes")
    },
    "run": lambda chip, value: Emulator(chip).run(value, 3),
    "ticks": lambda chip, value: Emulator(chip).run(None, value),
    "progress": lambda chip, value: Emulator(chip).run(None, 1, progress=value),
    "samples": lambda chip, value: Emulator(chip).run_batch(value, 3),
    "sample": lambda chip, value: Emulator(chip, threads=1).run_batch([value], 3),
    "ticks of samples": lambda chip, value: Emulator(chip).run_batch([], value),
    "seeds": lambda chip, value: Emulator(chip).run_batch([None, None], 3, seeds=value),
    "seed of a sample": lambda chip, value: Emulator(chip).run_batch([None], 3, seeds=[value]),
    "step": lambda chip, value: Emulator(chip).step(value),
    "line": lambda chip, value: Emulator(chip).step([value]),
    "axons": lambda chip, value: Emulator(chip).step_axons(value),
    "axon": lambda chip, value: Emulator(chip).step_axons([value]),
    "core": lambda chip, value: Emulator(chip).step_axons([(value, 0)]),
    "stream": lambda chip, value: list(Emulator(chip).stream(value)),
    "state": lambda chip, value: Emulator(chip).load_state(value),
    "part of a state": lambda chip, value: Emulator(chip).load_state({**Emulator(chip).save_state(), "tick": value}),
}


def unclear(attempt: Callable[[Any], object]) -> list[str]:
    """What is wrong with how ``attempt`` takes the odd values: anything but success, and refusals in one line each."""
    found = []
    for name, make in ODD.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                attempt(make())
        except NeurocoreError as error:
            found += [f"{name}: {text!r}" for text in error.problems if "\n" in text or len(text) > 3 * MOST_SHOWN]
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
    return found


@pytest.mark.parametrize("quantise", [None, "fit"])
@pytest.mark.parametrize("place", NETWORKS)
def test_a_network_takes_or_refuses_them(place: str, quantise: str | None) -> None:
    assert unclear(lambda value: compile_network(NETWORKS[place](value), "tiny", quantise=quantise)) == []


@pytest.mark.parametrize("place", COMPILING)
def test_the_compiler_takes_or_refuses_them(place: str) -> None:
    assert unclear(COMPILING[place]) == []


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    return compile_network(wired(weights=ONES), "tiny")


@pytest.mark.parametrize("place", RUNNING)
def test_an_emulator_takes_or_refuses_them(place: str, chip: ChipConfig) -> None:
    assert unclear(lambda value: RUNNING[place](chip, value)) == []


SPARSE = (
    "is a sparse matrix; give an array, as its toarray() makes, or edges: row, col and data of its tocoo() are their source,"
    " target and weight"
)
NO_ARRAY = (
    "is tensor(1.), of which NumPy makes no array (Can't call numpy() on Tensor that requires grad); give an array of"
)
SPAN = "np.timedelta64(1,'s')"


@pytest.mark.parametrize(
    ("place", "odd", "said"),
    [
        ("weights", "rows", f"projection 'p' <- 'x': weights {SPARSE}"),
        ("weights", "tensor", f"projection 'p' <- 'x': weights {NO_ARRAY} numbers"),
        ("weights", "span", f"projection 'p' <- 'x': weights is {SPAN}; numbers were expected"),
        (
            "weights",
            "spans",
            "projection 'p' <- 'x': weights holds something other than numbers, values of type timedelta64[s]",
        ),
        ("weights", "objects", "projection 'p' <- 'x': weights holds None at [0, 1]; int or float was expected"),
        (
            "weights",
            "fractions",
            "projection 'p' <- 'x': weights holds Fraction(1, 1) at [0, 0]; int or float was expected",
        ),
        ("delay", "span", f"projection 'p' <- 'x': delay is {SPAN}; numbers were expected"),
        ("edges", "generator", "edges are <generator object"),
        (
            "edges weight",
            "strided",
            "projection 'p' <- 'x': edges: weight has shape (2, 2); one value for each",
        ),
        ("threshold", "none", "population 'p': threshold is None; numbers were expected"),
        ("threshold", "tensor", f"population 'p': threshold {NO_ARRAY} numbers"),
        (
            "threshold",
            "beyond a text",
            "population 'p': threshold is something of type int, which is too large; integers end",
        ),
        (
            "population shape",
            "rows",
            "'q' has shape [<Compressed Sparse Row sparse matrix of dtype 'int64' with 4 stored",
        ),
        ("population shape", "span", f"'q' has shape [{SPAN}]; every size must be a whole number of at least 1"),
        ("population shape", "bytes", "'q' has shape [b'ab']; every size must be a whole number of at least 1"),
        ("population shape", "set", "'q' has shape [{0, 1}]; every size must be a whole number of at least 1"),
        ("rate", "span", f"spike_rates: 'p' is {SPAN}; spikes per tick lie in 0..1"),
        ("source", "half a pair", "'\\ud800' is no source or target; give an input, a population, or the name of one"),
    ],
)
def test_a_network_says_what_it_found(place: str, odd: str, said: str) -> None:
    with pytest.raises(NeurocoreError) as error:
        compile_network(NETWORKS[place](ODD[odd]()), "tiny")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("place", "odd", "said"),
    [
        ("threads", "inf", "threads is inf; at least 1 is needed"),
        ("probes", "scalar array", "probes are array(1); names of populations were expected"),
        ("probes", "set", "probes are {0, 1}; names of populations, in an order, were expected"),
        ("probes", "generator", "a probe is 1; give the name of a population, or NAME:membrane"),
        ("ticks", "span", f"ticks is {SPAN}; a run has 0 ticks or more, a whole number up to {2**62 - 1}"),
        ("ticks", "true", f"ticks is True; a run has 0 ticks or more, a whole number up to {2**62 - 1}"),
        ("progress", "text", "progress is 'ab'; a function of (done, ticks) was expected"),
        ("run", "tensor", "input spikes are tensor(1.); rows of (tick, line) or booleans [ticks, lines] were expected"),
        ("run", "masked", "input spikes hold masked values, which stand for none; fill them"),
        ("samples", "none", "samples are None; input spikes, one for each run, were expected"),
        ("seeds", "set", "seeds are {0, 1}; numbers, in an order, were expected"),
        ("step", "none", "input lines are None; numbers of lines, or booleans were expected"),
        ("step", "mapping", "input lines are {0: 1}; numbers of lines, or booleans were expected"),
        ("axons", "set", "axons are [0, 1]; pairs (core, axon) were expected"),
        ("stream", "none", "the lines of a stream are None; input lines for every tick were expected"),
        ("state", "none", "a saved state is None; what save_state() gives was expected"),
    ],
)
def test_an_emulator_says_what_it_found(place: str, odd: str, said: str, chip: ChipConfig) -> None:
    with pytest.raises(NeurocoreError) as error:
        RUNNING[place](chip, ODD[odd]())
    assert str(error.value).startswith(said)


def test_a_single_line_of_any_whole_number(chip: ChipConfig) -> None:
    for line in (1, np.int8(1), np.array(1), [np.uint64(1)], (number for number in (1,))):
        assert Emulator(chip).step(line) is not None  # type: ignore[arg-type]


def test_what_goes_wrong_in_a_generator_is_not_hidden(chip: ChipConfig) -> None:
    def lines() -> Iterator[int]:
        yield 0
        raise LookupError("of the user's own")

    with pytest.raises(LookupError, match="of the user's own"):
        Emulator(chip).step(lines())


def test_values_are_shown_in_one_short_line() -> None:
    assert shown(np.zeros((2, 2), int)) == "array([[0, 0], [0, 0]])"
    assert shown("x" * 1000) == f"'{'x' * (MOST_SHOWN - 1)}..."
    assert shown(Silent()) == "something of type Silent"

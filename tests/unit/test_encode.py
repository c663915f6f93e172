"""Weight codes: what the axons add up to is what was asked for, with as few axons as promised."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.digitcode import find_digit_code
from neurocore.compiler.encode import CoreSynapses, _largest_divisor, encode


def synapses(weights: np.ndarray, stochastic: np.ndarray | None = None) -> CoreSynapses:
    signal, neuron = np.nonzero(weights)
    used, local = np.unique(signal, return_inverse=True)
    chance = np.zeros(len(signal), bool) if stochastic is None else stochastic[signal, neuron]
    return CoreSynapses(local, neuron, weights[signal, neuron], chance, len(used), weights.shape[1])


def decoded(weights: np.ndarray, arch: Architecture, stochastic: np.ndarray | None = None):
    """Weights and axon count of the encoding."""
    encoding = encode(synapses(weights, stochastic), arch)
    assert encoding is not None
    total = np.zeros((int(weights.any(axis=1).sum()), weights.shape[1]), np.int64)
    for axon in range(encoding.n_axons):
        total[encoding.signal[axon]] += encoding.crossbar[axon] * encoding.weight[encoding.kind[axon]]
    assert encoding.weight.max(initial=0) <= arch.neuron.weight.max
    assert encoding.weight.min(initial=0) >= arch.neuron.weight.min
    return total, encoding


@given(
    seed=st.integers(0, 2**32 - 1),
    chip=st.sampled_from(["tiny", "truenorth", "goldengate", "paicore"]),
    spread=st.sampled_from([1, 3, 9, 200]),
)
def test_codes_are_exact(seed: int, chip: str, spread: int) -> None:
    arch = load_architecture(chip)
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 13)), int(rng.integers(1, arch.core.neurons + 1)))
    weights = rng.integers(-spread, spread + 1, shape) * (rng.random(shape) < 0.7)
    if encode(synapses(weights), arch) is None:
        assert spread == 200
        return
    total, _ = decoded(weights, arch)
    np.testing.assert_array_equal(total, weights[weights.any(axis=1)])


@given(seed=st.integers(0, 2**32 - 1))
def test_random_weights_keep_an_axon_of_their_own(seed: int) -> None:
    arch = load_architecture("truenorth")
    rng = np.random.default_rng(seed)
    weights = rng.choice([0, 3, -7], (9, 20))
    chance = rng.random(weights.shape) < 0.3
    _, encoding = decoded(weights, arch, chance)
    reached = np.zeros((int(weights.any(axis=1).sum()), 20), np.int64)
    for axon in range(encoding.n_axons):
        kind = encoding.kind[axon]
        reached[encoding.signal[axon]] += encoding.crossbar[axon]
        assert (
            encoding.stochastic[kind][encoding.crossbar[axon]]
            == chance[weights.any(axis=1)][encoding.signal[axon]][encoding.crossbar[axon]]
        ).all()
    assert reached.max() <= 1


def test_one_axon_where_sources_can_be_coloured(truenorth: Architecture) -> None:
    """Excitatory and inhibitory sources, every neuron with weights of its own: one axon each."""
    rng = np.random.default_rng(0)
    sign = np.where(np.arange(40) < 30, 1, -1)
    weights = sign[:, None] * np.where(sign[:, None] > 0, rng.integers(1, 9, 50), rng.integers(1, 9, 50))
    _, encoding = decoded(weights * (rng.random((40, 50)) < 0.5), truenorth)
    assert encoding.n_axons == 40


@pytest.mark.parametrize(
    ("low", "high", "axons"),
    [
        (-1, 1, 2),
        (-4, 3, 3),
        (-8, 7, 4),
        (-16, 15, 6),
        (-32, 31, 8),
        (-64, 63, 10),
        (-128, 127, 14),
        (0, 15, 4),
        (0, 1, 1),
    ],
)
def test_digit_codes_cost_what_the_literature_says(low: int, high: int, axons: int) -> None:
    code = find_digit_code(low, high, 4, 255)
    assert code is not None
    assert code.n_axons == axons
    weights = np.arange(low, high + 1)
    assert (np.array(code.values) @ code.digits(weights) == weights).all()


@pytest.mark.parametrize("n_types", [2, 3, 4, 8, 256])
def test_digit_codes_of_wide_ranges_are_found_at_once(n_types: int) -> None:
    """As many axons as the best counts have whose products cover the range, which for a few types is known."""
    started = time.process_time()
    code = find_digit_code(-(2**31) + 1, 2**31 - 1, n_types, 2**31 - 1)
    assert time.process_time() - started < 1
    assert code is not None
    assert code.n_axons == {2: 2**31, 3: 92_681, 4: 3_869, 8: 145, 256: 32}[n_types]
    assert find_digit_code(-(2**40), 2**40, n_types, 255) is not None
    assert time.process_time() - started < 1


@given(
    low=st.integers(-40, 0),
    high=st.integers(0, 40),
    n_types=st.integers(2, 4),
    limits=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_digit_codes_are_the_cheapest(low: int, high: int, n_types: int, limits: tuple[int, int]) -> None:
    """No code with another largest digit and the best of the others is cheaper."""

    def least(high: int, n_types: int, largest: int) -> int:
        tops = range(2, min(high, largest) + 1) if n_types > 1 else ()
        return min([high, *(high // top + least(top - 1, n_types - 1, top - 1) for top in tops)])

    largest, lowest = limits
    expected = least(high, n_types, largest)
    if low:
        bottoms = range(1, min(-low, lowest) + 1)
        expected = min(-(low // size) + least(max(high, size - 1), n_types - 1, largest) for size in bottoms)
    code = find_digit_code(low, high, n_types, largest, -lowest)
    assert code is not None
    assert code.n_axons == expected
    weights = np.arange(low, high + 1)
    assert not len(code.values) or (np.array(code.values) @ code.digits(weights) == weights).all()
    assert all(-lowest <= value <= largest for value in code.values)


def test_a_chip_whose_weights_reach_further_down_than_up(paicore: Architecture) -> None:
    """All 8-bit weights in eight types: seven bits and the sign bit, of one scale or mirrored for neurons without a plus."""
    every = np.arange(-128, 128)
    total, encoding = decoded(every[:, None], paicore)
    assert total.ravel().tolist() == every[every != 0].tolist()
    assert sorted(np.unique(encoding.weight[encoding.kind, 0])) == [-128, 1, 2, 4, 8, 16, 32, 64]
    down = -np.arange(3, 129, 5)
    both = np.stack([down, -down[::-1] - 1], axis=1)
    assert decoded(both, paicore)[0].tolist() == both.tolist()


def test_many_types_are_no_long_search(paicore: Architecture) -> None:
    """Single neurons with more weights than types, which the search for coins would take minutes over."""
    started = time.process_time()
    encoding = decoded(np.random.default_rng(0).integers(-128, 128, (120, 1)), paicore)[1]
    assert encoding.n_axons <= 960
    assert time.process_time() - started < 3


def test_weights_beyond_the_chip_are_split(truenorth: Architecture) -> None:
    total, encoding = decoded(np.array([[700], [-900]]), truenorth)
    assert total.ravel().tolist() == [700, -900]
    assert encoding.n_axons <= 10


@pytest.mark.parametrize(
    ("weights", "axons"),
    [
        ([100, 101, 102, 103, 104], 7),
        ([251, 13, 97, -55, -180], 8),
        ([200, -200, 5, 7, 9], 8),
        ([300, -300, 5, 7], 6),
        ([300, 1], 3),
        (list(range(1, 9)), 12),
        ([256], 2),
        ([1000], 4),
    ],
)
def test_single_neurons_take_few_axons(truenorth: Architecture, weights: list[int], axons: int) -> None:
    """As few as a search by hand finds."""
    total, encoding = decoded(np.array(weights)[:, None], truenorth)
    assert total.ravel().tolist() == weights
    assert encoding.n_axons <= axons


def test_dense_neuron_with_17_weights_fits_a_core(truenorth: Architecture) -> None:
    weights = np.random.default_rng(1).integers(-8, 9, (128, 10))
    for column in range(10):
        assert decoded(weights[:, [column]], truenorth)[1].n_axons <= 240


@given(st.lists(st.integers(1, 3_000), min_size=1), st.integers(1, 4_000))
def test_largest_divisors(values: list[int], cap: int) -> None:
    asked = np.array(values)
    expected = [max(d for d in range(1, min(value, cap) + 1) if value % d == 0) for value in values]
    np.testing.assert_array_equal(_largest_divisor(asked, cap), expected)

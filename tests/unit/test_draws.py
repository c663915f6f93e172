"""Random draws: the C kernel draws what the specification says, and the draws look random.

What is tested here on small samples was tested on large ones with batteries made for it: see docs/model.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurocore import draws
from neurocore._engine import draw_word

U64 = st.integers(0, 2**64 - 1)


@given(seed=U64, stream=U64, tick=st.integers(0, 2**62), purpose=st.integers(0, 70000), index=st.integers(0, 70000))
def test_kernel_draws_the_same_words(seed: int, stream: int, tick: int, purpose: int, index: int) -> None:
    key = draws.core_keys(seed, np.array([stream], np.uint64))
    word = draws.words(draws.tick_keys(key, tick, purpose), np.array([index]))
    assert draw_word(int(key[0]), tick, purpose, index) == int(word[0])


def sample(n_seeds: int, n_cores: int, n_ticks: int, n_neurons: int) -> np.ndarray:
    """Leak draws [seed, core, tick, neuron]."""
    out = np.empty((n_seeds, n_cores, n_ticks, n_neurons), np.int32)
    for seed in range(n_seeds):
        keys = draws.core_keys(seed, np.arange(n_cores))
        for tick in range(n_ticks):
            out[seed, :, tick] = draws.small_draws(
                draws.tick_keys(keys, tick, draws.LEAK)[:, None], np.arange(n_neurons)[None], 8
            )
    return out


SAMPLE = sample(4, 8, 64, 256)


def test_uniform() -> None:
    counts = np.bincount(SAMPLE.ravel(), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_is_fair(bit: int) -> None:
    ones = int((SAMPLE >> bit & 1).sum())
    assert abs(ones - SAMPLE.size / 2) < 4.5 * np.sqrt(SAMPLE.size / 4)


@pytest.mark.parametrize("axis", range(4), ids=["seeds", "cores", "ticks", "neurons"])
def test_neighbours_are_independent(axis: int) -> None:
    """Pairs of neighbouring draws fill the square evenly, in each of the four directions."""
    ahead = np.take(SAMPLE, range(1, SAMPLE.shape[axis]), axis) // 16
    behind = np.take(SAMPLE, range(SAMPLE.shape[axis] - 1), axis) // 16
    table = np.bincount((ahead * 16 + behind).ravel(), minlength=256)
    assert stats.chisquare(table).pvalue > 1e-4


def test_sums_over_neurons_and_ticks_are_normal() -> None:
    """Means of rows and columns scatter as those of independent draws do."""
    scale = np.sqrt((256**2 - 1) / 12)
    for axes, n in (((3,), 256), ((2,), 64), ((0, 1), 32)):
        deviations = (SAMPLE.mean(axis=axes) - 127.5) / (scale / np.sqrt(n))
        assert stats.kstest(deviations.ravel(), "norm").pvalue > 1e-4


def test_wide_draws_fill_their_mask() -> None:
    keys = draws.tick_keys(draws.core_keys(1, np.arange(64)), 3, draws.THRESHOLD)[:, None]
    for bits in (0, 1, 9, 18):
        values = draws.wide_draws(keys, np.arange(256)[None], np.full((1, 256), bits))
        assert values.min() >= 0
        assert values.max() < 2**bits
        if bits > 1:
            assert stats.kstest(values.ravel() / 2**bits, "uniform").pvalue > 1e-4


def bits_of_a_tick(seed: int, core: int, purpose: int, n_ticks: int, first: int = 0) -> np.ndarray:
    """All bits that 8-bit draws of 256 neurons take in each tick, as -1 and 1: [tick, plane * 256 + neuron]."""
    key = draws.core_keys(seed, np.array([core], np.uint64))
    keys = np.concatenate([draws.tick_keys(key, tick, purpose) for tick in range(first, first + n_ticks)])
    index = (draws.PLANE_STRIDE * np.arange(8)[:, None] + np.arange(8)).ravel()
    words = draws.words(keys[:, None], index[None])
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").astype(np.float32) * 2 - 1


N_TICKS = 4096
BITS = bits_of_a_tick(1, 0, draws.LEAK, N_TICKS)


def assert_uncorrelated(one: np.ndarray, other: np.ndarray) -> None:
    """Any bit of one with any of the other, or with any but itself: as correlated as chance makes them, together and at most."""
    # Some BLAS compute on lanes that they do not use and leave floating-point flags of it behind.
    with np.errstate(all="ignore"):
        score = one.T @ other / np.sqrt(len(one))
    score = score[np.triu_indices(len(score), 1)] if one is other else score.ravel()
    spread = np.square(score, dtype=np.float64).mean() - 1
    assert abs(spread) < 4.5 * np.sqrt(2 / score.size)
    assert np.abs(score).max() < stats.norm.isf(1e-4 / 2 / score.size)


def test_any_two_bits_of_a_tick_are_independent() -> None:
    """Of a core's neurons and of the planes of their draws: two million pairs, over ticks."""
    assert_uncorrelated(BITS, BITS)


@pytest.mark.parametrize("lag", [1, 15])
def test_ticks_are_not_correlated(lag: int) -> None:
    assert_uncorrelated(BITS[:-lag], BITS[lag:])


@pytest.mark.parametrize(
    ("seed", "core", "purpose"), [(2, 0, 0), (1, 1, 0), (1, 0, 1)], ids=["seed", "core", "purpose"]
)
def test_neighbouring_streams_are_not_correlated(seed: int, core: int, purpose: int) -> None:
    assert_uncorrelated(BITS, bits_of_a_tick(seed, core, purpose, N_TICKS))


@pytest.mark.parametrize("lag", [1, 2, 3, 16, 100])
def test_serial_correlation_of_a_neuron(lag: int) -> None:
    """8-bit draws of single neurons against those so many ticks later, pooled and each."""
    planes = (BITS.reshape(N_TICKS, 8, 256) + 1) / 2
    values = (planes * 2.0 ** np.arange(8)[None, :, None]).sum(axis=1) - 127.5
    variance = (256**2 - 1) / 12
    score = (values[:-lag] * values[lag:]).sum(axis=0) / variance / np.sqrt(N_TICKS - lag)
    assert abs(score.sum()) < 4 * np.sqrt(256)
    assert np.abs(score).max() < stats.norm.isf(1e-4 / 2 / 256)


INPUT_BITS = {"seed": 64, "stream": 64, "tick": 62, "purpose": 17, "index": 16}
"""Bits that the inputs of a draw can have; of purposes and words those that the kernel uses."""


def avalanche_words(seed: Any, stream: Any, tick: Any, purpose: Any, index: Any) -> np.ndarray:
    """One word for each entry of arrays; seeds and ticks are numbers."""
    return draws.words(draws.tick_keys(draws.core_keys(int(seed), stream), int(tick), purpose), index)


@pytest.mark.parametrize("name", INPUT_BITS)
def test_avalanche(name: str) -> None:
    """Flipping any bit of any input flips each bit of the word with a probability of one half."""
    n, n_bits = 4096, INPUT_BITS[name]
    rng = np.random.default_rng(1)
    inputs: dict[str, Any] = {key: rng.integers(0, 2**bits, n, np.uint64) for key, bits in INPUT_BITS.items()}
    inputs |= {"seed": inputs["seed"][0], "tick": inputs["tick"][0]}
    before = avalanche_words(**inputs)
    flips = np.empty((n_bits, 32))
    for bit in range(n_bits):
        changed = avalanche_words(**{**inputs, name: inputs[name] ^ np.uint64(1 << bit)}) ^ before
        flips[bit] = np.unpackbits(changed.view(np.uint8).reshape(n, 4), axis=1, bitorder="little").sum(axis=0)
    score = (flips - n / 2) / np.sqrt(n / 4)
    assert np.abs(score).max() < stats.norm.isf(1e-4 / 2 / score.size)
    assert abs(np.square(score).mean() - 1) < 4.5 * np.sqrt(2 / score.size)


def test_purposes_differ() -> None:
    keys = draws.core_keys(1, np.arange(4))
    leak, threshold = (
        draws.words(draws.tick_keys(keys, 5, purpose)[:, None], np.arange(64)[None]) for purpose in (0, 1)
    )
    assert (leak != threshold).mean() > 0.99

"""Random draws: the C kernel draws what the specification says, and the draws look random."""

from __future__ import annotations

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


def test_purposes_differ() -> None:
    keys = draws.core_keys(1, np.arange(4))
    leak, threshold = (
        draws.words(draws.tick_keys(keys, 5, purpose)[:, None], np.arange(64)[None]) for purpose in (0, 1)
    )
    assert (leak != threshold).mean() > 0.99

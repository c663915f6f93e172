"""The shifts of neurons: least values that all differences allow, or a cycle that allows none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurocore.compiler.route import TightCycleError, longest_paths

SETTLED = -(1 << 30)


def all_pairs(source: np.ndarray, target: np.ndarray, need: np.ndarray, n: int) -> np.ndarray:
    """The longest paths [n, n] by Floyd and Warshall; a positive diagonal tells of a cycle that needs more than 0."""
    longest = np.full((n, n), SETTLED)
    np.maximum.at(longest, (source, target), need)
    for middle in range(n):
        longest = np.maximum(longest, longest[:, middle, None] + longest[None, middle])
    return longest


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_least_values_or_a_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    m = int(rng.integers(0, 3 * n))
    source, target = rng.integers(0, n, m), rng.integers(0, n, m)
    need = rng.integers(-int(rng.integers(1, 9)), 3, m)
    longest = all_pairs(source, target, need, n)
    cyclic = bool((longest.diagonal() > 0).any())
    event("cycle" if cyclic else "values")
    if not cyclic:
        found = longest_paths(source, target, need, n)
        np.testing.assert_array_equal(found, np.maximum(longest.max(axis=0), 0))
        return
    with pytest.raises(TightCycleError) as caught:
        longest_paths(source, target, need, n)
    blocks = caught.value.blocks
    steps = zip(blocks, [*blocks[1:], blocks[0]], strict=True)
    assert caught.value.missing == sum(max(need[(source == one) & (target == other)]) for one, other in steps) > 0


def test_a_long_cycle_among_many_blocks_is_found_soon() -> None:
    """A ring that needs 1 behind a chain of thousands: a step for every block would be millions of relaxations of them all."""
    n, ring = 200_000, 1000
    source = np.arange(n)
    target = np.where(source == ring - 1, 0, (source + 1) % n)
    need = np.where(source < ring, 0, -1)
    need[3] = 1
    with pytest.raises(TightCycleError) as caught:
        longest_paths(source, target, need, n)
    assert (len(caught.value.blocks), caught.value.missing) == (ring, 1)

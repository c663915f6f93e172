"""Cores that keep the sites they were given while the others are placed around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.compiler.place import CoreTraffic, place
from neurocore.errors import InputError


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_pinned_cores_stay_and_the_others_are_drawn_to_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, mesh = int(rng.integers(1, 30)), (9, 7)
    source, target = rng.integers(0, n, (2, 3 * n))
    traffic = CoreTraffic(n, source, target, rng.random(3 * n), rng.random(n) * rng.integers(0, 2))
    sites = rng.permutation(63)
    pinned = np.stack([sites[:n] % 9, sites[:n] // 9], axis=1)
    pinned[rng.random(n) < 0.6] = -1
    blocked = np.zeros((7, 9), bool)
    blocked.ravel()[sites[n : n + 10]] = True
    found = place(traffic, mesh, (3, 3), blocked=blocked, pinned=pinned, seed=1)
    at = np.stack([found.x, found.y], axis=1)
    fixed = pinned[:, 0] >= 0
    np.testing.assert_array_equal(at[fixed], pinned[fixed])
    assert not blocked[found.y, found.x].any()
    assert len(np.unique(found.core_ids(9))) == n
    assert found == place(traffic, mesh, (3, 3), blocked=blocked, pinned=pinned, seed=1)


@pytest.mark.parametrize(("share", "bar"), [(0.02, 1.0), (0.4, 1.05), (0.6, 1.05)])
def test_placing_around_pins_is_nearly_as_good_as_placing_all(share: float, bar: float) -> None:
    """Some cores of a grid are pinned where they would lie: the others find their way."""
    side = 12
    core = np.random.default_rng(1).permutation(side * side).reshape(side, side)
    source = np.concatenate([core[:, :-1].ravel(), core[:-1].ravel()])
    target = np.concatenate([core[:, 1:].ravel(), core[1:].ravel()])
    traffic = CoreTraffic(side * side, source, target, np.ones(len(source)))
    free = place(traffic, (side, side))
    mine = np.random.default_rng(2).random(side * side) < share
    pinned = np.where(mine[:, None], np.stack([free.x, free.y], axis=1), -1)
    assert place(traffic, (side, side), pinned=pinned).mean_hops <= bar


def test_impossible_pins_are_listed() -> None:
    traffic = CoreTraffic(4, np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    pinned = np.array([[0, 0], [0, 0], [3, 0], [1, 1]])
    blocked = np.array([[False, False], [False, True]])
    with pytest.raises(InputError) as caught:
        place(traffic, (2, 2), blocked=blocked, pinned=pinned, span=(2, 2))
    assert caught.value.problems == (
        "place: pinned site (3, 0) is outside the mesh",
        "place: pinned site (1, 1) is blocked",
        "place: 2 cores are pinned to (0, 0)",
    )

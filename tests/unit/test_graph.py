"""The compiler's inner loops against plain Python."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurocore._graph import (
    Runs,
    count_weights,
    cut_order,
    distinct,
    fill_rows,
    house_rows,
    match,
    regroup,
    sort_rows,
    sum_repeated,
)

seeds = st.integers(0, 2**32 - 1)


def random_rows(rng: np.random.Generator, n: int, n_sources: int):
    """Rows as of an IntegerNetwork, unsorted and with repetitions."""
    count = rng.integers(0, 12, n)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    size = int(start[-1])
    return (
        start,
        rng.integers(0, n_sources, size).astype(np.int32),
        rng.integers(-3, 4, size).astype(np.int32),
        rng.integers(1, 4, size).astype(np.uint16),
        np.zeros(size, np.uint8),
    )


@given(seed=seeds, spread=st.sampled_from([1, 5, 1000, 2**60]))
def test_distinct_is_unique(seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-spread, spread, int(rng.integers(0, 500)))
    found, inverse = distinct(values)
    want, want_inverse = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(inverse, want_inverse)


@given(seed=seeds)
def test_rows_are_sorted_and_summed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, source, weight, delay, chance = random_rows(rng, 9, 6)
    target = np.repeat(np.arange(9), np.diff(start)).astype(np.int32)
    want: dict[tuple[int, int, int], int] = defaultdict(int)
    for row in zip(target.tolist(), source.tolist(), delay.tolist(), weight.tolist(), strict=True):
        want[row[:3]] += row[3]
    order = rng.permutation(len(target))
    filled = [np.zeros_like(part) for part in (source, weight, delay, chance)]
    given_ = [np.ascontiguousarray(part[order]) for part in (target, source, weight, delay)]
    fill_rows(*given_, 0, 0, 0, start[:-1].copy(), *filled)
    repeated = sort_rows(start, *filled)
    assert repeated == len(target) - len(want)
    assert sum_repeated(start, *filled, 2**31 - 1) == (None, None)
    rows = np.repeat(np.arange(9), np.diff(start)).tolist()
    n = int(start[-1])
    columns = (rows, filled[0][:n].tolist(), filled[2][:n].tolist(), filled[1][:n].tolist())
    assert list(zip(*columns, strict=True)) == [(*key, total) for key, total in sorted(want.items()) if total]


def test_sums_that_cannot_be_are_named() -> None:
    """A random weight among several, and a sum beyond the largest weight."""
    start = np.array([0, 2, 4], np.int64)
    columns = (
        np.array([7, 7, 7, 7], np.int32),
        np.array([1, 1, 2**31 - 1, 1], np.int32),
        np.array([3, 3, 2, 2], np.uint16),
        np.array([1, 0, 0, 0], np.uint8),
    )
    assert sum_repeated(start, *columns, 2**31 - 1) == ((0, 3, 2), (1, 2, 2**31))


@given(seed=seeds, by_weight=st.booleans())
def test_runs_are_the_longest(seed: int, by_weight: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 30, 15)
    runs, order = Runs(*rows, 20), rng.permutation(30)
    start, source, weight, delay, _ = rows

    def signals(members: np.ndarray) -> int:
        return len(
            {
                (source[k], delay[k], weight[k] if by_weight else 0)
                for j in members
                for k in range(start[j], start[j + 1])
            }
        )

    begin = cores = total = 0
    while begin < 30:
        size, used = runs.longest(order, begin, 7, 20, by_weight)
        fitting = [n for n in range(1, min(7, 30 - begin) + 1) if signals(order[begin : begin + n]) <= 20]
        assert size == max(fitting, default=0)
        assert used == signals(order[begin : begin + size])
        begin += max(size, 1)
        cores, total = cores + 1, total + used
    whole, halves = np.array([30]), np.array([15, 30])
    assert runs.count(order, whole, 7, 20, by_weight, 99) == (cores, total)
    assert runs.count(order, whole, 7, 20, by_weight, 1)[0] == min(cores, 2)
    parts = [runs.count(half, np.array([15]), 7, 20, by_weight, 99) for half in (order[:15], order[15:])]
    assert runs.count(order, halves, 7, 20, by_weight, 99) == tuple(map(sum, zip(*parts, strict=True)))


@given(seed=seeds)
def test_weights_are_counted_up_to_a_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, _, weight, _, chance = random_rows(rng, 12, 5)
    chance[:] = rng.random(len(chance)) < 0.5
    pairs = [set(zip(weight[a:b].tolist(), chance[a:b].tolist(), strict=True)) for a, b in pairwise(start)]
    found = count_weights(start, weight, chance, 2, 11, 4)
    assert found.tolist() == [min(len(pair), 4) for pair in pairs[2:11]]


@given(seed=seeds)
def test_orders_are_cut_at_the_least_price(seed: int) -> None:
    """Against plain dynamic programming over all runs; a neuron that is over a limit by itself gets a core of its own."""
    rng = np.random.default_rng(seed)
    start, net, *_ = random_rows(rng, 30, 25)
    order, wanted, price = rng.permutation(30)[:24], rng.integers(1, 6, 30), rng.integers(0, 9, 25)
    limits = rng.integers([2, 6, 4], [9, 20, 30])

    def cost(run: np.ndarray) -> int | None:
        read = np.unique(np.concatenate([net[start[v] : start[v + 1]] for v in run]))
        fits = (np.array([len(run), len(read), wanted[run].sum()]) <= limits).all()
        return 20 + int(price[read].sum()) if fits or len(run) == 1 else None

    least = [0]
    for end in range(1, 25):
        ways = [(least[begin], cost(order[begin:end])) for begin in range(end)]
        least.append(min(before + own for before, own in ways if own is not None))
    core = np.full(30, -1, np.int32)
    n_cores = cut_order(start, net, order, wanted, price, limits, 20, core)
    runs = [order[core[order] == number] for number in range(n_cores)]
    found = [cost(run) for run in runs]
    assert None not in found
    assert sum(own for own in found if own is not None) == least[-1]
    np.testing.assert_array_equal(np.concatenate(runs), order)
    assert sorted(np.flatnonzero(core >= 0).tolist()) == sorted(order.tolist())


@given(seed=seeds)
def test_regrouping_keeps_its_books(seed: int) -> None:
    """After many moves counts, loads and exits are those of the assignment, and the change of pairs is the sum of all."""
    rng = np.random.default_rng(seed)
    n, k = 40, 5
    start, net, *_ = random_rows(rng, n, n)
    neuron = np.repeat(np.arange(n), np.diff(start))
    _, first = np.unique(neuron * n + net, return_index=True)
    neuron, net = neuron[first], net[first]
    start = np.concatenate([[0], np.cumsum(np.bincount(neuron, minlength=n))]).astype(np.int64)
    reader = neuron[np.argsort(net, kind="stable")].astype(np.int32)
    reader_start = np.concatenate([[0], np.cumsum(np.bincount(net, minlength=n))]).astype(np.int64)
    driver = np.where(rng.random(n) < 0.7, np.arange(n), -1).astype(np.int32)
    base = rng.integers(0, 2, n)

    def books(core: np.ndarray):
        count = np.zeros((k, n), np.uint16)
        np.add.at(count, (core[neuron], net), 1)
        exits = base.astype(np.int64)
        np.add.at(exits, driver[driver >= 0], (count > 0).sum(axis=0)[driver >= 0])
        wanted = np.bincount(core, np.maximum(exits, 1), minlength=k)
        load = np.stack([np.bincount(core, minlength=k), (count > 0).sum(axis=1), wanted], axis=1)
        return count, exits, np.ascontiguousarray(load, np.int64)

    core = rng.integers(0, k, n).astype(np.int32)
    count, exits, load = books(core)
    before = int((count > 0).sum())
    limits, table = np.array([12, 20, 25], np.int64), rng.integers(0, 4000, 64)
    change = regroup(
        start, net, reader_start, reader, driver, exits, core, count, load, limits, table,
        np.array([seed], np.uint64), 3000, 1500, 2,
    )  # fmt: skip
    for have, want in zip((count, exits, load), books(core), strict=True):
        np.testing.assert_array_equal(have, want)
    assert change == int((count > 0).sum()) - before


@given(seed=seeds)
def test_matching_pairs_neighbours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 20
    dense = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.2), 1)
    dense += dense.T
    start = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))]).astype(np.int64)
    row, column = np.nonzero(dense)
    size, partner = rng.integers(1, 4, n), np.empty(n, np.int64)
    pairs = match(start, column.astype(np.int32), dense[row, column], size, rng.permutation(n), 5, 0.0, partner)
    np.testing.assert_array_equal(partner[partner], np.arange(n))
    matched = np.flatnonzero(partner != np.arange(n))
    assert len(matched) == 2 * pairs
    assert (dense[matched, partner[matched]] > 0).all()
    assert (size[matched] + size[partner[matched]] <= 5).all()
    for node in np.flatnonzero(partner == np.arange(n)):
        free = (dense[node] > 0) & (partner == np.arange(n)) & (size + size[node] <= 5)
        assert not free.any()


@given(seed=seeds)
def test_matching_passes_over_weak_ties(seed: int) -> None:
    """One of each pair is tied to no other that it may pair with by more than twice as much, for its size."""
    rng = np.random.default_rng(seed)
    n = 20
    dense = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.3), 1)
    dense += dense.T
    start = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))]).astype(np.int64)
    row, column = np.nonzero(dense)
    size, partner = rng.integers(1, 4, n), np.empty(n, np.int64)
    match(start, column.astype(np.int32), dense[row, column], size, rng.permutation(n), 5, 0.5, partner)
    tie = np.where(size[:, None] + size[None] <= 5, dense / size, 0)
    matched = np.flatnonzero(partner != np.arange(n))
    is_strong = tie[matched, partner[matched]] >= 0.5 * tie[matched].max(axis=1)
    assert (is_strong | is_strong[np.searchsorted(matched, partner[matched])]).all()


@given(seed=seeds)
def test_relay_rows_find_room(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 8, 30)
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    target = rng.integers(-2, 4, int(start[-1]))
    used, axons = (np.concatenate([rng.integers(0, 9, 4), np.zeros(30, np.int64)]) for _ in range(2))
    order = np.lexsort((-size,)).astype(np.int64)
    core, axon = np.full(30, -1, np.int64), np.full(30, -1, np.int64)
    first_axons = axons.copy()
    n_cores = house_rows(start, target, rng.integers(0, 4, 30), order, used, axons, 4, 9, 11, core, axon)
    assert (used <= 9).all()
    assert (axons <= 11).all()
    assert len(set(zip(core.tolist(), axon.tolist(), strict=True))) == 30
    assert (axon >= first_axons[core]).all()
    assert core.max() < n_cores <= 34

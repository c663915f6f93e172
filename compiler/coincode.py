"""Coins for the coin code: the values of a neuron for the axon types that pay all its weights with the fewest axons.

A coin is the neuron's value for a type, and a weight is a sum of coins. The search is small and not complete.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture

Array = npt.NDArray[Any]

MOST_COINS = 6
MOST_CANDIDATES = 18
MOST_COIN_TYPES = 4
"""Types beyond which no coins are tried: the choices grow as a power of them, and digits alone take an axon per bit by then."""


def choose_coins(wanted: Array, arch: Architecture) -> tuple[Array, Array] | None:
    """Coins [types] and how many of each [types, n] every wanted weight takes; the fewest in all among those tried."""
    limits, n_types = arch.neuron.weight, arch.core.axon_types
    values, place, often = np.unique(wanted, return_inverse=True, return_counts=True)
    coins, known = _candidate_coins(values, often, limits.min, limits.max), tuple(values.tolist())
    sets, spent = _payments(tuple(coins), known, min(n_types, len(coins)))
    cost = np.where((spent > MOST_COINS).any(axis=1), np.iinfo(np.int64).max, spent @ often)
    best = int(np.argmin(cost))
    if cost[best] == np.iinfo(np.int64).max:
        return None
    chosen = np.zeros(n_types, np.int64)
    chosen[: sets.shape[1]] = sets[best]
    return chosen, _purses(tuple(sets[best].tolist()), known, n_types)[:, place]


@lru_cache(maxsize=32)
def _payments(coins: tuple[int, ...], values: tuple[int, ...], size: int) -> tuple[Array, Array]:
    """All sets of so many of the coins [sets, size], and with how few of its coins each pays every value [sets, values].

    More than MOST_COINS stand for values that it does not pay. Kept, as many neurons have the same few weights.
    """
    sets, wanted = np.array(list(itertools.combinations(coins, size)), np.int64), np.array(values)
    spent = np.full((len(sets), len(values)), MOST_COINS + 1, np.uint8)
    # Sums of as many coins as have been tried, of each set, and the last coin of each sum: they are added in that order.
    sums = [(0, np.zeros(len(sets), np.int64))]
    for amount in range(1, MOST_COINS + 1):
        sums = [(coin, total + sets[:, coin]) for last, total in sums for coin in range(last, size)]
        for _, total in sums:
            at = np.minimum(np.searchsorted(wanted, total), len(wanted) - 1)
            hit = np.flatnonzero(wanted[at] == total)
            spent[hit, at[hit]] = np.minimum(spent[hit, at[hit]], amount)
    return sets, spent


def _candidate_coins(values: Array, often: Array, low: int, high: int) -> list[int]:
    """Values worth trying as coins: frequent weights, their differences, and small numbers."""
    frequent = values[np.argsort(-often, kind="stable")].tolist()
    steps = [int(step) for step in np.diff(values)] + [1, -1, 2, 4, -8]
    halves = [value // 2 for value in frequent] + [value - value // 2 for value in frequent]
    listed = dict.fromkeys(
        coin for coin in (*frequent[:10], *steps, *halves, *frequent[10:]) if coin and low <= coin <= high
    )
    return sorted(list(listed)[:MOST_CANDIDATES])


@lru_cache(maxsize=1024)
def _purses(coins: tuple[int, ...], values: tuple[int, ...], n_types: int) -> Array:
    """How many of each coin [types, values] make up every value, with the fewest coins."""
    purses = np.zeros((n_types, len(values)), np.int64)
    for place, value in enumerate(values):
        sizes = range(1, MOST_COINS + 1)
        ways = (way for size in sizes for way in itertools.combinations_with_replacement(range(len(coins)), size))
        way = next(way for way in ways if sum(coins[coin] for coin in way) == value)
        np.add.at(purses[:, place], list(way), 1)
    return purses

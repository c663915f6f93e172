"""Weights fitted to what one core can hold: axons with types, and one value per neuron and type.

A core that reads n sources gives each of them a set of axon types, one axon for each; a neuron connects to some of a source's
axons, so that its weight for the source is a sum of its own values for their types. Given how many axons there are,
:func:`fit_types` looks for sets, connections and values that come closest to the wanted weights in least squares, by turns: for
fixed values the sets are chosen greedily along the lower convex hulls of error against axons, which is the least error for the
axons it ends with; for fixed connections the values are a linear least-squares problem per neuron. What it ends in may be a
local optimum, therefore it starts from several points and keeps the best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.levels import best_multiples

Array = npt.NDArray[Any]

FIRST_ROUNDS = 6
LEAST_GAIN = 1e-4
"""A round that lowers the error by less than this fraction is the last."""


@dataclass(frozen=True)
class TypeFit:
    """The outcome: ``values`` [neurons, types], ``connected`` [sources, neurons, types], the squared error, the axons used."""

    values: Array
    connected: npt.NDArray[np.bool_]
    error: float
    n_axons: int

    @property
    def weights(self) -> Array:
        """Fitted weights [sources, neurons]."""
        return np.asarray(np.einsum("ijt,jt->ij", self.connected, self.values))


def fit_types(wanted: Array, n_types: int, n_axons: int) -> TypeFit:
    """The best weights found for ``wanted`` [sources, neurons] with ``n_types`` values per neuron on ``n_axons`` axons.

    Zeros stay zeros. All starts get a few rounds; the better third of them gets more, and so on to the last.
    """
    fits = [_alternate(wanted, values, n_axons, FIRST_ROUNDS) for values in _starts(wanted, n_types)]
    rounds = FIRST_ROUNDS
    while len(fits) > 1:
        fits = sorted(fits, key=lambda fit: fit.error)[: (len(fits) + 2) // 3]
        rounds *= 3
        fits = [_alternate(wanted, fit.values, n_axons, rounds) for fit in fits]
    best = fits[0]
    return replace(best, values=np.where(best.connected.any(axis=0), best.values, 0.0))


def _starts(wanted: Array, n_types: int) -> list[Array]:
    """Values [neurons, types] to start from: so many types for negative weights and the others for positive ones; digits."""
    starts = []
    for below in range(n_types + 1):
        values = np.zeros((wanted.shape[1], n_types))
        for neuron, column in enumerate(wanted.T):
            values[neuron, :below] = _chunk_means(column[column < 0], below)
            values[neuron, below:] = _chunk_means(column[column > 0], n_types - below)
        starts.append(values)
    for n_digits in range(2, n_types + 1):
        digits = np.append(2.0 ** np.arange(n_digits - 1), -(2.0 ** (n_digits - 1)))
        scale = [best_multiples(column, int(digits[-1]), int(digits[:-1].sum()))[0] for column in wanted.T]
        starts.append(np.array(scale)[:, None] * np.append(digits, np.zeros(n_types - n_digits))[None])
    return starts


def _chunk_means(weights: Array, n_chunks: int) -> list[float]:
    """Means of as many equally long parts of the sorted weights, 0 where there is none."""
    chunks = np.array_split(np.sort(weights), n_chunks) if n_chunks else []
    return [float(chunk.mean()) if len(chunk) else 0.0 for chunk in chunks]


def _alternate(wanted: Array, values: Array, n_axons: int, rounds: int) -> TypeFit:
    subsets = _subsets(values.shape[1])
    some = subsets.any(axis=1)
    # A missing synapse stays one: it may only take the empty sum.
    missing = np.where((wanted == 0)[:, :, None] & some, np.inf, 0.0)
    inside: Array = np.logical_not((subsets[None] & ~subsets[:, None]).any(axis=2))
    best: TypeFit | None = None
    for _ in range(rounds):
        distance = (wanted[:, :, None] - (values @ subsets.T)[None]) ** 2 + missing
        allowed = _choose_sets(_errors(distance), subsets, n_axons)
        sums = np.where(inside[allowed][:, None], distance, np.inf).argmin(axis=2)
        connected = subsets[sums]
        values = _solve(wanted, connected, values)
        error = float(((wanted - np.einsum("ijt,jt->ij", connected, values)) ** 2).sum())
        fit = TypeFit(values, connected, error, int(connected.any(axis=1).sum()))
        if best is not None and error >= best.error * (1 - LEAST_GAIN):
            return min(best, fit, key=lambda item: item.error)
        best = fit
    assert best is not None
    return best


def _subsets(n_types: int) -> Array:
    """Sets of types [sets, types], set number S holding the types of its binary digits."""
    return np.asarray((np.arange(1 << n_types)[:, None] >> np.arange(n_types)) & 1, bool)


def _errors(distance: Array) -> Array:
    """Squared error [sources, sets] of every source if it had the types of a set: each neuron takes its best sum."""
    least = distance.copy()
    for step in (1 << place for place in range(distance.shape[2].bit_length() - 1)):
        pairs = least.reshape(*least.shape[:2], least.shape[2] // (2 * step), 2, step)
        np.minimum(pairs[..., 1, :], pairs[..., 0, :], out=pairs[..., 1, :])
    return np.asarray(least.sum(axis=1))


def _choose_sets(errors: Array, subsets: Array, n_axons: int) -> Array:
    """The number of the set [sources] of each source, at most ``n_axons`` types in all.

    Every source goes along the lower convex hull of its error against its axons; of all steps on all hulls the steepest are
    taken until one does not fit any more.
    """
    size = subsets.sum(axis=1)
    n, most = len(errors), int(size.max())
    by_size = np.stack([np.where(size == k, errors, np.inf).min(axis=1) for k in range(most + 1)], axis=1)
    subset = np.stack([np.where(size == k, errors, np.inf).argmin(axis=1) for k in range(most + 1)], axis=1)
    gain, source, to, cost = _hull_steps(by_size)
    order = np.argsort(-gain, kind="stable")
    taken = order[np.cumsum(cost[order]) <= n_axons]
    final = np.zeros(n, np.int64)
    np.maximum.at(final, source[taken], to[taken])
    return np.asarray(subset[np.arange(n), final])


def _hull_steps(by_size: Array) -> tuple[Array, Array, Array, Array]:
    """Steps along the lower convex hull of every row [n, axons]: error saved per axon, row, axons after it, axons it takes."""
    n, width = by_size.shape
    at = np.zeros(n, np.int64)
    none = np.zeros(0, np.int64)
    steps: list[tuple[Array, Array, Array, Array]] = [(np.zeros(0), none, none, none)]
    for _ in range(width - 1):
        ahead = np.arange(width)[None] - at[:, None]
        here = np.take_along_axis(by_size, at[:, None], axis=1)
        slope = np.where(ahead > 0, (here - by_size) / np.maximum(ahead, 1), -np.inf)
        to = slope.argmax(axis=1)
        gain = slope[np.arange(n), to]
        moving = np.flatnonzero(gain > 0)
        steps.append((gain[moving], moving, to[moving], (to - at)[moving]))
        at[moving] = to[moving]
    gain, source, to, cost = (np.concatenate(column) for column in zip(*steps, strict=True))
    return gain, source, to, cost


def _solve(wanted: Array, connected: Array, before: Array) -> Array:
    """The values [neurons, types] of least squared error; a type that a neuron does not use keeps its value."""
    uses = connected.astype(float)
    gram = np.einsum("ijs,ijt->jst", uses, uses)
    toward = np.einsum("ijt,ij->jt", uses, wanted)
    solved = np.einsum("jst,jt->js", np.linalg.pinv(gram, rcond=1e-10, hermitian=True), toward)
    return np.where(connected.any(axis=0), solved, before)

"""The best few values for the weights of one neuron, in least squares. Both searches are exact.

``best_levels``: n values, freely chosen, besides zero (one-dimensional k-means with one fixed centre, by dynamic programming over
the sorted weights: the clusters of an optimum are runs). ``best_multiples``: whole multiples of one free scale, as a digit code
has them (the candidates are the prefixes of one sorted list).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def best_levels(weights: Array, n_levels: int) -> tuple[Array, Array]:
    """Values [n_levels], ascending, and the weights [n] rounded to the nearest of them or to zero, with the least squared error.

    Values that nothing uses are 0. O(n² n_levels).
    """
    levels = np.zeros(n_levels)
    nonzero = weights[weights != 0]
    if not n_levels or not len(nonzero):
        return levels, np.zeros(len(weights))
    # Equal weights need no cluster of their own each: they count as often as they occur.
    value, often = np.unique(nonzero, return_counts=True)
    found = _best_runs(value, often.astype(float), min(n_levels, len(value)))
    levels[: len(found)] = found
    levels = np.sort(levels)
    choices = np.unique(np.append(levels, 0.0))
    return levels, choices[np.abs(weights[:, None] - choices[None]).argmin(axis=1)]


def _best_runs(value: Array, often: Array, n_levels: int) -> list[float]:
    """Means of at most ``n_levels`` runs of sorted values; one run more may go to zero."""
    n = len(value)
    count, total, square = (np.concatenate([[0.0], np.cumsum(often * value**power)]) for power in (0, 1, 2))

    def costs(end: int) -> tuple[Array, Array]:
        """Error of the runs [begin, end) for all begins < end: with their mean, and with zero."""
        zero = square[end] - square[:end]
        gain = (total[end] - total[:end]) ** 2 / (count[end] - count[:end])
        return np.maximum(zero - gain, 0.0), zero

    # best[z, k, end]: least error of the first ``end`` values with k runs, z of 0 or 1 runs at zero.
    best = np.full((2, n_levels + 1, n + 1), np.inf)
    best[:, 0, 0] = 0.0
    origin = np.zeros((2, n_levels + 1, n + 1, 2), np.int64)
    for end in range(1, n + 1):
        own, zero = costs(end)
        for z in range(2):
            for k in range(n_levels + 1):
                if k:
                    candidate = best[z, k - 1, :end] + own
                    begin = int(candidate.argmin())
                    if candidate[begin] < best[z, k, end]:
                        best[z, k, end], origin[z, k, end] = candidate[begin], (begin, 1)
                if z:
                    candidate = best[0, k, :end] + zero
                    begin = int(candidate.argmin())
                    if candidate[begin] < best[z, k, end]:
                        best[z, k, end], origin[z, k, end] = candidate[begin], (begin, 0)
    z, k = divmod(int(best[:, :, n].argmin()), n_levels + 1)
    means, end = [], n
    while end > 0:
        begin, own_level = origin[z, k, end]
        if own_level:
            means.append(float((total[end] - total[begin]) / (count[end] - count[begin])))
            k -= 1
        else:
            z = 0
        end = int(begin)
    return means


def best_multiples(weights: Array, low: int, high: int) -> tuple[float, Array]:
    """The scale s and whole numbers q [n] in low..high (low <= 0 <= high) with the least squared error of s q.

    A negative scale uses the range the other way round. For every s the best q is the nearest; as s falls from infinity, one
    weight after another moves up by one, weight w from k to k + 1 at s = |w| / (k + 1/2). Every q that is best for some s is thus
    a prefix of this list, and q alone decides the best s = <w, q> / <q, q> and the error |w|² - <w, q>² / <q, q>.
    """
    best: tuple[float, float, Array] = (0.0, 1.0, np.zeros(len(weights), np.int64))
    for sign in (1, -1):
        most = np.where(sign * weights > 0, high, -low)
        explained, q = _best_prefix(np.abs(weights), most)
        if explained > best[0] * (1 + 1e-12):
            q = q * np.sign(weights).astype(np.int64)
            best = explained, float(weights @ q) / float(q @ q), sign * q
            best = explained, sign * best[1], best[2]
    return best[1], best[2]


def _best_prefix(size: Array, most: Array) -> tuple[float, Array]:
    """Energy that the best q explains, and q [n] without signs, at most ``most`` [n]."""
    used = np.where(size > 0, most, 0)
    index = np.repeat(np.arange(len(size)), used)
    step = np.arange(len(index)) - np.repeat(np.cumsum(used) - used, used)
    if not len(index):
        return 0.0, np.zeros(len(size), np.int64)
    order = np.lexsort((step, -size[index] / (step + 0.5)))
    along, length = np.cumsum(size[index[order]]), np.cumsum(2 * step[order] + 1)
    explained = along**2 / length
    end = int(explained.argmax()) + 1
    return float(explained[end - 1]), np.bincount(index[order[:end]], minlength=len(size)).astype(np.int64)

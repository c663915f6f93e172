"""One neuron as integers: the form that its weights take, and the scale at which form and parameters come closest to whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.levels import best_levels, best_multiples
from neurocore.compiler.quantisation import Quantise

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """A neuron's weights as a table of numbers and, for every synapse, its sum of them: the table is what becomes integer.

    With ``ratio`` the integers must keep the table's proportions, as a digit code asks.
    """

    table: Array
    parts: Array
    ratio: Array | None = None


def form_of(weight: Array, method: Quantise) -> Form:
    """The form of a neuron's weights [synapses] by ``weight_bits`` or ``levels``, the one with the least squared error."""
    assert method.number is not None, "weight_bits and levels carry their number"
    if method.method == "weight_bits":
        low, high = method.multiples
        scale, q = best_multiples(weight, low, high)
        sign = -1 if scale < 0 else 1
        return Form(np.array([abs(scale)]), sign * q[:, None], np.array([max(-low, high)]))
    _, rounded = best_levels(weight, method.number)
    table, index = np.unique(rounded, return_inverse=True)
    return Form(table, np.eye(len(table), dtype=np.int64)[index])


def best_scale(form: Form, weight: Array, parameters: Array, arch: Architecture) -> tuple[float, Array]:
    """The factor by which a neuron is multiplied, and its table as integers.

    Tried are the factors that bring the table's largest entry to an integer in the upper half of the range of weights (all of it
    for a digit code), as far as the parameters stay within theirs; the one with the least relative error, weights and
    parameters together, is taken.
    """
    limit = min(arch.neuron.weight.max, -arch.neuron.weight.min)
    if form.ratio is not None:
        limit = max(1, limit // int(form.ratio[0]))
    largest = float(np.abs(form.table).max(initial=0.0))
    most = _largest_scale(parameters, arch)
    if largest > 0:
        least = 1 if form.ratio is not None else limit // 2 + 1
        candidates = np.arange(least, limit + 1) / largest
        candidates = candidates[candidates <= most]
    else:
        candidates = np.zeros(0)
    if not len(candidates):
        top = min(most, limit / largest if largest else most)
        candidates = np.linspace(top / 2, top, 64) if np.isfinite(top) else np.ones(1)
    table = np.round(candidates[:, None] * form.table[None])
    error = _table_errors(form, table / candidates[:, None], weight) + _rounding_errors(parameters, candidates)
    best = int(error.argmin())
    return float(candidates[best]), table[best].astype(np.int64)


def _largest_scale(parameters: Array, arch: Architecture) -> float:
    limits = arch.neuron
    ranges = (limits.threshold, limits.reset, limits.floor, limits.leak, limits.membrane)
    scales = [
        (span.max if value > 0 else -span.min) / abs(value)
        for value, span in zip(parameters.tolist(), ranges, strict=True)
        if value and np.isfinite(value)
    ]
    return float(min(scales, default=np.inf))


def _table_errors(form: Form, table: Array, weight: Array) -> Array:
    """Relative squared error [candidates] of the weights if the table had these values [candidates, entries]."""
    energy = float(weight @ weight)
    if energy == 0:
        return np.zeros(len(table))
    # |w - P x|² = |w|² - 2 x Pᵀw + xᵀ PᵀP x needs no array of candidates by synapses.
    toward, gram = form.parts.T @ weight, form.parts.T.astype(float) @ form.parts
    error = energy - 2 * table @ toward + np.einsum("ki,ij,kj->k", table, gram, table)
    return np.asarray(error / energy)


def _rounding_errors(parameters: Array, scale: Array) -> Array:
    """Sum of the relative squared errors [candidates] of the parameters."""
    known = parameters[np.isfinite(parameters) & (parameters != 0)]
    scaled = scale[:, None] * known[None]
    return np.asarray((((np.round(scaled) - scaled) / scaled) ** 2).sum(axis=1))

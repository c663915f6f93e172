"""The arithmetic of a neuron, one function per step of a tick (chip.md; Cassidy et al., IJCNN 2013).

Plain NumPy on arrays of any equal shape, written to be read; the oracle engine and the compiler's reference simulator are
built on it. All values are int32 and wrap at 32 bits where a chip has no clamp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, Rules

I32 = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


def chance(magnitude: npt.NDArray[Any], draw: npt.NDArray[Any]) -> I32:
    """F(s, rho) sgn(s): a step of one in the direction of ``s`` if ``|s| >= rho``; nothing if s = 0."""
    step: I32 = np.where(np.abs(magnitude) >= draw, np.sign(magnitude), 0).astype(np.int32)
    return step


def leaked(membrane: I32, leak: npt.NDArray[Any], reversal: Flags, rules: Rules) -> I32:
    """Step 2: add Omega times the leak; ``leak`` is already the random step where the leak is stochastic."""
    sign = np.sign(membrane)
    result: I32 = (membrane + np.where(reversal, sign, 1) * leak).astype(np.int32)
    if rules.leak_stops_at_zero:
        result = np.where(reversal & (np.sign(result) != sign), 0, result).astype(np.int32)
    return result


def fired_and_reset(
    membrane: I32,
    *,
    threshold: npt.NDArray[Any],
    floor: npt.NDArray[Any],
    random: npt.NDArray[Any],
    reset: npt.NDArray[Any],
    reset_mode: npt.NDArray[Any],
    floor_mode: npt.NDArray[Any],
    architecture: Architecture,
) -> tuple[I32, Flags]:
    """Steps 3 and 4: threshold, reset, floor and clamp.

    ``random`` is eta, zero where no mask is set. Returns the membrane at the end of the tick and who fired.
    """
    alpha = threshold.astype(np.int32) + random.astype(np.int32)
    beta = floor.astype(np.int32) + np.where(floor_mode == 1, 0, random).astype(np.int32)
    fires = membrane >= alpha
    low = membrane <= -beta if architecture.rules.floor_inclusive else membrane < -beta
    low &= ~fires

    after_spike = np.choose(reset_mode, (reset.astype(np.int32), membrane - alpha, membrane))
    bounced = np.choose(reset_mode, (-reset.astype(np.int32), membrane + beta, membrane))
    after_floor = np.where(floor_mode == 1, -beta, bounced)
    result = np.where(fires, after_spike, np.where(low, after_floor, membrane)).astype(np.int32)

    if architecture.rules.clamp:
        limits = architecture.neuron.membrane
        if architecture.rules.clamp_fires:
            fires = fires | (result > limits.max)
        result = np.clip(result, limits.min, limits.max).astype(np.int32)
    return result, fires

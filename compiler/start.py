"""Start values of neurons that run late on the chip.

A neuron that starts tau ticks late idles tau ticks before its time 0, under its leak. Its membrane before the chip's tick 0 must
be such that the idling ends at V(0), without a spike and without meeting its floor or the clamp on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import neuron
from neurocore.architecture import Architecture

Array = npt.NDArray[Any]


def shifted_start(parameters: dict[str, Array], late: Array, arch: Architecture) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Membranes [N] before the chip's tick 0 for neurons that start ``late`` [N] ticks late, and where there is one.

    Tried, in this order: V(0) itself (an idle fixed point), V(0) - tau leak, V(0) - tau sgn(V(0)) leak. Each is verified by
    idling. A random leak moves the membrane in ways that cannot be undone; a random threshold only ever adds, so that idling is
    checked without it.
    """
    initial = parameters["initial"]
    leak = parameters["leak"]
    start = initial.copy()
    done = late == 0
    random = (parameters["leak_stochastic"] != 0) & (leak != 0)
    for candidate in (initial, initial - late * leak, initial - late * np.sign(initial) * leak):
        open_ = np.flatnonzero(~done & ~random)
        if not len(open_):
            break
        part = {name: values[open_] for name, values in parameters.items()}
        good = _idles_to(part, candidate[open_], initial[open_], late[open_], arch)
        start[open_[good]] = candidate[open_[good]]
        done[open_[good]] = True
    return start, done


def _idles_to(
    parameters: dict[str, Array], start: Array, goal: Array, late: Array, arch: Architecture
) -> npt.NDArray[np.bool_]:
    """Whether a membrane that starts at ``start`` reaches ``goal`` after ``late`` ticks without input, undisturbed."""
    limits = arch.neuron.membrane
    good = (start >= limits.min) & (start <= limits.max)
    membrane = np.clip(start, limits.min, limits.max).astype(np.int32)
    random = parameters["threshold_mask_bits"] != 0
    modes = {name: parameters[name] for name in ("threshold", "floor", "reset", "reset_mode", "floor_mode")}
    for tick in range(int(late.max(initial=0))):
        moved = neuron.leaked(
            membrane, parameters["leak"].astype(np.int32), parameters["leak_reversal"] != 0, arch.rules
        )
        after, fired = neuron.fired_and_reset(moved, **modes, random=np.zeros(len(moved), np.int32), architecture=arch)
        running = tick < late
        # A random part of threshold and floor only ever moves them outwards; what they do without it must be nothing. Below the
        # floor a linear reset by 0 is nothing, but by a random part it is not.
        low = moved <= -parameters["floor"] if arch.rules.floor_inclusive else moved < -parameters["floor"]
        good &= ~(running & (fired | (random & (low | (after != moved)))))
        if not (running & (after != membrane)).any():
            break
        membrane = np.where(running, after, membrane).astype(np.int32)
    return np.asarray(good & (membrane == goal))

"""What the images of late neurons do before their time 0: nothing reaches them, and they must not fire."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import neuron
from neurocore.architecture import Architecture

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def idled(initial: Array, late: Array, parameters: dict[str, Array], arch: Architecture) -> tuple[Array, Flags]:
    """Membranes [n] after ``late`` [n] ticks without input, and which neurons [n] are disturbed on the way.

    ``parameters`` [n] are named as in IntegerNetwork. A neuron is disturbed if it fires, or if random numbers move it. From equal
    membranes the same follows, so that a neuron that is back where it was k ticks ago skips all multiples of k that are left.
    """
    disturbed = (late > 0) & (parameters["leak_stochastic"] != 0) & (parameters["leak"] != 0)
    membrane, left = initial.astype(np.int32), np.where(disturbed, 0, late)
    tick, known, known_at = 0, membrane, 0
    while (idle := left > 0).any():
        after, moved = _tick(membrane, parameters, arch)
        disturbed |= idle & moved
        membrane = np.where(idle, after, membrane)
        left = np.where(disturbed, 0, left - idle)
        tick += 1
        back = (left > 0) & (membrane == known)
        left[back] %= tick - known_at
        if tick & (tick - 1) == 0:
            known, known_at = membrane, tick
    return membrane, disturbed


def _tick(membrane: Array, parameters: dict[str, Array], arch: Architecture) -> tuple[Array, Flags]:
    """Membranes [n] one idle tick later, and which neurons fire or may be moved by a random threshold.

    Random numbers only ever move threshold and floor outwards. What stays within both without them does so with any.
    """
    leak, reversal = parameters["leak"].astype(np.int32), parameters["leak_reversal"] != 0
    leaked = neuron.leaked(membrane, leak, reversal, arch.rules)
    names = ("threshold", "floor", "reset", "reset_mode", "floor_mode")
    modes = {name: parameters[name] for name in names}
    after, fired = neuron.fired_and_reset(leaked, **modes, random=np.zeros(len(leaked), np.int32), architecture=arch)
    floor = -parameters["floor"]
    low = leaked <= floor if arch.rules.floor_inclusive else leaked < floor
    return after, fired | ((parameters["threshold_mask_bits"] != 0) & (low | (after != leaked)))

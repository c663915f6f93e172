"""Saved states of an emulator: whether one belongs to a chip, a seed and the numbers that a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig
from neurocore.errors import InputError
from neurocore.wording import shown

Array = npt.NDArray[Any]


def check_state(chip: ChipConfig, seed: int, state: Mapping[str, Array], like: Mapping[str, Array]) -> None:
    """Raise InputError unless an emulator of ``chip`` and ``seed`` may continue from ``state``.

    ``like`` is its present state, of which the saved one has the arrays, types and shapes; only spikes on their way may be more.
    """
    if not isinstance(state, Mapping):
        raise InputError(f"a saved state is {shown(state)}; what save_state() gives was expected")
    for name, array in like.items():
        found = _as_array(state.get(name))
        fits = found.shape == array.shape or (name == "waiting" and found.ndim == 2 and len(found) == 3)
        if found.dtype != array.dtype or not fits:
            raise InputError(f"the saved state does not fit the chip: {name!r} should be {array.dtype} {array.shape}")
    if (state["chip"] != like["chip"]).any():
        raise InputError(f"the state was saved from another chip than {chip.name!r}")
    if int(state["seed"][0]) != seed:
        raise InputError(f"the state was saved with seed {int(state['seed'][0])}; this emulator has {seed}")
    _check_values(chip, state)


def _as_array(found: object) -> Array:
    """What a state holds as an array; one of no numbers if it is none."""
    try:
        return np.asarray(found)
    except Exception:
        # What makes an array of an object is its own code, which may raise anything.
        return np.zeros(0, object)


def _check_values(chip: ChipConfig, state: Mapping[str, Array]) -> None:
    """Raise InputError if a state holds numbers that no run could have left."""
    arch, tick = chip.architecture, int(state["tick"][0])
    rows, axons = len(chip.cores), arch.core.axons
    when, row, axon = state["waiting"]
    clamp = arch.neuron.membrane
    membrane = state["membrane"]
    outside = arch.rules.clamp and ((membrane < clamp.min) | (membrane > clamp.max)).any()
    wrong = {
        "tick": tick < 0,
        "membrane": bool(outside),
        "pending": bool((state["pending"] < state["scheduler"].sum(axis=2)).any()),
        "waiting": bool(
            (when < tick).any()
            or (np.diff(when) < 0).any()
            or ((row < 0) | (row >= rows) | (axon < 0) | (axon >= axons)).any()
        ),
    }
    for name, bad in wrong.items():
        if bad:
            raise InputError(f"the saved state is damaged: {name!r} holds values that no run leaves behind")

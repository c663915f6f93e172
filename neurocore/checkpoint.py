"""Checkpoints: a run's state and all that it has recorded, so that it can go on later as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurocore import container
from neurocore.chipfile import checked, get_array, get_text, put_arrays, put_text
from neurocore.emulator import Emulator
from neurocore.errors import InputError, UsageError
from neurocore.result import RunResult, join_runs
from neurocore.runfile import get_run, put_run
from neurocore.spikes import Spikes

if TYPE_CHECKING:
    import h5py

VERSION = 1
KIND = "checkpoint"

STATE = {
    "tick": np.int64,
    "membrane": np.int32,
    "scheduler": np.bool_,
    "pending": np.int64,
    "waiting": np.int64,
    "seed": np.uint64,
    "chip": np.uint8,
}
"""Arrays of :meth:`Emulator.save_state` and their types."""


def save_checkpoint(path: str, emulator: Emulator, run: RunResult) -> None:
    """Write where an emulator stands and what it has recorded so far. Raises OutputError if it cannot be written."""

    def fill(file: h5py.File) -> None:
        put_text(file, "description", json.dumps({"chip_digest": run.chip.digest}))
        put_arrays(file.create_group("state"), emulator.save_state())
        put_run(file.create_group("run"), run)

    container.write(path, KIND, VERSION, fill)


def load_checkpoint(path: str, emulator: Emulator) -> RunResult:
    """Bring an emulator to where a checkpoint stands; returns what was recorded until then.

    Raises InputError for a damaged file, or one of another chip, seed or set of probes.
    """

    def read(file: h5py.File) -> tuple[dict[str, npt.NDArray[Any]], RunResult, str]:
        state = {name: get_array(file["state"], name, kind) for name, kind in STATE.items()}
        return state, get_run(file["run"]), str(json.loads(get_text(file, "description"))["chip_digest"])

    with container.open_checked(path, KIND, VERSION) as file:
        state, run, digest = checked(path, lambda: read(file))
    if digest != emulator.chip.digest():
        raise InputError(f"{path} was saved from chip {run.chip.name!r}, which is not the chip given")
    if set(run.probes) != set(emulator.probes):
        raise InputError(f"{path} was recorded with probes {sorted(run.probes)}; give the same ones to go on")
    emulator.load_state(state)
    return run


def run_with_checkpoints(
    emulator: Emulator,
    spikes: Spikes,
    ticks: int,
    path: str | None,
    every: int | None,
    resume: str | None,
    progress: Callable[[int, int], None],
) -> RunResult:
    """Run up to tick ``ticks``, from the start or from the checkpoint ``resume``; save one to ``path`` every so many ticks."""
    done = load_checkpoint(resume, emulator) if resume is not None else None
    if done is not None and emulator.tick > ticks:
        raise UsageError(f"{resume} stands at tick {emulator.tick}, beyond the {ticks} ticks asked for")
    while done is None or emulator.tick < ticks:
        start = emulator.tick
        size = min(every or ticks, ticks - start)
        part = emulator.run(spikes.window(start, start + size), size, progress=_offset(progress, start, ticks))
        done = part if done is None else join_runs(done, part)
        if path is not None:
            save_checkpoint(path, emulator, done)
    return done


def _offset(progress: Callable[[int, int], None], start: int, ticks: int) -> Callable[[int, int], None]:
    """Progress of a part that begins at ``start`` as progress of the whole."""
    return lambda done, _: progress(start + done, ticks)

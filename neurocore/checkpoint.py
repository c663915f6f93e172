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
from neurocore.recorder import Recorder
from neurocore.recording import Recording
from neurocore.runfile import get_recording, put_recording
from neurocore.spikes import Spikes
from neurocore.wording import counted

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


def save_checkpoint(path: str, emulator: Emulator, recording: Recording) -> None:
    """Write where an emulator stands and what it has recorded so far. Raises OutputError if it cannot be written."""

    def fill(file: h5py.File) -> None:
        put_text(file, "description", json.dumps({"chip_digest": recording.head.chip.digest}))
        put_arrays(file.create_group("state"), emulator.save_state())
        put_recording(file.create_group("run"), recording)

    container.write(path, KIND, VERSION, fill)


def load_checkpoint(path: str, recorder: Recorder) -> None:
    """Bring a recorder and its emulator to where a checkpoint stands.

    Raises InputError for a damaged file, or one of another chip, seed or set of probes.
    """

    def read(file: h5py.File) -> tuple[dict[str, npt.NDArray[Any]], Recording, str]:
        state = {name: get_array(file["state"], name, kind) for name, kind in STATE.items()}
        return state, get_recording(file["run"]), str(json.loads(get_text(file, "description"))["chip_digest"])

    emulator = recorder.emulator
    with container.open_checked(path, KIND, VERSION) as file:
        state, recording, digest = checked(path, lambda: read(file))
        if digest != emulator.chip.digest():
            raise InputError(f"{path} was saved from chip {recording.head.chip.name!r}, which is not the chip given")
        if set(recording.head.probes) != set(emulator.probes):
            raise InputError(
                f"{path} was recorded with probes {sorted(recording.head.probes)}; give the same ones to go on"
            )
        emulator.load_state(state)
        recorder.absorb(recording)


def run_with_checkpoints(
    recorder: Recorder,
    spikes: Spikes,
    ticks: int,
    path: str | None,
    every: int | None,
    resume: str | None,
    progress: Callable[[int, int], None],
) -> None:
    """Run up to tick ``ticks``, from the start or from the checkpoint ``resume``; save one to ``path`` every so many ticks.

    Memory does not grow with the ticks. A checkpoint holds all that was recorded, so that each takes longer than the one before.
    """
    emulator = recorder.emulator
    if resume is not None:
        load_checkpoint(resume, recorder)
        if emulator.tick > ticks:
            raise UsageError(f"{resume} stands at tick {emulator.tick}, beyond the {counted(ticks, 'tick')} asked for")
    while True:
        start = emulator.tick
        stop = min(start + (every or ticks), ticks)
        recorder.run(emulator.due(spikes, start, stop), stop, _offset(progress, start, ticks))
        if path is not None:
            save_checkpoint(path, emulator, recorder.recording())
        if emulator.tick >= ticks:
            return


def _offset(progress: Callable[[int, int], None], start: int, ticks: int) -> Callable[[int, int], None]:
    """Progress of a part that begins at ``start`` as progress of the whole."""
    return lambda done, _: progress(start + done, ticks)

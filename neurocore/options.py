"""What a caller asks of an emulator, checked before anything is done: chip, engine, threads, seed and ticks."""

from __future__ import annotations

import numpy as np

from neurocore.config import ChipConfig
from neurocore.errors import UsageError
from neurocore.inputs import SpikeInput, is_raster
from neurocore.wording import did_you_mean

ENGINES = ("compiled", "oracle")


def check_chip(chip: ChipConfig) -> None:
    """Raise UsageError for what is no compiled chip."""
    if not isinstance(chip, ChipConfig):
        raise UsageError(
            f"an emulator takes a compiled chip, not {type(chip).__name__}: neurocore.compile(network) makes one,"
            " neurocore.load(path) reads one"
        )


def check_threads(threads: int | None) -> None:
    """Raise UsageError for less than a thread; None leaves the number open."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; at least 1 is needed")


def check_engine(engine: str) -> None:
    """Raise UsageError for an engine that there is not."""
    if engine not in ENGINES:
        raise UsageError(f"engine is {engine!r}; there are {', '.join(ENGINES)}{did_you_mean(engine, ENGINES)}")


def checked_seed(seed: int) -> int:
    """A seed as a plain number. Raises UsageError for anything that is no 64-bit one."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed!r}; a seed is a whole number in 0..2^64-1")
    return int(seed)


def check_ticks(ticks: int) -> None:
    """Raise UsageError for less than no ticks."""
    if ticks < 0:
        raise UsageError(f"ticks is {ticks}; a run has 0 ticks or more")


def asked_ticks(spikes: SpikeInput, ticks: int | None, dilation: int) -> int:
    """The chip's ticks to run; those of a raster, whose rows are ticks of the network, if none are given."""
    if ticks is None:
        if not is_raster(spikes):
            raise UsageError("ticks is missing: say how many ticks to run")
        ticks = len(np.asarray(spikes)) * dilation
    check_ticks(ticks)
    return ticks

"""What a caller asks of an emulator, checked before anything is done: chip, engine, threads, seed and ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurocore.config import ChipConfig
from neurocore.errors import UsageError
from neurocore.inputs import SpikeInput, in_order, is_raster
from neurocore.spikes import MAX_VALUE
from neurocore.wording import did_you_mean, is_whole, shown

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
    if threads is not None and (not is_whole(threads) or threads < 1):
        raise UsageError(f"threads is {shown(threads)}; at least 1 is needed")


def check_engine(engine: str) -> None:
    """Raise UsageError for an engine that there is not."""
    if not isinstance(engine, str) or engine not in ENGINES:
        raise UsageError(f"engine is {shown(engine)}; there are {', '.join(ENGINES)}{did_you_mean(engine, ENGINES)}")


def checked_probes(probes: str | Sequence[str]) -> list[str]:
    """Probes as a list of texts. Raises UsageError for anything else."""
    names = [probes] if isinstance(probes, str) else in_order("probes", probes, "names of populations")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise UsageError(f"a probe is {shown(wrong[0])}; give the name of a population, or NAME:membrane")
    return names


def checked_seed(seed: int) -> int:
    """A seed as a plain number. Raises UsageError for anything that is no 64-bit one."""
    if not is_whole(seed) or not 0 <= seed < 2**64:
        raise UsageError(f"seed is {shown(seed)}; a seed is a whole number in 0..2^64-1")
    return int(seed)


def check_ticks(ticks: int) -> None:
    """Raise UsageError for what is no number of ticks, and for more of them than there are."""
    if not is_whole(ticks) or not 0 <= ticks <= MAX_VALUE:
        raise UsageError(f"ticks is {shown(ticks)}; a run has 0 ticks or more, a whole number up to {MAX_VALUE}")


def check_progress(progress: Callable[[int, int], None] | None) -> None:
    """Raise UsageError for what cannot be called."""
    if progress is not None and not callable(progress):
        raise UsageError(f"progress is {shown(progress)}; a function of (done, ticks) was expected")


def asked_ticks(spikes: SpikeInput, ticks: int | None, dilation: int) -> int:
    """The chip's ticks to run; those of a raster, whose rows are ticks of the network, if none are given."""
    if ticks is None:
        if not is_raster(spikes):
            raise UsageError("ticks is missing: say how many ticks to run")
        ticks = len(np.asarray(spikes)) * dilation
    check_ticks(ticks)
    return int(ticks)

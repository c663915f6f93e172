"""The published benchmark: recurrent networks that load every part of the chip (Merolla et al., Science 2014, supplement S7).

Every axon is driven by one neuron somewhere on the chip, drawn at random, over a delay of 1..15 ticks; every axon reaches K
random neurons of its core. Weights are balanced, so that the rate follows from leak and threshold and hardly from K.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from neurocore.architecture import Architecture, load_architecture
from neurocore.config import ChipConfig, Cores, blank_arrays
from neurocore.emulator import Emulator, available_threads
from neurocore.errors import UsageError

WINDOWS = 7
WARM_UP = 32


def recurrent_chip(
    chip: str | Architecture, n_cores: int, rate_hz: float, synapses: int, *, stochastic: bool = True, seed: int = 1
) -> ChipConfig:
    """A recurrent benchmark chip whose neurons fire about ``rate_hz`` times per 1,000 ticks."""
    arch = load_architecture(chip)
    if not 1 <= n_cores <= arch.n_cores:
        raise UsageError(f"{n_cores} cores were asked for; {arch.name!r} has {arch.n_cores}")
    if synapses > arch.core.neurons:
        raise UsageError(
            f"{synapses} synapses per axon were asked for; a core of {arch.name!r} has {arch.core.neurons} neurons"
        )
    rng = np.random.default_rng(seed)
    arrays = blank_arrays(arch, n_cores)
    shape = arrays["leak"].shape
    arrays["core"][:] = np.arange(n_cores)
    arrays["stream"][:] = np.arange(n_cores)
    arrays["crossbar"][:] = _random_rows(rng, n_cores, arch, synapses)
    arrays["axon_type"][:] = np.arange(arch.core.axons) % arch.core.axon_types
    arrays["weight"][:] = np.resize([1, -1, 2, -2], arch.core.axon_types)[None, :, None]
    arrays["configured"][:] = True
    _set_drive(arrays, rng, arch, rate_hz, stochastic)
    order = rng.permutation(arrays["leak"].size).reshape(shape)
    arrays["target_core"][:] = order // arch.core.neurons
    arrays["target_axon"][:] = order % arch.core.neurons % arch.core.axons
    arrays["delay"][:] = rng.integers(arch.routing.delay.min, arch.routing.delay.max, shape, endpoint=True)
    return ChipConfig(arch, Cores(**arrays), name="recurrent", seed=seed).validate()


def _random_rows(rng: np.random.Generator, n_cores: int, arch: Architecture, synapses: int) -> np.ndarray[Any, Any]:
    """Crossbar rows, each with ``synapses`` bits at random places."""
    from neurocore.config import pack_crossbar

    rows = [
        pack_crossbar(np.argsort(rng.random((arch.core.axons, arch.core.neurons), dtype=np.float32), axis=1) < synapses)
        for _ in range(n_cores)
    ]
    return np.stack(rows)


def _set_drive(
    arrays: dict[str, Any], rng: np.random.Generator, arch: Architecture, rate_hz: float, stochastic: bool
) -> None:
    """Leak, threshold and spread of start values that give the rate."""
    if rate_hz == 0:
        arrays["threshold"][:] = arch.neuron.threshold.max
        return
    period = 1000 / rate_hz
    draws = 2**arch.neuron.random_bits
    # A stochastic leak of magnitude m steps with probability (m + 1) / 2^bits.
    magnitude = draws // 2 - 1 if stochastic else 1
    threshold = max(1, round(period / 2 if stochastic else period))
    arrays["leak"][:] = magnitude
    arrays["leak_stochastic"][:] = stochastic
    arrays["threshold"][:] = threshold
    arrays["reset_mode"][:] = 1
    arrays["initial"][:] = rng.integers(0, threshold, arrays["initial"].shape)


LOAD = """
import resource, sys, time
from neurocore.chipfile import load_chip
from neurocore.emulator import Emulator
begun = time.perf_counter()
emulator = Emulator(load_chip(sys.argv[1]), threads=1)
emulator.run(None, 1)
unit = 1 if sys.platform == "darwin" else 1024
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
"""


def measure_load(chip: ChipConfig) -> dict[str, float]:
    """Time until the first tick is done, and peak memory, in a fresh process that loads the saved chip."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chip.h5")
        chip.save(path)
        # -P: the working folder may hold a source tree, which has no compiled parts.
        shown = subprocess.run(
            [sys.executable, "-P", "-c", LOAD, path], capture_output=True, text=True, check=True
        ).stdout
    seconds, megabytes = (float(value) for value in shown.split())
    return {"load_seconds": seconds, "peak_rss_mb": megabytes}


def measure(chip: ChipConfig, ticks: int, threads: int | None = None) -> dict[str, Any]:
    """Speed of a chip without input: the median of seven windows of ``ticks`` ticks after a warm-up."""
    emulator = Emulator(chip, threads=threads or available_threads())
    emulator.run(None, WARM_UP)
    speeds, runs = [], []
    for _ in range(WINDOWS):
        runs.append(emulator.run(None, ticks))
        speeds.append(ticks / runs[-1].seconds)
    events = sum(int(run.cores.synaptic_events.sum()) for run in runs)
    active = sum(int(run.cores.active_axons.sum()) for run in runs)
    spikes = sum(run.n_spikes for run in runs)
    speed = statistics.median(speeds)
    total = ticks * len(runs)
    return {
        "cores": len(chip.cores),
        "rate_hz": 1000 * spikes / (total * chip.n_neurons),
        "synapses_per_axon": events / active if active else 0.0,
        "threads": emulator.threads,
        "ticks_per_second": speed,
        "real_time_factor": speed / 1000,
        "sops_per_second": speed * events / total,
        "windows": WINDOWS,
        "slowest_window": min(speeds),
        "fastest_window": max(speeds),
        "processors": os.cpu_count(),
    }

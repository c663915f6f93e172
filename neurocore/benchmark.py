"""Measures the emulator on the recurrent benchmark: speed, memory, and the sweep over rates and synapses."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from neurocore.architecture import Architecture, load_architecture
from neurocore.bandwidth import bytes_per_tick, copy_bandwidth, largest_cache, working_set
from neurocore.calibration import find_drive
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator, usual_threads
from neurocore.recurrent import Workload, build_chip, drive_cores, wire
from neurocore.result import RunResult, join_runs

WINDOWS = 7
WARM_UP = 100
"""Ticks before the first window; the start values are those of a network at work, so that only the delays have to fill."""
REAL_TIME = 1000
"""Ticks per second of the chip itself."""
GRID_RATES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 150.0, 200.0)
GRID_SHARES = (0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
"""Synapses per axon of the sweep, as shares of a core's neurons."""
STEPS = 2000

# The peak that getrusage reports begins, on Linux, with that of the process that started this one; VmHWM does not.
LOAD = """
import os, resource, sys, time
from neurocore.chipfile import load_chip
from neurocore.emulator import Emulator
begun = time.perf_counter()
emulator = Emulator(load_chip(sys.argv[1]), threads=1)
emulator.run(None, 1)
seconds = time.perf_counter() - begun
if os.path.exists("/proc/self/status"):
    peak = next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(seconds, peak / 1e6)
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


def run_windows(chip: ChipConfig, ticks: int, threads: int | None = None) -> list[RunResult]:
    """Seven windows of ``ticks`` ticks each, after a warm-up, without input."""
    emulator = Emulator(chip, threads=threads)
    emulator.run(None, WARM_UP)
    return [emulator.run(None, ticks) for _ in range(WINDOWS)]


def join_windows(windows: Sequence[RunResult]) -> RunResult:
    """The measured windows as one run."""
    return reduce(join_runs, windows)


def summarise(workload: Workload, windows: Sequence[RunResult], bandwidth: float) -> dict[str, Any]:
    """The fields of ``bench recurrent --json`` but those of the fresh process.

    Rate and synapses are means over the measured windows, the speed is their median. ``rate_hz`` is that of the cores that
    take part. ``bandwidth`` is in bytes per second; see :func:`neurocore.bandwidth.copy_bandwidth`.
    """
    whole, arch = join_windows(windows), windows[0].chip.architecture
    speeds = [window.ticks_per_second for window in windows]
    speed = statistics.median(speeds)
    active = len(workload.active_rows())
    events, axons = int(whole.cores.synaptic_events.sum()), int(whole.cores.active_axons.sum())
    touched = bytes_per_tick(arch, active, axons / whole.ticks, whole.n_spikes / whole.ticks)
    return {
        "chip": arch.name,
        "variant": workload.variant,
        "seed": workload.seed,
        "cores": workload.cores,
        "active_cores": active,
        "asked_rate_hz": workload.rate_hz,
        "rate_hz": 1000 * whole.n_spikes / (whole.ticks * active * arch.core.neurons),
        "synapses_per_axon": events / axons if axons else float(workload.synapses),
        "threads": whole.threads,
        "processors": os.cpu_count(),
        "warm_up_ticks": WARM_UP,
        "windows": len(windows),
        "window_ticks": windows[0].ticks,
        "ticks_per_second": speed,
        "slowest_window": min(speeds),
        "fastest_window": max(speeds),
        "real_time_factor": speed / REAL_TIME,
        "sops_per_second": speed * events / whole.ticks,
        "spikes_per_second": speed * whole.n_spikes / whole.ticks,
        "bytes_per_tick": touched,
        "copy_bandwidth_bytes_per_second": bandwidth,
        "bandwidth_share": speed * touched / bandwidth,
        "working_set_bytes": working_set(arch, active),
        "cache_bytes": largest_cache(),
    }


def grid_synapses(arch: Architecture) -> tuple[int, ...]:
    """Synapses per axon that the sweep visits unless told otherwise, ascending."""
    return tuple(sorted({round(share * arch.core.neurons) for share in GRID_SHARES}))


def sweep(
    chip: str | Architecture,
    workload: Workload,
    rates: Sequence[float],
    synapses: Sequence[int],
    ticks: int,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Measure every pair of rate and synapses; networks of equal synapses share their wiring. Yields the points one by one."""
    arch = load_architecture(chip)
    count = threads or usual_threads(workload.cores)
    bandwidth = copy_bandwidth(count)
    for number in synapses:
        workload = replace(workload, synapses=number).check(arch)
        wired = wire(arch, workload)
        for rate in rates:
            workload = replace(workload, rate_hz=rate).check(arch)
            progress(f"{rate:g} Hz, {number} synapses per axon")
            cores = drive_cores(wired, arch, workload, find_drive(arch, workload, wired))
            driven = ChipConfig(arch, cores, name="recurrent", seed=workload.seed)
            yield summarise(workload, run_windows(driven, ticks, count), bandwidth)


def measure_small(chip: str | Architecture, workload: Workload, ticks: int) -> dict[str, Any]:
    """Speed of a small chip on one thread: ticks per second of one ``run``, and the time of a ``step``."""
    emulator = Emulator(build_chip(chip, workload), threads=1)
    emulator.run(None, WARM_UP)
    result = emulator.run(None, ticks)
    begun = time.perf_counter()
    for _ in range(STEPS):
        emulator.step()
    per_step = (time.perf_counter() - begun) / STEPS
    return {
        "cores": workload.cores,
        "rate_hz": 1000
        * result.n_spikes
        / (ticks * len(workload.active_rows()) * result.chip.architecture.core.neurons),
        "ticks": ticks,
        "seconds": result.seconds,
        "ticks_per_second": result.ticks_per_second,
        "steps": STEPS,
        "step_microseconds": 1e6 * per_step,
    }

"""Measures the emulator on the recurrent benchmark: speed, memory, and the sweep over rates and synapses."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import attrgetter
from typing import Any

from neurocore.architecture import Architecture, load_architecture
from neurocore.bandwidth import bytes_per_tick, copy_bandwidth, largest_cache, working_set
from neurocore.calibration import find_drive
from neurocore.config import ChipConfig, Cores
from neurocore.emulator import Emulator, usual_threads
from neurocore.recurrent import Drive, Workload, build_chip, drive_cores, wire
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


@dataclass(frozen=True)
class Window:
    """What is kept of a measured run."""

    ticks: int
    threads: int
    ticks_per_second: float
    spikes: int
    synaptic_events: int
    active_axons: int

    @classmethod
    def of(cls, run: RunResult) -> Window:
        """The window that a run is."""
        events, axons = run.cores.synaptic_events.sum(), run.cores.active_axons.sum()
        return cls(run.ticks, run.threads, run.ticks_per_second, run.n_spikes, int(events), int(axons))


def summarise(arch: Architecture, workload: Workload, windows: Sequence[Window], bandwidth: float) -> dict[str, Any]:
    """The fields of ``bench recurrent --json`` but those of the fresh process.

    Rate and synapses are means over the measured windows, the speed is their median. ``rate_hz`` is that of the cores that
    take part. ``bandwidth`` is in bytes per second; see :func:`neurocore.bandwidth.copy_bandwidth`.
    """
    speeds = [window.ticks_per_second for window in windows]
    speed = statistics.median(speeds)
    active = len(workload.active_rows())
    ticks, spikes = sum(window.ticks for window in windows), sum(window.spikes for window in windows)
    events, axons = sum(window.synaptic_events for window in windows), sum(window.active_axons for window in windows)
    touched = bytes_per_tick(arch, active, axons / ticks, spikes / ticks)
    return {
        "chip": arch.name,
        "variant": workload.variant,
        "seed": workload.seed,
        "cores": workload.cores,
        "active_cores": active,
        "asked_rate_hz": workload.rate_hz,
        "rate_hz": 1000 * spikes / (ticks * active * arch.core.neurons),
        "synapses_per_axon": events / axons if axons else float(workload.synapses),
        "threads": windows[0].threads,
        "processors": os.cpu_count(),
        "warm_up_ticks": WARM_UP,
        "windows": len(windows),
        "window_ticks": windows[0].ticks,
        "ticks_per_second": speed,
        "slowest_window": min(speeds),
        "fastest_window": max(speeds),
        "real_time_factor": speed / REAL_TIME,
        "sops_per_second": speed * events / ticks,
        "spikes_per_second": speed * spikes / ticks,
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
    """Measure every pair of rate and synapses. Yields the points one by one, ascending by synapses.

    The windows of a point lie in seven rounds over all points, minutes apart, each with a seed of its own: what else the machine
    does for a while meets a window or two of each, and the medians hardly.
    """
    arch = load_architecture(chip)
    count = threads or usual_threads(workload.cores)
    bandwidth = copy_bandwidth(count)
    points = [replace(workload, synapses=number, rate_hz=rate).check(arch) for number in synapses for rate in rates]
    drives: dict[Workload, Drive] = {}
    windows: dict[Workload, list[Window]] = {point: [] for point in points}
    for number in range(WINDOWS):
        for wired, point in _wired_in_turn(arch, points):
            progress(f"round {number + 1} of {WINDOWS}: {point.rate_hz:g} Hz, {point.synapses} synapses per axon")
            if point not in drives:
                drives[point] = find_drive(arch, point, wired)
            driven = ChipConfig(arch, drive_cores(wired, arch, point, drives[point]), name="recurrent", seed=number)
            windows[point].append(_measure_window(driven, ticks, count))
    for point in points:
        yield summarise(arch, point, windows[point], bandwidth)


def _wired_in_turn(arch: Architecture, points: Sequence[Workload]) -> Iterator[tuple[Cores, Workload]]:
    """Each point with its wired cores, which those of equal synapses that follow each other share."""
    for _, alike in groupby(points, key=attrgetter("synapses")):
        wired = None
        for point in alike:
            wired = wired or wire(arch, point)
            yield wired, point


def _measure_window(chip: ChipConfig, ticks: int, threads: int) -> Window:
    """One window, after a warm-up, without input."""
    emulator = Emulator(chip, threads=threads)
    emulator.run(None, WARM_UP)
    return Window.of(emulator.run(None, ticks))


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

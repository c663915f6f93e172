"""Compares the engine's speed with a stored baseline and shows what changed by more than 10 %.

    python tools/check_speed.py                 compare; exit code 1 if a point is slower by more than 10 %
    python tools/check_speed.py --refresh       measure and store a new baseline, to be reviewed like code

Machines differ and are busy at times, so no time is stored: every point is a ratio to a calibration loop, which runs in the same
process immediately before and after each window. The loop has a part that computes and a part that moves memory. The ratio is
the median over the rounds, in which all points take turns. Ratios carry over between machines roughly, not exactly: for a
verdict on a change refresh the baseline on your machine from the commit before it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurocore.emulator import Emulator
from neurocore.recurrent import Workload, build_chip

BASELINE = Path(__file__).with_name("speed_baseline.json")
CHANGE = 0.10
ROUNDS = 9
WARM_UP = 100
WINDOW_SECONDS = 0.25
MIXED_WORDS, COPIED_WORDS = 2048, 2**21
"""Words of the computing part, which fit the first cache, and of the copying part, which fit the last at best."""


@dataclass(frozen=True)
class Point:
    """A network to measure, and on how many threads; ``step`` measures calls of step instead of run."""

    workload: Workload
    threads: int = 1
    step: bool = False


POINTS = {
    "one core, 20 Hz": Point(Workload(1, 20, 128)),
    "one core, one step a call": Point(Workload(1, 20, 128), step=True),
    "64 cores, 20 Hz": Point(Workload(64, 20, 128)),
    "64 cores, 200 Hz, full rows": Point(Workload(64, 200, 256)),
    "64 cores, 20 Hz, deterministic": Point(Workload(64, 20, 128, stochastic=False)),
    "64 cores, 20 Hz, heterogeneous": Point(Workload(64, 20, 128, heterogeneous=True)),
    "64 cores, 20 Hz, stochastic threshold": Point(Workload(64, 20, 128, stochastic_threshold=True)),
    "512 cores, 20 Hz": Point(Workload(512, 20, 128)),
    "512 cores, 20 Hz, 1 % active": Point(Workload(512, 20, 128, active_share=0.01)),
}


class Calibration:
    """The loop that points are compared with."""

    def __init__(self) -> None:
        self.words = np.arange(MIXED_WORDS, dtype=np.uint64)
        self.source = np.arange(COPIED_WORDS, dtype=np.uint64)
        self.target = np.zeros_like(self.source)

    def seconds(self) -> float:
        """Time of one pass, some tens of milliseconds."""
        begun = time.perf_counter()
        words = self.words
        for _ in range(1500):
            words = (words ^ (words >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        for _ in range(4):
            np.copyto(self.target, self.source)
        self.target[0] = words[0]
        return time.perf_counter() - begun


def make_loop(point: Point) -> Callable[[int], float]:
    """A function that simulates a number of ticks and returns the seconds that the engine took."""
    emulator = Emulator(build_chip("truenorth", point.workload), threads=point.threads)
    emulator.run(None, WARM_UP)

    def steps(ticks: int) -> float:
        begun = time.perf_counter()
        for _ in range(ticks):
            emulator.step()
        return time.perf_counter() - begun

    return steps if point.step else lambda ticks: emulator.run(None, ticks).seconds


def window_ticks(loop: Callable[[int], float]) -> int:
    """Ticks that take about WINDOW_SECONDS."""
    ticks = 8
    while (seconds := loop(ticks)) < WINDOW_SECONDS / 4:
        ticks *= 2
    return max(1, round(ticks * WINDOW_SECONDS / seconds))


def measure_all(names: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Per point and round the ticks simulated in the time of one calibration pass, those before and after it averaged."""
    calibration = Calibration()
    calibration.seconds()
    loops = {name: make_loop(POINTS[name]) for name in names}
    ticks = {name: window_ticks(loop) for name, loop in loops.items()}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, loop in loops.items():
            before = calibration.seconds()
            seconds = loop(ticks[name])
            ratios[name].append(ticks[name] / seconds * (before + calibration.seconds()) / 2)
    return ratios


def summarise(ratios: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median of each point, and the spread of its middle half relative to it."""
    result = {}
    for name, values in ratios.items():
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        result[name] = {"ratio": round(float(median), 3), "spread": round(float((high - low) / median), 4)}
    return result


def compare(found: dict[str, dict[str, float]], stored: dict[str, dict[str, float]]) -> tuple[list[str], bool]:
    """Lines of a report, and whether any point is slower by more than CHANGE."""
    lines, slower = [f"{'point':<40}{'stored':>12}{'now':>12}{'change':>10}{'spread':>9}"], False
    for name, values in found.items():
        if name not in stored:
            lines.append(f"{name:<40}{'new':>12}{values['ratio']:>12.3f}")
            continue
        change = values["ratio"] / stored[name]["ratio"] - 1
        mark = "  slower" if change < -CHANGE else "  faster" if change > CHANGE else ""
        slower |= change < -CHANGE
        before = f"{stored[name]['ratio']:>12.3f}{values['ratio']:>12.3f}"
        lines.append(f"{name:<40}{before}{change:>+10.1%}{values['spread']:>9.1%}{mark}")
    return lines, slower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refresh", action="store_true", help="store what is measured as the baseline")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", help="measure points whose name holds this text; not with --refresh")
    options = parser.parse_args()
    if options.refresh and options.only:
        parser.error("a baseline holds all points; leave --only out")
    names = [name for name in POINTS if options.only is None or options.only in name]
    if not names:
        parser.error(f"no point's name holds {options.only!r}; there are: {'; '.join(POINTS)}")
    found = summarise(measure_all(names, options.rounds))
    if options.refresh:
        points = {name: {**values, "network": asdict(POINTS[name].workload)} for name, values in found.items()}
        stored = {"machine": platform.machine(), "processor": _processor(), "rounds": options.rounds, "points": points}
        BASELINE.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
        print(f"written: {BASELINE}")
        return
    baseline: dict[str, Any] = json.loads(BASELINE.read_text(encoding="utf-8"))
    lines, slower = compare(found, baseline["points"])
    print("\n".join(lines))
    if baseline["processor"] != _processor():
        print(f"note: the baseline is of another processor, {baseline['processor']}; this is {_processor()}")
    sys.exit(1 if slower else 0)


def _processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    main()

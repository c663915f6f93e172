r"""Side by side: neurocore and the simulators that can run the same recurrent network, one thread each, alternately in rounds.

    pip install .                                                   # neurocore, in the Python that runs this tool
    python3 -m venv peers && peers/bin/pip install brian2 sanafe nest-simulator 'numpy<2.4'
    git clone https://github.com/UA-RCL/RANC
    cmake -S RANC/simulator -B ranc-build -DCMAKE_BUILD_TYPE=Release && cmake --build ranc-build
    python tools/compare_speed.py --peers-python peers/bin/python --ranc ranc-build/ranc_sim [--cores 16,256]

Brian2 2.9 does not start with NumPy 2.4. Every simulator gets the arrays of one chip. Two networks are run: one with a stochastic
leak, and one with a fixed leak and a linear reset for those that draw no random numbers. All are built first; then each runs
in turn, round after round, and the median counts. Rates are checked against neurocore's. What is missing is left out, and
the reason given. The result is a table in Markdown. docs/performance.md says how the simulators were set up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurocore.config import OUTPUT, ChipConfig, Group
from neurocore.emulator import Emulator
from neurocore.errors import NeurocoreError
from neurocore.formats.ranc import export_ranc
from neurocore.recurrent import Workload, build_chip

PEERS = ("brian2", "nest", "sanafe")
RATE_TOLERANCE = 0.02
WARM_UP = 100
RANC_TICKS = {True: 40, False: 200}
"""Ticks of a run of RANC with more than FEW_CORES cores, and of others; it is slow, and steady."""
FEW_CORES = 64


@dataclass
class Contender:
    """A simulator with its network built. ``run`` gives ticks, seconds and the rate in Hz."""

    name: str
    run: Callable[[], tuple[int, float, float]]
    close: Callable[[], None] = lambda: None
    remark: str = ""
    speeds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def comparable_chip(cores: int, rate: float, synapses: int, stochastic: bool) -> ChipConfig:
    """The benchmark's chip; without random numbers its floor is out of reach, and the first core's spikes go to output lines.

    RANC knows no floor that holds a membrane, and shows no other spikes than those on output lines.
    """
    chip = build_chip("truenorth", Workload(cores, rate, synapses, stochastic=stochastic))
    if stochastic:
        return chip
    arrays = {name: getattr(chip.cores, name).copy() for name in ("floor", "target_core", "target_axon", "delay")}
    lines = chip.architecture.core.neurons
    arrays["floor"][:] = chip.architecture.neuron.floor.max
    arrays["target_core"][0], arrays["target_axon"][0], arrays["delay"][0] = OUTPUT, np.arange(lines), 0
    return replace(chip, cores=replace(chip.cores, **arrays), outputs=(Group("sample", (lines,)),)).validate()


def network_arrays(chip: ChipConfig) -> dict[str, Any]:
    """The chip as one entry per synapse and neuron; see peer_simulators.py."""
    cores, core = chip.cores, chip.architecture.core
    driver = np.full((len(cores), core.axons), -1)
    routed = cores.target_core >= 0
    driver[cores.target_core[routed], cores.target_axon[routed]] = np.flatnonzero(routed)
    parts = []
    for row in range(len(cores)):
        axon, neuron = np.nonzero(chip.crossbar_bits(row) & (driver[row] >= 0)[:, None])
        weight = cores.weight[row, cores.axon_type[row, axon], neuron]
        parts.append((driver[row, axon], row * core.neurons + neuron, weight, cores.delay.ravel()[driver[row, axon]]))
    names = ("source", "target", "weight", "delay")
    synapses = {name: np.concatenate([part[k] for part in parts]) for k, name in enumerate(names)}
    random = bool(cores.leak_stochastic.any())
    chance = (cores.leak.ravel() + 1) / 2**chip.architecture.neuron.random_bits
    return {
        **synapses,
        "threshold": cores.threshold.ravel(),
        "leak": np.sign(cores.leak).ravel() if random else cores.leak.ravel(),
        "chance": chance if random else np.ones(cores.leak.size),
        "initial": cores.initial.ravel(),
        "linear": np.array(bool((cores.reset_mode == 1).all())),
        "neurons_per_core": np.array(core.neurons),
    }


def neurocore_contender(chip: ChipConfig, ticks: int) -> Contender:
    emulator = Emulator(chip, threads=1)
    emulator.run(None, WARM_UP)

    def run() -> tuple[int, float, float]:
        result = emulator.run(None, ticks)
        return ticks, result.seconds, 1000 * result.n_spikes / (ticks * chip.n_neurons)

    return Contender("neurocore", run)


def peer_contender(name: str, python: str, arrays: str, n_neurons: int, ticks: int, folder: str) -> Contender:
    """A simulator in a process of its own. Raises RuntimeError, with the last line of what it said, if it cannot be had."""
    place = os.path.join(folder, name)
    os.makedirs(place)
    script = str(Path(__file__).with_name("peer_simulators.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = open(os.path.join(place, "log.txt"), "w+", encoding="utf-8")  # noqa: SIM115
    process = subprocess.Popen(
        [python, script, name, arrays, str(ticks), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout

    def answer() -> dict[str, Any]:
        line = answered.readline()
        if not line:
            process.wait()
            log.seek(0)
            said = [text for text in log.read().splitlines() if text.strip()] or [f"ended with {process.returncode}"]
            raise RuntimeError(said[-1])
        return dict(json.loads(line))

    def run() -> tuple[int, float, float]:
        asked.write("run\n")
        asked.flush()
        found = answer()
        return found["ticks"], found["seconds"], 1000 * found["spikes"] / (found["ticks"] * n_neurons)

    def close() -> None:
        asked.close()
        process.wait()
        log.close()

    answer()
    return Contender(name, run, close)


def ranc_contender(chip: ChipConfig, program: str, folder: str) -> Contender:
    """RANC's simulator on the exported chip. Each run starts anew; a run of one tick is taken off, which is mostly loading.

    The rate is that of the neurons whose spikes it shows. Raises NeurocoreError if RANC cannot express the chip.
    """
    ticks = RANC_TICKS[len(chip.cores) > FEW_CORES]
    place = os.path.join(folder, "ranc")
    files = export_ranc(chip, place, ticks=ticks).files
    config, network = (next(path for path in files if path.endswith(name)) for name in ("config.json", "input.json"))
    shown = os.path.join(place, "output.txt")

    def timed(count: int) -> float:
        begun = time.perf_counter()
        command = [program, "-i", network, "-o", shown, "-c", config, "--ticks", str(count)]
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - begun

    def run() -> tuple[int, float, float]:
        loading = timed(1)
        seconds = timed(ticks) - loading
        fired = sum(line.count("1") for line in Path(shown).read_text().splitlines())
        return ticks - 1, seconds, 1000 * fired / (ticks * chip.n_outputs)

    return Contender("ranc", run)


def gather(chip: ChipConfig, options: argparse.Namespace, folder: str) -> tuple[list[Contender], dict[str, str]]:
    """Build the network everywhere; what cannot be had is returned with the reason."""
    ticks = options.ticks
    arrays = os.path.join(folder, "network.npz")
    np.savez(arrays, **network_arrays(chip))
    contenders, missing = [neurocore_contender(chip, ticks)], {}
    makers: dict[str, Callable[[], Contender]] = {
        name: lambda name=name: peer_contender(name, options.peers_python, arrays, chip.n_neurons, ticks, folder)
        for name in options.peers.split(",")
        if name in PEERS
    }
    if options.ranc:
        makers["ranc"] = lambda: ranc_contender(chip, options.ranc, folder)
    else:
        missing["ranc"] = "no path given (--ranc)"
    for name, make in makers.items():
        print(f"  building {name} ...", file=sys.stderr)
        try:
            contenders.append(make())
        except (RuntimeError, OSError, subprocess.CalledProcessError, NeurocoreError) as error:
            missing[name] = str(error).splitlines()[0]
    return contenders, missing


def compare(contenders: list[Contender], missing: dict[str, str], rounds: int) -> None:
    """Run all in turn; one that fails is taken out and its reason noted."""
    for number in range(rounds):
        for contender in list(contenders):
            print(f"  round {number + 1}: {contender.name} ...", file=sys.stderr)
            try:
                ticks, seconds, rate = contender.run()
            except (RuntimeError, subprocess.CalledProcessError) as error:
                missing[contender.name] = str(error).splitlines()[0]
                contenders.remove(contender)
                continue
            contender.speeds.append(ticks / seconds)
            contender.rates.append(rate)
    for contender in contenders:
        contender.close()


def table(contenders: list[Contender], missing: dict[str, str]) -> str:
    """Medians in Markdown, the fastest first."""
    own = next(item for item in contenders if item.name == "neurocore")
    speed, rate = statistics.median(own.speeds), statistics.median(own.rates)
    lines = ["| simulator | ticks/s (median) | range | rate (Hz) | neurocore is faster by |", "|---|---|---|---|---|"]
    for item in sorted(contenders, key=lambda item: -statistics.median(item.speeds)):
        median, its_rate = statistics.median(item.speeds), statistics.median(item.rates)
        differs = "" if abs(its_rate / rate - 1) <= RATE_TOLERANCE else " (differs)"
        lines.append(
            f"| {item.name} | {median:,.1f} | {min(item.speeds):,.1f}–{max(item.speeds):,.1f} | {its_rate:.2f}{differs} |"
            f" {speed / median:.1f} |"
        )
    lines += [f"| {name} | not run: {reason} | | | |" for name, reason in missing.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="16,256", help="numbers of cores, separated by commas")
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--synapses", type=int, default=128)
    parser.add_argument("--ticks", type=int, default=500, help="ticks of a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has brian2, nest and sanafe")
    parser.add_argument("--ranc", help="RANC's program ranc_sim")
    options = parser.parse_args()
    for cores in (int(text) for text in options.cores.split(",")):
        for stochastic in (True, False):
            leak = "stochastic leak" if stochastic else "fixed leak"
            print(f"\n{cores} cores, {options.synapses} synapses per axon, {options.rate:g} Hz, {leak}, one thread\n")
            with tempfile.TemporaryDirectory() as folder:
                chip = comparable_chip(cores, options.rate, options.synapses, stochastic)
                contenders, missing = gather(chip, options, folder)
                compare(contenders, missing, options.rounds)
            print(table(contenders, missing), flush=True)


if __name__ == "__main__":
    main()

"""A liquid-state machine: a random network whose echo of its input tells what came when.

After Maass, Natschläger and Markram, Neural Computation 14, 2531 (2002). The task needs memory: four input lines fire one burst
each, in one of six orders, with jitter and noise; all spike counts of the input are the same for all orders. A linear read-out
of the spikes that 256 randomly connected neurons fire in the last ticks is trained by ridge regression; the same read-out of the
input in these ticks has to guess, as the bursts are over. Run this file to compile, prove, emulate and print both accuracies:

    python examples/liquid.py
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

import neurocore as nc
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

SIDE = (8, 8, 4)
N_NEURONS = 256
N_CHANNELS, LINES_PER_CHANNEL = 4, 8
N_LINES = N_CHANNELS * LINES_PER_CHANNEL
ORDERS = list(itertools.permutations(range(N_CHANNELS)))[::4]
TICKS, WINDOW = 48, 12
"""Ticks of a sample, and how many of the last of them are read."""


def network(seed: int = 0) -> nc.Network:
    """Neurons on a grid of 8 x 8 x 4, connected the more often the nearer they are; every fifth inhibits."""
    rng = np.random.default_rng(seed)
    net = nc.Network("liquid")
    lines = net.input("lines", N_LINES)
    inhibits = rng.random(N_NEURONS) < 0.2
    cells = net.population("cells", N_NEURONS, threshold=16, floor=16, leak=-1, leak_reversal=True)
    place = np.stack(np.unravel_index(np.arange(N_NEURONS), SIDE), axis=1)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    source, target = np.nonzero(rng.random((N_NEURONS, N_NEURONS)) < 0.35 * np.exp(-((distance / 2) ** 2)))
    source, target = source[source != target], target[source != target]
    weight = np.where(inhibits[source], -8, 4)
    # Delays grow with distance, and the slower neurons keep the echo for longer.
    delay = 1 + rng.integers(1, 10, N_NEURONS)[source]
    net.connect(cells, cells, edges={"source": source, "target": target, "weight": weight, "delay": delay})
    source, target = np.nonzero(rng.random((N_LINES, N_NEURONS)) < 0.2)
    net.connect(lines, cells, edges={"source": source, "target": target, "weight": np.full(len(source), 5)})
    net.output("cells", cells)
    return net


def samples(n: int, seed: int) -> tuple[list[Spikes], Array]:
    """Input spikes of ``n`` samples, and the order of the bursts in each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(ORDERS), size=n)
    return [_sample(ORDERS[label], rng) for label in labels], labels


def _sample(order: tuple[int, ...], rng: np.random.Generator) -> Spikes:
    active = rng.random((TICKS, N_LINES)) < 0.01
    for place, channel in enumerate(order):
        begin = 4 + 8 * place + rng.integers(-2, 3)
        burst = rng.random((6, LINES_PER_CHANNEL)) < 0.5
        part = slice(channel * LINES_PER_CHANNEL, (channel + 1) * LINES_PER_CHANNEL)
        active[begin : begin + len(burst), part] |= burst
    return Spikes.from_lines(*np.nonzero(active))


def features(spikes: list[Spikes], n_lines: int, first: int) -> Array:
    """Spike counts [sample, line and half] in both halves of the window that begins at tick ``first``, and a constant."""
    result = np.zeros((len(spikes), 2 * n_lines + 1))
    result[:, -1] = 1
    for number, item in enumerate(spikes):
        late = (item.tick >= first) & (item.tick < first + WINDOW)
        half = (item.tick[late] - first) * 2 // WINDOW
        np.add.at(result[number], item.line[late] * 2 + half, 1)
    return result


def accuracy(train: tuple[Array, Array], test: tuple[Array, Array], ridge: float = 10.0) -> float:
    """Accuracy on ``test`` of a linear read-out trained on ``train``; each is features and labels."""
    x, labels = train
    wanted = np.eye(len(ORDERS))[labels]
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ wanted)
    return float(((test[0] @ weights).argmax(axis=1) == test[1]).mean())


def experiment(chip: nc.ChipConfig, n_train: int = 600, n_test: int = 300) -> dict[str, float]:
    """Accuracies of the read-outs of the liquid and of its input."""
    emulator = nc.Emulator(chip)
    found: dict[str, list[tuple[Array, Array]]] = {"liquid": [], "input": []}
    for n, seed in ((n_train, 1), (n_test, 2)):
        given, labels = samples(n, seed)
        runs = emulator.run_batch(given, ticks=TICKS + chip.latency)
        first = TICKS - WINDOW
        found["liquid"].append((features([run.spikes for run in runs], N_NEURONS, first + chip.latency), labels))
        found["input"].append((features(given, N_LINES, first), labels))
    return {name: accuracy(*parts) for name, parts in found.items()}


def main() -> None:
    """Compile, run, train, test."""
    chip = nc.compile(network())
    print(f"{N_NEURONS} neurons on {len(chip.cores)} cores, proved; latency {chip.latency} ticks")
    result = experiment(chip)
    print(f"orders of bursts told apart by the liquid's last {WINDOW} ticks: {result['liquid']:.1%}")
    print(f"by the input's last {WINDOW} ticks: {result['input']:.1%} (chance: {1 / len(ORDERS):.1%})")


if __name__ == "__main__":
    main()

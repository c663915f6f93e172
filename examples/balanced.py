"""A balanced network: 1,024 neurons whose excitation and inhibition cancel on average, so that they fire irregularly.

After Brunel, Journal of Computational Neuroscience 8, 183 (2000): four fifths of the neurons excite, one fifth inhibits five
times as strongly, every neuron reads the same number of randomly chosen ones, with random delays, and external Poisson lines.
The firing that results is asynchronous (neurons do not fire together) and irregular (intervals vary about as much as those of
a Poisson process). Run this file to compile the network, prove it, emulate it and print the two measures:

    python examples/balanced.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import neurocore as nc
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

N_EXCITING, N_INHIBITING = 820, 204
N_NEURONS = N_EXCITING + N_INHIBITING
READS_EXCITING, READS_INHIBITING, READS_LINES = 24, 6, 8
N_LINES = 128
WEIGHT, INHIBITION = 4, 5
"""Weight of an exciting synapse, and how many times stronger an inhibiting one is."""
THRESHOLD, FLOOR, LEAK = 30, 30, -1
LONGEST = 12
LINE_RATE = 0.13
"""Spikes per tick of an external line."""


def network(seed: int = 0) -> nc.Network:
    """The network; its only output is all of its neurons, exciting ones first."""
    rng = np.random.default_rng(seed)
    net = nc.Network("balanced")
    lines = net.input("lines", N_LINES)
    cells = net.population("cells", N_NEURONS, threshold=THRESHOLD, floor=FLOOR, leak=LEAK, leak_reversal=True)
    # A neuron has one delay to all its targets, as an axon has; at least two ticks leave time for relays.
    delay = rng.integers(3, LONGEST + 1, N_NEURONS)
    for first, size, reads, weight in (
        (0, N_EXCITING, READS_EXCITING, WEIGHT),
        (N_EXCITING, N_INHIBITING, READS_INHIBITING, -INHIBITION * WEIGHT),
    ):
        source = np.concatenate([first + rng.choice(size, reads, replace=False) for _ in range(N_NEURONS)])
        target = np.repeat(np.arange(N_NEURONS), reads)
        weights = np.full(len(source), weight)
        net.connect(cells, cells, edges={"source": source, "target": target, "weight": weights, "delay": delay[source]})
    source = np.concatenate([rng.choice(N_LINES, READS_LINES, replace=False) for _ in range(N_NEURONS)])
    target = np.repeat(np.arange(N_NEURONS), READS_LINES)
    net.connect(lines, cells, edges={"source": source, "target": target, "weight": np.full(len(source), WEIGHT)})
    net.output("cells", cells)
    return net


def drive(ticks: int, seed: int = 1) -> Spikes:
    """Poisson spikes on the external lines."""
    rng = np.random.default_rng(seed)
    return Spikes.from_lines(*np.nonzero(rng.random((ticks, N_LINES)) < LINE_RATE))


def irregularity(spikes: Spikes, least: int = 10) -> float:
    """Mean over neurons of the coefficient of variation of their intervals; 0 for clocks, 1 for Poisson processes."""
    order = np.lexsort((spikes.tick, spikes.line))
    tick, line = spikes.tick[order], spikes.line[order]
    values = []
    for neuron in np.flatnonzero(np.bincount(line, minlength=N_NEURONS) >= least):
        intervals = np.diff(tick[line == neuron])
        values.append(intervals.std() / intervals.mean())
    return float(np.mean(values))


def synchrony(spikes: Spikes, ticks: int) -> float:
    """Mean correlation of two neurons' spikes in bins of five ticks; 0 if they are independent, 1 if they fire together."""
    counts = np.zeros((N_NEURONS, ticks // 5 + 1))
    np.add.at(counts, (spikes.line, spikes.tick // 5), 1)
    active = counts[counts.std(axis=1) > 0]
    table = np.corrcoef(active)
    return float(table[np.triu_indices(len(table), 1)].mean())


def main() -> None:
    """Compile, run, measure."""
    ticks = 2000
    chip = nc.compile(network())
    run = nc.Emulator(chip).run(drive(ticks), ticks + chip.latency)
    rate = len(run.spikes) / N_NEURONS / ticks
    print(f"{N_NEURONS:,} neurons on {len(chip.cores)} cores, proved; latency {chip.latency} ticks")
    print(f"rate             {rate:.4f} spikes a tick ({1000 * rate:.1f} Hz at 1 ms)")
    print(f"irregularity     {irregularity(run.spikes):.2f} (coefficient of variation; Poisson: 1)")
    print(f"synchrony        {synchrony(run.spikes, ticks + chip.latency):.4f} (mean correlation of two neurons)")


if __name__ == "__main__":
    main()

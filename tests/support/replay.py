"""The strictest comparison of a network with a chip: every image of every neuron and every output line, in every tick.

It knows nothing of how a chip is proved: the network runs in the reference simulator, the chip in the oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.reference import Places, Reference
from neurocore.config import ChipConfig
from neurocore.engine import Events, Probes
from neurocore.oracle import Oracle
from neurocore.spikes import Spikes


def rich_spikes(n_lines: int, seed: int, part: int = 40) -> Spikes:
    """Input of five parts: silence, every line by itself, few spikes, many, and bursts of all lines at once."""
    rng = np.random.default_rng(seed)
    active = np.zeros((5 * part, n_lines), bool)
    if n_lines:
        active[np.arange(part, 2 * part), np.arange(part) % n_lines] = True
    for number, rate in ((2, 0.05), (3, 0.6)):
        active[number * part : (number + 1) * part] = rng.random((part, n_lines)) < rate
    active[4 * part :: 7] = True
    return Spikes.from_lines(*np.nonzero(active))


@dataclass(frozen=True)
class Replay:
    """What a network does on some input: who fires [ticks, neurons]."""

    spikes: Spikes
    fired: np.ndarray

    @staticmethod
    def of(network: IntegerNetwork, arch: Architecture, spikes: Spikes, ticks: int, places: Places | None) -> Replay:
        """Run the reference simulator."""
        simulator = Reference(network, arch, places)
        bounds = np.searchsorted(spikes.tick, np.arange(ticks + 1))
        return Replay(spikes, np.stack([simulator.tick(spikes.line[bounds[t] : bounds[t + 1]]) for t in range(ticks)]))

    def difference(self, network: IntegerNetwork, chip: ChipConfig) -> str | None:
        """The first image or output line of the chip that does not do what the network's neuron does; None if all do."""
        shift = chip.timing.astype(np.int64)
        ticks = len(self.fired) + max(int(shift.max(initial=0)), chip.latency)
        neurons, lines = _run(chip, self.spikes, ticks)
        row, slot = np.nonzero(chip.cores.configured & (chip.cores.population >= 0))
        neuron = network.offsets()[chip.cores.population[row, slot]] + chip.cores.index[row, slot]
        missing = np.setdiff1d(np.arange(network.n_neurons), neuron)
        if len(missing):
            return f"{network.label(int(missing[0]))} has no image"
        for late in np.unique(shift):
            mine = shift[neuron] == late
            wrong = _differs(neurons[:, row[mine], slot[mine]], self.fired[:, neuron[mine]], int(late))
            if wrong.any():
                place = np.flatnonzero(mine)[np.argmax(wrong)]
                return f"{network.label(int(neuron[place]))} at {row[place]}.{slot[place]}"
        wrong = _differs(lines, self.fired[:, network.output_neuron], chip.latency)
        if wrong.any():
            return f"output line {np.argmax(wrong)}"
        return None


def _differs(found: np.ndarray, wanted: np.ndarray, late: int) -> np.ndarray:
    """Which trains [n] of the chip are not those of the network, ``late`` ticks later, and silent before."""
    return found[:late].any(axis=0) | (found[late : late + len(wanted)] != wanted).any(axis=0)


def _run(chip: ChipConfig, spikes: Spikes, ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of all the chip's neurons [ticks, n, N], and how often each output line spiked [ticks, lines]."""
    entry = chip.input_map
    event, place = np.nonzero(spikes.line[:, None] == entry.line[None])
    tick = spikes.tick[event] + entry.delay[place]
    order = np.argsort(tick, kind="stable")
    row = chip.row_of()[entry.core[place]]
    oracle = Oracle(chip, probes=Probes(np.ones(chip.cores.configured.shape, bool)))
    oracle.advance(Events(tick[order], row[order], entry.axon[place][order]), ticks)
    record = oracle.take()
    neurons = np.zeros((ticks, *chip.cores.configured.shape), bool)
    neurons[record.spike_tick, record.spike_row, record.spike_neuron] = True
    lines = np.zeros((ticks, chip.n_outputs), np.int64)
    np.add.at(lines, (record.output_tick, record.output_line), 1)
    return neurons, lines

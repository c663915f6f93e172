"""The oracle engine: the executable specification of a tick (chip.md), in plain NumPy.

Everything here is written to be read. One call of :meth:`Oracle._tick` is one tick of the whole chip:

1. every core reads and clears its scheduler row: the active axons;
2. every neuron integrates the weights of active axons that reach it (stochastic ones as random steps);
3. leak; 4. threshold, reset and floor; 5. clamp (:mod:`neurocore.neuron`);
6. every neuron that fired sends its spike: a bit in a scheduler row of its destination, ``delay`` ticks ahead.

Other engines must agree with it in every spike, membrane and counter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import draws, neuron
from neurocore.config import OUTPUT, ChipConfig
from neurocore.engine import Array, Counters, Events, Probes, Record


class Oracle:
    """Runs a chip tick by tick; slow, clear, and right by definition."""

    def __init__(self, chip: ChipConfig, *, seed: int | None = None, probes: Probes | None = None) -> None:
        self.chip = chip
        self.arch = chip.architecture
        self.seed = chip.seed if seed is None else seed
        self.probes = probes or Probes()
        cores = chip.cores
        self.keys = draws.core_keys(self.seed, cores.stream)
        self.crossbars = [chip.crossbar_bits(row) for row in range(len(cores))]
        rows = chip.row_of()
        self.target_row = np.where(cores.target_core >= 0, rows[np.maximum(cores.target_core, 0)], -1)
        self.reset()

    def reset(self) -> None:
        """Return to the state before tick 0."""
        n, slots = len(self.chip.cores), self.arch.core.scheduler_slots
        self.tick = 0
        self.membrane = self.chip.cores.initial.astype(np.int32)
        self.scheduler = np.zeros((slots, n, self.arch.core.axons), bool)
        self.pending = np.zeros((slots, n), np.int64)
        self.clear_counters()
        self.take()

    def clear_counters(self) -> None:
        """Begin a new window of counting."""
        n = len(self.chip.cores)
        self.axon_spikes = np.zeros((n, self.arch.core.axons), np.int64)
        self.neuron_spikes = np.zeros((n, self.arch.core.neurons), np.int64)
        self.due = np.zeros(n, np.int64)

    def counters(self) -> Counters:
        """Counts since the last reset of the counters."""
        return Counters(self.axon_spikes.copy(), self.neuron_spikes.copy(), self.due.copy())

    def membranes(self) -> Array:
        """A copy of the membranes [n, N]."""
        return self.membrane.copy()

    def clone(self) -> Oracle:
        """An oracle of the same chip in its initial state."""
        return Oracle(self.chip, seed=self.seed, probes=self.probes)

    def advance(self, events: Events, n_ticks: int) -> None:
        """Run n_ticks ticks with the external spikes of that window."""
        for _ in range(n_ticks):
            self._tick(events.window(self.tick, self.tick + 1))
            self.tick += 1

    def _tick(self, events: Events) -> None:
        slot = self.tick % self.arch.core.scheduler_slots
        self.scheduler[slot, events.row, events.axon] = True
        np.add.at(self.pending[slot], events.row, 1)

        active = self.scheduler[slot].copy()
        self.scheduler[slot] = False
        self.due += self.pending[slot]
        self.pending[slot] = 0

        membrane = self._integrate(active)
        membrane = neuron.leaked(membrane, self._leak(), self.chip.cores.leak_reversal, self.arch.rules)
        cores = self.chip.cores
        self.membrane, fired = neuron.fired_and_reset(
            membrane,
            threshold=cores.threshold,
            floor=cores.floor,
            random=self._threshold_draws(),
            reset=cores.reset,
            reset_mode=cores.reset_mode,
            floor_mode=cores.floor_mode,
            architecture=self.arch,
        )
        fired &= cores.configured
        self._send(fired)
        self.axon_spikes += active
        self.neuron_spikes += fired
        self._observe(fired)

    def _integrate(self, active: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        membrane = self.membrane.copy()
        cores = self.chip.cores
        for row in np.flatnonzero(active.any(axis=1)):
            for axon in np.flatnonzero(active[row]):
                kind = cores.axon_type[row, axon]
                weight = cores.weight[row, kind].astype(np.int32)
                stochastic = cores.weight_stochastic[row, kind]
                if stochastic.any():
                    step = neuron.chance(weight, self._synapse_draws(int(row), int(axon)))
                    weight = np.where(stochastic, step, weight)
                membrane[row] += np.where(self.crossbars[row][axon], weight, 0).astype(np.int32)
        return membrane

    def _synapse_draws(self, row: int, axon: int) -> npt.NDArray[np.int32]:
        key = draws.tick_keys(self.keys[row : row + 1], self.tick, draws.SYNAPSE + axon)
        return draws.small_draws(key, np.arange(self.arch.core.neurons), self.arch.neuron.random_bits)

    def _leak(self) -> npt.NDArray[Any]:
        cores = self.chip.cores
        if not cores.leak_stochastic.any():
            return cores.leak.astype(np.int32)
        keys = draws.tick_keys(self.keys, self.tick, draws.LEAK)[:, None]
        rho = draws.small_draws(keys, np.arange(self.arch.core.neurons)[None], self.arch.neuron.random_bits)
        leak = cores.leak.astype(np.int32)
        return np.where(cores.leak_stochastic, neuron.chance(leak, rho), leak)

    def _threshold_draws(self) -> npt.NDArray[np.int32]:
        bits = self.chip.cores.threshold_mask_bits
        if not bits.any():
            return np.zeros(bits.shape, np.int32)
        keys = draws.tick_keys(self.keys, self.tick, draws.THRESHOLD)[:, None]
        return draws.wide_draws(keys, np.arange(self.arch.core.neurons)[None], bits)

    def _send(self, fired: npt.NDArray[np.bool_]) -> None:
        cores = self.chip.cores
        sent = fired & (self.target_row >= 0)
        slot = (self.tick + cores.delay[sent].astype(np.int64)) % self.arch.core.scheduler_slots
        row = self.target_row[sent]
        self.scheduler[slot, row, cores.target_axon[sent]] = True
        np.add.at(self.pending, (slot, row), 1)

    def _observe(self, fired: npt.NDArray[np.bool_]) -> None:
        cores = self.chip.cores
        lines = cores.target_axon[fired & (cores.target_core == OUTPUT)]
        self._output.append((self.tick, np.sort(lines)))
        if self.probes.spikes is not None:
            row, index = np.nonzero(fired & self.probes.spikes)
            self._spike.append((self.tick, row, index))
        if self.probes.n_membranes:
            self._membrane.append(self.membrane[self.probes.row, self.probes.neuron])

    def take(self) -> Record:
        """Hand over what was recorded since the last call."""
        output, spike = getattr(self, "_output", []), getattr(self, "_spike", [])
        membranes = getattr(self, "_membrane", [])
        empty = np.zeros(0, np.int64)
        record = Record(
            np.concatenate([empty] + [np.full(len(lines), tick, np.int64) for tick, lines in output]),
            np.concatenate([empty] + [lines.astype(np.int64) for _, lines in output]),
            np.concatenate([empty] + [np.full(len(row), tick, np.int64) for tick, row, _ in spike]),
            np.concatenate([empty] + [row for _, row, _ in spike]),
            np.concatenate([empty] + [index for _, _, index in spike]),
            np.array(membranes, np.int32).reshape(len(membranes), self.probes.n_membranes),
        )
        self._output: list[tuple[int, Array]] = []
        self._spike: list[tuple[int, Array, Array]] = []
        self._membrane: list[Array] = []
        return record

    def save_state(self) -> dict[str, Array]:
        """State as arrays; see :class:`neurocore.engine.Engine`."""
        return {
            "tick": np.array([self.tick], np.int64),
            "membrane": self.membrane.copy(),
            "scheduler": self.scheduler.copy(),
            "pending": self.pending.copy(),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a saved state; the counters start anew."""
        self.reset()
        self.tick = int(state["tick"][0])
        self.membrane = state["membrane"].astype(np.int32)
        self.scheduler = state["scheduler"].astype(bool)
        self.pending = state["pending"].astype(np.int64)

"""The compiled engine: presents ``kernel.h`` as an :class:`neurocore.engine.Engine`.

Layout (one row per configured core): crossbar and scheduler rows are packed bits, parameters and membranes are bit planes
(:mod:`neurocore.tables`); counters are one increment per axon and neuron, and all else that is counted follows afterwards.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neurocore._engine import HIGH_PLANES, LOW_PLANES, NEAR_PLANES, Program, State, paths
from neurocore.config import ChipConfig
from neurocore.engine import Array, Counters, Events, Probes, Record
from neurocore.errors import UsageError
from neurocore.memory import aligned
from neurocore.tables import LANES, WORDS, Tables, contiguous, packed

MAX_THREADS = 256
COUNTED_CORES = 256
PATH_VARIABLE = "NEUROCORE_SIMD"


def chosen_path() -> str:
    """The instruction set to run on: the best that the processor has, or the one that ``NEUROCORE_SIMD`` names."""
    available = [name for name, supported in paths().items() if supported]
    wanted = os.environ.get(PATH_VARIABLE) or available[0]
    if wanted not in available:
        raise UsageError(f"{PATH_VARIABLE}={wanted}: this machine can run {', '.join(available)}")
    return wanted


class CompiledEngine:
    """Runs a chip in compiled code on any number of threads; equal to the oracle bit for bit."""

    def __init__(
        self,
        chip: ChipConfig,
        *,
        seed: int | None = None,
        threads: int = 1,
        probes: Probes | None = None,
        program: Program | None = None,
    ) -> None:
        self.chip, self.arch = chip, chip.architecture
        self.seed = chip.seed if seed is None else seed
        self.threads = max(1, min(threads, MAX_THREADS, len(chip.cores)))
        self.probes = probes or Probes()
        none = np.zeros(0, np.int64)
        self._nothing = Record(none, none, none, none, none, np.zeros((0, self.probes.n_membranes), np.int32))
        self.program = program or Tables(chip).build(self.seed)
        self.path = chosen_path()
        target = chip.cores.target_core
        self._target_row = np.where(target >= 0, chip.row_of()[np.maximum(target, 0)], -1).astype(np.int32)
        self._state = State(self.program, self._fresh_arrays(), self._probe_tables(), self.path, self.threads)
        self.reset()

    def clone(self) -> CompiledEngine:
        """An engine of the same chip in its initial state, on one thread; shares the tables."""
        return CompiledEngine(self.chip, seed=self.seed, threads=1, probes=self.probes, program=self.program)

    def _fresh_arrays(self) -> dict[str, Array]:
        size = self.program.sizes
        n, units, slots, words = size["n_cores"], size["units"], size["n_slots"], size["axon_words"]
        tallies = {}
        for name, blocks in (("axon", words // WORDS), ("neuron", units)):
            tallies[f"{name}_low"] = aligned((n, blocks, LOW_PLANES, WORDS), np.uint64)
            tallies[f"{name}_high"] = aligned((n, blocks, HIGH_PLANES, WORDS), np.uint64)
            tallies[f"{name}_total"] = aligned((n, blocks * LANES), np.uint32)
            tallies[f"{name}_added"] = aligned((n, blocks), np.uint16)
            tallies[f"{name}_folded"] = aligned((n, blocks), np.uint16)
        return {
            "near": aligned((n, units, NEAR_PLANES, WORDS), np.uint64),
            "far": aligned((n, units, max(size["planes"] - NEAR_PLANES, 0), WORDS), np.uint64),
            "width": aligned((n, units), np.uint8),
            "scheduler": aligned((slots, size["scheduler_words"]), np.uint64),
            "fired": aligned((slots, n, units, WORDS), np.uint64),
            "settled": aligned((n,), np.uint8),
            "external": aligned((n,), np.int64),
            **tallies,
        }

    def _probe_tables(self) -> dict[str, Any] | None:
        probes = self.probes
        if probes.spikes is None and probes.row is None:
            return None
        words = None if probes.spikes is None else packed(probes.spikes, WORDS * self.program.sizes["units"])
        row = None if probes.row is None else contiguous(probes.row, np.int32)
        lane = None if probes.neuron is None else contiguous(probes.neuron, np.int32)
        return {"spikes": words, "row": row, "lane": lane}

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self._state.tick

    def reset(self) -> None:
        """Return to the state before tick 0."""
        for array in self._state.arrays.values():
            array[...] = 0
        self._set_membranes(self.chip.cores.initial)
        self._state.tick = 0
        self._state.take()
        self._carried = np.zeros((self.arch.core.scheduler_slots, len(self.chip.cores)), np.int64)
        self._begin_window()

    def _set_membranes(self, values: Array) -> None:
        self._state.set_membranes(np.ascontiguousarray(values, np.int32))

    def _begin_window(self) -> None:
        self._window_start = self.tick
        self._state.arrays["external"][...] = 0

    def clear_counters(self) -> None:
        """Begin a new window of counting."""
        self._carried = self._pending()
        self._state.total()
        self._state.arrays["axon_total"][...] = 0
        self._state.arrays["neuron_total"][...] = 0
        self._begin_window()

    def advance(self, events: Events, n_ticks: int) -> None:
        """Run n_ticks ticks with the external spikes of that window."""
        self._state.run(n_ticks, events.tick, events.row, events.axon)

    def take(self) -> Record:
        """Hand over what was recorded since the last call."""
        found = self._state.take()
        return self._nothing if found is None else Record(*found)

    def counters(self) -> Counters:
        """Counts since the last reset of the counters.

        Deliveries due are those carried into the window, plus those sent in it, minus those that are still under way.
        """
        self._state.total()
        arrays, core = self._state.arrays, self.arch.core
        neuron_spikes = arrays["neuron_total"][:, : core.neurons].astype(np.int64)
        due = arrays["external"] + self._carried.sum(axis=0) + self._sent(neuron_spikes) - self._pending().sum(axis=0)
        return Counters(arrays["axon_total"][:, : core.axons].astype(np.int64), neuron_spikes, due)

    def _sent(self, neuron_spikes: Array) -> Array:
        """Spikes [n] that were sent to each core; counted in parts, so that a full chip needs little memory for it."""
        sent = np.zeros(len(self.chip.cores) + 1, np.int64)
        for first in range(0, len(neuron_spikes), COUNTED_CORES):
            part = slice(first, first + COUNTED_CORES)
            place = self._target_row[part].ravel() + 1
            sent += np.bincount(place, neuron_spikes[part].ravel(), minlength=len(sent)).astype(np.int64)
        return sent[1:]

    def _pending(self) -> Array:
        """Deliveries [slots, n] that were sent and are not yet due, by the slot in which they will be."""
        slots, now, start = self.arch.core.scheduler_slots, self.tick, self._window_start
        pending = self._carried.copy()
        # A slot whose deliveries have been due since the window began carries none of them any more.
        gone = np.arange(start, min(now, start + slots)) % slots
        pending[gone] = 0
        self._state.pending(max(start, now - slots), pending)
        return pending

    def membranes(self) -> Array:
        """A copy of the membranes [n, N]."""
        return self._state.membranes(self.arch.core.neurons)

    def _scheduler(self) -> Array:
        """The scheduler's words [slots, n, axon words], in place."""
        size, planes = self.program.sizes, self._state.arrays["scheduler"]
        return planes[:, : size["n_cores"] * size["axon_words"]].reshape(
            len(planes), size["n_cores"], size["axon_words"]
        )

    def save_state(self) -> dict[str, Array]:
        """State as arrays; see :class:`neurocore.engine.Engine`."""
        bits = np.unpackbits(np.ascontiguousarray(self._scheduler()).view(np.uint8), axis=-1, bitorder="little")
        return {
            "tick": np.array([self.tick], np.int64),
            "membrane": self.membranes(),
            "scheduler": bits[..., : self.arch.core.axons].astype(bool),
            "pending": self._pending(),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a saved state; the counters start anew."""
        self.reset()
        self._set_membranes(state["membrane"])
        self._scheduler()[...] = packed(state["scheduler"], self.program.sizes["axon_words"])
        self._state.tick = int(state["tick"][0])
        self._carried = state["pending"].astype(np.int64)
        self._begin_window()

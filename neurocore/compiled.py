"""The compiled engine: prepares a chip's tables for ``kernel.h`` and presents them as an :class:`neurocore.engine.Engine`.

Layout (one row per configured core): crossbar rows and scheduler rows are packed bits; parameters are one array each, padded to
64 lanes, in which cores with equal parameters share a row; counters are one increment per spike, and all else that is counted
follows from them afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import draws
from neurocore._engine import Program, State
from neurocore.config import OUTPUT, ChipConfig
from neurocore.engine import Array, Counters, Events, Probes, Record

RANDOM_WEIGHT, RANDOM_LEAK, RANDOM_THRESHOLD, REVERSAL = 1, 2, 4, 8
TO_AXON, TO_OUTPUT = 1, 2
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_THREADS = 256


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike, fill: int = 0) -> Array:
    """A C-contiguous array whose data starts at a multiple of 64 bytes."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    raw = np.empty(size + 64, np.uint8)
    raw.fill(0)
    start = -raw.ctypes.data % 64
    array = raw[start : start + size].view(kind).reshape(shape)
    if fill:
        array[...] = fill
    return array


class _Tables:
    """Builds the kernel's tables from a chip."""

    def __init__(self, chip: ChipConfig) -> None:
        self.chip, self.cores, self.arch = chip, chip.cores, chip.architecture
        self.n = len(chip.cores)
        self.words = chip.cores.crossbar.shape[2]
        self.lanes = 64 * self.words
        self.axon_words = -(-self.arch.core.axons // 64)
        self.idle = np.ones((self.n, self.lanes), bool)
        self.idle[:, : self.arch.core.neurons] = ~self.cores.configured

    def padded(self, values: Array, fill: int = 0, dtype: npt.DTypeLike = np.int32) -> Array:
        """Values [..., N] widened to the kernel's lanes."""
        out = aligned((*values.shape[:-1], self.lanes), dtype, fill)
        out[..., : values.shape[-1]] = values
        return out

    def build(self, seed: int) -> Program:
        """All tables, and the sizes beside them."""
        rules, limits, core = self.arch.rules, self.arch.neuron, self.arch.core
        sizes = {
            "n_cores": self.n,
            "n_axons": core.axons,
            "n_types": core.axon_types,
            "n_slots": core.scheduler_slots,
            "axon_words": self.axon_words,
            "lane_words": self.words,
            "draw_mask": (1 << limits.random_bits) - 1,
            "clamp_min": limits.membrane.min if rules.clamp else INT32_MIN,
            "clamp_max": limits.membrane.max if rules.clamp else INT32_MAX,
            "clamp_fires": int(rules.clamp_fires),
            "stops_at_zero": int(rules.leak_stops_at_zero),
            "floor_inclusive": int(rules.floor_inclusive),
        }
        tables = {
            "crossbar": _copied(self.cores.crossbar, np.uint64),
            "axon_type": _copied(self.cores.axon_type, np.uint8),
            "features": self.features(),
            "target": self.targets(),
            "key": _copied(draws.core_keys(seed, self.cores.stream), np.uint64),
            **_shared({"weight_row": self.weights()}),
            **_shared({"profile": {**self.leaks(), **self.thresholds()}}),
        }
        return Program(tables, sizes)

    def features(self) -> Array:
        """What each core's neurons use, as the bits of ``kernel.h``."""
        cores = self.cores
        bits = aligned((self.n,), np.uint8)
        for bit, used in (
            (RANDOM_WEIGHT, (cores.weight_stochastic & (cores.weight != 0)).any(axis=(1, 2))),
            (RANDOM_LEAK, (cores.leak_stochastic & (cores.leak != 0)).any(axis=1)),
            (RANDOM_THRESHOLD, (cores.threshold_mask_bits != 0).any(axis=1)),
            (REVERSAL, cores.leak_reversal.any(axis=1)),
        ):
            bits |= np.where(used, np.uint8(bit), np.uint8(0))
        return bits

    def weights(self) -> dict[str, Array | None]:
        cores = self.cores
        certain = np.where(cores.weight_stochastic, 0, cores.weight)
        random = np.where(cores.weight_stochastic, cores.weight, 0)
        rows = (self.n * self.arch.core.axon_types, self.lanes)
        return {
            "weight": self.padded(certain).reshape(rows),
            "weight_chance": self.padded(random).reshape(rows) if random.any() else None,
        }

    def leaks(self) -> dict[str, Array | None]:
        cores = self.cores
        # No draw exceeds 255, so larger magnitudes always act, as 255 does.
        random = np.where(cores.leak_stochastic, cores.leak, 0)
        reversal = -cores.leak_reversal.astype(np.int32)
        return {
            "leak": self.padded(np.where(cores.leak_stochastic, 0, cores.leak)),
            "leak_sign": self.padded(np.sign(random)) if random.any() else None,
            "leak_magnitude": self.padded(np.minimum(np.abs(random.astype(np.int32)), 255), dtype=np.uint8)
            if random.any()
            else None,
            "reversal": self.padded(reversal) if reversal.any() else None,
        }

    def thresholds(self) -> dict[str, Array | None]:
        """Thresholds, and the three values that let one pass over the lanes find who needs attention."""
        cores, rules = self.cores, self.arch.rules
        limits = self.arch.neuron.membrane
        alpha, beta = cores.threshold.astype(np.int64), cores.floor.astype(np.int64)
        saturates = cores.floor_mode == 1
        low = np.where(saturates, INT32_MIN, -beta + int(rules.floor_inclusive))
        if rules.clamp:
            low = np.maximum(low, limits.min)
        high = np.minimum(alpha, limits.max + 1) if rules.clamp else alpha
        mask = (1 << cores.threshold_mask_bits.astype(np.int64)) - 1
        return {
            "threshold": self.inert(alpha, INT32_MAX),
            "floor": self.padded(beta),
            "reset": self.padded(cores.reset),
            "threshold_mask": self.padded(mask) if mask.any() else None,
            "high": self.inert(high, INT32_MAX),
            "low": self.inert(low, INT32_MIN),
            "saturate": self.inert(np.where(saturates, -beta, INT32_MIN), INT32_MIN),
            "reset_mode": self.padded(cores.reset_mode, dtype=np.uint8),
            "floor_mode": self.padded(cores.floor_mode, dtype=np.uint8),
        }

    def inert(self, values: Array, fill: int) -> Array:
        """Values [n, N] in lanes; unused neurons and padding get ``fill``, with which nothing ever happens to them."""
        out = self.padded(np.clip(values, INT32_MIN, INT32_MAX), fill)
        out[self.idle] = fill
        return out

    def targets(self) -> Array:
        """Destinations as ``kernel.h`` packs them: word or line, bit, delay, kind."""
        cores = self.cores
        rows = self.chip.row_of()[np.maximum(cores.target_core, 0)]
        axon = cores.target_axon.astype(np.uint64)
        routed = (cores.target_core >= 0) & (rows >= 0)
        word = np.where(routed, rows, 0).astype(np.uint64) * np.uint64(self.axon_words) + axon // np.uint64(64)
        packed = (
            word
            | (axon % np.uint64(64)) << np.uint64(32)
            | cores.delay.astype(np.uint64) << np.uint64(40)
            | np.uint64(TO_AXON << 48)
        )
        to_output = axon | np.uint64(TO_OUTPUT << 48)
        packed = np.where(routed, packed, np.where(cores.target_core == OUTPUT, to_output, np.uint64(0)))
        return self.padded(packed, dtype=np.uint64)


def _shared(groups: dict[str, dict[str, Array | None]]) -> dict[str, Array | None]:
    """Tables [rows, lanes] with equal rows stored once; each group's name becomes the table [rows] of where a row went."""
    result: dict[str, Array | None] = {}
    for name, tables in groups.items():
        present = {key: table for key, table in tables.items() if table is not None}
        bytes_of = [np.ascontiguousarray(table).view(np.uint8) for table in present.values()]
        places: dict[bytes, int] = {}
        rows = range(len(bytes_of[0]))
        index = [places.setdefault(b"".join(part[row].data for part in bytes_of), len(places)) for row in rows]
        result[name] = _copied(np.array(index), np.uint32)
        first = np.unique(index, return_index=True)[1]
        result.update(dict.fromkeys(tables))
        result.update({key: _copied(table[first], table.dtype) for key, table in present.items()})
    return result


def _copied(values: Array, dtype: npt.DTypeLike) -> Array:
    out = aligned(values.shape, dtype)
    out[...] = values
    return out


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
        self.program = program or _Tables(chip).build(self.seed)
        target = chip.cores.target_core
        self._target_row = np.where(target >= 0, chip.row_of()[np.maximum(target, 0)], -1)
        self._state = State(self.program, self._fresh_arrays(), self._probe_tables())
        self.reset()

    def clone(self) -> CompiledEngine:
        """An engine of the same chip in its initial state, on one thread; shares the tables."""
        return CompiledEngine(self.chip, seed=self.seed, threads=1, probes=self.probes, program=self.program)

    def _fresh_arrays(self) -> dict[str, Array]:
        size = self.program.sizes
        n, lanes, slots = size["n_cores"], 64 * size["lane_words"], size["n_slots"]
        return {
            "membrane": aligned((n, lanes), np.int32),
            "scheduler": aligned((slots, n, size["axon_words"]), np.uint64),
            "fired": aligned((slots, n, size["lane_words"]), np.uint64),
            "settled": aligned((n,), np.uint8),
            "axon_count": aligned((n, size["n_axons"]), np.uint32),
            "neuron_count": aligned((n, lanes), np.uint32),
        }

    def _probe_tables(self) -> dict[str, Any] | None:
        probes, lanes = self.probes, 64 * self.program.sizes["lane_words"]
        if probes.spikes is None and probes.row is None:
            return None
        words = None
        if probes.spikes is not None:
            wide = np.zeros((len(self.chip.cores), lanes), bool)
            wide[:, : probes.spikes.shape[1]] = probes.spikes
            words = _copied(np.packbits(wide, axis=1, bitorder="little").view("<u8"), np.uint64)
        row = None if probes.row is None else _copied(probes.row, np.int32)
        lane = None if probes.neuron is None else _copied(probes.neuron, np.int32)
        return {"spikes": words, "row": row, "lane": lane}

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self._state.tick

    def reset(self) -> None:
        """Return to the state before tick 0."""
        for array in self._state.arrays.values():
            array[...] = 0
        self._state.arrays["membrane"][:, : self.arch.core.neurons] = self.chip.cores.initial
        self._state.tick = 0
        self._state.take()
        self._carried = np.zeros((self.arch.core.scheduler_slots, len(self.chip.cores)), np.int64)
        self._begin_window()

    def _begin_window(self) -> None:
        self._window_start = self.tick
        self._external = np.zeros(len(self.chip.cores), np.int64)

    def clear_counters(self) -> None:
        """Begin a new window of counting."""
        self._carried = self._pending()
        self._state.arrays["axon_count"][...] = 0
        self._state.arrays["neuron_count"][...] = 0
        self._begin_window()

    def advance(self, events: Events, n_ticks: int) -> None:
        """Run n_ticks ticks with the external spikes of that window."""
        start = np.searchsorted(events.tick, np.arange(self.tick, self.tick + n_ticks + 1)).astype(np.int64)
        word = (events.row * self.program.sizes["axon_words"] + events.axon // 64).astype(np.uint32)
        bit = (events.axon % 64).astype(np.uint8)
        self._external += np.bincount(events.row, minlength=len(self._external))
        self._state.run(n_ticks, self.threads, start, word, bit)

    def take(self) -> Record:
        """Hand over what was recorded since the last call."""
        outputs, spikes, membranes = self._state.take()
        outputs = outputs[np.lexsort((outputs[:, 1], outputs[:, 0]))]
        spikes = spikes[np.lexsort((spikes[:, 2], spikes[:, 1], spikes[:, 0]))]
        return Record(outputs[:, 0], outputs[:, 1], spikes[:, 0], spikes[:, 1], spikes[:, 2], membranes)

    def counters(self) -> Counters:
        """Counts since the last reset of the counters.

        Deliveries due are those carried into the window, plus those sent in it, minus those that are still under way.
        """
        neurons = self.arch.core.neurons
        neuron_spikes = self._state.arrays["neuron_count"][:, :neurons].astype(np.int64)
        routed = self._target_row >= 0
        sent = np.bincount(self._target_row[routed], neuron_spikes[routed], minlength=len(self._external)).astype(
            np.int64
        )
        due = self._external + self._carried.sum(axis=0) + sent - self._pending().sum(axis=0)
        return Counters(self._state.arrays["axon_count"].astype(np.int64), neuron_spikes, due)

    def _pending(self) -> Array:
        """Deliveries [slots, n] that were sent and are not yet due, by the slot in which they will be."""
        slots, now, start = self.arch.core.scheduler_slots, self.tick, self._window_start
        pending = self._carried.copy()
        # A slot whose deliveries have been due since the window began carries none of them any more.
        gone = np.arange(start, min(now, start + slots)) % slots
        pending[gone] = 0
        sent = np.arange(max(start, now - slots), now)
        words = self._state.arrays["fired"][sent % slots]
        if not words.any():
            return pending
        bits = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., : self.arch.core.neurons]
        which, row, neuron = np.nonzero(bits)
        due = sent[which] + self.chip.cores.delay[row, neuron].astype(np.int64)
        target = self._target_row[row, neuron]
        open_ = (due >= now) & (target >= 0)
        np.add.at(pending, (due[open_] % slots, target[open_]), 1)
        return pending

    def membranes(self) -> Array:
        """A copy of the membranes [n, N]."""
        return self._state.arrays["membrane"][:, : self.arch.core.neurons].copy()

    def save_state(self) -> dict[str, Array]:
        """State as arrays; see :class:`neurocore.engine.Engine`."""
        words = self._state.arrays["scheduler"]
        bits = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")
        return {
            "tick": np.array([self.tick], np.int64),
            "membrane": self.membranes(),
            "scheduler": bits[..., : self.arch.core.axons].astype(bool),
            "pending": self._pending(),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a saved state; the counters start anew."""
        self.reset()
        arrays = self._state.arrays
        arrays["membrane"][:, : self.arch.core.neurons] = state["membrane"]
        wide = np.zeros((*arrays["scheduler"].shape[:2], 64 * arrays["scheduler"].shape[2]), bool)
        wide[..., : self.arch.core.axons] = state["scheduler"]
        arrays["scheduler"][...] = np.packbits(wide, axis=-1, bitorder="little").view("<u8")
        self._state.tick = int(state["tick"][0])
        self._carried = state["pending"].astype(np.int64)
        self._begin_window()

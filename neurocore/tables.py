"""A chip's parameters in the layout of ``layout.h``: numbers become bit planes, equal ones are stored once.

A *row* of parameter planes is a profile (the neurons' parameters of a core) for one unit of 256 lanes. Lanes without a
configured neuron get parameters with which nothing ever happens to them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import draws
from neurocore._engine import Program, slice_planes
from neurocore.architecture import worst_membrane
from neurocore.config import OUTPUT, ChipConfig
from neurocore.engine import Array
from neurocore.memory import aligned

LANES, WORDS = 256, 4
RANDOM_WEIGHT, RANDOM_LEAK, RANDOM_THRESHOLD, REVERSAL = 1, 2, 4, 8
PER_NEURON = (
    "leak",
    "leak_stochastic",
    "leak_reversal",
    "threshold",
    "threshold_mask_bits",
    "floor",
    "floor_mode",
    "reset",
    "reset_mode",
    "configured",
)
PROFILE_FIELDS = (
    "leak_from",
    "threshold_width",
    "floor_width",
    "least_width",
    "floor_free_width",
    "reset_is_zero",
    "floor_is_zero",
    "floor_holds",
    "has_linear",
    "has_value",
    "mask_bits",
)
"""The members of ``nc_profile``, in order."""
HEADER = np.dtype(
    [
        ("key", np.uint64),
        ("profile", np.uint32),
        ("wiring", np.uint32),
        ("weights", np.uint32),
        ("input_bound", np.uint32),
        ("leak_bound", np.uint32),
        ("features", np.uint32),
    ]
)
"""``nc_header``."""


def units_of(n_neurons: int) -> int:
    """Units of 256 lanes that a core of so many neurons has."""
    return -(-n_neurons // LANES)


def bit_lengths(values: Array) -> Array:
    """Bits that each magnitude needs, int32; 0 for 0."""
    return np.frexp(np.abs(values.astype(np.float64)))[1].astype(np.int32)


def planes_of(values: Array, n_planes: int) -> Array:
    """Bit planes [rows, n_planes, 4] of numbers [rows, 256]."""
    out = aligned((len(values), n_planes, WORDS), np.uint64)
    slice_planes(np.ascontiguousarray(values, np.int32), out)
    return out


def signed_planes(values: Array, n_planes: int, mask: Array | None = None) -> Array:
    """Sign, optionally a mask, and ``n_planes`` magnitude planes of numbers [rows, 256], one after another."""
    parts = [planes_of(values < 0, 1), planes_of(np.abs(values.astype(np.int32)), n_planes)]
    if mask is not None:
        parts.insert(1, planes_of(mask, 1))
    return contiguous(np.concatenate(parts, axis=1), np.uint64)


def contiguous(values: Array, dtype: npt.DTypeLike) -> Array:
    """The same array if it is laid out as the kernel needs it, or a copy."""
    if values.dtype == dtype and values.flags.c_contiguous and values.ctypes.data % 32 == 0:
        return values
    out = aligned(values.shape, dtype)
    out[...] = values
    return out


def packed(flags: Array, n_words: int) -> Array:
    """Flags [..., n] as bits of ``n_words`` words."""
    wide = np.zeros((*flags.shape[:-1], 64 * n_words), bool)
    wide[..., : flags.shape[-1]] = flags
    return contiguous(np.packbits(wide, axis=-1, bitorder="little").view("<u8"), np.uint64)


def distinct(tables: list[Array]) -> tuple[Array, Array]:
    """Rows that differ in any of the tables [rows, ...]: the first of each kind, and for every row its kind."""
    parts = [
        np.ascontiguousarray(table).reshape(len(table), math.prod(table.shape[1:])).view(np.uint8) for table in tables
    ]
    places: dict[bytes, int] = {}
    kinds = [places.setdefault(b"".join(part[row].data for part in parts), len(places)) for row in range(len(parts[0]))]
    kind = np.array(kinds, np.uint32)
    return np.unique(kind, return_index=True)[1], kind


def used_bits(planes: Array) -> Array:
    """Which planes [rows, n, 4] are not empty, as bits."""
    used: Array = (planes != 0).any(axis=2) @ (np.uint32(1) << np.arange(planes.shape[1], dtype=np.uint32))
    return used.astype(np.uint32)


PAGE_WORDS = 512
"""Words of a memory page of 4 KB."""

WORTH_COUNTING = 0.5
"""Share of full crossbar rows from which they are counted instead of read."""


def scheduler_pitch(n_words: int) -> int:
    """Words from one plane of the scheduler to the next, for planes of ``n_words``.

    The planes of a large chip are an odd number of half memory pages apart: a whole number would put a core's words of all
    planes in one set of a processor's cache, which holds eight lines.
    """
    return n_words if n_words < PAGE_WORDS else -(-n_words // PAGE_WORDS) * PAGE_WORDS + PAGE_WORDS // 2


class Tables:
    """Builds the kernel's tables from a chip."""

    def __init__(self, chip: ChipConfig) -> None:
        self.chip, self.cores, self.arch = chip, chip.cores, chip.architecture
        self.n = len(chip.cores)
        self.units = units_of(self.arch.core.neurons)
        self.axon_words = WORDS * -(-self.arch.core.axons // LANES)
        self.scheduler_words = scheduler_pitch(self.n * self.axon_words)
        self.random_bits = self.arch.neuron.random_bits
        self.planes = self._planes()

    def _planes(self) -> int:
        """Planes that hold every value within a tick; all 32 bits where membranes wrap."""
        limits, rules = self.arch.neuron, self.arch.rules
        if not rules.clamp:
            return 32
        eta = (1 << limits.threshold_mask_bits) - 1
        floor = max(abs(limits.floor.min), abs(limits.floor.max))
        threshold = max(abs(limits.threshold.min), abs(limits.threshold.max))
        reset = max(abs(limits.reset.min), abs(limits.reset.max))
        largest: int = max(worst_membrane(self.arch), threshold + eta, floor + eta, reset)
        return largest.bit_length() + 1

    def build(self, seed: int) -> Program:
        """All tables, and the sizes beside them."""
        rules, limits, core = self.arch.rules, self.arch.neuron, self.arch.core
        header = np.zeros(self.n, HEADER)
        header["key"] = draws.core_keys(seed, self.cores.stream)
        header["features"] = self._features()
        weights, weight_sizes = self._weights(header)
        profiles, profile_sizes = self._profiles(header)
        target, shift = self._targets()
        crossbar = self._crossbar()
        clamp = limits.membrane
        sizes = {
            "n_cores": self.n,
            "n_axons": core.axons,
            "n_types": core.axon_types,
            "n_slots": core.scheduler_slots,
            "axon_words": self.axon_words,
            "scheduler_words": self.scheduler_words,
            "units": self.units,
            "planes": self.planes,
            "random_bits": self.random_bits,
            "clamps": int(rules.clamp),
            "clamp_min": clamp.min,
            "clamp_max": clamp.max,
            "clamp_free_width": min((clamp.max + 1).bit_length(), (-clamp.min).bit_length()),
            "clamp_fires": int(rules.clamp_fires),
            "stops_at_zero": int(rules.leak_stops_at_zero),
            "floor_inclusive": int(rules.floor_inclusive),
            "wide": int(target.dtype == np.uint64),
            "target_shift": shift,
            **weight_sizes,
            **profile_sizes,
        }
        tables = {
            "crossbar": crossbar,
            **self._wiring(header, crossbar),
            "header": contiguous(header.view(np.uint8), np.uint8),
            "target": target,
            "zero": aligned((32, WORDS), np.uint64),
            **weights,
            **profiles,
        }
        return Program(tables, sizes)

    def _crossbar(self) -> Array:
        rows = self.cores.crossbar
        if rows.shape[2] == WORDS * self.units:
            return contiguous(rows, np.uint64)
        out = aligned((*rows.shape[:2], WORDS * self.units), np.uint64)
        out[..., : rows.shape[2]] = rows
        return out

    def _wiring(self, header: Array, crossbar: Array) -> dict[str, Array | None]:
        """Axon types and what follows from them, once for all cores in which they are equal."""
        first, kind = distinct([self.cores.axon_type])
        header["wiring"] = kind
        axon_type = contiguous(self.cores.axon_type[first], np.uint8)
        of_type = np.stack([axon_type == number for number in range(self.arch.core.axon_types)], axis=1)
        return {
            "axon_type": axon_type,
            "type_mask": packed(of_type, self.axon_words),
            **self._full_rows(header, crossbar),
        }

    def _full_rows(self, header: Array, crossbar: Array) -> dict[str, Array | None]:
        """Axons that reach all the neurons that any axon of their core does: counted by type, their rows need not be read.

        Only for chips in which most rows are such, and not where weights are stochastic: there every axon draws by itself.
        """
        pattern = np.bitwise_or.reduce(crossbar, axis=1) if crossbar.size else crossbar[:, 0]
        full = (crossbar == pattern[:, None]).all(axis=2)
        full &= (header["features"] & RANDOM_WEIGHT == 0)[:, None]
        if not full.size or full.mean() < WORTH_COUNTING:
            return {"full": None, "pattern": None}
        header["input_bound"][~pattern.any(axis=1)] = 0
        return {"full": packed(full, self.axon_words), "pattern": contiguous(pattern, np.uint64)}

    def _features(self) -> Array:
        """What each core's neurons use, as the bits of ``layout.h``."""
        cores = self.cores
        bits = np.zeros(self.n, np.uint32)
        for bit, used in (
            (RANDOM_WEIGHT, _any(cores.weight_stochastic & (cores.weight != 0))),
            (RANDOM_LEAK, _any(cores.leak_stochastic & (cores.leak != 0))),
            (RANDOM_THRESHOLD, _any(cores.threshold_mask_bits)),
            (REVERSAL, _any(cores.leak_reversal)),
        ):
            bits |= np.where(used, np.uint32(bit), np.uint32(0))
        return bits

    def _lanes(self, values: Array, fill: int = 0) -> Array:
        """Values [rows, N] as [rows * units, 256]; ``fill`` in the lanes beyond."""
        out = np.full((len(values), self.units * LANES), fill, np.int32)
        out[:, : values.shape[1]] = values
        return out.reshape(len(values) * self.units, LANES)

    def _weights(self, header: Array) -> tuple[dict[str, Array | None], dict[str, int]]:
        cores, types = self.cores, self.arch.core.axon_types
        rows = (self.n * types, self.arch.core.neurons)
        weight, stochastic = cores.weight.reshape(rows), cores.weight_stochastic.reshape(rows)
        first, kind = distinct([weight, stochastic])
        weight, stochastic = self._lanes(weight[first]), self._lanes(stochastic[first]).astype(bool)
        certain, random = np.where(stochastic, 0, weight), np.where(stochastic, weight, 0)
        n_planes = self._weight_planes(certain)
        planes = signed_planes(certain, n_planes)
        used = np.bitwise_or.reduce(used_bits(planes[:, 1:]).reshape(-1, self.units), axis=1)
        of_core = kind.reshape(self.n, types)
        header["input_bound"] = self._bound(certain, random)[of_core].max(axis=1, initial=0)
        first_core, header["weights"] = distinct([of_core])
        row = of_core[first_core]
        tables: dict[str, Array | None] = {
            "weight_row": contiguous(row, np.uint32),
            "weight_place": contiguous(row * np.uint32(self.units * (1 + n_planes) * WORDS), np.uint32),
            "weight": planes,
            "weight_bits": contiguous(used[row], np.uint32),
            "chance": self._chances(random) if random.any() else None,
            "chance_used": contiguous((random != 0).any(axis=1).reshape(-1, self.units).any(axis=1), np.uint8),
        }
        return tables, {"weight_planes": n_planes}

    def _weight_planes(self, weights: Array) -> int:
        """Magnitude planes of all weights: 1, 2 or 4, for which the kernel has loops of its own, or as many as are needed."""
        needed = int(bit_lengths(weights).max(initial=0))
        return next((size for size in (1, 2, 4) if needed <= size), needed)

    def _chances(self, values: Array) -> Array:
        """Random steps: sign, mask and magnitude; no draw exceeds 2^bits - 1, so larger magnitudes always act, as it does."""
        magnitude = np.minimum(np.abs(values), (1 << self.random_bits) - 1)
        return signed_planes(np.where(values < 0, -magnitude, magnitude), self.random_bits, values != 0)

    def _profiles(self, header: Array) -> tuple[dict[str, Array | None], dict[str, int]]:
        first, kind = distinct([getattr(self.cores, name) for name in PER_NEURON])
        value = {name: self._lanes(getattr(self.cores, name)[first]) for name in PER_NEURON}
        used = value["configured"] != 0
        for name, inert in (("threshold", 1), ("floor", 0), ("floor_mode", 1), ("reset_mode", 2)):
            value[name] = np.where(used, value[name], inert)
        for name in ("leak", "reset", "threshold_mask_bits", "leak_stochastic", "leak_reversal"):
            value[name] = np.where(used, value[name], 0)
        stochastic = value["leak_stochastic"] != 0
        certain = np.where(stochastic, 0, value["leak"])
        random = np.where(stochastic, value["leak"], 0)
        mask_planes = int(value["threshold_mask_bits"].max(initial=0))
        masks = [planes_of(value["threshold_mask_bits"] > bit, 1) for bit in range(mask_planes)]
        mode = value["reset_mode"]
        modes = (mode == 0, mode == 1, value["floor_mode"] == 1, value["leak_reversal"] != 0)
        header["profile"], header["leak_bound"] = kind, self._bound(certain, random)[kind]
        tables: dict[str, Array | None] = {
            "profiles": self._profile_numbers(value, random),
            "leak": planes_of(certain, self.planes),
            "leak_chance": self._chances(random) if random.any() else None,
            "not_threshold": ~planes_of(value["threshold"], self.planes),
            "not_bound": ~planes_of(-value["floor"], self.planes),
            "reset": planes_of(value["reset"], self.planes),
            "modes": contiguous(np.concatenate([planes_of(item, 1) for item in modes], axis=1), np.uint64),
            "threshold_mask": contiguous(np.concatenate(masks, axis=1), np.uint64) if masks else None,
        }
        return tables, {"mask_planes": mask_planes}

    def _bound(self, certain: Array, random: Array) -> Array:
        """The largest magnitude that each row of values adds, over its units; a random step adds one."""
        bound = np.maximum(np.abs(certain).max(axis=1, initial=0), (random != 0).any(axis=1))
        return np.asarray(bound.reshape(-1, self.units).max(axis=1, initial=0))

    def _profile_numbers(self, value: dict[str, Array], random: Array) -> Array:
        alpha, beta, reset, mode = (value[name] for name in ("threshold", "floor", "reset", "reset_mode"))
        lowest = beta.min(axis=1, initial=2**31 - 1)
        negative = (alpha < 0).any(axis=1) | (beta < 0).any(axis=1)
        # V >= -2^(width-1), so such a membrane is not below -beta while 2^(width-1) <= beta.
        free = bit_lengths(np.maximum(lowest - int(self.arch.rules.floor_inclusive), 0))
        least = np.where(mode == 0, bit_lengths(reset) + 1, 1).max(axis=1, initial=1)
        draws_needed = self._first_compared(random)
        columns = {
            "leak_from": draws_needed,
            "threshold_width": np.where(negative, self.planes, bit_lengths(alpha).max(axis=1, initial=0) + 1),
            "floor_width": np.where(negative, self.planes, bit_lengths(beta).max(axis=1, initial=0) + 1),
            "least_width": np.where(negative, self.planes, least),
            "floor_free_width": free,
            "reset_is_zero": ~((reset != 0) & (mode == 0)).any(axis=1),
            "floor_is_zero": ~(beta != 0).any(axis=1),
            "floor_holds": (value["floor_mode"] == 1).all(axis=1),
            "has_linear": (mode == 1).any(axis=1),
            "has_value": (mode == 0).any(axis=1),
            "mask_bits": value["threshold_mask_bits"].max(axis=1, initial=0),
        }
        table = np.stack([columns[name].astype(np.int64) for name in PROFILE_FIELDS], axis=1)
        return contiguous(table.astype(np.int32), np.int32)

    def _first_compared(self, random: Array) -> Array:
        """Low bits that are set in every magnitude of a row: a draw that equals it above them never exceeds it."""
        magnitude = np.minimum(np.abs(random), (1 << self.random_bits) - 1)
        common = np.bitwise_and.reduce(np.where(random != 0, magnitude, -1), axis=1)
        trailing = bit_lengths(~common & (common + 1)) - 1
        return np.where(common == -1, self.random_bits, np.minimum(trailing, self.random_bits))

    def _targets(self) -> tuple[Array, int]:
        """Destinations as ``layout.h`` packs them, in 32 bits if they fit, and where the delay begins."""
        cores, slots = self.cores, self.arch.core.scheduler_slots
        plane_bits = self.scheduler_words * 64
        shift = max((plane_bits - 1).bit_length() if plane_bits else 1, self.chip.n_outputs.bit_length())
        wide = shift + (slots - 1).bit_length() > 32
        kind: Any = np.uint64 if wide else np.uint32
        rows = self.chip.row_of()[np.maximum(cores.target_core, 0)]
        routed = (cores.target_core >= 0) & (rows >= 0)
        place = rows.astype(kind) * kind(self.axon_words * 64) + cores.target_axon.astype(kind)
        packed = place | cores.delay.astype(kind) << kind(shift)
        line = cores.target_axon.astype(kind) + kind(1)
        out = aligned((self.n, self.units * LANES), kind)
        out[:, : cores.delay.shape[1]] = np.where(routed, packed, np.where(cores.target_core == OUTPUT, line, kind(0)))
        return out, shift


def _any(values: Array) -> Array:
    """Whether anything is set in each row [n]."""
    return np.asarray(values.any(axis=tuple(range(1, values.ndim))))

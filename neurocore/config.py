"""A configured chip: every crossbar bit, parameter, destination and route, and what its inputs and outputs mean.

:class:`ChipConfig` is where the compiler and the engines meet. It holds rows only for configured cores; arrays are
read-only; :meth:`ChipConfig.validate` checks every range, so that the kernels need not check anything.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.errors import InputError
from neurocore.wording import counted

NOWHERE = -1
"""Destination of a neuron whose spikes go nowhere."""
OUTPUT = -2
"""Destination of a neuron whose spikes leave on the output line given as its destination axon."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Group:
    """A named run of lines or neurons: an input, an output or a population of the source network.

    ``start`` is the first line of an input or output, or 0 for a population; ``shape`` gives their number and order.
    """

    name: str
    shape: tuple[int, ...]
    start: int = 0

    @cached_property
    def size(self) -> int:
        """Number of lines or neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Cores:
    """Parameters of n configured cores as arrays, one row per core; A axons, N neurons, G axon types.

    ==================== ================ =========================================================================
    field                shape            meaning
    ==================== ================ =========================================================================
    core                 [n]              core number x + y * columns, strictly ascending
    stream               [n] uint64       number that selects the core's random stream; placement does not change it
    crossbar             [n, A, W] uint64 bit j % 64 of word j // 64: axon a reaches neuron j; W = ceil(N / 64)
    axon_type            [n, A]           0..G-1
    weight               [n, G, N]        weight of neuron j for axons of type g
    weight_stochastic    [n, G, N] bool   the weight acts as a probability
    leak                 [n, N]           signed
    leak_stochastic      [n, N] bool
    leak_reversal        [n, N] bool
    threshold            [n, N]
    threshold_mask_bits  [n, N]           random bits added to threshold and floor
    floor                [n, N]           beta; the membrane's floor is -beta
    floor_mode           [n, N]           0 reset, 1 saturate (kappa)
    reset                [n, N]           R
    reset_mode           [n, N]           0 value, 1 linear, 2 none (gamma)
    initial              [n, N]           membrane before tick 0
    target_core          [n, N]           core number, NOWHERE or OUTPUT
    target_axon          [n, N]           axon of the target core, or output line
    delay                [n, N]           ticks; 0 where there is no target core
    configured           [n, N] bool      the neuron is in use
    population           [n, N]           index into ChipConfig.populations, -1 for relays and unused neurons
    index                [n, N]           index within the population, -1 likewise
    ==================== ================ =========================================================================
    """

    core: Array
    stream: Array
    crossbar: Array
    axon_type: Array
    weight: Array
    weight_stochastic: Array
    leak: Array
    leak_stochastic: Array
    leak_reversal: Array
    threshold: Array
    threshold_mask_bits: Array
    floor: Array
    floor_mode: Array
    reset: Array
    reset_mode: Array
    initial: Array
    target_core: Array
    target_axon: Array
    delay: Array
    configured: Array
    population: Array
    index: Array

    def __len__(self) -> int:
        return len(self.core)


def array_layout(arch: Architecture) -> dict[str, tuple[tuple[str, ...], np.dtype[Any]]]:
    """Dimensions (``n``, ``A``, ``N``, ``G``, ``W``) and type of every array of :class:`Cores` on a chip."""
    flag, small, wide = np.dtype(np.bool_), np.dtype(np.uint8), np.dtype(np.int32)
    limits = arch.neuron
    per_neuron = {
        "leak": limits.leak.dtype(),
        "leak_stochastic": flag,
        "leak_reversal": flag,
        "threshold": limits.threshold.dtype(),
        "threshold_mask_bits": small,
        "floor": limits.floor.dtype(),
        "floor_mode": small,
        "reset": limits.reset.dtype(),
        "reset_mode": small,
        "initial": wide,
        "target_core": wide,
        "target_axon": wide,
        "delay": small,
        "configured": flag,
        "population": wide,
        "index": wide,
    }
    layout: dict[str, tuple[tuple[str, ...], np.dtype[Any]]] = {
        "core": (("n",), wide),
        "stream": (("n",), np.dtype(np.uint64)),
        "crossbar": (("n", "A", "W"), np.dtype(np.uint64)),
        "axon_type": (("n", "A"), small),
        "weight": (("n", "G", "N"), limits.weight.dtype()),
        "weight_stochastic": (("n", "G", "N"), flag),
    }
    layout.update({name: (("n", "N"), dtype) for name, dtype in per_neuron.items()})
    return layout


def array_shape(arch: Architecture, dimensions: tuple[str, ...], n: int) -> tuple[int, ...]:
    """Dimensions by name as numbers."""
    size = {
        "n": n,
        "A": arch.core.axons,
        "N": arch.core.neurons,
        "G": arch.core.axon_types,
        "W": -(-arch.core.neurons // 64),
    }
    return tuple(size[name] for name in dimensions)


def blank_arrays(arch: Architecture, n: int) -> dict[str, Array]:
    """Writable arrays for n cores in which every neuron is unused and inert: it can never fire or change."""
    arrays = {
        name: np.zeros(array_shape(arch, dimensions, n), dtype)
        for name, (dimensions, dtype) in array_layout(arch).items()
    }
    arrays["threshold"][:] = arch.neuron.threshold.max
    arrays["floor"][:] = arch.neuron.floor.max
    arrays["floor_mode"][:] = floor_mode_default(arch)
    arrays["target_core"][:] = NOWHERE
    arrays["population"][:] = -1
    arrays["index"][:] = -1
    return arrays


def floor_mode_default(arch: Architecture) -> int:
    """``saturate`` where the chip has it."""
    return int("saturate" in arch.neuron.floor_modes)


@dataclass(frozen=True)
class InputMap:
    """Where the spikes of input lines enter: entry k sends line ``line[k]`` to an axon, ``delay[k]`` ticks later."""

    line: Array
    core: Array
    axon: Array
    delay: Array

    @staticmethod
    def empty() -> InputMap:
        """No input lines."""
        none = np.zeros(0, np.int64)
        return InputMap(none, none, none, none)

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, repr=False)
class ChipConfig:
    """A chip, ready to run. Immutable; see :meth:`save` and :func:`neurocore.load`.

    ``dilation`` K is how many ticks of the chip make one of the network: what belongs to network tick t happens K t ticks later
    than what belongs to tick 0. ``latency`` is T: an output spike of network tick t leaves the chip in tick K t + T. ``timing``
    [n_neurons of the source network] is the start shift tau of each neuron, populations in order; empty for chips that no
    network made.
    """

    architecture: Architecture
    cores: Cores
    inputs: tuple[Group, ...] = ()
    outputs: tuple[Group, ...] = ()
    populations: tuple[Group, ...] = ()
    input_map: InputMap = field(default_factory=InputMap.empty)
    name: str = "chip"
    seed: int = 0
    latency: int = 0
    timing: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    network_digest: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    dilation: int = 1

    def __post_init__(self) -> None:
        for holder in (self.cores, self.input_map):
            for item in fields(holder):
                getattr(holder, item.name).flags.writeable = False
        self.timing.flags.writeable = False

    @property
    def n_inputs(self) -> int:
        """Number of input lines."""
        return sum(group.size for group in self.inputs)

    @property
    def n_outputs(self) -> int:
        """Number of output lines."""
        return sum(group.size for group in self.outputs)

    @property
    def n_neurons(self) -> int:
        """Configured neurons, relays and copies included."""
        return int(self.cores.configured.sum())

    @property
    def n_synapses(self) -> int:
        """Set crossbar bits."""
        return int(np.bitwise_count(self.cores.crossbar).sum(dtype=np.int64))

    @property
    def n_axons(self) -> int:
        """Axons that reach at least one neuron."""
        return int(self.cores.crossbar.any(axis=2).sum())

    def row_of(self) -> Array:
        """Row [n_cores of the board] of each core in :class:`Cores`, -1 where the core is not configured."""
        rows = np.full(self.architecture.n_cores, -1, np.int64)
        rows[self.cores.core] = np.arange(len(self.cores))
        return rows

    def crossbar_bits(self, row: int) -> npt.NDArray[np.bool_]:
        """Crossbar of one configured core as booleans [axons, neurons]."""
        words = self.cores.crossbar[row].astype("<u8")
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
        return bits[:, : self.architecture.core.neurons].astype(bool)

    def digest(self) -> str:
        """SHA-256 of everything that the chip does and means, as hexadecimal."""
        state = hashlib.sha256(self.architecture.digest().encode())
        for holder in (self.cores, self.input_map):
            for item in fields(holder):
                state.update(np.ascontiguousarray(getattr(holder, item.name)).data)
        state.update(np.ascontiguousarray(self.timing).data)
        described = (self.inputs, self.outputs, self.populations, self.seed, self.latency)
        state.update(repr(described if self.dilation == 1 else (*described, self.dilation)).encode())
        return state.hexdigest()

    def validate(self) -> ChipConfig:
        """Check every array against the architecture; raise InputError that lists what is out of range. Returns self."""
        from neurocore.validation import find_problems

        problems = find_problems(self)
        if problems:
            raise InputError(problems)
        return self

    def save(self, path: str) -> None:
        """Write the chip file (HDF5, atomic). Raises OutputError if it cannot be written."""
        from neurocore.chipfile import save_chip

        save_chip(self, path)

    def __repr__(self) -> str:
        return f"<ChipConfig {self}>"

    def __str__(self) -> str:
        arch = self.architecture
        counts = {
            "neuron": self.n_neurons,
            "synapse": self.n_synapses,
            "input": self.n_inputs,
            "output": self.n_outputs,
        }
        held = ", ".join(counted(number, noun) for noun, number in counts.items())
        frames = f", {self.dilation} ticks to one of the network" if self.dilation != 1 else ""
        cores = f"{len(self.cores):,} of {arch.n_cores:,} {arch.name} cores"
        return f"{self.name}: {cores}, {held}, latency {self.latency}{frames}"


def pack_crossbar(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Booleans [..., N] as 64-bit words [..., ceil(N / 64)], bit j % 64 of word j // 64."""
    padding = -bits.shape[-1] % 64
    padded = np.concatenate([bits, np.zeros((*bits.shape[:-1], padding), bool)], axis=-1)
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)

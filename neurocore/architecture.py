"""What a chip is: limits, widths, rules and energy constants, read from a chip definition (YAML).

An :class:`Architecture` is an argument of every stage and the only source of limits; no other module holds a number of a
chip. Named variants (a chip without a clamp, another test at the floor) are fields of ``rules``.
"""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from neurocore.errors import InputError, UsageError
from neurocore.power import EnergyModel
from neurocore.wording import did_you_mean, shown
from neurocore.yamlfile import Document, describe, read_yaml

FORMAT = 1
"""Version of the chip definition format."""
MAX_CORES = 1 << 22
"""Cores of the largest board."""

Int = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]

RESET_MODES = ("value", "linear", "none")
"""Names of the reset modes; the index is gamma of Cassidy et al., IJCNN 2013."""

FLOOR_MODES = ("reset", "saturate")
"""Names of the floor modes; the index is kappa of Cassidy et al., IJCNN 2013."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Part):
    """Whole numbers from ``min`` to ``max``, both included."""

    min: Int
    max: Int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def __contains__(self, value: int) -> bool:
        return self.min <= value <= self.max

    def __str__(self) -> str:
        return f"{self.min}..{self.max}"

    def dtype(self) -> np.dtype[Any]:
        """The narrowest signed integer type that holds the range."""
        for candidate in (np.int8, np.int16, np.int32):
            info = np.iinfo(candidate)
            if info.min <= self.min and self.max <= info.max:
                return np.dtype(candidate)
        raise AssertionError("ranges are checked to fit 32 bits")


class Grid(_Part):
    """A rectangle of cores or of chips."""

    columns: Annotated[int, Field(strict=True, ge=1, le=4096)]
    rows: Annotated[int, Field(strict=True, ge=1, le=4096)]


class CoreLimits(_Part):
    """The size of one core."""

    axons: Annotated[int, Field(strict=True, ge=1, le=65_535)]
    neurons: Annotated[int, Field(strict=True, ge=2, le=65_535)]
    axon_types: Annotated[int, Field(strict=True, ge=1, le=256)]
    scheduler_slots: Annotated[int, Field(strict=True, ge=2, le=256)]


class NeuronLimits(_Part):
    """Ranges of a neuron's parameters (chip.md, quantities)."""

    weight: Range
    leak: Range
    threshold: Range
    threshold_mask_bits: Annotated[int, Field(strict=True, ge=0, le=30)]
    floor: Range
    reset: Range
    membrane: Range
    random_bits: Annotated[int, Field(strict=True, ge=1, le=8)]
    reset_modes: tuple[Literal["value", "linear", "none"], ...]
    floor_modes: tuple[Literal["reset", "saturate"], ...]

    @field_validator("weight", "leak", "threshold", "floor", "reset", "membrane")
    @classmethod
    def _narrow(cls, value: Range) -> Range:
        if value.min < -(2**31) or value.max >= 2**31:
            raise ValueError("a range must fit 32-bit integers")
        return value


class Reach(_Part):
    """How far a packet travels, in cores."""

    dx: Range
    dy: Range


class Routing(_Part):
    """Delays in ticks and the reach of a packet.

    ``lost_delay`` is a delay that a packet can name but with which it never arrives; readers of a chip's own format report
    such packets and leave them out.
    """

    delay: Range
    reach: Reach
    lost_delay: Positive | None = None


class Rules(_Part):
    """Documented points in which chips of this family differ.

    The defaults are TrueNorth's. ``clamp`` off lets a membrane wrap at 32 bits. ``floor_inclusive`` tests ``V <= -beta``.
    """

    stochastic_weights: Flag = True
    stochastic_leak: Flag = True
    stochastic_threshold: Flag = True
    leak_reversal: Flag = True
    leak_stops_at_zero: Flag = True
    clamp: Flag = True
    clamp_fires: Flag = True
    floor_inclusive: Flag = False


class Energy(_Part):
    """Constants of the power model; see :class:`neurocore.power.EnergyModel` for units and meaning."""

    reference_voltage: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    default_voltage: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    min_voltage: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    max_voltage: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    default_tick_hz: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 1000.0
    leakage_mw: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    leakage_exponent: Annotated[float, Field(strict=True, ge=0, le=20, allow_inf_nan=False)]
    neuron_update_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    synaptic_event_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    spike_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    hop_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    io_packet_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    crossing_pj: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    accuracy: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    sources: tuple[Text, ...]

    def model(self) -> EnergyModel:
        """The constants as the power model takes them."""
        return EnergyModel(**self.model_dump())


class Architecture(_Part):
    """One kind of chip. Instances are immutable and compare by value."""

    format: Literal[1]
    name: Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_-]*$")]
    title: Text
    description: Text
    mesh: Grid
    board: Grid = Grid(columns=1, rows=1)
    core: CoreLimits
    neuron: NeuronLimits
    routing: Routing
    rules: Rules = Rules()
    energy: Energy | None = None
    sources: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(_inconsistencies(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def __repr__(self) -> str:
        return f"<Architecture {self.name!r}: {self.columns} x {self.rows} cores>"

    @property
    def columns(self) -> int:
        """Cores from west to east, over all chips of the board."""
        return self.mesh.columns * self.board.columns

    @property
    def rows(self) -> int:
        """Cores from south to north, over all chips of the board."""
        return self.mesh.rows * self.board.rows

    @property
    def n_cores(self) -> int:
        """Cores of the board."""
        return self.columns * self.rows

    def core_id(self, x: int, y: int) -> int:
        """Number of the core in column ``x`` and row ``y``."""
        return x + y * self.columns

    def core_xy(self, core: int) -> tuple[int, int]:
        """Column and row of a core."""
        return core % self.columns, core // self.columns

    def digest(self) -> str:
        """SHA-256 of the definition's canonical JSON, as hexadecimal."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _inconsistencies(arch: Architecture) -> list[str]:
    problems = []
    neuron, routing = arch.neuron, arch.routing
    if routing.delay.min < 1:
        problems.append(f"routing.delay.min is {routing.delay.min}; a spike takes at least one tick")
    if routing.delay.max >= arch.core.scheduler_slots:
        problems.append(
            f"routing.delay.max {routing.delay.max} needs {routing.delay.max + 1} scheduler slots;"
            f" core.scheduler_slots is {arch.core.scheduler_slots}"
        )
    if routing.lost_delay is not None and routing.lost_delay in routing.delay:
        problems.append(f"routing.lost_delay {routing.lost_delay} lies within routing.delay {routing.delay}")
    random = arch.rules.stochastic_weights or arch.rules.stochastic_leak
    if random and min(neuron.weight.min, neuron.leak.min) == -(2**31):
        problems.append("a stochastic weight or leak of -2^31 has no magnitude in 32 bits")
    if arch.n_cores > MAX_CORES:
        problems.append(f"the mesh and the board give {arch.n_cores:,} cores; at most {MAX_CORES:,} are supported")
    if arch.rules.clamp and -neuron.floor.min > neuron.membrane.max:
        problems.append(f"neuron.floor.min {neuron.floor.min} lies above neuron.membrane.max {neuron.membrane.max}")
    if 0 not in neuron.membrane:
        problems.append(f"neuron.membrane {neuron.membrane} does not hold 0")
    if neuron.threshold.max + 2**neuron.threshold_mask_bits - 1 >= 2**31:
        problems.append("the largest threshold plus its random part exceeds 31 bits")
    if neuron.floor.max + 2**neuron.threshold_mask_bits - 1 >= 2**31:
        problems.append("the largest floor plus its random part exceeds 31 bits")
    if arch.rules.clamp and (excess := worst_membrane(arch)) >= 2**31:
        problems.append(f"a membrane can reach {excess:,} within a tick, beyond 32 bits")
    if not neuron.reset_modes:
        problems.append("neuron.reset_modes is empty")
    if not neuron.floor_modes:
        problems.append("neuron.floor_modes is empty")
    if arch.energy is not None:
        low, high = arch.energy.min_voltage, arch.energy.max_voltage
        if not low <= arch.energy.default_voltage <= high:
            problems.append(f"energy.default_voltage lies outside {low} V..{high} V")
    return problems


def worst_membrane(arch: Architecture) -> int:
    """The largest magnitude that a clamped membrane can have at any moment within a tick."""
    start: int = max(abs(arch.neuron.membrane.min), abs(arch.neuron.membrane.max))
    weight = max(abs(arch.neuron.weight.min), abs(arch.neuron.weight.max))
    leak = max(abs(arch.neuron.leak.min), abs(arch.neuron.leak.max))
    bounce = max(abs(arch.neuron.floor.min), abs(arch.neuron.floor.max)) + (1 << arch.neuron.threshold_mask_bits)
    return start + arch.core.axons * weight + leak + bounce


def chip_names() -> list[str]:
    """Names of the chip definitions that come with neurocore, sorted."""
    folder = resources.files("neurocore.chipdefs")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def chip_text(name: str) -> str:
    """The YAML text of a chip definition that comes with neurocore."""
    if name not in chip_names():
        known = f"there are {', '.join(chip_names())}, or give a file"
        raise InputError(f"no chip definition is named {name!r}; {known}{did_you_mean(name, chip_names())}")
    return (resources.files("neurocore.chipdefs") / f"{name}.yaml").read_text(encoding="utf-8")


def load_architecture(chip: str | Path | Architecture) -> Architecture:
    """The architecture of a chip: a name that comes with neurocore, or the path of a definition file.

    Raises InputError that lists every fault of the file as ``file:line:column: field: reason``.
    """
    if isinstance(chip, Architecture):
        return chip
    if not isinstance(chip, str | os.PathLike):
        raise UsageError(
            f"a chip is {shown(chip)}; the name of one, the path of a definition, or an Architecture was expected"
        )
    name = str(chip)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return parse_architecture(read_yaml(name))
    return parse_architecture(read_yaml(f"{name}.yaml", chip_text(name)))


def parse_architecture(document: Document) -> Architecture:
    """Check a document against the schema; all faults are listed at once.

    A definition may say ``extends: NAME``: it then holds only what differs from that definition.
    """
    document = _extended(document)
    version = document.data.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise InputError(
            document.complain(("format",), f"is {version}; this neurocore reads up to {FORMAT}: upgrade it")
        )
    try:
        return Architecture.model_validate(document.data)
    except ValidationError as error:
        raise InputError(describe(error.errors(), document, Architecture)) from error


def _extended(document: Document) -> Document:
    """The document with what it leaves out taken from the definition that it extends."""
    base = document.data.get("extends")
    if base is None:
        return document
    if not isinstance(base, str) or base not in chip_names():
        reason = f"there is no chip definition {base!r} to extend{did_you_mean(base, chip_names())}"
        raise InputError(document.complain(("extends",), reason))
    whole = _extended(read_yaml(f"{base}.yaml", chip_text(base)))
    own = {key: value for key, value in document.data.items() if key != "extends"}
    return Document(document.path, _merged(whole.data, own), document.positions)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Mappings merged key by key; everything else is replaced."""
    result = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result

"""Power and energy of a run: pure functions from what was counted to milliwatts and picojoules.

The form of the model, with V the supply and V0 the reference supply:

    leakage   = powered cores x leakage_mw x (V / V0) ^ leakage_exponent
    dynamic   = (neuron updates, synaptic events, spikes, hops, I/O packets), each x its energy x (V / V0) ^ 2
    crossings = chip-to-chip packets x their energy; the I/O supply pays, so V has no part in it

Every neuron of a powered core is updated, and paid for, on every tick, whether or not the emulator
skipped the work. The constants come from a chip definition; for TrueNorth ``tools/fit_energy.py`` fits
them to what was measured on the silicon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.errors import UsageError
from neurocore.wording import chips_clock, counted

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

SCOPES: Mapping[str, str] = MappingProxyType({"used": "used cores", "chip": "whole chip"})
"""What ``powered`` may be, and how a report words it."""

UNUSED = "(unused)"
"""Name of the share of powered neurons that belong to no population."""

MW_PER_PJ_PER_SECOND = 1e-9


@dataclass(frozen=True, kw_only=True)
class EnergyModel:
    """The energy constants of a chip; energies and leakage are those at ``reference_voltage``.

    Voltages are in V, ``leakage_mw`` in mW per powered core, energies in pJ: per neuron update (one each
    tick), per synaptic event (an active axon meeting a set crossbar bit), per fired spike (its injection
    into the mesh), per hop from core to core, per I/O packet (between the edge of the mesh and the pins;
    its way to the edge is paid as hops), per packet that crosses from chip to chip. ``accuracy`` is the
    largest relative error against the published points, 0.08 for 8 %.
    """

    reference_voltage: float
    default_voltage: float
    min_voltage: float
    max_voltage: float
    default_tick_hz: float = 1000.0
    leakage_mw: float
    leakage_exponent: float
    neuron_update_pj: float
    synaptic_event_pj: float
    spike_pj: float = 0.0
    hop_pj: float
    io_packet_pj: float
    crossing_pj: float
    accuracy: float
    sources: tuple[str, ...] = ()

    def leakage_at(self, voltage: float) -> float:
        """Return the leakage of one powered core at a supply, in mW."""
        return self.leakage_mw * math.pow(voltage / self.reference_voltage, self.leakage_exponent)

    def dynamic_scale(self, voltage: float) -> float:
        """Return the factor on dynamic energies at a supply, which goes with its square."""
        return (voltage / self.reference_voltage) ** 2


def _nothing() -> Array:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What a run counted.

    ``hops`` are the core-to-core hops of all packets, ``io_packets`` the inputs and outputs, ``io_hops``
    their way between core and edge, ``chip_crossings`` the passages from one chip to another. The arrays
    are [n] for the n cores listed in ``core`` and [p] for the p populations named; ``*_hops`` are those
    of the packets that the core or population sent. On a board of several chips, ``chip`` [c] are their
    positions (column, row), and ``chip_*`` [c] the same counts by chip: the cores in use, of ``cores_per_chip``,
    and the packets that left over the chip's edges. Arrays that are left empty leave that part of the
    report empty. ``inferences`` is None where the run knows of none. ``dilation`` is how many ticks of the chip
    make one of its network.
    """

    ticks: int
    powered_cores_used: int
    powered_cores_chip: int
    neurons_per_core: int
    synaptic_events: int
    spikes: int
    hops: int
    io_packets: int = 0
    io_hops: int = 0
    chip_crossings: int = 0
    core: Array = field(default_factory=_nothing)
    core_synaptic_events: Array = field(default_factory=_nothing)
    core_spikes: Array = field(default_factory=_nothing)
    core_hops: Array = field(default_factory=_nothing)
    population_names: tuple[str, ...] = ()
    population_neurons: Array = field(default_factory=_nothing)
    population_spikes: Array = field(default_factory=_nothing)
    population_synaptic_events: Array = field(default_factory=_nothing)
    population_hops: Array = field(default_factory=_nothing)
    chip: tuple[tuple[int, int], ...] = ()
    cores_per_chip: int = 0
    chip_cores_used: Array = field(default_factory=_nothing)
    chip_synaptic_events: Array = field(default_factory=_nothing)
    chip_spikes: Array = field(default_factory=_nothing)
    chip_hops: Array = field(default_factory=_nothing)
    chip_crossings_out: Array = field(default_factory=_nothing)
    inferences: int | None = None
    dilation: int = 1


@dataclass(frozen=True, eq=False)
class PowerShares:
    """Power and energy of n parts of a run: read-only float64 arrays [n], NaN where the count is zero.

    I/O belongs to the edge of the chip and to none of its parts. Names and units are those of
    :class:`PowerReport`.
    """

    total_mw: Floats
    leakage_mw: Floats
    neuron_mw: Floats
    synapse_mw: Floats
    routing_mw: Floats
    energy_per_spike_pj: Floats
    energy_per_synaptic_event_pj: Floats
    energy_per_tick_nj: Floats
    energy_per_inference_uj: Floats
    gsops: Floats
    gsops_per_watt: Floats

    def __post_init__(self) -> None:
        for item in fields(self):
            getattr(self, item.name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.total_mw)

    def rows(self) -> Iterator[dict[str, float | None]]:
        """Yield a dict per part, from field name to value; None where a count is zero."""
        names = [item.name for item in fields(self)]
        for values in zip(*(getattr(self, name).tolist() for name in names), strict=True):
            defined = (None if math.isnan(value) else value for value in values)
            yield dict(zip(names, defined, strict=True))


@dataclass(frozen=True, eq=False)
class PowerReport:
    """Power and energy of a run at a supply and a tick rate; prints itself as a table.

    ``total_mw`` is the sum of leakage, neuron updates, synaptic events, routing (fired spikes and their
    hops) and I/O (inputs and outputs with their hops, and ``crossing_mw``, the chip-to-chip packets).
    ``energy_per_*`` is total energy divided by the count, None at a count of zero. ``gsops`` is synaptic
    events per second of chip time, in 10^9. ``dilation`` ticks make one of the network.

    ``per_core`` is in the order of ``core``; ``idle_cores`` are the powered cores beyond these, each of
    which draws ``idle_core_mw``. ``per_population`` is in the order of ``population``, whose last entry
    is the powered neurons of no population. Cores and idle cores together, and populations, add up to
    ``total_mw`` less ``io_mw``. ``per_chip`` is in the order of ``chip``, empty for a single chip, and adds
    up likewise; ``chip_crossing_mw`` is what the packets that left each chip for another cost, in ``crossing_mw``.
    """

    total_mw: float
    leakage_mw: float
    neuron_mw: float
    synapse_mw: float
    routing_mw: float
    io_mw: float
    crossing_mw: float
    energy_per_spike_pj: float | None
    energy_per_synaptic_event_pj: float | None
    energy_per_tick_nj: float | None
    energy_per_inference_uj: float | None
    gsops: float
    gsops_per_watt: float | None
    voltage: float
    tick_hz: float
    ticks: int
    dilation: int
    powered: str
    powered_cores: int
    idle_cores: int
    idle_core_mw: float
    accuracy: float
    sources: tuple[str, ...]
    core: tuple[int, ...]
    per_core: PowerShares
    population: tuple[str, ...]
    per_population: PowerShares
    chip: tuple[tuple[int, int], ...]
    chip_powered_cores: tuple[int, ...]
    chip_crossing_mw: tuple[float, ...]
    per_chip: PowerShares

    @property
    def network_tick_hz(self) -> float:
        """Ticks of the network a second, ``dilation`` of the chip's each."""
        return self.tick_hz / self.dilation

    @property
    def energy_per_network_tick_nj(self) -> float | None:
        """Energy of a tick of the network."""
        return None if self.energy_per_tick_nj is None else self.energy_per_tick_nj * self.dilation

    @property
    def accuracy_statement(self) -> str:
        """The model's accuracy, and what it refers to."""
        return (
            f"The model is within ±{100 * self.accuracy:g} % of the published measurements,"
            " which are of a whole chip with every core running."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of ``power --json``: plain Python values, None where undefined."""
        kept = {"core", "per_core", "population", "per_population", "sources"}
        kept |= {"chip", "chip_powered_cores", "chip_crossing_mw", "per_chip"}
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in kept}
        return {
            **values,
            "network_tick_hz": self.network_tick_hz,
            "energy_per_network_tick_nj": self.energy_per_network_tick_nj,
            "accuracy_statement": self.accuracy_statement,
            "sources": list(self.sources),
            "per_core": _labelled("core", self.core, self.per_core),
            "per_population": _labelled("population", self.population, self.per_population),
            **({"chips": list(self._chips())} if self.chip else {}),
        }

    def __str__(self) -> str:
        lines = [self.heading, *self._parts(), *self._energies(), *self._chip_lines()]
        return "\n".join([*lines, *self._clock(), self.accuracy_statement])

    def _chips(self) -> Iterator[dict[str, Any]]:
        columns = (self.chip, self.chip_powered_cores, self.chip_crossing_mw, self.per_chip.rows())
        for chip, cores, crossing_mw, row in zip(*columns, strict=True):
            yield {"chip": list(chip), "powered_cores": cores, **row, "crossing_mw": crossing_mw}

    def _chip_lines(self) -> Iterator[str]:
        for row in self._chips():
            if row["powered_cores"]:
                name = f"chip ({row['chip'][0]}, {row['chip'][1]})"
                cores = counted(row["powered_cores"], "core")
                crossings = f"{significant(row['crossing_mw'])} mW for packets to other chips"
                yield f"  {name:<26}{significant(row['total_mw']):>12} mW, {cores}, and {crossings}"

    @property
    def heading(self) -> str:
        """The supply, the tick rate and what is powered."""
        cores = counted(self.powered_cores, "core")
        scope = f"powered: {SCOPES[self.powered]}, {cores}"
        network = "" if self.dilation == 1 else f", {self.network_tick_hz:.4g} Hz tick of the network"
        return f"Power at {self.voltage:g} V, {self.tick_hz:g} Hz tick{network} ({scope})"

    def _clock(self) -> Iterator[str]:
        """Of a dilated chip, whose ticks and spikes are counted."""
        if self.dilation != 1:
            yield chips_clock(self.dilation)

    def parts(self) -> dict[str, float]:
        """The parts of ``total_mw`` by name, in mW."""
        return {
            "leakage": self.leakage_mw,
            "neuron updates": self.neuron_mw,
            "synaptic events": self.synapse_mw,
            "routing": self.routing_mw,
            "I/O": self.io_mw,
        }

    def _parts(self) -> Iterator[str]:
        for name, value in {**self.parts(), "total": self.total_mw}.items():
            percent = 100 * value / self.total_mw if self.total_mw else 0.0
            yield f"  {name:<26}{significant(value):>12} mW {percent:>7.1f} %"

    def energies(self) -> dict[str, tuple[float | None, str]]:
        """What is derived from power and counts, by name: value and unit; None where a count is zero."""
        network = {} if self.dilation == 1 else {"energy per network tick": (self.energy_per_network_tick_nj, "nJ")}
        return {
            "energy per chip tick" if network else "energy per tick": (self.energy_per_tick_nj, "nJ"),
            **network,
            "energy per spike": (self.energy_per_spike_pj, "pJ"),
            "energy per synaptic event": (self.energy_per_synaptic_event_pj, "pJ"),
            "energy per inference": (self.energy_per_inference_uj, "µJ"),
            "synaptic events": (self.gsops, "GSOPS"),
            "efficiency": (self.gsops_per_watt, "GSOPS/W"),
        }

    def _energies(self) -> Iterator[str]:
        for name, (value, unit) in self.energies().items():
            shown = f"{'none':>12}" if value is None else f"{significant(value):>12} {unit}"
            yield f"  {name:<26}{shown}"


def estimate_power(
    model: EnergyModel,
    activity: Activity,
    *,
    voltage: float | None = None,
    tick_hz: float | None = None,
    powered: str = "used",
) -> PowerReport:
    """Power and energy of what a run counted.

    ``voltage`` (V) and ``tick_hz`` (Hz) default to the model's. ``powered`` is ``used``, the cores that
    hold a configured neuron, or ``chip``, all cores. Raises UsageError, which lists every argument that
    is out of range.
    """
    voltage = model.default_voltage if voltage is None else voltage
    tick_hz = model.default_tick_hz if tick_hz is None else tick_hz
    problems = list(_problems(model, voltage, tick_hz, powered))
    if problems:
        raise UsageError(problems)
    n_powered = activity.powered_cores_used if powered == "used" else activity.powered_cores_chip
    return _report(_Meter(model, activity, float(voltage), float(tick_hz)), powered, n_powered)


def _problems(model: EnergyModel, voltage: float, tick_hz: float, powered: str) -> Iterator[str]:
    if not model.min_voltage <= voltage <= model.max_voltage:
        yield (
            f"voltage is {voltage:g} V; the energy model covers"
            f" {model.min_voltage:g} V to {model.max_voltage:g} V: choose a supply within that range"
        )
    if not (math.isfinite(tick_hz) and tick_hz > 0):
        yield (
            f"tick rate is {tick_hz:g} Hz; it must be finite and above 0:"
            f" give another, or none for the chip's {model.default_tick_hz:g} Hz"
        )
    if powered not in SCOPES:
        yield (
            f"powered is {powered!r}; it must be 'used' or 'chip':"
            " choose 'used' for the cores that hold a configured neuron, 'chip' for all cores"
        )


@dataclass(frozen=True)
class _Meter:
    """Turns counts of a run into power at one supply and tick rate."""

    model: EnergyModel
    activity: Activity
    voltage: float
    tick_hz: float

    @property
    def seconds(self) -> float:
        """Chip time of the run."""
        return self.activity.ticks / self.tick_hz

    def per_second(self, count: npt.ArrayLike) -> Floats:
        """Return counts per second of chip time; 0 for a run without ticks."""
        counts = np.asarray(count, np.float64)
        return counts / self.seconds if self.activity.ticks else np.zeros_like(counts)

    def dynamic_mw(self, energy_pj: float, count: npt.ArrayLike) -> Floats:
        """Return the power of counted things that each cost ``energy_pj`` at the reference supply."""
        scaled_pj = energy_pj * self.model.dynamic_scale(self.voltage)
        return self.per_second(count) * (scaled_pj * MW_PER_PJ_PER_SECOND)

    def leakage_mw(self, neurons: Floats) -> Floats:
        """Return the leakage of powered neurons: their part of their cores'."""
        return neurons * (self.model.leakage_at(self.voltage) / self.activity.neurons_per_core)

    def neuron_mw(self, neurons: Floats) -> Floats:
        """Return the power of updating powered neurons, each once a tick."""
        update_pj = self.model.neuron_update_pj * self.model.dynamic_scale(self.voltage)
        return neurons * (update_pj * self.tick_hz * MW_PER_PJ_PER_SECOND)

    def crossing_mw(self, crossings: npt.ArrayLike) -> Floats:
        """Return the power of packets between chips; the core supply has no part in it."""
        return self.per_second(crossings) * (self.model.crossing_pj * MW_PER_PJ_PER_SECOND)

    def io_mw(self) -> float:
        """Return the power of inputs and outputs, of their way to the edge, and of packets between chips."""
        packets = self.dynamic_mw(self.model.io_packet_pj, self.activity.io_packets)
        hops = self.dynamic_mw(self.model.hop_pj, self.activity.io_hops)
        return float(packets) + float(hops) + float(self.crossing_mw(self.activity.chip_crossings))

    def shares(
        self,
        neurons: npt.ArrayLike,
        synaptic_events: npt.ArrayLike,
        spikes: npt.ArrayLike,
        hops: npt.ArrayLike,
        io_mw: float = 0.0,
    ) -> PowerShares:
        """Measure n parts by their powered neurons and counts, each [n]; ``io_mw`` is added to each total."""
        powered = np.asarray(neurons, np.float64)
        leakage, updates = self.leakage_mw(powered), self.neuron_mw(powered)
        synapses = self.dynamic_mw(self.model.synaptic_event_pj, synaptic_events)
        routing = self.dynamic_mw(self.model.spike_pj, spikes) + self.dynamic_mw(self.model.hop_pj, hops)
        total = leakage + updates + synapses + routing + io_mw
        energy_pj = total * (self.seconds / MW_PER_PJ_PER_SECOND)
        return PowerShares(
            total_mw=total,
            leakage_mw=leakage,
            neuron_mw=updates,
            synapse_mw=synapses,
            routing_mw=routing,
            energy_per_spike_pj=_ratio(energy_pj, spikes),
            energy_per_synaptic_event_pj=_ratio(energy_pj, synaptic_events),
            energy_per_tick_nj=_ratio(energy_pj, self.activity.ticks) / 1e3,
            energy_per_inference_uj=_ratio(energy_pj, self.activity.inferences or 0) / 1e6,
            gsops=self.per_second(synaptic_events) / 1e9,
            gsops_per_watt=_ratio(np.asarray(synaptic_events, np.float64), energy_pj) * 1e3,
        )

    def whole(self, n_powered: int, io_mw: float) -> PowerShares:
        """Measure the run as one part."""
        counted = self.activity
        neurons = [n_powered * counted.neurons_per_core]
        return self.shares(neurons, [counted.synaptic_events], [counted.spikes], [counted.hops], io_mw)

    def by_core(self) -> PowerShares:
        """Measure the listed cores, one by one."""
        counted = self.activity
        neurons = np.full(len(counted.core), counted.neurons_per_core)
        return self.shares(neurons, counted.core_synaptic_events, counted.core_spikes, counted.core_hops)

    def by_population(self, n_powered: int) -> tuple[tuple[str, ...], PowerShares]:
        """Measure the named populations one by one, and the powered neurons of none."""
        counted = self.activity
        if not counted.population_names:
            return (), self.shares([], [], [], [])
        unused = n_powered * counted.neurons_per_core - int(counted.population_neurons.sum())
        shares = self.shares(
            np.append(counted.population_neurons, unused),
            np.append(counted.population_synaptic_events, 0),
            np.append(counted.population_spikes, 0),
            np.append(counted.population_hops, 0),
        )
        return (*counted.population_names, UNUSED), shares

    def by_chip(self, powered: str) -> tuple[tuple[int, ...], PowerShares]:
        """Measure the chips of a board one by one; also their powered cores."""
        counted = self.activity
        cores = counted.chip_cores_used if powered == "used" else np.full(len(counted.chip), counted.cores_per_chip)
        neurons = cores * counted.neurons_per_core
        shares = self.shares(neurons, counted.chip_synaptic_events, counted.chip_spikes, counted.chip_hops)
        return tuple(cores.tolist()), shares


def _report(meter: _Meter, powered: str, n_powered: int) -> PowerReport:
    io_mw = meter.io_mw()
    whole: dict[str, Any] = next(meter.whole(n_powered, io_mw).rows())
    population, per_population = meter.by_population(n_powered)
    chip_cores, per_chip = meter.by_chip(powered)
    idle = np.array([float(meter.activity.neurons_per_core)])
    return PowerReport(
        **whole,
        io_mw=io_mw,
        crossing_mw=float(meter.crossing_mw(meter.activity.chip_crossings)),
        voltage=meter.voltage,
        tick_hz=meter.tick_hz,
        ticks=meter.activity.ticks,
        dilation=meter.activity.dilation,
        powered=powered,
        powered_cores=n_powered,
        idle_cores=n_powered - len(meter.activity.core),
        idle_core_mw=float((meter.leakage_mw(idle) + meter.neuron_mw(idle))[0]),
        accuracy=meter.model.accuracy,
        sources=meter.model.sources,
        core=tuple(meter.activity.core.tolist()),
        per_core=meter.by_core(),
        population=population,
        per_population=per_population,
        chip=meter.activity.chip,
        chip_powered_cores=chip_cores,
        chip_crossing_mw=tuple(meter.crossing_mw(meter.activity.chip_crossings_out).tolist()),
        per_chip=per_chip,
    )


def _ratio(value: Floats, count: npt.ArrayLike) -> Floats:
    """``value / count`` [n], NaN where the count is zero."""
    divisor = np.broadcast_to(np.asarray(count, np.float64), value.shape)
    quotient = np.full(value.shape, np.nan)
    np.divide(value, divisor, out=quotient, where=divisor > 0)
    return quotient


def significant(value: float, digits: int = 4) -> str:
    """Write a number with at least ``digits`` significant digits and without an exponent."""
    places = digits - 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:,.{max(places, 0)}f}"


def _labelled(key: str, labels: tuple[Any, ...], shares: PowerShares) -> list[dict[str, Any]]:
    return [{key: label, **row} for label, row in zip(labels, shares.rows(), strict=True)]

"""What a compilation did, as its caller gets it and ``compile --json`` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from neurocore.compiler.agreement import Agreement
from neurocore.compiler.check import DEFAULT_RATE, IntegerNetwork
from neurocore.compiler.deviation import Deviation
from neurocore.compiler.quantisation import QuantisationReport
from neurocore.compiler.report import ChipUse
from neurocore.wording import counted

PlacementText = Callable[[bool], str]
"""The content of a placement file, in JSON or YAML."""

MOST_UNRATED = 3
"""Inputs and populations without a rate that are named."""


@dataclass
class CompileReport:
    """What a compilation did; ``seconds`` by stage.

    ``cores_lower_bound`` is what neurons, and sources at an axon each, need at least; ``cores_by_neurons`` and
    ``cores_by_axons`` would hold all that are used, were they spread evenly; ``packets_per_tick`` are the expected spikes between
    cores and from inputs; ``binds`` what most cores are full of: neurons, axons or fan-out.
    ``cores_kept`` is how many cores have the place that they were given, None if none was; ``stations`` are relays on ways that
    are too far for a packet or broken; ``placement`` gives the content of a placement file.
    ``basis`` says what an estimate looked at: the synapses, or shapes alone (then there is no ``network``). ``dilation`` is how
    many ticks of the chip make one of the network, ``dilation_slack`` of them to give relays on its cycles time; packets and
    ``latency`` are by ticks of the chip. ``exact_ticks`` bounds exactness where membranes may rise without end; None if there is
    no bound. ``fan_in`` says what else was done for neurons that read more than a core has axons for, in words; if the chip is
    then not ``exact``, ``deviation`` is what was measured. ``unrated`` are the inputs and populations for which the network gives
    no rate, ``rated`` whether it gives any; packets are expected at these rates, and at DEFAULT_RATE where there is none.
    """

    network: IntegerNetwork | None
    cores: int = 0
    neurons: int = 0
    axons: int = 0
    copies: int = 0
    relays: int = 0
    latency: int = 0
    dilation: int = 1
    dilation_slack: int = 0
    exact_ticks: int | None = None
    fan_in: str = ""
    exact: bool = True
    deviation: Deviation | None = None
    mean_hops: float = 0.0
    weighted_hops: float = 0.0
    least_cores: int = 0
    cores_lower_bound: int = 0
    cores_by_neurons: int = 0
    cores_by_axons: int = 0
    packets_per_tick: float = 0.0
    binds: str = ""
    basis: str = "synapses"
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    quantisation: QuantisationReport | None = None
    effect: Agreement | None = None
    use: ChipUse | None = None
    cores_kept: int | None = None
    stations: int = 0
    placement: PlacementText | None = None
    declared: list[str] = field(default_factory=list)
    unrated: list[str] = field(default_factory=list)
    rated: bool = False
    dumps: dict[str, Callable[[], str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``compile --json``."""
        fields: dict[str, Any] = {
            "cores": self.cores,
            "neurons": self.neurons,
            "axons": self.axons,
            "splitter_neurons": self.copies + self.relays,
            "copies": self.copies,
            "relays": self.relays,
            "stations": self.stations,
            "cores_kept": self.cores_kept,
            "least_cores": self.least_cores,
            "cores_lower_bound": self.cores_lower_bound,
            "cores_by_neurons": self.cores_by_neurons,
            "cores_by_axons": self.cores_by_axons,
            "packets_per_tick": round(self.packets_per_tick, 3),
            "assumed_rate": DEFAULT_RATE,
            "assumed_rate_of": self.unrated,
            "binds": self.binds,
            "basis": self.basis,
            "latency_ticks": self.latency,
            "dilation": self.dilation,
            "dilation_slack": self.dilation_slack,
            "exact_ticks": self.exact_ticks,
            "fan_in": self.fan_in,
            "exact": self.exact,
            "approximations": self.approximations,
            "mean_hops": self.mean_hops,
            "weighted_hops": self.weighted_hops,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "warnings": self.warnings,
        }
        if self.use is not None:
            known = self.use.as_dict()
            fields |= {name: known[name] for name in ("populations", "limits", "mesh")}
        if self.quantisation is not None:
            fields["quantisation"] = self.quantisation.as_dict()
        if self.effect is not None:
            fields["effect"] = self.effect.as_dict()
        if self.deviation is not None:
            fields["deviation"] = self.deviation.as_dict()
        fields["declared"] = self.declared
        return fields

    @property
    def approximations(self) -> list[str]:
        """In what the chip is not the (quantised) network, and by how much."""
        return [] if self.deviation is None else [str(self.deviation)]

    def warnings_but(self, *codes: str) -> list[str]:
        """The warnings, but for those of codes whose content is said in full elsewhere."""
        return [text for text in self.warnings if not text.startswith(codes)]

    @property
    def neurons_text(self) -> str:
        """How many neurons of the chip are taken, and what for."""
        more = f"{counted(self.copies, 'copy')} and {counted(self.relays, 'relay')} for fan-out"
        return f"{self.neurons:,}, of which {more}"

    @property
    def fill_text(self) -> str:
        """How many cores would hold all neurons and all axons, were they spread evenly."""
        verb = "has" if self.cores_by_neurons == 1 else "have"
        return f"as many neurons as {counted(self.cores_by_neurons, 'core')} {verb}, as many axons as {self.cores_by_axons:,}"

    @property
    def rates_text(self) -> str:
        """The rates at which packets are expected."""
        names = ", ".join(map(repr, self.unrated[:MOST_UNRATED]))
        more = len(self.unrated) - MOST_UNRATED
        who = (
            f"{names}{f' and {more:,} more' if more > 0 else ''}, for which spike_rates has none"
            if self.rated
            else "all"
        )
        assumed = f"{DEFAULT_RATE:g} spikes per tick of {who}" if self.unrated else ""
        return " and ".join(["the network's spike_rates"] * self.rated + [assumed] * bool(assumed))

    @property
    def kept_text(self) -> str:
        """How many cores kept the place that they were given; nothing if none was given."""
        return (
            ""
            if self.cores_kept is None
            else f"{self.cores_kept:,} of {counted(self.cores, 'core')} kept the place given"
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun

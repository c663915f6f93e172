"""Fit TrueNorth's energy constants to what was published, and print them beside the fit's errors.

    python tools/fit_energy.py

prints the ``energy`` section of ``chipdefs/truenorth.yaml`` and a table of published against modelled
figures; the exit code is 1 if one of them is off by more than 8 %.

How. Four constants are free: the leakage of a core and its exponent, the energy of a neuron update and that
of a synaptic event. They minimise the largest relative error (minimax). Its floor is 11/151 = 7.3 %: one
operating point was published as 70 and as 81 GSOPS/W, and no model comes nearer to both. Among the solutions
that reach the floor, the one whose largest error over all other points is least is taken.

What is not fitted. A hop costs the published 2.3 pJ; I/O and chip crossings are a packet of 32 bits at the
published energies per bit. A neuron update costs at least what reading its core memory was measured to cost
(19.3 pJ), and at most half as much again, for the neuron's own logic, of which nothing was published. A fired
spike costs nothing beyond its hops: the floor is reached without a further constant.

The figures were taken from quotations of the papers, with page or figure where the quotation gives one.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from neurocore.power import Activity, EnergyModel, PowerReport, estimate_power

Floats = npt.NDArray[np.float64]

LIMIT = 0.08
"""The accuracy that the chip definition states."""

SCIENCE = "Merolla 2014"
SUPPLEMENT = "Merolla 2014, supplement"
TCAD = "Akopyan 2015"
SC14 = "Cassidy 2014"
REFERENCES = (
    "Merolla 2014: Merolla et al., A million spiking-neuron integrated circuit with a scalable communication"
    " network and interface, Science 345:668-673, with its supplement",
    "Akopyan 2015: Akopyan et al., TrueNorth: design and tool flow of a 65 mW 1 million neuron programmable"
    " neurosynaptic chip, IEEE TCAD 34:1537-1557",
    "Cassidy 2014: Cassidy et al., Real-time scalable cortical computing at 46 giga-synaptic OPS/watt, SC14",
)

CORES, NEURONS_PER_CORE, PACKET_BITS = 4096, 256, 32
MEAN_HOPS = 2 * (64**2 - 1) / (3 * 64)
"""Uniformly random destinations on 64 x 64 cores: 21.33 hops in x and as many in y."""

TICKS = 100_000
"""Length of the runs that stand for the points; only as long as rounding of the counts does not show."""


@dataclass(frozen=True)
class Point:
    """One published figure of a full chip at a supply, tick rate and activity.

    ``rate_hz`` is spikes per neuron and 1000 ticks (a second of the network, also where the chip runs
    faster), ``synapses`` the synaptic events of a spike. ``figure`` names the field of :class:`PowerReport`
    that was published. A point that is not ``fitted`` restates another and is only checked; a ``derived``
    one has a condition that was worked out from other figures rather than published.
    """

    name: str
    voltage: float
    rate_hz: float
    synapses: int
    figure: str
    published: float
    source: str
    tick_hz: float = 1000.0
    fitted: bool = True
    derived: bool = False

    def activity(self) -> Activity:
        """Return the counts of a run of the whole chip at this point."""
        spikes = round(CORES * NEURONS_PER_CORE * self.rate_hz / 1000 * TICKS)
        return Activity(
            ticks=TICKS,
            powered_cores_used=CORES,
            powered_cores_chip=CORES,
            neurons_per_core=NEURONS_PER_CORE,
            synaptic_events=spikes * self.synapses,
            spikes=spikes,
            hops=round(spikes * MEAN_HOPS),
        )

    def report(self, model: EnergyModel) -> PowerReport:
        """Return what a model says at this point."""
        return estimate_power(model, self.activity(), voltage=self.voltage, tick_hz=self.tick_hz, powered="chip")

    def modelled(self, model: EnergyModel) -> float:
        """Return the modelled value of the published figure."""
        return float(getattr(self.report(model), self.figure))

    def error(self, model: EnergyModel) -> float:
        """Return the relative error of a model: modelled / published - 1."""
        return self.modelled(model) / self.published - 1


BEST_RATE_HZ = 58e9 / (CORES * NEURONS_PER_CORE * 256)
"""The rate, about 216 Hz, at which 256 synapses per axon give the published 58 GSOPS."""

_MW, _EFFICIENCY, _PER_EVENT = "total_mw", "gsops_per_watt", "energy_per_synaptic_event_pj"
UNITS = {_MW: "mW", _EFFICIENCY: "GSOPS/W", _PER_EVENT: "pJ/event"}

POINTS = (
    Point("idle corner", 0.70, 0, 0, _MW, 42, f"{SCIENCE}, {TCAD}"),
    Point("headline", 0.75, 20, 128, _MW, 65, f"{TCAD}, p. 1551"),
    Point("headline, as quoted", 0.75, 20, 128, _EFFICIENCY, 46, f"{SCIENCE}, {SC14}", fitted=False),
    Point("headline", 0.775, 20, 128, _MW, 72, SCIENCE),
    Point("headline, all in", 0.775, 20, 128, _PER_EVENT, 26, SCIENCE, fitted=False),
    Point("sweep", 0.80, 11.58, 128, _MW, 68, f"{TCAD}, Fig. 17"),
    Point("sweep", 0.80, 20.07, 128, _MW, 71, f"{TCAD}, Fig. 17"),
    Point("sweep", 0.80, 95.93, 128, _MW, 94, f"{TCAD}, Fig. 17"),
    Point("top corner", 1.05, 200, 256, _MW, 323, f"{SCIENCE}, {TCAD}"),
    Point("best efficiency", 0.75, BEST_RATE_HZ, 256, _EFFICIENCY, 400, TCAD, derived=True),
    Point("five times", 0.75, 20, 128, _EFFICIENCY, 70, f"{SUPPLEMENT} S8", tick_hz=5000, derived=True),
    Point("five times", 0.75, 20, 128, _EFFICIENCY, 81, SC14, tick_hz=5000, derived=True),
)

ROW_BITS = 410
"""Columns of the core memory: what one neuron update reads (TCAD, p. 1546)."""

SRAM_PJ = 0.047 * ROW_BITS
"""Bringing a row from memory to the controller: 47 fJ/bit at 0.775 V, 20 mW for a chip at 1 kHz."""

START = EnergyModel(
    reference_voltage=0.775,
    default_voltage=0.775,
    min_voltage=0.70,
    max_voltage=1.05,
    default_tick_hz=1000.0,
    leakage_mw=0.009,
    leakage_exponent=3.6,
    neuron_update_pj=SRAM_PJ,
    synaptic_event_pj=1.4,
    spike_pj=0.0,
    hop_pj=2.3,
    io_packet_pj=2.0 * PACKET_BITS,
    crossing_pj=26.0 * PACKET_BITS,
    accuracy=LIMIT,
    sources=(*REFERENCES, "Fitted by tools/fit_energy.py, which lists the points and the error at each"),
)
"""The constants that stay as they are, and from where the fit of the others starts."""

BOUNDS = {
    "leakage_mw": (0.0, 42.0 / CORES * (START.reference_voltage / START.min_voltage) ** 6),
    "leakage_exponent": (1.0, 6.0),
    "neuron_update_pj": (SRAM_PJ, 1.5 * SRAM_PJ),
    "synaptic_event_pj": (0.0, 26.0),
}
"""The free constants. The idle corner holds all leakage, 26 pJ all that an event could cost."""


def fit(points: Sequence[Point] = POINTS, start: EnergyModel = START) -> EnergyModel:
    """Fit the free constants to those of the points that are to be fitted, starting from a model's.

    Raises RuntimeError if the optimiser gives up.
    """
    fitted = [point for point in points if point.fitted]
    names = list(BOUNDS)
    unit = np.array([getattr(start, name) for name in names])

    def model(scale: Floats) -> EnergyModel:
        return replace(start, **dict(zip(names, (scale * unit).tolist(), strict=True)))

    def errors(scale: Floats) -> Floats:
        return np.array([point.error(model(scale)) for point in fitted])

    bounds = [(low / at, high / at) for (low, high), at in zip(BOUNDS.values(), unit, strict=True)]
    everywhere = np.ones(len(fitted), bool)
    scale, floor = _minimax(errors, np.ones(len(names)), bounds, everywhere, 1.0)
    scale, _ = _minimax(errors, scale, bounds, ~_contradicted(fitted), floor + 1e-6)
    return model(scale)


def _contradicted(points: Sequence[Point]) -> npt.NDArray[np.bool_]:
    """Tell which points were published twice, with different figures: [n] flags."""
    keys = [(point.voltage, point.tick_hz, point.rate_hz, point.synapses, point.figure) for point in points]
    return np.array([keys.count(key) > 1 for key in keys])


def _minimax(
    errors: Callable[[Floats], Floats],
    start: Floats,
    bounds: Sequence[tuple[float, float]],
    among: npt.NDArray[np.bool_],
    limit: float,
) -> tuple[Floats, float]:
    """Minimise the largest of some errors while none exceeds a limit; return the solution and that error."""

    def slack(x: Floats) -> Floats:
        size = np.abs(errors(x[:-1]))
        return np.where(among, x[-1], limit) - size

    widest = float(np.abs(errors(start))[among].max())
    found = _minimise(lambda x: float(x[-1]), np.append(start, widest), [*bounds, (0.0, limit)], slack)
    return found[:-1], float(found[-1])


def _minimise(
    cost: Callable[[Floats], float],
    start: Floats,
    bounds: Sequence[tuple[float, float]],
    within: Callable[[Floats], Floats],
) -> Floats:
    found = minimize(
        cost,
        start,
        method="SLSQP",
        bounds=bounds,
        constraints={"type": "ineq", "fun": within},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if not found.success:
        raise RuntimeError(f"the fit of the energy constants stopped early: {found.message}")
    solution: Floats = found.x
    return solution


def rounded(model: EnergyModel, digits: int = 4) -> EnergyModel:
    """Return the model with its constants to a number of significant digits."""
    constants: dict[str, Any] = asdict(model)
    for name, value in constants.items():
        if isinstance(value, float):
            constants[name] = float(f"{value:.{digits}g}")
    return EnergyModel(**constants)


NOTES = {
    "reference_voltage": "V; the constants below are those at this supply",
    "default_voltage": "V",
    "min_voltage": "V; lowest supply with a published figure (42 mW)",
    "max_voltage": "V; highest supply with a published figure (323 mW)",
    "default_tick_hz": "Hz; real time",
    "leakage_mw": "per powered core; fitted",
    "leakage_exponent": "leakage goes with this power of the supply; fitted",
    "neuron_update_pj": f"every neuron, every tick; fitted, core memory being {SRAM_PJ:.3g} of it [{TCAD}]",
    "synaptic_event_pj": "an active axon meeting a set crossbar bit; fitted",
    "spike_pj": "beyond its hops; the published points need none",
    "hop_pj": f"72 fJ/bit, 32 bits [{SUPPLEMENT} Fig. S4]",
    "io_packet_pj": f"2 pJ/bit, 32 bits, beyond the hops to the edge [{SUPPLEMENT}]",
    "crossing_pj": f"26 pJ/bit, 32 bits, from the 1.8 V I/O supply [{SUPPLEMENT}]",
    "accuracy": "largest relative error against the published points",
}


def as_yaml(model: EnergyModel) -> str:
    """Return the ``energy`` section of a chip definition, with where each constant comes from."""
    return "\n".join(_yaml_lines(asdict(model)))


def _yaml_lines(values: dict[str, Any]) -> Iterator[str]:
    yield "energy:"
    for name, note in NOTES.items():
        yield f"  {name}: {values[name]}".ljust(29) + f" # {note}"
    yield "  sources:"
    for source in values["sources"]:
        yield textwrap.fill(source, 106, initial_indent="    - >-\n      ", subsequent_indent="      ")


def table(model: EnergyModel, points: Sequence[Point] = POINTS) -> str:
    """Return published against modelled figures, a line each."""
    return "\n".join(_table_lines(model, points))


def _table_lines(model: EnergyModel, points: Sequence[Point]) -> Iterator[str]:
    yield (
        f"{'point':<20}{'V':>6}{'tick Hz':>9}{'rate Hz':>9}{'syn':>5}"
        f"{'published':>11}{'modelled':>10} {'unit':<9}{'error':>8}    source"
    )
    for point in points:
        mark = "*" if point.derived else " " if point.fitted else "+"
        yield (
            f"{point.name:<20}{point.voltage:>6g}{point.tick_hz:>9g}{point.rate_hz:>9.2f}{point.synapses:>5}"
            f"{point.published:>11g}{point.modelled(model):>10.2f} {UNITS[point.figure]:<9}"
            f"{100 * point.error(model):>+7.2f}% {mark}  {point.source}"
        )
    yield "* partly derived: a condition was worked out from other figures, not published"
    yield "+ restates a measurement listed above: checked, not fitted"


def worst_error(model: EnergyModel, points: Sequence[Point] = POINTS) -> float:
    """Return the largest relative error over the points, fitted or not."""
    return max(abs(point.error(model)) for point in points)


def main() -> int:
    """Fit, print, and judge what is printed: the rounded constants."""
    model = rounded(fit())
    worst = worst_error(model)
    print(as_yaml(model), table(model), sep="\n\n")
    print(f"\nlargest error {100 * worst:.2f} %, allowed {100 * LIMIT:g} %")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

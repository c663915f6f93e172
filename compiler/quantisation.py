"""What quantisation is asked to do, and the report of what it lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurocore.errors import InputError
from neurocore.wording import counted, did_you_mean, is_whole, shown

METHODS = ("fit", "weight_bits", "levels")
MAX_BITS = 9
MAX_LEVELS = 64
MOST_DIGITS = 20
"""Digits from which on a text is read as no number: they are more than any number needs that is asked for."""


@dataclass(frozen=True)
class Quantise:
    """How to quantise: a method and its number (bits, levels, or the budget of cores; None: most of the chip)."""

    method: str
    number: int | None = None

    @staticmethod
    def of(given: Any) -> Quantise:
        """From ``"fit"``, ``"weight_bits=4"`` or ``{"levels": 3}``. Raises InputError for anything else."""
        if isinstance(given, Quantise):
            return given
        if isinstance(given, Mapping):
            if len(given) != 1:
                raise InputError(f"quantise: {shown(dict(given))}; give exactly one of {', '.join(METHODS)}")
            method, number = next(iter(given.items()))
        elif isinstance(given, str):
            method, _, text = given.partition("=")
            number = (int(text) if text.isdecimal() and len(text) < MOST_DIGITS else text) if text else None
        else:
            method, number = given, None
        return Quantise._checked(method, None if number is True else number)

    @staticmethod
    def _checked(method: Any, number: Any) -> Quantise:
        if not isinstance(method, str) or method not in METHODS:
            raise InputError(
                f"quantise: {shown(method)} is not known; there are {', '.join(METHODS)}{did_you_mean(method, METHODS)}"
            )
        least, most = {"fit": (1, None), "weight_bits": (1, MAX_BITS), "levels": (1, MAX_LEVELS)}[method]
        if number is None and method == "fit":
            return Quantise(method)
        if not is_whole(number) or number < least or number > (most or number):
            span = f"{least}..{most}" if most else f"at least {least}"
            raise InputError(
                f"quantise: {method} is {shown(number)}; a whole number of {span} was expected, as in {method}=4"
            )
        return Quantise(method, int(number))

    @property
    def meaning(self) -> str:
        """What becomes of weights, in words."""
        if self.method == "fit":
            return "weights become sums of one number per neuron and axon type"
        if self.method == "levels":
            return f"weights become 0 or one of {counted(self.number or 0, 'number')} per neuron"
        low, high = self.multiples
        if self.number == 1:
            return "weights become 0 or one number per neuron, so that those of its other sign are lost"
        return f"weights become {low}..{high} times one number per neuron"

    @property
    def multiples(self) -> tuple[int, int]:
        """With ``weight_bits``, the least and the largest multiple of a neuron's number that a weight becomes."""
        assert self.number is not None, "weight_bits carries its number"
        return (0, 1) if self.number == 1 else (-(2 ** (self.number - 1)), 2 ** (self.number - 1) - 1)

    def __str__(self) -> str:
        return self.method if self.number is None else f"{self.method}={self.number}"


SHOWN_ERROR = 0.00005
"""The least relative error that is not shown as 0.00 %."""


@dataclass(frozen=True)
class PopulationLoss:
    """What quantisation did to one population. Errors are those of the final integers, in the network's own units.

    ``weight_error`` is |w - w'| / |w| over all weights (Euclidean norms), ``max_error`` the largest |w - w'| as a fraction of the
    neuron's threshold, ``parameter_error`` the largest relative error of a threshold, leak, reset, floor or V(0).
    ``parameter_errors`` is the largest for each of them that is not exact, ``parameters_lost`` in how many neurons it became 0
    though it was not.
    """

    name: str
    synapses: int
    kept: int
    weight_error: float
    max_error: float
    parameter_error: float
    levels: int
    neurons_per_core: int | None
    parameter_errors: dict[str, float] = field(default_factory=dict)
    parameters_lost: dict[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """As the certificate states it."""
        return (
            f"{self.name}: weights {self.weight_error:.2%}, largest {self.max_error:.2%} of a threshold, parameters"
            f" {self.parameter_error:.2%}{self._parameters()}"
        )

    def _parameters(self) -> str:
        """The parameters that are not exact, the worst first, those alone that the sentence's digits show."""
        shown = sorted(self.parameter_errors.items(), key=lambda item: -item[1])
        parts = []
        for name, error in shown:
            lost = self.parameters_lost.get(name, 0)
            becomes = f", becoming 0 in {counted(lost, 'neuron')}" * (lost > 0)
            parts += [f"{name} {error:.2%}{becomes}"] if error >= SHOWN_ERROR else []
        return f" ({'; '.join(parts)})" if parts else ""


@dataclass(frozen=True)
class QuantisationReport:
    """What quantisation lost, by population; populations that were whole are not listed."""

    method: Quantise
    populations: tuple[PopulationLoss, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``compile --json``."""
        return {
            "method": str(self.method),
            "meaning": self.method.meaning,
            "populations": [vars(item) for item in self.populations],
        }

    def sentence(self) -> str:
        """As the certificate states it."""
        if not self.populations:
            return f"quantisation ({self.method}) declared: nothing was lost, all numbers are whole"
        losses = "; ".join(item.sentence() for item in self.populations)
        return f"quantisation ({self.method}) declared: {losses}"

    def __str__(self) -> str:
        lines = [f"quantisation: {self.method} ({self.method.meaning})"]
        for item in self.populations:
            share = "" if item.neurons_per_core is None else f", {counted(item.neurons_per_core, 'neuron')} a core"
            lines.append(
                f"  {item.sentence()}; {item.kept:,} of {counted(item.synapses, 'synapse')} kept, at most"
                f" {counted(item.levels, 'different weight')} a neuron{share}"
            )
        return "\n".join(lines)

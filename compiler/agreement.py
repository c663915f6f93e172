"""What quantisation does to the spikes: the network of real numbers and its integer form on the same input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork, check
from neurocore.compiler.floats import flatten, spike_counts
from neurocore.compiler.network import Network
from neurocore.compiler.reference import Reference
from neurocore.errors import InputError
from neurocore.spikes import Spikes
from neurocore.wording import counted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PopulationAgreement:
    """Spikes of one population before and after quantisation.

    ``count_error`` is the sum over neurons of the difference of spike counts, over the spikes before; ``correlation`` that of the
    neurons' counts (1 where neither varies).
    """

    name: str
    spikes_before: int
    spikes_after: int
    count_error: float
    correlation: float


@dataclass(frozen=True)
class Agreement:
    """The measured effect of quantisation on sample input."""

    ticks: int
    populations: tuple[PopulationAgreement, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``compile --json``."""
        return {"ticks": self.ticks, "populations": [vars(item) for item in self.populations]}

    def __str__(self) -> str:
        lines = [f"effect on the sample input, {counted(self.ticks, 'tick')}"]
        lines += [
            f"  {item.name}: {item.spikes_before:,} spikes before, {item.spikes_after:,} after, counts differ by"
            f" {item.count_error:.1%}, correlation {item.correlation:.3f}"
            for item in self.populations
        ]
        return "\n".join(lines)


def agreement(
    network: Network, arch: Architecture, spikes: Spikes, ticks: int, flat: IntegerNetwork | None = None
) -> Agreement:
    """Run a network as given and as quantised; ``flat`` is its quantised form if it is known already.

    Raises InputError for networks that draw random numbers or merge spikes.
    """
    for item in network.projections:
        if item.merge != "sum":
            raise InputError(
                f"projection {item.label}: the effect of quantisation is not measured where spikes are merged"
                f" (merge: {item.merge}); leave out the sample"
            )
    flat = flat if flat is not None else check(network, arch)
    spikes.check(n_lines=flat.n_inputs)
    before = spike_counts(flatten(network), spikes, ticks)
    simulator, after = Reference(flat, arch), np.zeros(flat.n_neurons, np.int64)
    bounds = np.searchsorted(spikes.tick, np.arange(ticks + 1))
    for now in range(ticks):
        after += simulator.tick(spikes.line[bounds[now] : bounds[now + 1]])
    offsets = flat.offsets()
    parts = []
    for number, group in enumerate(flat.populations):
        mine = slice(offsets[number], offsets[number + 1])
        parts.append(_compared(group.name, before[mine], after[mine]))
    return Agreement(ticks, tuple(parts))


def _compared(name: str, before: Array, after: Array) -> PopulationAgreement:
    difference = int(np.abs(before - after).sum())
    error = difference / max(1, int(before.sum()))
    varies = np.ptp(before) > 0 and np.ptp(after) > 0
    same = 1.0 if difference == 0 else 0.0
    correlation = float(np.corrcoef(before, after)[0, 1]) if varies else same
    return PopulationAgreement(name, int(before.sum()), int(after.sum()), error, correlation)

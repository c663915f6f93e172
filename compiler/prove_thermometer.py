"""Translation validation of thermometer codes: a network with lines does what another does without, tick for tick.

Given are the two networks, nothing else (:mod:`neurocore.compiler.prove_lines`). The neurons that the one has in addition must be
*lines*: with threshold 1, leak -k and a floor, a reset and a V(0) of 0, a line ends every tick at 0, so that it
fires exactly if what arrives adds up to more than k. A neuron that reads the same in both networks does the same. For one that
reads lines, those that read the same signals with the same weights say what these add up to, by a staircase: the weights of all
that fire. The proof lists every sum that some of the signals make, and looks at the staircase there:

- it is the sum itself, or
- it is another one, and whatever the neuron holds and reads besides, both take it from any membrane that it can have to the same:
  to its reset after a spike, or through its floor.

Then the membranes of both networks are equal after every tick, by induction. Lines act in the tick in which the neurons that they
read would have: delays of 0 are of the network alone, and what it becomes on a chip is proved as that of any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.prove_lines import LinesProver, Told

Array = npt.NDArray[Any]

MOST_SUM = 1 << 22
"""Sums beyond this are not listed."""
MOST_ADDED = 1 << 30
"""What a neuron may be sent in a tick, well within 32 bits."""


def prove_thermometer(network: IntegerNetwork, lined: IntegerNetwork) -> None:
    """Check that ``lined``, whose first neurons are those of ``network``, does what that does.

    Raises MismatchError that lists what differs.
    """
    _Prover(network, lined).run()


class _Prover(LinesProver):
    def misbehaving(self, part: dict[str, Array]) -> npt.NDArray[np.bool_]:
        """Neurons that do not forget everything in every tick."""
        wrong: npt.NDArray[np.bool_] = (part["leak"] > 0) | (part["threshold"] != 1)
        # Below a floor of 0 a neuron is held at 0 or reset to minus its reset value: either is 0.
        for name in set(NEURON_ARRAYS) - {"leak", "threshold", "floor_mode"}:
            wrong |= part[name] != 0
        return wrong

    def shown(self, told: Told, sums: Array) -> Array:
        """What the lines come to where the sums of their signals are these: each fires if a sum exceeds what its leak takes."""
        below = -self.lined.neuron["leak"][told.line]
        return np.asarray((told.weight * (sums[:, None] > below)).sum(axis=1))

    def follow(self, v: int, parts: list[Told]) -> str | None:
        """Replace one sum after another by its staircase: what the neuron does must stay the same each time."""
        tables: list[tuple[Array, Array]] = []
        for told in sorted(parts, key=lambda part: -part.scale):
            sums = _possible(list(told.terms.values()))
            if sums is None:
                return f"the sums that its lines are about go beyond {MOST_SUM:,}"
            tables.append((told.scale * sums, self.shown(told, sums)))
        if sum(int(np.abs(table).max()) for table in tables) > MOST_ADDED:
            return f"its sums go beyond {MOST_ADDED:,}, where a chip's membranes may not tell them apart"
        least, most = ([int(getattr(true, end)()) for true, _ in tables] for end in ("min", "max"))
        sure, floored = self.limits(v, sum(least))
        for place, (true, shown) in enumerate(tables):
            below, above = sum(least) - least[place], sum(most) - most[place]
            away = true != shown
            fires = np.minimum(true, shown) + below >= sure
            falls = np.maximum(true, shown) + above <= floored
            wrong = away & ~fires & ~falls
            if wrong.any():
                found, wanted = int(shown[wrong][0]), int(true[wrong][0])
                return f"its lines show {found} where a part of its sum is {wanted}, and that may matter"
            least[place], most[place] = int(shown.min()), int(shown.max())
        return None

    def limits(self, v: int, least_sum: int) -> tuple[float, float]:
        """Sums of weights from which on, and down to which, what a neuron does depends on nothing else.

        ``least_sum`` is the smallest that its weights may add up to. From any membrane that it may have at the end of a tick, a
        sum of the first value or more makes it fire, and one of the second or less goes below its floor; both lead to one
        membrane if its reset is to a value.
        """
        values = {name: int(column[v]) for name, column in self.net.neuron.items()}
        if values["reset_mode"] != 0:
            return np.inf, -np.inf
        step = min(1, max(-1, values["leak"])) if values["leak_stochastic"] else values["leak"]
        steps = (
            {step} | ({0} if values["leak_stochastic"] else set()) | ({0, -step} if values["leak_reversal"] else set())
        )
        random = 2 ** values["threshold_mask_bits"] - 1
        bottom = -values["floor"] - (0 if values["floor_mode"] == 1 else random)
        ends = {values["initial"], values["reset"]} | (set() if values["floor_mode"] == 1 else {-values["reset"]})
        falling = least_sum + min(steps) < 0
        low = min(ends | ({bottom} if falling else set()))
        high = max(ends | {bottom, values["threshold"] + random - 1})
        return values["threshold"] + random - low - min(steps), -values["floor"] - random - 1 - high - max(steps)


def _possible(weights: list[int]) -> Array | None:
    """All sums of some of the (positive) weights; None if the largest is too large."""
    total = sum(weights)
    if total > MOST_SUM:
        return None
    made = np.zeros(total + 1, bool)
    made[0] = True
    for value, times in _counted(weights):
        for often in times:
            moved = made[: total + 1 - often * value].copy()
            made[often * value :] |= moved
    return np.flatnonzero(made)


def _counted(weights: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Different weights, and numbers that add up to any number of times that each can count: 1, 2, 4, ... and the rest."""
    for value, times in zip(*np.unique(weights, return_counts=True), strict=True):
        left, parts = int(times), list[int]()
        while left:
            parts.append(min(left, 1 << len(parts)))
            left -= parts[-1]
        yield int(value), parts

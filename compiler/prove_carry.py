"""Translation validation of carried sums: what a network reads arrives in full, if not always in time.

Given are two networks (:mod:`neurocore.compiler.prove_lines`). The neurons that the one has in addition must be lines that lose
nothing: no leak, linear reset. Those over the same signals share a threshold T, and start at the n multiples of T / n below it.
So they fire once for every T / n of what arrives, in turn, as long as none has reached T twice; a neuron must read each of them
as that much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.prove_lines import LinesProver, Told

Array = npt.NDArray[Any]

LINEAR = 1
"""Reset mode, as numbered in chip.md."""


def prove_carry(network: IntegerNetwork, lined: IntegerNetwork) -> None:
    """Check that ``lined``, whose first neurons are those of ``network``, tells them all that these read, sooner or later.

    Raises MismatchError that lists what differs.
    """
    _Prover(network, lined).run()


class _Prover(LinesProver):
    def misbehaving(self, part: dict[str, Array]) -> npt.NDArray[np.bool_]:
        """Neurons that lose something; they are never below a floor of 0."""
        wrong: npt.NDArray[np.bool_] = (part["reset_mode"] != LINEAR) | (part["threshold"] < 1)
        for name in set(NEURON_ARRAYS) - {"reset_mode", "threshold", "initial", "floor_mode"}:
            wrong |= part[name] != 0
        return wrong

    def follow(self, v: int, parts: list[Told]) -> str | None:
        """What is wrong with a neuron that is told all that it read."""
        for told in parts:
            threshold, start = (self.lined.neuron[name][told.line] for name in ("threshold", "initial"))
            unit, rest = divmod(int(threshold[0]), len(told.line))
            if (
                rest
                or (threshold != threshold[0]).any()
                or not np.array_equal(np.sort(start), unit * np.arange(len(start)))
            ):
                return "lines over the same signals do not take turns"
            if (told.weight != told.scale * unit).any():
                return f"its lines fire for every {unit} of a sum, and it reads them as something else"
        return None

"""Delays with which the cycles of a network would have time: found by trying, so that a refusal asks for all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.slack import CycleError
from neurocore.compiler.synapses import MAX_DELAY
from neurocore.errors import FitError

Array = npt.NDArray[Any]

MOST_SYNAPSES = 100_000
"""Networks of more are not tried, as every try takes as long as a compilation."""
MOST_TRIES = 8


def with_all_delays(
    network: IntegerNetwork, error: CycleError, attempt: Callable[[IntegerNetwork], object]
) -> FitError:
    """The refusal of a network, with all delays that must be raised if so many can be found, and what is wrong even then.

    ``attempt`` finds cores and routes for a network, or raises CycleError; ``error`` is what it said of this one.
    """
    if network.n_synapses > MOST_SYNAPSES:
        return error
    raised, then = _enough(network, error, attempt)
    if not raised:
        return error
    names = [group.name for group in network.populations]
    said = [f"{names[a]!r} -> {names[b]!r} by {more}" for (a, b), more in sorted(raised.items())]
    delays = "the delay" if len(said) == 1 else "the delays"
    return FitError(
        f"{error.head} Raise {delays} {' and '.join(said)}, with which all cycles have time{error.other}{error.advice}{then}"
    )


def _enough(
    network: IntegerNetwork, error: CycleError, attempt: Callable[[IntegerNetwork], object]
) -> tuple[dict[tuple[int, int], int], str]:
    """By how much delays from population to population must be raised; nothing if that does not help.

    Neurons that cannot start as late as their relays then ask for are said as well, as the end of a sentence: cycles have time
    when it comes to that.
    """
    raised: dict[tuple[int, int], int] = {}
    for _ in range(MOST_TRIES):
        step = _step(network, error, raised)
        if step is None:
            return {}, ""
        raised[step] = raised.get(step, 0) + error.missing
        try:
            attempt(_with_more(network, raised))
            return raised, ""
        except CycleError as again:
            error = again
        except FitError as other:
            if not other.problems[0].startswith("E-START"):
                return {}, ""
            return raised, "".join(f"; with more delay, {problem}" for problem in other.problems)
    return {}, ""


def _step(network: IntegerNetwork, error: CycleError, raised: dict[tuple[int, int], int]) -> tuple[int, int] | None:
    """A step of the cycle that has synapses, and can be given its ticks: one that was raised before, or else the last."""
    steps = [pair for pair in pairwise((*error.way, error.way[0])) if _between(network, *pair).any()]
    for pair in (*(pair for pair in steps if pair in raised), *reversed(steps)):
        longest = int(network.delay[_between(network, *pair)].max()) + raised.get(pair, 0)
        if longest + error.missing <= MAX_DELAY:
            return pair
    return None


def _with_more(network: IntegerNetwork, raised: dict[tuple[int, int], int]) -> IntegerNetwork:
    """The network with more delay from some populations to others."""
    delay = network.delay.astype(np.int64)
    for pair, more in raised.items():
        delay[_between(network, *pair)] += more
    return replace(network, delay=delay.astype(network.delay.dtype))


def _between(network: IntegerNetwork, source: int, target: int) -> Array:
    """Which synapses [E] lead from one population to another, alone or with others on one axon."""
    first = network.n_inputs + network.offsets()
    place, number = network.unions.expand(network.source)
    found = np.zeros(network.n_synapses, bool)
    found[place[(number >= first[source]) & (number < first[source + 1])]] = True
    return np.asarray(found & (network.population_of()[network.target] == target))

"""Time for relays on cycles: what is raised where there is none, and how much longer a dilated tick may become for it."""

from __future__ import annotations

from collections.abc import Sequence

from neurocore.errors import FitError

MOST_SLACK = 64
"""Ticks of the chip by which a dilated tick is lengthened at most."""


class NoTimeError(FitError):
    """A cycle that has ``missing`` ticks less delay than the relays on it need."""

    def __init__(self, problem: str, missing: int) -> None:
        super().__init__(problem)
        self.missing = missing


class CycleError(NoTimeError):
    """A cycle without the time that it needs, by populations of the network as it was given.

    ``way`` are their numbers in order, once round; ``head`` says what is missing, ``other`` what would help beside ``missing``
    ticks more on the way, and ``advice`` what else there is, both as the end of a sentence.
    """

    def __init__(self, head: str, missing: int, way: Sequence[int], other: str = "", advice: str = "") -> None:
        super().__init__(f"{head} Raise a delay on the cycle by at least {missing}{other}{advice}", missing)
        self.head, self.way, self.other, self.advice = head, tuple(way), other, advice

    def advised(self, advice: str) -> CycleError:
        """The same with more that would help."""
        return CycleError(self.head, self.missing, self.way, self.other, self.advice + advice)


def once_round(way: Sequence[int]) -> tuple[list[int], int]:
    """The shortest way that repeats to a way round a cycle, and how often it does."""
    length = next(n for n in range(1, len(way) + 1) if [*way[:n]] * (len(way) // n) == [*way])
    return [*way[:length]], len(way) // length


def next_slack(slack: int, error: NoTimeError) -> int:
    """Ticks beyond the least that a dilated tick is given after ``slack`` of them were too few.

    Every tick more gives every cycle of a dilated network at least one: it leads either over a synapse of the network, whose
    delay is counted in ticks of the network, or from a counted neuron to its own reset, which waits for as long. Steps grow so
    that few are needed. Raises FitError if the limit is reached.
    """
    if slack + error.missing > MOST_SLACK:
        raise FitError(
            f"{error.problems[0]}; a tick of the network would have to be more than {MOST_SLACK} ticks of the chip longer than"
            " its bursts, which is the limit"
        ) from error
    return min(slack + max(error.missing, slack // 2), MOST_SLACK)

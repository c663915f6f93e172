"""The defining property of each of Izhikevich's twenty behaviours, as a check that any cell passes or fails.

Each check stimulates the cell in its own way, mostly with several strengths, durations or intervals, and asserts what the
definition in docs/behaviours.md says. None of them knows how the cell is made. An input at tick t acts at tick t + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from behaviour import Cell, Response

Array = npt.NDArray[Any]
ON = 20
"""The tick in which stimuli begin."""


def step(level: int, duration: int, after: int = 100) -> Array:
    """A constant input of ``duration`` ticks, and silence after it."""
    return np.concatenate([np.zeros(ON, int), np.full(duration, level), np.zeros(after, int)])


def ramp(level: int, rise: int, hold: int = 30) -> Array:
    """An input that rises from 0 to ``level`` in ``rise`` ticks and stays there for ``hold`` ticks."""
    return np.concatenate([np.zeros(ON, int), np.rint(np.linspace(0, level, rise)).astype(int), np.full(hold, level)])


def pulses(*given: tuple[int, int], ticks: int = 300) -> Array:
    """Inputs of one tick each, given as (tick, level)."""
    current = np.zeros(ticks, int)
    for tick, level in given:
        current[tick] = level
    return current


def intervals(fired: Array) -> Array:
    return np.diff(fired)


def bursts(fired: Array, gap: int = 8) -> list[Array]:
    """Spikes in groups; one begins after more than ``gap`` ticks of silence."""
    if not len(fired):
        return []
    return np.split(fired, np.flatnonzero(np.diff(fired) > gap) + 1)


def assert_within(fired: Array, duration: int) -> None:
    """All spikes fall into the response to a step of that duration."""
    assert len(fired), "the cell is silent"
    assert fired[0] > ON, "it fires before the input"
    assert fired[-1] <= ON + duration, "it fires after the input"


def assert_lasting(fired: Array, duration: int) -> None:
    """Spikes go on to the end of the step: what is left of it is no longer than an interval."""
    assert_within(fired, duration)
    assert len(fired) >= 5
    assert ON + duration - fired[-1] <= intervals(fired).max()


def tonic_spiking(cell: Cell) -> None:
    """Fires regularly for as long as there is input, whatever its strength, and faster for more of it."""
    counts = []
    for level in (3, 4, 6):
        fired = cell.respond(step(level, 200)).fired
        assert_lasting(fired, 200)
        assert len(set(intervals(fired))) == 1
        assert intervals(fired)[0] > 2
        counts.append(len(fired))
    assert counts == sorted(set(counts))


def phasic_spiking(cell: Cell) -> None:
    """One spike at the onset of every step, however strong and long, and no other."""
    for level in (3, 5, 8):
        for duration in (60, 300):
            fired = cell.respond(np.concatenate([step(level, duration), step(level, duration)])).fired
            period = ON + duration + 100
            assert len(fired) == 2
            assert ON < fired[0] <= ON + 25
            assert fired[1] == fired[0] + period


def tonic_bursting(cell: Cell) -> None:
    """Groups of spikes with long pauses between them for as long as there is input."""
    assert_bursts(cell.respond(step(5, 300)).fired, 300)


def assert_bursts(fired: Array, duration: int) -> None:
    assert_within(fired, duration)
    found = bursts(fired)
    assert len(found) >= 5
    assert all(len(burst) >= 3 for burst in found[:-1])
    pauses = [after[0] - before[-1] for before, after in pairwise(found)]
    inside = max(intervals(burst).max() for burst in found[:-1])
    assert min(pauses) >= 3 * inside
    assert ON + duration - fired[-1] <= 2 * max(pauses)


def phasic_bursting(cell: Cell) -> None:
    """One group of spikes at the onset of every step, and silence for the rest of it."""
    for level in (4, 5, 8):
        for duration in (100, 300):
            fired = cell.respond(np.concatenate([step(level, duration), step(level, duration)])).fired
            found = bursts(fired)
            assert len(found) == 2
            assert len(found[0]) >= 3
            assert ON < found[0][0] < found[0][-1] <= ON + 40
            assert np.array_equal(found[1], found[0] + ON + duration + 100)


def mixed_mode(cell: Cell) -> None:
    """A group of fast spikes at the onset, then slow ones at a constant rate to the end."""
    fired = cell.respond(step(7, 300)).fired
    assert_lasting(fired, 300)
    gaps = intervals(fired)
    fast, slow = gaps[0], gaps[-1]
    n_fast = int((gaps == fast).sum())
    assert slow >= 2 * fast
    assert 2 <= n_fast <= len(gaps) - 5
    assert (gaps[:n_fast] == fast).all()
    assert (gaps[n_fast + 1 :] == slow).all()


def spike_frequency_adaptation(cell: Cell) -> None:
    """Intervals that grow little by little to a constant length, and are short again after a rest."""
    fired = cell.respond(np.concatenate([step(7, 300), step(7, 300, after=0)])).fired
    first = fired[fired < ON + 300 + 100]
    assert_lasting(first, 300)
    gaps = intervals(first)
    assert (np.diff(gaps) >= 0).all()
    assert len(set(gaps)) >= 4
    assert gaps[-1] >= 1.8 * gaps[0]
    assert len(set(gaps[-4:])) == 1
    assert np.array_equal(intervals(fired[fired > ON + 300 + 100])[:4], gaps[:4])


def rates(cell: Cell) -> Array:
    """Spikes per tick at inputs of 0 to 10, without the first 100 ticks."""
    return np.array([np.sum(cell.respond(step(level, 700, after=0)).fired >= ON + 100) / 600 for level in range(11)])


def class_1_excitable(cell: Cell) -> None:
    """The rate rises with the input in equal small steps, beginning near zero, over a wide range."""
    rate = rates(cell)
    assert rate[0] == 0
    assert (np.diff(rate) >= 0).all()
    assert rate.any()
    lowest = rate[rate > 0].min()
    assert lowest <= 0.02
    assert rate.max() >= 5 * lowest
    assert np.diff(rate).max() <= 1.5 * lowest


def class_2_excitable(cell: Cell) -> None:
    """Weak inputs do nothing; the first that does something gives a high rate at once, and stronger ones not much more."""
    rate = rates(cell)
    assert (rate[:3] == 0).all()
    assert (np.diff(rate) >= 0).all()
    assert rate.any()
    lowest = rate[rate > 0].min()
    assert lowest >= 0.1
    assert rate.max() <= 2 * lowest


def spike_latency(cell: Cell) -> None:
    """A pulse of one tick gives one spike, long after it, and the sooner the stronger it is; or none if it is too weak."""
    assert not len(cell.respond(pulses((ON, 1))).fired)
    delays = []
    for level in range(2, 9):
        fired = cell.respond(pulses((ON, level))).fired
        assert len(fired) == 1
        delays.append(fired[0] - ON)
    assert (np.diff(delays) < 0).all()
    assert delays[0] >= 40
    assert delays[0] >= 2 * delays[-1]


def turning_points(membrane: Array) -> tuple[Array, Array]:
    """Ticks and values of the extremes between the membrane's changes of sign; a stay at zero is part of neither side."""
    side = np.sign(membrane)
    ticks, values = [], []
    for part in np.split(np.arange(len(membrane)), np.flatnonzero(np.diff(side)) + 1):
        if len(part) and side[part[0]]:
            extreme = part[np.abs(membrane[part]).argmax()]
            ticks.append(extreme)
            values.append(membrane[extreme])
    return np.array(ticks, int), np.array(values, int)


def subthreshold_oscillation(cell: Cell) -> None:
    """After a spike the membrane swings round rest, regularly and less and less, without a further spike, and comes to rest."""
    response = cell.respond(pulses((ON, 7)))
    assert len(response.fired) == 1
    ticks, values = turning_points(response.membrane[response.fired[0] :])
    assert len(values) >= 7
    assert (np.sign(values[1:]) == -np.sign(values[:-1])).all()
    assert (np.diff(np.abs(values)) <= 0).all()
    assert abs(values[-1]) < abs(values[0]) / 2
    periods = ticks[2:] - ticks[:-2]
    assert periods.max() - periods.min() <= 0.4 * periods.mean()
    assert response.membrane[-1] == 0


def fired_at(cell: Cell, level: int) -> list[int]:
    """The intervals of 1 to 60 ticks at which two pulses of that level make the cell fire; alone a pulse must not."""
    assert not len(cell.respond(pulses((ON, level), ticks=150)).fired)
    doublets = {interval: pulses((ON, level), (ON + interval, level), ticks=150) for interval in range(1, 61)}
    return [interval for interval, current in doublets.items() if len(cell.respond(current).fired)]


def resonator(cell: Cell) -> None:
    """Two pulses make it fire at one interval, but neither closer nor farther apart."""
    found = fired_at(cell, 1)
    assert found
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] > 6
    assert found[-1] < 2 * found[0]


def integrator(cell: Cell) -> None:
    """Two pulses make it fire if they are close together, and the closer the better."""
    found = fired_at(cell, 2)
    assert found
    assert found == list(range(1, len(found) + 1))
    assert 3 <= len(found) <= 20


def after_inhibition(cell: Cell) -> list[Array]:
    """Spikes in ticks since the end of inhibition, for several strengths and durations; without inhibition there are none."""
    assert not len(cell.respond(step(0, 100)).fired)
    found = []
    for level in (-1, -3, -5):
        for duration in (20, 30, 50):
            fired = cell.respond(step(level, duration, after=200)).fired
            assert len(fired)
            assert fired[0] > ON + duration
            found.append(fired - ON - duration)
    return found


def rebound_spike(cell: Cell) -> None:
    """One spike soon after the end of inhibition, and only one."""
    for fired in after_inhibition(cell):
        assert len(fired) == 1
        assert fired[0] <= 20


def rebound_burst(cell: Cell) -> None:
    """A group of spikes soon after the end of inhibition, then silence."""
    for fired in after_inhibition(cell):
        assert len(fired) >= 3
        assert fired[0] <= 20
        assert len(bursts(fired)) == 1


def threshold_variability(cell: Cell) -> None:
    """An excitation that is too weak at rest is enough shortly after an inhibition, which by itself does nothing."""
    assert not len(cell.respond(pulses((ON, 2))).fired)
    assert not len(cell.respond(pulses((ON, -3))).fired)
    for delay in (2, 4, 6):
        assert len(cell.respond(pulses((ON, -3), (ON + delay, 2))).fired) == 1
    assert not len(cell.respond(pulses((ON, -3), (ON + 60, 2))).fired)


def bistability(cell: Cell) -> None:
    """One pulse starts regular spikes that need no input; the same pulse again, at any phase, stops them."""
    assert not len(cell.respond(step(0, 200)).fired)
    fired = cell.respond(pulses((ON, 1))).fired
    assert_lasting(fired, 300 - ON - 1)
    assert len(set(intervals(fired))) == 1
    for phase in range(intervals(fired)[0]):
        fired = cell.respond(pulses((ON, 1), (150 + phase, 1))).fired
        assert ((fired > 130) & (fired <= 150)).any()
        assert not (fired > 150 + phase + 20).any()
    assert (cell.respond(pulses((ON, 1), (150, 1), (220, 1))).fired > 240).any()


def depolarising_after_potential(cell: Cell) -> None:
    """After a spike the membrane is above rest and sinks back; until then an input fires that is too weak at rest."""
    weak, strong = 3, 6
    assert not len(cell.respond(pulses((ON, weak))).fired)
    response = cell.respond(pulses((ON, strong)))
    assert len(response.fired) == 1
    after = response.membrane[response.fired[0] :]
    assert after[0] > 0
    assert (np.diff(after) <= 0).all()
    assert after[5] > 0
    assert after[-1] == 0
    assert len(cell.respond(pulses((ON, strong), (ON + 6, weak))).fired) == 2
    assert len(cell.respond(pulses((ON, strong), (ON + 60, weak))).fired) == 1


def accommodation(cell: Cell) -> None:
    """An input that rises quickly makes it fire; one that rises slowly to the same level does not."""
    assert len(cell.respond(ramp(8, 1)).fired)
    assert len(cell.respond(ramp(8, 10)).fired)
    for rise in (80, 160, 320):
        assert not len(cell.respond(ramp(8, rise)).fired)


def assert_quiet_without(cell: Cell) -> None:
    assert not len(cell.respond(step(0, 300)).fired)


def inhibition_induced_spiking(cell: Cell) -> None:
    """Fires regularly for as long as it is inhibited, and only then."""
    assert_quiet_without(cell)
    for level in (-3, -4, -8):
        fired = cell.respond(step(level, 200)).fired
        assert_lasting(fired[fired != ON + 201], 200)  # a spike that was due when the inhibition ended
        assert len(set(intervals(fired)[1:])) == 1
        assert intervals(fired)[0] > 2


def inhibition_induced_bursting(cell: Cell) -> None:
    """Groups of spikes with long pauses between them for as long as it is inhibited, and only then."""
    assert_quiet_without(cell)
    assert_bursts(cell.respond(step(-4, 300)).fired, 300)


CHECKS: Mapping[str, Callable[[Cell], None]] = {
    check.__name__: check
    for check in (
        tonic_spiking,
        phasic_spiking,
        tonic_bursting,
        phasic_bursting,
        mixed_mode,
        spike_frequency_adaptation,
        class_1_excitable,
        class_2_excitable,
        spike_latency,
        subthreshold_oscillation,
        resonator,
        integrator,
        rebound_spike,
        rebound_burst,
        threshold_variability,
        bistability,
        depolarising_after_potential,
        accommodation,
        inhibition_induced_spiking,
        inhibition_induced_bursting,
    )
}
"""The checks by the name of the behaviour, in the order of the gallery."""

__all__ = ["CHECKS", "Response"]

"""The engine comparison is worth something: single mistakes in the rules of a tick are all caught by it.

The rules are written here once more, with a switch for each mistake; without a mistake they agree with the compiled engine on
every generated chip, and with any one of them they do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurocore import draws, neuron
from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiled import CompiledEngine
from neurocore.config import ChipConfig
from neurocore.engine import Events
from neurocore.oracle import Oracle
from random_chips import random_chip, random_events

MISTAKES = [
    "fires above the threshold only",
    "floor includes its bound",
    "value and linear reset swapped",
    "no reset resets to R",
    "linear reset forgets the random part",
    "negative reset to R",
    "floor modes swapped",
    "random part moves a saturating floor",
    "floor tested before the threshold",
    "no clamp",
    "clamp does not fire",
    "converging leak rings",
    "leak reversal spares random leaks",
    "leak reversal looks at the membrane before integration",
    "zero has a sign",
    "random steps turned round",
    "chance is one too small",
    "delay is one too long",
    "merged spikes count twice",
    "axon types off by one",
    "threshold mask is one bit wider",
    "scheduler row is not cleared",
]


class Mutant(Oracle):
    """An oracle with its rules written anew, and one mistake in them."""

    mistake: str | None = None

    def is_(self, mistake: str) -> bool:
        return self.mistake == mistake

    def _tick(self, events: Events) -> None:
        arch, cores = self.arch, self.chip.cores
        slot = self.tick % arch.core.scheduler_slots
        arrivals = self.counts[slot]
        np.add.at(arrivals, (events.row, events.axon), 1)
        active = arrivals.copy() if self.is_("merged spikes count twice") else np.minimum(arrivals, 1)
        if not self.is_("scheduler row is not cleared"):
            arrivals[:] = 0
        before = self.membrane
        membrane = self._integrated(active)
        membrane = self._leaked(membrane, before)
        self.membrane, fired = self._reset(membrane)
        fired &= cores.configured
        sent = fired & (self.target_row >= 0)
        delay = cores.delay[sent].astype(np.int64) + self.is_("delay is one too long")
        np.add.at(
            self.counts,
            ((self.tick + delay) % arch.core.scheduler_slots, self.target_row[sent], cores.target_axon[sent]),
            1,
        )
        self.neuron_spikes += fired

    def reset(self) -> None:
        super().reset()
        self.counts = np.zeros(self.scheduler.shape, np.int64)

    def _chance(self, value: Any, rho: Any) -> Any:
        sign = -np.sign(value) if self.is_("random steps turned round") else np.sign(value)
        return np.where(np.abs(value) >= rho + self.is_("chance is one too small"), sign, 0)

    def _integrated(self, active: Any) -> Any:
        cores, membrane = self.chip.cores, self.membrane.astype(np.int64)
        for row, axon in np.argwhere(active):
            kind = int(cores.axon_type[row, axon]) + self.is_("axon types off by one")
            kind %= self.arch.core.axon_types
            weight = cores.weight[row, kind].astype(np.int64)
            step = self._chance(weight, self._synapse_draws(int(row), int(axon)))
            weight = np.where(cores.weight_stochastic[row, kind], step, weight)
            membrane[row] += active[row, axon] * self.crossbars[row][axon] * weight
        return membrane

    def _leaked(self, membrane: Any, before: Any) -> Any:
        cores = self.chip.cores
        keys = draws.tick_keys(self.keys, self.tick, draws.LEAK)[:, None]
        rho = draws.small_draws(keys, np.arange(self.arch.core.neurons)[None], self.arch.neuron.random_bits)
        leak = cores.leak.astype(np.int64)
        leak = np.where(cores.leak_stochastic, self._chance(leak, rho), leak)
        looked_at = before if self.is_("leak reversal looks at the membrane before integration") else membrane
        sign = np.where(looked_at >= 0, 1, -1) if self.is_("zero has a sign") else np.sign(looked_at)
        turned = cores.leak_reversal.copy()
        if self.is_("leak reversal spares random leaks"):
            turned &= ~cores.leak_stochastic
        after = membrane + np.where(turned, sign, 1) * leak
        stopped = cores.leak_reversal & (np.sign(after) != np.sign(membrane))
        rings = self.is_("converging leak rings") or not self.arch.rules.leak_stops_at_zero
        return after if rings else np.where(stopped, 0, after)

    def _reset(self, membrane: Any) -> Any:
        cores, limits = self.chip.cores, self.arch.neuron.membrane
        bits = cores.threshold_mask_bits + (
            self.is_("threshold mask is one bit wider") & (cores.threshold_mask_bits > 0)
        )
        keys = draws.tick_keys(self.keys, self.tick, draws.THRESHOLD)[:, None]
        eta = draws.wide_draws(keys, np.arange(self.arch.core.neurons)[None], bits).astype(np.int64)
        alpha, saturates = cores.threshold + eta, cores.floor_mode == (0 if self.is_("floor modes swapped") else 1)
        beta = cores.floor + np.where(saturates & (not self.is_("random part moves a saturating floor")), 0, eta)
        fires = membrane > alpha if self.is_("fires above the threshold only") else membrane >= alpha
        low = membrane <= -beta if self.is_("floor includes its bound") else membrane < -beta
        if self.is_("floor tested before the threshold"):
            fires &= ~low
        low &= ~fires
        mode = cores.reset_mode.copy()
        if self.is_("value and linear reset swapped"):
            mode = np.array([1, 0, 2])[mode]
        if self.is_("no reset resets to R"):
            mode = np.array([0, 1, 0])[mode]
        taken = cores.threshold if self.is_("linear reset forgets the random part") else alpha
        mirrored = cores.reset if self.is_("negative reset to R") else -cores.reset.astype(np.int64)
        spiked = np.choose(mode, (cores.reset, membrane - taken, membrane))
        bounced = np.where(saturates, -beta, np.choose(mode, (mirrored, membrane + beta, membrane)))
        result = np.where(fires, spiked, np.where(low, bounced, membrane))
        if not self.is_("no clamp"):
            if not self.is_("clamp does not fire"):
                fires = fires | (result > limits.max)
            result = np.clip(result, limits.min, limits.max)
        return result.astype(np.int32), fires


def agree(mistake: str | None, arch: Architecture, seed: int) -> bool:
    """Whether the rules with a mistake and the compiled engine agree on a generated chip."""
    chip: ChipConfig = random_chip(arch, seed, 3)
    ticks = 30
    events = Events(*random_events(chip, seed, ticks, 3.0))
    mutant, compiled = Mutant(chip), CompiledEngine(chip)
    mutant.mistake = mistake
    for engine in (mutant, compiled):
        engine.advance(events, ticks)
    return bool((mutant.membranes() == compiled.membranes()).all()) and bool(
        (mutant.neuron_spikes == compiled.counters().neuron_spikes).all()
    )


def chip_of(mistake: str | None) -> Architecture:
    """Tiny, or a variant of it where only that can tell."""
    arch = load_architecture("tiny")
    limits, rules = arch.neuron, arch.rules
    if mistake == "floor tested before the threshold":
        limits = limits.model_copy(update={"floor": Range(min=-200, max=limits.floor.max)})
    if mistake == "clamp does not fire":
        # A membrane reaches this clamp below some of the thresholds.
        limits = limits.model_copy(update={"membrane": Range(min=-41, max=41)})
    if mistake == "zero has a sign":
        rules = rules.model_copy(update={"leak_stops_at_zero": False})
    return arch.model_copy(update={"neuron": limits, "rules": rules})


def test_without_a_mistake_all_agree() -> None:
    for variant in (None, *MISTAKES):
        assert all(agree(None, chip_of(variant), seed) for seed in range(40 if variant is None else 4))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_caught(mistake: str) -> None:
    assert not all(agree(mistake, chip_of(mistake), seed) for seed in range(40))


def test_the_specification_is_the_one_that_is_compared() -> None:
    """The oracle itself is built on neurocore.neuron, not on the rules above."""
    assert Oracle._tick is not Mutant._tick
    assert neuron.fired_and_reset.__module__ == "neurocore.neuron"

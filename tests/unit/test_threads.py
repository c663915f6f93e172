"""The threads of the compiled engine: as many are at work as are worth it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from neurocore._engine import needed_threads
from neurocore.compiled import CompiledEngine
from neurocore.config import ChipConfig
from neurocore.engine import Events
from neurocore.recurrent import Workload, build_chip

NOTHING = Events(*(np.zeros(0, np.int64),) * 3)


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    return build_chip("truenorth", Workload(8, 50, 64))


@pytest.fixture
def one_processor() -> Iterator[None]:
    """All threads that are started meanwhile share one processor."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not bind threads to processors")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("n", "waited", "needed"),
    [
        (1, 0.0, 1),
        (2, 0.0, 2),
        (2, 0.4, 2),
        (2, 0.5, 1),
        (2, 1.0, 1),
        (8, 0.2, 8),
        (8, 0.25, 6),
        (8, 0.6, 4),
        (8, 0.99, 1),
    ],
)
def test_needed(n: int, waited: float, needed: int) -> None:
    assert needed_threads(n, 1.0, waited) == needed
    assert needed_threads(n, 0.002, 0.002 * waited) == needed


def test_one_processor(chip: ChipConfig, one_processor: None) -> None:
    """Two threads that can only take turns: one of them rests, and the results are those of one thread."""
    alone, crew = CompiledEngine(chip, threads=1), CompiledEngine(chip, threads=2)
    working = set()
    for _ in range(20):
        for engine in (alone, crew):
            engine.advance(NOTHING, 2000)
        working.add(crew._state.working)
    assert 1 in working
    np.testing.assert_array_equal(alone.membranes(), crew.membranes())
    np.testing.assert_array_equal(alone.counters().neuron_spikes, crew.counters().neuron_spikes)


def test_number_at_work(chip: ChipConfig) -> None:
    state = CompiledEngine(chip, threads=3)._state
    state.working = 2
    assert state.working == 2
    for value in (0, 4):
        with pytest.raises(ValueError, match=f"{value} threads cannot work; there are 3"):
            state.working = value

"""Every instruction set gives the same bits: generated chips on each path that this machine can run, against the oracle.

A build with ``NEUROCORE_DEBUG=1`` has the AVX-512 path on every processor with AVX2.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocore._engine import paths
from neurocore.architecture import load_architecture
from neurocore.compiled import PATH_VARIABLE, CompiledEngine
from neurocore.engine import Counters, Events
from neurocore.errors import UsageError
from neurocore.oracle import Oracle
from random_chips import random_chip, random_events


@pytest.fixture(params=["avx512", "avx2", "neon", "portable"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name not in paths():
        pytest.skip(f"this build has no {name} path")
    if not paths()[name]:
        pytest.skip(f"this processor has no {name}")
    monkeypatch.setenv(PATH_VARIABLE, name)
    return name


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    chip=st.sampled_from(["tiny", "truenorth"]),
    threads=st.integers(1, 3),
    rate=st.sampled_from([0.3, 20.0, 200.0]),
)
def test_path_equals_oracle(path: str, seed: int, chip: str, threads: int, rate: float) -> None:
    config = random_chip(load_architecture(chip), seed)
    events = Events(*random_events(config, seed, 12, rate))
    oracle, compiled = Oracle(config), CompiledEngine(config, threads=threads)
    assert compiled.path == path
    for engine in (oracle, compiled):
        engine.advance(events, 12)
    np.testing.assert_array_equal(oracle.membranes(), compiled.membranes())
    for item in fields(Counters):
        one, other = (getattr(engine.counters(), item.name) for engine in (oracle, compiled))
        np.testing.assert_array_equal(one, other, err_msg=item.name)


def test_unknown_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "mmx")
    chip = random_chip(load_architecture("tiny"), 1)
    with pytest.raises(UsageError, match="NEUROCORE_SIMD=mmx: this machine can run "):
        CompiledEngine(chip)

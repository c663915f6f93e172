"""The shifts of neurons: least values that all differences allow, or a cycle that allows none; and relays have time."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiler.check import check
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.prove import prove
from neurocore.compiler.reference import Places
from neurocore.compiler.retiming import TightCycleError, longest_paths
from neurocore.errors import FitError
from random_networks import random_network
from replay import Replay, rich_spikes

SETTLED = -(1 << 30)


def all_pairs(source: np.ndarray, target: np.ndarray, need: np.ndarray, n: int) -> np.ndarray:
    """The longest paths [n, n] by Floyd and Warshall; a positive diagonal tells of a cycle that needs more than 0."""
    longest = np.full((n, n), SETTLED)
    np.maximum.at(longest, (source, target), need)
    for middle in range(n):
        longest = np.maximum(longest, longest[:, middle, None] + longest[None, middle])
    return longest


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_least_values_or_a_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    m = int(rng.integers(0, 3 * n))
    source, target = rng.integers(0, n, m), rng.integers(0, n, m)
    need = rng.integers(-int(rng.integers(1, 9)), 3, m)
    longest = all_pairs(source, target, need, n)
    cyclic = bool((longest.diagonal() > 0).any())
    event("cycle" if cyclic else "values")
    if not cyclic:
        found = longest_paths(source, target, need, n)
        np.testing.assert_array_equal(found, np.maximum(longest.max(axis=0), 0))
        return
    with pytest.raises(TightCycleError) as caught:
        longest_paths(source, target, need, n)
    blocks = caught.value.blocks
    steps = zip(blocks, [*blocks[1:], blocks[0]], strict=True)
    assert caught.value.missing == sum(max(need[(source == one) & (target == other)]) for one, other in steps) > 0


def test_a_long_cycle_among_many_blocks_is_found_soon() -> None:
    """A ring that needs 1 behind a chain of thousands: a step for every block would be millions of relaxations of them all."""
    n, ring = 200_000, 1000
    source = np.arange(n)
    target = np.where(source == ring - 1, 0, (source + 1) % n)
    need = np.where(source < ring, 0, -1)
    need[3] = 1
    with pytest.raises(TightCycleError) as caught:
        longest_paths(source, target, need, n)
    assert (len(caught.value.blocks), caught.value.missing) == (ring, 1)


def narrow(neurons: int, longest: int) -> Architecture:
    """Many cores of few neurons, and delays so short that relays of relays are needed everywhere."""
    tiny = load_architecture("tiny")
    core = tiny.core.model_copy(update={"neurons": neurons, "axons": 16})
    mesh = tiny.mesh.model_copy(update={"columns": 20, "rows": 20})
    wide = Range(min=-19, max=19)
    reach = tiny.routing.reach.model_copy(update={"dx": wide, "dy": wide})
    routing = tiny.routing.model_copy(update={"delay": Range(min=1, max=longest), "reach": reach})
    return tiny.model_copy(update={"name": "narrow", "core": core, "mesh": mesh, "routing": routing})


def assert_equal(net: Network, arch: Architecture) -> None:
    """Every image and every output line of the compiled chip does what the network does."""
    flat, chip = check(net, arch), compile_network(net, arch)
    replay = Replay.of(flat, arch, rich_spikes(flat.n_inputs, 1), 100, Places.of(flat, chip, prove(flat, chip), 0))
    assert replay.difference(flat, chip) is None


def tapped(size: int, n_outputs: int, delay: int) -> Network:
    """Neurons that drive four others after some delay, and leave the chip on several lines."""
    net = Network("tapped")
    source = net.population("source", size, threshold=3, leak=1)
    net.connect(net.input("in", 1), source, all_to_all=1)
    net.connect(source, net.population("readers", 4, threshold=2, leak=1), all_to_all=1, delay=delay)
    for number in range(n_outputs):
        net.output(f"out{number}", source)
    return net


def test_relays_branch_while_there_is_time() -> None:
    """Two relays to a row: three targets that are due in the third tick must part in the first."""
    assert_equal(tapped(2, n_outputs=1, delay=3), narrow(2, longest=1))


def test_relays_of_copied_neurons_have_time() -> None:
    """A copy sends to all that is out of reach, which takes two levels of relays where one tick was thought to be enough."""
    net = tapped(1, n_outputs=3, delay=1)
    noisy = net.population("noisy", 2, threshold=2, threshold_mask_bits=1, leak=1)
    net.output("noisy", noisy)
    net.output("noisy again", noisy)
    assert_equal(net, narrow(2, longest=1))


@pytest.mark.parametrize(("neurons", "longest"), [(2, 1), (2, 3), (3, 2), (5, 1)])
def test_narrow_cores(neurons: int, longest: int) -> None:
    """Trees of relays several levels deep, for targets that are due at any time."""
    arch, fitted = narrow(neurons, longest), 0
    for seed in range(6):
        with suppress(FitError):
            assert_equal(random_network(arch, seed), arch)
            fitted += 1
    assert fitted > 1

"""Quantisation: the best there is by brute force, nothing where nothing is to do, refusals, and what it does to spikes."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocore.architecture import Architecture
from neurocore.compiler.agreement import agreement
from neurocore.compiler.check import check
from neurocore.compiler.encode import CoreSynapses, encode
from neurocore.compiler.floats import flatten, spike_counts
from neurocore.compiler.levels import best_levels, best_multiples
from neurocore.compiler.network import Conv2d, Network
from neurocore.compiler.pipeline import compile_network, compile_with_report
from neurocore.compiler.quantisation import Quantise
from neurocore.compiler.quantise import quantise
from neurocore.compiler.reference import Reference
from neurocore.compiler.typefit import fit_types
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError
from neurocore.spikes import Spikes

weights = st.lists(st.floats(-2, 2).map(lambda value: round(value, 3)), min_size=1, max_size=5).map(np.array)


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip).run(spikes, ticks).spikes


# ---------------------------------------------------------------- optimality


@given(weights, st.sampled_from([(0, 1), (-1, 1), (-2, 1), (-4, 3)]))
def test_best_multiples_is_the_optimum(w, span) -> None:
    low, high = span
    scale, q = best_multiples(w, low, high)
    assert q.min(initial=0) >= min(low, -high)
    assert q.max(initial=0) <= max(high, -low)
    error = float(((w - scale * q) ** 2).sum())
    best = float(w @ w)
    for choice in itertools.product(range(low, high + 1), repeat=len(w)):
        other = np.array(choice)
        if other.any():
            best = min(best, float(w @ w - (w @ other) ** 2 / (other @ other)))
    assert error == pytest.approx(best, abs=1e-9)


@given(weights, st.integers(1, 3))
def test_best_levels_is_the_optimum(w, n_levels) -> None:
    levels, rounded = best_levels(w, n_levels)
    assert set(rounded.tolist()) <= {0.0, *levels.tolist()}
    error = float(((w - rounded) ** 2).sum())
    best = np.inf
    for choice in itertools.product(range(n_levels + 1), repeat=len(w)):
        cluster = np.array(choice)
        parts = [w[cluster == number] for number in range(1, n_levels + 1)]
        spread = sum(float(((part - part.mean()) ** 2).sum()) for part in parts if len(part))
        best = min(best, spread + float((w[cluster == 0] ** 2).sum()))
    assert error == pytest.approx(best, abs=1e-9)


def test_fit_keeps_to_its_axons_and_gains_by_more() -> None:
    wanted = np.random.default_rng(0).normal(size=(60, 6))
    wanted[::7, 2] = 0
    errors = []
    for n_axons in (20, 60, 120, 240):
        fit = fit_types(wanted, 4, n_axons)
        assert fit.n_axons <= n_axons
        assert fit.error == pytest.approx(float(((wanted - fit.weights) ** 2).sum()))
        assert (fit.weights[wanted == 0] == 0).all(), "a missing synapse stays one"
        errors.append(fit.error)
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.02 * errors[0]


def test_fit_is_exact_where_types_are() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 3))
    connected = rng.random((30, 5, 3)) < 0.5
    fit = fit_types(np.einsum("ijt,jt->ij", connected, values), 3, 90)
    assert fit.error < 0.02 * float((np.einsum("ijt,jt->ij", connected, values) ** 2).sum())


def test_fitted_code_takes_the_axons_that_others_need_anyway(truenorth: Architecture) -> None:
    """Weight 3 of neuron 0 is 1 + 2 or 3; signal 0 has an axon of the third type anyway, signal 1 of the first two."""
    values = np.array([[1, 2, 3, 0], [5, 6, 7, 0]])
    signal, neuron = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    core = CoreSynapses(signal, neuron, np.array([3, 7, 3, 11]), np.zeros(4, bool), 2, 2, values)
    encoding = encode(core, truenorth)
    assert encoding is not None
    assert encoding.code == "fitted"
    assert encoding.n_axons == 3


# ---------------------------------------------------------------- networks


def floating(seed: int = 0, scale: float = 1.0) -> Network:
    """Two layers with a leak, a floor and a recurrent connection; ``scale`` multiplies everything that scales."""
    rng = np.random.default_rng(seed)
    net = Network("floating")
    x = net.input("x", 12)
    kinds = {"reset_mode": "linear", "floor": 0.75 * scale, "leak": -0.03125 * scale}
    hidden = net.population("hidden", 10, threshold=scale * (0.5 + rng.random(10)), **kinds)
    out = net.population("out", 4, threshold=0.75 * scale, reset=0.25 * scale, initial=0.125 * scale)
    net.connect(x, hidden, scale * rng.normal(0.1, 0.4, (12, 10)))
    net.connect(hidden, hidden, scale * rng.normal(0, 0.1, (10, 10)), delay=3)
    net.connect(hidden, out, scale * rng.normal(0.2, 0.3, (10, 4)))
    net.output("out", out)
    return net


def noise(n_lines: int, ticks: int, rate: float = 0.2) -> Spikes:
    return Spikes.from_lines(*np.nonzero(np.random.default_rng(5).random((ticks, n_lines)) < rate))


@pytest.mark.parametrize("method", ["fit", "fit=2", "weight_bits=4", "levels=4"])
def test_quantised_networks_are_proved_and_verified(method: str) -> None:
    net = floating()
    chip, report = compile_with_report(net, quantise=method, sample=noise(12, 100), ticks=110)
    certificate = dict(chip.notes)["certificate"]
    assert certificate.startswith("exact: equal to the quantised network")
    assert f"quantisation ({method}) declared: hidden: weights" in certificate
    assert any(warning.startswith("W-QUANTISED") for warning in report.warnings)
    verdict = verify(replace(net, quantise=method), chip, noise(12, 100), 120, run)
    assert verdict.equal
    assert verdict.spikes_compared > 10
    assert report.effect is not None
    after = {item.name: item for item in report.effect.populations}
    assert after["hidden"].spikes_before > 50
    assert after["hidden"].correlation > (0.8 if "levels" in method else 0.95)


def test_an_integer_network_is_left_as_it_is(truenorth: Architecture) -> None:
    net = Network("whole")
    x = net.input("x", 3)
    a = net.population("a", 2, threshold=3.0, leak=-1)
    net.connect(x, a, [[1.0, -250.0], [77, 300], [0, 2]])
    net.output("a", a)
    for method in ("fit", "weight_bits=2", "levels=1"):
        quantised, report = quantise(replace(net, quantise=method), truenorth)
        assert report.populations == ()
        assert check(quantised, truenorth).digest() == check(net, truenorth).digest()


def test_scaling_a_network_changes_nothing(truenorth: Architecture) -> None:
    """A power of two is exact in floating point, so that the integers must be the same to the last bit."""
    for method in ("fit", "weight_bits=4", "levels=4"):
        flat = [check(replace(floating(scale=scale), quantise=method), truenorth) for scale in (1.0, 8.0, 1 / 64)]
        assert flat[0].digest() == flat[1].digest() == flat[2].digest()


def test_scaled_integers_come_back(truenorth: Architecture) -> None:
    """Weights that are integers times a scale of the neuron's lose nothing, and neither does a spike."""
    rng = np.random.default_rng(3)
    whole = Network("whole")
    x = whole.input("x", 8)
    a = whole.population("a", 6, threshold=rng.integers(5, 20, 6), leak=-1, floor=10)
    matrix = rng.integers(-8, 8, (8, 6))
    whole.connect(x, a, matrix)
    whole.output("a", a)
    scale = rng.uniform(0.01, 0.1, 6)
    net = Network("scaled", dict(whole.inputs))
    b = net.population(
        "a", 6, threshold=whole.populations["a"].neuron["threshold"] * scale, leak=-scale, floor=10 * scale
    )
    net.connect("x", b, matrix * scale)
    net.output("a", b)
    net.quantise = "weight_bits=4"
    _, report = quantise(net, truenorth)
    assert report.populations[0].weight_error < 1e-9
    assert report.populations[0].parameter_error < 1e-9
    flat, spikes = check(net, truenorth), noise(8, 200, 0.3)
    mine, other = Reference(flat, truenorth), Reference(check(whole, truenorth), truenorth)
    for tick in range(210):
        lines = spikes.line[spikes.tick == tick]
        assert (mine.tick(lines) == other.tick(lines)).all()


def test_the_float_reference_is_the_integer_reference_on_whole_numbers(truenorth: Architecture) -> None:
    net = Network("modes")
    x = net.input("x", 4)
    modes = {"reset_mode": ["value", "linear", "none", "value"], "floor_mode": ["reset", "saturate", "reset", "reset"]}
    a = net.population(
        "a", 4, threshold=7, floor=5, reset=2, leak=[-1, 1, -1, 0], leak_reversal=[True, False, True, False], **modes
    )
    net.connect(x, a, np.random.default_rng(2).integers(-6, 8, (4, 4)))
    net.connect(a, a, one_to_one=-3, delay=2)
    net.output("a", a)
    spikes, flat = noise(4, 300, 0.3), check(net, truenorth)
    reference, counts = Reference(flat, truenorth), np.zeros(4, int)
    for tick in range(300):
        counts += reference.tick(spikes.line[spikes.tick == tick])
    assert counts.min() > 0
    assert (spike_counts(flatten(net), spikes, 300) == counts).all()


def test_maps_share_one_fit_and_fit_their_cores() -> None:
    """A convolution with 200 taps and 8 channels: 2 axons a tap are too many, fitting finds what one core can hold."""
    net = Network("maps")
    x = net.input("x", (8, 7, 7))
    a = net.population("a", (8, 7, 7), threshold=1.0, reset_mode="linear")
    net.connect(x, a, conv2d=Conv2d(np.random.default_rng(4).normal(0, 0.2, (8, 8, 5, 5)), padding=2))
    net.output("a", a)
    chip, report = compile_with_report(net, quantise="fit=60")
    assert report.quantisation is not None
    assert report.use is not None
    loss = report.quantisation.populations[0]
    assert loss.neurons_per_core == 8
    assert 0.1 < loss.weight_error < 0.5
    assert report.use.populations[0].codes == {"fitted": report.use.populations[0].cores}
    assert len(chip.cores) <= 60
    sample = noise(392, 20, 0.05)
    assert verify(replace(net, quantise="fit=60"), chip, sample, 25, run).equal


@pytest.mark.parametrize("axon_types", [1, 3])
@pytest.mark.parametrize("method", ["fit", "weight_bits=4", "levels=3"])
def test_kernels_that_were_pruned_away(tiny: Architecture, axon_types: int, method: str) -> None:
    """One channel reads nothing, and padding leaves neurons at the corners of the other nothing to read."""
    arch = tiny.model_copy(update={"core": tiny.core.model_copy(update={"axon_types": axon_types})})
    net = Network("pruned")
    maps = net.population("maps", (2, 4, 4), threshold=0.4, reset_mode="linear")
    kernel = np.array([[[[0.0]]], [[[0.3]]]])
    net.connect(net.input("x", (1, 2, 2)), maps, conv2d=Conv2d(kernel, padding=1))
    net.output("maps", maps)
    chip, report = compile_with_report(net, arch, quantise=method)
    assert verify(replace(net, quantise=method), chip, noise(4, 30, 0.4), 40, run).equal
    assert report.quantisation is not None
    assert report.quantisation.populations[0].weight_error < 0.01


def test_ranges_of_the_chip_hold(tiny: Architecture) -> None:
    for method in ("fit", "weight_bits=3", "levels=2"):
        net = Network("narrow")
        x = net.input("x", 5)
        hidden = net.population("hidden", 6, threshold=[0.7, 1.3, 2.1, 70, 9, 0.4], leak=0.02, reset=-0.3)
        net.connect(x, hidden, np.random.default_rng(6).normal(size=(5, 6)))
        net.quantise = method
        flat = check(net, tiny)
        limit = tiny.neuron
        assert flat.neuron["threshold"].max() <= limit.threshold.max
        assert (limit.leak.min <= flat.neuron["leak"]).all()
        if flat.values is not None:
            assert np.abs(flat.values).max() <= min(limit.weight.max, -limit.weight.min)


# ---------------------------------------------------------------- refusals


def test_fractions_are_refused_unless_asked_for() -> None:
    with pytest.raises(InputError, match=r"projection 'hidden' <- 'x': weights holds .* use quantise=\"fit\""):
        compile_network(floating())


def test_fan_in_beyond_a_core_is_refused(tiny: Architecture) -> None:
    net = floating()
    net.quantise = "fit"
    with pytest.raises(
        FitError, match=r"E-FANIN population 'hidden': hidden\[0\] reads 22 signals .* a core of 'tiny' has"
    ):
        check(net, tiny)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    net = floating()
    net.population("late", 5, threshold=[1.5, 2, bad, bad, 1])
    matrix = np.full((10, 5), 0.5)
    matrix[3, 4] = bad
    net.connect("hidden", "late", matrix)
    with pytest.raises(InputError) as caught:
        compile_network(net, quantise="fit")
    assert caught.value.problems == (
        f"population 'late': threshold[2] is {bad}; only finite numbers can be quantised (1 more value likewise)",
        f"projection 'late' <- 'hidden': weights[3, 4] is {bad}; only finite numbers can be quantised",
    )


def test_random_neurons_are_not_scaled() -> None:
    net = Network("random")
    x = net.input("x", 2)
    net.connect(x, net.population("a", 2, threshold=4, threshold_mask_bits=2), [[0.5, 1], [1, 1]])
    with pytest.raises(InputError, match="population 'a' draws random numbers, whose size is the chip's own"):
        compile_network(net, quantise="fit")


def test_a_threshold_that_vanishes_is_refused() -> None:
    net = Network("small")
    x = net.input("x", 2)
    net.connect(x, net.population("a", 2, threshold=[1.0, 0.0001]), [[0.5, 1.5], [1.25, 1]])
    with pytest.raises(FitError, match=r"E-QUANT population 'a': 1 of 2 neurons have a threshold so small"):
        compile_network(net, quantise="weight_bits=4")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("best", "quantise: 'best' is not known; there are fit, weight_bits, levels"),
        ("weight_bits", "quantise: weight_bits is None; a whole number of 1..9 was expected, as in weight_bits=4"),
        ("levels=0", "quantise: levels is 0; a whole number of 1..64 was expected, as in levels=4"),
        ("weight_bits=x", "quantise: weight_bits is 'x'; a whole number of 1..9 was expected, as in weight_bits=4"),
        ({"fit": 1, "levels": 2}, "give exactly one of fit, weight_bits, levels"),
    ],
)
def test_methods_that_are_none(given, text: str) -> None:
    with pytest.raises(InputError) as caught:
        Quantise.of(given)
    assert text in caught.value.problems[0]


def test_agreement_counts_what_changes(truenorth: Architecture) -> None:
    net = floating()
    fine, coarse = (
        agreement(replace(net, quantise=method), truenorth, noise(12, 150), 150) for method in ("fit", "levels=1")
    )
    assert fine.populations[0].count_error < 0.1 < coarse.populations[0].count_error
    assert fine.populations[0].spikes_before == coarse.populations[0].spikes_before


def test_parameters_that_lose_are_named(truenorth: Architecture) -> None:
    """Each that is not exact, the worst first, and in how many neurons it vanishes."""
    net = Network("net")
    x, a = net.input("x", 4), net.population("a", 3, threshold=[4.0, 4.0, 4.12345], leak=[1e-6, 1.0, -2e-6], floor=8)
    net.connect(x, a, np.ones((4, 3)))
    net.output("a", a)
    net.quantise = "weight_bits=2"
    _, report = quantise(net, truenorth)
    (loss,) = report.populations
    assert loss.parameter_error == max(loss.parameter_errors.values()) == 1
    assert loss.parameters_lost == {"leak": 2}
    assert 0 < loss.parameter_errors["threshold"] < 5e-5
    assert loss.sentence().endswith("parameters 100.00% (leak 100.00%, becoming 0 in 2 neurons)")
    more = replace(loss, parameter_errors={"reset": 0.1, **loss.parameter_errors})
    assert more.sentence().endswith("(leak 100.00%, becoming 0 in 2 neurons; reset 10.00%)")
    assert {"parameter_errors", "parameters_lost"} <= json.loads(json.dumps(report.as_dict()))["populations"][0].keys()

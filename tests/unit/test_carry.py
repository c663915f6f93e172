"""Carried sums: lines tell neurons what they read, most of it in time; what is late is measured and declared."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import neurocore as nc
from neurocore.architecture import load_architecture
from neurocore.compiler.carry import Carry, carry
from neurocore.compiler.certificate import prove_chip
from neurocore.compiler.check import IntegerNetwork, check
from neurocore.compiler.deviation import SEED, TICKS
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.prove_carry import prove_carry
from neurocore.compiler.reference import Reference
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, MismatchError
from neurocore.spikes import Spikes

TRUENORTH = load_architecture("truenorth")


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def dense(n_in: int = 784, n_out: int = 4, rate: float = 0.05, weights: object = None, **neuron: object) -> Network:
    """Signed weights from many more lines than a thermometer code could tell apart."""
    net = Network("dense")
    neuron = {"threshold": 7, "floor": 9, "reset_mode": "linear", **neuron}
    source, target = net.input("image", n_in), net.population("hidden", n_out, **neuron)
    drawn = np.random.default_rng(1).choice([-1, 1], (n_in, n_out))
    net.connect(source, target, drawn if weights is None else weights)
    net.output("out", target)
    net.rate("image", rate)
    return net


def spikes_for(net: Network, ticks: int, rate: float, seed: int = 2) -> Spikes:
    rng = np.random.default_rng(seed)
    tick, line = np.nonzero(rng.random((ticks, sum(item.size for item in net.inputs.values()))) < rate)
    return Spikes.from_lines(tick, line)


def carried(net: Network) -> Carry:
    found = carry(check(net, TRUENORTH), TRUENORTH)
    assert found is not None
    return found


def told(lined: Carry, spikes: Spikes, ticks: int) -> np.ndarray:
    """What the lines of each neuron come to in every tick [ticks, N]."""
    net, n = lined.network, lined.origin.n_neurons
    weight = np.zeros((net.n_neurons, n), np.int64)
    mine = net.target < n
    weight[net.source[mine] - net.n_inputs, net.target[mine]] = net.weight[mine]
    simulator = Reference(net, TRUENORTH)
    return np.array([simulator.tick(spikes.line[spikes.tick == now]) @ weight for now in range(ticks)])


def sums(net: Network, spikes: Spikes, ticks: int) -> np.ndarray:
    """What each neuron reads in every tick [ticks, N]."""
    raster = np.zeros((ticks + 1, sum(item.size for item in net.inputs.values())), np.int64)
    raster[spikes.tick + 1, spikes.line] = 1
    return raster[:ticks] @ np.asarray(net.projections[0].weights)


def test_lines_take_turns_so_that_usual_sums_are_told_at_once() -> None:
    """Up to as many as there are lines, whatever their order; what is more comes with the next ticks, and nothing is lost."""
    net, ticks = dense(), 60
    lined, spikes = carried(net), spikes_for(net, 50, 0.05)
    assert (told(lined, spikes, ticks) == sums(net, spikes, ticks)).mean() > 0.99
    bursts = Spikes.from_lines(np.repeat([0, 9], 784), np.tile(np.arange(784), 2))
    late, whole = told(lined, bursts, ticks), sums(net, bursts, ticks)
    assert (late[1] != whole[1]).all()
    assert (np.abs(late) <= 784 // 4).all()
    assert (late.sum(axis=0) == whole.sum(axis=0)).all()


def test_spikes_stand_for_more_where_axons_are_few() -> None:
    """Half of 784 lines are active in a tick: no core reads 196 at once, in steps of one, for excitation and inhibition."""
    net = dense(rate=0.5)
    lined = carried(net)
    unit = np.unique(np.abs(lined.network.weight[lined.network.target < 4]))
    assert unit == [3]
    assert np.diff(lined.network.start)[:4].max() <= 256
    spikes = spikes_for(net, 40, 0.5)
    error = told(lined, spikes, 60).cumsum(axis=0) - sums(net, spikes, 60).cumsum(axis=0)
    assert np.abs(error[-20:]).max() <= 4 * 2, "each of 4 families of a sign keeps two at most"


def test_the_difference_is_measured_and_declared(tmp_path) -> None:
    chip, report = compile_with_report(dense(rate=0.5), fan_in="carry")
    assert not report.exact
    assert report.deviation is not None
    fields = report.as_dict()
    assert (fields["exact"], fields["approximations"]) == (False, [str(report.deviation)])
    assert fields["deviation"]["ticks"] == TICKS
    assert 0 < report.deviation.differing == report.deviation.output_differing < 0.2
    assert report.warnings == [f"W-CARRY {report.fan_in}: {report.deviation}"]
    certificate = dict(chip.notes)["certificate"]
    assert certificate.startswith("approximate: equal to network ")
    assert certificate.endswith(f"; {report.fan_in}; {report.deviation}")
    chip.save(tmp_path / "chip.h5")
    assert nc.load(tmp_path / "chip.h5").digest() == chip.digest()
    flat, lined = check(dense(rate=0.5), TRUENORTH), carried(dense(rate=0.5)).network
    rng, both = np.random.default_rng(SEED), (Reference(flat, TRUENORTH), Reference(lined, TRUENORTH))
    fired = []
    for _ in range(TICKS):
        lines = np.flatnonzero(rng.random(784) < 0.5)
        fired.append([simulator.tick(lines)[:4] for simulator in both])
    before, after = np.array(fired).transpose(1, 0, 2)
    assert report.deviation.differing == (before != after).mean()
    assert report.deviation.count_error == np.abs(before.sum(axis=0) - after.sum(axis=0)).sum() / before.sum()


def test_verify_knows_what_is_declared() -> None:
    """More input than the lines were made for differs, as declared; another chip does not do what is declared."""
    net = dense(rate=0.02)
    chip = compile_network(net, fan_in="carry")
    few, many = (verify(net, chip, spikes_for(net, 40, rate), 40, run) for rate in (0.02, 0.3))
    assert few.equal
    assert few.as_declared
    assert few.approximate
    assert few.spikes_differing == 0
    assert not many.equal
    assert many.as_declared
    assert many.spikes_differing > 10
    assert many.first_difference is not None
    assert not many.cause
    assert not few.remarks
    assert [remark[:50] for remark in many.remarks] == ["input 'image' has 0.301 spikes a line and tick, an"]
    start = chip.cores.initial.copy()
    start[chip.cores.population == 0] += 3
    wrong = replace(chip, cores=replace(chip.cores, initial=start))
    verdict = verify(net, wrong, spikes_for(net, 40, 0.02), 40, run)
    assert not verdict.equal
    assert not verdict.as_declared
    assert verdict.cause


def test_random_neurons_layers_and_cycles() -> None:
    rng = np.random.default_rng(3)
    net = dense(rate=0.02, threshold_mask_bits=2)
    wide = net.population("wide", 300, threshold=2, floor=3)
    net.connect("hidden", wide, rng.integers(-1, 3, (4, 300)))
    net.connect(wide, "hidden", rng.integers(-1, 2, (300, 4)), delay=6)
    drawn = net.population("drawn", 2, threshold=2)
    net.connect("hidden", drawn, [[100, 0], [0, -30], [90, 0], [0, 200]], stochastic=True)
    net.output("drawn", drawn)
    chip = compile_network(net, fan_in="carry")
    verdict = verify(net, chip, spikes_for(net, 40, 0.05), 40, run)
    assert verdict.as_declared
    assert verdict.spikes_compared > 20
    net.connect("hidden", "hidden", one_to_one=1)
    with pytest.raises(
        FitError, match=r"^E-CYCLE 'hidden' -> 'hidden' has 1 tick less .*: lines that carry sums take a tick"
    ):
        compile_network(net, fan_in="carry")


def test_a_network_that_fits_is_left_alone_and_estimates_are_not_measured() -> None:
    plain, asked = (compile_network(dense(100), fan_in=fan_in) for fan_in in ("refuse", "carry"))
    assert asked.digest() == plain.digest()
    report = estimate_network(dense(), fan_in="carry")
    assert "lines with carry tell 4 neurons" in report.fan_in
    assert not report.exact
    assert report.deviation is None


def test_advice_where_nothing_exact_helps() -> None:
    with pytest.raises(
        FitError, match=r'fan_in="dilate" is no way out: .*; or use fan_in="carry": approximate, with \d+ more'
    ):
        compile_network(dense(threshold_mask_bits=1))


def test_lines_are_bounded_before_they_are_made() -> None:
    """Neurons that read different lines share none of theirs: a hundred of each, with all that it reads, would fill gigabytes."""
    flat = check(dense(n_out=300), TRUENORTH)
    tracemalloc.start()
    try:
        with pytest.raises(
            FitError,
            match=r"^E-CARRY population 'hidden' and those before it need lines that read more than 4,096 cores of 'truenorth'"
            r" can \([\d,]+ synapses over\)\. Use fewer neurons or smaller receptive fields$",
        ):
            carry(flat, TRUENORTH, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_a_spike_may_not_stand_for_more_than_a_weight_can_be() -> None:
    """Where axons are few, spikes of all lines stand for several units, one of which has 30 bits."""
    ranc = load_architecture("ranc")
    arch = ranc.model_copy(update={"core": ranc.core.model_copy(update={"axons": 31})})
    net = Network("heavy")
    hidden = net.population("hidden", 1, threshold=20, floor=0, floor_mode="reset")
    net.connect(net.input("image", 203), hidden, [[1]] * 200 + [[-(2**30)]] * 3)
    net.rate("image", 0.9)
    net.output("out", hidden)
    with pytest.raises(
        FitError, match=r"^E-CARRY population 'hidden': hidden\[0\] has axons for so few lines that a spike of one"
    ):
        compile_network(net, arch, fan_in="carry")


def test_command_line(tmp_path, command) -> None:
    np.save(tmp_path / "w.npy", np.asarray(dense().projections[0].weights))
    (tmp_path / "net.yaml").write_text(
        "network: dense\ninputs: {image: {shape: [784]}}\n"
        "populations: {hidden: {shape: [4], neuron: {threshold: 7, floor: 9, reset_mode: linear}}}\n"
        "projections: [{source: image, target: hidden, weights: w.npy}]\noutputs: {out: {source: hidden}}\n"
        "spike_rates: {image: 0.02}\nfan_in: carry\n"
    )
    spikes = spikes_for(dense(), 30, 0.3)
    np.savez(tmp_path / "in.npz", tick=spikes.tick, line=spikes.line)
    path = {name: str(tmp_path / name) for name in ("net.yaml", "chip.h5", "in.npz", "report.txt")}

    text = command("compile", path["net.yaml"], "-o", path["chip.h5"], "--report", path["report.txt"]).out
    assert "in 300 ticks of random input" in text
    assert "proved: the chip is the network with sums carried over, spike for spike" in text
    assert "in 300 ticks of random input" in (tmp_path / "report.txt").read_text()
    assert "approximate: equal to network" in command("inspect", path["chip.h5"]).out
    assert json.loads(command("inspect", path["chip.h5"], "--json").out)["exact"] is False
    given = (path["net.yaml"], path["chip.h5"], "--input", path["in.npz"], "--ticks", "30")
    assert command("verify", *given).out.startswith("approximate, as declared: ")
    verdict = json.loads(command("verify", *given, "--json").out)
    assert (verdict["equal"], verdict["approximate"], verdict["as_declared"]) == (False, True, True)
    assert verdict["spikes_differing"] > 0
    text = (tmp_path / "net.yaml").read_text().replace("0.02", "0.2")
    (tmp_path / "net.yaml").write_text(text)
    assert command("verify", *given, code=5).out.startswith("different: ")


# ---------------------------------------------------------------- the proof


def changed(network: IntegerNetwork, name: str, place: int, value: int) -> IntegerNetwork:
    """The network with one number changed, of a synapse or of a neuron."""
    whole = dict(network.neuron) if name in network.neuron else {name: getattr(network, name)}
    column = whole[name].copy()
    column[place] = value
    return (
        replace(network, neuron=whole | {name: column})
        if name in network.neuron
        else replace(network, **{name: column})
    )


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("initial", 5, 7, r"hidden\[0\]: lines over the same signals do not take turns"),
        ("threshold", 5, 2, r"hidden\[0\]: lines over the same signals do not take turns"),
        ("leak", 5, -1, r"hidden.carry\[1\] is no line: its parameters, or what it reads, are others"),
        ("reset_mode", 5, 0, r"hidden.carry\[1\] is no line: its parameters, or what it reads, are others"),
        ("weight", 0, 2, r"hidden\[0\]: its lines fire for every 1 of a sum, and it reads them as something else"),
        ("weight", 0, 0, r"hidden\[0\]: its lines fire for every 1 of a sum, and it reads them as something else"),
        (
            "weight",
            -1,
            2,
            r"hidden\[3\]: the weights of its lines are not those of the network, up to a factor for all of them",
        ),
        (
            "delay",
            -1,
            2,
            r"hidden\[3\]: the weights of its lines are not those of the network, up to a factor for all of them",
        ),
        ("threshold", 0, 8, r"hidden\[0\] has another threshold"),
    ],
)
def test_proof_refuses(name: str, place: int, value: int, sentence: str) -> None:
    lined = carried(dense())
    prove_carry(lined.origin, lined.network)
    with pytest.raises(MismatchError, match=rf"^network with lines: {sentence}"):
        prove_carry(lined.origin, changed(lined.network, name, place, value))


def test_proof_of_chips() -> None:
    """What lines there are depends on the rates that the network names."""
    chip = compile_network(dense(), fan_in="carry")
    decoded, proven = prove_chip(check(dense(), TRUENORTH), chip)
    assert len(decoded.image) == 4
    assert proven is not None
    assert not proven.exact
    with pytest.raises(
        MismatchError, match=r"no lines for the network with these spike_rates: 'hidden.carry' \(\d+\); E-THERM"
    ):
        prove_chip(check(dense(rate=0.1), TRUENORTH), chip)

"""Thermometer codes: lines tell neurons the sums of what they read, where that is more than a core has axons for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import neurocore as nc
from neurocore.architecture import Range, load_architecture
from neurocore.compiler.certificate import prove_chip
from neurocore.compiler.check import IntegerNetwork, check
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.prove_thermometer import prove_thermometer
from neurocore.compiler.reference import Reference
from neurocore.compiler.thermometer import thermometer
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, MismatchError
from neurocore.spikes import Spikes
from random_networks import counting_network, random_spikes, wide_chip, wide_network

TRUENORTH = load_architecture("truenorth")


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def counting(n_in: int = 600, n_out: int = 3, weights: object = 1, delay: int = 1, **neuron: object) -> Network:
    """Neurons that fire if enough of more lines than a core has axons are active."""
    net = Network("counting")
    source, target = net.input("image", n_in), net.population("hidden", n_out, **{"threshold": 4, "floor": 0, **neuron})
    net.connect(source, target, np.broadcast_to(weights, (n_in, n_out)), delay=delay)
    net.output("out", target)
    return net


def spikes_for(net: Network, ticks: int, per_tick: float, seed: int = 1) -> Spikes:
    rng, n = np.random.default_rng(seed), sum(item.size for item in net.inputs.values())
    tick, line = np.nonzero(rng.random((ticks, n)) < per_tick / n)
    return Spikes.from_lines(tick, line)


def replayed(net: Network, per_tick: float = 3, ticks: int = 60) -> ChipConfig:
    """Compile, prove and replay a network; its chip."""
    chip = compile_network(net, fan_in="thermometer")
    verdict = verify(net, chip, spikes_for(net, ticks, per_tick), ticks, run)
    assert verdict.equal, verdict
    assert not verdict.cause
    assert 10 < verdict.spikes_compared < ticks * len(check(net, TRUENORTH).output_neuron)
    return chip


def lines_of(net: Network) -> IntegerNetwork:
    found = thermometer(check(net, TRUENORTH), TRUENORTH)
    assert found is not None
    return found.network


def test_every_part_has_a_line_for_every_sum_up_to_the_threshold() -> None:
    """600 lines make 3 parts, whose sums 1 to 4 matter to a membrane that is at most 3; three neurons read the same lines."""
    lined = lines_of(counting())
    assert [(group.name, group.size) for group in lined.populations] == [("hidden", 3), ("hidden.lines", 12)]
    assert sorted(lined.neuron["leak"][3:]) == sorted([0, -1, -2, -3] * 3)
    assert (lined.weight[lined.target < 3] == 1).all()
    assert (np.diff(lined.start)[3:] == 200).all()
    assert lines_of(counting(10_000)).n_neurons == 3 + 160
    replayed(counting())


def test_only_sums_that_can_be_have_lines() -> None:
    """Weights of 6 and 10 add up to 0, 6, 10, 12, 16, 18, 20, ...; what they have in common, 2, is in none of the lines."""
    lined = lines_of(counting(weights=np.where(np.arange(600) % 2, 6, 10)[:, None], threshold=17))
    below = -lined.neuron["leak"][3:].reshape(5, -1)
    assert (below == [0, 3, 5, 6, 8]).all()
    assert sorted(set(lined.weight[lined.target >= 3])) == [3, 5]
    assert sorted(lined.weight[lined.target == 0]) == sorted([6, 4, 2, 4, 2] * 5)


def test_parts_are_larger_where_lines_are_short() -> None:
    """Two weights take two axons a signal where neurons differ: 5 parts of 61 lines. Lines of one neuron take one: 3 parts."""
    net = counting(weights=np.where(np.arange(600) % 2, 6, 10)[:, None], threshold=130)
    lined = lines_of(net)
    assert lined.n_neurons == 3 + 3 * 61
    assert (np.diff(lined.start)[3:] == 200).all()


@pytest.mark.parametrize(
    "neuron",
    [
        {"leak": 1, "initial": 0, "threshold": 9},
        {"leak": -2, "floor": 3},
        {"reset": -2, "floor": 4, "initial": 3},
        {"reset": 2, "floor": 1, "floor_mode": "reset", "leak": -1},
        {"leak": -1, "leak_reversal": True},
        {"threshold_mask_bits": 2},
        {"leak": -9, "leak_stochastic": True},
    ],
)
def test_neurons_of_all_kinds(neuron: dict[str, object]) -> None:
    """A few inhibitory lines among them; some neurons cannot wait, and need delays that leave them a tick."""
    weights = np.random.default_rng(2).choice([1] * 60 + [-1], (400, 3))
    waits = neuron.get("leak_stochastic", False) or neuron.get("leak") == 1
    chip = replayed(counting(400, 3, weights, delay=2 if waits else 1, **neuron))
    assert (chip.latency == 0) == bool(waits)


@pytest.mark.parametrize("mode", ["linear", "none", "value"])
def test_dense_signed_weights(mode: str) -> None:
    """A core has two axons for each of 128 lines with weights of both signs, but one for each of 220 lines of one sign."""
    weights = np.random.default_rng(3).choice([-1, 1], (220, 2))
    net = counting(220, 2, weights, reset_mode=mode, floor=20)
    with pytest.raises(FitError, match=r"^E-FANIN"):
        compile_network(counting(220, 40, weights[:, np.arange(40) % 2] * np.arange(1, 41) ** 2))
    lined = compile_network(net, fan_in="thermometer")
    assert lined.populations == check(net, TRUENORTH).populations, "one neuron fits a core of its own"


def test_layers_recurrence_merged_spikes_and_a_neuron_that_is_read_twice() -> None:
    net = counting(500, 300, threshold=3)
    last = net.population("last", 4, threshold=[2, 3, 4, 5], floor=0)
    net.connect("hidden", last, all_to_all=1, delay=2)
    net.connect("hidden", last, all_to_all=2, delay=3, merge="or")
    net.connect(last, last, np.eye(4, k=1, dtype=int), delay=2)
    net.connect(last, "hidden", -np.ones((4, 300), int), delay=3)
    net.output("last", last)
    chip = replayed(net)
    assert [group.name for group in chip.populations] == ["hidden", "last", "hidden.lines", "last.lines"]


def test_lines_of_lines() -> None:
    """With 31 axons a core, 300 lines make 10 parts of 6 lines each, too many for a core; two parts then read 30 lines each."""
    arch, net = wide_chip(), counting(300, 2, threshold=6)
    found = thermometer(check(net, arch), arch)
    assert found is not None
    assert [group.size for group in found.network.populations] == [2, 60, 12]
    assert found.network.populations[2].name == "hidden.lines2"
    chip = compile_network(net, arch, fan_in="thermometer")
    verdict = verify(net, chip, spikes_for(net, 60, 4), 60, run)
    assert verdict.equal
    assert not verdict.cause
    assert verdict.spikes_compared > 10
    assert chip.latency >= 2


@pytest.mark.parametrize("chip", ["ranc", "paicore"])
def test_other_chips(chip: str) -> None:
    """One has no floor that holds a membrane, but resets it; the other has so wide a core that parts are larger."""
    net = counting(1500, floor_mode="reset")
    compiled = compile_network(net, chip, fan_in="thermometer")
    verdict = verify(net, compiled, spikes_for(net, 60, 3), 60, run)
    assert verdict.equal
    assert not verdict.cause
    assert verdict.spikes_compared > 10


def test_a_network_that_fits_is_left_alone() -> None:
    net = counting(200)
    plain, asked = compile_network(net), compile_network(net, fan_in="thermometer")
    assert asked.digest() == plain.digest()
    assert thermometer(check(net, TRUENORTH), TRUENORTH) is None


def test_quantised_weights_and_names_that_are_taken() -> None:
    net = counting(400, 2, np.random.default_rng(1).choice([0.5, 0.25], (400, 2)), threshold=2.0)
    net.quantise = "weight_bits=3"
    net.connect("image", net.population("hidden.lines", 2), edges=[(0, 0, 0.5), (1, 1, 0.5)])
    chip = replayed(net)
    assert [group.name for group in chip.populations] == ["hidden", "hidden.lines", "hidden.lines2"]
    assert dict(chip.notes)["certificate"].startswith("exact: equal to the quantised network ")


def test_files_reports_and_certificate(tmp_path) -> None:
    chip, report = compile_with_report(counting(), fan_in="thermometer")
    chip.save(tmp_path / "chip.h5")
    loaded = nc.load(tmp_path / "chip.h5")
    assert loaded.digest() == chip.digest()
    prove_chip(check(counting(), TRUENORTH), loaded)
    assert (report.latency, report.dilation, report.warnings) == (1, 1, [])
    assert report.as_dict()["fan_in"] == "12 lines of a thermometer code tell 3 neurons the sums of what they read"
    assert f"spike for spike, 1 tick late; {report.fan_in}" in dict(chip.notes)["certificate"]
    assert estimate_network(counting(), fan_in="thermometer").fan_in == report.fan_in
    single = compile_with_report(counting(300, 1, threshold=1), fan_in="thermometer")[1]
    assert single.fan_in == "2 lines of a thermometer code tell 1 neuron the sums of what they read"


def test_places_are_kept() -> None:
    chip, report = compile_with_report(counting(), fan_in="thermometer")
    again, kept = compile_with_report(counting(), fan_in="thermometer", seed=1, placement=chip)
    assert kept.cores_kept == report.cores
    assert (again.cores.core == chip.cores.core).all()


@pytest.mark.parametrize("fan_in", ["thermometer", "carry"])
def test_relays_on_far_ways(fan_in: str) -> None:
    """Lines stay in step when packets travel two cores only; some sources of this network are merged besides."""
    wide, near = wide_chip(), Range(min=-2, max=2)
    reach = wide.routing.reach.model_copy(update={"dx": near, "dy": near})
    arch = wide.model_copy(update={"routing": wide.routing.model_copy(update={"reach": reach})})
    net = counting_network(arch, 17)
    chip, report = compile_with_report(net, arch, fan_in=fan_in)
    assert report.stations > 0
    assert report.latency == chip.latency
    verdict = verify(net, chip, random_spikes(net, 17, 25), 25, run)
    assert verdict.as_declared
    assert not verdict.cause
    assert verdict.spikes_compared > 100


def test_command_line(tmp_path, command) -> None:
    (tmp_path / "net.yaml").write_text(
        "network: counting\ninputs: {image: {shape: [400]}}\npopulations: {hidden: {shape: [6], neuron: {threshold: 3}}}\n"
        "projections: [{source: image, target: hidden, weights: {all_to_all: 1}}]\noutputs: {out: {source: hidden}}\n"
        "fan_in: thermometer\n"
    )
    spikes = spikes_for(counting(400), 20, 4)
    np.savez(tmp_path / "in.npz", tick=spikes.tick, line=spikes.line)
    path = {name: str(tmp_path / name) for name in ("net.yaml", "chip.h5", "in.npz", "report.txt")}

    said = "6 lines of a thermometer code tell 6 neurons the sums of what they read"
    assert said in command("compile", path["net.yaml"], "-o", path["chip.h5"], "--report", path["report.txt"]).out
    assert said in (tmp_path / "report.txt").read_text()
    assert said in command("inspect", path["chip.h5"]).out
    given = ("--input", path["in.npz"], "--ticks", "20")
    assert command("verify", path["net.yaml"], path["chip.h5"], *given).out.startswith("equal:")
    refused = command("compile", path["net.yaml"], "--estimate", "--fan-in", "refuse", code=FitError.exit_code)
    assert "use --fan-in thermometer: exact, with 6 more neurons, which take 1 tick" in refused.err


def test_probes_show_the_membranes_of_the_network(tmp_path) -> None:
    net = counting(threshold=7, leak=-1)
    spikes = spikes_for(net, 30, 4)
    emulator = Emulator(compile_network(net, fan_in="thermometer"), probes=["hidden:membrane"])
    probe = emulator.run(spikes, 31).probes["hidden:membrane"].in_network_time()
    simulator = Reference(check(net, TRUENORTH), TRUENORTH)
    for now in range(30):
        simulator.tick(spikes.line[spikes.tick == now])
        assert (probe.membranes[now] == simulator.membrane).all()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (
            counting(floor=None, weights=[[1]] * 590 + [[-1]] * 10),
            r"needs 600 lines for the 600 signals that it reads, as its membrane is -262143 to 3 and sums from -10 to 590 may",
        ),
        (
            counting(weights=10_007 * (np.arange(600)[:, None] % 2) + 20_011, threshold=200_000),
            r"needs a line for sums above 190112, whose leak takes that much away; 'truenorth' has leaks -255\.\.255",
        ),
        (
            counting(weights=10_007 * (np.arange(600)[:, None] % 2) + 20_011, reset_mode="linear"),
            r"has a part whose sum is up to [\d,]+ steps, one for every sum that they may have, as with reset_mode linear each",
        ),
    ],
)
def test_refusals(net: Network, sentence: str) -> None:
    with pytest.raises(FitError, match=rf"^E-THERMOMETER population 'hidden': hidden\[\d\] {sentence}"):
        compile_network(net, fan_in="thermometer")


def test_sums_that_may_wrap_have_no_lines() -> None:
    """Multiples of a weight of 28 bits, on a chip whose membranes wrap at 32."""
    net = Network("heavy")
    hidden = net.population("hidden", 1, threshold=2**28, floor=0, floor_mode="reset")
    net.connect(net.input("image", 257), hidden, all_to_all=2**22)
    net.output("out", hidden)
    with pytest.raises(FitError) as refused:
        compile_network(net, "ranc", fan_in="thermometer")
    total = 257 * 2**22
    assert (
        f"hidden[0] reads weights of {total:,} in all, whose sums may wrap at 32 bits; lines tell sums up to {2**30:,}"
        f" ({total - 2**30:,} over). Use smaller weights"
    ) in str(refused.value)
    net.projections[0] = replace(net.projections[0], all_to_all=2**22 - 2**14)
    net.populations["hidden"].neuron["threshold"] = 64 * (2**22 - 2**14)
    spikes = spikes_for(net, 30, 64)
    chip = compile_network(net, "ranc", fan_in="thermometer")
    assert verify(net, chip, spikes, 30, run).equal


def test_lines_of_a_whole_population_need_room() -> None:
    """12 lines read 200 signals each; for more than that a refusal of fan-in would not be told in time."""
    flat = check(counting(), TRUENORTH)
    assert thermometer(flat, TRUENORTH, 2400) is not None
    with pytest.raises(FitError, match=r"read more than 4,096 cores of 'truenorth' can \(1 synapse over\)"):
        thermometer(flat, TRUENORTH, 2399)


def test_a_neuron_that_cannot_wait() -> None:
    """A leak that drives it to its threshold while its lines take their tick has no V(0) to begin with."""
    with pytest.raises(
        FitError, match=r"^E-START population 'hidden': .* 1 tick late because lines that tell it sums feed it"
    ):
        compile_network(counting(leak=-1, leak_stochastic=True), fan_in="thermometer")


def test_cycles() -> None:
    """Three neurons and a line on a cycle need four ticks, and a wide neuron that reads itself needs two."""
    net = counting()
    back = net.population("back", 1)
    net.connect("hidden", back, all_to_all=1)
    net.connect(back, "hidden", all_to_all=1, delay=2)
    compile_network(net, fan_in="thermometer")
    net.connect("hidden", "hidden", one_to_one=1)
    with pytest.raises(FitError, match=r"^E-CYCLE 'hidden' -> 'hidden' has 1 tick less delay than its neurons need"):
        compile_network(net, fan_in="thermometer")


@pytest.mark.parametrize(
    ("make", "fan_in", "seed", "cycle"),
    [
        (wide_network, "carry", 37, "'p2' -> 'p2' has 1 tick less delay"),
        (counting_network, "thermometer", 80, "'p0' -> 'p2' -> 'p0' has 4 ticks less delay"),
        (wide_network, "carry", 142, "'p0' -> 'p0' has 2 ticks less delay"),
    ],
)
def test_cycles_ask_for_all_delays_at_once(make: Callable[..., Network], fan_in: str, seed: int, cycle: str) -> None:
    """By the network's own populations, a cycle once round; with the delays that are asked for the network compiles."""
    small = wide_chip()
    with pytest.raises(FitError) as refusal:
        compile_network(make(small, seed), small, fan_in=fan_in)
    (problem,) = refusal.value.problems
    assert problem.startswith(f"E-CYCLE {cycle}")
    asked = re.search(r"Raise the delays? (.*), with which all cycles have time", problem)
    assert asked is not None, problem
    net = make(small, seed)
    for part in asked.group(1).split(" and "):
        source, target, more = re.fullmatch(r"'(\w+)' -> '(\w+)' by (\d+)", part).groups()  # type: ignore[union-attr]
        for number, item in enumerate(net.projections):
            if (item.source, item.target) == (source, target):
                net.projections[number] = replace(item, delay=item.delay + int(more))
    compile_network(net, small, fan_in=fan_in)


def test_what_more_delay_leads_to_is_said() -> None:
    """With time on its cycles, the network is refused for another reason."""
    small = wide_chip()
    with pytest.raises(
        FitError, match=r"^E-CYCLE .* Raise the delay 'p0' -> 'p0' by 3, .*; with more delay, E-START .*p0"
    ):
        compile_network(counting_network(small, 53), small, fan_in="thermometer")


# ---------------------------------------------------------------- the proof


def changed(network: IntegerNetwork, name: str, place: int, value: int) -> IntegerNetwork:
    """The network with one number changed, of a synapse or of a neuron."""
    if name in network.neuron:
        column = network.neuron[name].copy()
        column[place] = value
        return replace(network, neuron={**network.neuron, name: column})
    column = getattr(network, name).copy()
    column[place] = value
    return replace(network, **{name: column})


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("leak", 3, -1, r"hidden\[0\]: its lines show 0 where a part of its sum is 1, and that may matter"),
        ("leak", 3, 1, r"hidden.lines\[0\] is no line: its parameters, or what it reads, are others"),
        ("floor", 4, 1, r"hidden.lines\[1\] is no line: its parameters, or what it reads, are others"),
        ("threshold", 1, 5, r"hidden\[1\] has another threshold"),
        ("initial", 2, 1, r"hidden\[2\] has another initial"),
        ("weight", 0, 2, r"hidden\[0\]: its lines show 2 where a part of its sum is 1, and that may matter"),
        (
            "weight",
            50,
            2,
            r"hidden\[0\]: the weights of its lines are not those of the network, up to a factor for all of them",
        ),
        ("source", 50, 603, r"hidden.lines\[0\] is no line: its parameters, or what it reads, are others"),
        ("source", 50, 599, r"hidden\[0\]: the weights of its lines are not those"),
        ("delay", 50, 2, r"hidden\[0\]: the weights of its lines are not those"),
        ("delay", 0, 1, r"hidden\[0\]: the weights of its lines are not those"),
        ("source", 0, 3, r"hidden\[0\]: it reads something beside its lines"),
    ],
)
def test_proof_refuses(name: str, place: int, value: int, sentence: str) -> None:
    net, lined = check(counting(), TRUENORTH), lines_of(counting())
    prove_thermometer(net, lined)
    with pytest.raises(MismatchError, match=rf"^network with lines: {sentence}"):
        prove_thermometer(net, changed(lined, name, place, value))


def test_proof_knows_which_sums_matter() -> None:
    """A fifth line does no harm where four are enough; where five are needed, the last of four says too little."""

    def lines_for(made_for: int, threshold: int) -> IntegerNetwork:
        lined = lines_of(counting(threshold=made_for))
        own = np.where(np.arange(lined.n_neurons) < 3, threshold, 1)
        return replace(lined, neuron={**lined.neuron, "threshold": own})

    prove_thermometer(check(counting(threshold=4), TRUENORTH), lines_for(5, threshold=4))
    with pytest.raises(MismatchError, match="its lines show 4 where a part of its sum is 5, and that may matter"):
        prove_thermometer(check(counting(threshold=5), TRUENORTH), lines_for(4, threshold=5))


def test_proof_of_chips() -> None:
    net = counting()
    chip, flat = compile_network(net, fan_in="thermometer"), check(net, TRUENORTH)
    prove_chip(flat, chip)
    for wrong in (
        replace(chip, latency=chip.latency + 1),
        replace(chip, timing=chip.timing + 1),
        replace(chip, timing=chip.timing[:-1]),
        replace(chip, dilation=2),
        replace(chip, populations=chip.populations[:1]),
        replace(chip, network_digest="0" * 64),
    ):
        with pytest.raises(MismatchError):
            prove_chip(flat, wrong)
    with pytest.raises(
        MismatchError, match=r"^the chip has populations that the network does not need: 'hidden.lines' \(12\)$"
    ):
        prove_chip(check(counting(200), TRUENORTH), chip)
    linear = check(counting(reset_mode="linear"), TRUENORTH)
    with pytest.raises(
        MismatchError, match=r"these spike_rates: 'hidden.lines' \(12\); E-THERM.*; 'hidden.carry' \(\d+\) would"
    ):
        prove_chip(linear, chip)

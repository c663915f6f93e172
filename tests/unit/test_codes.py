"""Every code of an error or warning of the compiler: something that raises it, and the whole sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurocore.compiler
from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiler import fit
from neurocore.compiler.check import SCALE
from neurocore.compiler.defects import Defects
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.place import CoreTraffic, place
from neurocore.errors import FitError
from random_networks import larger

Trigger = Callable[[], list[str]]


def layers(n_in: int, n_out: int, weights: object = None, *, stochastic: bool = False, **neuron: object) -> Network:
    """An input 'x' that feeds a population 'p' by a matrix, of ones if none is given."""
    net = Network("net")
    source, target = net.input("x", n_in), net.population("p", n_out, **neuron)
    net.connect(source, target, np.ones((n_in, n_out), int) if weights is None else weights, stochastic=stochastic)
    return net


def full_cores(n: int) -> Network:
    """Populations that each fill a core of tiny with nine axons, one after another."""
    net = Network("full")
    previous: object = net.input("x", 9)
    for number in range(n):
        here = net.population(f"c{number}", 9)
        net.connect(previous, here, one_to_one=1)
        previous = here
    return net


def short_of_axons() -> Defects:
    """Five dead axons in each of eight cores of tiny."""
    return Defects(axons=np.array([[x, y, axon] for x in range(4) for y in range(2) for axon in range(5)]))


def refused(net: Network, chip: str | Architecture = "tiny", **options: Any) -> list[str]:
    with pytest.raises(FitError) as error:
        compile_network(net, chip, **options)
    return list(error.value.problems)


def warned(net: Network, chip: str | Architecture = "tiny", **options: Any) -> list[str]:
    return compile_with_report(net, chip, **options)[1].warnings


def dilating(net: Network) -> Network:
    """The network, asking for the time that its fan-in takes."""
    net.fan_in = "dilate"
    return net


def with_late_loop() -> Network:
    net = layers(300, 2)
    net.connect("p", "p", [[0, 1], [0, 0]], delay=1000)
    return net


def wide_loop() -> Network:
    net = layers(300, 2)
    net.connect("p", "p", [[0, 1], [0, 0]])
    net.connect("p", "p", [[0, 0], [1, 0]])
    return net


def plain(**rules: bool) -> Architecture:
    """Tiny without some of its rules."""
    tiny = load_architecture("tiny")
    return tiny.model_copy(update={"rules": tiny.rules.model_copy(update=rules)})


def slow_delays() -> Architecture:
    tiny = load_architecture("tiny")
    return tiny.model_copy(update={"routing": tiny.routing.model_copy(update={"delay": Range(min=2, max=7)})})


def without_modes() -> Architecture:
    tiny = load_architecture("tiny")
    return tiny.model_copy(update={"neuron": tiny.neuron.model_copy(update={"reset_modes": ("value", "linear")})})


def low_thresholds() -> Architecture:
    """Tiny with thresholds that are soon exceeded."""
    tiny = load_architecture("tiny")
    return tiny.model_copy(update={"neuron": tiny.neuron.model_copy(update={"threshold": Range(min=0, max=3)})})


def tight_loop() -> Network:
    """Random neurons cannot be copied; each must reach two cores, and its way back has one tick."""
    net = Network("loop")
    a, b = net.population("a", 8, threshold_mask_bits=2), net.population("b", 11)
    net.connect(a, a, np.ones((8, 8), int))
    net.connect(a, b, np.ones((8, 11), int))
    return net


def no_repairs() -> list[str]:
    """The compiler gives up on a network's cycles at once, instead of after many ways to divide it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "MAX_REPAIRS", 0)
        return refused(layers(1, 1))


def late_noise() -> Network:
    net = Network("late")
    source = net.population("source", 4, threshold_mask_bits=1)
    for number in range(2):
        target = net.population(f"t{number}", 11, threshold=5, leak=2, leak_stochastic=True)
        net.connect(source, target, np.ones((4, 11), int))
    return net


def star() -> Network:
    """Sources on all cores of a long row drive one neuron."""
    net = Network("star")
    hub = net.population("hub", 1, threshold=3)
    for number in range(12):
        leaf = net.population(f"leaf{number}", 11, threshold=2, leak=1)
        net.connect(leaf, hub, edges=[(0, 0, 1)])
    return net


def long_row() -> Architecture:
    wide = larger(load_architecture("tiny"), 15, 1)
    return wide.model_copy(update={"routing": load_architecture("tiny").routing})


def all_dead() -> list[str]:
    none = np.zeros(0, int)
    with pytest.raises(FitError) as error:
        place(CoreTraffic(3, none, none, np.zeros(0)), (5, 3), blocked=np.ones((3, 5), bool))
    return list(error.value.problems)


def huge() -> list[str]:
    net = Network("huge")
    net.connect(net.input("x", 200), net.population("p", 50_000_000), all_to_all=1)
    return estimate_network(net).warnings


def many_weights() -> Network:
    """Two hundred signals of six weights, which need codes of several axons."""
    return layers(200, 3, np.random.default_rng(1).integers(1, 7, (200, 3)))


def declared() -> Network:
    net = layers(1, 1)
    net.declared.append("resets of 'p' are to zero instead of by the threshold")
    return net


CASES: list[tuple[str, Trigger, str]] = [
    (
        "E-FANIN",
        lambda: refused(layers(300, 2), "truenorth"),
        r"population 'p' <- 'x': p\[0\] reads 300 signals \(source and delay\), each of which needs an axon; a core of"
        r" 'truenorth' has 256 \(44 over; 2 of 2 neurons are\)\. Limit receptive fields to 256 signals, for instance 2 groups of"
        r" 150; or use merge=\"or\", which gives the same spikes here, as each of its weights reaches the threshold by itself; or"
        r' use fan_in="thermometer": exact, with 2 more neurons, which take 1 tick; or use fan_in="dilate": exact, 1 tick becomes'
        r' 152; or use fan_in="carry": approximate, with \d+ more neurons',
    ),
    (
        "E-FANIN",
        lambda: refused(many_weights(), "truenorth"),
        r"population 'p' <- 'x': p\[\d\] reads 200 signals with 6 different weights, for which the best code found takes \d+"
        r" axons; a core of 'truenorth' has 256 \(\d+ over\)\. Limit receptive fields to 85 signals, for instance 3 groups of 67"
        r" \(with weights such as its own, neurons that share a core need 3 axons a signal\); or use at most 4 different"
        r' weights a neuron, of which one reads up to 256; or use fan_in="thermometer": exact, with \d+ more neurons, which take'
        r' 1 tick; or use fan_in="dilate": exact, 1 tick becomes 269; or use fan_in="carry": approximate, with \d+ more neurons',
    ),
    (
        "E-FANIN",
        lambda: refused(layers(14, 2, np.full((14, 2), 0.5)), quantise="fit"),
        r"population 'p': p\[0\] reads 14 signals \(source and delay\), each of which needs an axon; a core of 'tiny' has 13"
        r" \(1 over; 2 of 2 neurons are\)\. Limit receptive fields, split 'p' into groups, or use"
        r' quantise="weight_bits=B" or quantise="levels=N", whose weights fan_in="dilate" can gather',
    ),
    (
        "E-DILATE",
        lambda: refused(dilating(layers(300, 2, threshold_mask_bits=1)), "truenorth"),
        r"population 'p': p\[0\] draws random numbers, and would draw them in every tick of the chip; use plain weights and"
        r" parameters",
    ),
    (
        "E-DILATE",
        lambda: refused(dilating(layers(30, 2, np.full((30, 2), 29)))),
        r"population 'p': p\[0\] has the floor 241; to gather its input needs 1740 more, and 'tiny' has 0\.\.241\. Use smaller"
        r" weights or receptive fields",
    ),
    (
        "E-DILATE",
        lambda: refused(dilating(with_late_loop()), "truenorth"),
        r"network 'net': with 153 ticks of the chip to one of the network a delay becomes 152848 ticks; delays lie in 1\.\.65535"
        r" \(87313 over\)\. Use shorter delays",
    ),
    (
        "E-DILATE",
        lambda: refused(
            dilating(layers(20_000, 1, np.random.default_rng(1).choice([-1, 1], (20_000, 1)))), "truenorth"
        ),
        r"population 'p' does not fit even if dilated: E-FANIN population 'p' <- 'p\.partial', 'p\.clock': p\[0\] reads \d+"
        r" signals \(source and delay\), each of which needs an axon; a core of 'truenorth' has 256 \(\d+ over; 1 of 1 neurons"
        r" are\)\. Limit receptive fields .*",
    ),
    (
        "E-THERMOMETER",
        lambda: refused(layers(300, 2, threshold=9, reset_mode="linear"), "truenorth", fan_in="thermometer"),
        r"population 'p': p\[0\] needs 300 lines for the 300 signals that it reads, one for every sum that they may have, as with"
        r" reset_mode linear each leaves it another membrane; a core of 'truenorth' has 256 axons \(44 over\)\. Use smaller"
        r' receptive fields or weights, or reset_mode value; or use fan_in="dilate": exact, until a membrane nears its clamp, 1'
        r' tick becomes 152; or use fan_in="carry": approximate, with \d+ more neurons',
    ),
    (
        "E-THERMOMETER",
        lambda: refused(layers(300, 2, threshold=280), "truenorth", fan_in="thermometer"),
        r"population 'p': p\[0\] needs 300 lines for .*\. Use smaller receptive fields or weights, or a lower threshold;.*",
    ),
    (
        "E-THERMOMETER",
        lambda: refused(
            layers(900, 2, np.where(np.arange(1800).reshape(900, 2) % 3, -1, 1), floor=300),
            "truenorth",
            fan_in="thermometer",
        ),
        r"population 'p': p\[0\] needs \d+ lines for .*\. Use smaller receptive fields or weights, or a smaller floor;.*",
    ),
    (
        "E-THERMOMETER",
        lambda: refused(layers(300, 2, stochastic=True), "truenorth", fan_in="thermometer"),
        r"population 'p': p\[0\] reads stochastic weights, for which each of its lines would draw other numbers\. Use plain"
        r" weights; fan_in=\"dilate\" is no way out: population 'p': p\[0\] draws random numbers, and would draw them in every"
        r" tick of the chip; use plain weights and parameters",
    ),
    (
        "E-THERMOMETER",
        lambda: refused(layers(14, 1, [[17], [19]] * 7, threshold=36), fan_in="thermometer"),
        r"population 'p': p\[0\] needs a line for sums above 34, whose leak takes that much away; 'tiny' has leaks -17\.\.17 \(17"
        r' over\)\. Use smaller receptive fields or weights, or a lower threshold; fan_in="dilate" is no way out: .*',
    ),
    (
        "E-CARRY",
        lambda: refused(layers(300, 2, stochastic=True), "truenorth", fan_in="carry"),
        r"population 'p': p\[0\] reads stochastic weights, for which each of its lines would draw other numbers\. Use plain"
        r" weights; fan_in=\"dilate\" is no way out: .*",
    ),
    (
        "E-CARRY",
        lambda: refused(layers(200, 1, np.arange(1, 201)[:, None]), fan_in="carry"),
        r"population 'p': p\[0\] has \d+ sums of parts to read; with their weights a core of 'tiny' has axons for 13 \(\d+"
        r" over\)\. Use smaller receptive fields or weights; fan_in=\"dilate\" is no way out: .*",
    ),
    (
        "E-CARRY",
        lambda: refused(
            layers(14, 1, np.full((14, 1), 1) + 6 * np.eye(14, 1, dtype=int)), low_thresholds(), fan_in="carry"
        ),
        r"population 'p': p\[0\] must be told sums up to \d+ in a tick, which is the threshold of their lines; 'tiny' has"
        r" thresholds 0\.\.3 \(\d+ over\)\. Use smaller weights; .*",
    ),
    (
        "E-LEVELS",
        lambda: refused(layers(5, 1, np.array([[20000], [3], [7], [11], [13]]))),
        r"population 'p': p\[0\] has 5 different weights up to 20000; a core of 'tiny' has 3 axon types of -29\.\.29 \(2 over\)"
        r" and 13 axons, on which no exact code for them was found\. Use fewer or smaller weights",
    ),
    (
        "E-QUANT",
        lambda: refused(layers(2, 2, [[0.5, 1.5], [1.25, 1]], threshold=[1.0, 0.0001]), quantise="weight_bits=4"),
        r"population 'p': 1 of 2 neurons have a threshold so small against their largest weight that it becomes 0 where the"
        r" weight is 29, the largest of 'tiny'; raise the threshold or clip the weights",
    ),
    (
        "E-RANDOM",
        lambda: refused(layers(2, 3, stochastic=True), plain(stochastic_weights=False)),
        r"network 'net': 6 of 6 synapses have stochastic weights; 'tiny' has none\. Make them plain, or use a chip that has them",
    ),
    (
        "E-RANDOM",
        lambda: refused(layers(1, 3, leak_reversal=[True, False, True]), plain(leak_reversal=False)),
        r"population 'p': leak_reversal is set in 2 of 3 neurons; 'tiny' does not have leak reversal\. Leave it at 0, or use a"
        r" chip that has it",
    ),
    (
        "E-RANGE",
        lambda: refused(layers(1, 2, threshold=[252, 5000])),
        r"population 'p': threshold\[0\] is 252; 'tiny' has 0\.\.251 \(1 over; 1 more neuron likewise\)\. "
        + re.escape(SCALE),
    ),
    (
        "E-RANGE",
        lambda: refused(layers(1, 1, floor=300)),
        r"population 'p': floor\[0\] is 300; 'tiny' has 0\.\.241 \(59 over\)\. Leave it out for the lowest floor that the chip"
        r" has",
    ),
    (
        "E-RANGE",
        lambda: refused(layers(1, 1, threshold_mask_bits=-1)),
        r"population 'p': threshold_mask_bits\[0\] is -1; 'tiny' has 0\.\.7 \(1 under\)\. Use fewer random bits",
    ),
    (
        "E-RANGE",
        lambda: refused(layers(1, 1, reset_mode="none"), without_modes()),
        r"population 'p': reset_mode is 'none'; 'tiny' has value, linear\. Use one of these, or a chip that has it",
    ),
    (
        "E-WEIGHT",
        lambda: refused(layers(1, 3, [[-31, 29, 40]], stochastic=True)),
        r"network 'net': a stochastic weight is -31; 'tiny' has -29\.\.29 \(2 over; 1 more likewise\) and a stochastic weight"
        r" cannot be a sum of others\. Use a smaller one, or several sources",
    ),
    (
        "E-START",
        lambda: refused(late_noise())[:1],
        r"population 't0': t0\[0\] must start 1 tick late because relays feed it, but with leak 2, threshold 5 and initial 0 it"
        r" does not stay as it is until then \(11 such neurons\)\. Give its sources fewer targets or a longer delay to them, so"
        r" that no relay is needed",
    ),
    (
        "E-CYCLE",
        lambda: refused(tight_loop()),
        r"'a' -> 'a' has 1 tick less delay than its relays need: neurons on it must reach more axons than their cores have room"
        r" for copies\. 'a' draws random numbers, so it cannot be copied\. Raise the delay 'a' -> 'a' by 1, with which all"
        r" cycles have time, or give its neurons fewer targets",
    ),
    (
        "E-CYCLE",
        lambda: refused(wide_loop(), "truenorth", fan_in="thermometer"),
        r"'p' -> 'p' has 1 tick less delay than its neurons need: lines of a thermometer code take a tick of their"
        r" own\. Raise the delay 'p' -> 'p' by 1, with which all cycles have time; or use fan_in=.dilate.: exact, 1 tick becomes"
        r" 153",
    ),
    (
        "E-CYCLE",
        no_repairs,
        r"network 'net': its cycles leave no time for the relays that its fan-out needs, in none of 0 ways to divide it\. Raise"
        r" delays on its cycles, or give its neurons fewer targets",
    ),
    (
        "E-CAP",
        lambda: refused(layers(1, 166, np.zeros((1, 166), int))),
        r"network 'net' needs 16 cores; 'tiny' has 15 \(1 over\)\. Largest: 'p', 16 cores \(neuron-limited, 6 % of neurons"
        r" unused\)\. Use fewer neurons, smaller receptive fields or a larger chip",
    ),
    (
        "E-CAP",
        all_dead,
        r"the graph needs 3 cores; the mesh of 5 x 3 has 0 free \(3 over\)\. Use more chips, or a smaller network\.",
    ),
    (
        "E-REACH",
        lambda: refused(star(), long_row()),
        r"core \(\d+, 0\) cannot send to core \(\d+, 0\): a packet of 'tiny' travels -4\.\.4 cores in x and -2\.\.2 in y, and no"
        r" core with a neuron and an axon to spare lies so that it could relay\. Use fewer cores, or give the two places nearer"
        r" to each other \(placement=\"FILE\"\)",
    ),
    (
        "E-DEFECT",
        lambda: refused(full_cores(15), defects=short_of_axons()),
        r"network 'full' needs 15 cores; of the 15 that work, 8 have dead axons or no way for inputs and outputs, and 8 too many"
        r" of the network's cores cannot do with that \(40 dead axons\)\. Use fewer or smaller cores",
    ),
    (
        "E-DELAY",
        lambda: refused(layers(1, 1), slow_delays()),
        r"'tiny' has delays of at least 2 ticks; the compiler needs a shortest delay of 1 \(1 over\)\. Use another chip",
    ),
    (
        "W-CAP",
        huge,
        r"network 'huge': about 195,313 cores are needed; 'truenorth' has 4,096 \(191,217 over\)\. Largest: 'p', 195,313 cores"
        r" \(neuron-limited, 0 % of neurons unused\)\. Use fewer neurons, smaller receptive fields or a larger chip",
    ),
    (
        "W-DILATED",
        lambda: warned(dilating(layers(300, 2)), "truenorth"),
        r"a tick of the network takes 152 ticks of the chip",
    ),
    (
        "W-HORIZON",
        lambda: warned(dilating(layers(300, 2, threshold=9, reset_mode="linear")), "truenorth")[1:],
        r"exact for 1,350 ticks of the network whatever the input, then as long as no membrane has risen higher than it could"
        r" until then",
    ),
    (
        "W-CARRY",
        lambda: warned(layers(300, 2, reset_mode="linear"), "truenorth", fan_in="carry"),
        r"\d+ lines with carry tell 2 neurons the sums of what they read: in 300 ticks of random input at the network's rates"
        r" \(seed 0\) 0\.00% of their ticks differ and their spike counts by 0\.00% of 598 spikes; at the outputs 0\.00% and"
        r" 0\.00%",
    ),
    ("W-APPROXIMATE", lambda: warned(declared()), r"resets of 'p' are to zero instead of by the threshold"),
    (
        "W-QUANTISED",
        lambda: warned(layers(2, 1, [[0.5], [1.7]]), quantise="weight_bits=3"),
        r"quantisation \(weight_bits=3\) declared: p: weights [\d.]+%, largest [\d.]+% of a threshold, parameters [\d.]+%"
        r" \(threshold [\d.]+%\)",
    ),
    (
        "W-UNUSED",
        lambda: warned(layers(3, 1, [[1], [0], [0]])),
        r"network 'net': 2 of 3 input lines reach no neuron, the first is x\[1\]; spikes on them do nothing\. Give them weights"
        r" other than 0, or leave them out",
    ),
    (
        "W-EMPTY",
        lambda: warned(layers(2, 2, [[0, 0], [0, 0]]))[1:],
        r"network 'net': it has no synapse, because no projection has a weight other than 0; its neurons only do what they do by"
        r" themselves",
    ),
    (
        "W-DEFECTS",
        lambda: warned(layers(1, 1), defects=Defects(cores=np.array([[2, 1]]), links=np.array([[1, 0, 0], [1, 2, 0]]))),
        r"1 dead core, 2 dead links: avoided",
    ),
]


@pytest.mark.parametrize(
    ("code", "trigger", "sentence"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
def test_the_sentence_of_every_code(code: str, trigger: Trigger, sentence: str) -> None:
    (problem,) = trigger()
    assert re.fullmatch(f"{code} {sentence}", problem), problem


def test_no_code_is_left_out() -> None:
    folder = Path(neurocore.compiler.__file__).parent
    found = {code for file in folder.glob("*.py") for code in re.findall(r"\b([EW]-[A-Z]+) ", file.read_text())}
    assert found == {code for code, _, _ in CASES}


def test_every_code_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "network-yaml.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`([EW]-[A-Z]+)`", text)) == {code for code, _, _ in CASES}

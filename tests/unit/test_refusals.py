"""What the compiler refuses, sentence by sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from neurocore.architecture import Architecture, Range
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.errors import FitError, InputError


def two_layers(n_in: int, n_out: int, weights: object = None, **neuron: object) -> Network:
    net = Network("net")
    source, target = net.input("image", n_in), net.population("hidden", n_out, **neuron)
    net.connect(source, target, np.ones((n_in, n_out), np.int64) if weights is None else weights)
    return net


def refusal(net: Network, chip: str = "truenorth") -> str:
    with pytest.raises(FitError) as error:
        compile_network(net, chip)
    return str(error.value)


def test_too_many_signals() -> None:
    assert refusal(two_layers(300, 2)) == (
        "E-FANIN population 'hidden' <- 'image': hidden[0] reads 300 signals (source and delay), each of which needs an axon; a"
        " core of 'truenorth' has 256 (44 over; 2 of 2 neurons are). Limit receptive fields to 256 signals, for instance 2 groups"
        ' of 150; or use merge="or", which gives the same spikes here, as each of its weights reaches the threshold by itself; or'
        ' use fan_in="thermometer": exact, with 2 more neurons, which take 1 tick; or use fan_in="dilate": exact, 1 tick becomes'
        ' 152; or use fan_in="carry": approximate, with 38 more neurons'
    )


def test_advice_says_what_dilation_would_do() -> None:
    """Of a linear reset, that it is exact up to the clamp; of what cannot be dilated, why. Lines only count to a threshold."""
    linear = two_layers(300, 2, threshold=9, reset_mode="linear")
    assert refusal(linear).endswith(
        '; or use fan_in="dilate": exact, until a membrane nears its clamp, 1 tick becomes 152; or'
        ' use fan_in="carry": approximate, with 38 more neurons'
    )
    random = two_layers(300, 2, threshold_mask_bits=1, threshold=9)
    assert refusal(random).endswith(
        ' 2 groups of 150; or use fan_in="thermometer": exact, with 20 more neurons, which take 1 tick;'
        " fan_in=\"dilate\" is no way out: population 'hidden': hidden[0] draws random numbers, and would draw"
        ' them in every tick of the chip; use plain weights and parameters; or use fan_in="carry": approximate, with 38 more'
        " neurons"
    )


def test_too_many_axons_for_the_weights() -> None:
    weights = np.random.default_rng(1).integers(1, 7, (200, 3))
    assert re.match(
        r"E-FANIN population 'hidden' <- 'image': hidden\[\d\] reads 200 signals with \d different weights, for"
        r" which the best code found takes \d+ axons;"
        r" a core of 'truenorth' has 256 \(\d+ over\)",
        refusal(two_layers(200, 3, weights)),
    )


def test_no_exact_code() -> None:
    weights = np.array([[20000], [3], [7], [11], [13]])
    assert refusal(two_layers(5, 1, weights), "tiny") == (
        "E-LEVELS population 'hidden': hidden[0] has 5 different weights up to 20000; a core of 'tiny' has 3 axon types of"
        " -29..29 (2 over) and 13 axons, on which no exact code for them was found. Use fewer or smaller weights"
    )
    assert refusal(two_layers(1, 1, [[20000]]), "tiny") == (
        "E-LEVELS population 'hidden': hidden[0] has 1 different weights up to 20000; a core of 'tiny' has 3 axon types of"
        " -29..29 (19971 over) and 13 axons, on which no exact code for them was found. Use fewer or smaller weights"
    )


def test_random_weights_of_too_many_values() -> None:
    """A stochastic weight and a plain one of the same value need two axon types."""
    net = two_layers(3, 1, [[1], [2], [3]])
    net.connect("image", "hidden", [[1], [2], [3]], delay=2, stochastic=True)
    assert refusal(net, "tiny") == (
        "E-LEVELS population 'hidden': hidden[0] has 6 different weights up to 3, 3 of them stochastic, which no sum of others"
        " replaces; a core of 'tiny' has 3 axon types of -29..29 (3 over) and 13 axons, on which no exact code for them was"
        " found. Use fewer or smaller weights"
    )


def test_cycle_without_time_for_relays() -> None:
    """Random neurons cannot be copied; each must reach two cores, and its way back has one tick."""
    net = Network("loop")
    a = net.population("a", 8, threshold_mask_bits=2)
    b = net.population("b", 11)
    net.connect(a, a, np.ones((8, 8), np.int64))
    net.connect(a, b, np.ones((8, 11), np.int64))
    assert refusal(net, "tiny") == (
        "E-CYCLE 'a' -> 'a' has 1 tick less delay than its relays need: neurons on it must reach more axons than their cores"
        " have room for copies. 'a' draws random numbers, so it cannot be copied."
        " Raise the delay 'a' -> 'a' by 1, with which all cycles have time, or give its neurons fewer targets"
    )


def test_what_is_wrong_even_with_more_delay_is_said_at_once() -> None:
    """Neurons that drive themselves and, through the relays of the loop, others that cannot wait for them."""
    net = Network("loop")
    a = net.population("a", 8, threshold_mask_bits=2)
    late = net.population("late", 11, threshold=5, leak=2, leak_stochastic=True)
    net.connect(a, a, np.ones((8, 8), np.int64))
    net.connect(a, late, np.ones((8, 11), np.int64))
    asked = (
        "Raise the delay 'a' -> 'a' by 1, with which all cycles have time, or give its neurons fewer targets; with more"
    )
    assert f"{asked} delay, E-START population 'late': late[0] must start 1 tick late" in refusal(net, "tiny")
    net.projections[0] = replace(net.projections[0], delay=2)
    assert refusal(net, "tiny").startswith("E-START population 'late': late[0] must start 1 tick late")


def test_tonic_neuron_that_must_start_late() -> None:
    net = Network("late")
    source = net.population("source", 4, threshold_mask_bits=1)
    targets = [net.population(f"t{k}", 11, threshold=5, leak=2, leak_stochastic=True) for k in range(2)]
    for target in targets:
        net.connect(source, target, np.ones((4, 11), np.int64))
    message = refusal(net, "tiny")
    assert "E-START population 't0': t0[0] must start 1 tick late because relays feed it" in message
    assert "E-START population 't1'" in message


def test_network_without_populations() -> None:
    with pytest.raises(InputError, match="network 'empty' has no populations"):
        compile_network(Network("empty"))


def test_names_must_differ() -> None:
    net = Network("net")
    net.input("x", 1)
    with pytest.raises(InputError, match="network 'net': the name 'x' is given twice"):
        net.population("x", 1)


def test_python_mistakes() -> None:
    net = Network("net")
    x, p = net.input("x", 2), net.population("p", 2)
    with pytest.raises(InputError, match="tresholt is no neuron parameter; there are threshold,"):
        net.population("q", 1, tresholt=3)
    with pytest.raises(InputError, match="'q' has shape \\[0\\]; every size must be a whole number of at least 1"):
        net.population("q", 0)
    with pytest.raises(InputError, match="give exactly one of weights, one_to_one"):
        net.connect(x, p)
    net.connect(x, p, [[1, 2]])
    net.connect(x, p, all_to_all=1, delay=0)
    net.connect(x, p, edges={"source": [0, 5], "target": [0, 0], "weight": [1, 1]})
    net.connect(p, x, all_to_all=1)
    net.connect("nobody", p, all_to_all=1)
    net.connect(x, p, [[1, 2], [3]])
    with pytest.raises(InputError) as error:
        compile_network(net)
    assert list(error.value.problems) == [
        "projection 'p' <- 'x': weights have shape (1, 2); [n_source, n_target] is (2, 2)",
        "projection 'p' <- 'x': delay is 0; delays lie in 1..65535 ticks",
        "projection 'p' <- 'x': edges: source 5 is outside 0..1",
        "projection 'x' <- 'p': the target must be a population, not an input",
        "projection 'p' <- 'nobody': 'nobody' is neither an input nor a population",
        "projection 'p' <- 'x': weights is ragged; rows must be equally long",
    ]


def test_random_weights_do_not_add_up() -> None:
    net = two_layers(1, 1)
    net.connect("image", "hidden", [[3]], stochastic=True)
    with pytest.raises(
        InputError, match=r"hidden\[0\] gets a stochastic weight and another one from the same source at delay 1"
    ):
        compile_network(net)


def test_a_neuron_without_a_code_is_named_even_if_others_read_more() -> None:
    net = Network("lv")
    source, p = net.input("i", 200), net.population("p", 100)
    weights = np.zeros((200, 100), np.int64)
    weights[:, :70] = 1
    weights[:100, 80] = np.arange(1, 101)
    net.connect(source, p, weights)
    assert re.match(r"E-(LEVELS|FANIN) population 'p' <- 'i': p\[80\] ", refusal(net))


def test_weights_that_add_up_beyond_32_bits() -> None:
    net = two_layers(1, 1, [[2**31 - 1]])
    net.connect("image", "hidden", [[1]])
    with pytest.raises(InputError, match=r"hidden\[0\]: weights from one source at delay 1 add up to 2147483648"):
        compile_network(net)
    with pytest.raises(InputError, match=r"a weight is 4611686018427387904; weights lie in -2147483647\.\.2147483647"):
        compile_network(two_layers(1, 1, [[2**62]]))


def test_chip_whose_delays_begin_later(tiny: Architecture) -> None:
    routing = tiny.routing.model_copy(update={"delay": Range(min=2, max=7)})
    with pytest.raises(FitError, match="E-DELAY 'tiny' has delays of at least 2 ticks"):
        compile_network(two_layers(1, 1), tiny.model_copy(update={"routing": routing}))


def test_shapes_beyond_reason() -> None:
    with pytest.raises(InputError, match=r"'p' has shape \[4294967296, 4294967296\]; at most 100,000,000"):
        Network("net").population("p", (2**32, 2**32))

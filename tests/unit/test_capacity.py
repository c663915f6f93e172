"""The sentence about too few cores: its shares are those that a larger chip's report shows, counted there from the chip."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neurocore.architecture import Architecture
from neurocore.compiler import capacity
from neurocore.compiler.capacity import Share, largest
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.errors import FitError
from random_networks import larger, network_of


def refusal(net: Network, arch: Architecture, **options: object) -> str:
    with pytest.raises(FitError) as caught:
        compile_network(net, arch, **options)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("kind", "seed"),
    [("mixed", 0), ("feed_forward", 10), ("delay_lines", 10), ("wide", 1), ("components", 0), ("merging", 4)],
)
def test_shares_are_those_of_the_report(tiny: Architecture, kind: str, seed: int) -> None:
    net = network_of(kind, tiny, seed)
    _, report = compile_with_report(net, larger(tiny, 30, 30))
    assert report.use is not None
    problem = refusal(net, larger(tiny, 1, report.cores - 1))
    head, rest = problem.split(" Largest: ")
    assert head.startswith(f"E-CAP network {net.name!r} needs {report.cores} cores; ")
    assert head.endswith(f" has {report.cores - 1} (1 over).")
    found = re.findall(r"'(\w+)', (\d+) cores? \((?:axon|neuron|fan-out)-limited, (\d+) % of neurons unused\)", rest)
    most = sorted(report.use.populations, key=lambda item: -item.cores)[:3]
    assert found == [(item.name, str(item.cores), f"{100 * (1 - item.neuron_fill):.0f}") for item in most]
    more = len(report.use.populations) - 3
    assert (f"; {more} more population" in rest) == (more > 0)
    alone = re.search(r"; relays alone, (\d+)", rest)
    assert int(alone[1] if alone else 0) == report.use.relay_cores


def test_what_limits(tiny: Architecture) -> None:
    """Cores full of axons; of neurons; of the copies of a few neurons that many cores read."""
    net = Network("limits")
    lines = net.input("in", 13 * 8)
    axons = net.population("axons", 8)
    net.connect(lines, axons, np.kron(np.eye(8, dtype=int), np.ones((13, 1), int)))
    net.population("neurons", 44)
    few = net.population("few", 2)
    net.connect("in", few, edges=[(k, k, 1) for k in range(2)])
    for number in range(5):
        net.connect(few, net.population(f"p{number}", 9), all_to_all=1)
    assert refusal(net, tiny) == (
        "E-CAP network 'limits' needs 17 cores; 'tiny' has 15 (2 over). Largest: 'axons', 8 cores (axon-limited, 80 % of neurons"
        " unused); 'neurons', 4 cores (neuron-limited, 0 % of neurons unused); 'few', 1 core (fan-out-limited, 0 % of neurons"
        " unused); 5 more populations. Use fewer neurons, smaller receptive fields or a larger chip"
    )


def test_large_networks_are_refused_as_soon_as_it_is_clear(tiny: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their neurons before any core is cut, by their cores before spikes are routed."""
    net = Network("vast")
    lines = net.input("in", 13 * 16)
    axons = net.population("axons", 16)
    net.connect(lines, axons, np.kron(np.eye(16, dtype=int), np.ones((13, 1), int)))
    exact = refusal(net, tiny)
    monkeypatch.setattr(capacity, "MOST_COUNTED", 16)
    assert refusal(net, tiny) == exact.replace("16 cores; 'tiny'", "at least 16 cores beside those of relays; 'tiny'")
    net.population("neurons", 151)
    assert refusal(net, tiny) == (
        "E-CAP network 'vast' needs at least 16 cores for 167 neurons; 'tiny' has 15 (1 over). Largest: 'neurons', 14 cores"
        " (neuron-limited, 2 % of neurons unused); 'axons', 2 cores (neuron-limited, 27 % of neurons unused). Use fewer neurons,"
        " smaller receptive fields or a larger chip"
    )


def test_an_estimate_names_the_largest(tiny: Architecture) -> None:
    net = Network("huge")
    lines = net.input("in", 1000)
    for name, size in (("a", 3000), ("b", 2000), ("c", 1000), ("d", 500)):
        wide = net.population(name, size)
        edges = np.arange(size * 7)
        net.connect(lines, wide, edges={"source": edges % 1000, "target": edges // 7, "weight": np.ones(size * 7, int)})
    net.connect("a", "b", all_to_all=0)
    report = estimate_network(net, tiny)
    assert report.basis == "shapes"
    assert report.warnings == [
        "W-CAP network 'huge': about 6,500 cores are needed; 'tiny' has 15 (6,485 over). Largest: 'a', 3,000 cores (axon-limited,"
        " 91 % of neurons unused); 'b', 2,000 cores (axon-limited, 91 % of neurons unused); 'c', 1,000 cores (axon-limited, 91 %"
        " of neurons unused); 1 more population. Use fewer neurons, smaller receptive fields or a larger chip"
    ]


def test_shares_are_listed_by_cores() -> None:
    shares = [Share("a", 1, "neuron", 0.5), Share("b", 1200, "axon", 0.614), Share("c", 7, "fan-out", 0)]
    listed = (
        "'b', 1,200 cores (axon-limited, 61 % of neurons unused); 'c', 7 cores (fan-out-limited, 0 % of neurons unused); 'a', 1"
        " core (neuron-limited, 50 % of neurons unused)"
    )
    assert largest(shares) == listed
    assert largest([*shares, Share("d", 1, "axon", 0)]) == f"{listed}; 1 more population"

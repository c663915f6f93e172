"""Compiles generated networks of growing size, each in a process of its own: seconds by stage, peak memory, cores.

    python tools/bench_compile.py                      every case
    python tools/bench_compile.py plane smallworld     some of them
    python tools/bench_compile.py full --estimate      what it would need, from shapes alone

``least`` is what neurons, and sources at an axon each, need at least.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from neurocore.compiler.network import Network


def full() -> Network:
    """A full chip: 4,096 groups of 256 neurons, each fed by one other group at density 0.5; 134 million synapses."""
    return blocks(4096, 256)


def full_edges() -> Network:
    """The same in one population, as an edge list."""
    return one_population(4096)


def full_deep() -> Network:
    """Sixteen layers of 256 groups, each reading the layer before."""
    return blocks(4096, 256, layers=16)


def ten_million() -> Network:
    """10.5 million synapses: 320 groups of 256 neurons."""
    return blocks(320, 256)


def ten_million_edges() -> Network:
    """The same in one population, as an edge list."""
    return one_population(320)


def ten_million_scattered() -> Network:
    """The same, with neurons and sources numbered at random: nothing but the wiring tells the groups."""
    rng = np.random.default_rng(2)
    net = one_population(320)
    for projection in net.projections:
        edges = projection.edges
        if edges is not None:
            edges["source"], edges["target"] = (
                rng.permutation(320 * 256).astype(np.int32)[edges[name]] for name in ("source", "target")
            )
    return net


def blocks(n_groups: int, size: int, layers: int = 1) -> Network:
    """Groups of ``size`` neurons in a shuffled ring, or in layers of groups that each feed one group of the next."""
    rng = np.random.default_rng(1)
    net = Network("blocks")
    groups = [net.population(f"g{number}", size, threshold=40, leak=-1) for number in range(n_groups)]
    per_layer = n_groups // layers
    if layers > 1:
        lines = [net.input(f"in{number}", size) for number in range(per_layer)]
        pairs: list[tuple[Any, Any]] = list(zip(lines, groups, strict=False))
        for layer in range(1, layers):
            chosen = rng.permutation(per_layer)
            pairs += [
                (groups[(layer - 1) * per_layer + int(chosen[k])], groups[layer * per_layer + k])
                for k in range(per_layer)
            ]
    else:
        order = rng.permutation(n_groups)
        pairs = [(groups[order[k - 1]], groups[order[k]]) for k in range(n_groups)]
    for source, target in pairs:
        sign = np.where(rng.random(size) < 0.8, 1, -2).astype(np.int8)
        net.connect(source, target, (rng.random((size, size), np.float32) < 0.5) * sign[:, None])
    return net


def one_population(n_groups: int, size: int = 256) -> Network:
    """A ring of groups in a single population: edges as int32 and int8 arrays."""
    rng = np.random.default_rng(1)
    net = Network("edges")
    n_neurons = n_groups * size
    population = net.population("all", n_neurons, threshold=40, leak=-1)
    order = rng.permutation(n_groups)
    sign = np.where(rng.random(n_neurons) < 0.8, 1, -2).astype(np.int8)
    sources, targets = [], []
    for k in range(n_groups):
        source, target = np.nonzero(rng.random((size, size), np.float32) < 0.5)
        sources.append((source + size * order[k - 1]).astype(np.int32))
        targets.append((target + size * order[k]).astype(np.int32))
    source = np.concatenate(sources)
    del sources
    edges = {"source": source, "target": np.concatenate(targets), "weight": sign[source]}
    net.connect(population, population, edges=edges)
    return net


def plane() -> Network:
    """16,384 neurons of a plane with a fan-in of about 8 from a Gaussian neighbourhood, 1 % of it far, in shuffled order."""
    rng = np.random.default_rng(1)
    side = 128
    n = side * side
    x, y = np.divmod(np.arange(n), side)
    target = np.repeat(np.arange(n), 10)
    dx, dy = (np.rint(rng.normal(0, 1.5, len(target))).astype(np.int64) for _ in range(2))
    far = rng.random(len(target)) < 0.01
    sx = np.where(far, rng.integers(0, side, len(target)), x[target] + dx)
    sy = np.where(far, rng.integers(0, side, len(target)), y[target] + dy)
    keep = (sx >= 0) & (sx < side) & (sy >= 0) & (sy < side) & ((sx != x[target]) | (sy != y[target]))
    return sparse_network("plane", rng, n, (sx * side + sy)[keep], target[keep])


def smallworld() -> Network:
    """16,384 neurons of a Watts-Strogatz ring, 8 neighbours to each side, 2 % of them rewired, in shuffled order."""
    rng = np.random.default_rng(1)
    n = 16_384
    step = np.concatenate([np.arange(-8, 0), np.arange(1, 9)])
    target = np.repeat(np.arange(n), len(step))
    source = (target + np.tile(step, n)) % n
    source = np.where(rng.random(len(source)) < 0.02, rng.integers(0, n, len(source)), source)
    return sparse_network("smallworld", rng, n, source, target)


def sparse_network(name: str, rng: np.random.Generator, n: int, source: Any, target: Any) -> Network:
    """A population with weight 1 on the given edges, neurons renumbered at random."""
    net = Network(name)
    edge = np.unique(source * n + target)
    new = rng.permutation(n)
    population = net.population("all", n, threshold=3)
    edges = {"source": new[edge // n], "target": new[edge % n], "weight": np.ones(len(edge), np.int8)}
    net.connect(population, population, edges=edges)
    return net


def random_edges() -> Network:
    """20,000 neurons with 400,000 random edges, fed forward over two populations."""
    rng = np.random.default_rng(1)
    net = Network("random")
    x, a = net.input("x", 1000), net.population("a", 10_000, threshold=3)
    b = net.population("b", 10_000, threshold=3)
    for source, target, n in ((x, a, 20 * 10_000), (a, b, 20 * 10_000)):
        edges = {
            "source": rng.integers(0, source.size, n),
            "target": np.repeat(np.arange(target.size), n // target.size),
            "weight": rng.choice([1, -1], n),
        }
        net.connect(source, target, edges=edges, delay=2)
    net.output("b", b)
    return net


def convolution() -> Network:
    """Three ternary convolution layers on a 32 by 32 image, in groups."""
    rng = np.random.default_rng(1)
    net = Network("conv")
    shapes = [(8, 32, 32), (32, 16, 16), (64, 16, 16), (64, 8, 8)]
    strides, groups = (2, 1, 2), (1, 4, 8)
    last: Any = net.input("image", shapes[0])
    for number, shape in enumerate(shapes[1:]):
        here = net.population(f"conv{number}", shape, threshold=4, reset_mode="linear")
        kernel = rng.integers(-1, 2, (shape[0], last.shape[0] // groups[number], 3, 3))
        net.connect(
            last,
            here,
            conv2d={"kernel": kernel, "stride": strides[number], "padding": 1, "groups": groups[number]},
            delay=3,
        )
        last = here
    net.output("features", last)
    return net


CASES: dict[str, Callable[[], Network]] = {
    "convolution": convolution,
    "plane": plane,
    "smallworld": smallworld,
    "random_edges": random_edges,
    "ten_million": ten_million,
    "ten_million_edges": ten_million_edges,
    "ten_million_scattered": ten_million_scattered,
    "full": full,
    "full_edges": full_edges,
    "full_deep": full_deep,
}


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, estimate: bool) -> None:
    """Compile one case in this process and print the result as JSON."""
    from neurocore.compiler import pipeline

    begun = time.perf_counter()
    net = CASES[name]()
    built, built_cpu, built_gb = time.perf_counter(), time.process_time(), peak_gb()
    report = pipeline.estimate_network(net) if estimate else pipeline.compile_with_report(net)[1]
    result = report.as_dict()
    result.update(
        case=name,
        build_seconds=round(built - begun, 2),
        build_gb=round(built_gb, 2),
        total_seconds=round(time.perf_counter() - built, 2),
        cpu_seconds=round(time.process_time() - built_cpu, 2),
        peak_gb=round(peak_gb(), 2),
    )
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the whole report of each case")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.child, options.estimate)
        return
    for name in options.cases or CASES:
        command = [sys.executable, __file__, "--child", name, *(["--estimate"] if options.estimate else [])]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if answer.returncode:
            print(f"{name:<18} failed")
            continue
        result = json.loads(answer.stdout.splitlines()[-1])
        if options.json:
            print(json.dumps(result, indent=2))
            continue
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result["seconds"].items())
        least = result["cores_lower_bound"]
        print(
            f"{name:<18} {result['total_seconds']:7.1f} s ({result['cpu_seconds']:.1f} s of processors)"
            f"  {result['peak_gb']:5.2f} GB (network {result['build_gb']:.2f})"
            f"  {result['cores']} cores, least {least}; {result['copies']} copies, {result['relays']} relays,"
            f" latency {result['latency_ticks']}; {stages}",
            flush=True,
        )


if __name__ == "__main__":
    main()

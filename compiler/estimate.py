"""What a network needs of a chip, from its shapes: no synapse is expanded but those of a few sampled neurons.

Populations that look alike (size, and the form, shape and delay of what feeds them) are counted once. Of each kind a run of
neurons is cut as the compiler would cut it; convolutions are counted by geometry, over all tiles. Fan-out follows from the
axons: an axon of a target's core is a target of its source. The answer ignores what only the whole wiring could tell, above all
groups that the compiler finds in populations without structure; it is then an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.capacity import Share
from neurocore.compiler.check import DEFAULT_RATE, check
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.encode import axons_per_signal
from neurocore.compiler.faults import integers_named
from neurocore.compiler.network import Network, Population, Projection
from neurocore.compiler.partition import cut

Array = npt.NDArray[Any]


def sizes(network: Network) -> dict[str, int]:
    """Lines or neurons of every input and population."""
    lines = {name: item.size for name, item in network.inputs.items()}
    return {**lines, **{name: item.size for name, item in network.populations.items()}}


def count_synapses(network: Network) -> int:
    """Synapses by shape alone: entries of matrices, edges, taps of kernels; zeros and repetitions count."""
    size = sizes(network)
    total = 0
    for projection in network.projections:
        n_source, n_target = size.get(projection.source, 0), size.get(projection.target, 0)
        if projection.edges is not None:
            total += len(np.atleast_1d(projection.edges.get("source", ())))
        elif projection.conv2d is not None:
            total += n_target * math.prod(np.shape(projection.conv2d.kernel)[1:])
        else:
            total += n_source if projection.one_to_one is not None else n_source * n_target
    return total


@dataclass(frozen=True)
class Need:
    """What a population needs: cores, as a fraction where a core is not full, and axons in all for each of its projections."""

    cores: float
    axons: tuple[float, ...]
    binds: str


@dataclass(frozen=True)
class Estimate:
    """What a network needs of a chip; ``binds`` says what limits the largest share of cores: neurons, axons or fan-out.

    ``shares`` is what every population takes by itself, without copies and relays.
    """

    cores: int
    neurons: int
    axons: int
    copies: int
    relays: int
    latency: int
    packets_per_tick: float
    cores_lower_bound: int
    binds: str
    shares: tuple[Share, ...]


def estimate(network: Network, arch: Architecture) -> Estimate:
    """Estimate a network that names only what it has. Raises as ``check`` does for what it looks at, FitError likewise."""
    return _Estimator(network, arch).run()


class _Estimator:
    def __init__(self, network: Network, arch: Architecture) -> None:
        self.network, self.arch = network, arch
        self.incoming: dict[str, list[Projection]] = {name: [] for name in network.populations}
        for projection in network.projections:
            self.incoming[projection.target].append(projection)
        self.size = sizes(network)

    def run(self) -> Estimate:
        known: dict[Any, Need] = {}
        needs: dict[str, Need] = {}
        for population in self.network.populations.values():
            kind = self.kind(population)
            if kind not in known:
                known[kind] = self.need(population)
            needs[population.name] = known[kind]
        return self.total(needs)

    def kind(self, population: Population) -> Any:
        """What populations that look alike have in common."""
        parts = []
        for item in self.incoming[population.name]:
            target = None if item.edges is None else item.edges["target"]
            given: tuple[Any, ...] = (item.weights, item.one_to_one, item.all_to_all, target)
            form = tuple(None if part is None else np.shape(part) or 1 for part in given)
            conv = None
            if item.conv2d is not None:
                taps = np.asarray(item.conv2d.kernel)
                conv = (taps.shape, str(item.conv2d.stride), item.conv2d.groups, tuple(np.unique(taps).tolist()[:64]))
            parts.append((form, conv, self.size[item.source], int(item.delay), bool(item.stochastic)))
        return population.size, population.shape, tuple(parts)

    # ---------------------------------------------------------------- one population

    def need(self, population: Population) -> Need:
        incoming = self.incoming[population.name]
        if incoming and all(item.conv2d is not None for item in incoming) and len(population.shape) == 3:
            return self.by_tiles(population, incoming)
        return self.by_sample(population, incoming)

    def by_sample(self, population: Population, incoming: list[Projection]) -> Need:
        """Cut a run of a core's worth of neurons from the middle of the population, and scale it up."""
        most = self.arch.core.neurons
        n = min(population.size, most)
        begin = (population.size - n) // 2 // most * most
        sample = Network(f"sample of {population.name}")
        target = sample.population(population.name, n)
        for number, item in enumerate(incoming):
            source = sample.input(f"{item.source}.{number}", self.size[item.source])
            sample.connect(source, target, **self.part(item, begin, begin + n))
        flat = check(sample, self.arch)
        cutter = Cutter(flat, self.arch)
        runs = cut(cutter, np.arange(n), most)
        axons = sum(run.n_axons for run in runs)
        starts = [group.start for group in flat.inputs]
        signals = np.zeros(len(incoming))
        for run in runs:
            read = np.unique(flat.source[cutter.synapses_of(run.members)[0]])
            signals += np.bincount(np.searchsorted(starts, read, side="right") - 1, minlength=len(incoming))
        scale = population.size / n
        whole = scale * signals * (axons / max(signals.sum(), 1.0))
        by_neurons, by_axons = n / most, axons / self.arch.core.axons
        last = len(runs[-1].members) / len(runs[0].members)
        cores = max(by_neurons, by_axons) if len(runs) == 1 else len(runs) - 1 + min(last, 1.0)
        binds = "axons" if cores > by_neurons else "neurons"
        return Need(cores * scale, tuple(whole.tolist()), binds)

    def part(self, item: Projection, begin: int, end: int) -> dict[str, Any]:
        """The part of a projection that reaches the neurons begin..end-1, as arguments of ``connect``."""
        form: dict[str, Any] = {"delay": item.delay, "stochastic": item.stochastic}
        if item.weights is not None:
            form["weights"] = np.asarray(item.weights)[:, begin:end]
        elif item.all_to_all is not None:
            form["all_to_all"] = item.all_to_all
        elif item.one_to_one is not None:
            index = np.arange(begin, end)
            weight = np.full(end - begin, int(item.one_to_one))
            form["edges"] = {"source": index, "target": index - begin, "weight": weight}
        elif item.edges is not None:
            target = integers_named("edges: target", item.edges["target"])
            mine = np.flatnonzero((target >= begin) & (target < end))
            form["edges"] = {name: np.asarray(values)[mine] for name, values in item.edges.items()}
            form["edges"]["target"] = target[mine].astype(np.int64) - begin
        else:
            form["edges"] = self.conv_part(item, begin, end)
        return form

    def conv_part(self, item: Projection, begin: int, end: int) -> dict[str, Any]:
        """A convolution beside other projections, as if every neuron read sources of its own, next to one another."""
        assert item.conv2d is not None
        taps = np.asarray(item.conv2d.kernel).reshape(len(np.asarray(item.conv2d.kernel)), -1)[0]
        neuron = np.repeat(np.arange(end - begin), len(taps))
        source = (neuron + np.tile(np.arange(len(taps)), end - begin)) % self.size[item.source]
        return {"source": source, "target": neuron, "weight": np.tile(taps, end - begin)}

    def by_tiles(self, population: Population, incoming: list[Projection]) -> Need:
        """The best of all tiles, by geometry."""
        channels, rows, columns = population.shape
        best: tuple[float, list[float], str] | None = None
        for height, width in _rectangles(rows, columns, self.arch.core.neurons):
            axons = [self.tile_axons(item, height, width) for item in incoming]
            if sum(axons) > self.arch.core.axons:
                continue
            groups = max(int(item.conv2d.groups) for item in incoming if item.conv2d is not None)
            per_group = channels // groups
            # Channels of a group share their axons; a core takes whole groups, or some channels of one.
            together = max(int(self.arch.core.axons // sum(axons)), 1)
            room = self.arch.core.neurons // (height * width)
            tiles = math.ceil(rows / height) * math.ceil(columns / width)
            if room >= per_group:
                side_by_side = min(room // per_group, together, groups)
                cores = tiles * math.ceil(groups / side_by_side)
            else:
                side_by_side = 1
                cores = tiles * groups * math.ceil(per_group / room)
            whole = [float(cores * value * side_by_side) for value in axons]
            binds = "axons" if together * per_group < room else "neurons"
            if best is None or (cores, sum(whole)) < (best[0], sum(best[1])):
                best = cores, whole, binds
        if best is None:
            return self.by_sample(population, incoming)
        return Need(best[0], tuple(best[1]), best[2])

    def tile_axons(self, item: Projection, height: int, width: int) -> int:
        """Axons that one channel of a tile of a map needs of a convolution."""
        assert item.conv2d is not None
        kernel = np.asarray(item.conv2d.kernel)
        stride = np.broadcast_to(item.conv2d.stride, 2)
        reach = ((height - 1) * stride[0] + kernel.shape[2]) * ((width - 1) * stride[1] + kernel.shape[3])
        return int(kernel.shape[1] * reach) * axons_per_signal(kernel, self.arch)

    # ---------------------------------------------------------------- the whole

    def total(self, needs: dict[str, Need]) -> Estimate:
        """Cores and fan-out of all populations together."""
        network, core = self.network, self.arch.core
        targets = dict.fromkeys(self.size, 0.0)
        for name, need in needs.items():
            for projection, value in zip(self.incoming[name], need.axons, strict=True):
                targets[projection.source] += value
        for output in network.outputs.values():
            targets[output.source] += self.size[output.source]
        whole = sum(math.floor(need.cores) for need in needs.values())
        cores = whole + math.ceil(sum(need.cores - math.floor(need.cores) for need in needs.values()) - 1e-9)
        n_neurons = sum(item.size for item in network.populations.values())
        axons = sum(sum(need.axons) for need in needs.values())
        copies = relays = rows = 0.0
        depth: dict[str, int] = dict.fromkeys(network.inputs, 0)
        for name, need in needs.items():
            n = self.size[name]
            extra = max(targets[name] - n, 0.0)
            copied = min(extra, max(max(need.cores, 1.0) * core.neurons - n, 0.0)) if extra else 0.0
            copies += copied
            left = extra - copied
            depth[name] = int(left > 0.5)
            mean = max(targets[name] / n, 2.0)
            rows += left / (mean - 1)
            relays += left / (mean - 1) * mean
        free = cores * core.neurons - n_neurons - copies
        relay_cores = math.ceil(max(relays - max(free, 0.0), 0.0) / core.neurons)
        binding = dict.fromkeys(("neurons", "axons"), 0.0)
        for need in needs.values():
            binding[need.binds] += need.cores
        binds = max(binding, key=lambda name: binding[name])
        bound = max(math.ceil(n_neurons / core.neurons), math.ceil(sum(self.sources()) / core.axons), 1)
        rate = network.spike_rates
        packets = sum(float(rate.get(name, DEFAULT_RATE)) * value for name, value in targets.items())
        return Estimate(
            cores=max(cores, 1) + relay_cores,
            neurons=n_neurons + round(copies) + round(relays),
            axons=round(axons + rows),
            copies=round(copies),
            relays=round(relays),
            latency=self.latency(depth),
            packets_per_tick=packets + rows * DEFAULT_RATE,
            cores_lower_bound=bound,
            binds="fan-out" if relay_cores > cores else binds,
            shares=tuple(self.share(name, need) for name, need in needs.items()),
        )

    def share(self, name: str, need: Need) -> Share:
        cores = max(math.ceil(need.cores - 1e-9), 1)
        return Share(name, cores, need.binds.removesuffix("s"), 1 - self.size[name] / (cores * self.arch.core.neurons))

    def sources(self) -> Iterator[int]:
        """Sizes of everything that is read."""
        return (self.size[name] for name in {item.source for item in self.network.projections})

    def latency(self, depth: dict[str, int]) -> int:
        """T, from shifts of whole populations; cycles are left out."""
        late = dict.fromkeys(self.size, 0)
        for _ in range(len(late)):
            before = dict(late)
            for item in self.network.projections:
                if item.source in self.network.populations and item.source != item.target and item.edges is None:
                    wanted = late[item.source] + 1 + depth[item.source] - int(item.delay)
                    late[item.target] = max(late[item.target], wanted)
            if late == before:
                break
        return max((late[item.source] + depth[item.source] for item in self.network.outputs.values()), default=0)


def _rectangles(rows: int, columns: int, most: int) -> Iterator[tuple[int, int]]:
    return ((h, w) for h in range(1, rows + 1) for w in range(1, columns + 1) if h * w <= most)

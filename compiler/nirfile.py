"""NIR graphs as networks: integrate-and-fire neurons and the linear nodes between them.

NIR (Pedersen et al., Nature Communications 15, 8122, 2024) describes networks in continuous time, without a time step. What is
read here:

* ``IF``: a spike through weight w moves the membrane by r w, whatever the time step; a bias b moves it by r b dt a tick.
  A neuron of the chip fires when its membrane reaches its threshold (NIR: exceeds it). Files say how a neuron is reset only
  if they have ``v_reset``; files without it come from tools that subtract the threshold, which is what ``reset="auto"`` does.
* ``Linear``, ``Affine``, ``Conv2d``, ``Scale``, ``Flatten`` become projections, with a delay of one tick from layer to layer.
* ``SumPool2d`` and ``AvgPool2d`` are folded into the weights behind them where the sums still fit a core's axons, which is exact.
  Otherwise they become neurons that count: one spike for every spike (every k-th, for averages), but at most one a tick, so that
  coincident spikes queue. That is declared as an approximation.

Everything else is refused, all of it in one list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.network import Network
from neurocore.compiler.nirlinear import LINEAR, POOLS, Shape, matrix_of, output_shape, pool_kernel
from neurocore.compiler.nirread import Graph, Node, read_graph
from neurocore.errors import InputError, UsageError
from neurocore.wording import did_you_mean

Array = npt.NDArray[Any]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
RESETS = ("auto", "zero", "subtract")

REASONS = {
    "LIF": "its leak is exponential; the chip's is a constant per tick",
    "CubaLIF": "its currents and its leak are exponential; the chip's leak is a constant per tick",
    "LI": "it is no spiking neuron, and its leak is exponential",
    "CubaLI": "it is no spiking neuron, and its leak is exponential",
    "I": "it is no spiking neuron; only spikes travel on the chip",
    "Threshold": "it compares values, and only spikes travel on the chip",
    "Delay": "delays between nodes are not read",
    "NIRGraph": "graphs within graphs are not read; flatten the graph",
    "Conv1d": "only two-dimensional convolutions are read",
}


@dataclass(frozen=True)
class NirOptions:
    """``dt``: seconds a tick, for biases; ``reset``: auto, zero or subtract."""

    dt: float = 1.0
    reset: str = "auto"

    def __post_init__(self) -> None:
        if self.reset not in RESETS:
            raise UsageError(
                f"reset is {self.reset!r}; it must be one of {', '.join(RESETS)}{did_you_mean(self.reset, RESETS)}"
            )
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise UsageError(f"dt is {self.dt:g}; a positive number of seconds was expected")


def is_nir(path: str | Path) -> bool:
    """Whether a file is meant as NIR: by its ending, or because it begins as HDF5 does."""
    if Path(path).suffix == ".nir":
        return True
    try:
        with open(path, "rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except (OSError, ValueError):
        # Not every text is a path that there can be; whoever reads the file says so.
        return False


def load_nir(
    path: str | Path, chip: str | Path | Architecture = "truenorth", options: NirOptions | None = None
) -> Network:
    """Read a NIR file as a network of real numbers that asks for ``quantise="fit"``.

    ``chip`` decides which pools can be folded. Approximations are listed in the network's ``declared``. Raises InputError that
    lists everything that cannot be read.
    """
    return network_of(read_graph(path), str(path), load_architecture(chip), options or NirOptions())


def network_of(graph: Graph, name: str, arch: Architecture, options: NirOptions) -> Network:
    """The network of a graph; ``name`` is the file's, for messages."""
    reader = _Reader(graph, name, arch, options)
    reader.check_nodes()
    reader.check_shapes()
    return reader.build()


@dataclass(frozen=True)
class _Path:
    """A chain of linear nodes from a source (input or neurons) to a node."""

    source: str
    nodes: tuple[Node, ...] = ()


@dataclass
class _Reader:
    graph: Graph
    file: str
    arch: Architecture
    options: NirOptions
    problems: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before: dict[str, list[str]] = {name: [] for name in self.graph.nodes}
        self.network = Network(Path(self.file).stem, quantise="fit")
        self.spiking: set[str] = set()

    # ------------------------------------------------------------ the graph

    def check_nodes(self) -> None:
        """Every node and edge is known; raises InputError that lists what is not."""
        for node in self.graph.nodes.values():
            if node.kind not in (*LINEAR, *POOLS, "IF", "Input", "Output"):
                reason = REASONS.get(node.kind, "this kind of node is not known")
                self.problems.append(f"node {node.name!r} is a {node.kind}: {reason}")
        for begin, end in self.graph.edges:
            unknown = [name for name in (begin, end) if name not in self.graph.nodes]
            self.problems.extend(f"edge {begin!r} -> {end!r}: there is no node {name!r}" for name in unknown)
            if not unknown and begin not in self.before[end]:
                self.before[end].append(begin)
        kinds = [node.kind for node in self.graph.nodes.values()]
        self.problems.extend(f"the graph has no {kind} node" for kind in ("Input", "Output") if kind not in kinds)
        self.stop_if_failed()

    def stop_if_failed(self) -> None:
        if self.problems:
            raise InputError([f"{self.file}: {problem}" for problem in dict.fromkeys(self.problems)])

    def paths(self, name: str, seen: tuple[str, ...] = ()) -> list[_Path]:
        """All chains of linear nodes that lead to a node."""
        found = []
        for source in self.before[name]:
            node = self.graph.nodes[source]
            if node.kind in ("Input", "IF") or source in self.spiking:
                found.append(_Path(source))
            elif source in seen:
                loop = " -> ".join([source, *reversed(seen[seen.index(source) :])])
                self.problems.append(f"nodes {loop} form a cycle without a neuron")
            elif node.kind == "Output":
                self.problems.append(f"edge {source!r} -> {name!r} leads out of an Output")
            else:
                found += [_Path(path.source, (*path.nodes, node)) for path in self.paths(source, (*seen, source))]
        return found

    def shape_after(self, path: _Path) -> Shape:
        shape = self.shapes[path.source]
        for node in path.nodes:
            shape = output_shape(node, shape)
        return shape

    # ------------------------------------------------------------ the network

    def check_shapes(self) -> None:
        """All shapes are known and match; raises InputError that lists where they do not."""
        for node in self.graph.nodes.values():
            if node.kind == "Input":
                self.shapes[node.name] = tuple(
                    int(size) for size in node.parameters.get("shape", np.ones(1)).reshape(-1)
                )
        self.find_shapes()
        for node in self.graph.nodes.values():
            if node.kind == "Output":
                for path in self.paths(node.name):
                    if path.source in self.shapes:
                        self.checked_shape(path)
        self.stop_if_failed()

    def checked_shape(self, path: _Path) -> Shape | None:
        """The shape at the end of a chain, or None and a problem more where its nodes do not match."""
        try:
            return self.shape_after(path)
        except ValueError as error:
            self.problems.append(str(error))
            return None

    def build(self) -> Network:
        self.choose_pools()
        for name, shape in self.shapes.items():
            if self.graph.nodes[name].kind == "Input":
                self.network.input(name, shape)
        for node in self.graph.nodes.values():
            if node.kind == "IF":
                self.add_neurons(node)
            elif node.name in self.spiking:
                self.add_pool(node)
        self.connect_all()
        self.add_outputs()
        self.stop_if_failed()
        return self.network

    def find_shapes(self) -> None:
        """Shapes of all neurons: as their sources give them, checked against their parameters."""
        waiting = [node for node in self.graph.nodes.values() if node.kind == "IF"]
        for node in waiting:
            threshold = node.parameters.get("v_threshold")
            if threshold is not None and threshold.size > 1:
                # A population that feeds itself has no other source of its shape.
                self.shapes.setdefault(node.name, tuple(threshold.shape))
        progress = True
        while progress:
            progress = False
            for node in list(waiting):
                paths = self.paths(node.name)
                known = [path for path in paths if path.source in self.shapes]
                if not known and node.name not in self.shapes:
                    continue
                waiting.remove(node)
                progress = True
                self.check_shape(node, known)
        for node in waiting:
            self.problems.append(f"node {node.name!r} (IF) is not reached from an Input, and its shape is not known")

    def check_shape(self, node: Node, known: list[_Path]) -> None:
        for path in known:
            shape = self.checked_shape(path)
            if shape is None:
                continue
            have = self.shapes.setdefault(node.name, shape)
            if int(np.prod(have)) != int(np.prod(shape)):
                self.problems.append(
                    f"node {node.name!r} (IF) has shape {list(have)}; what {path.source!r} sends to it has {list(shape)}"
                )
            elif len(shape) > len(have) or (len(have) > len(shape) and have[0] == 1):
                # Maps keep their rows and columns; a batch of one is dropped.
                self.shapes[node.name] = shape

    def choose_pools(self) -> None:
        """Pools whose sums do not fit a core become neurons; each pool is judged by the paths that go through it."""
        for node in self.graph.nodes.values():
            if node.kind not in POOLS:
                continue
            for name, kind in ((item.name, item.kind) for item in self.graph.nodes.values()):
                if kind not in ("IF", "Output") or node.name in self.spiking:
                    continue
                mine = [path for path in self.paths(name) if any(item is node for item in path.nodes)]
                if mine and (kind == "Output" or self.fan_in(mine) > self.arch.core.axons):
                    self.add_spiking_pool(node)

    def fan_in(self, paths: list[_Path]) -> int:
        return int(max(np.diff(self.matrix(path).tocsr().indptr).max(initial=0) for path in paths))

    def add_spiking_pool(self, node: Node) -> None:
        into = self.paths(node.name)
        self.shapes[node.name] = output_shape(node, self.shape_after(into[0]))
        self.spiking.add(node.name)

    def matrix(self, path: _Path) -> sparse.csr_matrix:
        """Weights [target, source] of a whole chain."""
        shape = self.shapes[path.source]
        result = sparse.identity(int(np.prod(shape)), format="csr")
        for node in path.nodes:
            result = matrix_of(node, shape) @ result
            shape = output_shape(node, shape)
        return result.tocsr()

    def add_neurons(self, node: Node) -> None:
        shape = self.shapes[node.name]
        size = int(np.prod(shape))
        threshold, reset = self.parameter(node, "v_threshold", size), self.parameter(node, "v_reset", size, 0.0)
        subtract = self.options.reset == "subtract"
        if self.options.reset == "auto":
            subtract = "v_reset" not in node.parameters
        neuron: dict[str, Any] = {"threshold": threshold, "reset_mode": "linear" if subtract else "value"}
        if not subtract and self.options.reset == "auto":
            neuron["reset"] = reset
        bias = sum((self.bias(path) for path in self.paths(node.name)), np.zeros(size))
        neuron["leak"] = self.parameter(node, "r", size, 1.0) * bias * self.options.dt
        self.network.population(node.name, shape, **{name: _single(value) for name, value in neuron.items()})
        if self.options.reset == "auto" and subtract:
            text = "IF neurons without v_reset subtract their threshold when they fire (reset=auto)"
            if text not in self.network.declared:
                self.network.declared.append(text)

    def parameter(self, node: Node, name: str, size: int, default: float | None = None) -> Array:
        values = node.parameters.get(name)
        if values is None:
            if default is None:
                self.problems.append(f"node {node.name!r} ({node.kind}) has no {name}")
            return np.full(size, default if default is not None else 1.0)
        if values.dtype.kind not in "biuf" or values.size not in (1, size):
            self.problems.append(
                f"node {node.name!r} ({node.kind}): {name} has {values.size} values for {size} neurons"
            )
            return np.ones(size)
        return np.array(np.broadcast_to(values.reshape(-1).astype(float), size))

    def bias(self, path: _Path) -> Array:
        """What the biases along a chain add up to at its end."""
        shape = self.shapes[path.source]
        total = np.zeros(int(np.prod(shape)))
        for node in path.nodes:
            total = matrix_of(node, shape) @ total
            shape = output_shape(node, shape)
            own = node.parameters.get("bias")
            if own is not None:
                repeat = len(total) // max(1, own.size)
                total = total + np.repeat(own.astype(float).reshape(-1), repeat)
        return np.asarray(total)

    def add_pool(self, node: Node) -> None:
        kernel, stride, padding = pool_kernel(node)
        average = node.kind == "AvgPool2d"
        size = kernel[0] * kernel[1] if average else 1
        self.network.population(node.name, self.shapes[node.name], threshold=size, reset_mode="linear")
        self.network.declared.append(
            f"{node.kind} {node.name!r} is made of neurons that fire once for every"
            + (f" {size} spikes" if average else " spike")
            + " of their window, at most once a tick: no spike is lost, but coincident ones queue"
        )
        for path in self.paths(node.name):
            shape = self.shape_after(path)
            if path.nodes:
                matrix = matrix_of(node, shape, total=True) @ self.matrix(path)
                self.connect(path.source, node.name, matrix)
            else:
                ones = np.ones((shape[0], 1, *kernel), np.int64)
                conv = {"kernel": ones, "stride": list(stride), "padding": list(padding), "groups": shape[0]}
                self.network.connect(path.source, node.name, conv2d=conv)

    def connect_all(self) -> None:
        for node in self.graph.nodes.values():
            if node.kind != "IF" or node.name not in self.network.populations:
                continue
            r = self.parameter(node, "r", int(np.prod(self.shapes[node.name])), 1.0)
            for path in self.paths(node.name):
                self.connect_path(path, node.name, r)
        self.align_delays()

    def connect_path(self, path: _Path, name: str, r: Array) -> None:
        node = path.nodes[0] if len(path.nodes) == 1 else None
        square = node is not None and np.ptp(r) == 0 and (node.parameters.get("dilation", np.ones(1)) == 1).all()
        if node is not None and square and node.kind == "Conv2d":
            _, stride, padding = pool_kernel(node)
            conv = {
                "kernel": node.parameters["weight"].astype(float) * r[0],
                "stride": list(stride),
                "padding": list(padding),
                "groups": int(node.parameters.get("groups", np.array(1))),
            }
            self.network.connect(path.source, name, conv2d=conv)
        else:
            self.connect(path.source, name, sparse.diags(r) @ self.matrix(path))

    def connect(self, source: str, target: str, matrix: Any) -> None:
        table = matrix.tocoo()
        edges = {"source": table.col.astype(np.int64), "target": table.row.astype(np.int64), "weight": table.data}
        self.network.connect(source, target, edges=edges)

    def align_delays(self) -> None:
        """Give connections that skip layers the delay of the longest way, so that all spikes of a moment meet again."""
        depth = dict.fromkeys([*self.network.inputs, *self.network.populations], 0)
        for _ in range(len(depth)):
            before = dict(depth)
            for item in self.network.projections:
                depth[item.target] = max(depth[item.target], depth[item.source] + 1)
            if depth == before:
                break
        else:
            self.network.declared.append("the graph has cycles: each way from neuron to neuron takes one tick")
            return
        for number, item in enumerate(self.network.projections):
            late = depth[item.target] - depth[item.source]
            if late > 1:
                self.network.projections[number] = type(item)(**{**vars(item), "delay": late})

    def add_outputs(self) -> None:
        for node in self.graph.nodes.values():
            if node.kind != "Output":
                continue
            for path in self.paths(node.name):
                linear = [item for item in path.nodes if item.kind != "Flatten"]
                if linear or path.source in self.network.inputs:
                    what = f"{linear[-1].name!r} ({linear[-1].kind})" if linear else f"input {path.source!r}"
                    self.problems.append(
                        f"output {node.name!r} is fed by {what}; only spikes of neurons leave the chip"
                    )
                    continue
                name = node.name if node.name not in self.network.outputs else f"{node.name}.{path.source}"
                self.network.output(name, path.source)


def _single(value: Any) -> Any:
    """One number where all neurons have the same."""
    if isinstance(value, np.ndarray) and value.size and np.ptp(value) == 0:
        return float(value[0])
    return value

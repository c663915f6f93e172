"""The network that a user describes: inputs, populations, projections, outputs.

    net = Network("xor")
    a = net.input("a", 2)
    hidden = net.population("hidden", 2, threshold=1)
    net.connect(a, hidden, weights=[[1, -1], [-1, 1]])
    net.output("out", hidden)

Nothing is checked here beyond names and kinds; :func:`neurocore.compiler.check.check` checks a whole network against a chip and
lists all faults at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.faults import as_array
from neurocore.errors import InputError
from neurocore.wording import did_you_mean, is_whole, shown
from neurocore.yamlfile import Document, Location

MAX_SIZE = 100_000_000
"""Lines or neurons of one input or population."""

Array = npt.NDArray[Any]
Shape = int | Sequence[int] | Array

NEURON_DEFAULTS: dict[str, Any] = {
    "threshold": 1,
    "threshold_mask_bits": 0,
    "reset_mode": "value",
    "reset": 0,
    "floor": None,
    "floor_mode": "saturate",
    "leak": 0,
    "leak_reversal": False,
    "leak_stochastic": False,
    "initial": 0,
}
"""Neuron parameters and their defaults; ``floor`` None is the chip's largest, as good as no floor."""
FAN_INS = ("refuse", "dilate", "thermometer", "carry")
"""What is done about neurons that read more than a core has axons for."""
MERGES = ("sum", "or")
"""What becomes of spikes that arrive together; see :class:`Projection`."""


@dataclass(frozen=True)
class Input:
    """Input lines, numbered row by row."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of lines."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Population:
    """Neurons, numbered row by row. ``neuron`` maps each parameter to one value or to one per neuron."""

    name: str
    shape: tuple[int, ...]
    neuron: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Conv2d:
    """A cross-correlation: kernel [out, in / groups, row, column]; shapes are [channel, row, column]."""

    kernel: Any
    stride: Any = 1
    padding: Any = 0
    groups: int = 1


@dataclass(frozen=True)
class Projection:
    """Synapses from a source to a target population; exactly one of the five forms is given.

    ``weights`` [n_source, n_target]; ``one_to_one`` and ``all_to_all`` one weight; ``edges`` rows or arrays source, target,
    weight[, delay]; ``conv2d``. A zero weight is no synapse. ``merge`` says what becomes of spikes that sources of one weight and
    delay send a neuron in one tick: each counts ("sum"), or all together count once ("or"). ``location`` is where the file has
    it that it was read from.
    """

    source: str
    target: str
    weights: Any = None
    one_to_one: Any = None
    all_to_all: Any = None
    edges: Mapping[str, Any] | None = None
    conv2d: Conv2d | None = None
    delay: Any = 1
    stochastic: bool = False
    merge: str = "sum"
    location: Location = field(default=(), repr=False, compare=False)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"'{self.target}' <- '{self.source}'"


@dataclass(frozen=True)
class Output:
    """A population whose spikes leave the chip."""

    name: str
    source: str


@dataclass(frozen=True)
class CoreCode:
    """How quantisation fitted a population to cores: neurons of one ``group`` [size] were fitted to share one.

    ``values`` [size, types] are each neuron's values of the axon types; every weight of it is a sum of some of them.
    """

    group: Any
    values: Any


@dataclass
class Network:
    """A network under construction.

    ``quantise`` says how numbers with a fraction become integers (:class:`neurocore.compiler.quantisation.Quantise` or what its
    ``of`` takes); without it they are refused. ``fan_in`` says what becomes of neurons that read more than a core has axons for:
    they are refused, or the network is dilated (:mod:`neurocore.compiler.dilate`), or lines tell them the sums of what they
    read, exactly (:mod:`neurocore.compiler.thermometer`) or not always in time (:mod:`neurocore.compiler.carry`). ``declared``
    are approximations that the network's reader made. ``codes`` are left by quantisation for the later stages and change no
    spike. ``document`` is the file that the network was read from, for messages.
    """

    name: str
    inputs: dict[str, Input] = field(default_factory=dict)
    populations: dict[str, Population] = field(default_factory=dict)
    projections: list[Projection] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)
    spike_rates: dict[str, float] = field(default_factory=dict)
    quantise: Any = None
    fan_in: str = "refuse"
    declared: list[str] = field(default_factory=list)
    codes: dict[str, CoreCode] = field(default_factory=dict)
    document: Document | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _is_text(self.name):
            raise InputError(f"a network's name is {shown(self.name)}; names are texts")

    def input(self, name: str, shape: Shape) -> Input:
        """Add input lines."""
        self._fresh(name)
        item = Input(name, as_shape(name, shape))
        self.inputs[name] = item
        return item

    def population(self, name: str, shape: Shape, **neuron: Any) -> Population:
        """Add a population; keywords are neuron parameters (see NEURON_DEFAULTS), each one value or one per neuron."""
        self._fresh(name)
        unknown = sorted(set(neuron) - set(NEURON_DEFAULTS))
        if unknown:
            raise InputError(
                f"population {name!r}: {', '.join(unknown)} is no neuron parameter; there are {', '.join(NEURON_DEFAULTS)}"
                f"{did_you_mean(unknown[0], NEURON_DEFAULTS)}"
            )
        item = Population(name, as_shape(name, shape), dict(neuron))
        self.populations[name] = item
        return item

    def connect(
        self,
        source: str | Input | Population,
        target: str | Population,
        weights: Any = None,
        *,
        one_to_one: Any = None,
        all_to_all: Any = None,
        edges: Mapping[str, Any] | Sequence[Sequence[int]] | None = None,
        conv2d: Conv2d | Mapping[str, Any] | None = None,
        delay: int = 1,
        stochastic: bool = False,
        merge: str = "sum",
    ) -> Projection:
        """Add a projection. ``edges`` may be a mapping of arrays or rows (source, target, weight[, delay]).

        With ``merge="or"`` a neuron gets a weight once if any of the sources connected to it with this weight and delay spikes.
        """
        if conv2d is not None and not isinstance(conv2d, Conv2d):
            conv2d = _conv(conv2d)
        if edges is not None and not isinstance(edges, Mapping):
            edges = _edge_columns(edges)
        item = Projection(
            _name(source), _name(target), weights, one_to_one, all_to_all, edges, conv2d, delay, stochastic, merge
        )
        if not isinstance(stochastic, bool | np.bool_):
            raise InputError(f"{item.label}: stochastic is {shown(stochastic)}; it must be True or False")
        if not isinstance(merge, str) or merge not in MERGES:
            raise InputError(
                f"{item.label}: merge is {shown(merge)}; it must be one of {', '.join(MERGES)}{did_you_mean(merge, MERGES)}"
            )
        given = [
            form
            for form in ("weights", "one_to_one", "all_to_all", "edges", "conv2d")
            if getattr(item, form) is not None
        ]
        if len(given) != 1:
            raise InputError(
                f"{item.label}: give exactly one of weights, one_to_one, all_to_all, edges and conv2d"
                f" (found {', '.join(given) or 'none'})"
            )
        self.projections.append(item)
        return item

    def output(self, name: str, source: str | Population) -> Output:
        """Let the spikes of a population leave the chip on output lines, in population order."""
        if not _is_text(name) or not name:
            raise InputError(
                f"network {self.name!r}: an output's name is {shown(name)}; names are texts of at least one character"
            )
        if name in self.outputs:
            raise InputError(f"network {self.name!r}: output {name!r} is given twice")
        item = Output(name, _name(source))
        self.outputs[name] = item
        return item

    def rate(self, name: str, spikes_per_tick: float) -> None:
        """Tell the placer how often each line or neuron of ``name`` is expected to spike."""
        if not isinstance(name, str):
            raise InputError(
                f"network {self.name!r}: a rate is given for {shown(name)}; give the name of an input or a population"
            )
        self.spike_rates[name] = spikes_per_tick

    def _fresh(self, name: str) -> None:
        if not _is_text(name) or not name:
            raise InputError(
                f"network {self.name!r}: a name is {shown(name)}; names are texts of at least one character"
            )
        if name in self.inputs or name in self.populations:
            raise InputError(f"network {self.name!r}: the name {name!r} is given twice")


def _is_text(name: Any) -> bool:
    """Whether a name is a text that files can hold: one without halves of surrogate pairs."""
    return isinstance(name, str) and name == name.encode("utf-8", "ignore").decode("utf-8")


def as_shape(name: str, shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple. Raises InputError unless every size is a whole number of at least 1."""
    sizes = _sizes(shape)
    if not sizes or not all(is_whole(size) and size >= 1 for size in sizes):
        found = list(sizes) if sizes or isinstance(shape, Sequence) else shape
        raise InputError(f"{name!r} has shape {shown(found)}; every size must be a whole number of at least 1")
    if math.prod(int(size) for size in sizes) > MAX_SIZE:
        raise InputError(
            f"{name!r} has shape {shown(list(sizes))}; at most {MAX_SIZE:,} lines or neurons are supported"
        )
    return tuple(int(size) for size in sizes)


def _sizes(shape: Any) -> tuple[Any, ...]:
    """What a shape lists, in its order; what has no order, or no sizes, is listed as it is."""
    if isinstance(shape, np.ndarray):
        shape = shape.tolist()
    if isinstance(shape, str | bytes | bytearray) or not isinstance(shape, Sequence | Iterator):
        return (shape,)
    try:
        return tuple(shape)
    except Exception:
        # An iterator of the user's own, or a view of memory of several dimensions.
        return (shape,)


def _name(item: str | Input | Population) -> str:
    if not isinstance(item, Input | Population) and not _is_text(item):
        raise InputError(f"{shown(item)} is no source or target; give an input, a population, or the name of one")
    return item.name if isinstance(item, Input | Population) else item


def _conv(given: Any) -> Conv2d:
    if not isinstance(given, Mapping):
        raise InputError(f"conv2d is {shown(given)}; a Conv2d, or a mapping with a kernel, was expected")
    known = [item.name for item in fields(Conv2d)]
    wrong = [key for key in given if key not in known]
    if wrong or "kernel" not in given:
        found = f"{', '.join(map(shown, wrong))} is not known" if wrong else "the kernel is missing"
        nearest = did_you_mean(wrong[0], known) if wrong else ""
        raise InputError(f"conv2d: {found}; there are {', '.join(known)}{nearest}")
    return Conv2d(**given)


def _edge_columns(rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    try:
        array = as_array(rows)
    except ValueError as error:
        if "ragged" not in str(error):
            raise InputError(f"edges: the array {error}") from error
        raise InputError(
            "edges differ in length; every row is (source, target, weight) or each has a delay as well"
        ) from error
    if array.size == 0:
        array = np.zeros((0, 3), np.int64)
    if array.ndim != 2 or array.shape[1] not in (3, 4):
        found = f"have shape {array.shape}" if array.ndim else f"are {shown(rows)}"
        raise InputError(f"edges {found}; rows of (source, target, weight[, delay]) were expected")
    return dict(zip(("source", "target", "weight", "delay"), array.T, strict=False))

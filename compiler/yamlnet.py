"""Networks in YAML (format: docs/network-yaml.md), read into a :class:`Network` with arrays from the files beside it."""

from __future__ import annotations

import os
import tokenize
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from neurocore.architecture import Architecture
from neurocore.compiler.faults import Faults
from neurocore.compiler.network import Conv2d, Network
from neurocore.compiler.nirfile import NirOptions, is_nir, load_nir
from neurocore.compiler.quantisation import Quantise
from neurocore.container import MAGIC, is_text, looks_like, open_input
from neurocore.errors import InputError, NeurocoreError, UsageError
from neurocore.wording import shown
from neurocore.yamlfile import LOOKED_AT, UNION, Document, Location, describe, field_name, read_yaml

ARRAY_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
)
"""What NumPy and zipfile raise for damaged array files."""
ARRAY_SUFFIXES = (".npy", ".npz")
MAX_BYTES = 8 << 30
"""An array file that unpacks to more than this is refused."""

Int = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Shape = Annotated[list[Annotated[int, Field(strict=True, ge=1)]], Field(min_length=1)]
File = Text


def _number(value: Any) -> int | float:
    """A number as it stands; pydantic's own would make a float of every one."""
    if type(value) not in (int, float):
        raise PydanticCustomError(UNION, "a number")
    return value  # type: ignore[no-any-return]


def _form(value: Any) -> str | None:
    """The tag of the kind that a value is of; :func:`neurocore.yamlfile.describe` knows that it is no part of the file."""
    forms = {bool: "<flag>", int: "<number>", float: "<number>", str: "<text>", list: "<list>", dict: "<keys>"}
    return forms.get(type(value))


def _either(expected: str) -> Discriminator:
    """Chooses among the kinds of a value by its form; ``expected`` is said where it has none of theirs."""
    return Discriminator(_form, custom_error_type=UNION, custom_error_message=expected)


PER_NEURON = "a number, a list of numbers or the name of a file (.npy or .npz)"
FLAGS = "true, false, a list of these or the name of a file (.npy or .npz)"
MODES = "a name, or a list of names"
NUMBERS = "a whole number, or a list of them"
WEIGHTS = "{all_to_all: number}, {one_to_one: number}, rows of numbers or the name of a file (.npy or .npz)"
EDGES = "rows of [source, target, weight] or [source, target, weight, delay], or the name of a file (.npz)"
KERNEL = "nested lists of numbers or the name of a file (.npy or .npz)"
METHOD = "the name of a method, or {method: number}"
"""What keys take, as messages say it."""

Number = Annotated[int | float, PlainValidator(_number)]
Rows = list[list[Number]]
PerNeuron = Annotated[
    Annotated[Number, Tag("<number>")] | Annotated[list[Number], Tag("<list>")] | Annotated[File, Tag("<text>")],
    _either(PER_NEURON),
]
FlagPerNeuron = Annotated[
    Annotated[Flag, Tag("<flag>")] | Annotated[list[Flag], Tag("<list>")] | Annotated[File, Tag("<text>")],
    _either(FLAGS),
]
ModePerNeuron = Annotated[Annotated[Text, Tag("<text>")] | Annotated[list[Text], Tag("<list>")], _either(MODES)]
Sizes = Annotated[Annotated[Int, Tag("<number>")] | Annotated[list[Int], Tag("<list>")], _either(NUMBERS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Input(_Part):
    shape: Shape


class _Neuron(_Part):
    threshold: PerNeuron | None = None
    threshold_mask_bits: PerNeuron | None = None
    reset_mode: ModePerNeuron | None = None
    reset: PerNeuron | None = None
    floor: PerNeuron | None = None
    floor_mode: ModePerNeuron | None = None
    leak: PerNeuron | None = None
    leak_reversal: FlagPerNeuron | None = None
    leak_stochastic: FlagPerNeuron | None = None
    initial: PerNeuron | None = None


class _Population(_Part):
    shape: Shape
    neuron: _Neuron = _Neuron()


class _Uniform(_Part):
    """One weight for all synapses of a projection."""

    one_to_one: Number | None = None
    all_to_all: Number | None = None

    @model_validator(mode="after")
    def _one_form(self) -> _Uniform:
        if (self.one_to_one is None) == (self.all_to_all is None):
            found = "none" if self.one_to_one is None else "both"
            raise ValueError(f"give exactly one of all_to_all and one_to_one (found {found})")
        return self


class _Conv2d(_Part):
    kernel: Annotated[Annotated[File, Tag("<text>")] | Annotated[list[Any], Tag("<list>")], _either(KERNEL)]
    stride: Sizes = 1
    padding: Sizes = 0
    groups: Int = 1


class _Projection(_Part):
    source: Text
    target: Text
    weights: (
        Annotated[
            Annotated[File, Tag("<text>")] | Annotated[Rows, Tag("<list>")] | Annotated[_Uniform, Tag("<keys>")],
            _either(WEIGHTS),
        ]
        | None
    ) = None
    edges: Annotated[Annotated[File, Tag("<text>")] | Annotated[Rows, Tag("<list>")], _either(EDGES)] | None = None
    conv2d: _Conv2d | None = None
    delay: Int = 1
    stochastic: Flag = False
    merge: Literal["sum", "or"] = "sum"

    @model_validator(mode="after")
    def _one_form(self) -> _Projection:
        given = [name for name in ("weights", "edges", "conv2d") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of weights, edges and conv2d (found {' and '.join(given) or 'none'})")
        return self


class _Output(_Part):
    source: Text


class _File(_Part):
    network: Text
    inputs: dict[str, _Input] = {}
    populations: dict[str, _Population]
    projections: list[_Projection] = []
    outputs: dict[str, _Output] = {}
    spike_rates: dict[str, Number] = {}
    quantise: (
        Annotated[Annotated[Text, Tag("<text>")] | Annotated[dict[str, Any], Tag("<keys>")], _either(METHOD)] | None
    ) = None
    fan_in: Literal["refuse", "dilate", "thermometer", "carry"] = "refuse"


def load_network(
    path: str | Path, chip: str | Path | Architecture = "truenorth", options: NirOptions | None = None
) -> Network:
    """Read a network file, YAML or NIR; ``chip`` and ``options`` are for NIR (see :func:`neurocore.compiler.nirfile.load_nir`).

    Raises InputError that lists every fault, in YAML as ``file:line:column: field: reason``.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"a network is {shown(path)}; a Network, or the path of one in a file, was expected")
    if is_nir(path):
        return load_nir(path, chip, options)
    document = _read(path)
    try:
        content = _File.model_validate(document.data)
    except ValidationError as error:
        raise InputError(describe(error.errors(), document, _File)) from error
    return _Reader(document, content).build()


def _read(path: str | Path) -> Document:
    """The file as YAML; one that is a chip, a run or something else without text is named for what it is."""
    if os.path.isfile(path):
        with open_input(path) as stream:
            start = stream.read(LOOKED_AT)
        if start.startswith(MAGIC) or not is_text(start):
            ready = ": what is compiled already can be run and inspected as it is" * start.startswith(MAGIC)
            raise InputError(f"{path} is {looks_like(start)}; a network in YAML or NIR was expected{ready}")
    return read_yaml(path)


def _expected(parameter: str) -> str:
    """What a parameter of neurons takes."""
    return FLAGS if parameter in ("leak_reversal", "leak_stochastic") else PER_NEURON


class _Reader:
    """Turns a checked file into a network; collects what is wrong with the files that it names."""

    def __init__(self, document: Document, content: _File) -> None:
        self.document, self.content = document, content
        self.folder = Path(document.path).parent
        self.faults = Faults(document)

    def build(self) -> Network:
        # Places are kept for what later stages find, the content is not.
        network = Network(self.content.network, fan_in=self.content.fan_in, document=replace(self.document, data=None))
        for name, item in self.content.inputs.items():
            self.attempt(("inputs", name), lambda name=name, item=item: network.input(name, item.shape))
        for name, population in self.content.populations.items():
            values = self.neuron(name, population.neuron)
            self.attempt(
                ("populations", name),
                lambda name=name, shape=population.shape, values=values: network.population(name, shape, **values),
            )
        for number, projection in enumerate(self.content.projections):
            self.connect(network, number, projection)
        for name, output in self.content.outputs.items():
            network.output(name, output.source)
        network.spike_rates.update(self.content.spike_rates)
        if self.content.quantise is not None:
            given = self.content.quantise
            self.attempt(("quantise",), lambda: setattr(network, "quantise", Quantise.of(given)))
        self.faults.raise_if_any()
        return network

    def complain(self, location: Location, problem: str) -> None:
        """One more fault."""
        self.faults.add(f"{field_name(location)}: {problem}", *location)

    def attempt(self, location: Location, action: Any) -> None:
        try:
            action()
        except NeurocoreError as error:
            for problem in error.problems:
                self.complain(location, problem.removeprefix(f"{field_name(location)}: "))

    def neuron(self, population: str, neuron: _Neuron) -> dict[str, Any]:
        values = {name: value for name, value in neuron if value is not None}
        for name, value in values.items():
            if isinstance(value, str) and name not in ("reset_mode", "floor_mode"):
                values[name] = self.array(("populations", population, "neuron", name), value, _expected(name))
        return values

    def connect(self, network: Network, number: int, item: _Projection) -> None:
        location: Location = ("projections", number)
        forms: dict[str, Any] = {}
        if isinstance(item.weights, _Uniform):
            forms.update(item.weights.model_dump(exclude_none=True))
        elif item.weights is not None:
            forms["weights"] = self.array((*location, "weights"), item.weights, WEIGHTS)
        elif item.edges is not None:
            forms["edges"] = self.edges((*location, "edges"), item.edges)
        elif item.conv2d is not None:
            kernel = self.array((*location, "conv2d", "kernel"), item.conv2d.kernel, KERNEL)
            forms["conv2d"] = Conv2d(kernel, item.conv2d.stride, item.conv2d.padding, item.conv2d.groups)

        def add() -> None:
            projection = network.connect(
                item.source, item.target, **forms, delay=item.delay, stochastic=item.stochastic, merge=item.merge
            )
            network.projections[-1] = replace(projection, location=location)

        self.attempt(location, add)

    def array(self, location: Location, given: str | list[Any], expected: str) -> Any:
        """An inline list as it is, or the single array of a .npy or .npz file."""
        if not isinstance(given, str):
            return given
        content = self.load(location, given, expected)
        if isinstance(content, Mapping):
            if len(content) != 1:
                names = ", ".join(sorted(content)) or "none"
                self.complain(location, f"{given} holds the arrays {names}; exactly one was expected")
                return np.zeros(0, np.int64)
            return next(iter(content.values()))
        return content

    def edges(self, location: Location, given: str | list[list[int | float]]) -> Any:
        """Edges as a mapping of arrays, or rows."""
        if not isinstance(given, str):
            return given
        content = self.load(location, given, EDGES)
        return content if isinstance(content, Mapping) else {}

    def load(self, location: Location, name: str, expected: str) -> Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]:
        """The arrays of a file; a text that names none is a fault of its own, as it may have been meant as a value."""
        if not name.endswith(ARRAY_SUFFIXES):
            self.complain(location, f"is {name!r}; {expected} was expected")
            return np.zeros(0, np.int64)
        try:
            return read_arrays(self.folder / name)
        except InputError as error:
            for problem in error.problems:
                self.complain(location, problem)
            return np.zeros(0, np.int64)


def read_arrays(path: Path) -> Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]:
    """The array of a .npy file or the arrays of a .npz file. Raises InputError for anything else, pickles included."""
    if path.suffix not in ARRAY_SUFFIXES:
        raise InputError(f"{path} is neither a .npy nor a .npz file")
    with open_input(path):
        pass
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path} unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except InputError:
        raise
    except (*ARRAY_FAULTS, zipfile.BadZipFile, tokenize.TokenError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a {path.suffix} file: {reason}") from error

"""Networks in YAML (format: docs/network-yaml.md), read into a :class:`Network` with arrays from the files beside it."""

from __future__ import annotations

import tokenize
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neurocore.architecture import Architecture
from neurocore.compiler.faults import Faults
from neurocore.compiler.network import Conv2d, Network
from neurocore.compiler.nirfile import NirOptions, is_nir, load_nir
from neurocore.compiler.quantise import Quantise
from neurocore.container import open_input
from neurocore.errors import InputError, NeurocoreError
from neurocore.yamlfile import Document, Location, describe, field_name, read_yaml

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
MAX_BYTES = 8 << 30
"""An array file that unpacks to more than this is refused."""

Int = Annotated[int, Field(strict=True)]
Float = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Shape = Annotated[list[Annotated[int, Field(strict=True, ge=1)]], Field(min_length=1)]
File = Text
PerNeuron = Int | Float | list[Int | Float] | File
FlagPerNeuron = Flag | list[Flag] | File
ModePerNeuron = Text | list[Text]


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


class _OneToOne(_Part):
    one_to_one: Int | Float


class _AllToAll(_Part):
    all_to_all: Int | Float


class _Conv2d(_Part):
    kernel: File | list[Any]
    stride: Int | list[Int] = 1
    padding: Int | list[Int] = 0
    groups: Int = 1


class _Projection(_Part):
    source: Text
    target: Text
    weights: File | list[list[Int | Float]] | _OneToOne | _AllToAll | None = None
    edges: File | list[list[Int | Float]] | None = None
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
    spike_rates: dict[str, Float] = {}
    quantise: Text | dict[Text, Int | Flag] | None = None
    fan_in: Literal["refuse", "dilate", "thermometer", "carry"] = "refuse"


def load_network(
    path: str | Path, chip: str | Path | Architecture = "truenorth", options: NirOptions | None = None
) -> Network:
    """Read a network file, YAML or NIR; ``chip`` and ``options`` are for NIR (see :func:`neurocore.compiler.nirfile.load_nir`).

    Raises InputError that lists every fault, in YAML as ``file:line:column: field: reason``.
    """
    if is_nir(path):
        return load_nir(path, chip, options)
    document = read_yaml(path)
    try:
        content = _File.model_validate(document.data)
    except ValidationError as error:
        raise InputError(_without_branches(error, document)) from error
    return _Reader(document, content).build()


def _without_branches(error: ValidationError, document: Document) -> list[str]:
    """Faults in file order; where a value may be one of several kinds, the complaints of all kinds become one."""
    kept: dict[Location, dict[str, Any]] = {}
    for item in error.errors():
        location = tuple(part for part in item["loc"] if isinstance(part, str | int))
        while location and location not in document.positions and item["type"] not in ("missing", "extra_forbidden"):
            location = location[:-1]
        if item["type"] in ("missing", "extra_forbidden"):
            parts = [part for part in location if not _is_branch(part)]
            location = tuple(parts)
        if location in kept and kept[location]["msg"] != item["msg"]:
            found = kept[location].get("input")
            kept[location] = {
                **item,
                "loc": location,
                "msg": "Value is of no kind that is allowed here",
                "input": found,
            }
        elif location not in kept:
            kept[location] = {**item, "loc": location}
    return list(dict.fromkeys(describe(kept.values(), document)))


def _is_branch(part: str | int) -> bool:
    """Whether a part of an error's location names a branch of a union, not a key of the file."""
    return isinstance(part, str) and (part.startswith("_") or "[" in part or part in ("int", "float", "str", "bool"))


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
                self.complain(location, problem)

    def neuron(self, population: str, neuron: _Neuron) -> dict[str, Any]:
        values = {name: value for name, value in neuron if value is not None}
        for name, value in values.items():
            if isinstance(value, str) and name not in ("reset_mode", "floor_mode"):
                values[name] = self.array(("populations", population, "neuron", name), value)
        return values

    def connect(self, network: Network, number: int, item: _Projection) -> None:
        location: Location = ("projections", number)
        forms: dict[str, Any] = {}
        if isinstance(item.weights, _OneToOne | _AllToAll):
            forms.update(item.weights.model_dump())
        elif item.weights is not None:
            forms["weights"] = self.array((*location, "weights"), item.weights)
        elif item.edges is not None:
            forms["edges"] = self.edges((*location, "edges"), item.edges)
        elif item.conv2d is not None:
            kernel = self.array((*location, "conv2d", "kernel"), item.conv2d.kernel)
            forms["conv2d"] = Conv2d(kernel, item.conv2d.stride, item.conv2d.padding, item.conv2d.groups)

        def add() -> None:
            projection = network.connect(
                item.source, item.target, **forms, delay=item.delay, stochastic=item.stochastic, merge=item.merge
            )
            network.projections[-1] = replace(projection, location=location)

        self.attempt(location, add)

    def array(self, location: Location, given: str | list[Any]) -> Any:
        """An inline list as it is, or the single array of a .npy or .npz file."""
        if not isinstance(given, str):
            return given
        content = self.load(location, given)
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
        content = self.load(location, given)
        return content if isinstance(content, Mapping) else {}

    def load(self, location: Location, name: str) -> Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]:
        try:
            return read_arrays(self.folder / name)
        except InputError as error:
            for problem in error.problems:
                self.complain(location, problem)
            return np.zeros(0, np.int64)


def read_arrays(path: Path) -> Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]:
    """The array of a .npy file or the arrays of a .npz file. Raises InputError for anything else, pickles included."""
    if path.suffix not in (".npy", ".npz"):
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

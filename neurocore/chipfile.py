"""Chip files: a :class:`ChipConfig` in neurocore's HDF5 container.

Layout, version 1: data set ``description`` (JSON: name, seed, latency, dilation, groups, notes, the whole chip definition), group
``cores`` with one contiguous data set per array of :class:`neurocore.config.Cores`, group ``input_map``, data set ``timing``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from neurocore import container
from neurocore.architecture import Architecture
from neurocore.config import ChipConfig, Cores, Group, InputMap, array_layout, array_shape
from neurocore.errors import InputError
from neurocore.memory import aligned

if TYPE_CHECKING:
    import h5py

VERSION = 1
KIND = "chip"

Array = npt.NDArray[Any]
T = TypeVar("T")


def save_chip(chip: ChipConfig, path: str) -> None:
    """Write a chip file atomically. Raises InputError for a chip that is not valid, OutputError if it cannot be written."""
    chip.validate()

    def fill(file: h5py.File) -> None:
        put_text(file, "description", _describe(chip))
        put_arrays(file.create_group("cores"), {item.name: getattr(chip.cores, item.name) for item in fields(Cores)})
        entries = {item.name: getattr(chip.input_map, item.name) for item in fields(InputMap)}
        put_arrays(file.create_group("input_map"), {name: values.astype(np.int64) for name, values in entries.items()})
        put_arrays(file, {"timing": chip.timing.astype(np.int64)})

    container.write(path, KIND, VERSION, fill)


def load_chip(path: str) -> ChipConfig:
    """Read and validate a chip file. Raises InputError that says what is wrong with it."""
    with container.open_checked(path, KIND, VERSION) as file:
        return checked(path, lambda: _read(file)).validate()


def checked(path: str, read: Callable[[], T]) -> T:
    """The result of ``read``; whatever a malformed file makes it stumble over becomes an InputError."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, OSError) as error:
        if isinstance(error, InputError):
            raise InputError([f"{path}: {problem}" for problem in error.problems]) from error
        raise InputError(f"{path}: its contents are not as this version writes them: {error}") from error


def _read(file: h5py.File) -> ChipConfig:
    text = json.loads(get_text(file, "description"))
    arch = parse_embedded(text["architecture"])
    n = file["cores/core"].shape[0]
    if n > arch.n_cores:
        raise InputError(f"it holds {n} cores; {arch.name!r} has {arch.n_cores}")
    cores = {
        name: get_array(file["cores"], name, dtype, array_shape(arch, dimensions, n))
        for name, (dimensions, dtype) in array_layout(arch).items()
    }
    entries = {item.name: get_array(file["input_map"], item.name, np.int64) for item in fields(InputMap)}
    return ChipConfig(
        architecture=arch,
        cores=Cores(**cores),
        inputs=parse_groups(text["inputs"]),
        outputs=parse_groups(text["outputs"]),
        populations=parse_groups(text["populations"]),
        input_map=InputMap(**entries),
        name=str(text["name"]),
        seed=int(text["seed"]),
        latency=int(text["latency"]),
        dilation=int(text.get("dilation", 1)),
        timing=get_array(file, "timing", np.int64),
        network_digest=str(text["network_digest"]),
        notes=tuple((str(key), str(value)) for key, value in text["notes"]),
    )


def _describe(chip: ChipConfig) -> str:
    return json.dumps(
        {
            "name": chip.name,
            "seed": chip.seed,
            "latency": chip.latency,
            "dilation": chip.dilation,
            "network_digest": chip.network_digest,
            "inputs": describe_groups(chip.inputs),
            "outputs": describe_groups(chip.outputs),
            "populations": describe_groups(chip.populations),
            "notes": [list(note) for note in chip.notes],
            "architecture": chip.architecture.model_dump(mode="json"),
        },
        indent=1,
    )


def parse_embedded(data: Any) -> Architecture:
    """The chip definition that a chip or run file carries."""
    try:
        return Architecture.model_validate(data)
    except ValidationError as error:
        listed = [
            f"the embedded chip definition: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        ]
        raise InputError(listed) from error


def describe_groups(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    """Groups as plain data."""
    return [{"name": group.name, "shape": list(group.shape), "start": group.start} for group in groups]


def parse_groups(data: Any) -> tuple[Group, ...]:
    """Groups from plain data; names are text, shapes and starts whole numbers."""
    return tuple(
        Group(str(item["name"]), tuple(int(size) for size in item["shape"]), int(item["start"])) for item in data
    )


def put_text(group: h5py.Group, name: str, text: str) -> None:
    """Store UTF-8 text as one fixed-length string."""
    group.create_dataset(name, data=np.bytes_(text.encode()))


def get_text(group: h5py.Group, name: str) -> str:
    """Text stored by :func:`put_text`."""
    return bytes(group[name][()]).decode()


def put_arrays(group: h5py.Group, arrays: dict[str, Array]) -> None:
    """Store arrays as contiguous data sets, booleans as bytes."""
    for name, values in arrays.items():
        stored = values.view(np.uint8) if values.dtype == bool else values
        group.create_dataset(name, data=np.ascontiguousarray(stored), track_times=False)


def get_array(group: h5py.Group, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...] | None = None) -> Array:
    """An array stored by :func:`put_arrays`; its type and, if given, its shape are checked before it is read."""
    kind, data = np.dtype(dtype), group[name]
    stored = np.dtype(np.uint8) if kind == np.bool_ else kind
    if data.dtype != stored:
        raise InputError(f"data set {data.name!r} holds {data.dtype}; {stored} was expected")
    if shape is not None and data.shape != shape:
        raise InputError(f"data set {data.name!r} has shape {data.shape}; {shape} was expected")
    if data.chunks is not None:
        raise InputError(f"data set {data.name!r} is not contiguous")
    values = aligned(data.shape, stored)
    if values.size:
        data.read_direct(values)
    if kind == np.bool_:
        if values.size and values.max() > 1:
            raise InputError(f"data set {data.name!r} holds values other than 0 and 1")
        return values.view(bool)
    return values

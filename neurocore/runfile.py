"""Run files: a :class:`RunResult` in neurocore's HDF5 container.

Layout, version 1: data set ``description`` (JSON), groups ``chip`` (what the reports need of the chip), ``spikes``, ``cores``
(counters), ``probes/NAME``, data sets ``neuron_spikes``, ``population_events``, ``membranes``. Times, threads and host stand
only under ``provenance``: all else is equal for equal inputs.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurocore import container
from neurocore.chipfile import (
    checked,
    describe_groups,
    get_array,
    get_text,
    parse_embedded,
    parse_groups,
    put_arrays,
    put_text,
)
from neurocore.config import OUTPUT
from neurocore.errors import InputError
from neurocore.recording import BLOCK_BYTES, Column, Recording, check_lengths, columns_of
from neurocore.result import ChipFacts, CoreCounters, ProbeRecord, RunResult
from neurocore.spikes import Spikes

if TYPE_CHECKING:
    import h5py

Array = npt.NDArray[Any]

VERSION = 1
KIND = "run"


Fetch = Callable[[str, npt.DTypeLike, tuple[int, ...] | None], Array]
"""Gives the array of a name; its type and, unless None, its shape are checked."""


def save_run(run: RunResult, path: str) -> None:
    """Write a run file atomically. Raises OutputError if it cannot be written."""
    save_recording(Recording.of(run), path)


def save_recording(recording: Recording, path: str) -> None:
    """Write a run file atomically, column by column and block by block. Raises OutputError if it cannot be written."""
    container.write(path, KIND, VERSION, lambda file: put_recording(file, recording))


def load_run(path: str) -> RunResult:
    """Read a run file. Raises InputError that says what is wrong with it."""
    with container.open_checked(path, KIND, VERSION) as file:
        return checked(path, lambda: get_recording(file).result())


def load_head(path: str) -> RunResult:
    """Read all of a run file but its spikes and probes, which may be long and which no report needs."""
    with container.open_checked(path, KIND, VERSION) as file:
        return checked(path, lambda: get_recording(file).head)


def put_recording(file: h5py.Group, recording: Recording) -> None:
    """Store a run in a file or group."""
    head = recording.head
    put_text(file, "description", describe(head))
    put_text(file, "provenance", _provenance(head))
    put_arrays(file, {**fixed_arrays(head), **tally_arrays(head)})
    for name, column in recording.columns.items():
        _put_column(file, name, column)


def _put_column(file: h5py.Group, name: str, column: Column) -> None:
    shape = (column.length, *column.tail)
    data = file.create_dataset(name, shape, column.dtype, track_times=False)
    start = 0
    for block in column.blocks() if data.size else ():
        data[start : start + len(block)] = block
        start += len(block)
    assert start == column.length or not data.size


def _get_column(file: h5py.Group, name: str, dtype: npt.DTypeLike, tail: tuple[int, ...]) -> Column:
    data = file[name]
    if data.dtype != np.dtype(dtype) or data.shape[1:] != tail or len(data.shape) != 1 + len(tail):
        raise InputError(f"data set {data.name!r} holds {data.dtype} {data.shape}; {np.dtype(dtype)} was expected")
    if data.chunks is not None:
        raise InputError(f"data set {data.name!r} is not contiguous")
    rows = max(1, BLOCK_BYTES // max(1, data.dtype.itemsize * int(np.prod(tail))))

    def blocks() -> Iterator[Array]:
        for start in range(0, len(data) if data.size else 0, rows):
            yield data[start : start + rows]

    return Column(np.dtype(dtype), tail, len(data), blocks)


def fixed_arrays(head: RunResult) -> dict[str, Array]:
    """Arrays that are the same from the first tick to the last: facts of the chip and shifts of the probes."""
    chip = {f"chip/{name}": getattr(head.chip, name) for name in ("core", "target_core", "target_axon", "population")}
    return chip | {f"probes/{number}/shift": probe.shift for number, probe in enumerate(head.probes.values())}


def tally_arrays(head: RunResult) -> dict[str, Array]:
    """Arrays that change with every tick and keep their size: counters and membranes."""
    counters = {f"cores/{item.name}": getattr(head.cores, item.name) for item in fields(CoreCounters)}
    return counters | {name: getattr(head, name) for name in ("neuron_spikes", "population_events", "membranes")}


def column_kinds(head: RunResult) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Type and shape of a row of each column that a run has."""
    return {name: (values.dtype.type, values.shape[1:]) for name, values in columns_of(head).items()}


def describe(run: RunResult) -> str:
    """What a run file says of a run in JSON."""
    return json.dumps(
        {
            "ticks": run.ticks,
            "first_tick": run.first_tick,
            "seed": run.seed,
            "output_merges": run.output_merges,
            "probes": list(run.probes),
            "chip": {
                "name": run.chip.name,
                "digest": run.chip.digest,
                "network_digest": run.chip.network_digest,
                "latency": run.chip.latency,
                "dilation": run.chip.dilation,
                "inputs": describe_groups(run.chip.inputs),
                "outputs": describe_groups(run.chip.outputs),
                "populations": describe_groups(run.chip.populations),
                "architecture": run.chip.architecture.model_dump(mode="json"),
            },
        },
        indent=1,
    )


def _provenance(run: RunResult) -> str:
    from neurocore import __version__

    host = {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()}
    return json.dumps(
        {"neurocore": __version__, "seconds": run.seconds, "threads": run.threads, "ranks": 1, **host}, indent=1
    )


def get_recording(file: h5py.Group) -> Recording:
    """A run stored by :func:`put_recording`; its columns can be read as long as the file is open."""
    text, timing = json.loads(get_text(file, "description")), json.loads(get_text(file, "provenance"))
    widths = {name: file[f"probes/{number}/membranes"].shape[1] for number, name in enumerate(text["probes"])}

    def fetch(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...] | None) -> Array:
        return get_array(file, name, dtype, shape)

    head = read_head(text, timing, widths, fetch)
    columns = {name: _get_column(file, name, *kind) for name, kind in column_kinds(head).items()}
    check_lengths(head, columns)
    return Recording(head, columns)


def read_head(text: dict[str, Any], timing: dict[str, Any], widths: dict[str, int], fetch: Fetch) -> RunResult:
    """A run without its columns, out of what :func:`describe` gave and its arrays.

    ``widths`` are the probes' numbers of membranes. Raises InputError for numbers that no run leaves behind.
    """
    chip = _read_chip(text["chip"], fetch)
    n, arch = len(chip.core), chip.architecture
    counters = {item.name: fetch(f"cores/{item.name}", np.int64, (n,)) for item in fields(CoreCounters)}
    probes = {
        str(name): ProbeRecord(
            Spikes.empty(),
            np.zeros((0, int(widths[name])), np.int32),
            fetch(f"probes/{number}/shift", np.int64, None),
            chip.dilation,
        )
        for number, name in enumerate(text["probes"])
    }
    ticks, first_tick = int(text["ticks"]), int(text["first_tick"])
    neuron_spikes = fetch("neuron_spikes", np.int64, (n, arch.core.neurons))
    if min(ticks, first_tick) < 0 or any((values < 0).any() for values in (neuron_spikes, *counters.values())):
        raise InputError("its counts are negative")
    return RunResult(
        chip=chip,
        ticks=ticks,
        first_tick=first_tick,
        seed=int(text["seed"]),
        spikes=Spikes.empty(),
        output_merges=int(text["output_merges"]),
        cores=CoreCounters(**counters),
        neuron_spikes=neuron_spikes,
        population_events=fetch("population_events", np.int64, (len(chip.populations) + 1,)),
        membranes=fetch("membranes", np.int32, (n, arch.core.neurons)),
        probes=probes,
        seconds=float(timing["seconds"]),
        threads=int(timing["threads"]),
    )


def _read_chip(text: dict[str, object], fetch: Fetch) -> ChipFacts:
    arch = parse_embedded(text["architecture"])
    core = fetch("chip/core", np.int32, None)
    shape = (len(core), arch.core.neurons)
    target_core = fetch("chip/target_core", np.int32, shape)
    population = fetch("chip/population", np.int32, shape)
    populations = parse_groups(text["populations"])
    for name, values, low, high in (
        ("core", core, 0, arch.n_cores),
        ("target_core", target_core, OUTPUT, arch.n_cores),
        ("population", population, -2, len(populations)),
    ):
        if values.size and (values.min() < low or values.max() >= high):
            raise InputError(f"data set {name!r} holds numbers outside {low}..{high - 1}")
    dilation = int(str(text.get("dilation", 1)))
    if dilation < 1:
        raise InputError(f"its dilation is {dilation}; it is at least 1")
    return ChipFacts(
        name=str(text["name"]),
        digest=str(text["digest"]),
        network_digest=str(text["network_digest"]),
        architecture=arch,
        latency=int(str(text["latency"])),
        dilation=dilation,
        inputs=parse_groups(text["inputs"]),
        outputs=parse_groups(text["outputs"]),
        populations=populations,
        core=core,
        target_core=target_core,
        target_axon=fetch("chip/target_axon", np.int32, shape),
        population=population,
    )

"""Run files: a :class:`RunResult` in neurocore's HDF5 container.

Layout, version 1: data set ``description`` (JSON), groups ``chip`` (what the reports need of the chip), ``spikes``, ``cores``
(counters), ``probes/NAME``, data sets ``neuron_spikes``, ``population_events``, ``membranes``. Times, threads and host stand
only under ``provenance``: all else is equal for equal inputs.
"""

from __future__ import annotations

import json
import platform
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

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
from neurocore.result import ChipFacts, CoreCounters, ProbeRecord, RunResult
from neurocore.spikes import Spikes

if TYPE_CHECKING:
    import h5py

VERSION = 1
KIND = "run"


def save_run(run: RunResult, path: str) -> None:
    """Write a run file atomically. Raises OutputError if it cannot be written."""
    container.write(path, KIND, VERSION, lambda file: put_run(file, run))


def load_run(path: str) -> RunResult:
    """Read a run file. Raises InputError that says what is wrong with it."""
    with container.open_checked(path, KIND, VERSION) as file:
        return checked(path, lambda: get_run(file))


def put_run(file: h5py.Group, run: RunResult) -> None:
    """Store a run in a file or group."""
    put_text(file, "description", _describe(run))
    put_text(file, "provenance", _provenance(run))
    facts = ("core", "target_core", "target_axon", "population")
    put_arrays(file.create_group("chip"), {name: getattr(run.chip, name) for name in facts})
    _put_spikes(file.create_group("spikes"), run.spikes)
    put_arrays(file.create_group("cores"), {item.name: getattr(run.cores, item.name) for item in fields(CoreCounters)})
    names = ("neuron_spikes", "population_events", "membranes")
    put_arrays(file, {name: getattr(run, name) for name in names})
    probes = file.create_group("probes")
    for number, probe in enumerate(run.probes.values()):
        group = probes.create_group(str(number))
        _put_spikes(group, probe.spikes)
        put_arrays(group, {"membranes": probe.membranes, "shift": probe.shift})


def _put_spikes(group: h5py.Group, spikes: Spikes) -> None:
    put_arrays(group, {"tick": spikes.tick, "line": spikes.line})


def _get_spikes(group: h5py.Group) -> Spikes:
    return Spikes.from_lines(get_array(group, "tick", np.int64), get_array(group, "line", np.int64))


def _describe(run: RunResult) -> str:
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


def get_run(file: h5py.Group) -> RunResult:
    """A run stored by :func:`put_run`."""
    text = json.loads(get_text(file, "description"))
    timing = json.loads(get_text(file, "provenance"))
    chip = _read_chip(file["chip"], text["chip"])
    n, arch = len(chip.core), chip.architecture
    counters = {item.name: get_array(file["cores"], item.name, np.int64, (n,)) for item in fields(CoreCounters)}
    probes = {
        str(name): ProbeRecord(
            _get_spikes(file[f"probes/{number}"]),
            get_array(file[f"probes/{number}"], "membranes", np.int32),
            get_array(file[f"probes/{number}"], "shift", np.int64),
        )
        for number, name in enumerate(text["probes"])
    }
    ticks, first_tick = int(text["ticks"]), int(text["first_tick"])
    neuron_spikes = get_array(file, "neuron_spikes", np.int64, (n, arch.core.neurons))
    if min(ticks, first_tick) < 0 or any((values < 0).any() for values in (neuron_spikes, *counters.values())):
        raise InputError("its counts are negative")
    return RunResult(
        chip=chip,
        ticks=ticks,
        first_tick=first_tick,
        seed=int(text["seed"]),
        spikes=_get_spikes(file["spikes"]),
        output_merges=int(text["output_merges"]),
        cores=CoreCounters(**counters),
        neuron_spikes=neuron_spikes,
        population_events=get_array(file, "population_events", np.int64, (len(chip.populations) + 1,)),
        membranes=get_array(file, "membranes", np.int32, (n, arch.core.neurons)),
        probes=probes,
        seconds=float(timing["seconds"]),
        threads=int(timing["threads"]),
    )


def _read_chip(group: h5py.Group, text: dict[str, object]) -> ChipFacts:
    arch = parse_embedded(text["architecture"])
    core = get_array(group, "core", np.int32)
    shape = (len(core), arch.core.neurons)
    target_core = get_array(group, "target_core", np.int32, shape)
    population = get_array(group, "population", np.int32, shape)
    populations = parse_groups(text["populations"])
    for name, values, low, high in (
        ("core", core, 0, arch.n_cores),
        ("target_core", target_core, OUTPUT, arch.n_cores),
        ("population", population, -2, len(populations)),
    ):
        if values.size and (values.min() < low or values.max() >= high):
            raise InputError(f"data set {name!r} holds numbers outside {low}..{high - 1}")
    return ChipFacts(
        name=str(text["name"]),
        digest=str(text["digest"]),
        network_digest=str(text["network_digest"]),
        architecture=arch,
        latency=int(str(text["latency"])),
        inputs=parse_groups(text["inputs"]),
        outputs=parse_groups(text["outputs"]),
        populations=populations,
        core=core,
        target_core=target_core,
        target_axon=get_array(group, "target_axon", np.int32, shape),
        population=population,
    )

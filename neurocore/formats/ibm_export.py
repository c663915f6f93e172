"""Writes a chip as a model file of IBM's Corelet Programming Environment.

Every different crossbar becomes one entry of ``crossbarTypes``, every different set of parameters one of ``neuronTypes``. What
:func:`neurocore.formats.ibm.read_model` makes of the file is described there; a chip that it made comes back unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, load_architecture
from neurocore.config import NOWHERE, OUTPUT, ChipConfig
from neurocore.container import StrPath, atomic_path
from neurocore.errors import InputError, OutputError
from neurocore.formats.ibm_parts import COLUMNS, NEURON_CLASS
from neurocore.formats.ibm_ranges import compress
from neurocore.formats.ibm_spikes import output_map

Array = npt.NDArray[Any]

FILE_NAME = "model.json"
"""Name of the file if only a folder is given."""

_FAMILY = "truenorth"
_SEEDS = 2**32


def family_problems(arch: Architecture) -> list[str]:
    """In which parts a chip's cores differ from TrueNorth's, one sentence each; the size of the mesh is free."""
    model = load_architecture(_FAMILY)
    pairs = [
        (f"{part}.{name}", getattr(getattr(arch, part), name), getattr(getattr(model, part), name))
        for part in ("core", "neuron", "rules")
        for name in type(getattr(model, part)).model_fields
    ]
    pairs.append(("routing.delay", arch.routing.delay, model.routing.delay))
    return [
        f"its {name} is {found}; IBM's model files describe cores of {_FAMILY!r}, which have {expected}"
        for name, found, expected in pairs
        if found != expected
    ]


def write_model(chip: ChipConfig, path: StrPath) -> tuple[str, ...]:
    """Write ``path``, or ``model.json`` in it if it is a folder or has no ending; returns what the format leaves out.

    Raises InputError that says why a chip cannot be expressed: cores other than TrueNorth's, or a reset value R not of the
    form sigma_VR (2^VR - 1) in a neuron that uses it. Raises OutputError if the file cannot be written.
    """
    problems = [
        f"{chip.name!r} is for {chip.architecture.name!r}: {text}" for text in family_problems(chip.architecture)
    ]
    if not problems:
        chip.validate()
        problems = _reset_problems(chip)
    if problems:
        raise InputError(problems)
    target = os.fspath(path)
    if os.path.isdir(target) or not os.path.splitext(target)[1]:
        try:
            os.makedirs(target, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{target} cannot be made: {error.strerror or error}; choose another folder") from error
        target = os.path.join(target, FILE_NAME)
    with atomic_path(target) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        _write(chip, file)
    return tuple(_losses(chip))


def _expressible(reset: Array) -> Array:
    """Whether R is a power of two less one, of either sign."""
    size = np.abs(reset.astype(np.int64))
    return np.asarray(size & (size + 1) == 0)


def _reset_problems(chip: ChipConfig) -> list[str]:
    cores = chip.cores
    wrong = cores.configured & (cores.reset_mode == 0) & ~_expressible(cores.reset)
    if not wrong.any():
        return []
    row, neuron = (int(index[0]) for index in np.nonzero(wrong))
    x, y = chip.architecture.core_xy(int(cores.core[row]))
    others = int(wrong.sum()) - 1
    more = f" ({others} more like it)" if others else ""
    return [
        f"core ({x}, {y}): neuron {neuron} is reset to R = {int(cores.reset[row, neuron])}; IBM's model files hold"
        f" R = sigma_VR (2^VR - 1), such as 0, 1, 3, 7 or -7: change the reset value{more}"
    ]


def _losses(chip: ChipConfig) -> Iterator[str]:
    cores, reader_names = chip.cores, [group.name for group in chip.populations]
    if chip.n_inputs:
        yield (
            f"the format has no input lines; the {chip.n_inputs} of {chip.name!r} are left out, and spikes must be given by"
            " core and axon"
        )
    if reader_names not in ([], ["neurons"]):
        yield f"the format has no populations; the names of {len(reader_names)} are left out"
    if chip.latency:
        yield f"the format does not say that output spikes come {chip.latency} ticks late"
    if chip.dilation != 1:
        yield f"the format does not say that {chip.dilation} ticks of the chip are one of its network"
    if chip.n_outputs:
        led = np.zeros(chip.n_outputs, bool)
        led[cores.target_axon[cores.target_core == OUTPUT]] = True
        if not led.all():
            yield f"{int((~led).sum())} output lines that no neuron leads to are left out"
    random = cores.weight_stochastic.any(axis=(1, 2)) | cores.leak_stochastic.any(axis=1)
    random |= cores.threshold_mask_bits.any(axis=1)
    moved = random & (cores.stream // np.uint64(_SEEDS) != cores.core.astype(np.uint64))
    if random.any() and (moved.any() or chip.seed):
        yield "the random streams are numbered anew; stochastic neurons will draw other numbers"
    mute = cores.configured & ~_expressible(cores.reset)
    if mute.any():
        yield f"{int(mute.sum())} reset values that their reset modes never use are written as 0"


def _write(chip: ChipConfig, file: IO[str]) -> None:
    parameters, kind = _types(chip)
    names = _crossbar_names(chip)
    file.write("{\n")
    head = {
        "coreCount": len(chip.cores),
        "neuronclass": NEURON_CLASS,
        "crossbarSize": chip.architecture.core.axons,
        "crossbarclass": "CrossbarBinary",
        "networking": "INTRA",
        "useCrossbarPrototypes": True,
    }
    file.write(f'"model": {json.dumps(head)},\n"crossbarTypes": [')
    written: set[str] = set()
    for row, name in enumerate(names):
        if name not in written:
            file.write(("," if written else "") + "\n" + _crossbar(chip, row, name))
            written.add(name)
    file.write('\n],\n"neuronTypes": [\n')
    file.write(",\n".join(_type_text(number, values) for number, values in enumerate(parameters.tolist(), 1)))
    file.write("\n]")
    connectors = output_map(chip)
    for row, name in enumerate(names):
        file.write(",\n" + _core(chip, row, name, kind[row], connectors.core, connectors.axon))
    file.write("\n}\n")


# Crossbars


def _crossbar_names(chip: ChipConfig) -> list[str]:
    """Name of each core's crossbar; equal ones share it."""
    numbers: dict[bytes, int] = {}
    names = []
    for words, types in zip(chip.cores.crossbar, chip.cores.axon_type, strict=True):
        key = hashlib.sha256(words.tobytes() + types.tobytes()).digest()
        names.append(f"coreProt{numbers.setdefault(key, len(numbers) + 1):07d}")
    return names


def _crossbar(chip: ChipConfig, row: int, name: str) -> str:
    packed = np.packbits(chip.crossbar_bits(row), axis=1)
    rows = ",\n".join(
        f'{{"type": "S{kind}", "synapses": "{bits.tobytes().hex(" ").upper()}"}}'
        for kind, bits in zip(chip.cores.axon_type[row].tolist(), packed, strict=True)
    )
    return f'{{"name": "{name}", "crossbar": {{"rows": [\n{rows}\n]}}}}'


# Neuron types


def _types(chip: ChipConfig) -> tuple[Array, Array]:
    """The different parameter sets [k, len(COLUMNS)], and [n, N] the number (from 1) of each neuron's, 0 for unused ones."""
    cores, used = chip.cores, chip.cores.configured
    columns = []
    for name in COLUMNS:
        if name.startswith("weight"):
            values = cores.weight[:, int(name[-1])][used]
        elif name.startswith("stochastic"):
            values = cores.weight_stochastic[:, int(name[-1])][used]
        else:
            values = getattr(cores, name)[used]
        columns.append(values.astype(np.int32))
    reset = COLUMNS.index("reset")
    columns[reset] = np.where(_expressible(columns[reset]), columns[reset], 0)
    rows = np.stack(columns, axis=1)
    packed = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
    _, first, number = np.unique(packed, return_index=True, return_inverse=True)
    kind = np.zeros(used.shape, np.int64)
    kind[used] = number.reshape(-1) + 1
    return rows[first], kind


def _type_text(number: int, values: list[int]) -> str:
    found = dict(zip(COLUMNS, values, strict=True))
    weights = [found[f"weight{g}"] for g in range(4)]
    fields: dict[str, Any] = {"name": f"N{number:08X}", "class": NEURON_CLASS}
    fields |= {f"sigma{g}": _sign(weight) for g, weight in enumerate(weights)}
    fields |= {f"s{g}": abs(weight) for g, weight in enumerate(weights)}
    fields |= {f"b{g}": bool(found[f"stochastic{g}"]) for g in range(4)}
    fields |= {
        "sigma_lambda": _sign(found["leak"]),
        "lambda": abs(found["leak"]),
        "c_lambda": bool(found["leak_stochastic"]),
        "epsilon": bool(found["leak_reversal"]),
        "alpha": found["threshold"],
        "beta": found["floor"],
        "TM": found["threshold_mask_bits"],
        "gamma": found["reset_mode"],
        "kappa": bool(found["floor_mode"]),
        "sigma_VR": _sign(found["reset"]),
        "VR": abs(found["reset"]).bit_length(),
        "V": found["initial"],
    }
    return json.dumps(fields)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


# Cores


def _core(chip: ChipConfig, row: int, name: str, kind: Array, connector: Array, pin: Array) -> str:
    cores = chip.cores
    core = int(cores.core[row])
    target, axon = cores.target_core[row].astype(np.int64), cores.target_axon[row].astype(np.int64)
    output = target == OUTPUT
    axon = np.where(target == NOWHERE, 0, axon)
    target[output], axon[output] = connector[axon[output]], pin[axon[output]]
    delay = np.where(target >= 0, cores.delay[row], 1)
    fields = {
        "id": core,
        "timeScaleExponent": 0,
        "rngSeed": int(cores.stream[row]) % _SEEDS,
        "neurons": {
            "dendrites": compress(range(len(kind))),
            "types": compress(kind.tolist()),
            "destCores": compress(target.tolist()),
            "destAxons": compress(axon.tolist()),
            "destDelays": compress(delay.tolist()),
        },
        "crossbar": {"name": name},
    }
    return f'"core": {json.dumps(fields)}'

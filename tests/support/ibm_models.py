"""IBM model files in text, built from parts that tests change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurocore.config import ChipConfig
from neurocore.errors import InputError
from neurocore.formats.ibm import read_model

NEURON: dict[str, Any] = {
    "class": "NeuronGeneral",
    **{f"sigma{g}": 1 for g in range(4)},
    **{f"s{g}": g for g in range(4)},
    **{f"b{g}": False for g in range(4)},
    "sigma_lambda": -1,
    "lambda": 0,
    "c_lambda": False,
    "epsilon": False,
    "alpha": 1,
    "beta": 0,
    "TM": 0,
    "gamma": 0,
    "kappa": False,
    "sigma_VR": 1,
    "VR": 0,
    "V": 0,
}
ALL = {
    "dendrites": ["0:255"],
    "types": ["1x256"],
    "destCores": ["-32x256"],
    "destAxons": ["0:255"],
    "destDelays": ["1x256"],
}
NO_SYNAPSES = " ".join(["00"] * 32)


def crossbar_rows(changed: dict[int, Any] | None = None) -> list[Any]:
    rows: list[Any] = [{"type": "S0", "synapses": NO_SYNAPSES} for _ in range(256)]
    for axon, row in (changed or {}).items():
        rows[axon] = row
    return rows


def core(number: Any = 0, **parts: Any) -> dict[str, Any]:
    found = {"id": number, "timeScaleExponent": 0, "rngSeed": 7, "neurons": ALL, "crossbar": {"name": "p1"}, **parts}
    return {key: value for key, value in found.items() if value is not None}


def neuron_type(name: str = "N00000001", **parts: Any) -> dict[str, Any]:
    return {"name": name, **NEURON, **parts}


def model_text(
    cores: list[Any],
    types: list[Any] | None = None,
    head: Any = None,
    crossbars: list[Any] | None = None,
    before: str = "",
) -> str:
    library = [{"name": "p1", "crossbar": {"rows": crossbar_rows()}}] if crossbars is None else crossbars
    sections = [
        ("model", {"coreCount": len(cores), "crossbarSize": 256} if head is None else head),
        ("crossbarTypes", library),
        ("neuronTypes", [neuron_type()] if types is None else types),
        *(("core", item) for item in cores),
    ]
    members = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sections)
    return f"{{{before}{members}\n}}"


def load(file: Path, text: str) -> ChipConfig:
    file.write_text(text, encoding="utf-8")
    return read_model(file)[0]


def refusal(file: Path, text: str) -> list[str]:
    """The sentences that refuse a model, without the path of the file."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_model(file)
    return [problem.replace(f"{file}", "FILE") for problem in error.value.problems]

"""The fit of TrueNorth's energy constants: reaches its floor, and is what the chip definition holds."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from neurocore.architecture import Energy, load_architecture
from neurocore.power import EnergyModel

TOOL = Path(__file__).parents[2] / "tools" / "fit_energy.py"
FLOOR = 11 / 151
"""No model is nearer to both 70 and 81: 81 (1 - e) = 70 (1 + e)."""


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("fit_energy", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fit_energy"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fit_energy"]


@pytest.fixture(scope="module")
def model(tool: ModuleType) -> EnergyModel:
    fitted: EnergyModel = tool.fit()
    return fitted


def test_fit_reaches_the_floor(tool: ModuleType, model: EnergyModel) -> None:
    assert tool.worst_error(model) == pytest.approx(FLOOR, abs=1e-5)


def test_points_published_once_lie_nearer(tool: ModuleType, model: EnergyModel) -> None:
    others = [point for point in tool.POINTS if point.name != "five times"]
    assert tool.worst_error(model, others) == pytest.approx(0.06303, abs=1e-4)


def test_constants_are_within_their_bounds(tool: ModuleType, model: EnergyModel) -> None:
    for name, (low, high) in tool.BOUNDS.items():
        assert low <= getattr(model, name) <= high
    assert model.hop_pj == 2.3


def test_fit_does_not_depend_on_its_start(tool: ModuleType, model: EnergyModel) -> None:
    start = replace(tool.START, leakage_mw=0.006, leakage_exponent=3, neuron_update_pj=28.0, synaptic_event_pj=2.0)
    other = tool.fit(start=start)
    for name in tool.BOUNDS:
        assert getattr(other, name) == pytest.approx(getattr(model, name), rel=1e-3)


def test_rounded_constants_hold_every_point(tool: ModuleType, model: EnergyModel) -> None:
    rounded = tool.rounded(model)
    assert [point.name for point in tool.POINTS if abs(point.error(rounded)) > 0.08] == []
    assert rounded.neuron_update_pj == float(f"{model.neuron_update_pj:.4g}")


def test_chip_definition_holds_the_rounded_fit(tool: ModuleType, model: EnergyModel) -> None:
    energy = load_architecture("truenorth").energy
    assert energy is not None
    assert energy.model() == replace(tool.rounded(model), sources=energy.sources)


def test_yaml_is_an_energy_section(tool: ModuleType, model: EnergyModel) -> None:
    section = yaml.safe_load(tool.as_yaml(model))
    assert Energy.model_validate(section["energy"]).model() == model


def test_main_prints_the_table_and_succeeds(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main() == 0
    printed = capsys.readouterr().out
    assert printed.startswith("energy:\n  reference_voltage: 0.775 ")
    assert printed.endswith("\nlargest error 7.29 %, allowed 8 %\n")
    lines = printed.splitlines()
    assert sum("mW" in line and "%" in line and line.startswith("sweep") for line in lines) == 3
    assert "five times            0.75     5000    20.00  128         81     75.09 GSOPS/W    -7.29% *" in printed


def test_main_fails_beyond_the_limit(tool: ModuleType, model: EnergyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "fit", lambda: replace(model, leakage_mw=1.05 * model.leakage_mw))
    assert tool.main() == 1

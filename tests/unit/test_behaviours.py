"""The gallery of behaviours: each neuron has the defining property of its own, on both engines, and lacks those of others."""

from __future__ import annotations

from pathlib import Path

import pytest

import neurocore as nc
from behaviour import FOLDER, Cell, stimuli
from behaviour_checks import CHECKS

RELATED = {"inhibition_induced_spiking": {"rebound_spike"}}


@pytest.mark.parametrize("engine", ["compiled", "oracle"])
@pytest.mark.parametrize("name", CHECKS)
def test_behaviour(name: str, engine: str) -> None:
    CHECKS[name](Cell(name, engine=engine))


@pytest.mark.parametrize("name", CHECKS)
def test_check_rejects_another_behaviour(name: str) -> None:
    """A check that any neuron passes would show nothing."""
    other = "phasic_spiking" if name == "tonic_spiking" else "tonic_spiking"
    with pytest.raises(AssertionError):
        CHECKS[name](Cell(other))


def test_gallery_is_complete() -> None:
    networks = {path.stem for path in Path(FOLDER).glob("*.yaml")} - {"stimuli"}
    assert networks == set(CHECKS) == set(stimuli())


@pytest.mark.parametrize("name", CHECKS)
def test_networks_are_small(name: str) -> None:
    network = nc.load_network(Path(FOLDER) / f"{name}.yaml")
    assert 1 <= sum(population.size for population in network.populations.values()) <= 3


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'neurocore[plot]'")
    from gallery import draw, draw_all

    draw("resonator", tmp_path)
    assert (tmp_path / "resonator.svg").read_text().count("<svg") == 1
    draw_all(["integrator", "bistability"], tmp_path)
    assert (tmp_path / "overview.svg").exists()

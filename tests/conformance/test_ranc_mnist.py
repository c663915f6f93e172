"""Trained networks of RANC's hardware test bench, whose Verilog gave the same output."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from neurocore.emulator import Emulator
from neurocore.formats.ranc import export_ranc, output_text, read_hardware, read_ranc


@pytest.mark.parametrize("engine", ["compiled", "oracle"])
@pytest.mark.parametrize("case", ["tea_128", "vmm"])
def test_output_text(data: Path, case: str, engine: str) -> None:
    folder = data / "ranc_mnist" / case
    ticks = json.loads((folder / "meta.json").read_text())["ticks"]
    chip, spikes, _ = read_ranc(folder / "input.json.gz", folder / "config.json")
    run = Emulator(chip, engine=engine).run(spikes, ticks)
    assert output_text(run).encode() == gzip.decompress((folder / "output.txt.gz").read_bytes())


@pytest.mark.parametrize("case", ["tea_128", "vmm"])
def test_memory_images(data: Path, tmp_path: Path, case: str) -> None:
    """Written as memory images and read back, the network still does the same."""
    folder = data / "ranc_mnist" / case
    ticks = json.loads((folder / "meta.json").read_text())["ticks"]
    chip, spikes, _ = read_ranc(folder / "input.json.gz", folder / "config.json")
    assert export_ranc(chip, tmp_path, spikes=spikes).hardware_reasons == ()
    images, packets, _ = read_hardware(tmp_path)
    assert packets == spikes
    run = Emulator(images).run(packets, ticks)
    assert output_text(run).encode() == gzip.decompress((folder / "output.txt.gz").read_bytes())


def test_bus_is_found_without_being_told(data: Path, tmp_path: Path) -> None:
    folder = data / "ranc_mnist" / "tea_128"
    chip, spikes, _ = read_ranc(folder / "input.json.gz", folder / "config.json")
    export_ranc(chip, tmp_path, spikes=spikes)
    (tmp_path / "hardware.json").unlink()
    images, _, report = read_hardware(tmp_path, folder / "config.json")
    assert report.lines() == ["the output bus is taken to stand at (0, 3), with 120 lines"]
    assert images.digest() == read_hardware(tmp_path, folder / "config.json")[0].digest()
    assert len(images.cores) == 31

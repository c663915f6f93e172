"""RANC: its simulator's input and output and its FPGA memory images, read into chips and written back.

RANC is an academic reimplementation of TrueNorth (github.com/UA-RCL/RANC). Its clock begins at 1: neurocore tick t is RANC
tick t + 1. ``packets[i]`` with delay field k is active in tick i + k; a neuron's field k is a delay of k + 1 ticks; packets
with the last field are lost, and reported.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from neurocore.config import ChipConfig
from neurocore.container import StrPath
from neurocore.errors import InputError, OutputError
from neurocore.formats.ranc_build import build_chip
from neurocore.formats.ranc_config import Report, read_config
from neurocore.formats.ranc_express import find_reasons
from neurocore.formats.ranc_hardware import hardware_names, hardware_reasons, write_hardware
from neurocore.formats.ranc_images import read_images
from neurocore.formats.ranc_output import output_text, write_output
from neurocore.formats.ranc_read import read_input
from neurocore.formats.ranc_write import Layout, PacketList, write_config, write_input
from neurocore.spikes import Spikes

__all__ = ["Exported", "Report", "export_ranc", "output_text", "read_hardware", "read_ranc", "write_output"]


def read_ranc(input_path: StrPath, config_path: StrPath) -> tuple[ChipConfig, Spikes, Report]:
    """Read ``input.json`` and ``config.json``, plain or gzip-compressed.

    Returns the chip, its input spikes (tick, core, axon) and what was noticed. Raises InputError that lists what is wrong,
    with JSON paths. Memory stays within about twice the chip's and the largest core's text.
    """
    report = Report()
    config = read_config(config_path, report)
    model = read_input(input_path, config, _stem(input_path), report)
    chip, spikes = build_chip(model, report, str(input_path))
    return chip, spikes, report


def read_hardware(folder: StrPath, config_path: StrPath | None = None) -> tuple[ChipConfig, Spikes, Report]:
    """Read a folder of ``csram_*.mem``, ``tc_*.mem`` and, if there, ``tb_input.txt`` with ``tb_num_inputs.txt``.

    ``config_path`` is a RANC ``config.json``, needed where no ``hardware.json`` stands beside the images. Returns and raises
    as :func:`read_ranc`. What the chip then does is what RANC's simulator does with the same numbers: 32-bit sums.
    """
    report = Report()
    config = None if config_path is None else os.fspath(config_path)
    model = read_images(os.fspath(folder), config, Path(folder).resolve().name, report)
    chip, spikes = build_chip(model, report, os.fspath(folder))
    return chip, spikes, report


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and why it wrote no hardware images if it did not."""

    files: tuple[str, ...]
    hardware_reasons: tuple[str, ...]


def export_ranc(
    chip: ChipConfig, folder: StrPath, *, spikes: Spikes | None = None, ticks: int | None = None
) -> Exported:
    """Write what RANC's simulator and its FPGA design read, into a folder that is made if it is missing.

    ``spikes`` become the packets; ``ticks`` is the length of the runs that must be the same. Raises InputError that says
    why RANC cannot express the chip, OutputError if a file cannot be written.
    """
    reasons = find_reasons(chip.validate(), ticks)
    if reasons:
        raise InputError([f"RANC cannot express {chip.name!r}: {reason}" for reason in reasons])
    path = os.fspath(folder)
    layout = Layout.of(chip)
    packets = PacketList.of(chip, layout, spikes if spikes is not None else Spikes.empty(network=False))
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error.strerror or error}; choose another folder") from error
    missing = hardware_reasons(chip, layout)
    _check_stale(path, [] if missing else hardware_names(layout))
    files = [write_config(layout, path), write_input(chip, layout, packets, path)]
    if not missing:
        files += write_hardware(chip, layout, packets, path)
    return Exported(tuple(files), tuple(missing))


def _check_stale(folder: str, names: list[str]) -> None:
    """Raise OutputError if the folder holds memory images of another export, which would be taken for this one's."""
    image = re.compile(r"(csram|tc)_\d+\.mem|hardware\.json|tb_input\.txt|tb_num_inputs\.txt")
    stale = [name for name in sorted(os.listdir(folder)) if image.fullmatch(name) and name not in names]
    if stale:
        raise OutputError(
            f"{folder} holds {stale[0]} and {len(stale) - 1} more files of another export that would not be replaced;"
            " remove them or choose another folder"
        )


def _stem(path: StrPath) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".json") or "ranc"

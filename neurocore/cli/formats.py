"""Commands about other people's formats: import, export, convert.

FORMATS lists what is known. A format is added by writing its few functions and its entry; the commands need no change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import Choice, check_file_kind, emit, keep_inputs, say, table
from neurocore.wording import as_options

if TYPE_CHECKING:
    from neurocore.config import ChipConfig
    from neurocore.result import RunResult
    from neurocore.spikes import Spikes


@dataclass(frozen=True)
class Imported:
    """What a reader made of its files; ``remarks`` are sentences for the user, ``details`` more fields for ``--json``."""

    chip: ChipConfig
    spikes: Spikes
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What a writer wrote."""

    files: Sequence[str]
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A format's functions; what it cannot do is None.

    ``read`` takes the files of the command line; ``export`` a source file, a folder, input spikes or None, and the number of
    ticks for which the export must hold or None. ``write_run`` writes the output spikes of a run, ``read_spikes`` and
    ``write_spikes`` files of input spikes. ``read_for`` and ``write_for`` do the same for the lines of a given chip, where
    the format knows none. ``endings`` are those of its spike files, by which ``convert`` knows it.
    """

    files: str
    read: Callable[[tuple[str, ...]], Imported] | None = None
    export: Callable[[str, str, Spikes | None, int | None], Written] | None = None
    write_run: Callable[[RunResult, str], None] | None = None
    read_spikes: Callable[[str], Spikes] | None = None
    write_spikes: Callable[[str, Spikes], None] | None = None
    read_for: Callable[[str, ChipConfig], Spikes] | None = None
    write_for: Callable[[str, Spikes, ChipConfig], None] | None = None
    endings: tuple[str, ...] = ()


# RANC


def _read_ranc(files: tuple[str, ...]) -> Imported:
    from neurocore.formats.ranc import read_hardware, read_ranc

    if len(files) > 2 or (len(files) == 1 and not os.path.isdir(files[0])):
        raise click.UsageError(f"Give {FORMATS['ranc'].files}.")
    if os.path.isdir(files[0]):
        chip, spikes, report = read_hardware(*files)
    else:
        chip, spikes, report = read_ranc(*files)
    return Imported(chip, spikes, report.lines(), report.as_dict())


def _export_ranc(source: str, folder: str, spikes: Spikes | None, ticks: int | None) -> Written:
    from neurocore.chipfile import load_chip
    from neurocore.formats.ranc import export_ranc

    chip = load_chip(source)
    done = export_ranc(chip, folder, spikes=spikes, ticks=ticks)
    remarks = [f"no FPGA memory files were written: {reason}" for reason in done.hardware_reasons]
    if chip.n_inputs and spikes is None:
        remarks.append("RANC knows no input lines; give --spikes to write packets for the axons that they lead to")
    return Written(done.files, remarks, {"hardware": not done.hardware_reasons})


def _write_ranc_run(run: RunResult, path: str) -> None:
    from neurocore.formats.ranc import write_output

    write_output(run, path)


# IBM


def _read_ibm(files: tuple[str, ...]) -> Imported:
    from neurocore.formats.ibm import read_model
    from neurocore.formats.ibm_spikes import read_spikes
    from neurocore.spikes import Spikes

    if len(files) > 2:
        raise click.UsageError(f"Give {FORMATS['ibm'].files}.")
    chip, report = read_model(files[0])
    spikes = read_spikes(files[1]) if len(files) == 2 else Spikes.empty(network=False)
    details = {"announced_cores": report.announced, "unknown_keys": dict(report.unknown)}
    return Imported(chip, spikes, report.sentences(), details)


def _export_ibm(source: str, folder: str, spikes: Spikes | None, ticks: int | None) -> Written:
    from neurocore.chipfile import load_chip
    from neurocore.formats.ibm import write_model
    from neurocore.formats.ibm_export import FILE_NAME
    from neurocore.formats.ibm_spikes import axon_spikes, write_spikes

    chip = load_chip(source)
    remarks = write_model(chip, folder)
    files = [os.path.join(folder, FILE_NAME)]
    if spikes is not None:
        files.append(os.path.join(folder, "input.sfti"))
        write_spikes(files[1], axon_spikes(chip, spikes) if spikes.is_network else spikes)
    return Written(files, remarks)


def _write_ibm_run(run: RunResult, path: str) -> None:
    from neurocore.formats.ibm_spikes import output_map, write_output_spikes

    write_output_spikes(path, run.spikes, output_map(run.chip))


def _read_ibm_spikes(path: str) -> Spikes:
    from neurocore.formats.ibm_spikes import read_spikes

    return read_spikes(path)


def _write_ibm_spikes(path: str, spikes: Spikes) -> None:
    from neurocore.formats.ibm_spikes import write_spikes

    write_spikes(path, spikes)


def _leaves(path: str) -> bool:
    """Whether a spike file's ending is that of spikes that leave a chip."""
    return os.path.splitext(path)[1].lower() in (".sfto", ".sfro", ".sfci")


def _read_ibm_for(path: str, chip: ChipConfig) -> Spikes:
    from neurocore.formats.ibm_spikes import output_map, read_output_spikes, read_spikes

    return read_output_spikes(path, output_map(chip)) if _leaves(path) else read_spikes(path)


def _write_ibm_for(path: str, spikes: Spikes, chip: ChipConfig) -> None:
    from neurocore.formats.ibm_spikes import axon_spikes, output_map, write_output_spikes, write_spikes

    if _leaves(path):
        write_output_spikes(path, spikes, output_map(chip))
    else:
        write_spikes(path, axon_spikes(chip, spikes) if spikes.is_network else spikes)


# NIR


def _read_nir(files: tuple[str, ...]) -> Imported:
    from neurocore.cli.output import compile_bar, spelling
    from neurocore.compiler.pipeline import compile_with_report
    from neurocore.spikes import Spikes

    if len(files) != 1:
        raise click.UsageError(f"Give {FORMATS['nir'].files}.")
    with spelling(partial(as_options, command="compile ")), compile_bar() as progress:
        chip, report = compile_with_report(files[0], progress=progress)
    return Imported(chip, Spikes.empty(), report.warnings, report.as_dict())


# neurocore's own spike files


def _write_own_run(run: RunResult, path: str) -> None:
    from neurocore.spikes import write

    write(path, run.spikes)


def _read_own_spikes(path: str) -> Spikes:
    from neurocore.spikes import read

    return read(path)


def _write_own_spikes(path: str, spikes: Spikes) -> None:
    from neurocore.spikes import write

    write(path, spikes)


FORMATS: dict[str, Format] = {
    "ranc": Format(
        "INPUT.json CONFIG.json, or a FOLDER of memory images, with a CONFIG.json unless it holds a hardware.json",
        _read_ranc,
        _export_ranc,
        _write_ranc_run,
    ),
    "ibm": Format(
        "MODEL.json, and a spike file if there is one",
        _read_ibm,
        _export_ibm,
        _write_ibm_run,
        _read_ibm_spikes,
        _write_ibm_spikes,
        _read_ibm_for,
        _write_ibm_for,
        (".sfti", ".sfto", ".sfri", ".sfro", ".sfci"),
    ),
    "nir": Format("one GRAPH.nir", _read_nir),
    "neurocore": Format(
        "spikes in .npz or .csv",
        write_run=_write_own_run,
        read_spikes=_read_own_spikes,
        write_spikes=_write_own_spikes,
        endings=(".npz", ".csv"),
    ),
}


def _names(*what: str) -> list[str]:
    """Formats that have all of the given functions."""
    return [name for name, item in FORMATS.items() if all(getattr(item, function) for function in what)]


@click.command("import")
@click.argument("name", metavar="FORMAT", type=Choice(_names("read")))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Chip file to write.")
@click.option("--spikes", "spike_file", type=click.Path(), help="File for the input spikes (.npz or .csv).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_command(name: str, files: tuple[str, ...], output: str, spike_file: str | None, as_json: bool) -> None:
    """Read a network of another tool into a chip file.

    \b
    ranc: INPUT.json CONFIG.json of RANC's simulator, or a FOLDER with its FPGA memory images (csram_*.mem,
          tc_*.mem, tb_input.txt), with a CONFIG.json unless it holds a hardware.json; .gz is understood
    ibm:  MODEL.json of the Corelet Programming Environment, and a spike file if there is one
    nir:  GRAPH.nir, which is compiled for the chip truenorth; "compile" does the same and has more options
    """  # noqa: D301
    from neurocore import container
    from neurocore.cli.inspect import chip_fields

    reader = FORMATS[name].read
    assert reader is not None
    check_file_kind(output, "chip file")
    for path in (output, spike_file):
        if path is not None:
            container.check_writable(path)
    found = reader(files)
    found.chip.save(output)
    if spike_file is not None:
        _write_own_spikes(spike_file, found.spikes)
    for remark in found.remarks:
        say(f"neurocore: {remark}")
    fields = {
        **{key: value for key, value in chip_fields(found.chip).items() if key != "core_list"},
        "input_spikes": len(found.spikes),
        "remarks": list(found.remarks),
        **found.details,
    }
    spikes = f"{len(found.spikes):,}" + ("" if spike_file or not len(found.spikes) else " (not kept; give --spikes)")
    rows = [("chip", str(found.chip)), ("input spikes", spikes), ("written", output)]
    emit(fields, as_json, table(rows))


@click.command("export")
@click.argument("name", metavar="FORMAT", type=Choice(_names("export")))
@click.argument("source", metavar="CHIP", type=click.Path())
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(), required=True, help="Folder to write; made if missing."
)
@click.option("--spikes", "spike_file", type=click.Path(), help="Input spikes to write with the chip (.npz or .csv).")
@click.option(
    "--ticks", type=click.IntRange(min=0), help="The export need only hold for runs of so many ticks from tick 0."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export_command(
    name: str, source: str, output: str, spike_file: str | None, ticks: int | None, as_json: bool
) -> None:
    """Write CHIP in the FORMAT of another tool, or say why that tool cannot express it.

    ranc writes the simulator's input.json and config.json and, where the FPGA design can hold the chip, its memory images
    with hardware.json, tb_input.txt and tb_num_inputs.txt. ibm writes model.json.
    """
    writer = FORMATS[name].export
    assert writer is not None
    done = writer(source, output, _read_own_spikes(spike_file) if spike_file else None, ticks)
    for remark in done.remarks:
        say(f"neurocore: {remark}")
    shown = list(done.files) if len(done.files) <= 4 else [*done.files[:3], f"... {len(done.files)} files"]
    fields = {"format": name, "files": list(done.files), "remarks": list(done.remarks), **done.details}
    emit(fields, as_json, table([("written", path) for path in shown]))


@click.command("convert")
@click.argument("source", metavar="SPIKES_IN|RUN", type=click.Path())
@click.argument("target", metavar="SPIKES_OUT", type=click.Path())
@click.option(
    "--format",
    "name",
    type=Choice(list(FORMATS)),
    help="Format to write; default: by the ending of SPIKES_OUT.",
)
@click.option(
    "--chip-file", metavar="CHIP", type=click.Path(), help="Chip whose lines the spikes are on; IBM's files name none."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert_command(source: str, target: str, name: str | None, chip_file: str | None, as_json: bool) -> None:
    """Write spikes, or the output spikes of a run, in another format: .npz, .csv, RANC's output.txt, IBM's .sfto.

    IBM's files name cores, axons and connectors: --chip-file says which lines of a chip these are, for .sfto and .sfro, and
    for spikes on lines that become .sfti or .sfri.
    """
    from neurocore import container

    keep_inputs(target, source, chip_file)

    container.check_writable(target)
    chosen = name or _by_ending(target)
    if chosen is None:
        known = ", ".join(ending for item in FORMATS.values() for ending in item.endings)
        raise click.UsageError(f"The ending of {target!r} does not say the format ({known}); give --format.")
    if _is_container(source):
        from neurocore.runfile import load_run

        run = load_run(source)
        _function(chosen, "write_run", "the output of a run")(run, target)
        count, merged = len(run.spikes), 0
    else:
        writer = _function(chosen, "write_spikes", "input spikes; give a run")
        reader = _function(_by_ending(source) or "neurocore", "read_spikes", "spikes")
        count, merged = _convert_spikes(source, target, chosen, chip_file, reader, writer)
    rows = [("spikes", f"{count:,}" + (f", {merged:,} duplicates merged" if merged else "")), ("written", target)]
    emit({"format": chosen, "spikes": count, "merged": merged, "written": target}, as_json, table(rows))


def _convert_spikes(
    source: str, target: str, name: str, chip_file: str | None, reader: Callable[..., Any], writer: Callable[..., Any]
) -> tuple[int, int]:
    """Read spikes and write them, with the chip if there is one; returns how many there are, and how many merged."""
    from neurocore.chipfile import load_chip

    chip = None if chip_file is None else load_chip(chip_file)
    read_for, write_for = FORMATS[_by_ending(source) or "neurocore"].read_for, FORMATS[name].write_for
    spikes = reader(source) if chip is None or read_for is None else read_for(source, chip)
    if chip is None or write_for is None:
        writer(target, spikes)
    else:
        write_for(target, spikes, chip)
    return len(spikes), spikes.n_merged


def _by_ending(path: str) -> str | None:
    ending = os.path.splitext(path)[1].lower()
    return next((name for name, item in FORMATS.items() if ending in item.endings), None)


def _function(name: str, what: str, subject: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = getattr(FORMATS[name], what)
    if function is None:
        raise click.UsageError(f"The format {name!r} does not hold {subject}.")
    return function


def _is_container(path: str) -> bool:
    from neurocore.container import MAGIC, open_input

    with open_input(path) as file:
        return file.read(len(MAGIC)) == MAGIC

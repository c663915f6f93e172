"""Commands about chips: chips, compile, inspect, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import Choice, emit, progress_bar, say, spelling, table
from neurocore.wording import acting, as_options, counted

if TYPE_CHECKING:
    from neurocore.compiler.verify import Verdict
    from neurocore.config import ChipConfig
    from neurocore.spikes import Spikes


QUANTISE_HELP = (
    'How numbers with a fraction become integers: "fit" or "fit=CORES", "weight_bits=B", "levels=N". With weight_bits=1 a'
    " neuron keeps weights of one sign only."
)
FAN_IN_HELP = (
    "What is done about neurons that read more than a core has axons for; default: as the network says, refused. Dilated, the"
    " network is exact, but a tick of it takes many of the chip. With a thermometer code it is exact and a tick or so later,"
    " but needs a neuron for every sum that matters. Sums that are carried over are approximate, and the difference is measured."
)
PLACEMENT_HELP = (
    "Places of the cores: a file as --save-placement writes it (.yaml or .json), or an earlier chip file, whose cores keep"
    " their places if they hold the same neurons."
)
RESET_HELP = "How IF neurons of NIR files are reset: as the file says, to zero, or by their threshold."


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def chips(name: str | None, as_json: bool) -> None:
    """List the chip definitions, or print the one called NAME (or in the file NAME)."""
    from neurocore.architecture import chip_names, chip_text, load_architecture

    if name is None:
        known = [load_architecture(item) for item in chip_names()]
        rows = [
            (
                arch.name,
                f"{arch.title}: {arch.columns} x {arch.rows} cores of {arch.core.axons} axons x"
                f" {arch.core.neurons} neurons",
            )
            for arch in known
        ]
        emit({"chips": [{"name": arch.name, "title": arch.title} for arch in known]}, as_json, table(rows))
        return
    arch = load_architecture(name)
    text = chip_text(name) if name in chip_names() else _read(name)
    emit({"chip": arch.model_dump(mode="json")}, as_json, text.rstrip())


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


@click.command("compile")
@click.argument("network", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Chip file to write.")
@click.option("--chip", default="truenorth", show_default=True, help="Chip definition: a name or a YAML file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the placement.")
@click.option("--estimate", is_flag=True, help="Only say what the network would need; write nothing.")
@click.option("--quantise", metavar="METHOD", help=QUANTISE_HELP)
@click.option("--fan-in", type=Choice(["refuse", "dilate", "thermometer", "carry"]), help=FAN_IN_HELP)
@click.option("--sample", type=click.Path(), help="Input spikes on which the effect of quantisation is measured.")
@click.option(
    "--ticks", type=click.IntRange(min=1), help="Ticks of the --sample; default: to its last spike and 16 more."
)
@click.option("--dt", type=float, default=1.0, show_default=True, help="Seconds a tick, for biases of NIR files.")
@click.option("--reset", type=Choice(["auto", "zero", "subtract"]), default="auto", show_default=True, help=RESET_HELP)
@click.option("--placement", type=click.Path(), help=PLACEMENT_HELP)
@click.option("--save-placement", type=click.Path(), help="Write the cores' places to this file: .yaml or .json.")
@click.option(
    "--defects", type=click.Path(), help="Dead cores, axons and links of the chip, to be avoided (YAML or JSON)."
)
@click.option(
    "--report", type=click.Path(), help="Write what was done to this file: .html, .json, or .txt with every stage."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compile_command(**options: Any) -> None:
    """Compile NETWORK (YAML or NIR) to a chip file.

    Numbers with a fraction are quantised if the network or --quantise asks for it; networks in NIR ask for "fit".
    """
    from neurocore.cli.compilation import Compilation

    asked = Compilation(**options)
    asked.check()
    with spelling(as_options):
        if asked.estimate:
            asked.say_estimate()
        else:
            asked.run()


@click.command()
@click.argument("chip", type=click.Path())
@click.option("--core", metavar="X,Y", help="Show one core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(chip: str, core: str | None, as_json: bool) -> None:
    """Say what a chip file holds."""
    from neurocore.chipfile import load_chip
    from neurocore.cli.inspect import chip_fields, chip_text, core_fields, core_text

    configured = load_chip(chip)
    if core is None:
        fields: dict[str, Any] = chip_fields(configured)
        emit(fields, as_json, chip_text(configured))
        return
    row = _core_row(configured, core)
    emit(core_fields(configured, row), as_json, core_text(configured, row))


def _core_row(chip: ChipConfig, text: str) -> int:
    from neurocore.cli.inspect import cores_in_use

    arch = chip.architecture
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        raise _bad_core(f"{text!r} is not of the form X,Y; {cores_in_use(chip)}") from None
    if not (0 <= x < arch.columns and 0 <= y < arch.rows):
        size = f"X in 0..{arch.columns - 1}, Y in 0..{arch.rows - 1}"
        raise _bad_core(f"core {x},{y} is outside the mesh of {arch.name!r}, {size}; {cores_in_use(chip)}")
    row = int(chip.row_of()[arch.core_id(x, y)])
    if row < 0:
        raise _bad_core(f"core {x},{y} is not in use; {cores_in_use(chip, (x, y))}")
    return row


def _bad_core(reason: str) -> click.BadParameter:
    return click.BadParameter(reason, param_hint="'--core'")


@click.command()
@click.argument("network", type=click.Path())
@click.argument("chip", type=click.Path())
@click.option("--input", "spikes", type=click.Path(), help="Input spikes (.npz or .csv).")
@click.option("--ticks", type=click.IntRange(min=0), required=True, help="Ticks of the network to compare.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the emulation.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the random draws, instead of the chip's own.")
@click.option("--dt", type=float, default=1.0, show_default=True, help="As given to compile.")
@click.option("--reset", type=Choice(["auto", "zero", "subtract"]), default="auto", help="As given to compile.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    network: str,
    chip: str,
    spikes: str | None,
    ticks: int,
    threads: int | None,
    seed: int | None,
    dt: float,
    reset: str,
    as_json: bool,
) -> None:
    """Run NETWORK itself and CHIP on the same input and compare every output spike.

    If NETWORK had to be quantised, the comparison is with its quantised form, made as when CHIP was.
    """
    from neurocore.chipfile import load_chip
    from neurocore.compiler.nirfile import NirOptions
    from neurocore.compiler.verify import verify as compare
    from neurocore.compiler.yamlnet import load_network
    from neurocore.emulator import Emulator
    from neurocore.errors import MismatchError
    from neurocore.spikes import Spikes, read

    def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
        emulator = Emulator(chip, threads=threads, seed=seed)
        with progress_bar(ticks, "emulating") as progress:
            return emulator.run(spikes, ticks, progress=progress).spikes

    if spikes is None:
        say("neurocore: without --input only what the network does by itself is compared")
    configured = load_chip(chip)
    notes = dict(configured.notes)
    options = NirOptions(dt, reset)
    abstract = load_network(network, configured.architecture, options)
    if "quantise" in notes:
        # The chip is the network as it was quantised then.
        abstract.quantise = notes["quantise"]
    verdict = compare(abstract, configured, read(spikes) if spikes else Spikes.empty(), ticks, run, seed)
    emit(verdict.as_dict(), as_json, _verdict_text(verdict, ticks))
    if verdict.equal and verdict.cause:
        say("neurocore: equal on this input only; the chip is not the network:")
    for problem in (*verdict.cause, *verdict.remarks):
        say(f"neurocore: {problem}")
    if not verdict.as_declared:
        raise click.exceptions.Exit(MismatchError.exit_code)


def _verdict_text(verdict: Verdict, ticks: int) -> str:
    frames, unit = "", ""
    if verdict.dilation != 1:
        frames, unit = f", {verdict.dilation} ticks of the chip each", " ticks of the chip"
    span = f"{counted(ticks, 'tick')}{frames}, latency {verdict.latency}{unit}"
    if verdict.equal:
        nothing = "" if verdict.spikes_compared else ", but nothing fired"
        return f"equal{nothing}: {counted(verdict.spikes_compared, 'output spike')} in {span}"
    if verdict.as_declared:
        return (
            f"approximate, as declared: {acting(verdict.spikes_differing, 'output spike', 'differs', 'differ')}, of"
            f" {verdict.spikes_compared:,} in {span}; sums are carried over"
        )
    place = verdict.first_difference or {}
    side = "network only" if place.get("network") else "chip only"
    return (
        f"different: first at tick {place.get('tick')}, output line {place.get('line')} ({place.get('neuron')}): {side}"
    )

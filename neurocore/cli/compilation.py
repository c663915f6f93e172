"""``compile``: what its options ask for, and what is written and said."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from neurocore.cli.output import check_ending, check_file_kind, compile_bar, emit, keep_inputs, say, table
from neurocore.wording import counted

if TYPE_CHECKING:
    from neurocore.compiler.compilereport import CompileReport
    from neurocore.compiler.network import Network
    from neurocore.config import ChipConfig


@dataclass(frozen=True)
class Compilation:
    """The options of ``compile``."""

    network: str
    output: str | None
    chip: str
    seed: int
    estimate: bool
    quantise: str | None
    fan_in: str | None
    sample: str | None
    ticks: int | None
    dt: float
    reset: str
    placement: str | None
    save_placement: str | None
    defects: str | None
    report: str | None
    as_json: bool

    def check(self) -> None:
        """Refuse options that say nothing without another, before any work is done."""
        if self.ticks is not None and self.sample is None:
            raise click.UsageError("--ticks is how long the --sample runs; give a sample, or leave --ticks out.")

    def say_estimate(self) -> None:
        """Print what the network would need."""
        from neurocore.compiler.pipeline import estimate_network

        if self.placement or self.save_placement or self.defects:
            raise click.UsageError(
                "An --estimate places nothing; leave out --placement, --save-placement and --defects."
            )
        if self.sample:
            raise click.UsageError("An --estimate measures nothing; leave out --sample.")
        if self.output or self.report:
            say("neurocore: an --estimate writes nothing; for a chip file or a report compile without it")
        result = estimate_network(self.read(), self.chip, quantise=self.quantise, fan_in=self.fan_in)
        self.say_result(result)

    def run(self) -> None:
        """Compile, write all that is asked for, and print what was done."""
        if self.output is None:
            raise click.UsageError("Missing option '-o' / '--output' (or ask for an --estimate).")
        written = {"chip file": self.output, "report": self.report, "placement": self.save_placement}
        outputs = {name: path for name, path in written.items() if path is not None}
        check_file_kind(self.output, "chip file")
        _check_outputs(outputs, [self.network, self.sample, self.defects])
        configured, result = self.compiled()
        with result.timed("save"):
            configured.save(self.output)
        self.write_texts(result)
        self.say_result(result)

    def say_result(self, result: CompileReport) -> None:
        """Print what was done, or would be; what quantisation loses is a part of that, and is not said on stderr as well."""
        for warning in result.warnings_but("W-QUANTISED"):
            say(f"neurocore: {warning}")
        emit(result.as_dict(), self.as_json, _compile_text(result, None if self.estimate else self.output))

    def read(self) -> Network:
        """The network."""
        from neurocore.compiler.nirfile import NirOptions
        from neurocore.compiler.yamlnet import load_network

        return load_network(self.network, self.chip, NirOptions(self.dt, self.reset))

    def compiled(self) -> tuple[ChipConfig, CompileReport]:
        """The chip and what was done."""
        from neurocore.compiler.pipeline import compile_with_report
        from neurocore.spikes import read

        names = ("seed", "quantise", "fan_in", "placement", "defects", "ticks")
        options = {name: getattr(self, name) for name in names}
        sample = None if self.sample is None else read(self.sample)
        network = self.read()
        with compile_bar() as progress:
            return compile_with_report(network, self.chip, **options, sample=sample, progress=progress)

    def write_texts(self, result: CompileReport) -> None:
        """The placement and the report, if asked for."""
        from neurocore import container
        from neurocore.compiler.reporttext import report_text

        if self.save_placement is not None and result.placement is not None:
            container.write_text(self.save_placement, result.placement(self.save_placement.lower().endswith(".json")))
        if self.report is not None:
            container.write_text(self.report, report_text(result, os.path.splitext(self.report)[1].lower()))


def _check_outputs(outputs: dict[str, str], inputs: list[str | None]) -> None:
    """Refuse outputs that are one file, would replace an input, have a name of another kind, or cannot be written.

    An earlier chip that gives the placement may be replaced by the new one.
    """
    from neurocore import container
    from neurocore.compiler.placefile import SUFFIXES
    from neurocore.compiler.reporttext import REPORT_SUFFIXES

    names = {name: os.path.abspath(path) for name, path in outputs.items()}
    for name, path in names.items():
        other = next((key for key, value in names.items() if key != name and value == path), None)
        if other is not None:
            raise click.UsageError(f"The {name} and the {other} cannot be one file.")
    for name, kind, known in (("placement", "placement file", SUFFIXES), ("report", "report", REPORT_SUFFIXES)):
        if name in outputs:
            check_ending(outputs[name], kind, known)
    for path in outputs.values():
        keep_inputs(path, *inputs)
        container.check_writable(path)


def _compile_text(report: CompileReport, output: str | None) -> str:
    total = sum(report.seconds.values())
    rows = [
        ("cores", f"{report.cores:,} (at least {report.cores_lower_bound:,}; {report.binds} bind)"),
        ("neurons", report.neurons_text),
        ("axons", f"{report.axons:,}"),
        ("fill", report.fill_text),
        ("latency", counted(report.latency, "tick") + " of the chip" * (report.dilation != 1)),
        *([("dilation", f"{counted(report.dilation, 'tick')} to one of the network")] if report.dilation != 1 else []),
        *([("fan-in", report.fan_in)] if report.fan_in else []),
        *(("approximate", text) for text in report.approximations),
        ("packets", f"{report.packets_per_tick:,.1f} per tick expected, inputs included, at {report.rates_text}"),
        *([("basis", "shapes and a few sampled neurons")] if report.basis == "shapes" else []),
        *([("mean hops", f"{report.mean_hops:.2f}")] if output is not None else []),
        *([("placement", report.kept_text)] if report.kept_text else []),
        ("time", f"{total:.2f} s (" + ", ".join(f"{name} {value:.2f}" for name, value in report.seconds.items()) + ")"),
    ]
    losses = report.quantisation
    if output is not None:
        what = "the network" if losses is None else "the quantised network"
        what += " with sums carried over" * (not report.exact)
        rows += [("check", f"proved: the chip is {what}, spike for spike"), ("written", output)]
    parts = [table(rows)]
    parts += [str(losses)] if losses is not None and losses.populations else []
    parts += [str(report.effect)] if report.effect is not None else []
    return "\n".join(parts)

"""Networks that fit a chip or are refused, and chips that run."""

from __future__ import annotations

from neurocore.architecture import Architecture
from neurocore.compiler.compilereport import CompileReport
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_with_report
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError
from neurocore.spikes import Spikes


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    """Output spikes of a chip."""
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def compile_or_refuse(
    net: Network, arch: Architecture, fan_in: str, refusals: tuple[str, ...]
) -> tuple[ChipConfig, CompileReport] | None:
    """The chip and the report; None if every reason not to compile has a code of ``refusals``."""
    try:
        return compile_with_report(net, arch, fan_in=fan_in)
    except FitError as refusal:
        if not all(problem.startswith(refusals) for problem in refusal.problems):
            raise
        return None

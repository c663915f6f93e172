"""neurocore: compile, emulate and estimate the power of networks on TrueNorth-style neuromorphic chips.

>>> import neurocore as nc
>>> net = nc.Network("example")

The names below are loaded when they are first used, so that ``import neurocore`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neurocore.architecture import Architecture, chip_names, load_architecture
    from neurocore.chipfile import load_chip as load
    from neurocore.compiler.network import Network
    from neurocore.compiler.pipeline import compile_network as compile
    from neurocore.compiler.yamlnet import load_network
    from neurocore.config import ChipConfig
    from neurocore.emulator import Emulator
    from neurocore.errors import (
        FitError,
        InputError,
        MismatchError,
        NeurocoreError,
        OutputError,
        UsageError,
    )
    from neurocore.result import RunResult
    from neurocore.runfile import load_run
    from neurocore.spikes import Spikes

_PLACES = {
    "Architecture": ("neurocore.architecture", "Architecture"),
    "ChipConfig": ("neurocore.config", "ChipConfig"),
    "Emulator": ("neurocore.emulator", "Emulator"),
    "FitError": ("neurocore.errors", "FitError"),
    "InputError": ("neurocore.errors", "InputError"),
    "MismatchError": ("neurocore.errors", "MismatchError"),
    "Network": ("neurocore.compiler.network", "Network"),
    "NeurocoreError": ("neurocore.errors", "NeurocoreError"),
    "OutputError": ("neurocore.errors", "OutputError"),
    "RunResult": ("neurocore.result", "RunResult"),
    "Spikes": ("neurocore.spikes", "Spikes"),
    "UsageError": ("neurocore.errors", "UsageError"),
    "chip_names": ("neurocore.architecture", "chip_names"),
    "compile": ("neurocore.compiler.pipeline", "compile_network"),
    "load": ("neurocore.chipfile", "load_chip"),
    "load_architecture": ("neurocore.architecture", "load_architecture"),
    "load_network": ("neurocore.compiler.yamlnet", "load_network"),
    "load_run": ("neurocore.runfile", "load_run"),
}

__all__ = [
    "Architecture",
    "ChipConfig",
    "Emulator",
    "FitError",
    "InputError",
    "MismatchError",
    "Network",
    "NeurocoreError",
    "OutputError",
    "RunResult",
    "Spikes",
    "UsageError",
    "chip_names",
    "compile",
    "load",
    "load_architecture",
    "load_network",
    "load_run",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'neurocore' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    try:
        value = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("neurocore."):
            raise
        raise ImportError(_hidden()) from error
    globals()[name] = value
    return value


def _hidden() -> str:
    """What to do where a part of the package is missing because the source tree was imported."""
    return (
        f"{__path__[0]} is neurocore's source folder, which hides the package that was installed from it: run Python in"
        " another folder, or with -P"
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])

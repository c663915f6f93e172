"""Runs the engine's threads under ThreadSanitizer and fails if two of them touch the same memory without order.

    python tools/check_threads.py               build into a temporary folder and run; about two minutes

Needs GCC with its ThreadSanitizer (libtsan) and, in the Python that runs this, what the package is built with: setuptools, wheel,
Cython and NumPy. The recurrent network runs on three threads, of which one, two and three are at work by turns, with probes,
outputs and external spikes, by each path of the processor; results are those of one thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = {"CFLAGS": "-fsanitize=thread -g -O1", "LDFLAGS": "-fsanitize=thread"}
WATCHED = """
import numpy as np
from neurocore.compiled import CompiledEngine
from neurocore.engine import Events, Probes
from neurocore.recurrent import Workload, build_chip

PARTS, TICKS = 12, 40
chip = build_chip("truenorth", Workload(40, 100, 64))
rng = np.random.default_rng(1)
events = Events(np.sort(rng.integers(0, PARTS * TICKS, 5000)), rng.integers(0, 40, 5000), rng.integers(0, 256, 5000))
probes = Probes(rng.random((40, 256)) < 0.1, np.arange(0, 40, 5), np.arange(0, 40, 5))
crew, alone = (CompiledEngine(chip, threads=threads, probes=probes) for threads in (3, 1))
for part in range(PARTS):
    crew._state.working = 1 + part % 3
    for engine in (crew, alone):
        engine.advance(events.window(part * TICKS, (part + 1) * TICKS), TICKS)
np.testing.assert_array_equal(crew.membranes(), alone.membranes())
np.testing.assert_array_equal(crew.take().spike_neuron, alone.take().spike_neuron)
"""


def sanitizer() -> str | None:
    """The library to load first; None if GCC does not have it."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    found = subprocess.run([compiler, "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True)
    path = found.stdout.strip()
    return path if os.path.isabs(path) else None


def install(folder: Path) -> None:
    """Build the tree with the sanitizer into a folder."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "*.so", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(folder / "packages"), str(source)], env={**os.environ, **BUILD}, check=True)


def watch(folder: Path, library: str, path: str) -> bool:
    """Run the network by a path; returns whether nothing was found."""
    options = {"LD_PRELOAD": library, "TSAN_OPTIONS": "exitcode=66", "PYTHONPATH": str(folder / "packages")}
    environment = {**os.environ, **options, "NEUROCORE_SIMD": path}
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=folder, env=environment, check=False)
    print(f"{path}: {'nothing found' if done.returncode == 0 else f'exit code {done.returncode}'}")
    return done.returncode == 0


def main() -> None:
    library = sanitizer()
    if library is None:
        print("not run: there is no GCC with ThreadSanitizer (libtsan) here")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        asked = "import neurocore._engine as e; print(*(name for name, has in e.paths().items() if has))"
        environment = {**os.environ, "LD_PRELOAD": library, "PYTHONPATH": str(folder / "packages")}
        found = subprocess.run(
            [sys.executable, "-c", asked], cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        clean = [watch(folder, library, path) for path in found.stdout.split()]
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()

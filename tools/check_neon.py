"""Runs the ARM build of the engine on an x86 machine, by emulation, and compares it with the native one bit for bit.

    python tools/check_neon.py                  everything in a temporary folder, about four minutes
    python tools/check_neon.py --work FOLDER    keep the ARM system and packages there for the next time

Needs Debian or a kin of it with the packages ``qemu-user-static`` and ``gcc-aarch64-linux-gnu``, and neurocore installed from
this tree for the native half; says what is missing otherwise, and ends with exit code 0. No root: an ARM Python is unpacked
into the folder, with the wheels that the package needs, and the package is cross-compiled. Then

* property tests of the engine run in the emulator (fewer examples of each than natively), and
* recurrent networks run on both, natively on the best path, and every spike, membrane and counter is compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurocore.compiled import CompiledEngine
from neurocore.engine import Events, Probes
from neurocore.recurrent import Workload, build_chip

ROOT = Path(__file__).resolve().parent.parent
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", ("qemu-aarch64-static", "qemu-aarch64")
SYSTEM = ("python3-minimal", "libpython3-dev", "libstdc++6")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
TESTS = ("tests/property/test_engines.py", "tests/unit/test_draws.py::test_kernel_draws_the_same_words")
TICKS, THREADS = 100, 3
WORKLOADS = {
    "20 Hz, stochastic leak": Workload(64, 20, 128),
    "200 Hz, every draw, every neuron its own": Workload(
        48, 200, 256, heterogeneous=True, stochastic_threshold=True, seed=2
    ),
    "200 Hz, fixed leak": Workload(48, 200, 128, stochastic=False, seed=3),
}
APT_CONFIG = """
APT {{ Architecture "arm64"; Architectures {{ "arm64"; }}; Install-Recommends "false"; Sandbox::User ""; }};
Dir {{ State {{ Lists "{0}/lists"; Status "{0}/status"; }}; Cache "{0}/cache"; }};
Debug::NoLocking "true";
"""


def missing() -> list[str]:
    """What this machine lacks for the check."""
    needed = {"apt-get": ("apt-get",), "dpkg-deb": ("dpkg-deb",), COMPILER: (COMPILER,), EMULATOR[0]: EMULATOR}
    return [name for name, choice in needed.items() if not any(map(shutil.which, choice))]


def call(command: Sequence[str | Path], **variables: str | Path) -> None:
    """Run a command in the root of the project with more environment variables; raises CalledProcessError."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    subprocess.run([str(item) for item in command], cwd=ROOT, env=environment, check=True)


class ArmMachine:
    """An ARM Python with the package and what it needs, all of it in a folder."""

    def __init__(self, folder: Path) -> None:
        self.system, self.packages = folder / "system", folder / "packages"
        self._apt, self._source = folder / "apt", folder / "source"
        if not self.system.exists():
            self._unpack_system()
        self.python = next((self.system / "usr" / "bin").glob("python3.*[0-9]"))
        if not self.packages.exists():
            self._install_dependencies()
        self._install()

    def _unpack_system(self) -> None:
        """Let apt work out and fetch what Python needs, for an ARM machine on which nothing is installed."""
        for name in ("lists/partial", "cache/archives/partial"):
            (self._apt / name).mkdir(parents=True, exist_ok=True)
        (self._apt / "status").touch()
        config = self._apt / "apt.conf"
        config.write_text(APT_CONFIG.format(self._apt), encoding="utf-8")
        call(["apt-get", "-qq", "update"], APT_CONFIG=config)
        call(["apt-get", "-qq", "--yes", "--download-only", "install", *SYSTEM], APT_CONFIG=config)
        for archive in sorted((self._apt / "cache" / "archives").glob("*.deb")):
            call(["dpkg-deb", "--extract", archive, self.system])

    def _install_dependencies(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        tests = [item for item in project["optional-dependencies"]["test"] if item.startswith(("pytest", "hypothesis"))]
        version = self.python.name.removeprefix("python")
        platforms = [item for name in PLATFORMS for item in ("--platform", name)]
        where = ["--python-version", version, "--only-binary", ":all:", *platforms]
        self._pip(*where, *project["dependencies"], *tests)

    def _install(self) -> None:
        """Build the package with the cross-compiler, which finds the headers of the ARM Python before those of this one.

        From a copy, as setuptools takes what it finds in ``build`` for whatever machine that was compiled.
        """
        shutil.rmtree(self._source, ignore_errors=True)
        shutil.copytree(ROOT, self._source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "tests"))
        include = self.system / "usr" / "include"
        flags = f"-I{include / self.python.name} -I{include}"
        self._pip("--no-deps", "--upgrade", self._source, CC=COMPILER, CFLAGS=flags, LDSHARED=f"{COMPILER} -shared")
        for library in (self.packages / "neurocore").glob("_*.so"):
            library.rename(library.with_name(library.name.split(".")[0] + ".so"))

    def _pip(self, *arguments: str | Path, **variables: str) -> None:
        call([sys.executable, "-m", "pip", "install", "-qq", "--target", self.packages, *arguments], **variables)

    def run(self, *arguments: str | Path) -> None:
        """Run Python in the emulator; raises CalledProcessError."""
        emulator = next(filter(None, map(shutil.which, EMULATOR)))
        command = [emulator, "-L", self.system, self.python, "-P", *arguments]
        call(command, PYTHONPATH=self.packages, NEUROCORE_HYPOTHESIS="brief")


def record(path: Path) -> None:
    """Run the networks on this machine and write all that can be seen of them to an .npz file."""
    seen = {}
    for name, workload in WORKLOADS.items():
        chip = build_chip("truenorth", workload)
        engine = CompiledEngine(chip, threads=THREADS, probes=Probes(spikes=chip.cores.configured))
        nothing = np.zeros(0, np.int64)
        engine.advance(Events(nothing, nothing, nothing), TICKS)
        found, counters = engine.take(), engine.counters()
        spikes = np.stack([found.spike_tick, found.spike_row, found.spike_neuron])
        columns = {"spikes": spikes, "membranes": engine.membranes(), **vars(counters)}
        seen.update({f"{name}: {column}": values for column, values in columns.items()})
        print(f"{engine.path}: {name}: {spikes.shape[1]:,} spikes in {TICKS} ticks")
    np.savez(path, **seen)


def differences(one: Path, other: Path) -> list[str]:
    """Names of the arrays that differ."""
    with np.load(one) as mine, np.load(other) as theirs:
        return [name for name in mine if not np.array_equal(mine[name], theirs[name])]


def check(folder: Path) -> int:
    machine = ArmMachine(folder)
    machine.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    native, emulated = folder / "native.npz", folder / "emulated.npz"
    record(native)
    machine.run(__file__, "--record", emulated)
    found = differences(native, emulated)
    print("\n".join(f"DIFFERS: {name}" for name in found) or "equal in every spike, membrane and counter")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder to keep the ARM system and packages in")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        record(options.record)
        return 0
    if lacking := missing():
        print(f"skipped: this machine lacks {', '.join(lacking)}")
        return 0
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        return check(options.work.resolve())
    with tempfile.TemporaryDirectory() as name:
        return check(Path(name))


if __name__ == "__main__":
    sys.exit(main())

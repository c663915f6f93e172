"""What Python says where the source folder hides the installed package, and ``python -m neurocore``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_source_folder_says_that_it_is_one() -> None:
    command = [sys.executable, "-c", "import neurocore; print(neurocore.__version__); neurocore.Network"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (shown.returncode, len(shown.stdout.splitlines())) == (1, 1)
    assert shown.stderr.splitlines()[-1].startswith(f"ImportError: {ROOT / 'neurocore'} is neurocore's source folder")


def test_elsewhere_nothing_is_hidden(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import neurocore; print(neurocore.Network('net').name)"]
    assert subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout == "net\n"


def run_module(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "neurocore", *arguments], capture_output=True, text=True, cwd=folder)


def test_the_module_is_the_command_line(tmp_path: Path) -> None:
    shown = run_module(tmp_path, "chips", "--json")
    assert "truenorth" in [item["name"] for item in json.loads(shown.stdout)["chips"]]
    assert run_module(tmp_path, "chips", "nothing").returncode == 3
    assert run_module(tmp_path, "--help").stdout.startswith("Usage: neurocore ")


def test_the_module_says_that_it_is_hidden() -> None:
    shown = run_module(ROOT, "chips")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"neurocore: {ROOT / 'neurocore'} is neurocore's source folder")

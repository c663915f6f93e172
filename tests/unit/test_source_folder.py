"""What Python says where the source folder hides the installed package."""

from __future__ import annotations

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

"""Runs mypy over the installed names.

``compiler/`` and ``chipdefs/`` are installed inside the package ``neurocore``; mypy must see them there. This builds that tree
out of links in a temporary folder and checks it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build_tree(folder: Path) -> None:
    """The package as it is installed, made of links."""
    package = folder / "neurocore"
    package.mkdir()
    for entry in (ROOT / "neurocore").iterdir():
        (package / entry.name).symlink_to(entry)
    for name in ("compiler", "chipdefs"):
        (package / name).symlink_to(ROOT / name)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_tree(folder)
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "neurocore"]
        environment = {**os.environ, "MYPYPATH": str(folder)}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

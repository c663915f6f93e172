"""Settings and fixtures that all tests share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from neurocore.architecture import Architecture, load_architecture
from neurocore.cli import main

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("brief", settings.get_profile("default"), max_examples=3)
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("NEUROCORE_HYPOTHESIS", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the golden files anew instead of comparing")


@pytest.fixture(scope="session")
def tiny() -> Architecture:
    return load_architecture("tiny")


@pytest.fixture(scope="session")
def truenorth() -> Architecture:
    return load_architecture("truenorth")


@pytest.fixture(scope="session")
def paicore() -> Architecture:
    return load_architecture("paicore")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with other people's recordings; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("NEUROCORE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set NEUROCORE_DATA to the folder that holds them")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """Compares text with a file in tests/golden, or writes it with --refresh-golden."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--refresh-golden"):
            path.write_text(text + "\n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text + "\n"

    return compare


class Outcome:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Runs a command line in this process."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def command(cli: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Runs a command line that must end with ``code``."""

    def run(*words: str, code: int = 0) -> Outcome:
        found = cli(*words)
        assert found.code == code, found.err
        return found

    return run


@pytest.fixture
def ibm_file(tmp_path: Path) -> Path:
    """Where a test writes an IBM model file."""
    return tmp_path / "model.json"

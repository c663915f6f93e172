"""Settings and fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from neurocore.architecture import Architecture, load_architecture

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
def golden(request: pytest.FixtureRequest):
    """Compares text with a file in tests/golden, or writes it with --refresh-golden."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--refresh-golden"):
            path.write_text(text + "\n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text + "\n"

    return compare

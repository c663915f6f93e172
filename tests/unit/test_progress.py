"""The progress bar of compile."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurocore.cli import main
from neurocore.cli.output import compile_bar


class Terminal:
    """A stderr that says that it is a terminal, and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True


def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(
        "network: n\ninputs: {x: {shape: [2]}}\npopulations: {a: {shape: [2]}}\n"
        "projections: [{source: x, target: a, weights: {one_to_one: 1}}]\noutputs: {o: {source: a}}\n"
    )
    for arguments, shown in ((["net.yaml", "-o", "c.h5"], True), (["net.yaml", "-o", "c.h5", "--json"], False)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        with pytest.raises(SystemExit) as stop:
            main(["compile", *arguments])
        assert stop.value.code == 0
        assert ("place" in terminal.text and "prove" in terminal.text and "100%" in terminal.text) is shown
        assert bool(terminal.text) is shown


def test_the_bar_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with compile_bar() as progress:
        for stage, done, total in (("route", 3, 4), ("partition", 0, 1), ("place", 0, 0), ("other", 1, 2)):
            progress(stage, done, total)
    shown = [int(part.split("%")[0].split()[-1]) for part in terminal.text.split("]")[1:] if "%" in part]
    assert shown == sorted(shown)
    assert shown[-1] == 100

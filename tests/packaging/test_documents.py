"""What the documents say is what happens: README commands, its Python example, the YAML format."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import neurocore as nc
from neurocore.architecture import chip_names, load_architecture
from neurocore.cli import main
from neurocore.compiler.check import check
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.encode import axons_per_signal
from neurocore.compiler.pipeline import compile_network
from neurocore.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Indented lines of the README that call neurocore."""
    return re.findall(r"^    (neurocore .+)$", README, re.MULTILINE)


def test_readme_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 6
    for command in commands():
        with pytest.raises(SystemExit) as stop:
            main(shlex.split(command)[1:])
        assert stop.value.code == 0, f"{command}: {capsys.readouterr().err}"


def test_readme_python(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    exec(compile(code.group(1), "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert out.startswith("[ 2 12]\n")
    assert "Power at 0.775 V" in out


def test_readme_shows_the_demo_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the demo's output stands in the README, speed apart; the report that it names is there."""
    with pytest.raises(SystemExit):
        main(["demo"])
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith("speed"):
            assert f"    {line}\n" in README


def test_yaml_document(tmp_path: Path) -> None:
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "network-yaml.md").read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    (tmp_path / "net.yaml").write_text(text.group(1))
    np.save(tmp_path / "w1.npy", np.ones((64, 100), np.int8))
    np.savez(tmp_path / "recurrent.npz", source=[0, 1], target=[1, 2], weight=[3, -1])
    assert compile_network(tmp_path / "net.yaml").n_outputs == 10


def test_placement_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands run one after the other on its own files; its placement file is that of the network that it shows."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "placement.md").read_text(encoding="utf-8")
    places, defects = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "net.yaml").write_text(
        "network: net\ninputs: {x: {shape: [4]}}\npopulations: {hidden: {shape: [100]}, out: {shape: [10]}}\nprojections:\n"
        "  - {source: x, target: hidden, weights: {all_to_all: 1}}\n"
        "  - {source: hidden, target: out, edges: [[0, 1, 1]], delay: 3}\noutputs: {o: {source: out}}\n"
    )
    (tmp_path / "board7.yaml").write_text(defects)
    for command in re.findall(r"^    (neurocore .+)$", text, re.MULTILINE):
        with pytest.raises(SystemExit) as stop:
            main(shlex.split(command)[1:])
        assert stop.value.code == 0, f"{command}: {capsys.readouterr().err}"
    assert "1 of 1 core kept the place given" in capsys.readouterr().out
    (tmp_path / "places.yaml").write_text(places)
    with pytest.raises(
        InputError, match=r"core 0 holds 'hidden\[0\.\.99\] out\[0\.\.9\]' now, not 'hidden\[0\.\.99\]'"
    ):
        compile_network(tmp_path / "net.yaml", placement=tmp_path / "places.yaml")


def test_chips_document() -> None:
    """The table of chip definitions has every one of them, with its own figures."""
    lines = (ROOT / "docs" / "chips.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    columns = {name.strip("` "): number for number, cell in enumerate(table[0]) for name in cell.split(",") if name}
    assert set(columns) == set(chip_names())
    rows = {row[0]: row for row in table}
    for name in ("truenorth", "goldengate", "ranc", "paicore", "tiny"):
        arch, column = load_architecture(name), columns[name]
        assert rows["axons x neurons a core"][column].startswith(f"{arch.core.axons:,} x {arch.core.neurons}")
        assert rows["axon types"][column].startswith(str(arch.core.axon_types))
        delay = arch.routing.delay
        assert rows["delay, slots"][column].startswith(f"{delay.min}..{delay.max}, {arch.core.scheduler_slots}")
        assert f"**`{name}`**" in "\n".join(lines)


@pytest.mark.parametrize("script", ["sound_localisation", "eight_bit_layer"])
def test_examples_run(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{script}.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert ("heard [(15, -6)]" if script == "sound_localisation" else "1 core, 960 axons") in out


def test_python_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(compile(code.group(1), "python.md", "exec"), names)
    assert len(names["runs"]) == 3


def test_installed_names() -> None:
    """compiler/ and chipdefs/ are installed inside the package, and nowhere else."""
    import neurocore.chipdefs
    import neurocore.compiler

    assert neurocore.compiler.__name__ == "neurocore.compiler"
    assert "compiler" not in sys.modules
    assert "chipdefs" not in sys.modules


def test_lazy_names_exist() -> None:
    import neurocore

    for name in neurocore.__all__:
        assert getattr(neurocore, name) is not None
    assert set(neurocore.__all__) <= set(dir(neurocore))
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        _ = neurocore.nosuch


def fan_in_table() -> list[tuple[list[int], int, int, int]]:
    """Rows of docs/network-yaml.md: weights other than 0, axons a signal, largest fan-in with many neurons in a core, and one."""
    text = (ROOT / "docs" / "network-yaml.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (-?\d+(?:\.\.|, 0, )\d+) \| (\d+) \| (\d+) \| (?:about )?(\d+) \|$", text, re.MULTILINE)
    ranges = [[int(end) for end in re.split(r"\.\.|, 0, ", row[0])] for row in rows]
    return [
        ([w for w in range(low, high + 1) if w], int(row[1]), int(row[2]), int(row[3]))
        for (low, high), row in zip(ranges, rows, strict=True)
    ]


def dense(values: list[int], n_signals: int, n_neurons: int) -> nc.Network:
    """Neurons with random weights."""
    net = nc.Network("dense")
    source, target = net.input("x", n_signals), net.population("p", n_neurons)
    net.connect(source, target, np.random.default_rng(1).choice(values, (n_signals, n_neurons)))
    net.output("p", target)
    return net


def test_the_table_of_fan_in(truenorth: nc.Architecture) -> None:
    """Many neurons share one core up to the one fan-in; beyond it they take more, one each up to the other."""
    table = fan_in_table()
    assert len(table) == 6
    for values, axons, many, alone in table:
        assert axons_per_signal(np.array(values), truenorth) == axons
        assert many == 256 // axons
        assert len(compile_network(dense(values, many, 16)).cores) == 1
        assert len(compile_network(dense(values, many + 1, 16)).cores) > 1
        for share, fits in ((0.9, True), (1.15, False)):
            cutter = Cutter(check(dense(values, int(share * alone) + (not fits), 1), truenorth), truenorth)
            assert (cutter.need(np.zeros(1, np.int64))[0] <= 256) == fits, (values, alone)

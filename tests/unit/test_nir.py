"""NIR files: what is read means what it says, and everything else is one list of sentences."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurocore.architecture import Architecture
from neurocore.compiler import nirread
from neurocore.compiler.floats import flatten, spike_counts
from neurocore.compiler.nirfile import NirOptions, load_nir
from neurocore.compiler.pipeline import compile_with_report
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import InputError
from neurocore.spikes import Spikes
from nir_files import chain, maps, neurons, write


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip).run(spikes, ticks).spikes


def small(path: Path, **neuron) -> str:
    """input [3] -> affine -> IF [2] -> output."""
    nodes = {
        "input": ("Input", {"shape": [3]}),
        "fc": ("Affine", {"weight": np.array([[0.5, 1, -1], [0.25, 0, 2]]), "bias": np.array([0.0, 0.125])}),
        "if": ("IF", {"r": np.array([1.0, 2.0]), "v_threshold": np.array([1.0, 3.0]), **neuron}),
        "output": ("Output", {"shape": [2]}),
    }
    return write(path, nodes, chain("input", "fc", "if", "output"))


def test_weights_biases_and_resistances(tmp_path: Path) -> None:
    net = load_nir(small(tmp_path / "a.nir"), options=NirOptions(dt=0.5))
    flat = flatten(net)
    table = np.zeros((3, 2))
    table[flat.source, flat.target] = flat.weight
    assert table.tolist() == [[0.5, 0.5], [1, 0], [-1, 4]], "r times w"
    assert flat.neuron["leak"].tolist() == [0, 0.125], "r times b times dt"
    assert flat.neuron["threshold"].tolist() == [1, 3]
    assert net.outputs["output"].source == "if"


@pytest.mark.parametrize(
    ("neuron", "asked", "mode", "reset"),
    [
        ({}, "auto", "linear", None),
        ({}, "zero", "value", None),
        ({"v_reset": np.array([0.0, 0.5])}, "auto", "value", [0, 0.5]),
        ({"v_reset": np.zeros(2)}, "subtract", "linear", None),
    ],
)
def test_resets(tmp_path: Path, neuron, asked, mode, reset) -> None:
    net = load_nir(small(tmp_path / "a.nir", **neuron), options=NirOptions(reset=asked))
    found = net.populations["if"].neuron
    assert found["reset_mode"] == mode
    assert np.array_equal(found.get("reset", 0), 0 if reset is None else reset)
    assert bool(net.declared) == (asked == "auto" and not neuron), "a guess is declared"


@pytest.mark.parametrize("pool", ["SumPool2d", "AvgPool2d"])
def test_a_pool_that_fits_is_folded_exactly(tmp_path: Path, pool: str) -> None:
    net = load_nir(maps(tmp_path / "a.nir", pool))
    assert set(net.populations) == {"a", "b"}
    assert len(net.declared) == 1
    weight = np.random.default_rng(0)
    weight.normal(0.2, 0.4, (2, 2, 3, 3))
    dense = weight.normal(0.2, 0.5, (3, 18)).reshape(3, 2, 3, 3)
    flat = flatten(net)
    mine = flat.target >= 72
    table = np.zeros((3, 72))
    table[flat.target[mine] - 72, flat.source[mine] - 72] = flat.weight[mine]
    wanted = np.repeat(np.repeat(dense, 2, axis=2), 2, axis=3).reshape(3, 72) / (4 if pool == "AvgPool2d" else 1)
    assert np.allclose(table, wanted)


@pytest.mark.parametrize(("pool", "share"), [("SumPool2d", 1), ("AvgPool2d", 4)])
def test_a_pool_that_does_not_fit_counts(tmp_path: Path, tiny: Architecture, pool: str, share: int) -> None:
    """A core of the tiny chip has 13 axons, so that the pool becomes neurons; no spike is lost."""
    net = load_nir(maps(tmp_path / "a.nir", pool, channels=1), tiny)
    assert "pool" in net.populations
    assert any(text.startswith(f"{pool} 'pool' is made of neurons that fire once for every") for text in net.declared)
    rng = np.random.default_rng(1)
    spikes = Spikes.from_lines(*np.nonzero(np.r_[rng.random((40, 72)) < 0.2, np.zeros((40, 72), bool)]))
    counts = spike_counts(flatten(net), spikes, 200)
    offsets = dict(
        zip(net.populations, np.cumsum([0, *(item.size for item in net.populations.values())]), strict=False)
    )
    before = counts[offsets["a"] :][:36].reshape(3, 2, 3, 2).sum(axis=(1, 3)).reshape(-1)
    assert before.sum() > 40
    assert (counts[offsets["pool"] :][:9] == before // share).all()


def test_layers_that_are_skipped_keep_time(tmp_path: Path) -> None:
    nodes = {
        "input": ("Input", {"shape": [2]}),
        "f1": ("Linear", {"weight": np.eye(2)}),
        "a": neurons(2),
        "f2": ("Linear", {"weight": np.eye(2)}),
        "b": neurons(2),
        "skip": ("Linear", {"weight": np.eye(2)}),
        "output": ("Output", {"shape": [2]}),
    }
    edges = [*chain("input", "f1", "a", "f2", "b", "output"), ("input", "skip"), ("skip", "b")]
    net = load_nir(write(tmp_path / "a.nir", nodes, edges))
    delays = {(item.source, item.target): item.delay for item in net.projections}
    assert delays == {("input", "a"): 1, ("a", "b"): 1, ("input", "b"): 2}


def test_a_graph_on_the_chip(tmp_path: Path) -> None:
    path = maps(tmp_path / "a.nir", "SumPool2d")
    chip, report = compile_with_report(path)
    certificate = dict(chip.notes)["certificate"]
    assert "quantised network" in certificate
    assert "approximation declared: IF neurons without v_reset" in certificate
    spikes = Spikes.from_lines(*np.nonzero(np.random.default_rng(2).random((60, 72)) < 0.1))
    verdict = verify(replace(load_nir(path), quantise="fit"), chip, spikes, 80, run)
    assert verdict.equal
    assert verdict.spikes_compared > 20
    assert report.quantisation is not None
    assert max(item.weight_error for item in report.quantisation.populations) < 0.1


def test_the_package_of_nir_writes_what_is_read(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "fc": nir.Affine(np.array([[0.5, 1, -1], [0.25, 0, 2]]), np.array([0.0, 0.125])),
        "if": nir.IF(r=np.array([1.0, 2.0]), v_threshold=np.array([1.0, 3.0])),
        "output": nir.Output({"output": np.array([2])}),
    }
    nir.write(str(tmp_path / "b.nir"), nir.NIRGraph(nodes, chain(*nodes)))
    ours = load_nir(small(tmp_path / "a.nir"), options=NirOptions(reset="zero"))
    theirs = load_nir(tmp_path / "b.nir", options=NirOptions(reset="zero"))
    for one, other in zip(vars(flatten(ours)).values(), vars(flatten(theirs)).values(), strict=True):
        pairs = zip(one.values(), other.values(), strict=True) if isinstance(one, dict) else [(one, other)]
        assert all(np.array_equal(a, b) for a, b in pairs)


# ---------------------------------------------------------------- what is refused


def test_everything_unsupported_is_listed(tmp_path: Path) -> None:
    nodes = {
        "input": ("Input", {"shape": [2]}),
        "lif": ("LIF", {"tau": np.ones(2), "v_threshold": np.ones(2)}),
        "odd": ("Wavelet", {}),
        "output": ("Output", {"shape": [2]}),
    }
    path = write(tmp_path / "a.nir", nodes, [*chain(*nodes), ("gone", "output")])
    with pytest.raises(InputError) as caught:
        load_nir(path)
    assert caught.value.problems == (
        f"{path}: node 'lif' is a LIF: its leak is exponential; the chip's is a constant per tick",
        f"{path}: node 'odd' is a Wavelet: this kind of node is not known",
        f"{path}: edge 'gone' -> 'output': there is no node 'gone'",
    )


def test_a_recorded_graph_with_a_leak_is_refused(data: Path) -> None:
    with pytest.raises(InputError, match=r"node '1' is a LIF: its leak is exponential"):
        load_nir(data / "nir" / "lif_norse.nir")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"fc": ("Affine", {"weight": np.ones((2, 4)), "bias": np.zeros(2)})},
         "node 'fc' (Affine) takes 4 values; its source has shape [3]"),
        ({"fc": ("Affine", {"weight": np.ones((5, 3)), "bias": np.zeros(5)})},
         "node 'if' (IF) has shape [2]; what 'input' sends to it has [5]"),
        ({"fc": ("Affine", {"bias": np.zeros(2)})},
         "node 'fc' (Affine): weight is missing; 2 axes were expected"),
        ({"fc": ("Conv2d", {"weight": np.ones((1, 1, 3, 3))})},
         "node 'fc' (Conv2d) takes [channel, row, column]; its source has shape [3]"),
        ({"if": ("IF", {"r": np.ones(3), "v_threshold": np.ones(2)})},
         "node 'if' (IF): r has 3 values for 2 neurons"),
        ({"output": ("Input", {"shape": [2]})}, "the graph has no Output node"),
    ],
)  # fmt: skip
def test_nodes_that_do_not_fit_together(tmp_path: Path, change: dict, text: str) -> None:
    nodes = {
        "input": ("Input", {"shape": [3]}),
        "fc": ("Affine", {"weight": np.ones((2, 3)), "bias": np.zeros(2)}),
        "if": ("IF", {"r": np.ones(2), "v_threshold": np.ones(2)}),
        "output": ("Output", {"shape": [2]}),
    }
    path = write(tmp_path / "a.nir", {**nodes, **change}, chain(*nodes))
    with pytest.raises(InputError) as caught:
        load_nir(path)
    assert f"{path}: {text}" in caught.value.problems


def test_values_that_do_not_fit_their_node(tmp_path: Path) -> None:
    nodes = {
        "input": ("Input", {"shape": [1, 4, 4]}),
        "fc": ("Affine", {"weight": np.ones((3, 16)), "bias": np.zeros(2)}),
        "if": ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
        "scale": ("Scale", {"scale": np.ones(4)}),
        "pool": ("SumPool2d", {"stride": [2, 2]}),
        "output": ("Output", {"shape": [2]}),
    }
    edges = [*chain("input", "fc", "if", "output"), *chain("if", "scale", "output"), *chain("input", "pool", "output")]
    path = write(tmp_path / "a.nir", nodes, edges)
    with pytest.raises(InputError) as caught:
        load_nir(path)
    assert caught.value.problems == (
        f"{path}: node 'fc' (Affine): bias has 2 values; 3 were expected",
        f"{path}: node 'scale' (Scale): scale of shape [4] does not match a source of shape [3]",
        f"{path}: node 'pool' (SumPool2d): kernel_size is missing; one or two whole numbers of at least 1 were expected",
    )


def test_a_cycle_without_neurons(tmp_path: Path) -> None:
    nodes = {
        "input": ("Input", {"shape": [2]}),
        "f": ("Linear", {"weight": np.eye(2)}),
        "g": ("Linear", {"weight": np.eye(2)}),
        "a": neurons(2),
        "output": ("Output", {"shape": [2]}),
    }
    path = write(tmp_path / "a.nir", nodes, [*chain("input", "f", "g", "f"), *chain("g", "a", "output")])
    with pytest.raises(InputError, match="form a cycle without a neuron"):
        load_nir(path)


def test_outputs_of_linear_nodes(tmp_path: Path) -> None:
    nodes = {"input": ("Input", {"shape": [2]}), "a": neurons(2), "f": ("Linear", {"weight": np.eye(2)}),
             "output": ("Output", {"shape": [2]})}  # fmt: skip
    nodes = {"input": nodes["input"], "g": nodes["f"], "a": nodes["a"], "f": nodes["f"], "output": nodes["output"]}
    with pytest.raises(
        InputError, match=r"output 'output' is fed by 'f' \(Linear\); only spikes of neurons leave the chip"
    ):
        load_nir(write(tmp_path / "a.nir", nodes, chain(*nodes)))


def test_files_that_are_none(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text.nir", tmp_path / "foreign.nir"
    text.write_text("no HDF5 at all")
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match=r"text.nir is no HDF5 file, or it is damaged"):
        load_nir(text)
    with pytest.raises(InputError, match=r"foreign.nir is no NIR file: it has no group 'node' under '/'"):
        load_nir(foreign)
    with pytest.raises(InputError, match=r"missing\.nir"):
        load_nir(tmp_path / "missing.nir")


def test_damaged_files_are_errors_and_no_crashes(tmp_path: Path) -> None:
    """Truncated anywhere, or with bytes turned over: a sentence, or a network that was read all the same."""
    whole = Path(small(tmp_path / "a.nir")).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(12):
        content = bytearray(whole)
        if number < 6:
            content = content[: len(whole) * (number + 1) // 8]
        else:
            for place in rng.integers(8, len(whole), 40):
                content[place] ^= 0xFF
        path = tmp_path / f"damaged{number}.nir"
        path.write_bytes(content)
        problems: tuple[str, ...] = ()
        try:
            load_nir(path)
        except InputError as error:
            problems = error.problems
        refused += bool(problems)
        assert all(str(path) in problem for problem in problems)
    assert refused >= 6


def test_a_reader_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / "a.nir")
    real = subprocess.run

    def dies(command, **options):
        return real([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"], **options)

    monkeypatch.setattr(nirread.subprocess, "run", dies)
    with pytest.raises(InputError, match=r"the process that reads it ended with code -11; it is damaged"):
        load_nir(path)


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    path = small(tmp_path / "a.nir")
    with h5py.File(path, "a") as file:
        del file["node/nodes/fc/weight"]
        file["node/nodes/fc/weight"] = h5py.ExternalLink(small(tmp_path / "b.nir"), "/node/nodes/fc/weight")
    with pytest.raises(InputError, match="it has no 'weight' under"):
        load_nir(path)


def test_a_folder_of_the_same_name_is_not_taken_for_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small(tmp_path / "a.nir")
    (tmp_path / "neurocore").mkdir()
    (tmp_path / "neurocore" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    assert set(load_nir(path).populations) == {"if"}

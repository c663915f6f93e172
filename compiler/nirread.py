"""Reads a NIR file in a process of its own: ``python -m neurocore.compiler.nirread FILE`` writes its nodes to stdout.

The HDF5 library can crash on a hostile file; then only this process ends. Format of the answer: an .npz archive of the nodes'
arrays as ``<number>/<parameter>``, with the text array ``graph`` of JSON: types and names of the nodes, edges, version. What is
wrong with a file goes to stderr as one sentence, with exit code 3.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.container import open_input
from neurocore.errors import InputError

Array = npt.NDArray[Any]

MAX_BYTES = 2 << 30
"""Arrays of a file that take more than this are not read."""
MAX_NODES = 100_000
TIMEOUT_SECONDS = 300
BAD_FILE = 3


@dataclass(frozen=True)
class Node:
    """A node of a graph: its type and its parameters as arrays."""

    name: str
    kind: str
    parameters: dict[str, Array]


@dataclass(frozen=True)
class Graph:
    """Nodes by name and edges as pairs of names, in the order of the file."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]
    version: str


def read_graph(path: str | Path) -> Graph:
    """The graph in a NIR file. Raises InputError for a file that is none, is damaged or crashes the HDF5 library."""
    with open_input(path):
        pass
    command = [sys.executable, "-P", "-m", "neurocore.compiler.nirread", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} could not be read within {TIMEOUT_SECONDS} s; it is damaged") from error
    if done.returncode == BAD_FILE:
        raise InputError(f"{path} {done.stderr.decode(errors='replace').strip()}")
    if done.returncode:
        raise InputError(
            f"{path} cannot be read: the process that reads it ended with code {done.returncode}; it is damaged"
            f" ({(done.stderr.decode(errors='replace').strip().splitlines() or ['no message'])[-1]})"
        )
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as content:
        graph = json.loads(str(content["graph"]))
        nodes = {
            name: Node(name, kind, {key: content[f"{number}/{key}"] for key in parameters})
            for number, (name, kind, parameters) in enumerate(graph["nodes"])
        }
    return Graph(nodes, [(str(begin), str(end)) for begin, end in graph["edges"]], graph["version"])


class _BadFileError(Exception):
    """Completes the sentence 'FILE ...'."""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _File:
    """An open file, read without following links out of it."""

    def __init__(self, path: str) -> None:
        import h5py

        self.h5py = h5py
        try:
            self.root = h5py.File(path, "r")
        except OSError as error:
            raise _BadFileError(f"is no HDF5 file, or it is damaged: {error}") from error
        self.left = MAX_BYTES

    def group(self, parent: Any, name: str) -> Any:
        if name not in parent or not isinstance(parent.get(name, getlink=True), self.h5py.HardLink):
            raise _BadFileError(f"is no NIR file: it has no group {name!r} under {parent.name!r}")
        found = parent[name]
        if not isinstance(found, self.h5py.Group):
            raise _BadFileError(f"is no NIR file: {found.name!r} is not a group")
        return found

    def value(self, parent: Any, name: str) -> Array:
        if name not in parent or not isinstance(parent.get(name, getlink=True), self.h5py.HardLink):
            raise _BadFileError(f"is no NIR file: it has no {name!r} under {parent.name!r}")
        found = parent[name]
        if not isinstance(found, self.h5py.Dataset) or found.is_virtual or found.external:
            raise _BadFileError(f"is no NIR file: {found.name!r} is no plain data set")
        self.left -= found.dtype.itemsize * (found.size or 0)
        if self.left < 0:
            raise _BadFileError(f"holds more than {MAX_BYTES:,} bytes, the most that is read")
        return np.asarray(found[()])

    def parameters(self, node: Any) -> dict[str, Array]:
        found = {}
        for name in node:
            if (
                name != "type"
                and isinstance(node.get(name, getclass=True), type)
                and node.get(name, getclass=True) is self.h5py.Dataset
            ):
                values = self.value(node, name)
                if values.dtype.kind in "biuf":
                    found[name] = values
                elif values.ndim == 0:
                    # Conv2d may give its padding as a word.
                    found[name] = np.array(_text(values[()]))
        return found


def _read(path: str) -> bytes:
    file = _File(path)
    graph = file.group(file.root, "node")
    if _text(file.value(graph, "type")[()]) != "NIRGraph":
        raise _BadFileError("is no NIR file: its root is not a NIRGraph")
    group = file.group(graph, "nodes")
    if len(group) > MAX_NODES:
        raise _BadFileError(f"has {len(group):,} nodes; at most {MAX_NODES:,} are read")
    nodes: list[Any] = []
    arrays: dict[str, Any] = {}
    for number, name in enumerate(group):
        node = file.group(group, name)
        parameters = file.parameters(node)
        nodes.append((name, _text(file.value(node, "type")[()]), list(parameters)))
        arrays.update({f"{number}/{key}": value for key, value in parameters.items()})
    edges = file.value(graph, "edges")
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 2):
        raise _BadFileError(f"is no NIR file: its edges have shape {edges.shape}; pairs of names were expected")
    pairs = [[_text(begin), _text(end)] for begin, end in edges.reshape(-1, 2)]
    version = _text(file.value(file.root, "version")[()]) if "version" in file.root else ""
    arrays["graph"] = np.array(json.dumps({"nodes": nodes, "edges": pairs, "version": version}))
    answer = io.BytesIO()
    np.savez(answer, **arrays)
    return answer.getvalue()


def main() -> int:
    """Entry point of the process."""
    try:
        answer = _read(sys.argv[1])
    except _BadFileError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_FILE
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        # What h5py raises for damage that it meets after it has opened a file.
        sys.stderr.write(f"is damaged: {error}\n")
        return BAD_FILE
    sys.stdout.buffer.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())

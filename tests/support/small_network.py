"""The smallest network of the tests of commands, and a run of it."""

from __future__ import annotations

from pathlib import Path

NETWORK = """\
network: small
inputs: {x: {shape: [4]}}
populations: {p: {shape: [3]}}
projections: [{source: x, target: p, weights: {all_to_all: 1}}]
outputs: {o: {source: p}}
"""


def record_run(command, network: str = NETWORK) -> None:
    """Compile and run it, or another with such an input, in the working directory: net.yaml, in.csv, c.h5, r.h5."""
    Path("net.yaml").write_text(network)
    Path("in.csv").write_text("tick,line\n0,0\n3,1\n")
    command("compile", "net.yaml", "-o", "c.h5")
    command("run", "c.h5", "--input", "in.csv", "--ticks", "10", "-o", "r.h5")

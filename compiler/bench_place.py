"""Places a core graph that comes as a file: the placer's own benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neurocore.compiler.place import CoreTraffic, chip_crossings, max_link, place
from neurocore.compiler.yamlnet import read_arrays
from neurocore.errors import InputError


def place_graph(path: str | Path, seed: int = 0) -> dict[str, Any]:
    """``mean_hops``, ``max_link``, ``chip_crossings`` and ``seconds`` of placing the graph of an .npz file.

    The file holds n_cores, source, target, spikes_per_tick and mesh [columns, rows]; optionally chip [columns, rows].
    """
    content = read_arrays(Path(path))
    if isinstance(content, np.ndarray):
        raise InputError(f"{path}: an .npz file with n_cores, source, target, spikes_per_tick and mesh was expected")
    missing = [name for name in ("n_cores", "source", "target", "spikes_per_tick", "mesh") if name not in content]
    if missing:
        raise InputError(f"{path}: the array {missing[0]!r} is missing")
    columns, rows = (int(size) for size in content["mesh"])
    chip = tuple(int(size) for size in content["chip"]) if "chip" in content else (columns, rows)
    traffic = CoreTraffic(
        int(content["n_cores"]),
        content["source"].astype(np.int64),
        content["target"].astype(np.int64),
        content["spikes_per_tick"].astype(np.float64),
    )
    placement = place(traffic, mesh=(columns, rows), chip=(chip[0], chip[1]), seed=seed)
    return {
        "mean_hops": placement.mean_hops,
        "max_link": max_link(traffic, placement, (columns, rows)),
        "chip_crossings": chip_crossings(traffic, placement, (chip[0], chip[1])),
        "seconds": placement.seconds,
    }

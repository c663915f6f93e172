"""A layer of 8-bit weights on PAICORE's wide words (chip definition ``paicore``).

Usage, with neurocore installed::

    python examples/eight_bit_layer.py

120 inputs reach 60 neurons, every pair with a weight of its own from -128 to 127. The compiler lays each weight out as bit
planes, axons of the eight types 1, 2, 4, ..., 64 and -128: 960 axons of one core, which TrueNorth's 256 could not hold, let alone
with four types. The neurons use what else is wide: thresholds of hundreds of millions that leaks reach in a few ticks.
"""

from __future__ import annotations

import numpy as np

import neurocore as nc

N_INPUTS, N_NEURONS = 120, 60


def parameters(seed: int = 1) -> tuple[np.ndarray, dict[str, object]]:
    """Weights [inputs, neurons], and neurons in two kinds: the first half plain, the second with 30-bit numbers."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 127, (N_INPUTS, N_NEURONS), endpoint=True)
    wide = np.arange(N_NEURONS) >= N_NEURONS // 2
    neuron: dict[str, object] = {
        "threshold": np.where(wide, rng.integers(300_000_000, 536_870_911, N_NEURONS), 500),
        "leak": np.where(wide, rng.integers(40_000_000, 100_000_000, N_NEURONS), 0),
        "floor": 1000,
        "reset_mode": "linear",
    }
    return weights, neuron


def build() -> nc.Network:
    """One dense layer."""
    weights, neuron = parameters()
    net = nc.Network("eight bits")
    layer = net.population("layer", N_NEURONS, **neuron)
    net.connect(net.input("x", N_INPUTS), layer, weights)
    net.output("y", layer)
    return net


def main() -> None:
    """Compile, run on random spikes, and say what the core holds."""
    chip = nc.compile(build(), chip="paicore")
    rng = np.random.default_rng(2)
    run = nc.Emulator(chip).run(rng.random((100, N_INPUTS)) < 0.1)
    used = chip.crossbar_bits(0).any(axis=1)
    print(
        f"{len(chip.cores)} core, {int(used.sum())} axons, types {sorted(set(chip.cores.axon_type[0][used].tolist()))}"
    )
    print(f"{run.n_spikes} spikes in {run.ticks} ticks")


if __name__ == "__main__":
    main()

"""Where does a sound come from? Coincidence detectors on one neurosynaptic core of 2011 (chip definition ``goldengate``).

Usage, with neurocore installed::

    python examples/sound_localisation.py

The published demonstration of that core was sound localisation by coincidence [Imam et al., ASYNC 2012]; this is Jeffress's
scheme in its numbers, not theirs. A sound excites the same frequency band of both ears, one ear some ticks after the other. Each
band has a row of detectors: position k delays the left ear by 1 + k ticks and the right ear by 15 - k, so that it sees both at
once if the left ear led by 2 k - 14 ticks. The delays are those of the axons, and every detector has axons of its own: 2 ears x
16 bands x 15 positions make 480 of the core's 1,024 axons and 240 of its 256 neurons.

A detector must forget a lone spike. The chip does that by a leak of -1, which it applies *after* comparing with the threshold of
2, and by cutting the membrane off at 0; :func:`neuron` writes such a neuron for neurocore, which leaks first.
"""

from __future__ import annotations

import numpy as np

import neurocore as nc

N_BANDS, N_POSITIONS = 16, 15
LEADS = 2 * np.arange(N_POSITIONS) - 14
"""Ticks by which the left ear leads at each position."""


def neuron(threshold: int, leak: int, initial: int = 0) -> dict[str, object]:
    """A neuron of the 2011 core: it integrates, fires and is reset to 0 at the threshold, leaks, and is cut off at 0.

    The membrane is counted without the last leak (see ``neurocore chips goldengate``).
    """
    return {
        "threshold": threshold,
        "leak": leak,
        "floor": leak,
        "floor_mode": "saturate",
        "reset": max(0, -leak),
        "initial": initial - leak,
    }


def build() -> nc.Network:
    """Two ears of 16 bands, 16 x 15 detectors."""
    net = nc.Network("sound localisation")
    left, right = net.input("left", N_BANDS), net.input("right", N_BANDS)
    detectors = net.population("detectors", (N_BANDS, N_POSITIONS), **neuron(threshold=2, leak=-1))
    for ear, shift in ((left, 1 + np.arange(N_POSITIONS)), (right, N_POSITIONS - np.arange(N_POSITIONS))):
        rows = [
            (band, band * N_POSITIONS + position, 1, int(shift[position]))
            for band in range(N_BANDS)
            for position in range(N_POSITIONS)
        ]
        net.connect(ear, detectors, edges=rows)
    net.output("position", detectors)
    return net


def main() -> None:
    """Play three sounds and print where the detectors heard them."""
    chip = nc.compile(build(), chip="goldengate")
    emulator = nc.Emulator(chip)
    for band, lead in ((0, 14), (3, 0), (15, -6)):
        emulator.reset()
        run = emulator.run([(20, band), (20 + lead, N_BANDS + band)], ticks=60)
        heard = [(int(line) // N_POSITIONS, int(LEADS[int(line) % N_POSITIONS])) for line in run.spikes.line]
        print(f"band {band}, left ear {lead:+d} ticks ahead: heard {heard}")


if __name__ == "__main__":
    main()

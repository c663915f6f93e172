"""A sensor that drives a chip live: a spot that wanders over a row of pixels, one spike a tick where it is.

Usage, with neurocore installed and a chip file of at least 8 input lines::

    python examples/live_sensor.py | neurocore run chip.h5 --live
    python examples/live_sensor.py --endless | neurocore run chip.h5 --live --pace real

The first form writes 200 ticks and lets the chip run as fast as it can. The second is a sensor that knows no ticks: it writes
a line number whenever something happens, and the chip's clock decides in which tick.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

N_PIXELS, N_TICKS = 8, 200


def wander(rng: random.Random, pixel: int) -> int:
    """One step of the spot, or none."""
    return min(max(pixel + rng.choice((-1, 0, 1)), 0), N_PIXELS - 1)


def main() -> None:
    """Write spikes to stdout, each line at once, as a live source should."""
    parser = argparse.ArgumentParser(description="Write the spikes of a wandering spot.")
    parser.add_argument(
        "--endless", action="store_true", help="a spike every millisecond, without ticks, until stopped"
    )
    endless = parser.parse_args().endless
    rng, pixel, tick = random.Random(1), N_PIXELS // 2, 0
    print("line" if endless else "tick,line", flush=True)
    while endless or tick < N_TICKS:
        pixel, tick = wander(rng, pixel), tick + 1
        print(pixel if endless else f"{tick - 1},{pixel}", flush=True)
        if endless:
            time.sleep(0.001)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # the chip has ended; nobody is left to tell

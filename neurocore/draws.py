"""Random draws as a pure function of (seed, stream, tick, purpose, neuron): no hidden state.

The silicon's generator and its draw order are not public, so no emulator can replay the chip's own random stream. This one
is counter-based (Salmon et al., SC11, for the idea): every draw is a hash of where it is used. Hence the same seed gives the
same spikes for any number of threads or ranks, with or without idle cores skipped, and after a checkpoint.

* A 64-bit *core key* is mixed from the seed and the core's stream number; a *tick key* from the core key, the tick and the
  purpose. The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, variant 13 of Stafford).
* Within a core, 32-bit word ``w`` of a tick key is a multiply-xorshift hash of ``w`` (constants of a two-round hash found by
  Wellons' prospector, public domain) into which both halves of the key enter, at different rounds.
* Draws come in bit planes: bit b of the draw of neuron j is bit ``j % 32`` of word ``2048 b + j // 32``. So a draw of a few bits
  costs as many words per 32 neurons, and a comparison may look at only the bits that decide it.

``draws.h`` holds the same functions in C; tests compare them word by word.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]

LEAK, THRESHOLD, SYNAPSE = 0, 1, 2
"""Purposes of a draw; the draws of axon a's synapses have purpose ``SYNAPSE + a``."""

PLANE_STRIDE = 2048
"""Words between the bit planes of a draw: room for 65,536 neurons."""

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def mix64(value: U64) -> U64:
    """SplitMix64's finaliser on an array of 64-bit words, a bijection."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def core_keys(seed: int, streams: npt.ArrayLike) -> U64:
    """Keys [n] of cores with stream numbers ``streams`` [n] under a seed (0..2^64-1)."""
    base = mix64(np.array([(seed + _GOLDEN) & _MASK], np.uint64))
    return mix64(base ^ mix64(np.asarray(streams, np.uint64) + np.uint64(0xD1B54A32D192ED03)))


def tick_keys(cores: U64, tick: int, purpose: int | npt.NDArray[Any]) -> U64:
    """Keys of one tick for ``cores`` [n] and a purpose, or one purpose per entry."""
    ticked = mix64(cores + np.uint64((tick * _GOLDEN) & _MASK))
    return mix64(ticked + np.asarray(purpose).astype(np.uint64) * np.uint64(0xDA942042E4DD58B5))


def words(keys: U64, index: npt.NDArray[Any]) -> U32:
    """32-bit word ``index`` of each key; shapes broadcast."""
    low = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (keys >> np.uint64(32)).astype(np.uint32)
    x = index.astype(np.uint32) * np.uint32(0x9E3779B9) + low
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD) + high
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0xD35A2D97)
    return x ^ (x >> np.uint32(15))


def small_draws(keys: U64, neuron: npt.NDArray[Any], bits: int) -> I32:
    """Uniform draws 0..2^bits-1 (bits <= 30), one per ``neuron`` (0..65535); shapes broadcast."""
    result = np.zeros(np.broadcast_shapes(keys.shape, neuron.shape), np.int32)
    for bit in range(bits):
        word = words(keys, neuron // 32 + PLANE_STRIDE * bit)
        result |= ((word >> (neuron % 32).astype(np.uint32) & np.uint32(1)) << np.uint32(bit)).astype(np.int32)
    return result


def wide_draws(keys: U64, neuron: npt.NDArray[Any], bits: npt.NDArray[Any]) -> I32:
    """Uniform draws 0..2^bits-1 with ``bits`` (0..30) per neuron; shapes broadcast."""
    mask = (1 << bits.astype(np.int32)) - 1
    return small_draws(keys, neuron, int(bits.max(initial=0))) & mask.astype(np.int32)

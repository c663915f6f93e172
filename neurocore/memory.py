"""Arrays for the compiled engine: aligned to cache lines, and in large pages where the system has them."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LINE = 64
HUGE_PAGE = 2 << 20
WORTH_PAGES = 1 << 20
"""Bytes from which an array gets pages of its own."""


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros in a C-contiguous array whose data starts at a multiple of 64 bytes.

    A large one starts at a multiple of 2 MB in pages that the system is asked to make large: a core's rows are read in random
    order, and 4-KB pages would miss the translation buffer at almost every row.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size >= WORTH_PAGES and hasattr(mmap, "MADV_HUGEPAGE"):
        return _paged(size).view(kind).reshape(shape)
    raw = np.zeros(size + LINE, np.uint8)
    return _from(raw, size, LINE).view(kind).reshape(shape)


def _paged(size: int) -> Array:
    pages = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # A kernel without large pages refuses; small ones do.
        pages.madvise(mmap.MADV_HUGEPAGE)
    return _from(np.frombuffer(pages, np.uint8), size, HUGE_PAGE)


def _from(raw: Array, size: int, alignment: int) -> Array:
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]

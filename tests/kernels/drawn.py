"""Operands of every shape that hypothesis thinks of: empty, one row, ragged, unaligned, not contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from accelsim.golden.formats import NM, select_nm

ELEMENTS = ("fp32", "fp16", "bf16", "int8")


@st.composite
def patterns(draw: Any) -> tuple[int, int]:
    """N:M with M from 2 to 32."""
    m = draw(st.one_of(st.sampled_from((2, 4, 8, 16, 32)), st.integers(2, 32)))
    return draw(st.integers(1, m)), m


def weights(element: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Dense weights in golden's element; some equal, some zero."""
    rng = np.random.default_rng(seed)
    if element == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    real = (rng.integers(-8, 9, shape) * rng.choice([1.0, 0.37], shape)).astype(np.float32)
    if element == "bf16":
        return (real.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return real.astype(np.float16 if element == "fp16" else np.float32)


def real(stored: np.ndarray) -> np.ndarray:
    """What an element stands for."""
    if stored.dtype == np.uint16:
        stored = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float64)


def compressed(dense: np.ndarray, n: int, m: int) -> NM:
    """N:M by golden's rule on what the elements stand for."""
    kept = select_nm(dense if dense.dtype == np.int8 else real(dense), n, m) if dense.size else dense == 0
    return NM.encode(np.where(kept, dense, dense.dtype.type(0)), n, m)


def laid_out(array: np.ndarray, how: str) -> np.ndarray:
    """The same numbers in another place of memory."""
    if how == "strided":
        wide = np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)
        wide[:, ::2] = array
        return wide[:, ::2]
    if how == "transposed":
        return np.ascontiguousarray(array.T).T
    if how == "unaligned":
        room = np.zeros(array.nbytes + 1, np.uint8)
        moved = room[1:].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved
    return array


LAYOUTS = ("plain", "strided", "transposed", "unaligned")

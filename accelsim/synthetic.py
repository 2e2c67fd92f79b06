"""Workloads by counts, for questions that need no model: one GEMM, or attention of a stated size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import Bitmap
from accelsim.layers import SCORE_ONE
from accelsim.workload import Attention, Matmul, Workload

MOST_WEIGHTS = 2**30  # of a mask that is drawn
MOST_ROWS = 2**20
MOST_SCORES = 2**29
MOST_LAYERS = 4096

MSB_BITS = (4, 6, 8, 10, 12)
LSB_BITS = (0, 4)


def parse_pattern(text: str) -> tuple[int, int] | None:
    """`"2:4"` as (2, 4), `"dense"` as None. Raises ValueError unless 1 <= N <= M."""
    if text == "dense":
        return None
    n, colon, m = text.partition(":")
    if not (colon and n.isdecimal() and m.isdecimal()):
        raise ValueError(f"pattern must be dense or N:M, such as 2:4, not {text!r}")
    if not 1 <= int(n) <= int(m):
        raise ValueError(f"pattern N:M must have 1 <= N <= M, not {text!r}")
    return int(n), int(m)


def parse_bits(text: str) -> tuple[int, int]:
    """`"6+4"` as (6, 4): the widths of the first fetch and of the re-fetch. Raises ValueError."""
    msb, plus, lsb = text.partition("+")
    if not (plus and msb.isdecimal() and lsb.isdecimal()):
        raise ValueError(f"bits must be MSB+LSB, such as 6+4, not {text!r}")
    if int(msb) not in MSB_BITS or int(lsb) not in LSB_BITS:
        raise ValueError(
            f"bits must have MSB in {{{_listed(MSB_BITS)}}} and LSB in {{{_listed(LSB_BITS)}}}, not {text!r}"
        )
    return int(msb), int(lsb)


def gemm(
    m: int,
    n: int,
    k: int,
    *,
    pattern: tuple[int, int] | None = None,
    dtype: str = "fp16",
    generator: np.random.Generator | None = None,
) -> Workload:
    """One GEMM: m activation rows, n outputs, reduction over k; the n x k weight is pruned to `pattern`.

    The mask of a pattern (N, M) with N < M is drawn from `generator` (default: seed 0); int4 of even N and M
    in aligned pairs, which share a byte and which tensor cores keep or drop as one. Raises ValueError.
    """
    if pattern is not None and n * k > MOST_WEIGHTS:
        raise ValueError(f"n x k of a pruned gemm must be <= {MOST_WEIGHTS} weights, not {n} x {k}")
    layer = Matmul(name="gemm", m=m, n=n, k=k, dtype=dtype)
    if pattern is not None:
        pair = 2 if dtype == "int4" and not (pattern[0] | pattern[1]) % 2 else 1
        mask = draw_mask(n, k, pattern, generator or np.random.default_rng(0), pair)
        layer = replace(layer, mask=mask, geometry={"pattern": f"{pattern[0]}:{pattern[1]}"})
    drawn = pattern is not None and pattern[0] < pattern[1]
    return Workload(model=f"gemm {m}x{n}x{k}", layers=(layer,), synthetic=drawn)


def draw_mask(
    n: int, k: int, pattern: tuple[int, int], generator: np.random.Generator, pair: int = 1
) -> Bitmap:
    """N ones in each group of M along k, every choice as likely; a ragged last group keeps min(N, rest).

    `pair`: aligned elements that are kept or dropped together; it divides N and M.
    """
    if pair > 1:
        drawn = draw_mask(n, -(-k // pair), (pattern[0] // pair, pattern[1] // pair), generator).unpack()
        return Bitmap.pack(np.repeat(drawn, pair, axis=-1)[:, :k])
    kept, group = pattern
    mask = np.empty((n, k), np.bool_)
    whole = k // group * group
    if kept == group:
        mask[:] = True
    else:
        mask[:, :whole] = _draw_groups(n, whole // group, group, kept, generator)
        mask[:, whole:] = _draw_groups(n, 1, k - whole, min(kept, k - whole), generator)
    return Bitmap.pack(mask)


def attention(
    *,
    keys: int,
    values: int,
    queries: int = 1,
    heads: int = 1,
    layers: int = 1,
    dim: int = 64,
    bits: tuple[int, int] | None = None,
    refetch: float = 0.0,
    generator: np.random.Generator | None = None,
) -> Workload:
    """Attention by counts: each query row of each head fetches `keys` keys and keeps `values` values.

    `bits`: (MSB, LSB) of the quantised operands. `refetch`: fraction of all rows that fetch their LSBs,
    spread evenly. Scores are drawn from `generator` (default: seed 0). Raises ValueError.
    """
    for name, count in {
        "keys": keys,
        "values": values,
        "queries": queries,
        "heads": heads,
        "dim": dim,
    }.items():
        if count < 1:
            raise ValueError(f"{name} must be >= 1, not {count}")
    if layers < 1:
        raise ValueError(f"layers must be >= 1, not {layers}")
    _check_size(layers=layers, rows=layers * heads * queries, keys=keys)
    if values > keys:
        raise ValueError(f"values must be <= keys ({keys}), not {values}")
    if not 0 <= refetch <= 1:
        raise ValueError(f"refetch must lie in 0..1, not {refetch:g}")
    if refetch and (bits is None or bits[1] == 0):
        raise ValueError(f"refetch must be 0 without LSBs to fetch (bits MSB+4), not {refetch:g}")
    generator = generator or np.random.default_rng(0)
    again = spread(layers * heads * queries, refetch).reshape(layers, 1, heads, queries)
    return Workload(
        model=f"attention {layers}x{heads}x{queries}x{keys}",
        layers=tuple(
            Attention(
                name=f"layer.{index}",
                heads=heads,
                kv_heads=heads,
                queries=queries,
                keys=keys,
                dim=dim,
                value_dim=dim,
                bits=bits,
                values=np.full((1, heads, queries), values, np.int32) if values < keys else None,
                refetch=again[index] if refetch else None,
                scores=draw_scores((1, heads, queries, keys), generator),
            )
            for index in range(layers)
        ),
        synthetic=True,
    )


def _check_size(*, layers: int, rows: int, keys: int) -> None:
    """Scores are drawn for every row, so that rows and keys must fit memory."""
    if layers > MOST_LAYERS:
        raise ValueError(f"layers must be <= {MOST_LAYERS}, not {layers}")
    if rows > MOST_ROWS:
        raise ValueError(f"layers x heads x queries must be <= {MOST_ROWS} rows, not {rows}")
    if rows * keys > MOST_SCORES:
        raise ValueError(f"rows x keys must be <= {MOST_SCORES} scores, not {rows} x {keys}")


def spread(rows: int, fraction: float) -> npt.NDArray[np.bool_]:
    """(rows,) with round(rows x fraction) ones at even distances."""
    count = round(rows * Fraction(fraction).limit_denominator(10**9))
    return np.diff(np.arange(rows + 1) * count // rows).astype(np.bool_)


def draw_scores(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Softmax of normal scores along the last axis, as probabilities x 4096, rounded."""
    weights = np.exp(generator.standard_normal(shape))
    scores: npt.NDArray[np.uint16] = np.rint(
        weights / weights.sum(axis=-1, keepdims=True) * SCORE_ONE
    ).astype(np.uint16)
    return scores


def _draw_groups(
    rows: int, groups: int, size: int, kept: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """(rows, groups x size) with `kept` ones in each group: take each with the chance need / left."""
    mask = np.empty((rows, groups, size), np.bool_)
    need = np.full((rows, groups), kept, np.uint32)
    for place in range(size):
        taken = generator.integers(size - place, size=(rows, groups), dtype=np.uint32) < need
        mask[:, :, place] = taken
        need -= taken
    return mask.reshape(rows, groups * size)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in numbers)

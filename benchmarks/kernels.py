"""How fast the kernels are, beside torch dense, torch.sparse and scipy.sparse on the same threads.

    python benchmarks/kernels.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/kernels.json]

Parts: decode (1 token, every shape, pattern and element), tokens (1 to 512 tokens), attention, gpu; without
one, all that this machine can run. All contenders of a row take turns, round after round. A turn is up to 30
calls, each on the next of so many copies of the weights that none finds them in a cache: as a model goes over
its layers, with warm code and cold weights. A ratio is the median of the rounds' ratios, which hardly depends
on what else the machine does. Every result is checked.
Parts that are not run keep their results in the file. Nothing here is a test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import scipy.sparse
import torch
from experiment import options, processor, provenance, save, so_far, some_of

from accelsim.golden.integer_attention import AttentionFormat, Operands
from accelsim.golden.integer_attention import attend as golden_attend
from accelsim_kernels import attend, matmul, pack, select_nm
from accelsim_kernels.compiled import threads
from accelsim_kernels.layers import NMLinear
from accelsim_kernels.packing import Packed

CACHE_BYTES = 96e6
"""Copies of a contender's weights take at least this much: three times a last-level cache of 32 MB."""

SHAPES = {
    "SmolLM2 k, v": (192, 576),
    "SmolLM2 q, o": (576, 576),
    "SmolLM2 gate, up": (1536, 576),
    "SmolLM2 down": (576, 1536),
    "Llama-2-7B q, k, v, o": (4096, 4096),
    "Llama-2-7B gate, up": (11008, 4096),
    "Llama-2-7B down": (4096, 11008),
}
TOKENS = (1, 4, 16, 64, 512)
TOKEN_SHAPES = ("SmolLM2 gate, up", "Llama-2-7B q, k, v, o")
BUDGET_SECONDS = 4.0
ROUNDS = (5, 101)
TURN_SECONDS = 2e-3
TURN_CALLS = 30

Row = dict[str, Any]
Call = Callable[[int], Any]


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("parts", metavar="PART", **some_of(PARTS))
    given = parser.parse_args()
    results = so_far(given.output)
    for part in given.parts:
        rows = []
        for row in PARTS[part]():
            print_row(row)
            rows.append(row)
            made = provenance(given.date, "numpy", "numba", "torch", "scipy")
            made["machine"] |= {"processor": processor(), "threads": threads()}
            results[part] = {"command": f"python benchmarks/kernels.py {part}", **made, "rows": rows}
            save(given.output, results)
    print(f"\nwritten: {given.output}")


def decode() -> Iterator[Row]:
    """One token: bound by the bytes of the weights."""
    for name, shape in SHAPES.items():
        for n, m, element in ((2, 8, "fp32"), (2, 8, "fp16"), (2, 4, "fp32"), (2, 4, "fp16")):
            yield product(name, shape, n, m, element, 1, others=element == "fp32")


def tokens() -> Iterator[Row]:
    """From decoding to a prompt: bound by multiplications in the end."""
    for name in TOKEN_SHAPES:
        for n, m in ((2, 8), (2, 4)):
            for count in TOKENS:
                yield product(name, SHAPES[name], n, m, "fp32", count, others=count <= 16)


def attention() -> Iterator[Row]:
    """Fixed point, beside golden in numpy: 9 heads of 64, a causal prompt and one token."""
    form = AttentionFormat(value_bits=12)
    for queries, keys in ((512, 512), (1, 4096)):
        rng = np.random.default_rng(0)
        shapes = ((9, queries, 64), (9, keys, 64), (9, keys, 64))
        raw = [rng.integers(-511, 512, shape) for shape in shapes]
        valid = np.tri(queries, keys, keys - queries, dtype=bool)[None]
        operands = Operands(query=raw[0], key=raw[1], value=raw[2], score_scale=2e-6, value_scale=1.0)
        calls: dict[str, Call] = {
            "golden": lambda _, o=operands, v=valid: golden_attend(o, form, 0.5, v).outputs,
            "ours": lambda _, r=raw, v=valid: attend(*r, 2e-6, form, 0.5, v).outputs,
        }
        assert np.array_equal(calls["golden"](0), calls["ours"](0))
        yield {"layer": f"attention, {queries} x {keys}, 9 heads of 64, 6+4 bits, half of V"} | timed(calls)


def gpu() -> Iterator[Row]:
    """Nothing without a GPU."""
    if torch.cuda.is_available():
        from kernels_gpu import rows

        yield from rows()


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "decode": decode,
    "tokens": tokens,
    "attention": attention,
    "gpu": gpu,
}


def product(
    name: str, shape: tuple[int, int], n: int, m: int, element: str, count: int, *, others: bool
) -> Row:
    """One product by all contenders; `others`: the sparse ones too."""
    weights = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    stored = select_nm(weights.astype(np.float16) if element == "fp16" else weights, n, m)
    dense = torch.from_numpy(stored.decode().astype(np.float32))
    x = np.random.default_rng(1).standard_normal((count, shape[1]), dtype=np.float32)
    packed = pack(stored)
    exact = x.astype(np.float64) @ dense.double().numpy().T
    calls = contenders(packed, dense, x, others=others)
    for which, call in calls.items():
        error = np.abs(np.asarray(call(0), np.float64) - exact).max() / np.abs(exact).max()
        assert error < (2e-2 if "bf16" in which else 1e-5), (which, error)
    found = timed(calls)
    return {
        "layer": name,
        "shape": list(shape),
        "pattern": f"{n}:{m}",
        "element": element,
        "tokens": count,
        "dense_bytes": dense.nbytes,
        "compressed_bytes": packed.nbytes,
        "gigabytes_per_second": packed.nbytes / found["microseconds"]["ours"] / 1e3,
    } | found


def contenders(packed: Packed, dense: torch.Tensor, x: np.ndarray, *, others: bool) -> dict[str, Call]:
    """Functions of the round, each on its own copies of the weights."""
    rows = torch.from_numpy(x)
    linear = torch.nn.functional.linear
    ours = copies(packed, packed.nbytes, lambda p: replace(p, values=p.values.copy(), words=p.words.copy()))
    layers = [NMLinear(each, None) for each in ours]
    full = copies(dense, dense.nbytes, torch.clone)
    calls: dict[str, Call] = {
        "torch fp32": lambda i: linear(rows, full[i % len(full)]),
        "ours": lambda i: matmul(ours[i % len(ours)], x),
        "ours as a layer": lambda i: layers[i % len(ours)](rows),
    }
    half, short = rows.bfloat16(), copies(dense.bfloat16(), dense.nbytes // 2, torch.clone)
    calls["torch bf16"] = lambda i: linear(half, short[i % len(short)]).float()
    if others:
        csr = scipy.sparse.csr_matrix(dense.numpy())
        matrices = copies(csr, csr.data.nbytes * 2, scipy.sparse.csr_matrix.copy)
        columns, transposed = np.ascontiguousarray(x.T), rows.t().contiguous()
        sparse = [
            torch.sparse_csr_tensor(
                *(torch.from_numpy(each) for each in (one.indptr, one.indices, one.data)), size=one.shape
            )
            for one in matrices
        ]
        calls["torch.sparse CSR"] = lambda i: (sparse[i % len(sparse)] @ transposed).t()
        calls["scipy.sparse CSR"] = lambda i: (matrices[i % len(matrices)] @ columns).T
    return calls


def copies(thing: Any, size: int, copy: Callable[[Any], Any]) -> list[Any]:
    """Enough of them that a round finds none in a cache."""
    return [copy(thing) for _ in range(max(2, int(CACHE_BYTES / max(size, 1)) + 1))]


def timed(calls: dict[str, Call]) -> Row:
    """Wall microseconds a call, median and best; the first contender over each, by rounds, wall and CPU time.

    On a busy machine a median of two threads says how long one waited for the other; CPU time does not.
    """
    for call in calls.values():
        call(0)
    begin = time.perf_counter()
    for call in calls.values():
        call(0)
    a_call_of_each = time.perf_counter() - begin
    turn = int(min(TURN_CALLS, max(1, TURN_SECONDS * len(calls) / a_call_of_each)))
    rounds = int(min(ROUNDS[1], max(ROUNDS[0], BUDGET_SECONDS / (a_call_of_each * turn))))
    wall, cpu = np.empty((2, len(calls), rounds))
    with torch.no_grad():
        for number in range(rounds):
            for index, call in enumerate(calls.values()):
                begin, cpu_begin = time.perf_counter(), time.process_time()
                for step in range(number * turn, (number + 1) * turn):
                    call(step)
                cpu[index, number] = time.process_time() - cpu_begin
                wall[index, number] = time.perf_counter() - begin
    return {
        "rounds": rounds,
        "calls_of_a_turn": turn,
        "microseconds": by_name(calls, np.median(wall, axis=1) / turn * 1e6, 1),
        "best_microseconds": by_name(calls, wall.min(axis=1) / turn * 1e6, 1),
        "first_over": by_name(calls, np.median(wall[0] / wall, axis=1), 2),
        "first_over_in_cpu_time": by_name(calls, np.median(cpu[0] / cpu, axis=1), 2),
    }


def by_name(calls: dict[str, Call], numbers: Sequence[float] | np.ndarray, digits: int) -> dict[str, float]:
    return {name: round(float(number), digits) for name, number in zip(calls, numbers, strict=True)}


def print_row(row: Row) -> None:
    what = " ".join(str(row[key]) for key in ("layer", "pattern", "element", "tokens") if key in row)
    times = ", ".join(
        f"{name} {micro:.0f} us ({row['first_over'][name]:.2f}x, "
        f"CPU {row['first_over_in_cpu_time'][name]:.2f}x)"
        for name, micro in row["microseconds"].items()
    )
    print(f"{what}: {times}", flush=True)


if __name__ == "__main__":
    main()

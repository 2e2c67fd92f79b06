"""The part `gpu` of `kernels.py`: cuBLAS, torch's 2:4 and SDPA beside the Triton kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from accelsim.golden.integer_attention import AttentionFormat
from accelsim_kernels import select_nm
from accelsim_kernels.triton_attention import decode_attention, split_keys
from accelsim_kernels.triton_products import gpu_matmul, gpu_pack

SHAPES = ((4096, 4096), (14336, 4096), (28672, 8192))
ROTATED_BYTES = 256e6
ROUNDS = 100
HEADS, KV_HEADS, DIM, CONTEXT = 32, 8, 128, 8192

Call = Callable[[int], Any]


def rows() -> Iterator[dict[str, Any]]:
    """Products of one token, then attention of one token with half of its context kept."""
    bandwidth = copied_bytes_per_second()
    for shape in SHAPES:
        for n, m in ((2, 8), (2, 4)):
            yield product(shape, n, m, bandwidth)
    yield attention()


def product(shape: tuple[int, int], n: int, m: int, bandwidth: float) -> dict[str, Any]:
    """fp16 weights and one row; `bound`: the time in which the compressed bytes can be read."""
    weights = np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(np.float16)
    stored = select_nm(weights, n, m)
    count = max(2, int(ROTATED_BYTES / weights.nbytes) + 1)
    packed = [gpu_pack(stored, "cuda") for _ in range(count)]
    dense = torch.from_numpy(stored.decode()).cuda()
    full = [dense.clone() for _ in range(count)]
    x = torch.randn(1, shape[1], device="cuda", dtype=torch.float16)
    calls: dict[str, Call] = {
        "cuBLAS fp16": lambda i: torch.nn.functional.linear(x, full[i % count]),
        "ours": lambda i: gpu_matmul(packed[i % count], x),
    }
    if (n, m) == (2, 4):
        sparse = [torch.sparse.to_sparse_semi_structured(each) for each in full]
        calls["torch 2:4"] = lambda i: torch.nn.functional.linear(x, sparse[i % count])
    exact = x.double() @ dense.double().t()
    for name, call in calls.items():
        error = float((call(0).double() - exact).abs().max() / exact.abs().max())
        assert error < 1e-2, (name, error)
    found = timed(calls)
    found["share_of_bound"] = packed[0].nbytes / bandwidth * 1e6 / found["microseconds"]["ours"]
    return {
        "layer": "product",
        "shape": list(shape),
        "pattern": f"{n}:{m}",
        "element": "fp16",
        "tokens": 1,
        "device": torch.cuda.get_device_name(),
        "compressed_bytes": packed[0].nbytes,
    } | found


def attention() -> dict[str, Any]:
    """Half of 8,192 tokens kept, 6+4 bits, beside SDPA in fp16 on the whole cache."""
    form = AttentionFormat(value_bits=8)
    generator = torch.Generator("cuda").manual_seed(0)
    draw = {"device": "cuda", "generator": generator}
    query = torch.randint(-511, 512, (HEADS, DIM), **draw)
    key = torch.randint(-511, 512, (KV_HEADS, CONTEXT, DIM), **draw)
    value = torch.randint(-127, 128, (KV_HEADS, CONTEXT, DIM), **draw)
    kept = torch.randperm(CONTEXT, **draw)[: CONTEXT // 2].sort().values.int()
    cache = split_keys(key, value, form)
    Q, K, V = (each.half() for each in (query[None, :, None], key[None], value[None]))
    scale = 2e-5
    attend = torch.nn.functional.scaled_dot_product_attention
    calls: dict[str, Call] = {
        "SDPA fp16": lambda _: attend(Q, K, V, scale=scale, enable_gqa=True),
        "ours": lambda _: decode_attention(query, cache, kept, scale, form)[0],
    }
    return {
        "layer": f"attention of a token, {CONTEXT} tokens, half kept",
        "device": torch.cuda.get_device_name(),
    } | timed(calls)


def copied_bytes_per_second() -> float:
    """Reads and writes of a large copy: the bandwidth that this device gives."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = min(elapsed(lambda: target.copy_(source)) for _ in range(20))
    return 2 * source.nbytes / seconds


def timed(calls: dict[str, Call]) -> dict[str, Any]:
    """Medians in microseconds, and of the first contender's time over each, in turn."""
    seconds = np.array(
        [[elapsed(lambda c=call, r=number: c(r)) for call in calls.values()] for number in range(ROUNDS)]
    )[ROUNDS // 10 :]
    micro = dict(zip(calls, (np.median(seconds, axis=0) * 1e6).round(1).tolist(), strict=True))
    ratios = np.median(seconds[:, :1] / seconds, axis=0).round(2).tolist()
    return {
        "rounds": len(seconds),
        "microseconds": micro,
        "first_over": dict(zip(calls, ratios, strict=True)),
    }


def elapsed(work: Callable[[], Any]) -> float:
    """Seconds on the device, launch included."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3

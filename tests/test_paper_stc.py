"""The GPU columns of `benchmarks/paper_stc.py`, with something that stands in for a GPU, and for torch."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="needs the benchmarks of a checkout")


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("paper_stc")
    for name in ("paper_stc", "gpu", "experiment"):
        sys.modules.pop(name, None)


def rows(paper: Any, *keys: tuple[int, int, int, str]) -> list[Any]:
    claims = [
        paper.Claim(
            table="others",
            machine="stc:a100",
            dtype=dtype,
            m=m,
            n=n,
            k=k,
            dense_us=1.0,
            sparse_us=1.0,
            source="",
        )
        for m, n, k, dtype in keys
    ]
    return [SimpleNamespace(claim=claim) for claim in claims]


class StandIn:
    """Takes as many microseconds as there are tokens, 2:4 half of them; no FP8."""

    device = {"device": "stand-in", "driver": "1.0"}  # noqa: RUF012

    def microseconds(self, m: int, n: int, k: int, dtype: str, *, sparse: bool) -> float:
        if dtype == "fp8":
            raise RuntimeError("no FP8\nhere")
        return m / (2 if sparse else 1)


def test_each_product_is_measured_once_and_a_refusal_is_kept(paper: Any) -> None:
    asked = rows(paper, (64, 8, 8, "fp16"), (64, 8, 8, "fp16"), (32, 8, 8, "fp8"), (65536, 8, 8, "fp16"))
    found = paper.measure(asked, StandIn())
    assert found == {
        (64, 8, 8, "fp16"): {**StandIn.device, "dense_us": 64.0, "sparse_us": 32.0},
        (32, 8, 8, "fp8"): {**StandIn.device, "refused": "no FP8"},
    }


def test_without_a_gpu_the_reason_is_said(paper: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert paper.measure(rows(paper, (64, 8, 8, "fp16")), "no torch") == {}
    assert capsys.readouterr().out == "no torch\n"
    assert isinstance(importlib.import_module("gpu").driver(), str)


class Tensor:
    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __mul__(self, other: Tensor) -> Tensor:
        assert self.shape == other.shape
        return self

    def tile(self, *times: int) -> Tensor:
        return Tensor(times[0], self.shape[0] * times[1])

    def t(self) -> Tensor:
        return Tensor(*reversed(self.shape))


class Event:
    """Every two of them are 30 ms apart."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return 30.0


def stand_in_for_torch(done: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> Any:
    def product(left: Tensor, right: Tensor) -> None:
        done.append((left.shape, right.shape))

    return SimpleNamespace(
        __version__="2.9",
        version=SimpleNamespace(cuda="12.9"),
        cuda=SimpleNamespace(get_device_name=lambda: "stand-in", Event=Event, synchronize=lambda: None),
        float16="float16",
        bfloat16="bfloat16",
        int8="int8",
        bool="bool",
        tensor=lambda values, **_: Tensor(len(values)),
        randn=lambda rows, columns, **_: Tensor(rows, columns),
        randint=lambda low, high, shape, **_: Tensor(*shape),
        nn=SimpleNamespace(functional=SimpleNamespace(linear=product)),
        _int_mm=product,
    )


@pytest.mark.parametrize(
    ("dtype", "operands"), [("fp16", ((16, 32), (8, 32))), ("int8", ((8, 32), (32, 16)))]
)
def test_torch_multiplies_activations_with_pruned_weights(
    paper: Any, dtype: str, operands: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    done: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    sparse: list[Tensor] = []
    gpu = importlib.import_module("gpu")
    made = gpu.TorchGpu(stand_in_for_torch(done), lambda weights: sparse.append(weights) or weights)
    assert made.device["device"] == "stand-in"
    # 30 ms for ten launches.
    assert made.microseconds(16, 8, 32, dtype, sparse=True) == 3000.0
    assert set(done) == {operands}
    assert [weights.shape for weights in sparse] == [(8, 32)]
    assert len(done) == gpu.WARM_UP + gpu.RUNS * gpu.LAUNCHES
    with pytest.raises(ValueError, match="dtype must be one of fp16, bf16, int8, not 'fp8'"):
        made.microseconds(16, 8, 32, "fp8", sparse=False)


def test_the_sheet_is_read_whole(paper: Any) -> None:
    claims = paper.read_claims()
    assert sum(claim.main for claim in claims) == 31
    assert {claim.table for claim in claims} == {"squares", "others", "layers"}

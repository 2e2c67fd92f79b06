"""The machine of docs/add_an_accelerator.md, held to what every machine is held to; and the page's code."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accelsim import Attention, Matmul, Workload, run
from accelsim.golden.formats import Bitmap
from accelsim.run import SkippedLayersWarning

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, EXAMPLE = DOCS / "add_an_accelerator.md", DOCS / "examples" / "sparse_rows.py"

specification = importlib.util.spec_from_file_location("sparse_rows", EXAMPLE)
example = importlib.util.module_from_spec(specification)
sys.modules["sparse_rows"] = example
specification.loader.exec_module(example)
SparseRows = example.SparseRows


ATTENTION = Attention(name="a", heads=1, kv_heads=1, queries=1, keys=1, dim=8, value_dim=8)


def workload(m: int = 8, n: int = 40, k: int = 96, mask: np.ndarray | None = None) -> Workload:
    packed = None if mask is None else Bitmap.pack(mask)
    return Workload(model="one", layers=(Matmul(name="a", m=m, n=n, k=k, mask=packed),))


def drawn(n: int, k: int, density: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, k)) < density


def test_the_file_is_as_long_as_the_page_says() -> None:
    lines = len(EXAMPLE.read_text().splitlines())
    assert f"in {lines} lines" in PAGE.read_text()
    assert lines <= 150


def test_the_code_of_the_page_runs(capsys, monkeypatch) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(DOCS.parent)
    monkeypatch.setattr(sys, "path", [*sys.path])
    exec(compile(code[1], str(PAGE), "exec"), {})
    assert "one layer on sparse_rows" in capsys.readouterr().out


def test_a_mask_of_ones_is_no_mask() -> None:
    ones = run(workload(mask=np.ones((40, 96), bool)), SparseRows())
    assert ones.cycles == ones.baseline.cycles == run(workload(), SparseRows()).cycles


@pytest.mark.parametrize("seed", range(5))
def test_compute_cycles_are_those_of_the_closed_form(seed: int) -> None:
    mask = drawn(40, 96, 0.4, seed)
    machine = SparseRows(lanes=8, outputs=8, weight_buffer_bytes=4 * 8 * 96)
    report = run(workload(mask=mask), machine)
    pairs = mask.sum(axis=1).reshape(-1, 8).sum(axis=1)
    products = 8 * -(-pairs // 8)
    assert report.compute_cycles == products.sum() + machine.adder_latency
    assert report.macs_done == 8 * mask.sum()


@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("m", [1, 64])
def test_it_is_never_faster_than_its_roofline(density: float, m: int) -> None:
    machine = SparseRows()
    report = run(workload(m=m, n=64, k=128, mask=drawn(64, 128, density, 0)), machine)
    assert report.macs_done / report.cycles <= machine.lanes
    assert report.dram_bytes / report.seconds <= machine.dram.peak_bandwidth
    assert report.dram_bytes >= machine.pair_bytes * drawn(64, 128, density, 0).sum()


def test_zeros_anywhere_shorten_it_in_proportion() -> None:
    report = run(workload(m=64, n=128, k=256, mask=drawn(128, 256, 0.25, 3)), SparseRows())
    assert 3.6 < report.baseline.compute_cycles / report.compute_cycles < 4.1
    assert report.speedup > 3


def test_what_it_cannot_run_is_refused_with_a_reason() -> None:
    assert "must fit weight_buffer_bytes" in SparseRows().refuse(Matmul(name="a", m=1, n=1, k=10**6))
    assert "products only" in SparseRows().refuse(ATTENTION)
    with pytest.warns(SkippedLayersWarning, match="grouped"):
        run(Workload(model="b", layers=(Matmul(name="a", m=1, n=1, k=1, count=2),)), SparseRows())
    with pytest.raises(ValueError, match=r"^lanes must be >= 1, not 0$"):
        replace(SparseRows(), lanes=0)

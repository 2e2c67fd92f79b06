"""The machine `sat` beside its least preset: the size that `verify` takes, another one, and a workload."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.golden.formats import Bitmap, select_nm
from accelsim.workload import Matmul, Workload
from accelsim_rtl.kit.replay import UnfitError
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

SAT = find("sat")
LEAST, TINY = SAT.presets["least"], SAT.presets["tiny"]


def assert_passes(parameters, workload=None):
    for verdict in verify(SAT, parameters, simulator="icarus", seeds=[3], workload=workload):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
        assert verdict.checked > 1000


def test_the_machine_of_16_elements_is_its_model():
    assert_passes(TINY)


def test_rows_that_are_no_multiple_of_a_group_are_loaded_in_turn():
    assert_passes(replace(LEAST, rows=3, cols=4, group=4, kept=3, interleave=1, depth=2))


def _products(n: int, m: int) -> Workload:
    rng = np.random.default_rng(1)
    kept = select_nm(rng.standard_normal((7, 2, 12)), n, m).reshape(7, -1)
    sparse = Matmul(
        name="conv.ff",
        m=9,
        n=7,
        k=24,
        mask=Bitmap.pack(kept),
        stage="ff",
        geometry={"kernel": "1x2", "pattern": f"{n}:{m}"},
    )
    dense = Matmul(name="conv.wu", m=24, n=7, k=9, weights=False, stage="wu")
    return Workload(model="a layer", layers=(sparse, dense))


def test_pieces_of_a_workload_are_jobs_with_its_masks():
    parameters = replace(LEAST, cols=4, group=4)
    work = SAT.replay(parameters, _products(1, 2), np.random.default_rng(2))
    assert "2 of ff (1 of 1 products are N:M), 2 of wu" in work.sentence
    assert_passes(parameters, _products(1, 2))


def test_a_workload_whose_groups_do_not_divide_the_arrays_is_refused():
    sparse = Workload(model="sparse", layers=_products(1, 6).layers[:1])
    with pytest.raises(UnfitError, match="groups divide group=4; it has none"):
        SAT.replay(TINY, sparse, np.random.default_rng(2))

"""SAT's array beside its smallest preset: other shapes, latencies and patterns, its text, masks of a step."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.golden.formats import NM, Bitmap, select_nm
from accelsim.golden.matmul import matmul_nm
from accelsim.units.sat_array import Fold, pack_fold
from accelsim.units.step import pack, unpack
from accelsim.workload import Matmul, Workload
from accelsim_rtl.entries.sat_array import north_beats
from accelsim_rtl.kit.replay import UnfitError
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

ARRAY = find("sat.array")
TINY = ARRAY.presets["tiny"]


def assert_passes(parameters, workload=None, unit=ARRAY):
    for verdict in verify(unit, parameters, simulator="icarus", seeds=[3], workload=workload):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
        assert verdict.checked > 100


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 1, "cols": 4, "interleave": 3},
        {"rows": 4, "cols": 2, "group": 8, "adder_latency": 4, "interleave": 4, "multiplier_latency": 3},
        {"rows": 3, "cols": 1, "group": 1, "adder_latency": 1},
        {"rows": 3, "cols": 3, "group": 5, "adder_latency": 5, "interleave": 2, "multiplier_latency": 1},
    ],
    ids=str,
)
def test_the_array_is_its_model_at_every_shape_and_latency(changes):
    assert_passes(replace(TINY, **changes))


def test_an_array_of_1024_elements_defines_one():
    text = verilog(ARRAY.instance(ARRAY.presets["paper"]), ARRAY.top)
    assert len(text) < 1 << 20
    assert all(len(re.findall(rf"^module {name}\(", text, re.M)) == 1 for name in ("sat_element", "sat_row"))


def test_folds_that_go_on_with_each_others_sums_are_one_product():
    """Stored weights of a whole product, `rows` at a time; sums of a fold are the partials of the next."""
    rng = np.random.default_rng(11)
    rows, cols, group, kept, beats = TINY.rows, TINY.cols, TINY.group, 2, 5
    groups = 3 * rows // kept
    activations = rng.standard_normal((beats, groups * group)).astype(np.float16)
    weights = rng.standard_normal((cols, groups * group)).astype(np.float16)
    code = NM.encode(np.where(select_nm(weights, kept, group), weights, np.float16(0)), kept, group)
    values, indices = code.values.reshape(cols, -1), code.indices.reshape(cols, -1)
    lanes = activations.view(np.uint16).reshape(beats, groups, group)
    transactions: list[dict[str, list[int]]] = []
    sums: list[int] = []
    for first in range(0, groups * kept, rows):
        chosen = np.arange(first, first + rows)
        transactions.append(
            {
                "folds": [pack_fold(TINY, Fold(stationary=True, beats=beats, continued=first > 0))],
                "west": [pack(beat.ravel().tolist(), 16) for beat in lanes[:, chosen // kept]],
                "north": north_beats(TINY, values[:, chosen].T[::-1], indices[:, chosen].T[::-1]),
            }
        )
        if first:
            transactions[-1]["partials"] = sums
        sums = ARRAY.expected(TINY, transactions[-1:])["sums"]
    words = [unpack(payload, 32, cols) for payload in sums]
    assert np.array_equal(np.array(words, np.uint32).view(np.float32), matmul_nm(activations, code))
    assert_passes(TINY, unit=replace(ARRAY, stimulus=lambda parameters, generator: transactions))


def _step(n: int, m: int) -> Workload:
    """A convolution's three products of a training step: 12 channels at 4 taps; groups may be ragged."""
    rng = np.random.default_rng(1)

    def masked(stage: str, rows: int, taps: int, channels: int) -> Matmul:
        kept = select_nm(rng.standard_normal((rows, taps, channels)), n, m).reshape(rows, -1)
        geometry = {"kernel": "2x2", "pattern": f"{n}:{m}"} if stage else {}
        return Matmul(
            name=f"conv.{stage}",
            m=50,
            n=rows,
            k=taps * channels,
            mask=Bitmap.pack(kept),
            stage=stage,
            geometry=geometry,
        )

    dense = Matmul(name="conv.wu", m=48, n=20, k=50, weights=False, stage="wu")
    return Workload(model="one step", layers=(masked("ff", 20, 1, 12), masked("bp", 12, 1, 20), dense))


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4)])
def test_pieces_of_all_three_stages_run_with_their_masks(n, m):
    assert_passes(replace(TINY, rows=4), workload=_step(n, m))
    work = ARRAY.replay(TINY, _step(n, m), np.random.default_rng(2))
    assert all(stage in work.sentence for stage in ("ff", "bp", "wu"))


def test_a_workload_with_larger_groups_only_is_refused():
    step = _step(2, 8)
    sparse = Workload(model="sparse", layers=step.layers[:2])
    with pytest.raises(UnfitError, match="group=8 or more, not group=4"):
        ARRAY.replay(TINY, sparse, np.random.default_rng(2))

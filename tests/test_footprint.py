"""Sizes and operation counts of compressed networks, by rule."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.golden.formats import Bitmap, select_nm
from accelsim.models.footprint import Footprint, footprint, operations, parameters
from accelsim.models.networks import workload
from accelsim.workload import Matmul, Workload


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # As their authors' code (and timm) counts them.
        ("deit-tiny", 5_717_416),
        ("deit-small", 22_050_664),
        ("deit-base", 86_567_656),
        ("vit-large", 304_326_632),
        ("swin-tiny", 28_288_354),
        ("swin-small", 49_606_258),
        ("swin-base", 87_768_224),
    ],
)
def test_parameters_are_the_published_ones_to_the_last(name: str, count: int) -> None:
    assert parameters(name) == count


@pytest.mark.parametrize(("dtype", "times"), [("int8", 6.4), ("int4", 12.8), ("fp16", 32 / 9)])
def test_pruned_matrices_alone_shrink_by_the_rule(dtype: str, times: float) -> None:
    assert Footprint(pruned=1000, whole=0, beside=0).reduction(dtype) == pytest.approx(times)


def test_what_is_not_pruned_keeps_the_model_from_the_rule() -> None:
    made = workload("deit-base", "magnitude,2:4")
    found = footprint(made, parameters("deit-base"))
    assert found.parameters == 86_567_656
    # The patches have three channels, and stay dense; everything else is a matrix.
    assert found.whole == 768 * 768
    assert 6.0 < found.reduction("int8") < found.reduction("int8", beside_bits=8) < 6.4
    assert found.reduction("int4", beside_bits=8) == pytest.approx(12.6, abs=0.1)


def test_half_of_the_weighted_operations_and_all_others_are_left() -> None:
    made = workload("deit-base", "magnitude,2:4")
    found = operations(made)
    assert found.dense == made.dense().macs
    attention = 12 * 2 * 197 * 197 * 768
    patches = 196 * 768 * 768
    assert found.activations == attention
    assert found.weighted == (found.dense - attention - patches) // 2 + patches
    assert 1.85 < found.reduction < 2
    whole = operations(made.dense())
    assert whole.reduction == 1


def test_products_of_one_weight_each_count_all_their_weights() -> None:
    mask = Bitmap.pack(np.stack([select_nm(np.random.default_rng(i).random((8, 16)), 2, 4) for i in (0, 1)]))
    layer = Matmul(name="grouped", m=5, n=8, k=16, count=2, mask=mask)
    made = Workload(model="two", layers=(layer,))
    assert footprint(made, 300) == Footprint(pruned=256, whole=0, beside=44)
    assert operations(made).done == 5 * 128


def test_what_cannot_be_counted_is_refused_in_one_line() -> None:
    made = workload("deit-tiny")
    with pytest.raises(ValueError, match=r"^parameters must be >= the \d+ of the matrices, not 5$"):
        footprint(made, 5)
    with pytest.raises(
        ValueError, match=r"^vision transformer must be one of .*, not 'deit-smal'; did you mean"
    ):
        parameters("deit-smal")
    with pytest.raises(ValueError, match=r"^dtype must be one of fp16"):
        Footprint(pruned=1, whole=1, beside=1).bits("int16")

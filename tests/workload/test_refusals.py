"""A layer or workload whose fields do not fit together is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.golden.formats import Bitmap
from accelsim.workload import Attention, Matmul, Update, Workload

MATMUL: dict[str, Any] = {"name": "a", "m": 2, "n": 3, "k": 4}
ATTENTION: dict[str, Any] = {
    "name": "a", "heads": 2, "kv_heads": 2, "queries": 3, "keys": 5, "dim": 4, "value_dim": 4
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"m": 0}, "matmul 'a': m must be a whole number from 1 to 2147483647, not 0"),
        ({"n": -3}, "n must be .* not -3"),
        ({"k": 2**31}, "k must be"),
        ({"k": 4.0}, "k must be .* not 4.0"),
        ({"m": True}, "m must be .* not True"),
        ({"m": 2**31 - 1, "n": 2**31 - 1, "k": 4}, "multiply-accumulates must be <="),
        ({"dense_m": 1}, r"dense_m must be 0 or >= m \(2\), not 1"),
        ({"dense_n": 2}, r"dense_n must be 0 or >= n \(3\), not 2"),
        ({"dense_k": -1}, "dense_k must be a whole number from 0 to 2147483647, not -1"),
        ({"dense_k": 5, "stage": "bp"}, r"dense_k must be 0 or k in a training step \(bp\)"),
        ({"dense_n": 2**31 - 1, "dense_k": 2**31 - 1, "m": 4}, "multiply-accumulates must be <="),
        (
            {"dense_k": 7, "geometry": {"input_channels": 2}},
            r"dense_k must be k and whole channels \(input_channels 2\), not 7",
        ),
        ({"name": ""}, "name must be one printable line"),
        ({"name": "a\x1b[2J"}, "name must be one printable line"),
        ({"weights": 1}, "weights must be True or False, not 1"),
        ({"geometry": {"kernel": 1.5}}, "geometry must map"),
        ({"geometry": 3}, "geometry must be a mapping"),
        ({"mask": np.ones((3, 4), np.bool_)}, "mask must be a Bitmap"),
        ({"mask": Bitmap.pack(np.ones((4, 3), np.bool_))}, r"mask must have shape \(3, 4\) or"),
        ({"mask": Bitmap.pack(np.ones((3, 4), np.bool_)), "weights": False}, "a mask must be on weights"),
        ({"mask": Bitmap((3, 4), np.full(2, 255, np.uint8))}, "bits after the last weight"),
        ({"stage": "up"}, "stage must be one of ff, bp, wu or empty, not 'up'"),
    ],
)
def test_a_matmul_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Matmul(**{**MATMUL, **values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": 0}, "update 'a': n must be a whole number"),
        ({"forward": "4:2"}, "forward must be dense or N:M with N <= M, not '4:2'"),
        ({"backward": "0:8"}, "backward must be dense or N:M"),
        ({"backward": "all"}, "backward must be dense or N:M"),
        ({"skipped": 1}, "skipped must be True or False"),
        ({"loss_scale": 0}, "loss_scale must be a whole number from 1"),
        ({"geometry": 3}, "geometry must be a mapping"),
        ({"n": 2**31 - 1, "k": 2**31 - 1, "count": 4}, "weights must be <="),
    ],
)
def test_an_update_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Update(**{"name": "a", "n": 3, "k": 4, **values})
    assert "\n" not in str(caught.value)


def test_groups_of_a_stage_lie_along_the_channels_that_it_sums() -> None:
    geometry = {"input_channels": 6, "output_channels": 10, "groups": 2, "kernel": "3x3"}
    forward = Matmul(name="c.ff", m=7, n=5, k=27, count=2, geometry=geometry, stage="ff")
    backward = Matmul(name="c.bp", m=7, n=27, k=5, count=2, geometry=geometry, stage="bp")
    assert (forward.layer, forward.group_span) == ("c", 3)
    assert (backward.layer, backward.group_span) == ("c", 5)
    update = Update(name="c.update", n=5, k=27, count=2, geometry=geometry, state=1)
    assert (update.layer, update.group_span, update.backward_span) == ("c", 3, 5)
    assert update.read_bytes == update.write_bytes == 8 * 2 * 5 * 27
    assert replace(update, skipped=True).write_bytes == 0
    # An output gradient that is pruned stands where a weight does.
    pruned = Bitmap.pack(np.ones((7, 5), np.bool_))
    assert Matmul(name="c.bp", m=27, n=7, k=5, weights=False, mask=pruned, stage="bp").mask is pruned


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keys": 0}, "attention 'a': keys must be"),
        ({"kv_heads": 3}, "kv_heads must be <= heads"),
        ({"bits": (0, 4)}, "bits must be MSB >= 1"),
        ({"bits": (30, 4)}, "together <= 32"),
        ({"bits": [6, 4]}, "bits must be two whole numbers"),
        ({"bits": (6,)}, "bits must be two whole numbers"),
        (
            {"values": np.ones((1, 2, 3), np.int64)},
            r"values must be int32 \(1, 2, 3\), not int64 \(1, 2, 3\)",
        ),
        ({"values": np.ones((2, 3), np.int32)}, r"not int32 \(2, 3\)"),
        ({"values": [1, 2]}, "values must be int32"),
        ({"values": np.full((1, 2, 3), 6, np.int32)}, "values must be <= 5, not 6"),
        ({"values": np.full((1, 2, 3), -1, np.int32)}, "values must be >= 0, not -1"),
        ({"refetch": np.ones((1, 2, 3), np.bool_)}, "refetch must be all False without LSBs"),
        ({"refetch": np.ones((1, 2, 3), np.bool_), "bits": (8, 0)}, "refetch must be all False without LSBs"),
        ({"scores": np.full((1, 2, 3, 5), 4097, np.uint16)}, "scores must be <= 4096, not 4097"),
        ({"tokens": np.array([[0, 1, 2, 3, 5]], np.int32)}, r"token positions .* dense_keys \(5\)"),
        ({"tokens": np.array([[0, 1, 1, 3, 4]], np.int32)}, "token positions must rise"),
        ({"head_ids": np.array([1, 0], np.int32)}, "head positions must rise"),
        ({"token_keep": 6}, r"token_keep must be <= keys \(5\), not 6"),
        ({"token_keep": 2}, "token_keep must be 0 without token_scores"),
        ({"head_keep": 3}, "head_keep must be <= heads"),
        ({"dense_keys": 4}, "dense_keys must be 0 or >= keys"),
    ],
)
def test_an_attention_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Attention(**{**ATTENTION, **values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": (3,)}, "layer 0 must be a layer, not 3"),
        ({"notes": ("a\nb",)}, "a note must be one printable line"),
        ({"model": ""}, "workload: model must be"),
    ],
)
def test_a_workload_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workload(**{"model": "m", "layers": (), **values})

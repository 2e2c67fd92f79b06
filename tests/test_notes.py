"""What a trace says of its layers and of what was done to them."""

import numpy as np
import pytest

from accelsim import Matmul, trace
from accelsim.golden.formats import Bitmap
from accelsim.prune.fitted import Fitted
from accelsim.prune.passes import rounded_note
from accelsim.prune.recipes import parse_all
from accelsim.trace.notes import dense_layers_note

ROUNDED = (
    "weights are rounded to 4 bits and their inputs are not: "
    "both are moved and multiplied in the type of the product"
)


def test_a_weight_that_is_used_again_and_again_is_left_dense_once() -> None:
    pruned = Bitmap.pack(np.arange(32).reshape(4, 8) % 2 == 0)
    layers = (
        Matmul(name="ih", m=1, n=4, k=8, mask=pruned),
        *(Matmul(name=f"hh{step}", m=1, n=4, k=8) for step in ("", "#2", "#3")),
        Matmul(name="out", m=1, n=4, k=6),
    )
    assert dense_layers_note(layers) == (
        "left dense: hh (no zeros), out (6 weights along the reduction are no multiple of 4 for 2:4)",
    )


def test_rounded_weights_are_said_to_be_moved_in_the_type_of_the_product() -> None:
    (recipe,) = parse_all("magnitude,2:4,bits=4")
    assert rounded_note([recipe]) == rounded_note([Fitted(recipe=recipe)]) == (ROUNDED,)
    # The cascade's bits are those that SpAtten fetches.
    assert rounded_note(parse_all(["magnitude,2:4,update", "spatten,bits=6+4"])) == ()


@pytest.mark.torch
def test_a_layer_that_a_recipe_rounds_keeps_its_type_and_the_trace_says_so() -> None:
    from torch import nn, ones

    traced = trace(nn.Linear(8, 4), ones(2, 8), prune="magnitude,2:4,bits=4")
    assert ROUNDED in traced.notes
    assert [layer.dtype for layer in traced.layers] == ["fp32"]

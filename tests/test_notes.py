"""What a trace says of its layers."""

import numpy as np

from accelsim import Matmul
from accelsim.golden.formats import Bitmap
from accelsim.trace.notes import dense_layers_note


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

"""What the loss tells of the dense weights, by the name under which words need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from accelsim.prune.dual import dual
from accelsim.prune.fisher import fisher
from accelsim.prune.losses import sample_gradients
from accelsim.prune.network import Network


def gradients(network: Network) -> dict[str, torch.Tensor]:
    """Root mean square, over samples, of the gradient of each layer's weight: (groups, rows, columns)."""
    squares = [torch.zeros_like(matrix.weight) for matrix in network.matrices]
    for found in sample_gradients(network.module, network.matrices, network.samples, network.told):
        for square, gradient in zip(squares, found, strict=True):
            square.addcmul_(gradient, gradient)
    return {
        matrix.name: matrix.rows_of((square / len(network.samples)).sqrt())
        for matrix, square in zip(network.matrices, squares, strict=True)
    }


OF_LOSS: Mapping[str, Callable[[Network], dict[str, torch.Tensor]]] = {
    "gradients": gradients,
    "fisher": fisher,
    "dual": dual,
}

"""N:M masks of weights in torch, fast enough to be made anew in every step of training.

The rule is `golden.formats.reduce_nm`'s: magnitudes are compared as the FP16 copy's bits, the lowest index
wins a tie, a ragged last group of r keeps min(N, r). Tests hold each mask equal to it.
"""

from __future__ import annotations

import torch

from accelsim.golden.formats import check_pattern


def keep_largest(values: torch.Tensor, n: int, m: int, axis: int = -1) -> torch.Tensor:
    """True for the N largest magnitudes of every aligned group of M along `axis`, which may be ragged.

    values: FP16 or FP32. NaN ranks above infinity, as in the hardware.
    """
    check_pattern(n, m)
    magnitudes = _bits(values).movedim(axis, -1)
    length = magnitudes.shape[-1]
    if length == 0 or n >= m:
        return torch.ones_like(values, dtype=torch.bool)
    # Padding is weaker than zero and stands last, so it takes no place from a real element.
    padded = torch.nn.functional.pad(magnitudes, (0, -length % m), value=-1)
    groups = padded.reshape(*padded.shape[:-1], -1, m)
    ranks = torch.zeros_like(groups, dtype=torch.int16)
    for index in range(m):
        other = groups[..., index : index + 1]
        ranks[..., : index + 1] += other > groups[..., : index + 1]
        ranks[..., index + 1 :] += other >= groups[..., index + 1 :]
    kept = (ranks < n).flatten(-2)[..., :length]
    return kept.movedim(-1, axis)


def forward_mask(weight: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Groups along the input channels of a linear (out, in) or convolution (out, in of a group, ...) weight.

    A convolution's groups lie at one tap; its channel groups are cut one by one, as axis 1 is theirs already.
    """
    return keep_largest(weight.detach().to(torch.float16), n, m, axis=1)


def backward_mask(weight: torch.Tensor, n: int, m: int, groups: int = 1) -> torch.Tensor:
    """Groups along the output channels, inside each of a convolution's channel `groups`."""
    half = _grouped(weight.detach().to(torch.float16), groups)
    return keep_largest(half, n, m, axis=1).flatten(0, 1)


def transposable_mask(weight: torch.Tensor, n: int, m: int, groups: int = 1) -> torch.Tensor:
    """One mask with at most N of M along input channels and along output channels.

    Blocks of M x M are filled greedily, largest magnitude first (Hubara et al., NeurIPS 2021: at least half
    of the best sum); of equals the lowest row, then the lowest column.
    """
    check_pattern(n, m)
    channels = _grouped(_bits(weight.detach().to(torch.float16)), groups).movedim((1, 2), (-2, -1))
    rows, columns = channels.shape[-2:]
    padded = torch.nn.functional.pad(channels, (0, -columns % m, 0, -rows % m), value=-1)
    down, across = padded.shape[-2] // m, padded.shape[-1] // m
    blocks = padded.reshape(*padded.shape[:-2], down, m, across, m).transpose(-3, -2)
    kept = _greedy(blocks.reshape(-1, m * m), n, m).reshape(blocks.shape)
    kept = kept.transpose(-3, -2).flatten(-4, -3).flatten(-2)[..., :rows, :columns]
    return kept.movedim((-2, -1), (1, 2)).flatten(0, 1)


def _greedy(blocks: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """(blocks, M x M) magnitudes, -1 for padding, to what is kept: all blocks at once, rank by rank."""
    order = blocks.argsort(dim=1, descending=True, stable=True)
    kept = torch.zeros_like(blocks, dtype=torch.bool)
    in_row = blocks.new_zeros((len(blocks), m), dtype=torch.int16)
    in_column = in_row.clone()
    for rank in range(m * m):
        place = order[:, rank : rank + 1]
        row, column = place // m, place % m
        fits = (
            (in_row.gather(1, row) < n) & (in_column.gather(1, column) < n) & (blocks.gather(1, place) >= 0)
        )
        kept.scatter_(1, place, fits)
        in_row.scatter_add_(1, row, fits.to(torch.int16))
        in_column.scatter_add_(1, column, fits.to(torch.int16))
    return kept


def _grouped(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """(out, in, ...) to (groups, out of a group, in, ...)."""
    return weight.reshape(groups, -1, *weight.shape[1:])


def _bits(values: torch.Tensor) -> torch.Tensor:
    """Magnitudes as integers of the same order."""
    if values.dtype == torch.float16:
        return values.contiguous().view(torch.int16) & 0x7FFF
    return values.detach().to(torch.float32).contiguous().view(torch.int32) & 0x7FFFFFFF

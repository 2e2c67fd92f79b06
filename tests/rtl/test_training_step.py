"""A step of training in hardware: a torch layer's weights through WUVE, the transposing tile and SORE.

What golden expects of each unit is the next one's input, and `verify` holds the RTL against it; here it is
held against torch: the update in single operations, and the masks of training in both directions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")
pytest.importorskip("torch")

import torch

from accelsim.golden.formats import NM
from accelsim.golden.momentum import Momentum
from accelsim.prune.nm_masks import backward_mask, forward_mask
from accelsim.prune.recipes import parse_all
from accelsim.training.masking import Masking
from accelsim.units.sat.images import Memory, blocks, matrix, strips
from accelsim.units.sat.layer import Layer, training_step
from accelsim.units.sat.machine import PRESETS as SAT
from accelsim.units.sore import Sore
from accelsim.units.step import pack, unpack
from accelsim.units.transpose import Transpose
from accelsim.units.wuve import Wuve, pack_beat, unpack_result
from accelsim_rtl.entries.sat_golden import run
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = [pytest.mark.rtl, pytest.mark.torch]

N, M, SIDE = 2, 4, 8
CONSTANTS = Momentum(rate=0.05, momentum=0.9, weight_decay=5e-4, loss_scale=1024)


def through(name: str, parameters, transactions: list[dict[str, list[int]]]) -> list[int]:
    """The results of the RTL of a unit, which are those that golden expects."""
    unit = replace(find(name), stimulus=lambda parameters, generator: transactions)
    for verdict in verify(unit, parameters, simulator="icarus", seeds=[1]):
        assert verdict.passed, "\n".join(verdict.complaints[:10])
    (results,) = unit.expected(parameters, transactions).values()
    return results


@pytest.fixture(scope="module")
def step():
    """Gradient, weight, velocity of a pruned layer before its second step; weight, velocity after it."""
    generator = torch.Generator().manual_seed(4)
    layers = [
        torch.nn.Linear(16, 2 * SIDE),
        torch.nn.ReLU(),
        torch.nn.Linear(2 * SIDE, 2 * SIDE),
        torch.nn.ReLU(),
    ]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(2 * SIDE, 4))
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 4
    (recipe,) = parse_all(f"bdwp,{N}:{M}")
    masking, weight = Masking(module, recipe), module[2].weight
    velocity = torch.zeros_like(weight)
    for _ in range(2):
        masking.remake()
        with masking:
            loss = module(torch.randn(32, 16, generator=generator)).square().mean()
        weight.grad = None
        (loss * CONSTANTS.loss_scale).backward()
        before = [weight.grad.clone(), weight.detach().clone(), velocity]
        with torch.no_grad():
            gradient = weight.grad * (1 / CONSTANTS.loss_scale)
            gradient = gradient + weight * CONSTANTS.weight_decay
            velocity = velocity * CONSTANTS.momentum
            velocity = velocity + gradient
            weight -= velocity * CONSTANTS.rate
    return before, weight.detach(), velocity


@pytest.fixture(scope="module")
def updated(step):
    """(weights, velocities, FP16 copies) as words, from WUVE."""
    (gradient, weight, velocity), *_ = step
    fields = [
        tensor.numpy().view(np.uint32).reshape(-1, SIDE).tolist() for tensor in (gradient, weight, velocity)
    ]
    beats = [{"beats": [pack_beat(*rows, 0)]} for rows in zip(*fields, strict=True)]
    found = through("sat.wuve", Wuve(lanes=SIDE, constants=CONSTANTS), beats)
    columns = zip(*(unpack_result(SIDE, payload) for payload in found), strict=True)
    return [np.array(rows).reshape(2 * SIDE, 2 * SIDE) for rows in columns]


def test_weights_and_velocities_are_torchs(step, updated):
    _, weight, velocity = step
    assert np.array_equal(updated[0], weight.numpy().view(np.uint32))
    assert np.array_equal(updated[1], velocity.numpy().view(np.uint32))
    assert np.array_equal(updated[2], weight.half().numpy().view(np.uint16))


def reduced(beats: list[list[int]]) -> np.ndarray:
    """(groups, SIDE, N, 2): values and indices that SORE keeps of beats of one number a lane."""
    parameters = Sore(n=N, m=M, lanes=SIDE)
    packed = [pack(beat, 16) for beat in beats]
    groups = [{"weights": packed[first : first + M]} for first in range(0, len(packed), M)]
    bits = 16 + parameters.index_bits
    found = through("sat.sore", parameters, groups)
    pairs = np.array([unpack(payload, bits, SIDE * N) for payload in found]).reshape(-1, SIDE, N)
    return np.stack([pairs & 0xFFFF, pairs >> 16], axis=-1)


def compact(weight, mask) -> np.ndarray:
    """(rows, groups, N, 2): the same from a mask of torch, groups along the last axis."""
    code = NM.encode(torch.where(mask, weight.half(), 0).numpy(), N, M)
    return np.stack([code.values.view(np.uint16), code.indices], axis=-1)


def test_the_copy_for_the_forward_pass_is_that_of_torchs_mask(step, updated):
    """Groups lie along the rows: tiles are turned."""
    _, weight, _ = step
    tiles = updated[2].reshape(2, SIDE, 2, SIDE).transpose(0, 2, 1, 3).reshape(4, SIDE, SIDE)
    rows = [{"rows": [pack(row, 16) for row in tile.tolist()]} for tile in tiles]
    columns = through("sat.transpose", Transpose(side=SIDE), rows)
    kept = reduced([unpack(payload, 16, SIDE) for payload in columns])
    # (tile down, tile across, group, row) to (row, group).
    kept = kept.reshape(2, 2, SIDE // M, SIDE, N, 2).transpose(0, 3, 1, 2, 4, 5).reshape(2 * SIDE, -1, N, 2)
    assert np.array_equal(kept, compact(weight, forward_mask(weight, N, M)))


def test_the_copy_for_the_backward_pass_is_that_of_torchs_mask(step, updated):
    """Groups lie down the columns: rows go in as they come."""
    _, weight, _ = step
    beats = updated[2].reshape(2 * SIDE, 2, SIDE).transpose(1, 0, 2).reshape(-1, SIDE).tolist()
    kept = reduced(beats).reshape(2, 2 * SIDE // M, SIDE, N, 2).transpose(0, 2, 1, 3, 4)
    kept = kept.reshape(2 * SIDE, -1, N, 2)
    assert np.array_equal(kept, compact(weight.T, backward_mask(weight, N, M).T))


def test_the_machines_update_leaves_torchs_weights_and_both_copies_in_memory(step):
    """What golden expects of `sat`, which `verify` holds its RTL against, is torch's step."""
    (gradient, before, slow), weight, velocity = step
    machine = replace(SAT["tiny"], rows=SIDE, cols=SIDE, group=M, kept=N, constants=CONSTANTS)
    memory = Memory(machine)
    halves = np.zeros((1, 2 * SIDE), np.float16)
    layer = Layer(
        activations=halves, gradients=halves, weights=before.T.numpy(), velocities=slow.T.contiguous().numpy()
    )
    jobs = training_step(memory, layer, dict.fromkeys(("ff", "bp", "wu"), 0))
    update = jobs.update
    lines = dict(memory.lines)
    rows = blocks(machine, gradient.T.contiguous().numpy(), 2 * SIDE)
    lines |= {update.gradients + place: pack(line, 16) for place, line in enumerate(rows.tolist())}
    written = run(machine, lines, [update])
    for first, numbers in ((update.weights, weight), (update.velocities, velocity)):
        found = matrix(
            machine, written, first, rows=2 * SIDE, columns=2 * SIDE, pitch=update.pitch, narrow=False
        )
        assert np.array_equal(found, numbers.T.numpy())
    forward = torch.where(forward_mask(weight, N, M), weight.half(), 0)
    backward = torch.where(backward_mask(weight, N, M), weight.half(), 0).T.contiguous()
    for first, copy in ((update.forward, forward), (update.backward, backward)):
        image = strips(machine, NM.encode(copy.numpy(), N, M), 2)
        assert [written[first + place] for place in range(len(image))] == [
            pack(line, 16) for line in image.tolist()
        ]

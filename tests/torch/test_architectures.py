"""Networks of every kind, made small from configurations alone, are traced, pruned and simulated whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from architectures import ARCHITECTURES, Made, drawn  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from accelsim.accelerators import ACCELERATORS  # noqa: E402
from accelsim.run import SkippedLayersWarning, run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.recorder import Recorder  # noqa: E402
from accelsim.trace.tracing import still  # noqa: E402
from accelsim.workload import Attention, Matmul, Unknown, Workload  # noqa: E402

pytestmark = pytest.mark.torch


@cache
def made(name: str) -> Made:
    return ARCHITECTURES[name]()


@cache
def traced(name: str) -> Workload:
    return trace(*made(name))


def rows_by_expert(rows: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Every row meets the weight of one expert; torch's own counter leaves this operator out."""
    return 2 * rows[0] * rows[1] * weights[2]


def counted(module: nn.Module, inputs: dict[str, Any]) -> int:
    """Multiply-accumulates by torch's own counter, with kernels that it can see into."""
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: rows_by_expert})
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        # The context manager of this flag warns about others.
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        module(**inputs)
    return int(counter.get_total_flops()) // 2


def tensors(output: Any) -> Iterator[Any]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, (tuple, list, Mapping)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from tensors(part)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_products_are_all_there_and_outputs_are_untouched(name: str) -> None:
    module, inputs = made(name)
    workload = traced(name)
    # A head tied to an embedding lacks the padding token's output, whose weights are zero from the start.
    assert workload.dense().macs == counted(module, inputs) > 0
    assert not any(isinstance(layer, Unknown) for layer in workload.layers)
    assert len({layer.name for layer in workload.layers}) == len(workload.layers)
    with still(module):
        plain = list(tensors(module(**inputs)))
        with Recorder(module, inputs):
            seen = list(tensors(module(**inputs)))
    assert len(plain) == len(seen) > 0
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_machine_takes_what_it_understands(name: str) -> None:
    pruned = trace(*made(name), "magnitude,2:4")
    for machine in ("sat", "stc", "spatten"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkippedLayersWarning)
            report = run(pruned, ACCELERATORS[machine].presets["tiny"])
        understood = [
            row
            for row, layer in zip(report.layers, pruned.layers, strict=True)
            if isinstance(layer, Attention if machine == "spatten" else Matmul)
        ]
        assert all(row.cycles > 0 and not row.reason for row in understood), machine
        assert len(report.layers) == len(pruned.layers)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_two_of_every_four_weights_are_left(name: str) -> None:
    module, inputs = made(name)
    before = [weight.clone() for weight in module.parameters()]
    # The row of an embedding's padding token is zero from the start, also where a head is tied to it.
    masks = [
        layer.mask.unpack()
        for layer, unpruned in zip(
            trace(module, inputs, "magnitude,2:4").layers, traced(name).layers, strict=True
        )
        if isinstance(layer, Matmul) and layer.mask is not None and layer != unpruned
    ]
    assert masks
    for mask in masks:
        assert (np.add.reduce(mask.reshape(-1, 4), axis=1) == 2).all()
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))


HEADS_AND_SIZES = {
    # kv_heads, queries, keys, causal, batch: of each kind of attention that occurs
    "BERT, padded": {(4, 12, 12, False, 2)},
    "Llama (grouped queries)": {(2, 12, 12, True, 2)},
    "Llama, padded": {(2, 12, 12, True, 2)},
    "Mistral (sliding window)": {(2, 12, 12, True, 2)},
    "Gemma (one key head)": {(1, 12, 12, True, 2)},
    "Falcon (one key head)": {(1, 12, 12, True, 2)},
    "BLOOM (ALiBi)": {(4, 12, 12, True, 2)},
    "T5": {(4, 12, 12, False, 2), (4, 5, 5, True, 2), (4, 5, 12, False, 2)},
    "BART": {(4, 12, 12, False, 2), (4, 5, 5, True, 2), (4, 5, 12, False, 2)},
    "DETR (learned queries)": {(4, 16, 16, False, 2), (4, 5, 5, False, 2), (4, 5, 16, False, 2)},
    "Whisper": {(4, 20, 20, False, 2), (4, 5, 5, True, 2), (4, 5, 20, False, 2)},
    # 64 patches are four windows of 16, then 16 patches are one, with twice the heads.
    "Swin (windows)": {(2, 16, 16, False, 8), (4, 16, 16, False, 2)},
}


@pytest.mark.parametrize("name", HEADS_AND_SIZES)
def test_attention_has_its_key_heads_its_sizes_and_its_mask(name: str) -> None:
    attentions = [layer for layer in traced(name).layers if isinstance(layer, Attention)]
    found = {(each.kv_heads, each.queries, each.keys, each.causal, each.batch) for each in attentions}
    assert found == HEADS_AND_SIZES[name]


@pytest.mark.parametrize("name", ["Llama (grouped queries)", "Gemma (one key head)", "Qwen2"])
def test_the_fused_operator_has_the_key_heads_too(name: str) -> None:
    module, inputs = ARCHITECTURES[name]()
    eager = traced(name)
    module.set_attn_implementation("sdpa")
    for before, layer in zip(eager.layers, trace(module, inputs).layers, strict=True):
        assert layer == before


@pytest.mark.parametrize("name", ["Mixtral (experts)", "Qwen2-MoE (experts)"])
def test_experts_have_the_rows_that_were_sent_to_them(name: str) -> None:
    module, inputs = ARCHITECTURES[name]()
    rows = {
        (layer.name.split(".")[2], layer.name.rpartition(".")[2]): layer.m
        for layer in traced(name).layers
        if isinstance(layer, Matmul) and ".experts.gate_up_proj" in layer.name
    }
    sent: dict[tuple[str, str], int] = {}
    with ExitStack() as hooks:
        for index, layer in enumerate(module.model.layers):

            def count(_gate: Any, _args: Any, output: Any, place: str = str(index)) -> None:
                for expert in output[-1].flatten().tolist():
                    sent[place, str(expert)] = sent.get((place, str(expert)), 0) + 1

            hooks.callback(layer.mlp.gate.register_forward_hook(count).remove)
        with torch.no_grad():
            module(**inputs)
    assert rows == sent
    module.set_experts_implementation("eager")
    assert trace(module, inputs).macs == traced(name).macs


def test_layers_that_share_a_weight_are_two_layers() -> None:
    names = [layer.name for layer in traced("ALBERT (layers share weights)").layers]
    (second,) = (name for name in names if name.endswith("attention.query#2"))
    assert second.removesuffix("#2") in names


def test_a_quantised_linear_is_named_with_its_products() -> None:
    class Packed(nn.Module):
        def forward(self, rows: Any) -> Any:
            return torch.ops.accelsim_test.linear_packed(rows)

    library = torch.library.Library("accelsim_test", "DEF")
    library.define("linear_packed(Tensor rows) -> Tensor")
    library.impl("linear_packed", lambda rows: rows.new_ones(*rows.shape[:-1], 5), "CPU")
    (layer,) = trace(Packed(), drawn(3, 16)).layers
    assert isinstance(layer, Unknown)
    assert (layer.op, layer.macs) == ("accelsim_test.linear_packed", 3 * 16 * 5)

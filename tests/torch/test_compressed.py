"""Checkpoints of compressed-tensors, written here by the rules of the format, are the models they hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from accelsim.cli import main  # noqa: E402
from accelsim.models import compressed, load  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch

SIZES = {
    "vocab_size": 48,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
}
Parts = dict[str, Any]


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def two_of_four(weight: Any) -> Any:
    groups = weight.reshape(-1, 4)
    best = groups.abs().topk(2, dim=1).indices
    kept = torch.zeros_like(groups, dtype=torch.bool).scatter(1, best, True)
    return torch.where(kept, groups, torch.zeros(())).reshape(weight.shape)


def bitmask(weight: Any, two_in_four: bool, kept_at: Any = None) -> Parts:
    """Bits lowest first, rows padded to bytes; 2:4 keeps its values as a matrix of half the columns."""
    mask = ((weight if kept_at is None else kept_at) != 0).numpy()
    kept = weight[torch.from_numpy(mask)]
    rows, columns = weight.shape
    parts = {
        "shape": torch.tensor(weight.shape).reshape(-1, 1) if two_in_four else torch.tensor(weight.shape),
        "compressed": kept.reshape(rows, columns // 2) if two_in_four else kept,
        "bitmask": torch.from_numpy(np.packbits(mask, axis=-1, bitorder="little")),
    }
    if not two_in_four:
        counts = torch.from_numpy(mask.sum(axis=1))
        parts["row_offsets"] = counts.cumsum(0) - counts
    return parts


def packed(integers: Any, bits: int) -> Any:
    """Signed integers into words of 32 bits along the last axis, the lowest first, 2^(bits-1) added."""
    per_word = 32 // bits
    rows, columns = integers.shape
    words = np.zeros((rows, -(-columns // per_word)), np.uint32)
    for column in range(columns):
        field = (integers[:, column].numpy().astype(np.int64) + (1 << (bits - 1))).astype(np.uint32)
        words[:, column // per_word] |= field << np.uint32(bits * (column % per_word))
    return torch.from_numpy(words.view(np.int32))


def grouped_int4(weight: Any) -> tuple[Parts, Any]:
    """Asymmetric groups of 16: scales and zero points of each, all packed."""
    rows, columns = weight.shape
    groups = weight.reshape(rows, -1, 16)
    low, high = groups.amin(2), groups.amax(2)
    scale = (high - low) / 15
    zero = (-8 - low / scale).round().clamp(-8, 7)
    integers = (groups / scale[..., None] + zero[..., None]).round().clamp(-8, 7)
    parts = {
        "weight_packed": packed(integers.reshape(rows, columns), 4),
        "weight_shape": torch.tensor([rows, columns]),
        "weight_scale": scale,
        "weight_zero_point": packed(zero.t().contiguous(), 4).t().contiguous(),
    }
    return parts, ((integers - zero[..., None]) * scale[..., None]).reshape(rows, columns)


def channel_int8(weight: Any) -> tuple[Parts, Any]:
    scale = weight.abs().amax(1, keepdim=True) / 127
    integers = (weight / scale).round().to(torch.int8)
    return {"weight": integers, "weight_scale": scale, "input_scale": torch.ones(1)}, integers * scale


def tensor_fp8(weight: Any) -> tuple[Parts, Any]:
    scale = (weight.abs().max() / 448).reshape(1)
    small = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": small, "weight_scale": scale}, small.to(torch.float32) * scale


def sparse_24(weight: Any) -> tuple[Parts, Any]:
    sparse = two_of_four(weight)
    return bitmask(sparse, True), sparse


def unstructured(weight: Any) -> tuple[Parts, Any]:
    sparse = torch.where(drawn(*weight.shape) > 0.5, weight, torch.zeros(()))
    return bitmask(sparse, False), sparse


def sparse_24_int8(weight: Any) -> tuple[Parts, Any]:
    sparse = two_of_four(weight)
    parts, plain = channel_int8(sparse)
    # What is kept may be rounded to zero.
    return {**bitmask(parts.pop("weight"), True, sparse), **parts}, plain


def as_it_is(weight: Any) -> tuple[Parts, Any]:
    sparse = two_of_four(weight)
    return {"weight": sparse}, sparse


INT4 = {"config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 16}}}}
INT8 = {"config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 8}}}}
WAYS: Mapping[str, tuple[Callable[[Any], tuple[Parts, Any]], Mapping[str, Any]]] = {
    "sparse-24-bitmask": (sparse_24, {"sparsity_config": {"format": "sparse-24-bitmask"}}),
    "sparse-bitmask": (unstructured, {"sparsity_config": {"format": "sparse-bitmask"}}),
    "dense": (as_it_is, {"sparsity_config": {"format": "dense", "sparsity_structure": "2:4"}}),
    "pack-quantized": (grouped_int4, {"format": "pack-quantized", **INT4}),
    "int-quantized": (channel_int8, {"format": "int-quantized", **INT8}),
    "float-quantized": (tensor_fp8, {"format": "float-quantized", **INT8}),
    "sparse and quantised": (
        sparse_24_int8,
        {"format": "int-quantized", "sparsity_config": {"format": "sparse-24-bitmask"}, **INT8},
    ),
}


def written(folder: Path, way: str) -> Path:
    """Two folders of the same tiny Llama: `packed`, and `plain` with the values that the packed one holds."""
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    pack, settings = WAYS[way]
    torch.manual_seed(0)
    module = LlamaForCausalLM(LlamaConfig(**SIZES))
    stored = {}
    with torch.no_grad():
        for name, weight in module.state_dict().items():
            if "_proj.weight" in name:
                parts, values = pack(weight)
                weight.copy_(values)
                stored |= {f"{name.removesuffix('.weight')}.{part}": value for part, value in parts.items()}
            else:
                stored[name] = weight
    module.save_pretrained(folder / "plain")
    (folder / "packed").mkdir()
    save_file({n: t.contiguous() for n, t in stored.items()}, folder / "packed" / "model.safetensors")
    config = json.loads((folder / "plain" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "compressed-tensors", **settings}
    (folder / "packed" / "config.json").write_text(json.dumps(config))
    return folder / "packed"


@pytest.mark.parametrize("way", WAYS)
def test_a_packed_checkpoint_is_the_plain_model_with_its_masks(tmp_path: Path, way: str) -> None:
    packed_model = load(str(written(tmp_path, way)), tokens=9)
    plain_model = load(str(tmp_path / "plain"), tokens=9)
    for name, weight in plain_model.module.state_dict().items():
        assert torch.equal(packed_model.module.state_dict()[name], weight), name
    assert any("compressed-tensors" in note for note in packed_model.notes)
    ours, theirs = (trace(m.module, m.inputs, name="tiny") for m in (packed_model, plain_model))
    assert ours.hash == theirs.hash
    if "24" in way or way in ("dense", "sparse and quantised"):
        for layer in ours.layers:
            if isinstance(layer, Matmul) and layer.name.endswith("_proj"):
                assert layer.mask is not None
                kept = layer.mask.unpack().reshape(-1, 4).sum(axis=1)
                assert (kept <= 2).all() if "quantised" in way else (kept == 2).all()


def test_a_packed_checkpoint_runs_from_its_folder_and_from_its_file(tmp_path: Path) -> None:
    folder = written(tmp_path, "sparse-24-bitmask")
    hashes = set()
    for spec in (folder, folder / "model.safetensors"):
        assert main(["trace", str(spec), "-o", str(tmp_path / "t.npz"), "--tokens", "8"]) == 0
        hashes.add(Workload.load(tmp_path / "t.npz").hash)
    assert len(hashes) == 1
    out = tmp_path / "report.json"
    assert main(["run", str(folder), "--on", "stc:tiny", "--tokens", "8", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["macs"]["done"] < report["macs"]["dense"]


def test_blocks_and_reordered_groups_are_spread_over_the_weight() -> None:
    values = torch.arange(24.0 * 40).reshape(24, 40).to(torch.float8_e4m3fn)
    scale = torch.rand(2, 3)
    settings = {
        "format": "float-quantized",
        "config_groups": {"g": {"weights": {"block_structure": [16, 16]}}},
    }
    plain, _ = compressed.decompressed({"a.weight": values, "a.weight_scale": scale}, settings)
    rows, columns = torch.arange(24) // 16, torch.arange(40) // 16
    assert torch.equal(plain["a.weight"], values.float() * scale[rows][:, columns])
    order = torch.randperm(40) % 5
    integers, scale = torch.randint(-8, 8, (24, 40), dtype=torch.int8), torch.rand(24, 5)
    parts = {"a.weight": integers, "a.weight_scale": scale, "a.weight_g_idx": order}
    plain, _ = compressed.decompressed(parts, {"format": "naive-quantized"})
    assert torch.equal(plain["a.weight"], integers.float() * scale[:, order])


GOOD = {f"a.{name}": part for name, part in bitmask(two_of_four(drawn(8, 16)), True).items()}
PACKED = {f"a.{name}": part for name, part in grouped_int4(drawn(8, 64))[0].items()}
BAD: Mapping[str, tuple[dict[str, Any], Mapping[str, Any], str]] = {
    "no values": ({k: v for k, v in GOOD.items() if k != "a.compressed"}, {}, "a.compressed must be there"),
    "too few values": (GOOD | {"a.compressed": torch.ones(3)}, {}, "must hold the 64 weights"),
    "bits of another shape": (GOOD | {"a.bitmask": torch.ones(8, 3, dtype=torch.uint8)}, {}, "must be"),
    "a huge shape": (GOOD | {"a.shape": torch.tensor([2**40, 2**40])}, {}, "bitmask must be"),
    "a negative shape": (GOOD | {"a.shape": torch.tensor([-8, 16])}, {}, "a.shape must hold"),
    "scales alone": ({"a.weight_scale": torch.ones(2, 1)}, {}, "must have a weight"),
    "scales that do not fit": (
        {"a.weight": torch.ones(8, 16, dtype=torch.int8), "a.weight_scale": torch.ones(3, 1)},
        {},
        "must fit a weight",
    ),
    "words of another width": (PACKED, INT8, "must be words of 32 bits"),
    "bits that are not 2:4": (
        GOOD | {"a.compressed": torch.ones(128), "a.bitmask": torch.full((8, 2), 0xFF, dtype=torch.uint8)},
        {"sparsity_config": {"format": "sparse-24-bitmask"}},
        "^a.bitmask must be 2:4, not elements 0, 1, 2, 3 of row 0 kept in one group and 31 more$",
    ),
    "another format": ({}, {"format": "nvfp4-pack-quantized"}, "not 'nvfp4-pack-quantized'"),
    "marlin": ({}, {"format": "marlin-24"}, "not 'marlin-24'"),
}


@pytest.mark.parametrize("case", BAD)
def test_parts_that_do_not_fit_each_other_are_one_line(case: str) -> None:
    tensors, settings, said = BAD[case]
    with pytest.raises(ValueError, match=said) as refusal:
        compressed.decompressed(tensors, settings)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fp8", "mxfp4", None, 7])
def test_weights_quantised_in_another_way_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: Any
) -> None:
    folder = written(tmp_path, "dense")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert main(["run", str(folder), "--on", "sat:tiny"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"quantised by {method!r}" in err

"""Files that hold weights: GGUF, ONNX and safetensors are read exactly, or refused in one line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from accelsim.models import load  # noqa: E402
from accelsim.models.gguf_file import GgufError, read  # noqa: E402
from accelsim.models.onnx_file import OnnxError  # noqa: E402
from accelsim.models.onnx_file import read as read_onnx  # noqa: E402

pytestmark = pytest.mark.torch

WIDTH, HEADS, KV_HEADS, INNER, WORDS, BLOCKS = 32, 4, 2, 48, 50, 2


def write_gguf(
    path: Path,
    *,
    blocks: int = BLOCKS,
    architecture: str = "llama",
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A tiny model, written by the public package; gives its tensors as llama.cpp names them."""
    import gguf

    rng = np.random.default_rng(5)
    sizes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (WIDTH // HEADS * KV_HEADS, WIDTH),
        "attn_v": (WIDTH // HEADS * KV_HEADS, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (INNER, WIDTH),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
        "attn_norm": (WIDTH,),
        "ffn_norm": (WIDTH,),
    }
    shapes = {f"blk.{block}.{name}.weight": size for block in range(BLOCKS) for name, size in sizes.items()}
    shapes |= {"token_embd.weight": (WORDS, WIDTH), "output_norm.weight": (WIDTH,)}
    if architecture == "qwen2":
        names = ("attn_q", "attn_k", "attn_v")
        shapes |= {f"blk.{b}.{name}.bias": sizes[name][:1] for b in range(BLOCKS) for name in names}
    tensors = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    tensors |= extra or {}
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(blocks)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_token_list(["a"] * WORDS)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def test_a_header_is_read_as_the_public_package_reads_it(tmp_path: Path) -> None:
    import gguf

    tensors = write_gguf(tmp_path / "tiny.gguf")
    ours, theirs = read(tmp_path / "tiny.gguf"), gguf.GGUFReader(tmp_path / "tiny.gguf")
    for key, field in theirs.fields.items():
        if not key.startswith("GGUF."):
            value = field.contents()
            assert ours.metadata[key] == (tuple(value) if isinstance(value, list) else value), key
    assert ours.tensors.keys() == tensors.keys()
    for name, values in tensors.items():
        assert np.array_equal(ours.tensor(name), values), name


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q8_0", "F16", "BF16"])
def test_quantised_tensors_are_what_the_public_package_makes_of_them(tmp_path: Path, kind: str) -> None:
    import gguf

    values = np.random.default_rng(6).standard_normal((6, 64), dtype=np.float32)
    quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("t", quantised, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    stored = gguf.GGUFReader(tmp_path / "one.gguf").tensors[0]
    expected = gguf.quants.dequantize(stored.data, stored.tensor_type)
    assert np.array_equal(read(tmp_path / "one.gguf").tensor("t"), expected)
    assert np.abs(expected - values).max() < 0.5


BLOCKWISE = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q5_1", "IQ4_NL", "IQ4_XS", "IQ2_XXS", "IQ3_S", "TQ1_0"]


@pytest.mark.parametrize("kind", BLOCKWISE)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_tensors_of_blocks_are_read_block_by_block(tmp_path: Path, kind: str) -> None:
    """Any bytes are a tensor, though not always of finite numbers."""
    import gguf

    form = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[form]
    raw = np.random.default_rng(8).integers(0, 256, (3, 512 // block * size), np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("t", raw, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read(tmp_path / "one.gguf").tensor("t")
    assert found.shape == (3, 512)
    assert np.array_equal(found, gguf.quants.dequantize(raw, form), equal_nan=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_gguf_model_computes_what_transformers_makes_of_the_file(tmp_path: Path, architecture: str) -> None:
    from transformers import AutoModelForCausalLM

    write_gguf(tmp_path / "tiny.gguf", architecture=architecture)
    ours = load(str(tmp_path / "tiny.gguf"), tokens=12)
    assert ours.name == "tiny"
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", local_files_only=True, attn_implementation="eager"
    )
    with torch.no_grad():
        assert torch.equal(ours.module(**ours.inputs).logits, theirs(**ours.inputs).logits)


@pytest.mark.filterwarnings("ignore")
def test_what_is_not_read_here_is_left_to_transformers(tmp_path: Path) -> None:
    """Rescaled positions bring a tensor of their own."""
    write_gguf(tmp_path / "plain.gguf")
    write_gguf(
        tmp_path / "scaled.gguf", extra={"rope_freqs.weight": np.ones(WIDTH // HEADS // 2, np.float32)}
    )
    plain, scaled = (load(str(tmp_path / f"{name}.gguf"), tokens=6) for name in ("plain", "scaled"))
    with torch.no_grad():
        assert torch.equal(*(model.module(**model.inputs).logits for model in (plain, scaled)))


@pytest.mark.filterwarnings("ignore")
def test_an_architecture_that_nobody_reads_is_one_line(tmp_path: Path) -> None:
    write_gguf(tmp_path / "own.gguf", architecture="own-kind")
    with pytest.raises(ValueError, match=r"own\.gguf' does not load: .*own-kind") as refusal:
        load(str(tmp_path / "own.gguf"))
    assert "\n" not in str(refusal.value)


def test_a_gguf_cut_anywhere_is_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "tiny.gguf"
    write_gguf(whole)
    content = whole.read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in [*range(200), *range(200, len(content), 997), len(content) - 1]:
        cut.write_bytes(content[:size])
        with pytest.raises(GgufError, match=r"cut\.gguf") as refusal:
            load(str(cut))
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version must be 2 or 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version must be 2 or 3"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63), "cut short"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63) + b"key", "cut short"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**62), "cut short"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 6, 2**62), "cut short"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 9, 2**62), "numbers or texts"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 2**31), "1 to 4 dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"t", 1, 2**62, 0, 0), "impossible shape"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "block_count must be >= 1, not None"),
        (b"PK\x03\x04", "is no GGUF file"),
    ],
)
def test_a_hostile_gguf_is_one_line_and_takes_no_memory(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(GgufError, match=said):
        load(str(tmp_path / "bad.gguf"))


def test_a_gguf_without_blocks_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "none.gguf", blocks=0)
    with pytest.raises(GgufError, match="block_count must be >= 1, not 0"):
        load(str(tmp_path / "none.gguf"))


def test_a_gguf_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "more.gguf", blocks=BLOCKS + 1)
    with pytest.raises(GgufError, match=r"layers\.2\.\S+ must be \S+, not nothing"):
        load(str(tmp_path / "more.gguf"))


def onnx_bytes(values: np.ndarray) -> bytes:
    """One product with one weight, encoded by the public package."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, values.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, values.shape[1]])],
        [numpy_helper.from_array(values, "w"), numpy_helper.from_array(np.arange(3), "whole_numbers")],
    )
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


def test_onnx_weights_are_those_that_were_written(tmp_path: Path) -> None:
    values = np.random.default_rng(7).standard_normal((5, 300), dtype=np.float32)
    (tmp_path / "one.onnx").write_bytes(onnx_bytes(values))
    file = read_onnx(tmp_path / "one.onnx")
    assert list(file.weights) == ["w"]
    assert np.array_equal(file.weights["w"], values)
    assert file.inputs == {"product": ("x", "w")}


def test_an_onnx_file_cut_anywhere_is_one_line(tmp_path: Path) -> None:
    content = onnx_bytes(np.ones((4, 6), np.float32))
    start = content.index(b"product")
    cut = tmp_path / "cut.onnx"
    refused = 0
    for size in range(len(content)):
        cut.write_bytes(content[:size])
        try:
            # What follows the graph may be missing; the graph itself may not.
            assert read_onnx(cut).weights
        except OnnxError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > start
    for garbage in (b"", b"\xff" * 40, b"\x3f", b"not a model"):
        cut.write_bytes(garbage)
        with pytest.raises(OnnxError):
            read_onnx(cut)

"""Networks of which only shapes are known: published sizes, drawn masks and decisions of exact counts."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from accelsim import Attention, Matmul, Workload
from accelsim.cli import main
from accelsim.golden.attention import HEAD_START, TOKEN_START, keep_count, schedule
from accelsim.golden.formats import nm_pattern
from accelsim.models import known, load, networks
from accelsim.models.networks import NETWORKS, workload

SPATTEN = "spatten,tokens=0.5,heads=0.75,values=0.3,bits=6+4"


def weights(made: Workload) -> int:
    """Elements of all weights, without biases, norms and embeddings."""
    return sum(layer.n * layer.k for layer in made.layers if isinstance(layer, Matmul))


@pytest.mark.parametrize(
    ("name", "giga_macs", "mega_weights"),
    [
        # Table of whole-model shapes, four digits each.
        ("resnet-9", 0.3793, 6.57),
        ("vit-cifar", 0.6410, 9.51),
        ("vit-cifar-2048", 1.2544, 18.95),
        ("vgg-19-cifar", 0.3982, 20.07),
        ("resnet-18-tiny", 0.1481, 11.27),
        ("resnet-18-tiny-3x3", 2.2218, 11.26),
        ("resnet-50", 4.0892, 25.50),
    ],
)
def test_sizes_agree_to_the_last_digit(name: str, giga_macs: float, mega_weights: float) -> None:
    made = workload(name)
    assert round(made.macs / 1e9, 4) == giga_macs
    assert round(weights(made) / 1e6, 2) == mega_weights


@pytest.mark.parametrize(
    ("name", "giga_macs"),
    [
        # He et al. 2016, table 1; Simonyan and Zisserman 2015 as counted there.
        ("resnet-18", 1.8),
        ("vgg-19", 19.6),
        # Touvron et al. 2021, table 5 (as counted by its authors' code); Liu et al. 2021, table 1.
        ("deit-tiny", 1.3),
        ("deit-small", 4.6),
        ("deit-base", 17.6),
        ("vit-large", 61.6),
        ("swin-tiny", 4.5),
        ("swin-small", 8.7),
        ("swin-base", 15.4),
    ],
)
def test_multiply_accumulates_are_the_published_ones(name: str, giga_macs: float) -> None:
    assert round(workload(name).macs / 1e9, 1) == giga_macs


@pytest.mark.parametrize(
    ("name", "parameters", "embedded"),
    [
        # Embeddings of words and positions, and of segments, are no products.
        ("bert-base", 109.5e6, (30522 + 512 + 2) * 768),
        ("bert-large", 335.1e6, (30522 + 512 + 2) * 1024),
        ("gpt2-small", 124.4e6, 1024 * 768),
        ("gpt2-medium", 354.8e6, 1024 * 1024),
        ("llama-2-7b", 6.738e9, 32000 * 4096),
        ("llama-3-8b", 8.030e9, 128256 * 4096),
        ("qwen2.5-7b", 7.616e9, 152064 * 3584),
        ("qwen2.5-32b", 32.764e9, 152064 * 5120),
    ],
)
def test_language_models_have_the_published_parameters(name: str, parameters: float, embedded: int) -> None:
    """To 0.15 %, which leaves room for biases and norms only."""
    assert weights(workload(name)) + embedded == pytest.approx(parameters, rel=1.5e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_synthetic_and_says_so(name: str) -> None:
    made = workload(name)
    assert made.synthetic
    assert made.is_dense
    assert "synthetic weights" in made.notes[1]
    assert networks()[name].endswith("Shapes only.")
    assert known()[name] == networks()[name]
    names = [layer.name for layer in made.layers]
    assert len(set(names)) == len(names)


def test_tokens_and_batch_scale_the_rows() -> None:
    one, two, more = (workload("bert-base", tokens=n, batch=b) for n, b in ((32, 1), (32, 2), (64, 1)))
    assert two.macs == 2 * one.macs
    assert more.macs > 2 * one.macs
    assert one.notes[0] == "inputs: 1x32 tokens"
    assert workload("bert-base", tokens=9999).notes[0] == "inputs: 1x512 tokens"


def test_a_picture_of_another_size_moves_through_the_layers() -> None:
    small = workload("resnet-18", input_shape="2x3x64x64")
    tiny = workload("resnet-18-tiny", batch=2)
    assert small.layers[:-1] == tiny.layers[:-1]


@pytest.mark.parametrize("pattern", [(2, 4), (2, 8), (1, 4)])
@pytest.mark.parametrize("name", ["resnet-18-tiny", "vit-cifar", "bert-base"])
def test_drawn_masks_keep_n_of_every_m(name: str, pattern: tuple[int, int]) -> None:
    n, m = pattern
    made = workload(name, f"magnitude,{n}:{m}", tokens=16)
    masked = [layer for layer in made.layers if isinstance(layer, Matmul) and layer.mask]
    assert masked
    for layer in masked:
        assert layer.mask is not None
        assert layer.density == n / m
        assert nm_pattern(layer.mask.unpack(), [m]) == {m: n}
    dense = [layer.name for layer in made.layers if isinstance(layer, Matmul) and not layer.mask]
    if dense:
        assert dense[0] in made.notes[-1]
        assert "no multiple" in made.notes[-1]
    assert made.dense().layers == workload(name, tokens=16).layers


def test_a_fraction_is_kept_in_every_row() -> None:
    made = workload("vit-cifar", "magnitude,0.3")
    for layer in made.layers:
        if isinstance(layer, Matmul):
            assert layer.mask is not None
            assert set(layer.mask.unpack().sum(axis=1)) == {keep_count(layer.k, 0.3)}


def test_a_tied_head_stays_dense_and_is_named() -> None:
    made = workload("gpt2-small", "magnitude,2:4", tokens=8)
    assert made.notes[-1] == "left dense: lm_head (its weight is shared with an embedding)"
    assert [layer.name for layer in made.layers if isinstance(layer, Matmul) and not layer.mask] == [
        "lm_head"
    ]


def test_seven_billion_masked_weights_take_little_memory() -> None:
    tracemalloc.start()
    made = workload("llama-2-7b", "magnitude,2:4", tokens=8)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert weights(made) > 6e9
    assert held < 60e6
    assert peak < 1.5e9


def test_the_seed_decides_what_is_drawn() -> None:
    for recipe in ("magnitude,2:4", SPATTEN):
        first, again, other = (workload("bert-base", recipe, tokens=16, seed=s).hash for s in (3, 3, 4))
        assert first == again != other


@pytest.mark.parametrize(("name", "heads"), [("bert-base", 12), ("deit-small", 6), ("gpt2-medium", 16)])
def test_the_cascade_keeps_the_counts_of_the_schedule(name: str, heads: int) -> None:
    before = [layer for layer in workload(name, tokens=48).layers if isinstance(layer, Attention)]
    made = workload(name, SPATTEN, tokens=48, batch=2)
    layers = [layer for layer in made.layers if isinstance(layer, Attention)]
    length, depth = before[0].keys, len(before)
    tokens = [keep_count(length, kept) for kept in schedule(depth, 0.5, TOKEN_START)]
    assert [layer.keys for layer in layers] == [layer.queries for layer in layers] == tokens
    assert [layer.heads for layer in layers] == [
        keep_count(heads, kept) for kept in schedule(depth, 0.75, HEAD_START)
    ]
    for layer, following in pairwise(layers):
        assert (layer.token_keep or layer.keys) == following.keys
        assert (layer.head_keep or layer.heads) == following.heads
        assert survive(layer, following)
    for layer in layers:
        assert layer.values is not None
        assert layer.refetch is not None
        assert (layer.values == keep_count(layer.keys, 0.3)).all()
        assert layer.refetch.mean() == pytest.approx(0.059, abs=0.01)
    assert made.dense().layers == workload(name, tokens=48, batch=2).layers


def survive(layer: Attention, following: Attention) -> bool:
    """Whether the tokens of the next layer are the best of this one."""
    if following.tokens is None or layer.token_scores is None:
        return following.keys == layer.keys
    here = np.arange(layer.keys) if layer.tokens is None else layer.tokens
    for scores, ids, kept in zip(
        layer.token_scores, np.broadcast_to(here, layer.token_scores.shape), following.tokens, strict=True
    ):
        best = np.argsort(-scores.astype(np.int64), kind="stable")[: following.keys]
        if sorted(ids[best]) != list(kept):
            return False
    return True


def test_rows_of_a_decoder_see_no_later_key() -> None:
    made = workload("gpt2-small", "spatten,values=0.5", tokens=24)
    for layer in made.layers:
        if isinstance(layer, Attention):
            assert layer.scores is not None
            assert not np.triu(layer.scores, 1).any()
            assert np.allclose(layer.scores.sum(axis=-1), 4096, atol=24)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("run bert-bas --on stc", "did you mean 'bert-base'?"),
        ("run resnet-18 --prune spatten,tokens=0.5 --on spatten", "this network has none"),
        ("run swin-tiny --prune spatten,tokens=0.5 --on spatten", "in windows"),
        ("run llama-3-8b --prune spatten,heads=0.5 --on spatten", "share their keys"),
        ("run bert-base --prune magnitude,2:7 --on stc", "must fit at least one layer"),
        ("run bert-base --input 1x3x8x8 --on stc", "takes --tokens"),
        ("run resnet-18 --input 1x128 --on stc", "takes pictures, such as 1x3x224x224, not '1x128'"),
        ("run deit-tiny --input 1x3x60x60 --on stc", "whole patches of 16 pixels, not 60x60"),
        ("run bert-base --text README.md --on stc", "only shapes are known"),
        ("run bert-base --evaluate --on stc", "only the shapes are known"),
        ("run bert-base --tokens 0 --on stc", "from 1 to"),
        ("run llama-2-7b --batch 65536 --prune spatten,values=0.5 --on spatten", "use fewer tokens"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, expected: str) -> None:
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


def test_a_network_has_no_weights_to_load() -> None:
    with pytest.raises(ValueError, match="has shapes only"):
        load("bert-base")


def test_a_network_runs_and_is_marked_synthetic(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    report = tmp_path / "report.json"
    options = ["--prune", "magnitude,2:4", "--on", "stc:tiny", "--json", str(report)]
    assert main(["run", "vit-cifar", "--input", "1x3x8x8", *options]) == 0
    assert '"synthetic": true' in report.read_text()
    assert main(["trace", "bert-base", "--tokens", "4", "-o", str(tmp_path / "bert.npz")]) == 0
    assert Workload.load(tmp_path / "bert.npz") == workload("bert-base", tokens=4)


def test_nothing_here_needs_torch() -> None:
    script = """
import sys
from accelsim.models import network
network("gpt2-small", "magnitude,2:4", tokens=4)
sys.exit(any(name in sys.modules for name in ("torch", "transformers")))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


IDEAL = [
    ("resnet-9", 1.498, 1.994, 2.390),
    ("vit-cifar", 1.469, 1.919, 2.266),
    ("vit-cifar-2048", 1.484, 1.958, 2.330),
    ("vgg-19-cifar", 1.498, 1.994, 2.390),
    ("resnet-18-tiny", 1.467, 1.914, 2.258),
    ("resnet-18-tiny-3x3", 1.498, 1.996, 2.393),
    ("resnet-50", 1.485, 1.961, 2.335),
]


@pytest.mark.parametrize(("name", "at_4", "at_8", "at_16"), IDEAL)
def test_the_bound_of_a_training_step_is_that_of_its_shapes(
    name: str, at_4: float, at_8: float, at_16: float
) -> None:
    for group, expected in ((4, at_4), (8, at_8), (16, at_16)):
        layers = workload(name, f"bdwp,2:{group}", train=True).layers
        done = sum(
            Fraction(layer.macs) * (Fraction(2, group) if getattr(layer, "mask", None) else 1)
            for layer in layers
        )
        assert float(sum(layer.macs for layer in layers) / done) == pytest.approx(expected, abs=0.002)

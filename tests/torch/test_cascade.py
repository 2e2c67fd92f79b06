"""The cascade inside a real forward pass, against the algorithm written out in plain loops."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import nn  # noqa: E402

from accelsim.golden.attention import HEAD_START, schedule  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.prune import Spatten, parse, pruned  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Attention, Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch

LAYERS, HEADS, DIM = 5, 4, 8


def tiny(kind: str = "Bert", **changes: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=40,
        hidden_size=HEADS * DIM,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=48,
        initializer_range=0.3,
        attn_implementation="eager",
        **changes,
    )
    return getattr(transformers, f"{kind}Model")(config).eval()


def ids(tokens: int, batch: int = 1, seed: int = 0) -> Any:
    return torch.randint(2, 40, (batch, tokens), generator=torch.Generator().manual_seed(seed))


def attentions(workload: Workload) -> list[Attention]:
    return [layer for layer in workload.layers if isinstance(layer, Attention)]


def best(scores: list[int], count: int) -> list[int]:
    """Positions of the highest scores, the lowest position first among equals; ascending."""
    return sorted(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count])


def quantised(vectors: Any, bits: int) -> tuple[Any, float]:
    scale = float(vectors.abs().max()) / (2 ** (bits - 1) - 1)
    return torch.round(vectors.double() / scale), scale


def written_out(model: Any, tokens: Any, recipe: Spatten) -> tuple[Any, list[dict[str, Any]]]:
    """SpAtten's algorithm for one sentence, head by head and row by row (paper section 3)."""
    hidden = model.embeddings(tokens)[0]
    total = here = len(hidden)
    positions, heads = list(range(total)), list(range(HEADS))
    token_scores, head_scores = [0] * total, [0] * HEADS
    seen = []
    for index, layer in enumerate(model.encoder.layer):
        keep = max(1, int(total * schedule(LAYERS, recipe.tokens)[index] + 1e-9))
        if keep < here:
            kept = best(token_scores, keep)
            hidden, here = hidden[kept], keep
            positions, token_scores = [positions[i] for i in kept], [token_scores[i] for i in kept]
        keep = max(1, int(HEADS * schedule(LAYERS, recipe.heads, HEAD_START)[index] + 1e-9))
        if keep < len(heads):
            kept = best(head_scores, keep)
            heads, head_scores = [heads[i] for i in kept], [head_scores[i] for i in kept]
        inner = layer.attention.self
        attended = torch.zeros(here, HEADS * DIM)
        decided: dict[str, Any] = {"tokens": positions, "heads": heads, "scores": [], "refetch": []}
        for place, head in enumerate(heads):
            columns = slice(head * DIM, (head + 1) * DIM)
            q, k, v = (linear(hidden)[:, columns] for linear in (inner.query, inner.key, inner.value))
            refetch = [False] * here
            if recipe.bits:
                msb, lsb = recipe.bits
                (whole_q, q_scale), (whole_k, k_scale) = quantised(q, msb + lsb), quantised(k, msb + lsb)
                whole = (whole_q @ whole_k.T).float() * q_scale * k_scale
                q, k = (torch.floor(x / 2**lsb) * 2**lsb for x in (whole_q, whole_k))
                scores = (q @ k.T).float() * q_scale * k_scale
                v_raw, v_scale = quantised(v, msb)
                v = (v_raw * v_scale).float()
            else:
                whole = scores = q @ k.T
            for row in range(here):
                p = torch.softmax(scores[row] / DIM**0.5, 0)
                if recipe.bits and recipe.bits[1] and max(round(float(x) * 4096) for x in p) < 409.6:
                    refetch[row] = True
                    p = torch.softmax(whole[row] / DIM**0.5, 0)
                rounded = [round(float(x) * 4096) for x in p]
                token_scores = [a + b for a, b in zip(token_scores, rounded, strict=True)]
                if recipe.values < 1:
                    local = best(rounded, max(1, int(here * recipe.values + 1e-9)))
                    p = torch.tensor([float(p[i]) if i in local else 0.0 for i in range(here)])
                attended[row, columns] = p @ v
                decided["scores"].append(rounded)
            head_scores[place] += sum(round(float(x) * 4096) for x in attended[:, columns].abs().ravel())
            decided["refetch"].append(refetch)
        decided |= {"token_scores": list(token_scores), "head_scores": list(head_scores)}
        seen.append(decided)
        middle = layer.attention.output(attended, hidden)
        hidden = layer.output(layer.intermediate(middle), middle)
    return hidden, seen


RECIPES = [
    "spatten,tokens=0.5",
    "spatten,heads=0.6",
    "spatten,values=0.3",
    "spatten,bits=8",
    "spatten,bits=6+4",
    "spatten,tokens=0.6,heads=0.7,values=0.4,bits=8+4",
]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("tokens", [7, 18])
@torch.no_grad()
def test_the_forward_pass_and_its_decisions_are_the_algorithm(recipe: str, tokens: int) -> None:
    model, words = tiny(), parse(recipe)
    assert isinstance(words, Spatten)
    expected, seen = written_out(model, ids(tokens), words)
    with pruned(model, recipe):
        found = model(input_ids=ids(tokens)).last_hidden_state[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    for layer, decided in zip(
        attentions(trace(model, {"input_ids": ids(tokens)}, recipe)), seen, strict=True
    ):
        assert layer.heads == len(decided["heads"])
        assert layer.keys == layer.queries == len(decided["tokens"])
        if layer.tokens is not None:
            assert layer.tokens[0].tolist() == decided["tokens"]
        if layer.head_ids is not None:
            assert layer.head_ids.tolist() == decided["heads"]
        if layer.refetch is not None:
            assert layer.refetch[0].tolist() == decided["refetch"]
        # Two orders of summation may round a probability to neighbouring 4096ths.
        if layer.scores is not None:
            assert np.abs(layer.scores.reshape(-1, layer.keys) - np.int64(decided["scores"])).max() <= 1
        if layer.token_scores is not None:
            rows = LAYERS * HEADS * tokens
            assert np.abs(layer.token_scores[0].astype(np.int64) - decided["token_scores"]).max() <= rows
        if layer.head_scores is not None:
            assert layer.head_scores.tolist() == pytest.approx(decided["head_scores"], rel=1e-3)


@torch.no_grad()
def test_some_rows_fetch_their_lsbs_and_some_do_not() -> None:
    flags = [layer.refetch for layer in attentions(trace(tiny(), {"input_ids": ids(24)}, "spatten,bits=6+4"))]
    rows = np.concatenate([flag.ravel() for flag in flags if flag is not None])
    assert 0 < rows.sum() < rows.size


def test_what_is_kept_averages_to_what_was_asked() -> None:
    layers = attentions(trace(tiny(), {"input_ids": ids(200)}, "spatten,tokens=0.5,values=0.25"))
    assert layers[0].keys == 200
    assert all(later.keys <= earlier.keys for earlier, later in pairwise(layers))
    assert np.mean([layer.keys / 200 for layer in layers]) == pytest.approx(0.5, abs=0.005)
    assert all(layer.values is not None and (layer.values == layer.keys // 4).all() for layer in layers)


def test_a_decision_is_what_the_next_layer_has() -> None:
    layers = attentions(trace(tiny(), {"input_ids": ids(40)}, "spatten,tokens=0.5,heads=0.6"))
    for before, after in pairwise(layers):
        assert after.keys == (before.token_keep or before.keys)
        assert after.heads == (before.head_keep or before.heads)
        if before.token_keep:
            assert before.token_scores is not None
            assert after.tokens is not None
            positions = np.arange(before.keys) if before.tokens is None else before.tokens[0]
            kept = best(before.token_scores[0].tolist(), before.token_keep)
            assert after.tokens[0].tolist() == positions[kept].tolist()
    assert layers[-1].token_keep == layers[-1].head_keep == 0
    assert layers[-1].keys < 40
    assert layers[-1].heads < HEADS


def test_later_layers_really_compute_fewer_rows() -> None:
    workload = trace(tiny(), {"input_ids": ids(40)}, "spatten,tokens=0.5")
    rows: dict[str, set[int]] = {}
    for layer in workload.layers:
        if layer.name.startswith("encoder.layer."):
            rows.setdefault(layer.name.split(".")[2], set()).add(
                layer.m if isinstance(layer, Matmul) else layer.queries if isinstance(layer, Attention) else 0
            )
    assert all(len(counts) == 1 for counts in rows.values())
    assert max(rows["4"]) < max(rows["1"]) < max(rows["0"]) == 40
    last = workload.layers[-2]
    assert isinstance(last, Matmul)
    assert last.dense_m == 40


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_dense_workload_is_that_of_the_unpruned_model(recipe: str) -> None:
    inputs = {"input_ids": ids(24)}
    assert trace(tiny(), inputs, recipe).dense() == trace(tiny(), inputs)


@pytest.mark.parametrize("recipe", ["spatten,tokens=0.5", "spatten,tokens=0.6,values=0.4,bits=6+4"])
@torch.no_grad()
def test_sentences_of_a_batch_keep_their_own_tokens(recipe: str) -> None:
    model, batch = tiny(), ids(20, batch=3, seed=4)
    with pruned(model, recipe):
        together = model(input_ids=batch).last_hidden_state
        alone = torch.cat([model(input_ids=row[None]).last_hidden_state for row in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    last = attentions(trace(model, {"input_ids": batch}, recipe))[-1]
    assert last.tokens is not None
    assert len({tuple(row) for row in last.tokens.tolist()}) > 1


@torch.no_grad()
def test_heads_of_a_batch_are_shared_or_each_sentence_has_its_own() -> None:
    model, batch = tiny(), ids(20, batch=6, seed=1)
    with pruned(model, "spatten,heads=0.5", heads_per_sample=True):
        own = model(input_ids=batch).last_hidden_state
        alone = torch.cat([model(input_ids=row[None]).last_hidden_state for row in batch])
    torch.testing.assert_close(own, alone, rtol=1e-4, atol=1e-4)
    layer = attentions(trace(model, {"input_ids": batch}, "spatten,heads=0.5"))[-1]
    assert layer.head_ids is not None
    assert layer.head_ids.shape == (layer.heads,)


@torch.no_grad()
def test_masked_tokens_are_pruned_first() -> None:
    model = tiny()
    shown = torch.ones(1, 20, dtype=torch.long)
    shown[0, [3, 8, 9]] = 0
    layers = attentions(trace(model, {"input_ids": ids(20), "attention_mask": shown}, "spatten,tokens=0.7"))
    dropped = [set(range(20)) - set(layer.tokens[0].tolist()) for layer in layers if layer.tokens is not None]
    assert {3, 8, 9} > dropped[0]
    assert all(later >= {3, 8, 9} for later in dropped[1:])


@torch.no_grad()
def test_keeping_everything_is_the_plain_forward_pass() -> None:
    model = tiny()
    plain = model(input_ids=ids(24)).last_hidden_state
    with pruned(model, "spatten,tokens=1,heads=1,values=1"):
        same = model(input_ids=ids(24)).last_hidden_state
    torch.testing.assert_close(same, plain, rtol=1e-4, atol=1e-4)
    assert torch.equal(model(input_ids=ids(24)).last_hidden_state, plain)
    assert model.config._attn_implementation == "eager"


@torch.no_grad()
def test_another_encoder_without_layer_numbers_is_pruned_alike() -> None:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    model = transformers.ViTModel(config).eval()
    picture = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    layers = attentions(trace(model, {"pixel_values": picture}, "spatten,tokens=0.6,heads=0.8"))
    assert [layer.dense_keys or layer.keys for layer in layers] == [17] * 4
    assert layers[-1].keys < layers[1].keys < 17


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.Linear(4, 4), "decoder of transformers, not Linear"),
        (lambda: transformers.T5Model(transformers.T5Config(d_model=8, num_layers=1)), "T5Model is both"),
    ],
)
def test_what_has_no_cascade_is_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        trace(make(), {"input_ids": ids(8)}, "spatten,tokens=0.5")
    assert "\n" not in str(refusal.value)


def test_a_fraction_below_what_the_first_layer_keeps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokens of the recipe: average_keep must be above 0\.2"):
        trace(tiny(), {"input_ids": ids(8)}, "spatten,tokens=0.1")


def test_an_encoder_has_no_generation_to_prune_values_in() -> None:
    with pytest.raises(ValueError, match="values_in must be all for BertModel, an encoder"):
        trace(tiny(), {"input_ids": ids(8)}, "spatten,values=0.5,values_in=generation")


@pytest.fixture(scope="module")
def minilm() -> Any:
    return load("minilm")


def test_minilm_under_two_recipes_at_once(minilm: Any) -> None:
    recipes = ["magnitude,2:4", "spatten,tokens=0.5,heads=0.9,values=0.3,bits=6+4"]
    workload = trace(minilm.module, minilm.inputs, recipes, name="minilm")
    assert workload.dense() == trace(minilm.module, minilm.inputs, name="minilm")
    assert all(layer.density == 0.5 for layer in workload.layers if isinstance(layer, Matmul))
    assert [layer.keys for layer in attentions(workload)] == [128, 76, 64, 51, 38, 25]
    assert trace(minilm.module, minilm.inputs, recipes, name="minilm").hash == workload.hash


def test_minilm_pruned_in_place_is_what_the_recipe_gives(minilm: Any) -> None:
    by_recipe = trace(minilm.module, minilm.inputs, "magnitude,2:4")
    with pruned(minilm.module, "magnitude,2:4"):
        assert trace(minilm.module, minilm.inputs).hash == by_recipe.hash
    assert trace(minilm.module, minilm.inputs).is_dense


def test_minilm_has_every_product_that_torch_counts(minilm: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    workload = trace(minilm.module, minilm.inputs)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        plain = minilm.module(**minilm.inputs).last_hidden_state
    assert workload.macs == counter.get_total_flops() // 2 == 1_434_599_424
    assert len(workload.layers) == 37 + 6

    from accelsim.trace.recorder import Recorder

    with torch.no_grad(), Recorder(minilm.module, minilm.inputs):
        assert torch.equal(minilm.module(**minilm.inputs).last_hidden_state, plain)

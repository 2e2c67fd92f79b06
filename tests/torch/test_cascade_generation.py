"""The cascade in a decoder, prompt and generation, against the algorithm written out in plain loops."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.golden.attention import keep_count, schedule  # noqa: E402
from accelsim.prune import Spatten, parse  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.generation import generated_layers  # noqa: E402
from accelsim.trace.tracing import still  # noqa: E402
from accelsim.workload import Attention, Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch

LAYERS, HEADS, KEY_HEADS, DIM, PROMPT, STEPS = 5, 4, 2, 8, 18, 6

KINDS: dict[str, dict[str, Any]] = {
    "Llama": {"num_key_value_heads": KEY_HEADS},
    "GPT2": {"n_embd": HEADS * DIM, "n_layer": LAYERS, "n_head": HEADS},
    "Qwen2": {"num_key_value_heads": 1},
    "OPT": {"ffn_dim": 48, "word_embed_proj_dim": HEADS * DIM},
    "Mixtral": {"num_key_value_heads": 2},
}


def tiny(kind: str = "Llama") -> Any:
    sizes = {
        "vocab_size": 64,
        "hidden_size": HEADS * DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 48,
        "max_position_embeddings": 60,
        "initializer_range": 0.3,
        # A padding token has an embedding of zeros, which tests nothing.
        "pad_token_id": None,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attn_implementation": "eager",
    }
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **KINDS[kind]})
    head = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, head)(config).eval().requires_grad_(False)


def ids(tokens: int = PROMPT, batch: int = 1, seed: int = 2) -> Any:
    return torch.randint(3, 64, (batch, tokens), generator=torch.Generator().manual_seed(seed))


def attentions(workload: Workload) -> list[Attention]:
    return [layer for layer in workload.layers if isinstance(layer, Attention)]


def quantised(vectors: Any, bits: int) -> tuple[Any, float]:
    scale = float(vectors.abs().max()) / (2 ** (bits - 1) - 1)
    return torch.round(vectors.double() / scale), scale


def turned(vector: Any, cosine: Any, sine: Any) -> Any:
    """Rotary positions of one vector: its halves are the parts of complex numbers."""
    half = len(vector) // 2
    return vector * cosine + torch.cat([-vector[half:], vector[:half]]) * sine


def row(
    q: Any, keys: Any, values: Any, seen: list[bool], recipe: Spatten, wide: Any, prunes_values: bool
) -> dict[str, Any]:
    """One query row of one head: `q`, `keys` as in the first pass, `wide` the scores from all bits."""
    blocked = torch.tensor([0.0 if see else -torch.inf for see in seen])
    p = torch.softmax((keys @ q).float() / DIM**0.5 + blocked, 0)
    again = bool(recipe.bits and recipe.bits[1] and max(round(float(x) * 4096) for x in p) < 409.6)
    if again:
        p = torch.softmax(wide / DIM**0.5 + blocked, 0)
    rounded = [round(float(x) * 4096) for x in p]
    if prunes_values:
        count = max(1, int(len(p) * recipe.values + 1e-9))
        local = sorted(range(len(p)), key=lambda i: (-rounded[i], i))[:count]
        p = torch.tensor([float(p[i]) if i in local else 0.0 for i in range(len(p))])
    return {"output": p @ values, "scores": rounded, "again": again}


def written_out(model: Any, prompt: list[int], recipe: Spatten) -> tuple[list[int], list[dict[str, Any]]]:
    """SpAtten in a decoder, token by token and head by head (paper section 3); generated ids, decisions."""
    tokens, importance, rows_seen = list(prompt), [0] * len(prompt), [0] * len(prompt)
    held: list[dict[int, Any]] = [{} for _ in range(LAYERS)]
    seen_layers = []
    shares = schedule(LAYERS, recipe.tokens)
    for step in range(STEPS + 1):
        total = len(tokens)
        here = list(range(total)) if step == 0 else [total - 1]
        alive = list(range(total))
        hidden = model.model.embed_tokens(torch.tensor([tokens[p] for p in here]))
        safe = {total - 1} if step == 0 else set(range(max(len(prompt), total - recipe.recent), total))
        for index, layer in enumerate(model.model.layers):
            able = [p for p in alive if step == 0 or p in held[index] or p == total - 1]
            means = [score * 2**16 // max(rows, 1) for score, rows in zip(importance, rows_seen, strict=True)]
            ranks = means if recipe.scores == "mean" else importance
            order = sorted(able, key=lambda p: (p not in safe, 0 if p in safe else -ranks[p], p))
            alive = sorted(order[: max(1, int(total * shares[index] + 1e-9), len(safe))])
            if step == 0:
                hidden, here = hidden[[here.index(p) for p in alive]], alive
            inner, normed = layer.self_attn, layer.input_layernorm(hidden)
            cosine, sine = model.model.rotary_emb(normed[None], torch.tensor([here]))
            queries, fresh, fresh_values = (
                linear(normed).reshape(len(here), -1, DIM)
                for linear in (inner.q_proj, inner.k_proj, inner.v_proj)
            )
            for place, p in enumerate(here):
                keys = [turned(each, cosine[0, place], sine[0, place]) for each in fresh[place]]
                held[index][p] = torch.stack(keys), fresh_values[place]
            decided: dict[str, Any] = {"tokens": alive, "scores": [], "again": []}
            attended = torch.zeros(len(here), HEADS * DIM)
            for head in range(HEADS):
                shared = head // (HEADS // KEY_HEADS)
                k = torch.stack([held[index][p][0][shared] for p in alive])
                v = torch.stack([held[index][p][1][shared] for p in alive])
                q = torch.stack(
                    [turned(queries[i, head], cosine[0, i], sine[0, i]) for i in range(len(here))]
                )
                wide = q @ k.T
                if recipe.bits:
                    msb, lsb = recipe.bits
                    (q, q_scale), (k, k_scale) = quantised(q, msb + lsb), quantised(k, msb + lsb)
                    wide = (q @ k.T).float() * q_scale * k_scale
                    q, k = (torch.floor(x / 2**lsb) * 2**lsb * s for x, s in ((q, q_scale), (k, k_scale)))
                    v_raw, v_scale = quantised(v, msb)
                    v = (v_raw * v_scale).float()
                prunes_values = recipe.values < 1 and (step > 0 or recipe.values_in == "all")
                rows = [
                    row(q[i], k, v, [other <= p for other in alive], recipe, wide[i], prunes_values)
                    for i, p in enumerate(here)
                ]
                attended[:, head * DIM : (head + 1) * DIM] = torch.stack([each["output"] for each in rows])
                for each in rows:
                    for p, score in zip(alive, each["scores"], strict=True):
                        importance[p] += score
                for p in alive:
                    rows_seen[p] += sum(p <= other for other in here)
                decided["scores"] += [each["scores"] for each in rows]
                decided["again"].append([each["again"] for each in rows])
            seen_layers.append(decided | {"importance": [importance[p] for p in alive]})
            hidden = hidden + inner.o_proj(attended)
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        logits = model.lm_head(model.model.norm(hidden[-1:]))
        tokens.append(int(logits.argmax()))
        importance.append(0)
        rows_seen.append(0)
    return tokens[len(prompt) :], seen_layers


RECIPES = [
    "spatten,tokens=0.5",
    "spatten,tokens=0.6,recent=2",
    "spatten,values=0.3",
    "spatten,tokens=0.6,values=0.4,values_in=generation",
    "spatten,bits=6+4",
    "spatten,tokens=0.6,values=0.4,bits=8+4,recent=1",
    "spatten,tokens=0.5,scores=sum,recent=1",
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_tokens_and_decisions_are_the_algorithm(recipe: str) -> None:
    model, words = tiny(), parse(recipe)
    assert isinstance(words, Spatten)
    expected, seen = written_out(model, ids()[0].tolist(), words)
    with still(model):
        found = generated_layers(model, {"input_ids": ids()}, STEPS, (words,))[1]
    assert found[0].tolist() == expected
    layers = attentions(trace(model, {"input_ids": ids()}, recipe, generate=STEPS))
    for index, (layer, decided) in enumerate(zip(layers, seen, strict=True)):
        step = index // LAYERS
        assert (layer.heads, layer.kv_heads, layer.dense_keys or layer.keys) == (
            HEADS,
            KEY_HEADS,
            PROMPT + step,
        )
        assert layer.queries == (1 if step else len(decided["tokens"]))
        tokens = np.arange(layer.keys) if layer.tokens is None else layer.tokens[0]
        assert tokens.tolist() == decided["tokens"]
        assert (layer.refetch is not None) == bool(words.bits)
        prunes_values = words.values < 1 and (step > 0 or words.values_in == "all")
        assert (layer.values is not None) == prunes_values
        if layer.refetch is not None:
            assert layer.refetch[0].tolist() == decided["again"]
        if layer.scores is not None:
            # Two orders of summation may round a probability to neighbouring 4096ths.
            assert np.abs(layer.scores.reshape(-1, layer.keys) - np.int64(decided["scores"])).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", ["spatten,tokens=0.6,recent=1", "spatten,tokens=0.4,values=0.5,bits=6+4"])
def test_layers_keep_what_the_schedule_says(kind: str, recipe: str) -> None:
    words = parse(recipe)
    assert isinstance(words, Spatten)
    layers = attentions(trace(tiny(kind), {"input_ids": ids(batch=2)}, recipe, generate=STEPS))
    shares = schedule(LAYERS, words.tokens)
    assert len(layers) == LAYERS * (STEPS + 1)
    for index, layer in enumerate(layers):
        step, place = divmod(index, LAYERS)
        scheduled = keep_count(PROMPT + step, shares[place])
        # Protected tokens stay on top of a short schedule; what the prompt's pass dropped is not there.
        assert layer.keys <= max(scheduled, min(step, words.recent))
        if step == 0 or place == 0:
            assert layer.keys == scheduled
    short = [
        layer.keys < keep_count(PROMPT + index // LAYERS, shares[index % LAYERS])
        for index, layer in enumerate(layers)
    ]
    assert np.mean(short) < 0.2


def test_a_pass_starts_with_all_keys_and_only_loses_them() -> None:
    layers = attentions(trace(tiny(), {"input_ids": ids()}, "spatten,tokens=0.5", generate=STEPS))
    for step in range(1, STEPS + 1):
        here = layers[step * LAYERS : (step + 1) * LAYERS]
        kept = [
            set(range(each.keys)) if each.tokens is None else set(each.tokens[0].tolist()) for each in here
        ]
        assert kept[0] == set(range(PROMPT + step))
        for earlier, later in pairwise(kept):
            assert later < earlier
        # The newest token sees itself, and what was generated just before is protected.
        assert set(range(PROMPT, PROMPT + step)) <= kept[-1]


def test_recorded_scores_choose_the_next_layers_keys() -> None:
    layers = attentions(trace(tiny(), {"input_ids": ids()}, "spatten,tokens=0.5,recent=2", generate=STEPS))
    chosen = 0
    for before, after in pairwise(layers):
        if before.token_keep and before.token_scores is not None and after.tokens is not None:
            positions = np.arange(before.keys) if before.tokens is None else before.tokens[0]
            best = np.argsort(-before.token_scores[0].astype(np.int64), kind="stable")[: before.token_keep]
            assert after.tokens[0].tolist() == positions[np.sort(best)].tolist()
            chosen += 1
    assert chosen >= LAYERS * STEPS // 2


@pytest.mark.parametrize("kind", KINDS)
def test_keeping_everything_is_the_plain_generation(kind: str) -> None:
    model, inputs = tiny(kind), {"input_ids": ids(batch=2)}
    everything = Spatten(tokens=1, heads=1, values=1)
    with still(model):
        plain_layers, plain = generated_layers(model, inputs, STEPS, ())
        same_layers, same = generated_layers(model, inputs, STEPS, (everything,))
    assert torch.equal(plain, same)
    assert plain_layers == same_layers


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Mixtral"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_dense_workload_is_that_of_the_unpruned_generation(kind: str, recipe: str) -> None:
    inputs = {"input_ids": ids()}
    pruned = trace(tiny(kind), inputs, recipe, generate=STEPS).dense()
    plain = trace(tiny(kind), inputs, generate=STEPS).dense()
    assert [layer.name for layer in pruned.layers] == [layer.name for layer in plain.layers]
    assert pruned.macs == plain.macs
    assert pruned.layers == plain.layers


def test_heads_that_own_their_keys_are_pruned_in_every_pass() -> None:
    layers = attentions(trace(tiny("GPT2"), {"input_ids": ids()}, "spatten,heads=0.6", generate=STEPS))
    counts = [keep_count(HEADS, share) for share in schedule(LAYERS, 0.6, 0.3)]
    assert [layer.heads for layer in layers] == counts * (STEPS + 1)
    with pytest.raises(ValueError, match="heads that share their keys"):
        trace(tiny(), {"input_ids": ids()}, "spatten,heads=0.6", generate=STEPS)


def test_rows_of_the_prompt_disappear_and_the_last_one_predicts() -> None:
    layers = trace(tiny(), {"input_ids": ids()}, "spatten,tokens=0.5", generate=1).layers
    rows = [
        layer.m for layer in layers if layer.name.startswith("prompt/") and layer.name.endswith("up_proj")
    ]
    kept = [layer for layer in layers if isinstance(layer, Attention)][:LAYERS]
    assert rows == [layer.keys for layer in kept]
    assert rows[-1] < rows[0] == PROMPT
    assert all(each.tokens is None or each.tokens[0, -1] == PROMPT - 1 for each in kept)
    steps = [layer for layer in layers if isinstance(layer, Matmul) and layer.name.startswith("step 1/")]
    assert {layer.m for layer in steps} == {1}


@pytest.mark.parametrize("kind", ["Falcon", "Bloom"])
def test_attention_out_of_reach_is_refused_by_name(kind: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, n_layer=2, n_head=4
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with pytest.raises(
        ValueError, match=f"cannot reach inside the attention of {kind}ForCausalLM"
    ) as refusal:
        trace(model, {"input_ids": ids()}, "spatten,tokens=0.6", generate=1)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["Mistral", "Gemma2"])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_window_bounds_what_a_layer_fetches_and_changes_no_token(
    kind: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mask hides what lies outside anyway: a token there adds nothing, and is not fetched."""
    window, recipe = 6, "spatten,tokens=0.6,recent=2"
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        head_dim=DIM,
        intermediate_size=48,
        sliding_window=window,
        initializer_range=0.3,
        eos_token_id=None,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    inputs = {"input_ids": ids(batch=batch)}
    slides = [getattr(config, "layer_types", ["sliding_attention"] * LAYERS)[at] for at in range(LAYERS)]
    workload = trace(model, inputs, recipe, generate=STEPS)
    for index, layer in enumerate(attentions(workload)[LAYERS:], start=LAYERS):
        reach = PROMPT + index // LAYERS
        if slides[index % LAYERS] == "sliding_attention":
            reach = min(window, reach)
        assert layer.keys <= (layer.dense_keys or layer.keys) == reach
    assert workload.dense().layers == trace(model, inputs, generate=STEPS).dense().layers
    with still(model):
        tokens = generated_layers(model, inputs, STEPS, (parse(recipe),))[1]
        monkeypatch.setattr("accelsim.prune.generating._windows", lambda config: {})
        assert torch.equal(generated_layers(model, inputs, STEPS, (parse(recipe),))[1], tokens)

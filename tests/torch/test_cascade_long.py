"""Attention of long contexts: made in blocks, recorded in part, decided as ever."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim import sampling  # noqa: E402
from accelsim.accelerators import ACCELERATORS  # noqa: E402
from accelsim.prune import attending  # noqa: E402
from accelsim.run import run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Attention, Workload  # noqa: E402

pytestmark = pytest.mark.torch

RECIPE = "spatten,tokens=0.6,values=0.3,bits=6+4,threshold=0.2"
LAYERS, HEADS, TOKENS = 3, 4, 20


def tiny(kind: str = "Llama", **changes: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=40,
            hidden_size=HEADS * 8,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=48,
            initializer_range=0.3,
            **changes,
        )
        head = "ForCausalLM" if kind == "Llama" else "Model"
        return getattr(transformers, f"{kind}{head}")(config).eval()


def ids(tokens: int = TOKENS, batch: int = 2) -> Any:
    return {"input_ids": torch.randint(3, 40, (batch, tokens), generator=torch.Generator().manual_seed(5))}


def attentions(workload: Workload) -> list[Attention]:
    return [layer for layer in workload.layers if isinstance(layer, Attention)]


@pytest.mark.parametrize("kind", ["Llama", "Bert"])
@pytest.mark.parametrize("at_once", [TOKENS * TOKENS * HEADS, TOKENS * TOKENS * 3, TOKENS * TOKENS])
def test_blocks_of_whole_heads_change_nothing(
    kind: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(kind, **({"num_key_value_heads": 2} if kind == "Llama" else {}))
    recipe = RECIPE if kind == "Llama" else f"{RECIPE},heads=0.7"
    whole = trace(model, ids(), recipe)
    monkeypatch.setattr(attending, "MOST_AT_ONCE", at_once)
    assert trace(model, ids(), recipe) == whole


@pytest.mark.parametrize("at_once", [TOKENS * 7, TOKENS, 1])
def test_blocks_of_rows_cover_every_row_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of fewer rows may round otherwise, so that a score may differ by one of 4096."""
    model = tiny()
    whole = attentions(trace(model, ids(), "spatten,values=0.3,bits=6+4"))
    monkeypatch.setattr(attending, "MOST_AT_ONCE", at_once)
    for one, other in zip(whole, attentions(trace(model, ids(), "spatten,values=0.3,bits=6+4")), strict=True):
        assert one.scores is not None
        assert other.scores is not None
        assert np.abs(one.scores.astype(int) - other.scores).max() <= 1
        np.testing.assert_array_equal(one.values, other.values)


def test_decisions_do_not_depend_on_how_many_scores_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(num_key_value_heads=2)
    whole = trace(model, ids(), RECIPE, generate=4)
    monkeypatch.setattr(sampling, "MOST_SCORES", 2 * HEADS * TOKENS * 6)
    part = trace(model, ids(), RECIPE, generate=4)
    pairs = list(zip(attentions(whole), attentions(part), strict=True))
    for one, other in pairs:
        for name in ("values", "refetch", "tokens", "token_scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert one.scores is not None
        assert other.scores is not None
        rows = slice(None) if other.score_rows is None else other.score_rows
        np.testing.assert_array_equal(other.scores, one.scores[:, :, rows])
    assert pairs[0][1].scored == 6
    # One row of each head is always there: what is generated is never sampled.
    assert all(other.score_rows is None for _, other in pairs[LAYERS:])
    assert any(note.startswith("scores: beyond 960 a layer") for note in part.notes)


@pytest.mark.filterwarnings("ignore::accelsim.run.SkippedLayersWarning")
def test_a_sampled_trace_runs_and_closes_its_books(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    machine = ACCELERATORS["spatten"].presets["tiny"]
    whole = run(trace(model, ids(), RECIPE), machine)
    monkeypatch.setattr(sampling, "MOST_SCORES", 2 * HEADS * TOKENS * 5)
    part = run(trace(model, ids(), RECIPE), machine)
    assert part.macs_done == whole.macs_done
    assert part.read_bytes == whole.read_bytes
    assert abs(part.cycles / whole.cycles - 1) < 0.05

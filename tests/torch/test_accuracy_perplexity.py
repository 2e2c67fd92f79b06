"""Perplexity: windows by their rule, the model's own loss, and a cascade that is fed token by token."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.accuracy import AccuracyError, prepare  # noqa: E402
from accelsim.accuracy.perplexity import _one_by_one, drawn_windows  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.prune import pruned  # noqa: E402

pytestmark = pytest.mark.torch

WORDS = 60
POSITIONS = 48


def folder_with(place: Path, *, begins: bool = False) -> Path:
    """A tiny Llama with a tokenizer that knows the words w0 to w59, and may put <s> before a text."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    vocabulary = {"<s>": 0, "<unk>": 1, **{f"w{n}": n + 2 for n in range(WORDS)}}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    if begins:
        words.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>")
    made.save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.4,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    return place


def text(seed: int, words: int) -> str:
    return " ".join(f"w{n}" for n in np.random.default_rng(seed).integers(WORDS, size=words))


TEXTS = {"a": text(1, 200), "b": text(2, 130), "short": text(3, POSITIONS - 1)}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(str(folder_with(tmp_path_factory.mktemp("llama"))))


@pytest.fixture(autouse=True)
def _small_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.accuracy.perplexity.brown", lambda: TEXTS)
    monkeypatch.setattr("accelsim.accuracy.perplexity.shakespeare", lambda: {"c": text(4, 300)})


def test_windows_are_whole_do_not_overlap_and_are_drawn_from_the_seed(llama: Any) -> None:
    everything = drawn_windows(llama, list(TEXTS.values()), seed=0, count=6)
    blocks = [
        [int(word[1:]) + 2 for word in TEXTS[name].split()[start : start + POSITIONS]]
        for name, count in (("a", 4), ("b", 2))
        for start in range(0, count * POSITIONS, POSITIONS)
    ]
    assert sorted(everything.tolist()) == sorted(blocks)
    some = drawn_windows(llama, list(TEXTS.values()), seed=0, count=3)
    assert np.array_equal(some, everything[:3])
    assert not np.array_equal(some, drawn_windows(llama, list(TEXTS.values()), seed=1, count=3))
    with pytest.raises(AccuracyError, match="--samples must be at most 6 windows of 48 tokens, not 7"):
        drawn_windows(llama, list(TEXTS.values()), seed=0, count=7)


def test_windows_begin_as_the_tokenizer_begins_a_text(tmp_path: Path) -> None:
    model = load(str(folder_with(tmp_path, begins=True)))
    windows = drawn_windows(model, [TEXTS["a"]], seed=0, count=4)
    assert windows.shape == (4, POSITIONS)
    assert (windows[:, 0] == 0).all()
    assert (windows[:, 1:] >= 2).all()


def test_perplexity_is_the_exponential_of_the_models_own_loss(llama: Any) -> None:
    evaluation = prepare(llama, "magnitude,2:4", samples=5)
    found = evaluation.measure()
    assert found.samples == 5
    assert found.metric == "perplexity on the Brown corpus, windows of 48 tokens; lower is better"
    assert [other.metric.split(",")[0] for other in found.others] == ["perplexity on Shakespeare"]
    for corpus, measured in zip(evaluation.task.windows, (found, *found.others), strict=True):
        ids = torch.from_numpy(evaluation.task.windows[corpus])
        with torch.no_grad():
            assert measured.dense == pytest.approx(
                math.exp(llama.module(input_ids=ids, labels=ids).loss), rel=1e-4
            )
            with pruned(llama.module, "magnitude,2:4"):
                sparse = llama.module(input_ids=ids, labels=ids).loss
        assert measured.pruned == pytest.approx(math.exp(sparse), rel=1e-4)
        low, high = measured.spread.dense
        assert low < measured.dense < high
    assert llama.module.config._attn_implementation == "eager"


def test_token_by_token_predicts_what_one_pass_predicts(llama: Any) -> None:
    ids = torch.from_numpy(drawn_windows(llama, [TEXTS["a"]], seed=0, count=2))[:1]
    with torch.no_grad():
        whole = llama.module(input_ids=ids).logits[:, -9:-1]
        assert torch.allclose(_one_by_one(llama.module, ids, 8), whole, atol=1e-4)


def test_a_cascade_of_tokens_is_scored_on_the_last_ones(llama: Any) -> None:
    evaluation = prepare(llama, "spatten,tokens=0.5", samples=3)
    found = evaluation.measure()
    assert evaluation.task.generated == POSITIONS // 2
    assert "the last 24 one by one behind the others" in found.metric
    ids = torch.from_numpy(evaluation.task.windows["the Brown corpus"])
    with torch.no_grad():
        logits = llama.module(input_ids=ids).logits[:, -25:-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, -24:].flatten())
    assert found.dense == pytest.approx(math.exp(loss), rel=1e-4)
    assert found.pruned != pytest.approx(found.dense, rel=1e-3)
    assert llama.module.config._attn_implementation == "eager"


def test_a_cascade_that_keeps_every_token_is_scored_whole(llama: Any) -> None:
    found = prepare(llama, "spatten,values=1,bits=12+0", samples=3).measure()
    assert "one by one" not in found.metric
    assert found.pruned == pytest.approx(found.dense, rel=0.02)
    assert found.pruned != found.dense


def test_one_window_has_no_spread_and_is_refused(llama: Any) -> None:
    with pytest.raises(AccuracyError, match="--samples must be at least 2 windows, not 1"):
        prepare(llama, samples=1)


def test_logits_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = load(str(folder_with(tmp_path)))
    torch.nn.init.constant_(model.module.lm_head.weight, math.nan)
    with pytest.raises(AccuracyError, match="needs finite logits, and those of LlamaForCausalLM are not"):
        prepare(model, samples=2).measure()


def test_a_folder_without_a_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    folder_with(tmp_path)
    for file in tmp_path.glob("*token*"):
        file.unlink()
    with pytest.raises(AccuracyError, match=r"needs a tokenizer, and that of .* fails: ") as refusal:
        prepare(load(str(tmp_path)), samples=2)
    assert "\n" not in str(refusal.value)

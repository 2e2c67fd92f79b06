"""Accuracy on sentences: the head is the optimum, batches do not matter, and keeping all costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

torch = pytest.importorskip("torch")

from accelsim.accuracy import AccuracyError, prepare  # noqa: E402
from accelsim.accuracy.sentences import embeddings, fit_head, tokenized  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.models.loading import Model  # noqa: E402
from accelsim.prune import pruned  # noqa: E402

pytestmark = pytest.mark.torch

GOOD = ("a wonderful, moving film", "brilliant and funny", "the best picture of the year", "I loved it")
BAD = ("a dull, tedious mess", "boring and badly acted", "the worst picture of the year", "I hated it")
ENDS = (
    "",
    " today",
    ", said my friend",
    " from start to end",
    " again",
    ", as everybody knows",
    " tonight",
    "!",
)


@pytest.fixture(scope="module")
def minilm() -> Any:
    return load("minilm")


@pytest.fixture
def _few_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    rated = [(text + end, 2.0 if text in GOOD else -2.0) for text in GOOD + BAD for end in ENDS]
    monkeypatch.setattr("accelsim.accuracy.sentences.rated_sentences", lambda: [*rated, ("neither", 0.0)])


def test_the_head_is_the_least_regularised_loss() -> None:
    generator = np.random.default_rng(3)
    features = generator.standard_normal((120, 6))
    labels = features[:, 0] + generator.standard_normal(120) > 0.3

    def loss(head: Any) -> float:
        signs = np.where(labels, 1, -1) * (features @ head[:-1] + head[-1])
        return float(np.logaddexp(0, -signs).sum() + 0.5 * (head[:-1] ** 2).sum())

    found = fit_head(features, labels)
    expected = minimize(loss, np.zeros(7), method="BFGS", options={"gtol": 1e-6}).x
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("recipe", ["magnitude,4:4", "spatten,tokens=0.5,heads=0.9"])
def test_an_embedding_does_not_depend_on_its_batch(minilm: Any, recipe: str) -> None:
    ids = tokenized(minilm, [*GOOD, *BAD, GOOD[0]])
    with pruned(minilm.module, recipe, heads_per_sample=True):
        together = embeddings(minilm.module, ids)
        alone = np.concatenate([embeddings(minilm.module, [each]) for each in ids])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1)
    assert together[0] == pytest.approx(together[-1], abs=1e-6)


@pytest.mark.usefixtures("_few_sentences")
def test_pruning_costs_accuracy_and_keeping_all_costs_none(minilm: Any) -> None:
    before = minilm.module.state_dict()["encoder.layer.0.output.dense.weight"].clone()
    same = prepare(minilm, "magnitude,4:4", samples=20).measure()
    assert same.samples == 20
    assert same.dense == same.pruned == same.refitted > 0.8
    assert same.spread.difference == (0, 0)
    assert prepare(minilm, samples=20).measure() == same
    hurt = prepare(minilm, ["magnitude,1:16", "spatten,tokens=0.3,heads=0.5"], samples=20).measure()
    assert hurt.dense == same.dense
    assert hurt.pruned < same.dense
    assert hurt.spread.difference[0] < 0
    assert torch.equal(before, minilm.module.state_dict()["encoder.layer.0.output.dense.weight"])


@pytest.mark.usefixtures("_few_sentences")
def test_progress_counts_every_sentence_of_both_models(minilm: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    prepare(minilm, "magnitude,4:4", samples=10).measure(lambda *said: seen.append(said))
    assert seen[-1] == ("pruned", 60, 60)
    assert {which for which, _, _ in seen} == {"dense", "pruned"}
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


@pytest.mark.usefixtures("_few_sentences")
@pytest.mark.parametrize("count", [9, 22])
def test_more_sentences_than_there_are_and_too_few_are_refused(minilm: Any, count: int) -> None:
    with pytest.raises(AccuracyError, match=f"--samples must be from 10 to 21 sentences, not {count}"):
        prepare(minilm, samples=count)


@pytest.mark.usefixtures("_few_sentences")
def test_a_head_of_the_models_own_is_passed_by(minilm: Any) -> None:
    transformers = pytest.importorskip("transformers")
    headed = transformers.BertForSequenceClassification(minilm.module.config).eval()
    headed.bert = minilm.module
    ids = tokenized(minilm, GOOD)
    assert np.array_equal(embeddings(headed, ids), embeddings(minilm.module, ids))


def test_an_encoder_with_a_decoder_is_refused(minilm: Any) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(vocab_size=8, d_model=8, d_ff=8, d_kv=4, num_layers=1, num_heads=2)
    both = Model(
        name="t5", module=transformers.T5ForConditionalGeneration(config), inputs={}, folder=minilm.folder
    )
    with pytest.raises(AccuracyError, match="needs an encoder or a decoder alone, and 't5' is both"):
        prepare(both)

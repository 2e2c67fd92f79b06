"""Accuracy: the head is the optimum, batches do not matter, and what cannot be fetched is one line."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.models import load, sentences  # noqa: E402
from accelsim.models.evaluate import EvaluationError, embeddings, evaluate, fit_head, tokenized  # noqa: E402
from accelsim.models.loading import Model  # noqa: E402

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
    monkeypatch.setattr("accelsim.models.evaluate.rated_sentences", lambda: [*rated, ("neither", 0.0)])


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


def test_an_embedding_does_not_depend_on_its_batch(minilm: Any) -> None:
    ids = tokenized(minilm, [*GOOD, *BAD, GOOD[0]])
    together = embeddings(minilm.module, ids)
    alone = np.concatenate([embeddings(minilm.module, [each]) for each in ids])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1)
    assert together[0] == pytest.approx(together[-1], abs=1e-6)


@pytest.mark.usefixtures("_few_sentences")
def test_pruning_costs_accuracy_and_keeping_all_costs_none(minilm: Any) -> None:
    before = minilm.module.state_dict()["encoder.layer.0.output.dense.weight"].clone()
    same = evaluate(minilm, "magnitude,4:4", sentences=60)
    assert same["samples"] == 20
    assert same["dense"] == same["pruned"] == same["refitted"] > 0.8
    assert evaluate(minilm, sentences=60) == same
    hurt = evaluate(minilm, ["magnitude,1:16", "spatten,tokens=0.3,heads=0.5"], sentences=60)
    assert hurt["dense"] == same["dense"]
    assert hurt["pruned"] < same["dense"]
    assert torch.equal(before, minilm.module.state_dict()["encoder.layer.0.output.dense.weight"])


@pytest.mark.usefixtures("_few_sentences")
def test_a_model_without_a_tokenizer_is_refused() -> None:
    model = Model(name="linear", module=nn.Linear(2, 2), inputs=torch.ones(1, 2))
    with pytest.raises(EvaluationError, match="text encoder with its tokenizer, not 'linear'"):
        evaluate(model)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_sentences_are_read_out_of_the_cached_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated = b"1\t2.5\tA tab\tinside.\r\n2\t-0.6\tToo tepid \r\n"
    archive = packed({sentences.INNER: packed({sentences.RATED: rated})})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sentences, "SHA256", hashlib.sha256(archive).hexdigest())
    (tmp_path / "accelsim").mkdir()
    (tmp_path / "accelsim" / sentences.ARCHIVE).write_bytes(archive)
    monkeypatch.setattr(subprocess, "run", None)
    assert sentences.rated_sentences() == [("A tab\tinside.", 2.5), ("Too tepid", -0.6)]


def test_without_a_network_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_options: Any) -> Any:
        assert "--require-hashes" in command
        stderr = "WARNING: retrying\nERROR: No matching distribution found\n"
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(EvaluationError, match="pip says: ERROR: No matching") as refusal:
        sentences.rated_sentences()
    assert "\n" not in str(refusal.value)
    assert [path.name for path in (tmp_path / "accelsim").iterdir()] == []


def test_a_damaged_archive_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed({sentences.INNER: packed({sentences.RATED: b"1\t1\tFine.\n"})})

    def fetch(command: list[str], **_options: Any) -> Any:
        (Path(command[-1]) / sentences.ARCHIVE).write_bytes(archive)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sentences, "SHA256", hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(subprocess, "run", fetch)
    (tmp_path / "accelsim").mkdir()
    (tmp_path / "accelsim" / sentences.ARCHIVE).write_bytes(archive[:100])
    assert sentences.rated_sentences() == [("Fine.", 1.0)]

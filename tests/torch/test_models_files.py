"""Local folders, safetensors and GGUF: the same weights are the same model; what is bad is one line."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from accelsim import Workload  # noqa: E402
from accelsim.cli import main  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.models.registry import file_of, folder_of  # noqa: E402

pytestmark = pytest.mark.torch


def tiny_bert(folder: Path, **settings: Any) -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32}
    module = BertModel(BertConfig(**(sizes | {"num_hidden_layers": 2} | settings)))
    module.save_pretrained(folder)
    return module


def change_config(folder: Path, **settings: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def traced_hash(spec: str, tmp_path: Path, *options: str) -> str:
    out = tmp_path / "traced.npz"
    assert main(["trace", spec, "-o", str(out), "--tokens", "16", *options]) == 0
    return Workload.load(out).hash


@pytest.mark.parametrize("recipe", [[], ["--prune", "magnitude,2:4"], ["--prune", "spatten,tokens=0.5"]])
def test_minilm_is_the_same_workload_by_name_folder_copy_and_file(tmp_path: Path, recipe: list[str]) -> None:
    here, copy = folder_of("minilm"), tmp_path / "a copy"
    load("minilm").module.save_pretrained(copy)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "weights.safetensors"
    other.symlink_to(copy / "model.safetensors")
    (tmp_path / "other" / "config.json").symlink_to(copy / "config.json")
    specs = ["minilm", str(here), str(here / "model.safetensors"), str(copy), str(other)]
    hashes = {traced_hash(spec, tmp_path, *recipe) for spec in specs}
    assert len(hashes) == 1


@pytest.mark.parametrize("recipe", [[], ["--prune", "magnitude,2:8"]])
def test_smollm2_is_the_same_workload_by_name_gguf_and_saved_folder(
    tmp_path: Path, recipe: list[str]
) -> None:
    saved = tmp_path / "saved"
    load("smollm2").module.save_pretrained(saved)
    load("smollm2").module.save_pretrained(tmp_path / "shards", max_shard_size="200MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    specs = ["smollm2", str(file_of("smollm2")), str(saved), str(saved / "model.safetensors")]
    specs += [str(tmp_path / "shards")]
    assert len({traced_hash(spec, tmp_path, *recipe) for spec in specs}) == 1


def test_vit_s_is_the_same_workload_by_name_and_saved_folder(tmp_path: Path) -> None:
    load("vit-s").module.save_pretrained(tmp_path / "saved")
    specs = ["vit-s", str(tmp_path / "saved")]
    assert len({traced_hash(spec, tmp_path, "--prune", "magnitude,2:4") for spec in specs}) == 1


def test_one_changed_weight_is_another_model(tmp_path: Path) -> None:
    module = load("minilm").module
    with torch.no_grad():
        module.encoder.layer[3].output.dense.weight[7, 9] += 1e-3
    module.save_pretrained(tmp_path / "mine")
    assert load(str(tmp_path / "mine")).name == "mine"


def test_a_safetensors_file_of_any_name_goes_with_its_config(tmp_path: Path) -> None:
    module = tiny_bert(tmp_path).eval()
    module.set_attn_implementation("eager")
    (tmp_path / "model.safetensors").rename(tmp_path / "final.safetensors")
    model = load(str(tmp_path / "final.safetensors"), tokens=5)
    assert model.name == "final"
    with torch.no_grad():
        ours, theirs = (m(**model.inputs).last_hidden_state for m in (model.module, module))
    assert torch.equal(ours, theirs)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"must have its config\.json beside it"):
        load(str(tmp_path / "final.safetensors"))


def test_several_shards_are_one_model(tmp_path: Path) -> None:
    module = tiny_bert(tmp_path)
    whole = load(str(tmp_path)).module.state_dict()
    (tmp_path / "model.safetensors").unlink()
    module.save_pretrained(tmp_path, max_shard_size="4KB")
    shard = next(tmp_path.glob("model-00001-of-*.safetensors"))
    for spec in (tmp_path, shard):
        model = load(str(spec))
        assert model.name == tmp_path.name
        assert all(torch.equal(value, whole[name]) for name, value in model.module.state_dict().items())


def test_weights_that_are_missing_are_named_in_the_report(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny_bert(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    left = {name: value for name, value in weights.items() if not name.startswith("pooler")}
    save_file(left, tmp_path / "model.safetensors", metadata={"format": "pt"})
    notes = load(str(tmp_path)).notes
    assert notes[1] == "not in the checkpoint, drawn from the seed: pooler.dense.bias, pooler.dense.weight"
    assert load(str(tmp_path)).notes == notes


def test_weights_that_no_layer_takes_are_named_in_the_report(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny_bert(tmp_path)
    weights = load_file(tmp_path / "model.safetensors") | {"classifier.weight": torch.ones(2, 16)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "in the checkpoint, and no part of BertModel: classifier.weight" in load(str(tmp_path)).notes


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.sprung),)


def remote_code(folder: Path, sprung: Path) -> str:
    code = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}
    change_config(folder, model_type="own", auto_map=code, architectures=["Own"])
    (folder / "own.py").write_text(f"open({str(sprung)!r}, 'w')")
    return "no code that comes with a model is run"


def code_beside_a_known_architecture(folder: Path, sprung: Path) -> str:
    change_config(folder, auto_map={"AutoModel": "own.Own"})
    (folder / "own.py").write_text(f"open({str(sprung)!r}, 'w')")
    return "no code that comes with a model is run"


def a_pickle_for_weights(folder: Path, sprung: Path) -> str:
    (folder / "model.safetensors").unlink()
    torch.save({"a": Trap(sprung)}, folder / "pytorch_model.bin")
    return "pytorch_model.bin: a pickle may hold code"


def a_short_header(folder: Path, _sprung: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    return "header"


def short_weights(folder: Path, _sprung: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    return "not fully covered"


def an_endless_header(folder: Path, _sprung: Path) -> str:
    (folder / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x0f{}")
    return "header"


def no_layers(folder: Path, _sprung: Path) -> str:
    change_config(folder, num_hidden_layers=0)
    return "num_hidden_layers must be >= 1 and at most 10000, not 0"


def another_shape(folder: Path, _sprung: Path) -> str:
    change_config(folder, intermediate_size=48)
    return "must have shape"


def weights_of_another_model(folder: Path, _sprung: Path) -> str:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    return "holds no weight of BertModel"


def a_harmless_pickle(folder: Path, _sprung: Path) -> str:
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.ones(2)}, folder / "pytorch_model.bin")
    return "must be safetensors, not pytorch_model.bin"


def no_weights(folder: Path, _sprung: Path) -> str:
    (folder / "model.safetensors").unlink()
    return "holds no weights"


def far_too_many_weights(folder: Path, _sprung: Path) -> str:
    change_config(folder, vocab_size=10**11)
    return "describes"


def far_too_many_layers(folder: Path, _sprung: Path) -> str:
    change_config(folder, num_hidden_layers=10**9)
    return "at most 10000, not 1000000000"


def a_text_for_a_number(folder: Path, _sprung: Path) -> str:
    change_config(folder, hidden_size="large")
    return "hidden_size"


def a_link_to_itself(folder: Path, _sprung: Path) -> str:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(folder / "config.json")
    return "must hold config.json"


def an_index_that_leaves_the_folder(folder: Path, _sprung: Path) -> str:
    (folder / "model.safetensors").unlink()
    places = {"weight_map": {"a": "../../secret.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(places))
    return "must name safetensors beside it"


def a_shard_that_is_missing(folder: Path, _sprung: Path) -> str:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b.safetensors"}}')
    return "b.safetensors, which"


def several_files_without_an_index(folder: Path, _sprung: Path) -> str:
    file = folder / "model.safetensors"
    (folder / "one.safetensors").write_bytes(file.read_bytes())
    file.rename(folder / "two.safetensors")
    return "or its index, not one.safetensors, two.safetensors"


def a_list_for_a_config(folder: Path, _sprung: Path) -> str:
    (folder / "config.json").write_text("[]")
    return "does not load"


BAD = [remote_code, a_pickle_for_weights, a_short_header, short_weights, an_endless_header]
BAD += [no_layers, another_shape, weights_of_another_model, a_list_for_a_config]
BAD += [code_beside_a_known_architecture, a_harmless_pickle, no_weights, far_too_many_weights]
BAD += [far_too_many_layers, a_text_for_a_number, a_link_to_itself, an_index_that_leaves_the_folder]
BAD += [a_shard_that_is_missing, several_files_without_an_index]


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_folder_is_one_line_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path, Path], str]
) -> None:
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    tiny_bert(folder)
    capsys.readouterr()
    expected = spoil(folder, sprung)
    assert main(["run", str(folder), "--on", "sat"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert expected in err
    assert not sprung.exists()


def test_a_configuration_cannot_name_anything_but_a_model(tmp_path: Path) -> None:
    tiny_bert(tmp_path)
    change_config(tmp_path, architectures=["pipeline"])
    assert load(str(tmp_path)).metadata["class"] == "BertModel"


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "pytorch_model.bin", "weights.pkl"])
def test_a_pickle_is_refused_unopened(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert main(["run", str(tmp_path / name), "--on", "sat"]) == 2
    assert "a pickle may hold code" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["none.safetensors", "none.gguf"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        load(str(tmp_path / name))

"""Training for real on a few pictures: resumed runs, damaged files, gradients that are not finite."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")


from accelsim.cli import main  # noqa: E402
from accelsim.golden.formats import nm_pattern  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.prune.nm_layers import groups_of  # noqa: E402
from accelsim.prune.recipes import NmTraining, parse  # noqa: E402
from accelsim.training import checkpoint, loop  # noqa: E402
from accelsim.workload import Matmul, Update, Workload  # noqa: E402

pytestmark = pytest.mark.torch

BDWP = parse("bdwp,2:8,decay=0.0002")
assert isinstance(BDWP, NmTraining)
SMALL = loop.Settings(network="vit", recipe=BDWP, epochs=3, samples=192, batch=64, test_samples=100)


def command(folder: Path, *more: str) -> list[str]:
    words = ["--prune", "bdwp,2:8", "--epochs", "1", "--samples", "128", "--batch", "64", "-o", str(folder)]
    return ["train", "vit", *words, *more]


@pytest.mark.parametrize("network", ["vit", "resnet9"])
def test_a_run_that_was_broken_off_and_resumed_has_the_same_bits(network: str, tmp_path: Path) -> None:
    settings = replace(SMALL, network=network)
    whole = loop.start(settings)
    loop.train(whole, None)
    broken = loop.start(settings)
    stop = RuntimeError("broken off")

    def progress(_where: str, done: int, _total: int) -> None:
        if done == 4:
            raise stop

    with pytest.raises(RuntimeError, match="broken off"):
        loop.train(broken, tmp_path / "c.pt", progress)
    again = loop.start(settings)
    state = checkpoint.load(tmp_path / "c.pt", settings.plain())
    assert state is not None
    again.restore(state)
    assert again.epoch == 1
    loop.train(again, tmp_path / "c.pt")
    assert again.rows == whole.rows
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name]), name
    for before, after in zip(whole.optimiser.state.values(), again.optimiser.state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(before[key]), torch.as_tensor(after[key])) for key in before)


def test_a_resumed_run_knows_whether_its_last_step_was_skipped(tmp_path: Path) -> None:
    run, again = loop.start(SMALL), loop.start(SMALL)
    run.skipped_last = True
    checkpoint.save(tmp_path / "c.pt", run.state())
    state = checkpoint.load(tmp_path / "c.pt", SMALL.plain())
    assert state is not None
    again.restore(state)
    assert again.skipped_last  # the workload of a step says so


def test_both_masks_are_valid_at_every_step_and_change_with_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = loop.start(replace(SMALL, network="resnet9", epochs=2))
    assert run.masking is not None
    remake, steps, first = run.masking.remake, 0, []
    for pruned in run.masking.layers:
        assert pruned.forward is not None
        first.append(pruned.forward.clone())

    def checked() -> None:
        nonlocal steps
        remake()
        steps += 1
        assert run.masking is not None
        for pruned in run.masking.layers:
            assert pruned.forward is not None
            assert pruned.backward is not None
            across = pruned.forward.movedim(1, -1).numpy()
            grouped = pruned.backward.reshape(groups_of(pruned.layer), -1, *pruned.backward.shape[1:])
            assert nm_pattern(across, [8]) == {8: 2}
            assert nm_pattern(grouped.movedim(1, -1).numpy(), [8]) == {8: 2}
            assert float(pruned.forward.float().mean()) == float(pruned.backward.float().mean()) == 0.25

    monkeypatch.setattr(run.masking, "remake", checked)
    loop.train(run, None)
    assert steps == 2 * (3 + 1)
    assert any(
        not torch.equal(before, pruned.forward)
        for before, pruned in zip(first, run.masking.layers, strict=True)
        if pruned.forward is not None
    )


def test_a_step_with_nan_in_its_gradients_is_skipped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop.start(replace(SMALL, epochs=1))
    entropy, calls = torch.nn.functional.cross_entropy, 0

    def sometimes_not_finite(*given: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return entropy(*given) * (float("nan") if calls == 2 else 1.0)

    monkeypatch.setattr(loop.nn.functional, "cross_entropy", sometimes_not_finite)
    loop.train(run, None)
    (row,) = run.rows
    assert (row.skipped_steps, row.loss_scale) == (1, 2**15)
    assert all(bool(value.isfinite().all()) for value in run.module.parameters())


def test_a_skipped_step_leaves_weights_and_momentum_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop.start(replace(SMALL, network="resnet9"))
    pictures, labels = loop.first_batch(run.settings)
    loop.train_step(run, pictures, labels)
    weights = [value.detach().clone() for value in run.module.parameters()]
    momenta = [state["momentum_buffer"].clone() for state in run.optimiser.state.values()]
    entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(loop.nn.functional, "cross_entropy", lambda *given: entropy(*given) * float("inf"))
    assert loop.train_step(run, pictures, labels)[1] is False
    assert run.skipped_last
    assert all(torch.equal(a, b) for a, b in zip(weights, run.module.parameters(), strict=True))
    after = [state["momentum_buffer"] for state in run.optimiser.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(momenta, after, strict=True))


def test_gradients_that_stay_not_finite_end_the_run_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop.start(replace(SMALL, epochs=1, samples=192, batch=2))
    entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(loop.nn.functional, "cross_entropy", lambda *given: entropy(*given) * float("nan"))
    with pytest.raises(ValueError, match=r"gradients of vit must be finite: 51 steps .* \(seed 0, epoch 1\)"):
        loop.train(run, None)


def test_the_command_saves_model_curves_and_a_step_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    assert main(command(out, "--seeds", "3,1", "--json", "-")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in summary["runs"]] == [3, 1]
    assert summary["left_dense"] == {"patches": "the first layer", "head": "the last layer"}
    assert json.loads((out / "summary.json").read_text()) == summary
    lines = (out / "seed-1" / "curves.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,accuracy,skipped_steps,loss_scale,kept"
    assert len(lines) == 2
    step = Workload.load(out / "seed-1" / "step.npz")
    assert not step.synthetic
    products = [layer for layer in step.layers if isinstance(layer, Matmul)]
    assert {layer.stage for layer in products} == {"ff", "bp", "wu"}
    pruned = [layer for layer in products if layer.mask is not None]
    assert len(pruned) == 2 * 6 * 4
    for layer in pruned:
        assert layer.mask is not None
        assert nm_pattern(layer.mask.unpack(), [8]) == {8: 2}
    assert products[0].m == 64 * 16
    updates = [layer for layer in step.layers if isinstance(layer, Update)]
    assert {(update.state, update.loss_scale) for update in updates} == {(1, 2**16)}
    # All parameters are updated: those of products, and the others.
    assert sum(update.parameters for update in updates) == summary["parameters"]
    module = load(str(out / "seed-1")).module
    assert type(module).__name__ == "SmallVit"
    assert not list(out.rglob(".*"))
    words = ["--train", "--prune", "bdwp,2:8", "--on", "sat", "--json", "-"]
    assert main(["run", str(out / "seed-1"), *words]) == 0
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    assert layers["blocks.0.query.bp"]["macs_done"] * 4 == layers["blocks.0.query.bp"]["macs_dense"]


def test_resume_goes_on_and_a_damaged_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    assert main(command(out)) == 0
    assert main(command(out)) == 2
    assert "-o must be a new or an empty folder, or --resume be given" in capsys.readouterr().err
    before = (out / "seed-0" / "model.safetensors").read_bytes()
    assert main(command(out, "--resume")) == 0
    assert "goes on after epoch 1" in capsys.readouterr().err
    assert (out / "seed-0" / "model.safetensors").read_bytes() == before
    assert main(command(out, "--resume", "--batch", "32")) == 2
    assert "was made with batch 64, and 32 is asked for now" in capsys.readouterr().err
    file = out / "seed-0" / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert main(command(out, "--resume")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "must be a whole checkpoint, and it is damaged" in said
    torch.save({"epoch": 1}, file)
    assert main(command(out, "--resume")) == 2
    assert "must be a checkpoint of `accelsim train`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "vit", "--prune", "bdwp,8:2"], "N:M must have 1 <= N <= M <= 65535, not 8:2"),
        (["train", "vit", "--prune", "bdwp"], "recipe 'bdwp' must say bdwp,N:M"),
        (["train", "vit", "--prune", "bdwp,2:8,decay=2"], "decay must be from 0 to below 1, not 2"),
        (["train", "vit", "--prune", "bdwp,2:8,first=yes"], "first must be 0 or 1, not 'yes'"),
        (["train", "vit", "--prune", "bdwp,2:8,frist=1"], "not 'frist'; did you mean 'first'?"),
        (
            ["train", "vit", "--prune", "magnitude,2:8"],
            "or a schedule such as magnitude,global,0.1,iterative, not magnitude",
        ),
        (["train", "resnet8"], "'resnet9'"),
        (["train", "vit", "--seeds", "0,x"], "--seeds must be whole numbers"),
        (["train", "vit", "--seeds", "1,1"], "--seeds must differ"),
        (["train", "vit", "--samples", "10"], "batch must be from 1 to 10, not 128"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_module_without_a_layer_to_prune_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.Linear(8, 8)), torch.zeros(1, 8)\n"
    )
    (tmp_path / "one.py").write_text(code)
    words = ["--train", "--prune", "bdwp,2:8", "--on", "sat"]
    assert main(["run", f"{tmp_path / 'one.py'}:net", *words]) == 2
    said = capsys.readouterr().err
    assert "bdwp,2:8 must fit at least one linear or convolution layer (0: the first layer)" in said

"""Schedules: how much is cut and when, masks that hold, rewinding, means; broken off and resumed alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.cli import main  # noqa: E402
from accelsim.prune import Composed, parse  # noqa: E402
from accelsim.prune.fitting import fit  # noqa: E402
from accelsim.training import checkpoint, loop  # noqa: E402
from accelsim.training.courses import estimate_norms  # noqa: E402
from accelsim.workload import Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch


def settings(words: str, network: str = "vit", **values: int) -> loop.Settings:
    made = parse(words)
    assert isinstance(made, Composed)
    sizes = {"epochs": 2, "samples": 64, "batch": 32, "test_samples": 50, **values}
    return loop.Settings(network=network, recipe=made, **sizes)


def zeros(run: loop.Run) -> float:
    """Share of zeros among the weights of linear and convolution layers."""
    weights = [child.weight for child in run.module.modules() if isinstance(child, nn.Linear | nn.Conv2d)]
    return sum(int((each == 0).sum()) for each in weights) / sum(each.numel() for each in weights)


SCHEDULES = {
    "magnitude,global,0.3,gradual,times=3": [0.3] * 2,
    "magnitude,2:4,oneshot": [1, 1, 0.5, 0.5],
    "wanda,0.25,iterative,rounds=2,rewind=1": [1, 1, 0.5, 0.25],
    "magnitude,global,0.25,soup,members=2": [1, 1, *[0.5] * 5, *[0.25] * 5],
}


@pytest.mark.parametrize("words", SCHEDULES)
def test_so_much_is_kept_epoch_by_epoch_and_a_resumed_run_has_the_same_bits(
    words: str, tmp_path: Path
) -> None:
    asked = settings(words)
    whole = loop.start(asked)
    loop.train(whole, None)
    assert [row.epoch for row in whole.rows] == list(range(1, len(SCHEDULES[words]) + 1))
    # The first epoch of gradual ends in the midst of its cuts.
    later = 1 if "gradual" in words else 0
    kept = [row.kept for row in whole.rows]
    assert kept[later:] == pytest.approx(SCHEDULES[words][later:], abs=0.01)
    # The patches have one channel, and stay dense under 2:4.
    assert zeros(whole) == pytest.approx(1 - SCHEDULES[words][-1], abs=0.02)
    broken, stop = loop.start(asked), RuntimeError("broken off")
    last = max(asked.steps_per_epoch + 1, asked.steps_per_epoch * whole.course.epochs - 3)

    def progress(_where: str, done: int, _total: int) -> None:
        if done >= last:
            raise stop

    with pytest.raises(RuntimeError, match="broken off"):
        loop.train(broken, tmp_path / "c.pt", progress)
    again = loop.start(asked)
    state = checkpoint.load(tmp_path / "c.pt", asked.plain())
    assert state is not None
    again.restore(state)
    assert 0 < again.epoch < whole.epoch
    loop.train(again, None)
    assert again.rows == whole.rows
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name]), name


def test_what_is_removed_goes_up_with_the_cube_and_nothing_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = loop.start(settings("magnitude,global,0.2,gradual,begin=0.2,end=0.8,times=3", samples=320))
    seen: list[tuple[float, float]] = []
    plain = run.course.before_step

    def watched(*given):  # type: ignore[no-untyped-def]
        before = dict(run.course.masks)
        plain(*given)
        for name, mask in run.course.masks.items():
            assert not (mask & ~before.get(name, mask)).any()
        seen.append((given[1], run.course.kept))

    monkeypatch.setattr(run.course, "before_step", watched)
    loop.train(run, None)
    expected = {0: 1.0, **{cut: 1 - 0.8 * (1 - (1 - cut / 3) ** 3) for cut in (1, 2, 3)}}
    for share, kept in seen:
        cut = 0 if share < 0.2 else min(3, int((share - 0.2) / 0.2 + 1e-9) + 1)
        assert kept == pytest.approx(expected[cut], abs=0.01), share


def test_a_round_starts_at_early_weights_under_the_mask_of_the_trained_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = loop.start(settings("magnitude,global,0.25,iterative,rounds=2,rewind=1"))
    states: list[dict[str, torch.Tensor]] = []
    begin, end = run.course.begin, run.course.end

    def began(*given):  # type: ignore[no-untyped-def]
        states.append({name: value.clone() for name, value in run.module.state_dict().items()})
        begin(*given)
        states.append({name: value.clone() for name, value in run.module.state_dict().items()})
        assert bool(run.optimiser.state) == (run.epoch == 1)

    monkeypatch.setattr(run.course, "begin", began)
    loop.train(run, None)
    assert end is not None
    early, trained, rewound = states[2], states[4], states[5]
    cut = parse("magnitude,global,0.5")
    assert isinstance(cut, Composed)
    module = loop.network("vit").make()
    module.load_state_dict(trained)
    masks = {name: weight != 0 for name, weight in fit(module, cut, []).weights.items()}
    for name, value in rewound.items():
        mask = masks.get(name.removesuffix(".weight"))
        assert torch.equal(value, early[name] if mask is None else early[name] * mask), name


def test_a_soup_is_the_mean_of_members_that_share_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop.start(settings("magnitude,global,0.5,soup,phases=1,members=3", epochs=1))
    ends: list[dict[str, torch.Tensor]] = []
    end = run.course.end

    def ended(given: loop.Run) -> None:
        ends.append({name: value.clone() for name, value in run.module.state_dict().items()})
        end(given)

    monkeypatch.setattr(run.course, "end", ended)
    loop.train(run, None)
    dense, *members, mean = ends
    assert len(members) == 3
    assert not torch.equal(members[0]["head.weight"], members[1]["head.weight"])
    for name, value in mean.items():
        torch.testing.assert_close(value, sum(each[name] for each in members) / 3)
        if name in run.course.masks:
            assert all(torch.equal(each[name] != 0, run.course.masks[name]) for each in members)
    assert float((dense["head.weight"] == 0).float().mean()) == 0
    assert run.rows[-1].loss == run.rows[-2].loss


def test_norms_take_their_statistics_from_the_pictures_they_are_shown() -> None:
    norm = nn.BatchNorm2d(3)
    batches = [torch.randn(8, 3, 4, 4) * 2 + 5 for _ in range(4)]
    estimate_norms(norm, batches)
    assert norm.momentum == 0.1
    torch.testing.assert_close(
        norm.running_mean, torch.stack([each.mean(dim=(0, 2, 3)) for each in batches]).mean(0)
    )
    torch.testing.assert_close(
        norm.running_var, torch.stack([each.var(dim=(0, 2, 3)) for each in batches]).mean(0)
    )
    run = loop.start(settings("magnitude,0.5,soup,phases=1,members=2", "resnet9", epochs=1, samples=32))
    loop.train(run, None)
    assert run.rows[-1].kept == pytest.approx(0.5, abs=0.01)


def test_momentum_of_what_is_cut_is_zero_as_well() -> None:
    run = loop.start(replace(settings("magnitude,0.5,oneshot", epochs=1)))
    loop.train(run, None)
    for name, parameter in run.module.named_parameters():
        if name in run.course.masks:
            momentum = run.optimiser.state[parameter]["momentum_buffer"]
            assert not momentum[~run.course.masks[name]].any()
            assert momentum.any()


def test_the_command_trains_by_a_schedule_and_saves_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ticket"
    sizes = ["--epochs", "1", "--samples", "64", "--batch", "32"]
    words = "magnitude,2:4,oneshot"
    assert main(["train", "vit", "--prune", words, *sizes, "-o", str(out), "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["prune"] == words
    assert summary["runs"][0]["kept"] == 0.5
    lines = (out / "seed-0" / "curves.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["kept", "1.0", "0.5"]
    assert main(["trace", str(out / "seed-0"), "-o", str(tmp_path / "w.npz")]) == 0
    layers = [layer for layer in Workload.load(tmp_path / "w.npz").layers if isinstance(layer, Matmul)]
    assert {layer.density for layer in layers if layer.name.startswith("blocks") and layer.weights} == {0.5}


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("magnitude,2:4,gradual", "gradual must be told a fraction kept, such as magnitude,0.5,gradual"),
        ("magnitude,0.5,gradual,begin=0.9", "begin must be below end"),
        ("magnitude,0.5,iterative,rewind=0.5", "rewind must be whole epochs"),
        ("magnitude,0.5,bits=4,oneshot", "leave bits out"),
        ("magnitude,0.5,oneshot,soup", "one schedule, not oneshot and soup"),
        ("magnitude,0.5,oneshot,rounds=2", "setting must be one of"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match="recipe") as refusal:
        parse(recipe)
    assert said in str(refusal.value)


def test_a_schedule_does_not_prune_without_training_nor_a_cut_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = parse("magnitude,0.5,gradual")
    assert isinstance(made, Composed)
    with pytest.raises(ValueError, match=r"accelsim train NAME --prune magnitude,0.5,gradual$"):
        fit(nn.Linear(4, 4), made, [])
    assert main(["train", "vit", "--prune", "wanda,2:4", "-o", str(tmp_path / "t")]) == 2
    assert "or a schedule such as magnitude,global,0.1,iterative, not wanda" in capsys.readouterr().err
    words = "magnitude,0.5,iterative,rewind=3"
    assert main(["train", "vit", "--prune", words, "--epochs", "2", "-o", str(tmp_path / "t")]) == 2
    assert "rewind must be below the 2 epochs" in capsys.readouterr().err
    assert str(made) == "magnitude,0.5,gradual"

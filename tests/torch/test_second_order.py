"""Scores by curvature, of the loss or of a layer: each against a plain implementation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.prune import Composed, parse  # noqa: E402
from accelsim.prune import fisher as fishers  # noqa: E402
from accelsim.prune.cut import Cut  # noqa: E402
from accelsim.prune.dual import divided, dual  # noqa: E402
from accelsim.prune.fitting import cut_layer, fit  # noqa: E402
from accelsim.prune.matrices import matrices  # noqa: E402
from accelsim.prune.network import Network  # noqa: E402
from accelsim.prune.refinements.surgeon import surgeon  # noqa: E402
from accelsim.prune.second_order import damped, without_columns  # noqa: E402
from accelsim.prune.statistics import Seen  # noqa: E402

pytestmark = pytest.mark.torch


def composed(words: str) -> Composed:
    made = parse(words)
    assert isinstance(made, Composed)
    return made


def with_fisher(seed: int, rows: int = 3, columns: int = 8, span: int = 4) -> tuple[torch.Tensor, Seen]:
    """A weight and the blocks of 12 drawn gradients."""
    print("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, rows, columns, generator=generator)
    gradients = torch.randn(12, rows, columns // span, span, generator=generator)
    blocks = (gradients[..., :, None] * gradients[..., None, :]).mean(dim=0)
    return weight, Seen(name="fc").with_loss({"fisher": blocks[None]})


def plain_blocks(seen: Seen, ridge: float = 0.01) -> np.ndarray:
    """Row by row, block by block, with the ridge."""
    blocks = seen.fisher[0].double().numpy()
    diagonal = np.mean([blocks[..., i, i] for i in range(blocks.shape[-1])])
    return blocks + ridge * diagonal * np.eye(blocks.shape[-1])


@pytest.mark.parametrize("seed", range(3))
def test_obert_is_what_the_quadratic_loses_when_a_weight_or_a_block_goes(seed: int) -> None:
    weight, seen = with_fisher(seed)
    blocks, w = plain_blocks(seen), weight[0].double().numpy()
    single = composed("obert,0.5,span=4")
    scores = single.words[1].of(weight, seen, single.scoring())[0].numpy()  # type: ignore[attr-defined]
    paired = composed("obert,0.5,blocks,columns=2,span=4")
    shares = paired.words[1].of(weight, seen, paired.scoring())[0].numpy()  # type: ignore[attr-defined]
    for row, block in itertools.product(range(3), range(2)):
        here = slice(4 * block, 4 * block + 4)
        for gone in ([0], [1], [2], [3], [0, 1], [2, 3]):
            cost = least_quadratic(w[row, here], blocks[row, block], gone)[1]
            found = scores[row, 4 * block + gone[0]] if len(gone) == 1 else shares[row, here][gone].sum()
            assert found == pytest.approx(cost, rel=1e-4)


def least_quadratic(w: np.ndarray, curvature: np.ndarray, gone: list[int]) -> tuple[np.ndarray, float]:
    """The weights of least d^T F d / 2 when those that are gone are zero, and that minimum."""
    kept = [index for index in range(len(w)) if index not in gone]
    factor = np.linalg.cholesky(curvature).T
    moved = -w * np.isin(range(len(w)), gone)
    moved[kept] = np.linalg.lstsq(factor[:, kept], -factor @ moved, rcond=None)[0]
    return w + moved, float(moved @ curvature @ moved) / 2


@pytest.mark.parametrize("recipe", ["obert,0.5,surgeon,span=4", "random,0.25,surgeon,span=4"])
def test_the_surgeon_leaves_the_least_of_the_quadratic(recipe: str) -> None:
    weight, seen = with_fisher(5)
    made = composed(recipe)
    cut = cut_layer("fc", weight, seen, made, made.amount)
    masked = cut.weight.clone()
    surgeon(cut, made.set(made.words[3]))
    blocks, kept = plain_blocks(seen), cut.kept[0].numpy()
    for row, block in itertools.product(range(3), range(2)):
        here = slice(4 * block, 4 * block + 4)
        gone = list(np.nonzero(~kept[row, here])[0])
        expected = least_quadratic(weight[0, row, here].double().numpy(), blocks[row, block], gone)[0]
        np.testing.assert_allclose(cut.weight[0, row, here].numpy(), expected, atol=1e-5)
    assert not torch.allclose(cut.weight, masked, atol=1e-2)


def test_one_that_goes_is_the_published_update() -> None:
    weight, seen = with_fisher(6)
    kept = torch.ones_like(weight, dtype=torch.bool)
    kept[0, 1, 5] = False
    cut = Cut(
        name="fc",
        dense=weight,
        weight=weight * kept,
        kept=kept,
        seen=seen,
        amount=composed("obert,0.5").amount,
    )
    surgeon(cut, {"span": 4, "ridge": 0.01})
    inverse = np.linalg.inv(plain_blocks(seen)[1, 1])
    row = weight[0, 1].double().numpy()
    expected = row[4:] - inverse[:, 1] * row[5] / inverse[1, 1]
    np.testing.assert_allclose(cut.weight[0, 1, 4:].numpy(), expected, atol=1e-5)
    assert torch.equal(cut.weight[0, [0, 2]], weight[0, [0, 2]])


def test_blocks_of_the_fisher_matrix_are_the_mean_of_outer_products() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    samples = [torch.randn(5, 6) for _ in range(3)]
    network = Network(
        module, composed("obert,0.5,span=4"), list(matrices(module)), samples, lambda *told: None
    )
    found = fishers.fisher(network)["0"]
    total = torch.zeros(4, 8, 8)
    for number, sample in enumerate(samples):
        (gradient,) = torch.autograd.grad(network.loss(sample, number), module[0].weight)
        padded = torch.cat([gradient, torch.zeros(4, 2)], dim=1)
        total += padded[:, :, None] * padded[:, None, :] / 3
    for block in range(2):
        here = slice(4 * block, 4 * block + 4)
        torch.testing.assert_close(found[0, :, block], total[:, here, here])


def test_blocks_that_take_too_much_memory_are_refused_with_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fishers, "MOST_BYTES", 2**30)
    wide = nn.Linear(8192, 8192, bias=False)
    with pytest.raises(ValueError, match=r"^obert's blocks .* span must be at most 4, not 16$"):
        fit(wide, composed("obert,0.5"), [torch.randn(1, 8192)])
    weight, seen = with_fisher(0)
    made = composed("obert,0.5,blocks,columns=8,span=4")
    with pytest.raises(ValueError, match="multiple of the 8 columns"):
        cut_layer("fc", weight, seen, made, made.amount)


@pytest.mark.parametrize("together", [1, 4])
def test_ziplm_leaves_least_squares_on_the_kept_columns_and_loses_what_it_says(together: int) -> None:
    generator = torch.Generator().manual_seed(together)
    weight = torch.randn(6, 16, generator=generator)
    given = torch.randn(50, 16, generator=generator) @ torch.randn(16, 16, generator=generator)
    hessian = damped((given.T @ given * 2 / 50)[None], 0.01)[0]
    new, kept, error = without_columns(weight, hessian, together, 8 // together)
    stays = kept[0].numpy()
    assert stays.sum() == 8
    assert np.array_equal(kept.numpy(), np.broadcast_to(stays, kept.shape))
    factor = np.linalg.cholesky(hessian.numpy()).T
    solved = np.linalg.lstsq(factor[:, stays], factor @ weight.double().numpy().T, rcond=None)[0].T
    np.testing.assert_allclose(new.numpy()[:, stays], solved, atol=1e-8)
    assert not new[:, ~kept[0]].any()
    change = (new - weight.double()).numpy()
    assert error == pytest.approx(np.trace(change @ hessian.numpy() @ change.T), rel=1e-9)
    # The first to go is the cheapest alone, tried one by one.
    costs = [removal(weight, factor, range(at, at + together)) for at in range(0, 16, together)]
    first = without_columns(weight, hessian, together, 1)
    assert first[2] == pytest.approx(min(costs))
    assert not first[1][0, int(np.argmin(costs)) * together]


def removal(weight: torch.Tensor, factor: np.ndarray, gone: range) -> float:
    """Squared error of the best weights without some columns."""
    kept = [column for column in range(weight.shape[1]) if column not in gone]
    target = factor @ weight.double().numpy().T
    solved = np.linalg.lstsq(factor[:, kept], target, rcond=None)[0]
    return float(((factor[:, kept] @ solved - target) ** 2).sum())


def test_ziplm_takes_whole_heads_and_beats_their_mask_alone() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.o_proj = nn.Linear(16, 6, bias=False)
            self.config = type("Config", (), {"num_attention_heads": 4, "hidden_size": 16})()

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.o_proj(given)

    module = Attention()
    given = torch.randn(60, 16) @ torch.randn(16, 16)
    dense = module.o_proj.weight.detach().clone()
    found = fit(module, composed("ziplm,0.5,heads"), [given]).weights["o_proj"]
    by_head = (found != 0).reshape(6, 4, 4).any(dim=2).any(dim=0)
    assert int(by_head.sum()) == 2
    masked = dense * by_head.repeat_interleave(4)
    lost = [float((given @ (each - dense).T).square().sum()) for each in (found, masked)]
    assert lost[0] < lost[1]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("ziplm,0.5", "ziplm must have columns or heads, not unstructured: try obs with update"),
        ("ziplm,2:4", "not nm: try obs with update"),
        ("wanda,0.5,surgeon,update", "undoes surgeon before it"),
        ("dpruner,0.5,general=32", "general must be below the 32 samples"),
        ("wanda,later,0.5,protect=1", "protect must be below 1"),
        ("wanda,2:4,dsnot,skip=mpl", "did you mean 'mlp'"),
    ],
)
def test_what_does_not_go_together_is_refused(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match="recipe") as refusal:
        parse(recipe)
    assert said in str(refusal.value)


def test_dual_importance_is_the_plain_loop() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(5, 4))
    before = module[0].weight.detach().clone()
    samples = [torch.randn(7, 5) for _ in range(5)]
    recipe = composed("dpruner,0.5,general=2,strength=3,rate=0.5,clip=0.2,samples=5")
    network = Network(module, recipe, list(matrices(module)), samples, lambda *told: None)
    found = dual(network)["0"][0].numpy()
    assert torch.equal(module[0].weight, before)
    x = torch.cat(samples[:2]).double().numpy()
    hessian = x.T @ x * 2 / len(x)
    hessian += 0.01 * np.mean(np.diag(hessian)) * np.eye(5)
    dense = before.double().numpy()
    general = dense**2 / np.array([np.linalg.inv(hessian[j:, j:])[0, 0] for j in range(5)])
    weight, expected = dense.copy(), np.zeros_like(dense)
    for step, sample in enumerate(samples[2:]):
        at = torch.from_numpy(weight).float().requires_grad_(True)
        moved = nn.Sequential(nn.Linear(5, 4))
        moved[0].bias.data = module[0].bias.data
        logits = nn.functional.linear(sample, at, moved[0].bias)
        chances = nn.functional.linear(sample, before, moved[0].bias).detach().softmax(dim=1)
        # Classes are drawn from the first pass over a sample, whose weights may have moved by then.
        chances = logits.detach().softmax(dim=1) if step else chances
        drawn = torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(step))[:, 0]
        (raw,) = torch.autograd.grad(nn.functional.cross_entropy(logits, drawn), at)
        g = raw.double().numpy() + 2 * 3 * general * (weight - dense)
        expected += np.abs(g * weight + (g * weight) ** 2 / 2) / 3
        weight -= 0.5 * (1 - step / 3) * min(1, 0.2 / np.linalg.norm(g)) * g
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


def test_general_samples_come_first_and_one_sample_alone_is_both() -> None:
    assert divided([1, 2, 3], 2) == ([1, 2], [3])
    assert divided([1, 2, 3], 9) == ([1, 2], [3])
    assert divided([1], 16) == ([1], [1])

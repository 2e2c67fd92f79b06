"""Recipes: what the words mean, what is refused, and which weights become zero."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.golden.formats import nm_pattern, select_nm  # noqa: E402
from accelsim.prune import Composed, Magnitude, NmTraining, Spatten, known, parse, parse_all, pruned  # noqa: E402
from accelsim.prune.magnitude import prune_weights  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Matmul  # noqa: E402

pytestmark = pytest.mark.torch


def network() -> nn.Sequential:
    """A stem of three channels, a convolution, a depthwise one, and a classifier."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.ConvTranspose2d(8, 4, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 10),
    )


PICTURE = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def test_pairs_are_kept_or_dropped_as_one_by_the_sum_of_their_magnitudes() -> None:
    layer = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        # Sums of magnitudes 4, 5, 6, 4.5: the largest weight stands in a pair that is dropped.
        layer.weight.copy_(torch.tensor([[0.0, -4, 2.5, -2.5, 3, 3, 4.5, 0]]))
    prune_weights(layer, Magnitude(n=4, m=8, pairs=True))
    assert layer.weight.tolist() == [[0, 0, 2.5, -2.5, 3, 3, 0, 0]]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("magnitude,2:4,pair", "'pair'"),
        ("magnitude,0.5,pairs", "must say magnitude,N:M,pairs"),
        ("magnitude,2:4,pairs,pairs", "'pairs'"),
    ],
)
def test_pairs_stand_behind_a_pattern(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(recipe)


def test_pairs_have_even_counts() -> None:
    with pytest.raises(ValueError, match="pairs must have an even N and M, not 1:4"):
        parse("magnitude,1:4,pairs")


@pytest.mark.slow  # without compilation
def test_int4_tensor_cores_take_pairs_and_not_just_any_4_of_8() -> None:
    from accelsim import run
    from accelsim.accelerators import find
    from accelsim.parameters import replace_by_path

    core = replace_by_path(find("stc:tiny")[2], "dtype", "int4")
    torch.manual_seed(0)
    module, inputs = nn.Sequential(nn.Linear(64, 64)), (torch.randn(8, 64),)
    patterns = [
        run(trace(module, inputs, recipe), core).layers[0].facts["pattern"]
        for recipe in ("magnitude,4:8,pairs", "magnitude,4:8")
    ]
    assert patterns == ["4:8 in pairs", "dense"]


def test_words_become_recipes() -> None:
    assert parse("magnitude,2:4") == Magnitude(n=2, m=4)
    assert parse("magnitude,4:8,pairs") == Magnitude(n=4, m=8, pairs=True)
    assert parse(" magnitude , 0.5 ") == Magnitude(keep=0.5)
    assert parse("spatten,tokens=0.5,heads=0.9,values=0.3,bits=6+4,threshold=0.05") == Spatten(
        tokens=0.5, heads=0.9, values=0.3, bits=(6, 4), threshold=0.05
    )
    assert parse("spatten,bits=8") == Spatten(bits=(8, 0))
    assert parse("spatten,tokens=1*2/0.5/0.25*2,heads=1/0.5*4") == Spatten(
        tokens=(1, 1, 0.5, 0.25, 0.25), heads=(1, 0.5, 0.5, 0.5, 0.5)
    )
    medium, small = parse("spatten,schedule=gpt2-medium"), parse("spatten,schedule=gpt2-small,values=0.5")
    assert isinstance(medium, Spatten)
    assert isinstance(small, Spatten)
    assert (len(medium.tokens), medium.bits, medium.value_bits) == (24, (12, 0), 8)  # type: ignore[arg-type]
    assert (small.tokens, small.values) == ((0.9, 0.7, *[0.2] * 4, *[0.1] * 6), 0.5)
    assert parse("spatten,schedule=linear,tokens=0.5") == Spatten(tokens=0.5)
    assert parse_all(["magnitude,2:4", "spatten,values=0.3"]) == (Magnitude(n=2, m=4), Spatten(values=0.3))
    assert parse("think,0.6") == Spatten(channels=0.6)
    assert parse("bdwp,2:8") == NmTraining(method="bdwp", n=2, m=8)
    assert parse("bdwp, 2:8, decay=0.0002, first=1") == NmTraining(
        method="bdwp", n=2, m=8, decay=2e-4, first=True
    )
    assert parse("srste,2:4") == NmTraining(method="srste", n=2, m=4, decay=2e-4)
    assert known().keys() >= {
        "magnitude",
        "wanda",
        "N:M",
        "dsnot",
        "global",
        "spatten",
        "bdwp",
        "transposable",
    }
    assert parse("wanda, 2:4, dsnot, cycles=9") == Composed(
        score="wanda", n=2, m=4, refinements=("dsnot",), settings=(("cycles", 9),)
    )
    assert parse("magnitude,global,0.5") == Composed(score="magnitude", allocation="global", keep=0.5)
    assert str(parse("wanda,2:8,transposable,bits=4")) == "wanda,2:8,transposable,bits=4"


@pytest.mark.parametrize("method", ["bdwp", "srste", "transposable"])
def test_inference_reads_the_forward_weights_of_training(method: str) -> None:
    module = nn.Sequential(nn.Linear(10, 16), nn.Linear(16, 20), nn.Linear(20, 3))
    before = [layer.weight.detach().clone() for layer in module]
    with pruned(module, f"{method},2:8") as applied:
        middle = (module[1].weight != 0).numpy()
        assert torch.equal(module[0].weight, before[0])
        assert torch.equal(module[2].weight, before[2])
    assert applied.left_dense == {"0": "the first layer", "2": "the last layer"}
    np.testing.assert_array_equal(nm_pattern(middle, [8])[8], 2)
    if method != "transposable":
        np.testing.assert_array_equal(middle, select_nm(before[1].half().numpy(), 2, 8))
    assert all(torch.equal(a, b.weight) for a, b in zip(before, module, strict=True))
    with pytest.raises(ValueError, match="sdgp,2:8 prunes gradients alone"), pruned(module, "sdgp,2:8"):
        pass


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("magnitud,2:4", "did you mean 'magnitude'"),
        ("magnitude", "magnitude,N:M or magnitude,FRACTION"),
        ("magnitude,bits=8", "magnitude,N:M or magnitude,FRACTION"),
        ("magnitude,4:2", "4:2"),
        ("magnitude,0:4", "0:4"),
        ("magnitude,2:4:8", "'4:8'"),
        ("magnitude,two", "'two'"),
        ("magnitude,0", "not 0"),
        ("magnitude,1.5", "not 1.5"),
        ("magnitude,nan", "not nan"),
        ("magnitude,2:4,0.5", "magnitude,N:M or magnitude,FRACTION"),
        ("think", "think,FRACTION"),
        ("spatten", "spatten,tokens=0.5"),
        ("spatten,token=0.5", "did you mean 'tokens'"),
        ("spatten,tokens", "tokens=VALUE"),
        ("spatten,tokens=0.5,tokens=0.4", "once"),
        ("spatten,heads=-1", "not -1"),
        ("spatten,bits=7+4", "7+4"),
        ("spatten,tokens=0", "tokens must be above 0 and at most 1, not 0"),
        ("spatten,tokens=0.5/0", "tokens must be above 0 and at most 1, not 0"),
        ("spatten,tokens=0.5/0.6", "must not rise"),
        ("spatten,tokens=0.5*0/0.4", "FRACTION*LAYERS joined by /, not '0.5*0'"),
        ("spatten,heads=0.5*x", "not '0.5*x'"),
        ("spatten,channels=0", "channels must be above 0"),
        ("spatten,schedule=gpt2-smal", "did you mean 'gpt2-small'"),
        ("spatten,scores=men,tokens=0.5", "did you mean 'mean'"),
        ("spatten,of=later,tokens=0.5", "of must be one of now, end"),
        ("spatten,value_bits=8", "beside bits"),
        ("spatten,bits=8,value_bits=7", "not 7"),
        ("spatten,spared=x,tokens=0.5", "'x'"),
        ("spatten,bits=6+-4", "'-4'"),
        ("", "must be words such as magnitude,2:4, not ''"),
        (",", "must be words such as magnitude,2:4, not ','"),
        ("wanda", "wanda,N:M or wanda,FRACTION"),
        ("wanda,0.5,sparsegpt", "one score, not wanda and sparsegpt"),
        ("wanda,0.5,armor", "such as wanda,2:4,armor"),
        ("wanda,2:4,global", "2:4 keeps the same of every layer"),
        ("wanda,0.5,dsno", "did you mean 'dsnot'"),
        ("dsnot,2:4", "such as wanda,dsnot,2:4"),
        ("wanda,2:4,alpha=1", "setting must be one of"),
        ("sparsegpt,2:4,update", "leave update out"),
        ("sparsegpt,2:8,transposable", "try obs, or wanda"),
        ("wanda,2:4,blocks", "blocks must be told a fraction"),
        ("wanda,0.5,transposable", "such as 2:8"),
        ("wanda,0.5,samples=x", "samples must be a number"),
        ("wanda,0.5,samples=0", "samples must be at least 1"),
        ("wanda,0.5,per=column", "per must be one of row, layer"),
        ("wanda,2:4,dsnot,dsnot", "once"),
        ("magnitude,2:4,bits=1", "bits must be from 2 to 16, not 1"),
        ("magnitude,2:4,bits=17", "bits must be from 2 to 16, not 17"),
        ("wanda,2:4,bits=4,dsnot", "undoes bits before it: the order must be dsnot,bits"),
        ("wanda,2:4,update,dsnot", "the order must be dsnot,update"),
        ("wanda,2:4,bias,update,dsnot", "the order must be dsnot,update,bias"),
        ("wanda,2:4,update,armor", "leave update out"),
        ("wanda,2:4,bits=4,armor", "leave bits out"),
        ("wanda,2:4,armor,bits=4", "armor must be the last refinement: leave bits out"),
        ("sparsegpt,2:4,bits=4,dsnot", "which dsnot would undo: leave dsnot out, or try obs"),
        ("sparsegpt,2:4,armor", "leave armor out, or try obs"),
        ("sparsegpt,0.5,per=layer", "per must be row or left out"),
        ("nowag,2:4,armor,block=6", "a multiple of 4, the M of 2:4, not 6"),
        ("nowag,machine,armor,block=4", "a multiple of 8"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match="recipe") as refusal:
        parse(recipe)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "recipe",
    [
        "wanda,2:4,dsnot,update,bias,bits=4",
        "wanda,2:4,bits=4,bias",
        "wanda,2:4,dsnot,armor",
        "nowag,2:64,armor,block=64",
        "sparsegpt,0.5,bias,bits=4",
        "sparsegpt,0.5,per=row",
    ],
)
def test_what_undoes_nothing_is_taken_and_written_as_it_was_said(recipe: str) -> None:
    assert str(parse(recipe)) == recipe


def test_two_recipes_of_a_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="one recipe at most may be for weights"):
        parse_all(["magnitude,2:4", "magnitude,0.5"])


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (2, 8)])
def test_the_largest_of_every_group_of_inputs_stay(n: int, m: int) -> None:
    layer = nn.Linear(32, 6)
    before = layer.weight.detach().clone()
    assert prune_weights(layer, Magnitude(n=n, m=m)).names == ("Linear",)
    for row, old in zip(layer.weight.detach(), before, strict=True):
        for start in range(0, 32, m):
            group, size = row[start : start + m], old[start : start + m].abs()
            kept = set(torch.nonzero(group).ravel().tolist())
            assert kept == set(size.topk(n).indices.tolist())
            assert all(group[i] == old[start + i] for i in kept)


def test_equal_weights_leave_the_lowest_index() -> None:
    layer = nn.Linear(8, 3)
    nn.init.ones_(layer.weight)
    prune_weights(layer, Magnitude(n=2, m=4))
    assert layer.weight.detach().tolist() == [[1, 1, 0, 0] * 2] * 3


def test_groups_of_a_convolution_lie_along_its_channels_at_a_fixed_tap() -> None:
    layer = nn.Conv2d(8, 5, (3, 2))
    prune_weights(layer, Magnitude(n=1, m=4))
    groups = layer.weight.detach().permute(0, 2, 3, 1).reshape(-1, 4)
    assert ((groups != 0).sum(dim=1) == 1).all()


def test_groups_of_a_transposed_convolution_lie_along_its_inputs() -> None:
    layer = nn.ConvTranspose2d(8, 6, 2, groups=2)
    prune_weights(layer, Magnitude(n=1, m=4))
    assert ((layer.weight.detach().reshape(2, 4, 3, 2, 2) != 0).sum(dim=1) == 1).all()
    (traced,) = trace(layer, torch.randn(1, 8, 3, 3)).layers
    assert isinstance(traced, Matmul)
    assert traced.mask is not None
    assert (traced.mask.unpack().reshape(-1, 4).sum(axis=1) == 1).all()


@pytest.mark.parametrize("keep", [0.5, 0.1, 1.0])
def test_a_fraction_is_kept_of_every_layer(keep: float) -> None:
    module = network()
    prune_weights(module, Magnitude(keep=keep))
    for child in module:
        if hasattr(child, "weight"):
            size = child.weight.numel()
            assert torch.count_nonzero(child.weight) == max(1, int(size * keep + 1e-9))


def test_a_layer_that_does_not_fit_stays_dense_and_is_listed_with_the_reason() -> None:
    module = network()
    zeroed = prune_weights(module, Magnitude(n=2, m=4))
    assert zeroed.names == ("1", "3", "6")
    assert zeroed.left_dense == {
        "0": "3 weights along the reduction are no multiple of 4",
        "2": "1 weights along the reduction are no multiple of 4",
    }
    (note,) = trace(module, PICTURE).notes
    assert "0 (3 weights" in note
    assert "2 (1 weights" in note
    assert "for 2:4" in note


def test_a_recipe_that_fits_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one linear or convolution") as refusal:
        trace(nn.Conv2d(3, 8, 3), PICTURE, "magnitude,2:4")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="none here"):
        trace(nn.ReLU(), PICTURE, "magnitude,0.5")


@pytest.mark.parametrize("recipe", ["magnitude,2:4", "magnitude,1:4", "magnitude,0.3"])
def test_zeros_in_place_and_the_recipe_give_the_same_workload(recipe: str) -> None:
    by_recipe = trace(network(), PICTURE, recipe)
    module = network()
    made = parse(recipe)
    assert isinstance(made, Magnitude)
    prune_weights(module, made)
    assert trace(module, PICTURE) == by_recipe
    assert trace(module, PICTURE).hash == by_recipe.hash
    assert by_recipe.dense().layers == trace(network(), PICTURE).layers


def test_keeping_everything_is_the_dense_model() -> None:
    for recipe in ("magnitude,4:4", "magnitude,1"):
        assert trace(network(), PICTURE, recipe) == trace(network(), PICTURE)


def test_a_weight_shared_with_an_embedding_stays_whole() -> None:
    table, out = nn.Embedding(12, 8), nn.Linear(8, 12, bias=False)
    out.weight = table.weight
    zeroed = prune_weights(nn.Sequential(table, nn.Linear(8, 8), out), Magnitude(n=2, m=4))
    assert zeroed.names == ("1",)
    assert torch.count_nonzero(table.weight) == 96


def test_after_the_with_the_weights_are_as_before() -> None:
    module = network()
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), pruned(module, "magnitude,2:4"):  # noqa: PT012
        assert torch.count_nonzero(module[6].weight) == 20
        raise RuntimeError("stop")
    assert all(torch.equal(before[name], weight) for name, weight in module.state_dict().items())


def test_half_precision_weights_are_pruned_by_the_same_rule() -> None:
    torch.manual_seed(2)
    layer = nn.Linear(16, 4).to(torch.bfloat16)
    wide = nn.Linear(16, 4)
    wide.weight.data = layer.weight.detach().float()
    prune_weights(layer, Magnitude(n=2, m=4))
    prune_weights(wide, Magnitude(n=2, m=4))
    assert np.array_equal(layer.weight.detach().float().numpy(), wide.weight.detach().numpy())

"""Generation of networks of which only the shapes are known: published schedules, cascade, mistakes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from accelsim.cli import main
from accelsim.models import network
from accelsim.workload import Attention, Workload

pytestmark = pytest.mark.slow  # without compilation


def steps(workload: Workload) -> list[Attention]:
    """The attentions of the tokens that are generated."""
    return [
        layer for layer in workload.layers if isinstance(layer, Attention) and layer.name.startswith("step ")
    ]


# The artefact's traces (mit-han-lab/spatten, hardware/workloads), summed: rows, keys, values.
TRACES = {"gpt2-small": (4_608, 1_283_172, 255_180), "gpt2-medium": (11_328, 6_143_004, 1_848_398)}


@pytest.mark.parametrize("name", TRACES)
def test_published_schedules_are_those_of_the_traces(name: str) -> None:
    made = network(name, f"spatten,schedule={name}", tokens=992, generate=32)
    layers = steps(made)
    rows, keys, values = TRACES[name]
    assert sum(layer.heads for layer in layers) == rows
    assert sum(layer.heads * layer.keys for layer in layers) == keys
    assert sum(layer.kept for layer in layers) == values
    assert (
        sum(layer.dense().heads * layer.dense().keys for layer in layers)
        == sum(range(993, 1025))
        * {
            "gpt2-small": 144,
            "gpt2-medium": 384,
        }[name]
    )
    assert made.synthetic


def test_the_rows_of_the_small_schedule_that_re_fetch_have_the_published_sums() -> None:
    layers = steps(network("gpt2-small", "spatten,schedule=gpt2-small", tokens=992, generate=32))
    rows = [int(layer.refetch.sum()) if layer.refetch is not None else 0 for layer in layers]
    assert sum(rows) == 323
    assert sum(count * layer.keys for count, layer in zip(rows, layers, strict=True)) == 268_360
    # Bytes as the artefact fetches them: 6 bits are 48 bytes of a vector, LSBs 32.
    vectors = sum(layer.heads * layer.keys + layer.kept for layer in layers)
    assert 48 * vectors + 32 * 268_360 == 82_428_416


def test_bytes_of_the_medium_schedule_are_the_published_ones() -> None:
    layers = steps(network("gpt2-medium", "spatten,schedule=gpt2-medium", tokens=992, generate=32))
    assert {(layer.bits, layer.value_bits) for layer in layers} == {((12, 0), 8)}
    read = sum(96 * layer.heads * layer.keys + 64 * layer.kept for layer in layers)
    assert round(read / 1e6, 1) == 708.0


def test_schedules_scale_with_the_tokens_at_the_end() -> None:
    layers = steps(network("gpt2-small", "spatten,schedule=gpt2-small", tokens=96, generate=4))
    assert [layer.keys for layer in layers[12:24]] == [90, 70, *[20] * 4, *[10] * 6]
    assert {layer.keys for layer in layers[:12]} == {97}
    assert {tuple(layer.values.ravel()) for layer in layers[:12] if layer.values is not None} == {(20,) * 12}


@pytest.mark.parametrize("recipe", ["spatten,tokens=0.5", "spatten,tokens=0.5,scores=sum,recent=1"])
def test_what_a_prompt_dropped_is_not_there_and_a_pass_only_loses(recipe: str) -> None:
    made = network("gpt2-small", recipe, tokens=40, generate=10, batch=2)
    layers = [layer for layer in made.layers if isinstance(layer, Attention)]
    ids = [
        np.broadcast_to(np.arange(layer.keys), (2, layer.keys)) if layer.tokens is None else layer.tokens
        for layer in layers
    ]
    for index, (earlier, later) in enumerate(pairwise(ids)):
        if (index + 1) % 12:
            for before, after in zip(earlier, later, strict=True):
                assert set(after) <= set(before)
    for place in range(12):
        for sample in range(2):
            held = set(ids[place][sample])
            for step in range(1, 11):
                assert set(ids[step * 12 + place][sample]) <= held | set(range(40, 40 + step))
                assert 39 + step in ids[step * 12 + place][sample]


def test_local_values_of_generation_alone_leave_the_prompt_as_it_is() -> None:
    made, whole = (
        network("gpt2-small", f"spatten,tokens=0.5{more}", tokens=40, generate=3)
        for more in (",values=0.3,values_in=generation", "")
    )
    layers = [layer for layer in made.layers if isinstance(layer, Attention)]
    assert [layer.values is None and layer.scores is None for layer in layers[:12]] == [True] * 12
    assert all((layer.values == max(1, int(layer.keys * 0.3))).all() for layer in layers[12:])
    prompt = [layer.keys for layer in whole.layers[: len(whole.layers) // 4] if isinstance(layer, Attention)]
    assert [layer.keys for layer in layers[:12]] == prompt


def test_channels_narrow_the_keys_and_nothing_else() -> None:
    made = network("gpt2-small", "spatten,channels=0.6", tokens=16, generate=2)
    for layer in made.layers:
        if isinstance(layer, Attention):
            assert (layer.dim, layer.dense_dim, layer.value_dim) == (38, 64, 64)
    assert made.dense().layers == network("gpt2-small", tokens=16, generate=2).layers


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("bert-base --generate 2", "generation needs a decoder that predicts tokens, not bert-base"),
        ("gpt2-small --tokens 1000 --generate 32", "1024 positions of gpt2-small"),
        ("gpt2-small --generate 0", "must be >= 1, not 0"),
        ("bert-base --prune spatten,schedule=gpt2-medium", "steps for 12 layers, not for 24"),
        ("gpt2-small --prune spatten,tokens=0*12", "must be above 0 and at most 1, not 0"),
        ("gpt2-small --prune spatten,values=0.5,values_in=prompt", "values_in must be one of"),
        ("bert-base --prune spatten,values=0.5,values_in=generation", "must be all for this network"),
        ("gpt2-small --prune spatten,tokens=0.05", "tokens of the recipe: average_keep must be above 0.08"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, expected: str) -> None:
    assert main(["run", *arguments.split(), "--on", "spatten"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1

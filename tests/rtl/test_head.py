# amaranth: UnusedElaboratable=no
"""The head pipeline beside its smallest preset: golden attention of a head, odd vectors, other shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.golden.attention import keep_count, token_importance
from accelsim.golden.integer_attention import Operands, attend
from accelsim.units.head import PRESETS, Head, Model, cycles
from accelsim.units.topk import TopK
from accelsim_rtl.bench.drive import Drive, replay, scenario, wrong_beats
from accelsim_rtl.entries.head import HeadWork, expected, sources_of, streams
from accelsim_rtl.kit.ports import columns, ports
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

SMALL = replace(PRESETS["eighth"], multipliers=128, tree_outputs=8, row_lines=8, output_lanes=16)
"""Vectors of 16 to 128 elements of 12 bits, rows of up to 64 keys."""


def operands(parameters: Head, queries: int, keys: int, dim: int, seed: int) -> Operands:
    rng, most = np.random.default_rng(seed), (1 << (parameters.operand_bits - 1)) - 1
    query, key, value = (rng.integers(-most, most + 1, (1, rows, dim)) for rows in (queries, keys, keys))
    scale = float(rng.choice([0.3, 1, 3])) / (np.sqrt(dim) * most * most / 3)
    return Operands(query=query, key=key, value=value, score_scale=scale, value_scale=1.0)


@pytest.mark.parametrize(
    ("queries", "keys", "dim", "value_keep", "lsb_bits", "causal"),
    [
        (1, 50, 64, 0.3, 4, False),
        (6, 64, 48, 0.5, 4, False),
        (5, 33, 80, 1.0, 0, True),
        (4, 1, 16, 0.2, 4, False),
        (3, 64, 128, 0.1, 2, True),
    ],
)
def test_a_head_s_streams_are_golden_attention(queries, keys, dim, value_keep, lsb_bits, causal):
    whole = operands(SMALL, queries, keys, dim, seed=keys + dim)
    form = SMALL.attention(lsb_bits=lsb_bits, threshold=0.125)
    visible = [min(keys, row + 1) for row in range(queries)] if causal else [keys] * queries
    valid = (np.arange(keys) < np.array(visible)[:, None])[None]
    right = attend(whole, form, value_keep, valid)
    work = HeadWork(
        query=whole.query[0],
        key=whole.key[0],
        value=whole.value[0],
        score_scale=whole.score_scale,
        values=keep_count(keys, value_keep),
        visible=visible,
        lsb_bits=lsb_bits,
        threshold=round(form.threshold * form.softmax.one),
    )
    transactions = streams(SMALL, work, np.random.default_rng(1), first=0)
    beats, given = expected(SMALL, transactions), sources_of(transactions)

    # The model's beats are those of golden, a row at a time, and the rows are those of the whole head.
    drive = Drive(
        scenario("plain", sources=given, expected=beats),
        columns(ports(find("spatten.head").component(SMALL))),
    )
    replay(Model(SMALL), drive)
    assert not wrong_beats(beats, drive.taken)
    assert drive.cycles == cycles(SMALL, given)
    assert sorted(beats["refetch"]) == np.flatnonzero(right.refetch[0]).tolist()
    kept, outputs = np.zeros((queries, keys), np.bool_), {row: [] for row in range(queries)}
    for payload in beats["requests"]:
        asked = SMALL.value_requests.unpack(payload)
        kept[asked["number"], asked["indices"][: asked["count"]]] = True
    for payload in beats["results"]:
        result = SMALL.product.results.unpack(payload)
        outputs[result["number"]] += result["outputs"]
    assert (kept == right.values_kept[0]).all()
    assert [outputs[row][:dim] for row in range(queries)] == right.outputs[0].tolist()
    sums = token_importance(np.zeros(keys, np.int64), right.probabilities)
    accumulator = SMALL.accumulator
    read = [
        (payload >> lane * accumulator.sum_bits) & ((1 << accumulator.sum_bits) - 1)
        for payload in beats["sums"]
        for lane in range(accumulator.width)
    ]
    assert read[:keys] == sums.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"tree_outputs": 1, "output_lanes": 4, "row_lines": 16, "requests": 1},
        {"multipliers": 16, "tree_outputs": 4, "topk": TopK(width=4), "output_lanes": 1, "store_rows": 1},
    ],
    ids=str,
)
def test_the_pipeline_is_its_model_at_every_shape(changes):
    parameters = replace(PRESETS["tiny"], **changes)
    for verdict in verify(find("spatten.head"), parameters, simulator="icarus", seeds=[5]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])

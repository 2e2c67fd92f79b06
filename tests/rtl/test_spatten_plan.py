# amaranth: UnusedElaboratable=no
"""The machine model of `--on spatten:rtl-eighth` beside the machine that is built."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("amaranth")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.rtl


@pytest.fixture
def bench(monkeypatch):
    """`benchmarks/spatten_rtl.py`."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import spatten_rtl

    yield spatten_rtl
    for name in ("spatten_rtl", "experiment"):
        sys.modules.pop(name, None)


def test_the_model_is_near_the_machine_and_the_file_holds_what_both_take(bench):
    saved = json.loads((BENCHMARKS / "results" / "spatten_rtl.json").read_text())["rows"]
    for row in saved:
        # A start, a way through empty units and the write of the sums, that the model has not.
        assert row["built"] < 1000 or abs(row["model"] / row["built"] - 1) < 0.07
    case = bench.CASES[2]
    clocks, again = bench.built(case)
    assert not again.any()
    (row,) = [
        row for row in saved if (row["heads"], row["keys"], row["values"]) == (2, 64, 64) and not row["least"]
    ]
    assert (clocks, bench.modelled(case, again)) == (row["built"], row["model"])


def test_rows_follow_each_other_without_a_gap(bench):
    few, many = (bench.Case(heads=1, queries=rows, keys=40, dim=64, values=40) for rows in (4, 12))
    # Of each row more the lines of its keys, and the two bursts of its query before all of them.
    assert bench.built(many)[0] - bench.built(few)[0] == 8 * (40 + 2)

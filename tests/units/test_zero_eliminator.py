"""The zero eliminator's model: beats of golden, cycles of `cycles`, whatever source and sink do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.golden.compaction import compact, compact_rows
from accelsim.units.zero_eliminator import Model, ZeroEliminator, cycles, pack_kept, pack_row
from accelsim_rtl.bench.drive import Drive, replay, scenario

COLUMNS = ["rows_ready", "kept_valid", "kept_payload", "waiting"]
BITS = 5


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[list[list[int | None]]]]:
    """Lanes, and groups of rows of elements; None is an element that is not kept."""
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    element = st.one_of(st.none(), st.integers(0, 2**BITS - 1))
    row = st.lists(element, min_size=lanes, max_size=lanes)
    return lanes, draw(st.lists(st.lists(row, min_size=1, max_size=5), min_size=1, max_size=6))


def run(
    parameters: ZeroEliminator, work: list[list[list[int | None]]], idle: str, ready: str
) -> tuple[Drive, list[int], list[int]]:
    """The drive, the payloads offered, and those that golden expects."""
    offered, expected = [], []
    for group in work:
        for row in group:
            elements = [0 if value is None else value for value in row]
            keep = [value is not None for value in row]
            offered.append(pack_row(parameters, elements, keep, last=row is group[-1]))
        keep = np.array([[value is not None for value in row] for row in group])
        rows = compact_rows(np.array([[value or 0 for value in row] for row in group]), keep)
        expected += [
            pack_kept(parameters, list(map(int, row)), last=number == len(rows) - 1)
            for number, row in enumerate(rows)
        ]
    bench = scenario(
        "test",
        sources={"rows": offered},
        expected={"kept": expected},
        idle={"rows": idle},
        ready={"kept": ready},
        patience=100,
    )
    drive = Drive(bench, COLUMNS)
    replay(Model(parameters), drive)
    return drive, offered, expected


@given(
    groups(),
    st.sampled_from(["low_latency", "max_frequency"]),
    st.sampled_from(["0", "01", "0111"]),
    st.sampled_from(["1", "10", "0001", "0" * 30 + "1" * 5]),
)
@settings(deadline=None)
def test_the_model_gives_the_beats_of_golden(
    drawn: tuple[int, list[list[list[int | None]]]], registers: str, idle: str, ready: str
) -> None:
    lanes, work = drawn
    parameters = ZeroEliminator(lanes=lanes, bits=BITS, registers=registers)  # type: ignore[arg-type]
    drive, offered, expected = run(parameters, work, idle, ready)
    assert drive.taken == {"kept": expected}
    if (idle, ready) == ("0", "1"):
        assert drive.cycles == cycles(parameters, offered)
        # Never refused: one row a clock goes in for ever.
        assert all(row[0] for row in drive.rows)


def test_order_and_count_are_kept() -> None:
    generator = np.random.default_rng(0)
    values, keep = generator.integers(0, 100, 1000), generator.random(1000) < 0.4
    kept = compact(values, keep)
    assert list(kept) == [value for value, bit in zip(values, keep, strict=True) if bit]
    rows = compact_rows(values.reshape(-1, 8), keep.reshape(-1, 8))
    assert np.array_equal(np.concatenate(rows), kept)
    assert all(len(row) == 8 for row in rows[:-1])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("lanes", 0, "lanes must be a power of two from 1 to 64, not 0"),
        ("lanes", 12, "lanes must be a power of two from 1 to 64, not 12"),
        ("lanes", 128, "lanes must be a power of two from 1 to 64, not 128"),
        ("bits", 0, "bits must be from 1 to 64, not 0"),
        ("registers", "many", "registers must be low_latency or max_frequency, not 'many'"),
    ],
)
def test_what_cannot_be_built_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ZeroEliminator(**{field: value})  # type: ignore[arg-type]

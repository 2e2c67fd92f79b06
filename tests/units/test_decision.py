"""The decision by its step model: which rows are asked for anew, in what time, and what it refuses."""

from typing import Any

import pytest

from accelsim.units.decision import (
    DECISION_CYCLES,
    KEPT_CYCLES,
    PRESETS,
    Decision,
    Model,
    Request,
    cycles,
    pack_line,
    pack_request,
)

TINY = PRESETS["tiny"]


def run(rows: list[tuple[Request, list[list[int]]]]) -> tuple[list[int], list[int], int]:
    """Kept payloads, tags asked for anew, and the clocks until the last of either."""
    model = Model(TINY)
    requests = [pack_request(TINY, request) for request, _ in rows]
    lines = [
        pack_line(TINY, line, [True] * TINY.lanes, last=line is row[-1]) for _, row in rows for line in row
    ]
    kept, refetch, last = [], [], 0
    for clock in range(200):
        row = model.step(
            {
                "rows_valid": int(bool(requests)),
                "rows_payload": requests[0] if requests else 0,
                "probabilities_valid": int(bool(lines)),
                "probabilities_payload": lines[0] if lines else 0,
                "kept_ready": 1,
                "refetch_ready": 1,
            }
        )
        if requests and row["rows_ready"]:
            requests.pop(0)
        if lines and row["probabilities_ready"]:
            lines.pop(0)
        for stream, found in (("kept", kept), ("refetch", refetch)):
            if row[f"{stream}_valid"]:
                found.append(row[f"{stream}_payload"])
                last = clock + 1
    return kept, refetch, last


@pytest.mark.parametrize(
    ("line", "threshold", "whole", "dropped"),
    [
        ([4, 4], 5, False, True),
        ([4, 5], 5, False, False),
        ([4, 4], 5, True, False),
        ([0, 0], 0, False, False),
        ([14, 0], 15, False, True),
    ],
)
def test_a_row_below_the_threshold_is_asked_for_anew(
    line: list[int], threshold: int, whole: bool, dropped: bool
) -> None:
    kept, refetch, _ = run([(Request(tag=9, threshold=threshold, whole=whole), [line])])
    assert refetch == ([9] if dropped else [])
    assert len(kept) == (not dropped)


def test_a_decision_takes_its_cycles_whatever_the_decision() -> None:
    flat, peaked = [[1, 1]] * 3 + [[1, 0]], [[1, 1]] * 3 + [[7, 1]]
    # The request takes clock 0, the lines the next four.
    for row, dropped, behind in ((flat, True, 1), (peaked, False, 3 + KEPT_CYCLES)):
        rows = [(Request(tag=1, threshold=5), row)]
        assert run(rows)[2] == cycles(TINY, [(4, dropped)]) == 4 + DECISION_CYCLES + behind + 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lanes": 3}, "lanes must be a power of two"),
        ({"row_lines": 5}, "row_lines must be a power of two from 1 to 4096, not 5"),
        ({"row_lines": 1, "store_rows": 1}, "row_lines x store_rows must be 2 or more"),
        ({"tag_bits": 0}, "tag_bits must be from 1 to 128, not 0"),
    ],
)
def test_a_decision_that_cannot_be_built_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Decision(**changes)

"""Which points are visited: all of a grid, different ones of a draw, and what a guided search learns."""

import pytest

from accelsim.sweep import SpaceError, read_space
from accelsim.sweep.points import drawn, grid, search_of

ARRAYS = """
models: [gemm:16x16x16, gemm:8x8x8]
recipes: [dense, 2:4]
machines:
- on: systolic
  set: {rows: [4, 8], cols: {low: 4, high: 16, steps: 3, log: true, integer: true}}
- sat:tiny
"""


def test_a_grid_has_every_combination_once(written) -> None:
    points = list(grid(read_space(written(ARRAYS))))
    assert len(points) == len(set(points)) == 2 * 2 * (2 * 3 + 1)
    assert dict(points[1].settings) == {"rows": "4", "cols": "8"}
    assert str(points[1]) == "gemm:16x16x16 dense systolic rows=4 cols=8"


def test_a_grid_beyond_all_bounds_is_refused_before_it_is_made(written) -> None:
    steps = "{low: 1, high: 1e9, steps: 100000}"
    text = f"models: [a]\nmachines: [{{on: systolic, set: {{rows: {steps}, cols: {steps}}}}}]\n"
    with pytest.raises(SpaceError, match="at most 1000000 points, not 10000000000"):
        list(grid(read_space(written(text))))


def test_a_draw_is_of_different_points_and_repeats_with_its_seed(written) -> None:
    text = ARRAYS + "search: {kind: random, points: 9}\nseed: %d\n"
    first, again, other = (drawn(read_space(written(text % seed))) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 9
    assert set(first) <= set(grid(read_space(written(ARRAYS))))


def test_a_draw_of_more_than_there_is_is_all_there_is(written) -> None:
    points = drawn(read_space(written(ARRAYS + "search: {kind: random, points: 2000}\n")))
    assert len(points) == 28


def test_a_guided_search_goes_where_the_objective_is_best(written) -> None:
    text = """
models: [gemm:16x16x16]
machines: [{on: systolic, set: {rows: {low: 1, high: 1000, integer: true}}}]
objectives: {seconds: min}
search: {kind: optuna, trials: 60, batch: 4}
"""

    def asked() -> list[int]:
        search, rows = search_of(read_space(written(text))), []
        while points := search.ask():
            found = [int(dict(point.settings)["rows"]) for point in points]
            # A refused point teaches nothing, and does not end the search.
            search.tell([None if row % 7 == 0 else {"seconds": abs(row - 700)} for row in found])
            rows += found
        return rows

    rows = asked()
    assert rows == asked()
    assert len(rows) == 60
    assert sum(abs(row - 700) for row in rows[-20:]) < sum(abs(row - 700) for row in rows[:20])


def test_whole_numbers_stay_inside_their_bounds_and_are_drawn_alike(written) -> None:
    text = (
        "models: [a]\nmachines: [{on: systolic, set: {rows: {low: 1.5, high: 4.5, integer: true}, "
        "cols: {low: 1, high: 100000, integer: true}}}]\nsearch: {kind: random, points: 600}\n"
    )
    rows = [dict(point.settings)["rows"] for point in drawn(read_space(written(text)))]
    assert set(rows) == {"2", "3", "4"}
    assert min(map(rows.count, "234")) > 140

"""The transposing tile by its step model."""

import pytest

from accelsim.units.step import pack
from accelsim.units.transpose import Model, Transpose, cycles


def test_columns_follow_their_tile_and_the_next_one_enters_meanwhile():
    parameters = Transpose(side=4, value_bits=8)
    model = Model(parameters)
    rows = [
        pack([16 * tile + 4 * row + place for place in range(4)], 8) for tile in range(3) for row in range(4)
    ]
    taken, clock = [], 0
    while len(taken) < len(rows):
        offered = rows[clock] if clock < len(rows) else 0
        inputs = {"rows_valid": int(clock < len(rows)), "rows_payload": offered, "columns_ready": 1}
        row = model.step(inputs)
        assert row["rows_ready"]
        if row["columns_valid"]:
            taken.append(row["columns_payload"])
        clock += 1
    assert clock == cycles(parameters, 3) == 16
    assert taken[5] == pack([16 + 1 + 4 * place for place in range(4)], 8)


@pytest.mark.parametrize(
    ("changes", "said"), [({"side": 6}, "power of two"), ({"value_bits": 0}, "from 1 to 64")]
)
def test_parameters_that_mean_nothing_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Transpose(**changes)

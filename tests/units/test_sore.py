"""SORE by its step model: what it keeps, how long it takes, and what it refuses."""

import pytest

from accelsim.units.sore import Model, Pair, Sore, cycles, pack_beat, pack_groups


def run(parameters: Sore, groups: list[list[int]], clocks: int) -> list[dict[str, int]]:
    """Rows of one lane's groups, offered without a gap to a sink that is always ready."""
    beats = [
        pack_beat(parameters, [value], last=place == len(group) - 1)
        for group in groups
        for place, value in enumerate(group)
    ]
    model, rows = Model(parameters), []
    for _ in range(clocks):
        inputs = {"weights_valid": int(bool(beats)), "weights_payload": beats[0] if beats else 0}
        rows.append(model.step(inputs | {"kept_ready": 1}))
        if beats and rows[-1]["weights_ready"]:
            beats.pop(0)
    return rows


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (2, 8), (8, 32), (32, 32)])
def test_a_group_is_offered_m_clocks_after_its_first_number_was_taken(n, m):
    rows = run(Sore(n=n, m=m, lanes=1), [list(range(m))] * 3, clocks=3 * m + 2)
    assert [clock for clock, row in enumerate(rows) if row["kept_valid"]] == [m, 2 * m, 3 * m]
    assert all(row["weights_ready"] for row in rows)
    assert cycles(3 * m) == 3 * m + 1


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ([1, 3, 2, 0], [(3, 1), (2, 2)]),
        ([2, 2, 2, 2], [(2, 0), (2, 1)]),
        ([1, 2, 3, 4], [(3, 2), (4, 3)]),
        ([1, 0x8001, 1, 0x8002], [(1, 0), (0x8002, 3)]),
        ([0, 0x8000, 0, 0x8000], [(0, 0), (0x8000, 1)]),
        ([0x7C00, 0xFE00, 0x3C00, 0x7C00], [(0x7C00, 0), (0xFE00, 1)]),
        ([5], [(5, 0), (0, 1)]),
        ([0, 7, 6], [(7, 1), (6, 2)]),
    ],
)
def test_the_two_strongest_stay_in_the_order_of_their_indices(group, kept):
    parameters = Sore(n=2, m=4, lanes=1)
    rows = run(parameters, [group], clocks=len(group) + 1)
    assert rows[-1]["kept_valid"]
    assert rows[-1]["kept_payload"] == pack_groups(parameters, [[Pair(*pair) for pair in kept]])


def test_a_reset_drops_the_open_and_the_waiting_group():
    parameters = Sore(n=2, m=4, lanes=1)
    model = Model(parameters)
    beat = pack_beat(parameters, [9], last=False)
    for _ in range(6):
        row = model.step({"weights_valid": 1, "weights_payload": beat, "kept_ready": 0})
    assert (row["kept_valid"], row["position"]) == (1, 1)
    model.reset()
    row = model.step({"weights_valid": 0, "weights_payload": 0, "kept_ready": 0})
    assert (row["kept_valid"], row["position"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"m": 33}, "m must be from 2 to 32, not 33"),
        ({"m": 1, "n": 1}, "m must be from 2 to 32, not 1"),
        ({"m": 4, "n": 5}, "n must be from 1 to 4, not 5"),
        ({"n": 0}, "n must be from 1 to 8, not 0"),
        ({"lanes": 0}, "lanes must be from 1 to 256, not 0"),
        ({"value_bits": 1}, "value_bits must be from 2 to 64, not 1"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Sore(**changes)

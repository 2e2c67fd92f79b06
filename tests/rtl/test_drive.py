"""The bench itself: what it offers and takes, and that it sees each kind of fault. Needs no simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from accelsim_rtl.bench.drive import DRAIN, FLOOD_BEATS, Drive, differences, replay, scenario, wrong_beats
from accelsim_rtl.bench.memory import Memory, memory

COLUMNS = ["in_ready", "out_valid", "out_payload"]
WORK = list(range(10, 30))


class Register:
    """One register between two streams: the simplest unit. A fault is a function that changes its row."""

    def __init__(self, fault: Callable[[dict[str, int], int], dict[str, int]] = lambda row, clock: row):
        self.fault = fault
        self.clock = 0
        self.reset()

    def reset(self) -> None:
        self.held: int | None = None

    def step(self, inputs: Mapping[str, int]) -> dict[str, int]:
        ready = self.held is None or inputs["out_ready"]
        row = {"in_ready": int(ready), "out_valid": int(self.held is not None), "out_payload": self.held or 0}
        row = self.fault(row, self.clock)
        self.clock += 1
        if row["out_valid"] and inputs["out_ready"]:
            self.held = None
        if row["in_ready"] and inputs["in_valid"]:
            self.held = inputs["in_payload"]
        return row


def driven(model: Any, **settings: Any) -> Drive:
    drive = Drive(scenario("test", sources={"in": WORK}, expected={"out": WORK}, **settings), COLUMNS)
    replay(model, drive)
    return drive


def test_a_register_takes_one_clock_more_than_it_has_beats() -> None:
    drive = driven(Register())
    assert drive.taken == {"out": WORK}
    assert drive.cycles == len(WORK) + 1
    assert len(drive.rows) == len(WORK) + 1 + DRAIN


@pytest.mark.parametrize("idle", ["0", "01", "0001", "111110"])
@pytest.mark.parametrize("ready", ["1", "10", "0111", "000001"])
def test_every_beat_arrives_in_order_whatever_source_and_sink_do(idle: str, ready: str) -> None:
    drive = driven(Register(), idle={"in": idle}, ready={"out": ready})
    assert wrong_beats({"out": WORK}, drive.taken) == []
    assert drive.cycles is not None
    assert drive.cycles >= len(WORK) + 1


def test_a_source_holds_what_it_offered_until_it_is_taken() -> None:
    drive = Drive(
        scenario("test", sources={"in": [7, 8]}, expected={"out": [7, 8]}, idle={"in": "01"}), COLUMNS
    )
    offers = []
    for ready in (0, 0, 0, 1, 1, 1):
        inputs = drive.inputs()
        offers.append((inputs["in_valid"], inputs["in_payload"] if inputs["in_valid"] else None))
        drive.sampled({"in_ready": ready, "out_valid": 0, "out_payload": 0})
    assert offers == [(1, 7), (1, 7), (1, 7), (1, 7), (1, 8), (0, None)]


def test_after_a_reset_in_mid_stream_the_work_begins_anew() -> None:
    drive = driven(Register(), resets=[5, 9])
    assert drive.taken == {"out": WORK}
    assert drive.cycles == len(WORK) + 1
    assert len(drive.rows) == 10 + len(WORK) + 1 + DRAIN


def test_a_unit_that_never_stops_is_given_up() -> None:
    drive = driven(Register(lambda row, clock: {**row, "out_valid": 1, "in_ready": int(clock < 5)}))
    assert len(drive.taken["out"]) == len(WORK) + FLOOD_BEATS + 1
    assert wrong_beats({"out": WORK}, drive.taken)


def test_a_unit_that_hangs_is_given_up_after_its_patience() -> None:
    drive = driven(Register(lambda row, clock: row | {"in_ready": 0}), patience=50)
    assert drive.cycles is None
    assert len(drive.rows) == 50
    assert wrong_beats({"out": WORK}, drive.taken) == ["out gave 0 beats, not 20"]


def late(row: dict[str, int], clock: int) -> dict[str, int]:
    return row | {"out_valid": 0, "in_ready": 0} if clock == 4 else row


def wrong(row: dict[str, int], clock: int) -> dict[str, int]:
    return row | {"out_payload": row["out_payload"] ^ 1} if clock == 4 else row


def unknown(row: dict[str, int], clock: int) -> dict[str, Any]:
    return row | {"out_payload": "x"} if clock == 4 else row


def refusing(row: dict[str, int], clock: int) -> dict[str, int]:
    return row | {"in_ready": 0} if clock == 4 else row


@pytest.mark.parametrize("fault", [late, wrong, unknown, refusing])
def test_a_fault_in_one_row_is_seen_in_that_row(fault: Any) -> None:
    right, faulty = driven(Register()), driven(Register(fault))
    lines = differences(COLUMNS, right.rows, faulty.rows)
    assert lines[0].startswith("clock 4: ")


def test_a_late_row_costs_a_cycle() -> None:
    faulty = driven(Register(late))
    assert faulty.cycles == len(WORK) + 2
    assert wrong_beats({"out": WORK}, faulty.taken) == []


def test_a_payload_is_compared_only_where_it_is_valid() -> None:
    right = driven(Register(), idle={"in": "01"})
    other = driven(
        Register(lambda row, clock: row if row["out_valid"] else row | {"out_payload": 99}), idle={"in": "01"}
    )
    assert differences(COLUMNS, right.rows, other.rows) == []


class Withdrawing(Register):
    """Offers a beat, and offers nothing in the next clock although it was not taken; then again."""

    def step(self, inputs: Mapping[str, int]) -> dict[str, int]:
        row = super().step(inputs)
        return row | {"out_valid": 0, "in_ready": 0} if self.clock == 6 else row


class Changing(Register):
    """Another payload while it waits."""

    def step(self, inputs: Mapping[str, int]) -> dict[str, int]:
        row = super().step(inputs)
        return row | {"out_payload": row["out_payload"] + self.clock % 2}


def test_an_offer_that_does_not_stay_is_seen_though_model_and_unit_agree() -> None:
    waiting = {"ready": {"out": "0001"}}
    assert driven(Register(), **waiting).broken == []
    assert driven(Withdrawing(), **waiting).broken == ["clock 5: out offered 0xb, then None"]
    assert "clock 2: out offered 0xa, then 0xb" in driven(Changing(), **waiting).broken


class Dropping(Register):
    def step(self, inputs: Mapping[str, int]) -> dict[str, int]:
        row = super().step(inputs)
        if self.held == WORK[3]:
            self.held = None
        return row


class Doubling(Register):
    def step(self, inputs: Mapping[str, int]) -> dict[str, int]:
        held = self.held
        row = super().step(inputs)
        if held == WORK[-1] and row["out_valid"] and self.clock < len(WORK) + 4:
            self.held = held
        return row


def test_a_dropped_beat_and_a_beat_too_many_are_seen() -> None:
    assert "out gave 19 beats, not 20" in wrong_beats({"out": WORK}, driven(Dropping(), patience=50).taken)
    assert "out gave 23 beats, not 20" in wrong_beats({"out": WORK}, driven(Doubling()).taken)


def test_a_run_that_is_cut_short_is_a_difference() -> None:
    rows = driven(Register()).rows
    assert differences(COLUMNS, rows, rows[:-1]) == [f"{len(rows) - 1} clocks, not {len(rows)}"]


def test_what_is_unknown_where_it_is_valid_is_a_complaint_of_the_memory() -> None:
    description = memory(["m"], address_bits=8, data_bits=32, id_bits=1)
    behind = Memory(description, ["m_aw_valid", "m_aw_payload", "m_w_valid", "m_w_payload", "m_b_ready"])
    behind.inputs(0)
    row = {"m_aw_valid": 1, "m_aw_payload": 0, "m_w_valid": 1, "m_w_payload": "x", "m_b_ready": 1}
    assert behind.sampled(0, row)
    assert behind.broken[0] == "clock 0: m_w_payload is unknown where it is valid"

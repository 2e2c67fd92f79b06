"""The cycle-by-cycle reference against plans worked out by hand from `docs/engine.md`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accelsim.dram import DDR4_2400, Cache, Memory
from accelsim.plan import Buffer, Layout, Plan, Stage
from machine.reference import CAUSES, Deadlock, Result, reference

# One channel, a clock to a cycle. A first read is accepted and its row opened in 1, read in 2, done in 5.
PLAIN = replace(
    DDR4_2400,
    device="plain",
    clock_ps=1000,
    burst_bytes=8,
    CL=2,
    CWL=1,
    tREFI=10**6,
    tCS=0,
    **dict.fromkeys(("BL", "tRCDRD", "tRCDWR", "tRP", "tRAS", "tRC", "tWR", "tRTP", "tRFC", "tFAW"), 1),
    **dict.fromkeys(("tCCD_S", "tCCD_L", "tRRD_S", "tRRD_L", "tWTR_S", "tWTR_L"), 1),
)
LINES = Cache(bytes=8, line_bytes=8, ways=1, bandwidth=8e9, hit_latency=2e-9, miss_latency=4e-9)


def memory(cache: Cache | None = None, clock_hz: float = 1e9, **changes: Any) -> Memory:
    """The plain memory with some parameters changed."""
    return Memory(dram=replace(PLAIN, **changes), clock_hz=clock_hz, cache=cache)


def rows(
    stages: list[Stage], buffers: tuple[Buffer, ...] = (), lanes: int = 1, sites: int = 1, **columns: Any
) -> Plan:
    """A plan whose named columns are given as lists; `busy` says how many jobs there are."""
    layout = Layout(stages=tuple(stages), buffers=buffers, lanes=lanes, sites=sites)
    plan = Plan(layout=layout, jobs=len(columns["busy"]))
    for name, values in columns.items():
        getattr(plan, name)[:] = values
    plan.check()
    return plan


def stalls(result: Result, stage: int) -> dict[str, int]:
    """The causes for which a stage stalled at all."""
    return {cause: n for cause, n in zip(CAUSES, result.stalled[stage], strict=True) if n}


def column(times: list[list[int]], stage: int) -> list[int]:
    """The times of one stage, by job."""
    return [row[stage] for row in times]


A, B, C = Stage(name="a"), Stage(name="b"), Stage(name="c")


def test_one_stage_runs_its_jobs_back_to_back_and_drains_once() -> None:
    result = reference(rows([A], busy=[[4], [4], [4]], drain=[[2], [2], [2]]), None)
    assert (result.start, result.free, result.end) == (
        [[0], [4], [8]],
        [[4], [8], [12]],
        [[6], [10], [14]],
    )
    assert (result.cycles, result.busy, result.idle, stalls(result, 0)) == (14, [12], [2], {})


def test_lag_lets_the_next_stage_start_early_but_not_be_free_before_the_stage_before_has_ended() -> None:
    # Job 0: a is 0..5, b may start 2 after a, is done with its own cycle at 3 and waits for a until 5.
    result = reference(rows([A, B], busy=[[5, 1], [5, 1]], lag=[[2, 0], [2, 0]]), None)
    assert result.start == [[0, 2], [5, 7]]
    assert result.free == result.end == [[5, 5], [10, 10]]
    assert stalls(result, 0) == {}
    assert stalls(result, 1) == {"input": 2 + 2, "upstream": 2 + 2}
    assert (result.busy, result.idle) == ([10, 2], [0, 0])


def test_lag_counts_from_the_start_even_when_the_stage_before_has_ended() -> None:
    result = reference(rows([A, B], busy=[[1, 1]], lag=[[6, 0]]), None)
    assert (result.end[0][0], result.start[0][1], result.cycles) == (1, 6, 7)
    assert (result.idle, stalls(result, 1)) == ([6, 0], {"input": 6})


def test_whole_waits_for_the_end_of_the_stage_before() -> None:
    result = reference(
        rows([A, B], busy=[[5, 1], [5, 1]], lag=[[2, 0], [2, 0]], drain=[[1, 0], [0, 0]], whole=[[0, 1]] * 2),
        None,
    )
    assert result.end[0][0] == 6
    assert result.start == [[0, 6], [5, 10]]
    assert stalls(result, 1) == {"input": 6 + 3}


def test_a_full_buffer_blocks_the_taker_until_the_giver_ends() -> None:
    room = Buffer(name="room", capacity=1, take="a", give="b")
    result = reference(
        rows([A, B], (room,), busy=[[1, 3], [1, 3]], whole=[[0, 1]] * 2, take=[[1], [1]], give=[[1], [1]]),
        None,
    )
    assert result.start == [[0, 1], [4, 5]]
    assert (result.cycles, stalls(result, 0), stalls(result, 1)) == (8, {"buffer": 3}, {"input": 2})
    # Stage a: 2 busy, 3 stalled, and nothing left to do from 5 to 8. Order holds for job 1 in b at 4.
    assert (result.busy, result.idle) == ([2, 6], [3, 0])


def test_a_buffer_is_given_back_at_the_end_and_not_when_the_unit_is_free() -> None:
    room = Buffer(name="room", capacity=1, take="a", give="a")
    result = reference(
        rows([A], (room,), busy=[[1], [1]], drain=[[4], [0]], take=[[1]] * 2, give=[[1]] * 2), None
    )
    assert (result.start, result.end, stalls(result, 0)) == ([[0], [5]], [[5], [6]], {"buffer": 4})


def test_a_later_job_of_the_group_gives_back_what_an_earlier_one_took() -> None:
    room = Buffer(name="room", capacity=3, take="a", give="b")
    plan = rows([A, B], (room,), busy=[[1, 2]] * 3, take=[[2], [1], [1]], give=[[0], [3], [1]])
    result = reference(plan, None)
    # b starts with a (no lag). Job 0 gives nothing at 2, job 1 gives all three at 4.
    assert result.start == [[0, 0], [1, 2], [4, 4]]
    assert stalls(result, 0) == {"buffer": 2}


def test_ends_keep_the_order_of_the_jobs() -> None:
    result = reference(rows([A], busy=[[1], [1]], drain=[[5], [0]]), None)
    assert (result.free, result.end) == ([[1], [2]], [[6], [6]])


@pytest.mark.parametrize(
    ("priorities", "starts"),
    [((1, 0), [[0, 2], [4, 6]]), ((0, 1), [[0, 4], [2, 6]]), ((0, 0), [[0, 2], [4, 6]])],
)
def test_a_shared_unit_goes_to_the_lowest_priority_then_to_the_lowest_station(priorities, starts) -> None:
    stages = [
        Stage(name=name, unit="u", scope="machine", priority=p)
        for name, p in zip("ab", priorities, strict=True)
    ]
    result = reference(rows(stages, lanes=2, busy=[[2, 2], [2, 2]], group=[0, 1]), None)
    assert (result.start, result.lane, result.cycles) == (starts, [0, 1], 8)
    assert result.busy == [4, 4]
    assert stalls(result, 0)["unit"] == starts[1][0]


def test_lanes_of_one_site_share_its_unit() -> None:
    stage = Stage(name="a", scope="site")
    result = reference(rows([stage], lanes=3, sites=2, busy=[[2], [2], [2]], group=[0, 3, 4]), None)
    assert (result.start, result.lane) == ([[0], [0], [2]], [0, 1, 2])
    # Lane 1 is idle from 2 to 4, lane 0 too; lane 2 waits for the unit from 0 to 2.
    assert (result.busy, stalls(result, 0), result.idle) == ([6], {"unit": 2}, [4])


def test_a_skipped_operation_passes_in_order_and_ends_with_the_stage_before() -> None:
    plan = rows([A, B, C], busy=[[4, 9, 1]], lag=[[1, 9, 0]], drain=[[0, 9, 0]], skip=[[0, 1, 0]])
    result = reference(plan, None)
    assert (result.start, result.free, result.end) == ([[0, 1, 1]], [[4, 1, 4]], [[4, 4, 4]])
    assert (result.busy, stalls(result, 2)) == ([4, 0, 1], {"input": 1, "upstream": 2})


def test_a_skipped_operation_with_a_shared_take_waits_for_room_but_not_for_the_unit() -> None:
    stages = [Stage(name="a", scope="machine"), B]
    room = Buffer(name="room", capacity=1, take="a", give="b", scope="machine")
    # Lane 0 skips a and holds the room in b from 0 to 3. Lane 1 takes nothing and holds the unit of a
    # from 0 to 9. Lane 2 skips a, and gets the room at 3 although the unit is taken.
    plan = rows(
        stages,
        (room,),
        lanes=3,
        busy=[[0, 3], [9, 0], [0, 1]],
        skip=[[1, 0], [0, 0], [1, 0]],
        take=[[1], [0], [1]],
        give=[[1], [0], [1]],
        group=[0, 1, 2],
    )
    result = reference(plan, None)
    assert (result.start, result.cycles) == ([[0, 0], [0, 0], [3, 3]], 9)
    assert stalls(result, 0) == {"buffer": 3}


def test_a_buffer_that_lanes_share_makes_even_a_unit_of_one_lane_arbitrated() -> None:
    # Group 0 waits for its grant while group 1 is given to lane 1; only then does either start.
    room = Buffer(name="room", capacity=1, take="a", give="a", scope="machine")
    stage = Stage(name="a", scope="site")
    plan = rows(
        [stage], (room,), lanes=2, sites=2, busy=[[0], [0]], take=[[1]] * 2, give=[[1]] * 2, group=[0, 1]
    )
    result = reference(plan, None)
    assert (result.lane, result.cycles) == ([0, 1], 0)


def test_groups_without_time_all_go_to_the_lowest_lane() -> None:
    result = reference(rows([A, B], lanes=3, busy=[[0, 0]] * 4, group=[0, 1, 1, 2]), None)
    assert (result.lane, result.cycles, result.idle) == ([0, 0, 0, 0], 0, [0, 0])


def test_the_next_group_goes_to_the_first_lane_that_is_free() -> None:
    result = reference(rows([A], lanes=2, busy=[[3], [1], [1], [1]], group=[0, 1, 2, 3]), None)
    assert (result.lane, result.start) == ([0, 1, 1, 1], [[0], [0], [1], [2]])


def test_a_wait_is_put_to_the_last_condition_to_come_true() -> None:
    # Job 1 of b waits for job 0 of b to leave (3), for its input (6) and for job 0 of c (1 + 3 + 4 = 8).
    plan = rows([A, B, C], busy=[[1, 3, 4], [1, 1, 1]], lag=[[0, 0, 0], [5, 0, 0]], whole=[[0, 1, 1]] * 2)
    plan.whole[1, 1] = False
    plan.add_after("b", 1, "c", 0)
    result = reference(plan, None)
    assert result.start == [[0, 1, 4], [1, 8, 9]]
    assert stalls(result, 1) == {"input": 1, "after": 4}


def memory_plan(count: int, *, lanes: int = 1, write: bool = False, **run: int) -> Plan:
    """One memory stage and a stage behind it that takes one cycle, with lag 1; one job on every lane."""
    plan = rows(
        [Stage(name="load", port="p", write=write), B],
        lanes=lanes,
        busy=[[0, 1]] * lanes,
        lag=[[1, 0]] * lanes,
        group=list(range(lanes)),
    )
    plan.add_runs("load", list(range(lanes)), run.get("address", 0), count, run.get("stride", 8))
    return plan


def test_reads_of_one_row_follow_each_other_and_are_back_after_the_latency() -> None:
    # Accepted in clocks 1, 2, 3; read in 2, 3, 4; done in 5, 6, 7.
    result = reference(memory_plan(3), memory())
    assert (result.start, result.free, result.end) == ([[0, 6]], [[3, 7]], [[7, 7]])
    assert (stalls(result, 0), stalls(result, 1)) == ({"memory": 3}, {"input": 6})
    counts = result.traffic
    assert (counts["read_bursts"], counts["row_hits"], counts["row_misses"]) == (3, 2, 1)
    # Data could have come in clock 3 (1 + CL) and came in 4; then the pins are never free.
    assert (counts["clocks"], counts["data"], counts["lost to activates"]) == (7, 3, 1)
    assert (counts["lost to bus"], counts["lost to conflicts"], counts["refused"]) == (0, 0, 0)


def test_a_machine_half_as_fast_sees_every_second_clock() -> None:
    # The same clocks; 3 and 7 are over when cycles 2 and 4 begin.
    result = reference(memory_plan(3), memory(clock_hz=5e8))
    assert (result.start, result.free, result.end) == ([[0, 4]], [[2, 5]], [[4, 5]])


def test_a_channel_has_no_more_under_way_than_its_outstanding_limit() -> None:
    # Accepted in 1; done in 5. The next in 6, read at once, done in 9; the last in 10, done in 13.
    result = reference(memory_plan(3), memory(outstanding=1))
    assert (result.free[0][0], result.end[0][0], result.traffic["refused"]) == (10, 13, 7)


def test_a_channel_takes_the_burst_that_is_on_offer_for_the_longest() -> None:
    # Port 0 in clock 1, port 1 (on offer since then) in 2, port 0 in 3, port 1 in 4; read in 2 to 5.
    result = reference(memory_plan(2, lanes=2), memory())
    assert (column(result.free, 0), column(result.end, 0)) == ([3, 4], [7, 8])


def test_operations_of_one_port_queue_by_station_number_when_they_start_together() -> None:
    # a of lane 1 (station 2) is granted first, but b of lane 0 (station 1) is queued first.
    stages = [Stage(name=name, port="p", scope="machine") for name in "ab"]
    plan = rows(stages, busy=[[0, 0]] * 2, lanes=2, group=[0, 1], skip=[[1, 0], [0, 1]])
    plan.add_runs("b", 0, 0, 2, 8)
    plan.add_runs("a", 1, 0, 2, 8)
    assert [row[stage] for row, stage in zip(reference(plan, memory()).free, (1, 0), strict=True)] == [2, 4]


def test_channels_are_queues_of_their_own() -> None:
    result = reference(memory_plan(4), memory(channels=2))
    assert (result.free[0][0], result.end[0][0]) == (2, 6)
    # Stride 16 leaves channel 1 without work.
    assert reference(memory_plan(4, stride=16), memory(channels=2)).free[0][0] == 4


def test_a_hit_waits_for_the_read_that_brings_its_line() -> None:
    # The line is read in 2, done in 5, and there in 9; the hit of clock 2 would have been back in 4.
    result = reference(memory_plan(2, stride=0), memory(LINES))
    assert (result.end[0][0], result.traffic["read_bursts"], result.traffic["cache_hits"]) == (9, 1, 1)


def test_the_cache_replaces_the_least_recently_read_line_and_writes_leave_it_alone() -> None:
    # Read 0, 1; write 0; read 2 (replaces 0: a write does not count); 1 hits; 0 must come again.
    plan = rows(
        [Stage(name="load", port="p"), Stage(name="store", port="p", write=True)],
        busy=[[0, 0]] * 2,
        whole=[[0, 1]] * 2,
    )
    plan.add_runs("load", 0, [0, 8], 1, 0)
    plan.add_runs("store", 0, 0, 1, 0)
    plan.add_runs("load", 1, [16, 8, 0], 1, 0)
    plan.add_after("load", 1, "store", 0)
    counts = reference(plan, memory(replace(LINES, bytes=16, ways=2))).traffic
    assert (counts["read_bursts"], counts["write_bursts"], counts["cache_hits"]) == (4, 1, 1)


def test_without_a_memory_every_burst_is_back_at_once() -> None:
    result = reference(memory_plan(5), None)
    assert (result.start, result.end, stalls(result, 0)) == ([[0, 1]], [[0, 2]], {})
    assert result.traffic == {}


def test_a_wait_for_a_later_job_is_a_deadlock() -> None:
    plan = rows([A, B], busy=[[1, 1], [1, 1]])
    plan.add_after("b", 0, "b", 1)
    with pytest.raises(Deadlock) as caught:
        reference(plan, None)
    assert (caught.value.job, caught.value.stage, caught.value.cause) == (0, "b", "after")


def test_room_that_only_a_later_job_would_give_is_a_deadlock() -> None:
    room = Buffer(name="room", capacity=2, take="a", give="a")
    plan = rows([A], (room,), busy=[[1], [1], [1]], take=[[1], [1], [1]], give=[[0], [0], [3]])
    with pytest.raises(Deadlock) as caught:
        reference(plan, None)
    assert (caught.value.job, caught.value.stage, caught.value.cause) == (2, "a", "buffer")

"""The cycle-by-cycle reference against plans worked out by hand from `docs/engine.md`."""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.dram.device import Ticks
from accelsim.plan import Buffer, Layout, Plan, Stage
from machine.reference import CAUSES, Deadlock, Result, reference

# One channel, one burst a cycle, back the cycle after it was accepted.
PLAIN = Ticks(
    channels=1,
    interleave=8,
    burst_bytes=8,
    outstanding=16,
    accepts=1,
    ways=1,
    ticks=1,
    service=1,
    latency=0,
    refresh_interval=0,
    refresh_ticks=0,
    sets=0,
    assoc=1,
    cache_service=1,
    cache_latency=0,
)


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


def test_a_read_queues_at_its_way_and_is_back_after_the_latency() -> None:
    # Accepted in cycles 0, 1, 2; served from 0, 2, 4; done at 7, 9, 11.
    result = reference(memory_plan(3), PLAIN._replace(service=2, latency=5))
    assert (result.start, result.free, result.end) == ([[0, 8]], [[3, 11]], [[11, 11]])
    assert (stalls(result, 0), stalls(result, 1)) == ({"memory": 3}, {"input": 8, "upstream": 2})
    assert (result.read_bursts, result.write_bursts, result.cache_hits) == (3, 0, 0)
    assert result.idle == [8, 0]


def test_a_channel_accepts_no_more_than_its_outstanding_limit() -> None:
    # One at a time: accepted at 0, 7, 14 (a burst that is back makes room in the same cycle).
    result = reference(memory_plan(3), PLAIN._replace(service=2, latency=5, outstanding=1))
    assert (result.start, result.free, result.end) == ([[0, 8]], [[15, 21]], [[21, 21]])


def test_a_channel_takes_the_burst_that_is_on_offer_for_the_longest() -> None:
    # Round 0: both since 0, port 0 first. Round 1: port 1 (since 0) before port 0 (since 1). And so on.
    result = reference(memory_plan(2, lanes=2), PLAIN)
    assert column(result.free, 0) == [3, 4]
    assert column(result.end, 0) == [3, 4]


def test_operations_of_one_port_queue_by_station_number_when_they_start_together() -> None:
    # Both start in cycle 0: a of lane 1 (station 2) is granted first, as its unit has the lower number,
    # but the bursts of b of lane 0 (station 1) come first: accepted in 0 and 1, those of a in 2 and 3.
    stages = [Stage(name=name, port="p", scope="machine") for name in "ab"]
    plan = rows(stages, busy=[[0, 0]] * 2, lanes=2, group=[0, 1], skip=[[1, 0], [0, 1]])
    plan.add_runs("b", 0, 0, 2, 8)
    plan.add_runs("a", 1, 0, 2, 8)
    result = reference(plan, PLAIN)
    # The skipped b of lane 1 starts when the first burst of a is back, in cycle 3.
    assert result.free == [[0, 2], [4, 3]]
    assert result.end == [[0, 2], [4, 4]]


def test_channels_are_queues_of_their_own() -> None:
    # Two channels: bursts 0, 2 on channel 0 and 1, 3 on channel 1, two accepted in each cycle.
    result = reference(memory_plan(4), PLAIN._replace(channels=2))
    assert (result.free[0][0], result.end[0][0]) == (2, 2)
    # Stride 16 leaves channel 1 without work.
    assert reference(memory_plan(4, stride=16), PLAIN._replace(channels=2)).free[0][0] == 4


def test_ways_are_served_side_by_side() -> None:
    # Accepted at 0 to 3; ways 0, 1, 0, 1; served from 0, 1, 4, 5; done at 4, 5, 8, 9.
    result = reference(memory_plan(4), PLAIN._replace(ways=2, service=4))
    assert (result.start[0][1], result.end[0][0]) == (5, 9)


def test_two_rounds_in_a_cycle_accept_two_bursts_and_ticks_split_the_cycle() -> None:
    # Accepted at cycles 0, 0, 1; served at ticks 0, 1, 2; done at ticks 1, 2, 3 = cycles 1, 1, 2.
    result = reference(memory_plan(3), PLAIN._replace(accepts=2, ticks=2))
    assert (result.free[0][0], result.end[0][0], result.start[0][1]) == (2, 2, 2)


def test_a_burst_waits_for_the_end_of_a_refresh_but_there_is_none_at_zero() -> None:
    # Served from 0, 4, 8, and 12 lies in [10, 13): from 13; done at 4, 8, 12, 17.
    ticks = PLAIN._replace(service=4, refresh_interval=10, refresh_ticks=3)
    assert reference(memory_plan(4), ticks).end[0][0] == 17


def test_a_burst_leaves_a_refresh_once_even_into_the_next_window() -> None:
    # Every tick from 10 on is refresh: served from 0, 4, 8; then 12 goes to 20, and 24 to 30.
    ticks = PLAIN._replace(service=4, refresh_interval=10, refresh_ticks=10)
    assert reference(memory_plan(5), ticks).end[0][0] == 34


def test_a_hit_waits_for_the_read_that_brings_its_line() -> None:
    # Lines 0, 0, 1, 0 in a cache of one line. 0: to DRAM at 0, done 7. 0: hit, max(1 + 1 + 2, 7) = 7.
    # 1: accepted 2, served from 3, done 10, replaces 0. 0: accepted 3, served from 6, done 13.
    plan = memory_plan(2, stride=0)
    plan.add_runs("load", 0, [8, 0], 1, 0)
    ticks = PLAIN._replace(service=3, latency=4, sets=1, cache_latency=2)
    result = reference(plan, ticks)
    assert (result.end[0][0], result.read_bursts, result.cache_hits) == (13, 3, 1)
    assert result.start[0][1] == 8


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
    result = reference(plan, PLAIN._replace(sets=1, assoc=2))
    assert (result.read_bursts, result.write_bursts, result.cache_hits) == (4, 1, 1)


def test_without_a_memory_every_burst_is_back_at_once() -> None:
    result = reference(memory_plan(5), None)
    assert (result.start, result.end, stalls(result, 0)) == ([[0, 1]], [[0, 2]], {})
    assert (result.read_bursts, result.write_bursts, result.cache_hits) == (0, 0, 0)


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

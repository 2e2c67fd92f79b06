"""The stages that a query row passes through, and the room it takes on the way.

One lane: rows go head by head, query by query, with no parallelism between heads (section 4). A row that
re-fetches its LSBs passes QxK and softmax again, on the same units before anything new; rows behind
it wait in order, which is the artefact's re-order buffer.
"""

from __future__ import annotations

from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.plan import Buffer, Layout, Stage

PORT = "hbm"


def layout(machine: Parameters, *, progressive: bool, stream_values: bool, writes: bool) -> Layout:
    """Stages and buffers of a layer.

    progressive: rows may re-fetch LSBs, so every row waits for the decision.
    stream_values: V is fetched row by row behind the selection; otherwise once for a head, behind its K.
    writes: outputs, the newest token or scores go to memory.
    """
    fetch_values = Stage(name="fetch_values", unit="fetcher", port=PORT, priority=1)
    stages = [Stage(name="fetch_keys", unit="fetcher", port=PORT, priority=2)]
    if not stream_values:
        stages.append(fetch_values)
    stages += _scores("", priority=1)
    if progressive:
        stages.append(Stage(name="fetch_lsb", unit="fetcher", port=PORT, priority=0))
        stages += _scores("_again", priority=0)
    # One row is loaded while the engine selects and filters another.
    stages.append(Stage(name="load"))
    stages += [Stage(name="select", unit="topk", priority=1), Stage(name="filter", unit="topk", priority=0)]
    if stream_values:
        stages.append(fetch_values)
    stages.append(Stage(name="pv"))
    if writes:
        stages.append(Stage(name="write", port="write", write=True))
    stages.append(Stage(name="rank"))
    return Layout(stages=tuple(stages), buffers=_buffers(machine, progressive=progressive))


def _scores(suffix: str, *, priority: int) -> list[Stage]:
    """QxK and softmax, first or again.

    `sum` is the moment when a row's sum is there and the divider free. It takes no time: from now on the
    FIFO is read, as fast as it is written, so its lines can be promised to the next row. The division comes
    before the next row's `sum`.
    """
    return [
        Stage(name=f"qk{suffix}", unit="qk", priority=priority),
        Stage(name=f"exponent{suffix}", unit="exponent", priority=priority),
        Stage(name=f"sum{suffix}", unit="divide", priority=1),
        Stage(name=f"divide{suffix}", unit="divide", priority=0),
    ]


def scores(machine: Parameters, suffix: str) -> list[Buffer]:
    """What holds a row before its division, a line for `parallelism` scores.

    Exponents alone; or, if they wait for the largest score of their row, its scores as well.
    """
    lines = machine.softmax.fifo_lines
    if not machine.softmax.rows_wait:
        return [Buffer(name=f"scores{suffix}", capacity=lines, take=f"qk{suffix}", give=f"sum{suffix}")]
    return [
        Buffer(name=f"rows{suffix}", capacity=lines, take=f"qk{suffix}", give=f"exponent{suffix}"),
        Buffer(name=f"scores{suffix}", capacity=lines, take=f"exponent{suffix}", give=f"sum{suffix}"),
    ]


def _buffers(machine: Parameters, *, progressive: bool) -> tuple[Buffer, ...]:
    """Stores in SRAM lines, FIFOs in lines of scores."""
    last_reader = "qk_again" if progressive else "qk"
    fifo_lines = machine.softmax.fifo_lines
    return (
        Buffer(name="keys", capacity=machine.lines, take="fetch_keys", give=last_reader),
        Buffer(name="values", capacity=machine.lines, take="fetch_values", give="pv"),
        *scores(machine, ""),
        Buffer(name="topk_banks", capacity=2, take="load", give="filter"),
        Buffer(name="probabilities", capacity=fifo_lines, take="sum", give="pv"),
        *(scores(machine, "_again") if progressive else ()),
    )

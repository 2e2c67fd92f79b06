"""`gemm` and `attention`: work that is stated by counts and needs no model."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import typer

from accelsim import synthetic
from accelsim.cli.options import (
    Explain,
    Json,
    Machine,
    On,
    ReportFile,
    Seed,
    Settings,
    TimelineFile,
    TimelineWindow,
    count_option,
    machine,
    number,
    whole,
)
from accelsim.cli.output import (
    check_destination,
    check_page,
    check_timeline,
    progress,
    show,
    write_page,
    write_timeline,
)
from accelsim.run import run
from accelsim.timeline import Window
from accelsim.words import unknown
from accelsim.workload import Workload

DATAFLOWS = ("os", "ws", "auto")
DTYPES = ("fp16", "bf16", "fp8", "int8", "tf32", "int4", "fp32", "int32")


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("gemm")(gemm)
    app.command("attention")(attention)


def gemm(
    m: Annotated[int, typer.Argument(metavar="M", help="Activation rows (tokens).", parser=whole)],
    n: Annotated[int, typer.Argument(metavar="N", help="Outputs.", parser=whole)],
    k: Annotated[int, typer.Argument(metavar="K", help="Reduction.", parser=whole)],
    on: On,
    settings: Settings = None,
    pattern: Annotated[
        str, typer.Option(metavar="dense|N:M", help="How the N x K weight is pruned along K.")
    ] = "dense",
    dataflow: Annotated[
        str | None, typer.Option(metavar="os|ws|auto", help="What stays in the array.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="fp16, bf16, fp8, int8, tf32 or int4.")
    ] = None,
    out_dtype: Annotated[str | None, typer.Option(metavar="TYPE", help="Type of the result.")] = None,
    explain: Explain = False,
    html: ReportFile = None,
    timeline: TimelineFile = None,
    timeline_window: TimelineWindow = None,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """One GEMM: M activation rows times an N x K weight; dense, or pruned to N:M beside dense.

    \b
    Example:
      accelsim gemm 1024 256 1152 --on sat --pattern 2:8 --dataflow ws
    """
    check_destination(json)
    check_page(html)
    window = check_timeline(timeline, timeline_window)
    groups = synthetic.parse_pattern(pattern)
    _check_word("--dataflow", dataflow, DATAFLOWS)
    _check_word("--dtype", dtype, DTYPES)
    _check_word("--out-dtype", out_dtype, DTYPES)
    target = machine(on, settings, dataflow=dataflow, dtype=dtype, out_dtype=out_dtype)
    workload = synthetic.gemm(
        m,
        n,
        k,
        pattern=groups,
        dtype=getattr(target.accelerator, "dtype", dtype) or "fp16",
        generator=np.random.default_rng(seed),
    )
    _run(
        workload,
        target,
        baseline=groups is not None,
        files=Files(html, timeline, window, json),
        explain=explain,
    )


def attention(
    on: On,
    keys: Annotated[int, count_option("--keys", "Keys fetched per query and head, after token pruning.")],
    values: Annotated[
        int, count_option("--values", "Values left after local pruning; as many as keys: none pruned.")
    ],
    queries: Annotated[int, count_option("--queries", "Query rows per head and layer.")] = 1,
    heads: Annotated[int, count_option("--heads", "Heads.")] = 1,
    layers: Annotated[int, count_option("--layers", "Layers.")] = 1,
    dim: Annotated[int, count_option("--dim", "Width of a head.")] = 64,
    bits: Annotated[
        str | None,
        typer.Option(metavar="MSB+LSB", help="Widths of the first fetch and the re-fetch, such as 6+4."),
    ] = None,
    refetch: Annotated[
        float,
        typer.Option(parser=number, metavar="F", help="Fraction of the rows that re-fetch, spread evenly."),
    ] = 0.0,
    settings: Settings = None,
    explain: Explain = False,
    html: ReportFile = None,
    timeline: TimelineFile = None,
    timeline_window: TimelineWindow = None,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """Attention by counts, with scores drawn from the seed.

    \b
    Example:
      accelsim attention --on spatten --keys 512 --values 128 --heads 12 --layers 12 --bits 6+4 --refetch 0.06
    """
    check_destination(json)
    check_page(html)
    window = check_timeline(timeline, timeline_window)
    target = machine(on, settings)
    workload = synthetic.attention(
        keys=keys,
        values=values,
        queries=queries,
        heads=heads,
        layers=layers,
        dim=dim,
        bits=None if bits is None else synthetic.parse_bits(bits),
        refetch=refetch,
        generator=np.random.default_rng(seed),
    )
    _run(workload, target, baseline=True, files=Files(html, timeline, window, json), explain=explain)


class Files(NamedTuple):
    """What a run is to write."""

    html: str | None
    timeline: str | None
    window: Window | None
    json: str | None


def _run(
    workload: Workload,
    target: Machine,
    *,
    baseline: bool,
    files: Files,
    explain: bool,
) -> None:
    with progress(workload.model) as advance:
        report = run(workload, target.accelerator, baseline=baseline, preset=target.preset, progress=advance)
    # The timeline is last: whether its window lies in the run is known only now.
    show(report, files.json, explain=explain)
    write_page(files.html, [report])
    write_timeline(files.timeline, workload, target.accelerator, report, files.window)


def _check_word(flag: str, word: str | None, known: tuple[str, ...]) -> None:
    if word is not None and word not in known:
        raise ValueError(unknown(flag, word, known))

"""Least time on a machine under a budget of distortion: the simulator is the latency table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount
from accelsim.prune.schedules import parse_whole
from accelsim.prune.word import Allocation, Settings, number, whole
from accelsim.words import unknown

COSTS = ("cycles", "bytes")

if TYPE_CHECKING:
    from accelsim.accelerators.base import Accelerator
    from accelsim.prune.matrices import Matrix
    from accelsim.prune.network import Network


def machine(network: Network, settings: Settings) -> dict[str, Amount]:
    """The N:M of each layer that together take least cycles, distortions adding up to at most the budget.

    Costs are of each layer's product alone, with the rows of the first sample; a convolution counts as the
    product that it is lowered to.
    """
    from accelsim.accelerators import find
    from accelsim.prune.allocations.curves import curves
    from accelsim.prune.allocations.dynamic import chosen

    target = find(str(settings["on"]))[2]
    amounts = levels(str(settings["levels"]))
    found = curves(network, amounts, whole(settings, "probes"))
    costs: dict[tuple[int, ...], float] = {}
    by_layer = [
        [cost(network, matrix, amount, target, str(settings["cost"]), costs) for amount in amounts]
        for matrix in network.matrices
    ]
    picked = chosen(
        [[point.distortion for point in each] for each in found.values()],
        by_layer,
        number(settings, "distortion"),
    )
    return {name: each[option].amount for (name, each), option in zip(found.items(), picked, strict=True)}


def check(settings: Settings) -> None:
    """ValueError for a machine, a cost or levels that there are not."""
    from accelsim.accelerators import find

    find(str(settings["on"]))
    levels(str(settings["levels"]))
    if settings["cost"] not in COSTS:
        raise ValueError(unknown("cost", str(settings["cost"]), COSTS))


def levels(text: str) -> list[Amount]:
    """`1:8/2:8/4:8` as amounts, with all weights behind them."""
    amounts = []
    for word in text.split("/"):
        n, colon, m = word.partition(":")
        amount = Amount(n=parse_whole("N", n), m=parse_whole("M", m if colon else ""))
        if not 1 <= amount.n < amount.m:
            raise ValueError(f"levels must be N:M with 1 <= N < M, joined by /, not {word!r}")
        amounts.append(amount)
    return [*amounts, Amount(n=amounts[-1].m, m=amounts[-1].m)]


def cost(
    network: Network,
    matrix: Matrix,
    amount: Amount,
    target: Accelerator,
    what: str,
    known: dict[tuple[int, ...], float],
) -> float:
    """Cycles, or bytes of DRAM, of one layer at one amount. Layers of equal shape cost the same."""
    import numpy as np

    from accelsim.run import run
    from accelsim.synthetic import draw_mask
    from accelsim.workload import Matmul, Workload

    groups, rows, columns = matrix.shape
    tokens = network.seen_of(matrix).tokens // len(network.samples)
    key = groups, rows, columns, tokens, amount.n, amount.m
    if key not in known:
        mask = None
        if amount.n < amount.m:
            mask = draw_mask(rows, columns, (amount.n, amount.m), np.random.default_rng(0))
        layer = Matmul(name="layer", m=tokens, n=rows, k=columns, count=groups, mask=mask)
        report = run(Workload(model="layer", layers=(layer,)), target, baseline=False)
        known[key] = float(report.dram_bytes if what == "bytes" else report.cycles)
    return known[key]


WORD = Allocation(
    name="machine",
    sentence="The simulator decides: wanda,machine,on=sat,distortion=0.05 takes the N:M of `levels` that "
    "need least cycles (or cost=bytes) while the output's relative distortions add up to at most that.",
    source="the idea of ZipLM, Kurtic et al., NeurIPS 2023, arXiv 2302.04089, with cycles of the model",
    settings={
        "on": "sat",
        "distortion": 0.05,
        "cost": "cycles",
        "levels": "1:8/2:8/4:8",
        "probes": 2,
    },
    needs=frozenset({"squares"}),
    check=check,
    of=machine,
    sets_amounts=True,
)

"""The machine model of `--on spatten:rtl-eighth` beside the machine that is built, on the same layers.

    python benchmarks/spatten_rtl.py [--date YYYY-MM-DD] [-o benchmarks/results/spatten_rtl.json]

What is built counts from the write that starts a layer to `done`, as its step model does, which the tests and
`accelsim verify spatten` hold to the RTL in every clock; both sides have two channels of HBM2-2000 at 1 GHz.
Q, K and V are drawn. Nothing is fitted: the machine model has the latencies of the units' own models.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import sqrt

import numpy as np
from experiment import options, provenance, save

from accelsim.accelerators import find
from accelsim.run import run
from accelsim.units.spatten import PRESETS
from accelsim.workload import Attention, Workload
from accelsim_rtl.bench.drive import Drive, replay, scenario
from accelsim_rtl.entries.spatten_layers import Asked, Layer, Room, asked_of, transaction
from accelsim_rtl.entries.spatten_machine import UNIT, golden
from accelsim_rtl.kit.ports import columns, ports, streams

MACHINE = replace(PRESETS["eighth"], device="HBM2-2000")
MODEL = "spatten:rtl-eighth"
BITS = 8
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer: every head has `queries` rows over `keys` keys and keeps `values` V of each row.

    least: bits of K that come again for flat rows. streamed: V is fetched row by row.
    """

    heads: int
    queries: int
    keys: int
    dim: int
    values: int
    least: int = 0
    streamed: bool = False

    def __str__(self) -> str:
        kind = (
            ", generated" if self.streamed else f", {BITS - self.least}+{self.least} bits" * bool(self.least)
        )
        return f"{self.heads} x {self.queries} rows of {self.keys} x {self.dim}, {self.values} V{kind}"


CASES = (
    Case(heads=2, queries=4, keys=32, dim=64, values=32),
    Case(heads=4, queries=32, keys=32, dim=32, values=32),
    Case(heads=2, queries=16, keys=64, dim=64, values=64),
    Case(heads=2, queries=16, keys=64, dim=64, values=16),
    Case(heads=2, queries=32, keys=64, dim=64, values=10),
    Case(heads=1, queries=64, keys=128, dim=64, values=128),
    Case(heads=4, queries=1, keys=256, dim=64, values=64, streamed=True),
    Case(heads=2, queries=32, keys=64, dim=64, values=64, least=4),
)


def main() -> None:
    given = options(__file__, __doc__).parse_args()
    rows = []
    print(f"{'layer':<52} {'built':>7} {'model':>7} {'ratio':>6}")
    for case in CASES:
        clocks, again = built(case)
        cycles = modelled(case, again)
        rows.append({**asdict(case), "again": int(again.sum()), "built": clocks, "model": cycles})
        print(f"{case!s:<52} {clocks:>7,} {cycles:>7,} {cycles / clocks:>6.3f}", flush=True)
    save(
        given.output,
        {
            "command": "python benchmarks/spatten_rtl.py",
            **provenance(given.date, "numpy", "amaranth"),
            "seed": SEED,
            "machine_model": MODEL,
            "rows": rows,
        },
    )
    print(f"written: {given.output}")


def built(case: Case) -> tuple[int, np.ndarray]:
    """Clocks from start to `done`, and which rows (heads, queries) were sent again."""
    work = transaction(MACHINE, drawn(case), Room(MACHINE)) | {"s_axil_ar": []}
    found = ports(UNIT.instance(MACHINE))
    memories = UNIT.memories(MACHINE, [work])
    served = tuple(f"{port}_" for memory in memories for port in memory["ports"])
    sources = {
        stream: work.get(stream, []) for stream in streams(found, "input") if not stream.startswith(served)
    }
    drive = Drive(
        scenario(
            "plain",
            sources=sources,
            expected=UNIT.expected(MACHINE, [work]) | {"s_axil_r": []},
            merged=UNIT.merged(MACHINE),
            memories=memories,
            after=UNIT.after(MACHINE, [work]),
        ),
        columns(found),
    )
    replay(UNIT.model(MACHINE), drive)
    if drive.broken:
        raise SystemExit(f"{case}: {drive.broken[0]}")
    names = columns(found)
    started, done = (
        max(clock for clock, row in enumerate(drive.rows) if row[names.index(name)])
        for name in ("s_axil_b_valid", "done_valid")
    )
    asked: Asked = asked_of(MACHINE, work)
    return done - started, np.asarray(golden(MACHINE, asked).refetch)


def drawn(case: Case) -> Layer:
    """Operands of a spread that makes a softmax of some weight: scores of two units."""
    generator = np.random.default_rng(SEED)
    half = 1 << BITS - 1
    shape = (case.heads, case.keys, case.dim)
    query, key, value = (generator.integers(-half, half, shape) for _ in range(3))
    return Layer(
        query=query,
        key=key,
        value=value,
        tokens=list(range(case.keys)),
        heads=[(head, head) for head in range(case.heads)],
        queries=case.queries,
        widths={"query": BITS, "key": BITS - case.least, "value": BITS, "least": case.least},
        score_scale=2.0 / (sqrt(case.dim) * half * half / 3),
        values=case.values,
        threshold=round(0.1 * MACHINE.head.form.one) if case.least else 0,
        streamed=case.streamed,
    )


def modelled(case: Case, again: np.ndarray) -> int:
    """Cycles of the machine model, with the rows that the built one sent again."""
    generator = np.random.default_rng(SEED)
    shape = (1, case.heads, case.queries)
    layer = Attention(
        name=str(case),
        heads=case.heads,
        kv_heads=case.heads,
        queries=case.queries,
        keys=case.keys,
        dim=case.dim,
        value_dim=case.dim,
        bits=(BITS - case.least, case.least),
        value_bits=BITS,
        values=np.full(shape, case.values, np.int32) if case.values < case.keys else None,
        refetch=again.reshape(shape) if case.least else None,
        scores=scores(shape, case.keys, generator),
    )
    return run(Workload(model=str(case), layers=(layer,)), find(MODEL)[2], baseline=False).cycles


def scores(shape: tuple[int, ...], keys: int, generator: np.random.Generator) -> np.ndarray:
    """Probabilities that the local selection chooses among, drawn as those of the layer are."""
    weights = np.exp(generator.normal(0, 2.0, (*shape, keys)))
    return np.rint(weights / weights.sum(-1, keepdims=True) * 4096).astype(np.uint16)


if __name__ == "__main__":
    main()

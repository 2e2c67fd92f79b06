"""SpAtten's published figures beside ours: claim, ours, ratio, and why they differ. Nothing here is a test.

    python benchmarks/paper_spatten.py [--date YYYY-MM-DD] [-o benchmarks/results/paper_spatten.json]

"Paper" is HPCA 2021 (arXiv 2012.09852v3), "artefact" mit-han-lab/spatten at a0f1388. Both published schedules
run for 32 tokens behind 992, with drawn scores; BERT lengths are not published, so a band is given. Nothing
is fitted. `docs/spatten.md` says what a token counts.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import rivals
from experiment import finish, options

import accelsim
from accelsim.accelerators import SpAtten, find
from accelsim.accelerators.spatten.published import pruning_gains, quantisation_gain
from accelsim.energy import area_mm2
from accelsim.models import network
from accelsim.report import Report
from accelsim.run import SkippedLayersWarning
from accelsim.synthetic import attention
from accelsim.units.topk import TopK, published_cycles, selection_cycles
from accelsim.workload import Attention, Workload

PROMPT, GENERATED = 992, 32

BERT = {"base": (12, 12), "large": (24, 16)}
# Tokens of a dev set's mean sentence: nobody published them; approximations, and SQuAD from 150 to 180.
LENGTHS = {
    "CoLA": (11, 11),
    "SST-2": (25, 25),
    "STS-B": (31, 31),
    "QQP": (30, 30),
    "WNLI": (37, 37),
    "MNLI": (39, 39),
    "QNLI": (51, 51),
    "MRPC": (53, 53),
    "RTE": (64, 64),
    "SQuAD v1.1": (150, 180),
    "SQuAD v2.0": (150, 180),
}


# Of the layers of a token but the first: kept keys (None: all so far) and heads, as in the artefact's traces;
# then the share of V, and bytes of a key and of a value (6 bits: 1.5 bursts of 32; 12 as 8 + 4; 8).
TRACES = {
    "gpt2-small": ((921, 716, *[204] * 4, *[102] * 6), (12,) * 12, 0.2, 48, 48),
    "gpt2-medium": (
        (None, None, 921, 819, 819, *[614] * 6, *[307] * 13),
        (*[16] * 16, *[13] * 6, *[10] * 2),
        0.3,
        96,
        64,
    ),
}
TERMS = ("fetch_queries", "write_newest", "store_scores", "write_back", "clear_stores")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure beside ours."""

    figure: str
    source: str
    claim: float | None
    ours: float
    ratio: float | None
    why_different: str


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    warnings.simplefilter("ignore", SkippedLayersWarning)
    rows = []
    for row in figures():
        rows.append(row)
        claim, ratio = ("-", "-") if row.claim is None else (f"{row.claim:,.5g}", f"{row.ratio:.3f}")
        print(f"{row.figure:<58} {claim:>12} {row.ours:>12,.5g} {ratio:>7}  {row.why_different}", flush=True)
    finish(given, "numpy", "numba", rows=[asdict(row) for row in rows])


def figures() -> Iterator[Row]:
    """All rows, in the order of the paper's sections; the comparison with other machines comes last."""
    print(f"{'figure':<58} {'claim':>12} {'ours':>12} {'ratio':>7}  why different")
    yield from sizes()
    yield from selection()
    yield from behavioural()
    yield from bert()
    medium = yield from generation("gpt2-medium", 1.022899456, 708.025856, 2.13)
    yield from generation("gpt2-small", 0.196909056, 82.428416, None)
    yield from gains()
    yield from power(medium)
    yield from others()


def sizes() -> Iterator[Row]:
    """What Table I says."""
    machine = SpAtten()
    yield row("V1 SRAM of K, and of V, bytes", "Table I", 196_608, machine.sram_bytes)
    yield row("V1 HBM bytes a cycle", "Table I", 512, machine.dram_bytes_per_cycle)
    yield row("V1 scores a cycle at D = 64", "Table I", 8, machine.scores_per_cycle(64))
    yield row("V1 peak, TOPS", "Table I", 2.048, machine.peak_ops_per_second / 1e12)


def selection() -> Iterator[Row]:
    """Mean cycles of the artefact's latency model."""
    generator = np.random.default_rng(0)
    for count, keep, claim in ((64, 32, 37), (512, 64, 123), (1024, 512, 262), (1024, 102, 201)):
        scores = np.array([generator.permutation(count) for _ in range(400)])
        cycles = published_cycles(16, 3, scores, np.full(400, keep), np.arange(400))[0]
        why = "random pivots: a mean over 400 rows"
        yield row(f"V2 cycles to select {keep} of {count}, 16 wide", "artefact", claim, cycles.mean(), why)
    ours = TopK()
    why = "and in the cycles of our RTL, with its own pivots"
    scores = np.array([generator.permutation(1024) for _ in range(400)])
    cycles = selection_cycles(ours, scores, np.full(400, 512), np.arange(400))[0]
    yield row("V2 cycles to select 512 of 1024 in RTL", "artefact", 262, cycles.mean(), why)


def behavioural() -> Iterator[Row]:
    """The artefact's bert.cpp: dense BERT-Base of 8 bits, sums that do not overlap."""
    for name, length, claim in (
        ("full", 64, 77_364),
        ("full", 128, 300_948),
        ("full", 512, 4_739_028),
        ("eighth", 64, 610_260),
    ):
        sums = replace(find(f"spatten:{name}")[2], published_model=True)  # type: ignore[type-var]
        report = accelsim.run(bert_layers("base", length), sums, baseline=False)
        yield row(f"V3 cycles, BERT-Base, L = {length}, {name}", "artefact", claim, report.cycles)


def bert_layers(kind: str, length: int) -> Workload:
    """Dense attention of 8 bits of a BERT."""
    layers, heads = BERT[kind]
    return attention(
        keys=length, values=length, queries=length, heads=heads, layers=layers, dim=64, bits=(8, 0)
    )


def bert() -> Iterator[Row]:
    """22 workloads over the plausible lengths, nothing pruned: the pruning ratios are not published."""
    machine = SpAtten()
    rates: dict[tuple[str, int], float] = {}
    for kind in BERT:
        for length in sorted({length for band in LENGTHS.values() for length in band}):
            report = accelsim.run(bert_layers(kind, length), machine, baseline=False)
            rates[kind, length] = 2 * report.macs_done / report.seconds / 1e12
    for end, index in (("shortest", 0), ("longest", 1)):
        ours = float(np.mean([rates[kind, band[index]] for kind in BERT for band in LENGTHS.values()]))
        why = "lengths are approximations, nothing is pruned here, and bank-level memory; mean of 22"
        yield row(f"V4 TFLOPS on 22 BERT workloads, {end} lengths", "section 5", 1.61, ours, why)
    why = "the least and the most of the 22"
    for name, pick in (("least", min), ("most", max)):
        yield row(f"V4 TFLOPS, {name} of the 22", "section 5", 1.61, pick(rates.values()), why)


def generated(name: str) -> Workload:
    """The attention of 32 tokens behind 992 by the published schedule, without the prompt's own pass."""
    made = network(name, f"spatten,schedule={name}", tokens=PROMPT, generate=GENERATED)
    return replace(
        made,
        layers=tuple(
            layer
            for layer in made.layers
            if isinstance(layer, Attention) and not layer.name.startswith("prompt/")
        ),
    )


def generation(name: str, giga_ops: float, megabytes: float, claimed_ms: float | None) -> Iterator[Row]:
    """Counts, bytes and time of a published schedule; with one 1-wide engine, too. Returns the report."""
    work, full = generated(name), SpAtten()
    report = accelsim.run(work, full)
    done = 2 * report.macs_done
    again = 2 * sum(int(each.facts["macs_again"]) for each in report.layers)
    yield row(f"V5 {name}: executed operations, G", "artefact", giga_ops, (done - again) / 1e9)
    yield row(f"V10 {name}: DRAM bytes, MB", "artefact", megabytes, report.dram_bytes / 1e6)
    why = "bank-level HBM2 of the preset; scores are drawn"
    if claimed_ms is not None:
        yield row(
            f"V5 {name}: attention of 32 tokens, ms", "Table (e2e)", claimed_ms, report.seconds * 1e3, why
        )
        tflops = (done - again) / report.seconds / 1e12
        yield row(f"V5 {name}: TFLOPS", "section 5", 0.43, tflops, f"{why}; claim is a mean of 8 GPT-2")
        # The paper is silent on the order inside a channel: the other choice, beside the preset's.
        lone = replace(full, dram=replace(full.dram, mapping="RoBaRaCoCh"))
        seconds = accelsim.run(work, lone, baseline=False).seconds
        why = "as above, but neighbours of a channel in one bank group (mapping RoBaRaCoCh)"
        yield row(f"V5 {name}: the same, other mapping, ms", "Table (e2e)", claimed_ms, seconds * 1e3, why)
    for machine in ("full", "eighth"):
        preset = find(f"spatten:{machine}")[2]
        assert isinstance(preset, SpAtten)
        narrow = replace(preset, topk=replace(preset.topk, width=1))
        wide, slow = (accelsim.run(work, each, baseline=False) for each in (preset, narrow))
        why = f"ours 1 wide: {slow.bottleneck}; 16 wide: {wide.bottleneck}"
        times = slow.seconds / wide.seconds
        yield row(f"V11 {name}, {machine}: engine of 16 over 1, times", "section 5", 3, times, why)
        yield from single_tokens(name, work, machine, preset)
    return report


def single_tokens(name: str, work: Workload, machine: str, preset: SpAtten) -> Iterator[Row]:
    """Tokens alone: the first, which keeps every key, one with re-fetches, and the last."""
    for step in (1, 2, GENERATED):
        layers = tuple(each for each in work.layers if each.name.startswith(f"step {step}/"))
        one = replace(work, layers=layers)
        alone = accelsim.run(one, preset, baseline=False)
        figure = f"{name}, {machine}, token {step} of {GENERATED}"
        why = f"no claim: among {PROMPT + step} keys, K and V alone are moved, scores are drawn"
        yield row(f"{figure}: us", "none", None, alone.seconds * 1e6, why)
    why = f"no claim: with {', '.join(TERMS)}"
    charged = accelsim.run(one, replace(preset, **dict.fromkeys(TERMS, True)), baseline=False)
    yield row(f"{figure}: us, every term on", "none", None, charged.seconds * 1e6, why)
    keys, values = kept_vectors(name, PROMPT + GENERATED)
    _, _, _, key_bytes, value_bytes = TRACES[name]
    yield row(
        f"{figure}: executed operations, M",
        "artefact",
        2 * 64 * (keys + values) / 1e6,
        2 * alone.macs_done / 1e6,
    )
    claim = (keys * key_bytes + values * value_bytes) / 1e6
    yield row(f"{figure}: DRAM bytes, MB", "artefact", claim, alone.dram_bytes / 1e6)


def kept_vectors(name: str, length: int) -> tuple[int, int]:
    """K and V that all heads and layers of a token fetch, by the counts of the trace; no row re-fetches."""
    kept, heads, share, _, _ = TRACES[name]
    keys = [count or length for count in kept]
    values = [math.floor(share * count + 1e-9) for count in keys]
    return tuple(sum(map(operator.mul, heads, counts)) for counts in (keys, values))


def gains() -> Iterator[Row]:
    """Ratios that follow from the schedules."""
    yield row(
        "V8 quantisation, 32 over 6 + 0.059 x 4 bits",
        "section 3",
        5.1,
        quantisation_gain(6, 4, 0.059),
        "the paper rounds",
    )
    for name, claims in (("gpt2-small", (1.0, 3.62, 18.2, 6.04)), ("gpt2-medium", (1.085, 1.86, 6.18, 2.86))):
        layers = [layer for layer in generated(name).layers if isinstance(layer, Attention)]
        rows = [
            (each.heads, each.dense().keys, each.keys, each.kept // (each.batch * each.heads))
            for each in layers
        ]
        found = pruning_gains(layers[0].dense().heads, rows)
        for what, claim, ours in zip(found._fields, claims, found, strict=True):
            yield row(f"V9 {name}: times fewer {what}", "artefact", claim, ours)


def power(report: Report) -> Iterator[Row]:
    """Area, and how power divides; the paper's is a mean over 30 workloads of unknown lengths."""
    why = "control, clock tree, crossbars, fetcher, leakage are not counted; other work"
    area = area_mm2(SpAtten().parts())
    if area is not None:
        yield row("V12 area, mm2", "section 5", 18.71, area, why)
    total = report.total_pj
    for name, claim in (("logic", 1.36), ("sram", 1.24), ("dram", 5.71)):
        part = getattr(report, f"{name}_pj")
        if part is not None and total:
            share = part / total
            yield row(f"V12 {name}, share of power on gpt2-medium", "section 5", claim / 8.31, share, why)
    if total:
        yield row("V12 power on gpt2-medium, W", "section 5", 8.30, total * 1e-12 / report.seconds, why)


def others() -> Iterator[Row]:
    """SpAtten-1/8, A3 and MnnFast on BERT-Base by its shapes; `rivals.py` has real models, too."""
    for each in rivals.rows(rivals.shapes()):
        yield row(each.quantity, "accelerator table", each.claim, each.ours, each.why_different)


def row(figure: str, source: str, claim: float | None, ours: float, why: str = "") -> Row:
    """A row with its ratio. Equal figures need no reason; ValueError for others without one."""
    ratio = None if claim is None else float(ours) / claim
    if not why and (ratio is None or abs(ratio - 1) >= 5e-3):
        raise ValueError(f"{figure}: {ours} is not {claim}, and nothing says why")
    return Row(
        figure=figure, source=source, claim=claim, ours=float(ours), ratio=ratio, why_different=why or "equal"
    )


if __name__ == "__main__":
    main()

"""What SpAtten is made of, and how often each part works in a layer: for energy and area."""

from __future__ import annotations

from accelsim.accelerators.spatten.decisions import Decisions
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import row_lines
from accelsim.energy import Part
from accelsim.plan import Plan
from accelsim.workload import Attention

EXPONENT_STEPS = 5  # multiply-adds of a fifth-order Taylor series (section 4)
DIVISION_STEPS = 4  # two Newton steps of two multiply-adds each
ENGINES = 2  # one for tokens and heads, one for the local values (section 4)
SIDES = 2  # quick-select compares for "larger" and for "smaller", and writes both
BANKS = 2  # rows that an engine holds: one loads while another is selected


def parts(machine: Parameters) -> tuple[Part, ...]:
    """Multiplier arrays, stores, softmax and selection engines; no crossbars, no fetcher, no control."""
    cost, word = machine.energy, f"int{machine.word_bits}"
    sums = f"int{2 * machine.word_bits}"
    softmax, topk = machine.softmax, machine.topk
    # One multiply-add in single precision, pipelined: as many as one score a cycle needs.
    step = cost.multiply("fp32"), cost.add("fp32")
    fused = step[0]._replace(pj=step[0].pj + step[1].pj, um2=step[0].um2 + step[1].um2)
    line = machine.word_bits * softmax.parallelism
    score_fifo = cost.sram(softmax.fifo_depth * line // 8, line)
    store = cost.sram(machine.sram_bytes, 8 * machine.line_bytes, banks=2)
    selection = cost.sram(-(-topk.capacity * topk.bits // 8), topk.bits * topk.width)
    return (
        *(
            part
            for name in ("QxK", "PxV")
            for part in (
                Part(
                    name=f"{name} multipliers",
                    group="logic",
                    cost=cost.multiply(word),
                    count=machine.multipliers,
                ),
                Part(name=f"{name} adders", group="logic", cost=cost.add(sums), count=machine.multipliers),
            )
        ),
        Part(name="exponents", group="logic", cost=fused.times(EXPONENT_STEPS), count=softmax.parallelism),
        Part(name="divisions", group="logic", cost=fused.times(DIVISION_STEPS), count=softmax.parallelism),
        Part(
            name="comparators",
            group="logic",
            cost=cost.add(f"int{topk.bits if topk.draws else topk.digit_bits}"),
            count=ENGINES * _comparators(machine),
        ),
        Part(name="K store", group="sram", cost=store),
        Part(name="V store", group="sram", cost=store),
        Part(name="score FIFOs", group="sram", cost=score_fifo, count=2 * softmax.fifos),
        Part(
            name="selection memories",
            group="sram",
            cost=selection,
            count=ENGINES * (BANKS + SIDES * topk.draws),
        ),
    )


def _comparators(machine: Parameters) -> int:
    """Of one engine: two for each lane in quick-select, one for each threshold of a digit in radix select."""
    topk = machine.topk
    return topk.width * (SIDES if topk.draws else (1 << topk.digit_bits) - 1)


def count_events(machine: Parameters, layer: Attention, decided: Decisions, plan: Plan) -> dict[str, float]:
    """Events of one layer, from its decisions and its plan."""
    layout = plan.layout
    rows = decided.rows + int(decided.again.sum())

    def busy(*stages: str) -> int:
        """Cycles of the stages that the layer has, where they are not skipped."""
        names = [stage.name for stage in layout.stages]
        columns = [names.index(stage) for stage in stages if stage in names]
        return int((plan.busy[:, columns] * ~plan.skip[:, columns]).sum())

    def filled(buffer: str) -> int:
        return int(plan.take[:, layout.buffer(buffer)].sum())

    def fetches(stage: str) -> int:
        """Rows that fetch."""
        names = [known.name for known in layout.stages]
        return int((~plan.skip[:, names.index(stage)]).sum()) if stage in names else 0

    # LSBs go to the lines that hold their MSBs.
    lsb_lines = fetches("fetch_lsb") * row_lines(layer.keys, machine.vectors_per_line(layer.dim))
    kept = int(decided.values.sum()) * layer.value_dim
    # A selection is counted as if every cycle of it read a line, compared it, and (quick-select) wrote one.
    selecting = busy("select", "rank")
    return {
        "QxK multipliers": rows * layer.keys * layer.dim,
        "QxK adders": rows * layer.keys * layer.dim,
        "PxV multipliers": kept,
        "PxV adders": kept,
        "exponents": rows * layer.keys,
        "divisions": rows * layer.keys,
        "comparators": _comparators(machine) * selecting,
        "K store": filled("keys") + lsb_lines + busy("qk", "qk_again"),
        "V store": filled("values") + busy("pv"),
        "score FIFOs": 2 * (busy("exponent", "exponent_again") + busy("divide", "divide_again")),
        "selection memories": busy("load", "filter") + selecting * (2 if machine.topk.draws else 1),
    }

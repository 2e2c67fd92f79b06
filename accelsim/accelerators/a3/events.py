"""What A3 is made of, and how often each part works in a layer: for energy and area."""

from __future__ import annotations

from accelsim.accelerators.a3.decisions import Decisions
from accelsim.accelerators.a3.parameters import Parameters
from accelsim.accelerators.whole import Whole
from accelsim.energy import Part

EXPONENT_HALVES = 2  # tables, whose entries are multiplied
SIDES = 2  # the largest and the smallest product of an iteration


def parts(machine: Parameters) -> tuple[Part, ...]:
    """Both arrays, the exponent's tables, dividers, stores; with a search its comparators and sorted copy."""
    cost, bits, lanes = machine.energy, machine.element_bits, machine.lanes
    index = (machine.capacity - 1).bit_length()
    product = f"int{2 * bits}"
    store_bytes = -(-machine.capacity * lanes * bits // 8)
    store = cost.sram(store_bytes, lanes * bits)
    table = cost.sram(max(1, -(-(1 << bits) * 2 * bits // 8)), 2 * bits)
    scores = cost.sram(-(-machine.capacity * 2 * bits // 8), 2 * bits)
    found: tuple[Part, ...] = ()
    if machine.searches:
        # A sorted element knows the key that it belongs to; each column is a memory by itself.
        column = cost.sram(-(-machine.capacity * (bits + index) // 8), bits + index)
        found = (
            Part(name="search multipliers", group="logic", cost=cost.multiply(f"int{bits}"), count=SIDES),
            Part(name="search comparators", group="logic", cost=cost.add(product), count=SIDES * lanes),
            Part(name="sorters", group="logic", cost=cost.add(f"int{bits}"), count=machine.sorters),
            Part(name="sorted columns", group="sram", cost=column, count=machine.pairs * lanes),
            Part(name="estimates", group="sram", cost=scores),
        )
    return (
        Part(name="dot multipliers", group="logic", cost=cost.multiply(f"int{bits}"), count=lanes),
        Part(name="dot adders", group="logic", cost=cost.add(product), count=lanes),
        Part(name="output multipliers", group="logic", cost=cost.multiply(product), count=lanes),
        Part(name="output adders", group="logic", cost=cost.add("int32"), count=lanes),
        Part(name="exponent multiplier", group="logic", cost=cost.multiply(product)),
        Part(name="exponent tables", group="sram", cost=table, count=EXPONENT_HALVES),
        Part(name="divider", group="logic", cost=cost.multiply("int32")),
        Part(name="K store", group="sram", cost=store, count=machine.pairs),
        Part(name="V store", group="sram", cost=store, count=machine.pairs),
        Part(name="score rows", group="sram", cost=scores, count=2 * machine.score_rows),
        *found,
    )


def count_events(machine: Parameters, whole: Whole, decided: Decisions) -> dict[str, float]:
    """Events of one layer. A vector is a line of its store; it is written once and read for each product."""
    layer = whole.layer
    loads = int(whole.first.sum())
    candidates, kept = int(decided.candidates.sum()), int(decided.kept.sum())
    events: dict[str, float] = {
        "dot multipliers": candidates * layer.dim,
        "dot adders": candidates * layer.dim,
        "output multipliers": kept * layer.value_dim,
        "output adders": kept * layer.value_dim,
        "exponent multiplier": candidates,
        "exponent tables": EXPONENT_HALVES * candidates,
        "divider": whole.rows * layer.value_dim,
        "K store": loads * layer.keys + candidates,
        "V store": loads * layer.keys + kept,
        "score rows": 2 * candidates + 2 * kept,
    }
    if machine.searches:
        steps = whole.rows * machine.search_iterations(layer.keys)
        moved = loads * layer.dim * layer.keys * (layer.keys - 1).bit_length()
        # A query begins at both ends of every column; an iteration replaces what it took from each side.
        offered = SIDES * (whole.rows * layer.dim + steps)
        events |= {
            "search multipliers": offered,
            "search comparators": SIDES * steps * machine.lanes,
            "sorters": moved,
            "sorted columns": 2 * moved + offered,
            "estimates": 2 * SIDES * steps + whole.rows * layer.keys,
        }
    return events

"""The units there are, by their dotted names."""

from __future__ import annotations

from accelsim.words import unknown
from accelsim_rtl.entries import (
    arbiter,
    bit_width_converter,
    crossbar,
    decision,
    dot_product,
    exponent,
    fetch_stage,
    fetcher,
    fifo,
    prefix_sum,
    read_master,
    register_bench,
    score_accumulator,
    shell,
    softmax,
    sore,
    topk,
    vector_store,
    write_master,
    zero_eliminator,
)
from accelsim_rtl.kit.unit import Unit

UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        prefix_sum.UNIT,
        zero_eliminator.UNIT,
        sore.UNIT,
        fifo.UNIT,
        arbiter.UNIT,
        topk.UNIT,
        score_accumulator.UNIT,
        crossbar.UNIT,
        bit_width_converter.UNIT,
        exponent.UNIT,
        softmax.UNIT,
        decision.UNIT,
        dot_product.UNIT,
        vector_store.UNIT,
        fetcher.UNIT,
        fetch_stage.UNIT,
        shell.UNIT,
        read_master.UNIT,
        write_master.UNIT,
        register_bench.UNIT,
    )
}


def find(name: str) -> Unit:
    """The unit of a dotted name. Raises ValueError, with the nearest name, if there is none."""
    if name not in UNITS:
        raise ValueError(unknown("unit", name, UNITS))
    return UNITS[name]

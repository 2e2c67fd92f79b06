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
    floating,
    head,
    prefix_sum,
    read_master,
    register_bench,
    sat_array,
    sat_machine,
    score_accumulator,
    score_scale,
    softmax,
    sore,
    spatten_machine,
    stc_dot_product,
    stc_gemm,
    stc_machine,
    stc_metadata,
    stc_selector,
    stc_tile,
    topk,
    transpose,
    value_product,
    value_selection,
    vector_store,
    write_master,
    wuve,
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
        score_scale.UNIT,
        value_product.UNIT,
        value_selection.UNIT,
        head.UNIT,
        vector_store.UNIT,
        fetcher.UNIT,
        fetch_stage.UNIT,
        spatten_machine.UNIT,
        read_master.UNIT,
        write_master.UNIT,
        register_bench.UNIT,
        *floating.UNITS,
        *sat_array.UNITS,
        wuve.UNIT,
        transpose.UNIT,
        sat_machine.UNIT,
        stc_metadata.UNIT,
        stc_selector.UNIT,
        stc_dot_product.UNIT,
        stc_tile.UNIT,
        stc_gemm.UNIT,
        stc_machine.UNIT,
    )
}


def find(name: str) -> Unit:
    """The unit of a dotted name. Raises ValueError, with the nearest name, if there is none."""
    if name not in UNITS:
        raise ValueError(unknown("unit", name, UNITS))
    return UNITS[name]

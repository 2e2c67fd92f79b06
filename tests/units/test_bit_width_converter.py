"""The converter by its step model: what it makes of two parts, how long it takes, what it refuses."""

import numpy as np
import pytest

from accelsim.golden.fixed import split_lsb
from accelsim.units.bit_width_converter import (
    PRESETS,
    BitWidthConverter,
    Model,
    Request,
    cycles,
    pack_request,
)
from accelsim.units.step import pack, unpack

VECTOR = 64
FULL = PRESETS["full"]


def run(parameters: BitWidthConverter, request: Request, beats: list[int]) -> tuple[list[int], int]:
    """Operands as they come to a sink that is always ready, and clocks until the last one."""
    model, operands, clocks = Model(parameters), [], 0
    lines = request.records * -(-request.elements // parameters.lanes)
    pending = list(beats)
    while lines:
        row = model.step(
            {
                "request_valid": int(clocks == 0),
                "request_payload": pack_request(request),
                "beats_valid": int(bool(pending)),
                "beats_payload": pending[0] if pending else 0,
                "operands_ready": 1,
            }
        )
        clocks += 1
        if pending and row["beats_ready"]:
            pending.pop(0)
        if row["operands_valid"]:
            lines -= 1
            payload = row["operands_payload"]
            count = payload >> parameters.lanes * parameters.operand_bits & 2 * parameters.lanes - 1
            operands += unpack(payload, parameters.operand_bits, count)
    assert not pending
    return operands, clocks


def beats_of(parts: np.ndarray, width: int) -> list[int]:
    bits = pack([int(part) & (1 << width) - 1 for part in parts], width)
    return unpack(bits, FULL.beat_bits, -(-len(parts) * width // FULL.beat_bits))


@pytest.mark.parametrize(("most", "least"), [(4, 4), (6, 4), (8, 4), (8, 0), (12, 0)])
def test_the_two_parts_put_together_are_the_integer(most: int, least: int) -> None:
    rng = np.random.default_rng(most)
    whole = rng.integers(-(1 << most + least - 1), 1 << most + least - 1, VECTOR)
    high, low = split_lsb(whole, least)
    beats = beats_of(high, most)
    operands, _ = run(FULL, Request(width=most, elements=VECTOR, beats=len(beats), shift=least), beats)
    if least:
        beats = beats_of(low, least)
        later, _ = run(FULL, Request(width=least, elements=VECTOR, beats=len(beats), least=True), beats)
        operands = [operand | part for operand, part in zip(operands, later, strict=True)]
    assert operands == [int(value) & 0xFFF for value in whole]


@pytest.mark.parametrize("width", FULL.widths)
def test_a_beat_is_taken_every_clock_whatever_the_width(width: int) -> None:
    per_record = VECTOR * width // FULL.beat_bits
    request = Request(width=width, elements=VECTOR, beats=per_record, records=50)
    beats = [0] * (50 * per_record)
    operands, clocks = run(FULL, request, beats)
    assert len(operands) == 50 * VECTOR
    # One for the request, two from the last beat to the last line.
    assert clocks == cycles(FULL, [request]) == 1 + len(beats) + 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lanes": 3}, "lanes must be a power of two from 1 to 64, not 3"),
        ({"widths": ()}, "widths must be ascending, one at least"),
        ({"widths": (4, 16)}, r"widths must be from 1 to operand_bits \(12\)"),
        ({"lsb_bits": 8}, "lsb_bits must be from 0 to 7, not 8"),
        ({"beat_bits": 0}, "beat_bits must be from 1 to 1024, not 0"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BitWidthConverter(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(width=5, elements=1, beats=1), "width must be one of"),
        (Request(width=12, elements=1, beats=1, shift=1), "shift must be at most 0, not 1"),
        (Request(width=4, elements=33, beats=1), "a record must hold its elements"),
        (Request(width=4, elements=1, beats=0), "a record must hold its elements"),
    ],
)
def test_requests_that_mean_nothing_are_refused(request_: Request, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(FULL, request_, [])

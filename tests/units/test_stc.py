"""The sparse tensor core by its step models: intervals, the formula of a GPU's instruction, and refusals."""

from typing import Any

import pytest

from accelsim.units.stc.dot_product import DotProduct
from accelsim.units.stc.lane import Types
from accelsim.units.stc.metadata import Metadata
from accelsim.units.stc.selector import Selector
from accelsim.units.stc.tile import FROM_C, KEPT, ZERO, Pass, Tile, cycles, pack_pass, unpack_pass
from accelsim.units.tensor_core import RATES, TENSOR_CORES, Instruction


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_pass_takes_as_long_as_a_gpus_instruction_at_its_rate(lanes: int, sparse: bool) -> None:
    tile = Tile(lanes=lanes, sparse=sparse)
    instruction = Instruction(generation="ampere", dtype="int8", k=32 if sparse else 16, sparse=sparse)
    rate = lanes * tile.lane.multipliers
    at_their_rate = instruction.compute_clocks * (RATES["ampere"]["int8"] / TENSOR_CORES)
    assert tile.pass_cycles == instruction.products / rate == at_their_rate / rate
    passes = [Pass(sparse=sparse)] * 5
    interval = cycles(tile, passes) - cycles(tile, passes[:-1])
    assert interval == tile.pass_cycles


def test_what_gives_no_results_takes_no_time() -> None:
    assert cycles(Tile(), []) == cycles(Tile(), [Pass(gives=False)]) == 0


@pytest.mark.parametrize("begins", [ZERO, FROM_C, KEPT])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_instruction_is_packed_and_unpacked(begins: int, sparse: bool) -> None:
    step = Pass(begins=begins, gives=False, sparse=sparse, selector=int(sparse))
    assert unpack_pass(Tile(), pack_pass(Tile(), step)) == step


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (Tile, {"lanes": 2}, "lanes must be 4, 8 or 16, not 2"),
        (Tile, {"codes": "sorted"}, "codes must be ordered or any, not 'sorted'"),
        (Types, {"a_type": "s4"}, "a_type must be one of s8, u8, not 's4'"),
        (DotProduct, {"multipliers": 3}, "multipliers must be a power of two from 2 to 64, not 3"),
        (DotProduct, {"sums": 0}, "sums must be from 1 to 64, not 0"),
        (Selector, {"groups": 65}, "groups must be from 1 to 64, not 65"),
        (Metadata, {"element_bits": 4}, "element_bits must be 8 or 16, not 4"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**changes)

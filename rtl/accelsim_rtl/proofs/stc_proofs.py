"""The proofs of the sparse tensor core: what its codes pick, that its results have room, that it goes on."""

from accelsim.units.read_master import ReadMaster as ReadMasterParameters
from accelsim.units.stc.dot_product import DotProduct as DotProductParameters
from accelsim.units.stc.machine import PRESETS as MACHINES
from accelsim.units.stc.metadata import Metadata as MetadataParameters
from accelsim.units.stc.selector import Selector as SelectorParameters
from accelsim.units.stc.tile import QUADS
from accelsim.units.stc.tile import Tile as TileParameters
from accelsim_rtl.axi.registers import RegisterFile
from accelsim_rtl.proofs.claims import STREAM_RULE
from accelsim_rtl.proofs.promised_lines import PromisedLines
from accelsim_rtl.proofs.prover import Proof
from accelsim_rtl.proofs.stc_codes import MetadataRows, SelectorPicks
from accelsim_rtl.proofs.stc_progress import PassEnds, WalkEnds
from accelsim_rtl.proofs.stc_transfers import LinesTogether
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.stc.dot_product import DotProduct
from accelsim_rtl.stc.grouper import Grouper
from accelsim_rtl.stc.metadata import Metadata
from accelsim_rtl.stc.selector import Selector
from accelsim_rtl.stc.tile import Tile
from accelsim_rtl.walker import Walker

SELECTOR = "the operands picked are those that the code names, never a pruned one; what is no code is flagged"
METADATA = "a row's selects are the codes of its lane; what is no code is flagged"
PASS = "a pass is loaded in a clock a beat and multiplied in a clock a step, and its results have room"
WALK = "a walk asks for its loops' lines, all and none else, and while any is left one is asked for"
TOGETHER = "lines that follow each other are asked for once, by the first of them, and all of them"
SUMS = "room is promised to a sum before its last step, so that the stream rule holds behind it"


def _dot_product() -> PromisedLines:
    unit = DotProduct(DotProductParameters(multipliers=2, sums=2))
    return PromisedLines(unit, unit.store, moving="arrives", stages=unit.parameters.latency_cycles - 1)


PROOFS = (
    Proof(
        unit="stc.selector",
        claim=SELECTOR,
        bounds="two multiplexers of three inputs, 2 groups, 3 bits",
        harness=lambda: SelectorPicks(Selector(SelectorParameters(operand_bits=3))),
    ),
    Proof(
        unit="stc.selector",
        claim=SELECTOR,
        bounds="two multiplexers of four inputs, 2 groups, 8 bits",
        harness=lambda: SelectorPicks(Selector(SelectorParameters(codes="any"))),
    ),
    Proof(
        unit="stc.metadata",
        claim=METADATA,
        bounds="8-bit elements, ordered codes",
        harness=lambda: MetadataRows(Metadata(MetadataParameters())),
    ),
    Proof(
        unit="stc.metadata",
        claim=METADATA,
        bounds="16-bit elements, all codes",
        harness=lambda: MetadataRows(Metadata(MetadataParameters(element_bits=16, codes="any"))),
    ),
    Proof(
        unit="stc.dot_product",
        claim=SUMS,
        bounds="2 multipliers, 2 sums",
        harness=_dot_product,
    ),
    Proof(
        unit="stc.tile",
        claim=PASS,
        bounds="4 lanes, sparse",
        harness=lambda: PassEnds(Tile(TileParameters(lanes=4))),
        # Control alone is claimed; a solver that has to find factors finds no bug in hours.
        drawn=("$mul",),
    ),
    Proof(
        unit="stc.gemm",
        claim=WALK,
        bounds="its walkers alone, 3 loops of 1 to 3, addresses of 5 bits",
        harness=lambda: WalkEnds(Walker(3, 2, 5)),
    ),
    Proof(
        unit="stc",
        claim=TOGETHER,
        bounds="runs of 8 lines, addresses of 12 bits",
        harness=lambda: LinesTogether(Grouper(ReadMasterParameters(address_bits=12, count_bits=4), QUADS)),
    ),
    Proof(
        unit="stc",
        claim=STREAM_RULE,
        bounds="its registers alone; its units are proven by themselves",
        harness=lambda: Harness(RegisterFile(MACHINES["tiny"].map)),
    ),
)

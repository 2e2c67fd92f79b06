"""The proofs of SAT's units."""

from accelsim.units.sat.machine import PRESETS as MACHINES
from accelsim.units.sat_array import SatArray as SatArrayParameters
from accelsim.units.sore import Sore as SoreParameters
from accelsim.units.transpose import Transpose as TransposeParameters
from accelsim.units.wuve import Wuve as WuveParameters
from accelsim_rtl.proofs.array_sums import ArraySums
from accelsim_rtl.proofs.claims import ARRAY, LIST, SORE, STREAM_RULE, TRANSPOSE
from accelsim_rtl.proofs.prover import Proof
from accelsim_rtl.proofs.sat_progress import ListEnds
from accelsim_rtl.proofs.sat_requests import SteadyRequests
from accelsim_rtl.proofs.sore_groups import SoreGroups
from accelsim_rtl.proofs.transpose_tiles import TransposeTiles
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.sat.array import SatArray
from accelsim_rtl.sat.controller import Controller
from accelsim_rtl.sat.reads import Reads
from accelsim_rtl.sat.transpose import Transpose
from accelsim_rtl.sat.wuve import Wuve
from accelsim_rtl.sore import Sore

PROOFS = (
    Proof(
        unit="sat.sore",
        claim=SORE,
        bounds="2:4, 1 lane, 6 bits",
        harness=lambda: SoreGroups(Sore(SoreParameters(n=2, m=4, lanes=1, value_bits=6))),
    ),
    Proof(
        unit="sat.sore",
        claim=SORE,
        bounds="2:8, 1 lane, 16 bits",
        harness=lambda: SoreGroups(Sore(SoreParameters(n=2, m=8, lanes=1, value_bits=16))),
    ),
    Proof(
        unit="sat.sore",
        claim=SORE,
        bounds="3:5, 2 lanes, 5 bits",
        harness=lambda: SoreGroups(Sore(SoreParameters(n=3, m=5, lanes=2, value_bits=5))),
    ),
    Proof(
        unit="sat.sore",
        claim=SORE,
        bounds="1:4, 1 lane, 6 bits",
        harness=lambda: SoreGroups(Sore(SoreParameters(n=1, m=4, lanes=1, value_bits=6))),
    ),
    Proof(
        unit="sat.uspe",
        claim=ARRAY,
        bounds="1 element of 1 sum, groups of 2",
        harness=lambda: ArraySums(SatArray(SatArrayParameters(rows=1, cols=1, group=2, longest=2))),
    ),
    Proof(
        unit="sat.array",
        claim=ARRAY,
        bounds="1 element of 2 sums, groups of 1",
        harness=lambda: ArraySums(
            SatArray(SatArrayParameters(rows=1, cols=1, group=1, interleave=2, longest=4))
        ),
    ),
    Proof(
        unit="sat.transpose",
        claim=TRANSPOSE,
        bounds="tiles of 4 x 4 numbers of 2 bits",
        harness=lambda: TransposeTiles(Transpose(TransposeParameters(side=4, value_bits=2))),
    ),
    Proof(
        unit="sat.wuve",
        claim=STREAM_RULE,
        bounds="1 lane, adders and multipliers of 1 clock",
        harness=lambda: Harness(Wuve(WuveParameters(lanes=1))),
    ),
    Proof(
        unit="sat",
        claim=LIST,
        bounds="its controller alone, 16-bit counts, jobs of 16 lines",
        harness=lambda: ListEnds(Controller(MACHINES["least"])),
    ),
    Proof(
        unit="sat",
        claim=STREAM_RULE,
        bounds="the reads of a product alone, 2 sums an element, 16-bit counts, 32-bit addresses",
        harness=lambda: SteadyRequests(Reads(MACHINES["least"])),
    ),
)

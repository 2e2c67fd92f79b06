"""All proofs there are, by unit."""

from accelsim.words import unknown
from accelsim_rtl.proofs import kit_proofs, sat_proofs, spatten_proofs, stc_proofs
from accelsim_rtl.proofs.prover import Proof

PROOFS = (*kit_proofs.PROOFS, *spatten_proofs.PROOFS, *sat_proofs.PROOFS, *stc_proofs.PROOFS)


def proofs_of(unit: str) -> list[Proof]:
    """The proofs of a unit by its dotted name. Raises ValueError if there is none."""
    found = [proof for proof in PROOFS if proof.unit == unit]
    if not found:
        raise ValueError(unknown("unit with proofs", unit, dict.fromkeys(proof.unit for proof in PROOFS)))
    return found

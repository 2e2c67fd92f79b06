"""`accelsim verify UNIT --prove`: what is proven of a unit, instead of its bench."""

from __future__ import annotations

import typer

from accelsim.cli.output import step, write_json


def prove_unit(unit: str, json: str | None) -> bool:
    """Run the proofs of a unit and print a line for each; True if all hold.

    A proof has widths and depths of its own, whatever the parameters. Raises ValueError if there is none.
    """
    from accelsim_rtl.proofs.catalogue import proofs_of
    from accelsim_rtl.proofs.prover import prove

    verdicts = []
    for proof in proofs_of(unit):
        with step(f"{unit}: {proof.claim} ({proof.bounds})"):
            verdicts.append(prove(proof))
    if not write_json([verdict.as_dict() for verdict in verdicts], json):
        for verdict in verdicts:
            typer.echo("  ".join(f"{key} {value}" for key, value in verdict.as_dict().items()))
    return all(verdict.outcome == "proven" for verdict in verdicts)

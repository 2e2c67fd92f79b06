"""The comparison with the reference can fail: every planted fault is caught by random plans."""

from __future__ import annotations

from functools import cache

import pytest

from machine.compare import Outcome, differences, engine_outcome, plan_of_seed, reference_outcome
from machine.faults import FAULTS
from machine.reference import Machine

PLANS = 400


@cache
def engine_of_seed(seed: int) -> Outcome | None:
    """The engine's outcome, kept for the next fault; None if it differs from the sound reference."""
    plan, memory = plan_of_seed(seed)
    outcome = engine_outcome(plan, memory)
    return None if differences(outcome, reference_outcome(plan, memory)) else outcome


def first_difference(machine: type[Machine]) -> int | None:
    """The lowest seed whose plan shows the fault; a machine that never stops shows it too."""
    for seed in range(PLANS):
        plan, memory = plan_of_seed(seed)
        ours = engine_of_seed(seed)
        try:
            theirs = reference_outcome(plan, memory, machine, limit=2000)
        except ValueError:
            theirs = {}
        if ours is not None and differences(ours, theirs):
            return seed
    return None


@pytest.mark.parametrize("machine", FAULTS, ids=lambda machine: machine.__name__)
def test_a_planted_fault_is_caught(machine: type[Machine]) -> None:
    assert first_difference(machine) is not None, (
        f"{machine.__name__} ({machine.__doc__}) not seen in {PLANS} plans"
    )

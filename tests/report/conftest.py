"""A report of a workload from strangers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import accelsim
from accelsim import Report
from accelsim.run import SkippedLayersWarning
from strangers import hostile


@pytest.fixture(scope="session")
def report() -> Report:
    """The hostile workload on a small array."""
    with pytest.warns(SkippedLayersWarning):
        return accelsim.run(hostile(), accelsim.Systolic(rows=8, cols=8))

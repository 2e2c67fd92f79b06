"""Makes `command_line` importable; a workload file; no progress from the commands of these tests."""

import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim import Attention, Matmul, Unknown, Workload
from accelsim.golden.formats import Bitmap

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A workload file with a pruned product, attention and an operator that nothing runs."""
    kept = np.zeros((32, 64), np.bool_)
    kept[:, ::4] = True
    workload = Workload(
        model="small",
        layers=(
            Matmul(name="block.0.up", m=16, n=32, k=64, mask=Bitmap.pack(kept)),
            Attention(
                name="block.0.attention", heads=2, kv_heads=2, queries=16, keys=16, dim=32, value_dim=32
            ),
            Unknown(name="block.0.scan", op="scan", macs=100),
        ),
        notes=("inputs: 1x16",),
    )
    workload.save(tmp_path / "small.npz")
    return tmp_path / "small.npz"


@pytest.fixture(autouse=True)
def on_a_fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long enough for a line of progress, not even where the engine is compiled first."""
    monkeypatch.setattr("accelsim.cli.output.SECONDS_BETWEEN_LINES", 3600.0)

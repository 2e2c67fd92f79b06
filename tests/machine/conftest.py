"""Makes `machine.reference`, `machine.plans` and the controller of `tests/dram` importable, whatever the folder pytest is started in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dram"))

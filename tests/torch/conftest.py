"""Makes `architectures` importable; torch's threads wait without spinning, whatever else the machine does."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Where torch is not installed this folder itself is found under its name, as a package without a file.
_torch = find_spec("torch")
if "CI" not in os.environ and (_torch is None or _torch.origin is None):
    collect_ignore_glob = ["test_*.py"]

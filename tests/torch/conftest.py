"""Torch's threads wait without spinning, whatever else the machine does; read when torch loads."""

import os
from importlib.util import find_spec

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Where torch is not installed this folder itself is found under its name, as a package without a file.
_torch = find_spec("torch")
if "CI" not in os.environ and (_torch is None or _torch.origin is None):
    collect_ignore_glob = ["test_*.py"]

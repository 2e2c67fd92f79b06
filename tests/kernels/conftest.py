"""What all tests of kernels share: `drawn` on the path, no time limit, threads that wait without spinning."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent))
# Read when an OpenMP library loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

settings.register_profile("kernels", deadline=None, max_examples=30)
settings.load_profile("kernels")

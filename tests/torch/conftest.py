"""Torch's threads wait without spinning, whatever else the machine does; read when torch loads."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""Makes the helpers beside the tests importable: there is no `__init__.py` below `tests/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Design-space sweeps: models x recipes x machines x parameters, on Dask, each result saved as it ends.

Needs the `sweep` extra. `read_space` reads a file, `sweep` visits its points; `rows`, `front` and `export`
are for what came out.
"""

from accelsim.extras import require

require("sweep", "distributed", "yaml", "pydantic", "pyarrow", extra="sweep")

from accelsim.sweep.export import check_suffix, export, front, rows  # noqa: E402
from accelsim.sweep.running import Visited, database_of, sweep  # noqa: E402
from accelsim.sweep.space import Space, SpaceError, read_space  # noqa: E402
from accelsim.sweep.store import StoreError, finished  # noqa: E402

__all__ = [
    "Space",
    "SpaceError",
    "StoreError",
    "Visited",
    "check_suffix",
    "database_of",
    "export",
    "finished",
    "front",
    "read_space",
    "rows",
    "sweep",
]

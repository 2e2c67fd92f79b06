"""`kernel` and `inlined`: numba's njit with a cache that cannot go stale across files.

Numba's own cache looks only at the file of the compiled function, so a change in a callee in another
file is missed. Here the cache folder is named by a hash of the folders whose kernels call each other;
a kernel elsewhere calls kernels of its own file, or of these folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

SHARED = ("dram", "engine")

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile with numba (nopython, cached). Arrays and scalars only; the caller allocates.

    `_nrt=False` leaves numba's reference counts out: they cost 40 ns for each array that a helper is
    given, which made the engine 20 times slower. A kernel that allocates then fails to compile.
    """
    before = numba.config.CACHE_DIR
    # Read by numba when the decorator runs, so nobody else's functions are moved.
    numba.config.CACHE_DIR = before or _cache_folder()
    try:
        compiled: Function = numba.njit(cache=True, _nrt=False)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def inlined(function: Function) -> Function:
    """A helper of kernels, compiled into each caller: with many arrays a call costs more than its work.

    Against calls this halves both the engine's run time and its compilation.
    """
    compiled: Function = numba.njit(inline="always", _nrt=False)(function)
    return compiled


def called(function: Function) -> Function:
    """A helper of kernels that is compiled by itself and called: for a part that is large and works long.

    The time of inlining grows with the square of what a kernel holds.
    """
    compiled: Function = numba.njit(_nrt=False)(function)
    return compiled


@cache
def _cache_folder() -> str:
    """Folder below the package if it can be written, else '' (numba's own choice)."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for folder in SHARED:
        for source in sorted((package / folder).glob("*.py")):
            digest.update(source.read_bytes())
    kernels = package / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"
    try:
        kernels.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(kernels)

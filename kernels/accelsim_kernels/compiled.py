"""`kernel`, `parallel` and `inlined`: numba's njit, with a cache that follows the sources of all kernels.

Numba's own cache looks only at the file of the compiled function and misses a change in a callee in another
file. Threads are OpenMP's, as torch's are; they wait without spinning, or a busy machine crawls.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

# Read when an OpenMP library loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numba

KERNELS = (
    "attention",
    "compiled",
    "fixed_products",
    "lanes",
    "packing",
    "products",
    "quantisation",
    "selection",
)
"""Files that are compiled, or that compiled code calls."""

# `_nrt=False`: no reference counts, so that arrays cost nothing to pass. A kernel cannot allocate then.
OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile for one thread. Arrays and scalars only; the caller allocates."""
    return _cached(function, OPTIONS)


def parallel(function: Function) -> Function:
    """Compile with `prange` spread over threads."""
    return _cached(function, {"parallel": True, "error_model": "numpy", "no_cfunc_wrapper": True})


def inlined(function: Function) -> Function:
    """A part of kernels, inlined into each caller by LLVM. Python cannot call it while compiled."""
    compiled: Function = numba.njit(forceinline=True, no_cpython_wrapper=True, **OPTIONS)(function)
    return compiled


def threads() -> int:
    """Threads that a parallel kernel runs on."""
    count: int = numba.get_num_threads()
    return count


def _cached(function: Function, options: dict[str, Any]) -> Function:
    before = numba.config.CACHE_DIR
    # Read by numba when the decorator runs, so nobody else's functions are moved.
    numba.config.CACHE_DIR = before or _cache_folder()
    try:
        compiled: Function = numba.njit(cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


@cache
def _cache_folder() -> str:
    """Folder below the package if it can be written, else '' (numba's own choice)."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in KERNELS:
        digest.update((package / f"{name}.py").read_bytes())
    folder = package / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder)

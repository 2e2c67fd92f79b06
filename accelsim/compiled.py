"""`kernel` and `inlined`: numba's njit with a cache that cannot go stale across files.

Numba's own cache looks only at the file of the compiled function, so a change in a callee in another
file is missed. Here the cache folder is named by a hash of the folders whose kernels call each other;
a kernel elsewhere calls kernels of its own file, or of these folders.
"""

from __future__ import annotations

import dis
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TypeVar

import numba

SHARED = ("dram", "engine")
# Whoever divides has seen to it that the divisor is not 0.
OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile with numba (nopython, cached). Arrays and scalars only; the caller allocates.

    `_nrt=False` leaves numba's reference counts out: they cost 40 ns for each array that a helper is
    given, which made the engine 20 times slower. A kernel that allocates then fails to compile.
    `nogil`: other threads go on meanwhile, such as the one that hears Ctrl-C.
    """
    before = numba.config.CACHE_DIR
    # Read by numba when the decorator runs, so nobody else's functions are moved.
    numba.config.CACHE_DIR = before or _cache_folder()
    try:
        compiled: Function = numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, **OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def inlined(function: Function) -> Function:
    """A helper of kernels, inlined into each caller: with many arrays a call costs more than its work.

    LLVM inlines it, once it has its types: numba's own inlining repeats their inference for every call, and
    its wrappers for callers in Python, which a helper has none of, take longer to compile than the helper.
    An argument that is a literal makes a type, and a version, of its own. Python cannot call it.
    """
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: Function = numba.njit(forceinline=True, **wrappers, **OPTIONS)(function)
    return compiled


def in_compiled_code(frame: FrameType) -> bool:
    """Whether the frame, a thread's innermost, is at a call of a kernel, or of LLVM, which compiles it.

    Such a call writes no file, and Python's signal handlers wait for its end. What the frame calls is read
    from its bytecode: names and attributes of modules are looked up, all else counts as not compiled.
    """
    if frame.f_globals.get("__name__", "").startswith("llvmlite.binding."):
        return True
    return isinstance(_called(frame), numba.core.dispatcher.Dispatcher)


def _called(frame: FrameType) -> Any:
    """What stands before the bracket of the call that the frame is at; None if it is no plain name."""
    steps = list(dis.get_instructions(frame.f_code))
    call = next((step for step in steps if step.offset == frame.f_lasti), None)
    if call is None or not call.opname.startswith("CALL") or call.positions is None:
        return None
    begin = call.positions.lineno, call.positions.col_offset
    found: Any = None
    for step in steps:
        where = step.positions
        if step.offset >= call.offset or where is None or (where.lineno, where.col_offset) != begin:
            continue
        name = step.argval
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found = frame.f_globals.get(name)
        elif step.opname.startswith(("LOAD_FAST", "LOAD_DEREF")):
            found = frame.f_locals.get(name)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            found = vars(found).get(name) if isinstance(found, ModuleType) else None
        elif step.opname.startswith("CALL"):
            found = None
    return found


@cache
def _cache_folder() -> str:
    """Folder below the package if it can be written, else '' (numba's own choice)."""
    package = Path(__file__).parent
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in SHARED:
        for source in sorted((package / folder).glob("*.py")):
            digest.update(source.read_bytes())
    kernels = package / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"
    try:
        kernels.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(kernels)

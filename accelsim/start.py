"""Ctrl-C while the command still imports what it needs: status 130 and no traceback, as at any other time.

A command's first second is imports, and most of them are the package's own, so the package guards them. A
program that imports accelsim keeps its KeyboardInterrupt.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

INTERRUPTED = 130


def guarded_imports() -> AbstractContextManager[None]:
    """`quiet_interrupts` if this process is the command, by either of its names; else nothing."""
    program = sys.argv[0] if sys.argv else ""
    # While `python -m accelsim` imports the package, this is all that stands there.
    is_module = program == "-m" and "accelsim" in sys.orig_argv
    return quiet_interrupts() if is_module or Path(program).stem == "accelsim" else nullcontext()


def interrupts_are_default() -> bool:
    """Whether an interrupt is answered here, in the main thread, and nobody has said how."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """While this lasts, an interrupt ends the process. Nothing may be begun that has to be cleaned up."""
    if not interrupts_are_default():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

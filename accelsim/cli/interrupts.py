"""Ctrl-C that ends the program at once, also in compiled code, for whose end Python's own handler waits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
PATIENCE_S = 0.3
"""Python code answers within far less; what does not is compiled code, which writes no file."""


@contextmanager
def prompt_interrupts() -> Iterator[None]:
    """While this lasts, an interrupt that finds compiled code at work ends the process with status 130."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    heard = threading.Event()

    def answer(_number: int, _frame: FrameType | None) -> None:
        heard.set()
        raise KeyboardInterrupt

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Written to by the signal itself; compiled code has let go of the interpreter, so a thread can read it.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, answer)
    watcher = threading.Thread(target=_watch, args=(reader, heard), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int, heard: threading.Event) -> None:
    while number := os.read(reader, 1):
        if number[0] == signal.SIGINT:
            if not heard.wait(PATIENCE_S):
                os._exit(INTERRUPTED)
            heard.clear()

"""Ctrl-C that ends the program at once, also in compiled code, for whose end Python's own handler waits.

Python code answers an interrupt itself: KeyboardInterrupt, and everybody cleans up. While it has not, a
thread looks now and then where the main thread is. If that is twice the same call of a kernel or of the
compiler, nothing is being written: drafts of files are taken away and the process ends. Anything else, such
as a long write, is waited for.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from accelsim.compiled import in_compiled_code
from accelsim.files import remove_drafts
from accelsim.start import INTERRUPTED, interrupts_are_default

PATIENCE_S = 0.3
"""Between two looks. Python code answers within far less."""

MOST_SIGNALS = 4096
"""Taken from the pipe at once."""


@contextmanager
def prompt_interrupts() -> Iterator[None]:
    """While this lasts, an interrupt that finds compiled code at work ends the process with status 130."""
    if not interrupts_are_default():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    interrupts = Interrupts(reader)
    # Written to by the signal itself; compiled code has let go of the interpreter, so a thread can read it.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, interrupts.answer)
    watcher = threading.Thread(target=interrupts.watch, args=(threading.get_ident(),), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        interrupts.close()
        os.close(writer)
        watcher.join()
        os.close(reader)


class Interrupts:
    """Interrupts that the pipe brought and Python has not answered yet.

    Python answers several that came together once: an answer is one to all that the pipe holds by then.
    """

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._unanswered = 0
        self._closed = False
        # An interrupt may interrupt the answer to another.
        self._changed = threading.Condition(threading.RLock())

    def answer(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the signal."""
        with self._changed:
            self._taken()
            self._unanswered = 0
            self._changed.notify_all()
        raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing is to be watched any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def watch(self, main_thread: int) -> None:
        """End the process when the main thread stays in compiled code; return when the pipe is closed."""
        while not self._closed:
            select.select([self._reader], [], [])
            with self._changed:
                self._unanswered += self._taken().count(signal.SIGINT)
                place = _place(main_thread)
                while not self._changed.wait_for(self._answered, timeout=PATIENCE_S):
                    seen, place = place, _place(main_thread)
                    if place is not None and place == seen:
                        remove_drafts()
                        os._exit(INTERRUPTED)

    def _answered(self) -> bool:
        return self._closed or not self._unanswered

    def _taken(self) -> bytes:
        with suppress(BlockingIOError):
            return os.read(self._reader, MOST_SIGNALS)
        return b""


def _place(thread: int) -> tuple[FrameType, int] | None:
    """Where the thread is, if that is in compiled code."""
    frame = sys._current_frames().get(thread)
    return (frame, frame.f_lasti) if frame is not None and in_compiled_code(frame) else None

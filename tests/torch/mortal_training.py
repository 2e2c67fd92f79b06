"""Runs `accelsim train` in processes that die at a chosen moment; what it imports is imported once, before.

For each line of JSON on stdin, {"arguments": [...], "operations": n or null, "seconds": s or null}, it prints
the exit status: -9 for a process that was killed. `operations`: before its nth operation on a file of its
folder, the one behind -o. `seconds`: after so many.
"""

import json
import os
import signal
import sys
import threading

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import torch
import torch._dynamo  # with the first optimiser

from accelsim.cli import main
from accelsim.training import loop, saving  # noqa: F401

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.chmod", "os.remove")
TEST_SAMPLES = 100


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def mortal(arguments: list[str], operations: int | None, seconds: float | None) -> int:
    """Train, unless death comes first."""
    folder = os.path.realpath(arguments[arguments.index("-o") + 1])
    left = operations

    def operation(event: str, details: tuple[object, ...]) -> None:
        nonlocal left
        if left is not None and event in OPERATIONS and str(details[0]).startswith(folder):
            left -= 1
            if left == 0:
                die()

    sys.addaudithook(operation)
    if seconds is not None:
        threading.Timer(seconds, die).start()
    torch.set_num_threads(1)
    loop.Settings.__init__.__kwdefaults__["test_samples"] = TEST_SAMPLES  # the command has no flag for it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return main(arguments)


for line in sys.stdin:
    wanted = json.loads(line)
    if (child := os.fork()) == 0:
        os._exit(mortal(wanted["arguments"], wanted["operations"], wanted["seconds"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

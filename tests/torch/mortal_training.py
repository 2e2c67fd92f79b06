"""Runs `accelsim train` in processes that die at a chosen moment; what it imports is imported once, before.

For each line of JSON on stdin, {"arguments": [...], KIND: n}, it prints the exit status, which is negative
for a process that was killed. KIND is one of three, or left out: `operations`, before its nth operation on a
file of its folder, the one behind -o; `bytes`, in the middle of a write, when a file grows beyond so many;
`seconds`, after so many.
"""

import json
import os
import resource
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


def die_in_operation(left: int, folder: str) -> None:
    def operation(event: str, details: tuple[object, ...]) -> None:
        nonlocal left
        if event in OPERATIONS and str(details[0]).startswith(folder):
            left -= 1
            if left == 0:
                die()

    sys.addaudithook(operation)


def die_in_write(most: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def mortal(wanted: dict[str, object]) -> int:
    """Train, unless death comes first."""
    arguments = wanted["arguments"]
    torch.set_num_threads(1)
    loop.Settings.__init__.__kwdefaults__["test_samples"] = TEST_SAMPLES  # the command has no flag for it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if "operations" in wanted:
        die_in_operation(wanted["operations"], os.path.realpath(arguments[arguments.index("-o") + 1]))
    if "bytes" in wanted:
        die_in_write(wanted["bytes"])
    if "seconds" in wanted:
        threading.Timer(wanted["seconds"], die).start()
    return main(arguments)


for line in sys.stdin:
    if (child := os.fork()) == 0:
        os._exit(mortal(json.loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

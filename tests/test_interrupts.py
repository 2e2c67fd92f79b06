"""Ctrl-C ends the program at once and without a traceback, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time

import pytest

SPINNING = """
import sys, time
from accelsim.cli import counts, main

def at_work(*_, **__):
    print("at work", flush=True)
    {work}

counts.run = at_work
sys.exit(main(["gemm", "8", "8", "8", "--on", "systolic"]))
"""


def interrupted(work: str, **environment: str) -> tuple[int, float, str]:
    """Exit status, seconds after the signal, and what was said on stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", SPINNING.format(work=work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        # Whoever runs the tests in the background may have them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "at work\n"
            time.sleep(1.0)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
            return process.returncode, time.monotonic() - started, said
        finally:
            process.kill()


WORK = {
    "waiting": "time.sleep(60)",
    "python": "exec('while True: pass')",
    "compiled": "import test_interrupts_spin; test_interrupts_spin.spin()",
}


@pytest.mark.parametrize("work", WORK)
def test_an_interrupt_ends_it_at_once(work: str, tmp_path) -> None:
    (tmp_path / "test_interrupts_spin.py").write_text(
        "from accelsim.compiled import kernel\n"
        "@kernel\n"
        "def spin():\n"
        "    count = 1\n"
        "    while count != 0:\n"
        "        count = (count * 3) & 1023 | 1\n"
        "    return count\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    status, seconds, said = interrupted(WORK[work], PYTHONPATH=path)
    assert status == 130
    assert seconds < 20  # it would be never
    assert said == ""

"""Ctrl-C ends the program at once and without a traceback, whatever it is doing."""

import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
import types
from pathlib import Path

import pytest

from accelsim.compiled import in_compiled_code, kernel
from accelsim.start import quiet_interrupts

ROOT = Path(__file__).resolve().parents[1]

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
    """Exit status, seconds after the signal, and what was said on stderr, of a `gemm` that does `work`."""
    return interrupted_at_work(sys.executable, "-c", SPINNING.format(work=work), settled_s=1.0, **environment)


def interrupted_at_work(*words: str, settled_s: float = 0.1, **environment: str) -> tuple[int, float, str]:
    """The same of a command that prints `at work` when the signal is to come."""
    with subprocess.Popen(
        words,
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
            time.sleep(settled_s)
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
    "compiled, in a file": "import test_interrupts_spin; test_interrupts_spin.spin_in_a_file()",
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
        "def spin_in_a_file():\n"
        "    import os\n"
        "    from accelsim.files import whole_file\n"
        "    with whole_file(os.environ['OUT']) as file:\n"
        "        file.write('begun')\n"
        "        spin()\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    (tmp_path / "out").mkdir()
    status, seconds, said = interrupted(WORK[work], PYTHONPATH=path, OUT=str(tmp_path / "out" / "file"))
    assert status == 130
    assert not list((tmp_path / "out").iterdir())
    assert seconds < 20  # it would be never
    assert said == ""


# A call in C that lets other threads go on, and takes a few seconds, as a long write does.
BUSY = """
    import hashlib
    try:
        hashlib.pbkdf2_hmac("md5", b"a", b"b", 5_000_000)
    finally:
        print("cleaned up", file=sys.stderr)
"""


def test_what_may_be_a_write_is_waited_for_and_cleans_up() -> None:
    status, _, said = interrupted(BUSY)
    assert (status, said) == (130, "cleaned up\n")


# What pip writes for the command.
SCRIPT = """
import sys
from {module} import {function}
sys.exit({function}())
"""


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, list[str]]:
    """The command by both of its names, and a program that imports accelsim and knows what to do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["accelsim"].split(":")
    (tmp_path / "accelsim").write_text(SCRIPT.format(module=module, function=function))
    (tmp_path / "other.py").write_text("try:\n    import accelsim\nexcept KeyboardInterrupt:\n    exit(3)\n")
    return {
        "accelsim": [sys.executable, str(tmp_path / "accelsim")],
        "python -m accelsim": [sys.executable, "-m", "accelsim"],
        "other": [sys.executable, str(tmp_path / "other.py")],
    }


@pytest.mark.parametrize(
    ("program", "imported", "expected"),
    [
        # The package imports numba, the command line typer.
        ("accelsim", "numba", 130),
        ("accelsim", "typer", 130),
        ("python -m accelsim", "numba", 130),
        ("python -m accelsim", "typer", 130),
        ("other", "numba", 3),
    ],
)
def test_an_interrupt_of_the_imports_is_quiet_in_the_command_alone(
    programs: dict[str, list[str]], tmp_path: Path, program: str, imported: str, expected: int
) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / f"{imported}.py").write_text("import time\nprint('at work', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(slow), str(ROOT), os.environ.get("PYTHONPATH", "")])
    status, _, said = interrupted_at_work(*programs[program], PYTHONPATH=path)
    assert (status, said) == (expected, "")


def test_after_its_imports_the_command_can_be_interrupted_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with quiet_interrupts():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        # Whoever started it may want it to go on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with quiet_interrupts():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@kernel
def odd(rounds: int) -> int:
    count = 1
    for _ in range(rounds):
        count = (count * 3) & 1023 | 1
    return count


@pytest.mark.slow  # without compilation
@pytest.mark.parametrize(
    "call", ["odd(rounds)", "module.odd(rounds)", "[0, abs(odd(\n  rounds))]", "odd(*[rounds])"]
)
def test_a_call_of_a_kernel_is_known(call: str) -> None:
    odd(1)
    module = types.ModuleType("module")
    module.odd = odd  # type: ignore[attr-defined]
    names = {"odd": odd, "module": module, "rounds": 10**9}
    thread = threading.Thread(target=exec, args=(call, names), daemon=True)
    thread.start()
    known = False
    while thread.is_alive() and not known:
        time.sleep(0.02)
        frame = sys._current_frames().get(thread.ident or 0)
        known = frame is not None and in_compiled_code(frame)
    assert known
    thread.join()


def test_a_call_of_anything_else_is_not() -> None:
    assert not in_compiled_code(sys._getframe())
    assert not in_compiled_code((lambda: sys._getframe())())

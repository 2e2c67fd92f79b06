"""Finds the programs that the tests call, and installs missing Debian packages where that is allowed.

    python tests/system.py PROGRAM=PACKAGE ...

Exit status 1, with the command to type, if a program is still missing.
"""

import os
import shutil
import subprocess
import sys


def main(pairs: list[str]) -> str | None:
    """The complaint for the shell, or None if every program is there."""
    wanted = dict(pair.split("=", 1) for pair in pairs)
    # The package lists may be older than the mirror: a failed install is tried again after an update.
    if not _install(_missing(wanted)) and _apt("update", "-q"):
        _install(_missing(wanted))
    missing = _missing(wanted)
    return f"the tests need: sudo apt-get install {' '.join(missing)}" if missing else None


def _missing(wanted: dict[str, str]) -> list[str]:
    return sorted({package for program, package in wanted.items() if shutil.which(program) is None})


def _install(packages: list[str]) -> bool:
    return not packages or _apt("install", "-y", "--no-install-recommends", *packages)


def _apt(*words: str) -> bool:
    """Runs apt-get as root, or by a sudo that asks nothing; False if it cannot or fails."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words]
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]
    if shutil.which("apt-get") is None or shutil.which(command[0]) is None:
        return False
    return subprocess.call(command, stdin=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

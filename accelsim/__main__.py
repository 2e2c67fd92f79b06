"""The command `accelsim`, which is also `python -m accelsim`."""

import sys

from accelsim.start import quiet_interrupts


def main() -> int:
    """Run the command line on the arguments of the process and give the exit status."""
    with quiet_interrupts():
        from accelsim.cli import main as command
    return command()


if __name__ == "__main__":
    sys.exit(main())

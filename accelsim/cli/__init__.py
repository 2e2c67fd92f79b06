"""The command line: one file per family of commands. Results go to stdout, everything else to stderr.

Exit status 0 on success and 2 on a user's mistake, which is answered by one line.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from accelsim import __version__
from accelsim.cli import counts, dram, hardware, lists, models, sweep, training
from accelsim.cli.interrupts import prompt_interrupts
from accelsim.cli.output import ARGUMENTS
from accelsim.run import SkippedLayersWarning
from accelsim.start import INTERRUPTED

MISTAKE, PIPE_CLOSED = 2, 141

# Typer may bring its own copy of click, so the base class of its errors is found, not imported.
ClickError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models.add_commands(app)
counts.add_commands(app)
dram.add_commands(app)
hardware.add_commands(app)
training.add_commands(app)
sweep.add_commands(app)
lists.add_commands(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process) and give the exit status."""
    with warnings.catch_warnings(), prompt_interrupts():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", SkippedLayersWarning)
        given = sys.argv[1:] if arguments is None else list(arguments)
        ARGUMENTS.set(given)
        try:
            status = get_command(app).main(args=given, prog_name="accelsim", standalone_mode=False)
            sys.stdout.flush()
            return status if isinstance(status, int) else 0
        except ClickError as error:
            return _mistake(_spelled_out(error, given))
        except (KeyboardInterrupt, typer.Abort):
            return INTERRUPTED
        except BrokenPipeError:
            return _pipe_closed()
        except SystemExit as leaving:
            # The parser turns a closed pipe into status 1, which here is a failed check.
            if isinstance(leaving.__context__, BrokenPipeError):
                return _pipe_closed()
            raise
        except OSError as error:
            # Files say their names or flags: where there is none, it is what is printed that finds no room.
            where = error.filename or ("stdout cannot be written" if error.errno == errno.ENOSPC else "")
            return _mistake(f"{where}: {error.strerror}" if where else str(error))
        except ValueError as error:
            return _mistake(str(error))
        except MemoryError as error:
            return _mistake(f"what was asked for must fit the memory of this computer: {error or 'no room'}")


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """From a pruned PyTorch model to cycles, bytes, joules and Verilog.

    \b
    Example:
      accelsim run minilm --prune magnitude,2:8 --on sat
    """
    if version:
        typer.echo(f"accelsim {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def _spelled_out(error: Any, arguments: Sequence[str]) -> str:
    """The parser's message, in the same words by every version of it for what is no option.

    A negative number in a size's place looks like an option to it.
    """
    name: str | None = getattr(error, "option_name", None)
    if type(error).__name__ != "NoSuchOption" or name is None:
        return str(error.format_message())
    if re.match(r"-\d", name):
        word = next(word for word in arguments if re.match(r"-\d", word))
        return f"a size must be a whole number >= 1, not {word}"
    near = ", ".join(error.possibilities or ())
    return f"No such option: {name}" + (f"; did you mean {near}?" if near else "")


def _pipe_closed() -> int:
    """The reader went away (`| head`): say nothing, and keep the interpreter from trying again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return PIPE_CLOSED


def _mistake(message: str) -> int:
    print(f"accelsim: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

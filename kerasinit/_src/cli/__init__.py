"""The command line: ``kerasinit lottery run`` and others; ``diagnose``, ``shrink``, ..."""

import sys
import warnings
from collections.abc import Sequence

import tyro

from kerasinit._src.cli import (
    diagnosis,
    failures,
    lottery,
    playground,
    questions,
    shrinking_commands,
    startup_notes,
)
from kerasinit._src.lottery import options
from kerasinit._src.reports import terminal
from kerasinit._src.version import __version__

_kerasinit = tyro.extras.SubcommandApp()
_kerasinit.command(lottery.app, name="lottery")
# Raised by this package and its dependencies for wrong arguments and files. All else is a bug.
_INPUT_ERRORS = (ValueError, TypeError, ArithmeticError, ImportError, OSError)
questions.add_to(lottery.app)
diagnosis.add_to(_kerasinit)
shrinking_commands.add_to(_kerasinit)
playground.add_to(_kerasinit)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its exit code.

    0 is success; 1 is the answer no; 2 means that the command failed, with the error on standard
    error, and a traceback if the error is from the user's code, such as a function that builds a
    model; 130 means that the user interrupted it.

    Args:
        arguments: The words after ``kerasinit``; those of the process by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"kerasinit {__version__}")
        sys.exit()
    terminal.print_undecoded()
    usual, warnings.formatwarning = warnings.formatwarning, _without_source
    try:
        if words[:2] == ["lottery", "run"]:
            words[2:] = options.expand(words[2:])
        with startup_notes.hidden(), lottery.values:
            # None is never typed, and optional booleans are pairs of flags.
            code = _kerasinit.cli(prog="kerasinit", args=words, config=(tyro.conf.DisallowNone,))
    except Exception as error:
        trace = failures.user_traceback(error)
        if trace is None and not isinstance(error, _INPUT_ERRORS):
            raise
        print(f"{trace or ''}kerasinit: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        kept = " Finished trainings are kept; the same command resumes."
        print(f"Stopped.{kept if words[:1] == ['lottery'] else ''}", file=sys.stderr)
        code = 130
    finally:
        warnings.formatwarning = usual
    sys.exit(code)


def _without_source(message: Warning | str, *_: object, **__: object) -> str:
    """Format a warning without the line of source code."""
    return f"Warning: {message}\n"

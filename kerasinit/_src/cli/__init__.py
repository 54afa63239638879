"""The command line: ``kerasinit lottery run``, ``report`` and others; ``diagnose``, ``compare``."""

import sys
import warnings
from collections.abc import Sequence

import tyro

from kerasinit._src.cli import diagnosis, failures, lottery, questions
from kerasinit._src.lottery import options
from kerasinit._src.reports import terminal

_kerasinit = tyro.extras.SubcommandApp()
_kerasinit.command(lottery.app, name="lottery")
# What this package and those beneath it raise about arguments and files. All else is a fault.
_ABOUT_WHAT_WAS_TYPED = (ValueError, TypeError, ArithmeticError, ImportError, OSError)
questions.add_to(lottery.app)
diagnosis.add_to(_kerasinit)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code.

    0 is success; 2 says that something asked for cannot be done, which is written to
    standard error, with a traceback if it comes out of code of the user's own, such as a function
    that builds a model; 130 that the user stopped it.

    Args:
        arguments: The words after ``kerasinit``; those of the process by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal.print_undecoded()
    usual, warnings.formatwarning = warnings.formatwarning, _without_source
    try:
        if words[:2] == ["lottery", "run"]:
            words[2:] = options.expand(words[2:])
        with lottery.values:
            # What may be left open has no word for it: None is not to be typed, and an option
            # that is yes or no stays a pair of flags.
            code = _kerasinit.cli(prog="kerasinit", args=words, config=(tyro.conf.DisallowNone,))
    except Exception as error:
        own = failures.report(error)
        if own is None and not isinstance(error, _ABOUT_WHAT_WAS_TYPED):
            raise
        print(f"{own or ''}kerasinit: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        kept = " What was finished is kept; the same command goes on."
        print(f"Stopped.{kept if words[:1] == ['lottery'] else ''}", file=sys.stderr)
        code = 130
    finally:
        warnings.formatwarning = usual
    sys.exit(code)


def _without_source(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning as who types commands reads it: without a line of our source."""
    return f"Warning: {message}\n"

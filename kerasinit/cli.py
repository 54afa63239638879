"""The command line: ``kerasinit lottery run``, ``report``, and the questions about tickets.

The options of a run are the fields of `kerasinit.lottery.Experiment`; they are
declared there, once.
"""

import json
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kerasinit import cli_questions
from kerasinit.lottery import Experiment, report, run
from kerasinit.lottery.progress import ConsoleWatch
from kerasinit.lottery.store import Store

_lottery = tyro.extras.SubcommandApp()
_kerasinit = tyro.extras.SubcommandApp()
_kerasinit.command(_lottery, name="lottery")
_values = tyro.constructors.ConstructorRegistry()


@_values.primitive_rule
def _comma_separated(
    kind: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """Read ``a,b`` as a tuple of names, and ``none`` as an empty one."""
    if typing.get_origin(kind.type) is not tuple:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME,...",
        instance_from_str=lambda words: () if words[0] == "none" else tuple(words[0].split(",")),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(value) or "none"],
    )


@_lottery.command(name="run")
def _run(experiment: Annotated[Experiment, tyro.conf.arg(name="")], out: Path | None = None) -> int:
    """Train, prune, rewind, again; a run that was stopped goes on where it was.

    Args:
        experiment: What to run.
        out: the folder for the results; if not given, one named after the options
    """
    console = Console()
    with ConsoleWatch(console) as watch:
        store = run(experiment, out=out, watch=watch)
    console.print(report.table(store))
    last = max(place for place in store.places() if place.branch == "ticket")
    wrote = [
        ("everything", store.folder),
        ("sparsest ticket", store.stage(last).ticket_path),
        ("its trained model", store.stage(last).model_path),
    ]
    picture = store.folder / "accuracy.png"
    try:
        report.plot(store, picture)
        wrote.append(("picture", picture))
    except ImportError as error:
        console.print(f"No picture: {error}")
    for what, path in wrote:
        console.print(f"{what + ':':18s} {path}", soft_wrap=True, highlight=False)
    return 0


@_lottery.command(name="report")
def _report(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Print the table of a run again.

    Args:
        folder: the folder of the run
        json_: print a list of rows for programs instead
    """
    if json_:
        print(json.dumps(report.rows(folder), indent=2))
        return 0
    store = Store.read(folder)
    console = Console()
    console.print(report.table(store))
    missing = len(store.missing())
    if missing:
        console.print(f"{missing} of {len(store.places())} trainings are not finished yet.")
    return 0


cli_questions.add_to(_lottery)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code.

    0 is success; 2 says that something asked for cannot be done, which is written to
    standard error; 130 that the user stopped it.

    Args:
        arguments: The words after ``kerasinit``; those of the process by default.
    """
    try:
        with _values:
            code = _kerasinit.cli(prog="kerasinit", args=arguments)
    except (ValueError, ArithmeticError, ImportError, OSError) as error:
        print(f"kerasinit: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("Stopped. What was finished is kept; the same command goes on.", file=sys.stderr)
        code = 130
    sys.exit(code)

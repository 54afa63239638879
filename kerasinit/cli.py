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


@_lottery.command(name="lmc")
def _lmc(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    levels: Annotated[list[int] | None, tyro.conf.arg(name="level", metavar="N ...")] = None,
    points: int = 11,
    dataset: str | None = None,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Ask whether tickets are stable to the order of their data (linear mode connectivity).

    Args:
        folder: the folder of the run
        levels: the levels to ask about, beside level 0; if not given, the last one
        points: how many points of the line between two networks are looked at
        dataset: where the run's data are now, if they were moved
        out: the folder for the answers; if not given, the run's name and -lmc
        json_: print an object for programs instead of the table
    """
    # Here and below: a question is loaded when it is asked.
    from kerasinit.lottery import load
    from kerasinit.lottery.questions import lmc

    data = None if dataset is None else load(dataset)
    found = lmc(folder, levels=levels or (), points=points, out=out, data=data, say=_say)
    return _answer(found, json_)


@_lottery.command(name="transfer")
def _transfer(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    to: Annotated[str, tyro.conf.arg(metavar="DATASET")],
    levels: Annotated[list[int] | None, tyro.conf.arg(name="level", metavar="N ...")] = None,
    iterations: int | None = None,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Train the tickets of a run on other data, beside the run's controls and a dense network.

    Args:
        folder: the folder of the run
        to: the other data: digits, mnist, or FILE.npz, with examples of the run's shape
        levels: the levels of the tickets; if not given, the last one
        iterations: optimizer steps of each training; if not given, those of the run
        out: the folder for the answers; if not given, the run's name, -on- and the data's
        json_: print an object for programs instead of the table
    """
    from kerasinit.lottery.questions import transfer

    found = transfer(folder, to, levels=levels or (), iterations=iterations, out=out, say=_say)
    return _answer(found, json_)


@_lottery.command(name="earlybird")
def _earlybird(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    density: float = 0.3,
    window: int = 5,
    epsilon: float = 0.1,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Ask how soon the mask of the largest weights could be drawn from a dense network.

    Only that network is trained: options of pruning, rewinding and controls are refused.

    Args:
        experiment: What to train.
        density: the fraction of weights that the mask keeps
        window: how many masks are held against each other
        epsilon: what their distances from the newest must be below, as a fraction of all weights
        out: the folder for the answers; if not given, one named after the options
        json_: print an object for programs instead of the table
    """
    from kerasinit.lottery.questions import earlybird

    found = earlybird(
        experiment, density=density, window=window, epsilon=epsilon, out=out, say=_say
    )
    code = _answer(found, json_)
    _say(f"folder: {found.folder}")
    return code


@_lottery.command(name="sweep")
def _sweep(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    initializers: tuple[str, ...],
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Make a run for each of several initializers; those that were stopped go on.

    Args:
        experiment: What to run.
        initializers: names separated by commas, as in HeNormal,GlorotNormal,Orthogonal
        out: the folder for the runs; if not given, one named after the options
        json_: print an object for programs instead of the table
    """
    from kerasinit.lottery.questions import sweep
    from kerasinit.lottery.questions.initializer_sweep import whole_names

    console = Console(stderr=json_)
    found = sweep(
        whole_names(initializers),
        experiment,
        out=out,
        watching=lambda _: ConsoleWatch(console),
    )
    code = _answer(found, json_)
    _say(f"folder: {found.folder}")
    return code


def _say(line: str) -> None:
    """Write a line that is no part of the answer."""
    Console(stderr=True).print(line, soft_wrap=True, highlight=False)


def _answer(found: typing.Any, as_json: bool) -> int:
    """Print what a question found."""
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        Console().print(found.table())
    return 0


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

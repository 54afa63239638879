"""The commands that ask questions about tickets."""

import json
import typing
from pathlib import Path
from typing import Annotated

import tyro

from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.reports import terminal


def add_to(lottery: tyro.extras.SubcommandApp) -> None:
    """Add ``lmc``, ``transfer``, ``earlybird`` and ``sweep`` to the commands of the lottery."""
    lottery.command(name="lmc")(_lmc)
    lottery.command(name="transfer")(_transfer)
    lottery.command(name="earlybird")(_earlybird)
    lottery.command(name="sweep")(_sweep)


def _lmc(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    levels: Annotated[list[int] | None, tyro.conf.arg(name="level", metavar="N ...")] = None,
    points: int = 11,
    dataset: str | None = None,
    model: str | None = None,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Ask whether tickets are stable to the order of their data (linear mode connectivity).

    Args:
        folder: the folder of the run
        levels: the levels to ask about, beside level 0; if not given, the last one
        points: how many points on the line between two networks are evaluated
        dataset: the current location of the run's data, if they were moved
        model: the current location of the run's model, module:function, if it was in a script
        out: the folder for the answers; if not given, the run's name and -lmc
        json_: print an object as JSON instead of the table
    """
    # What imports a framework is imported here and below, so that other commands start faster.
    from kerasinit._src.lottery.questions.connectivity import lmc
    from kerasinit._src.training import models
    from kerasinit._src.training.data import load

    data = None if dataset is None else load(dataset)
    build = None if model is None else models.find(model)
    found = lmc(
        folder, levels=levels or (), points=points, out=out, data=data, build=build, say=_say
    )
    return _answer(found, json_)


def _transfer(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    to: Annotated[str, tyro.conf.arg(metavar="DATASET")],
    levels: Annotated[list[int] | None, tyro.conf.arg(name="level", metavar="N ...")] = None,
    iterations: int | None = None,
    model: str | None = None,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Train the tickets of a run on other data, with the run's controls and a dense network.

    Args:
        folder: the folder of the run
        to: the other data: digits, mnist, or FILE.npz, with examples of the run's shape
        levels: the levels of the tickets; if not given, the last one
        iterations: optimizer steps of each training; if not given, those of the run
        model: the current location of the run's model, module:function, if it was in a script
        out: the folder for the answers; if not given, the run's name, -on- and the data's
        json_: print an object as JSON instead of the table
    """
    from kerasinit._src.lottery.questions.other_data import transfer
    from kerasinit._src.training import models

    build = None if model is None else models.find(model)
    found = transfer(
        folder, to, levels=levels or (), iterations=iterations, out=out, build=build, say=_say
    )
    return _answer(found, json_)


def _earlybird(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    density: float = 0.3,
    window: int = 5,
    epsilon: float = 0.1,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Ask how early in training the mask of the largest weights stops changing.

    Only the dense network is trained: options of pruning, rewinding and controls are refused.

    Args:
        experiment: What to train.
        density: the fraction of weights that the mask keeps
        window: how many consecutive masks are compared
        epsilon: the limit of their distances from the newest one, as a fraction of all weights
        out: the folder for the answers; if not given, one named after the options
        json_: print an object as JSON instead of the table
    """
    from kerasinit._src.lottery.questions.early_bird import earlybird

    found = earlybird(
        experiment, density=density, window=window, epsilon=epsilon, out=out, say=_say
    )
    code = _answer(found, json_)
    _say(f"folder: {found.folder}")
    return code


def _sweep(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    initializers: tuple[str, ...],
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Make a run for each of several initializers; stopped runs resume.

    Args:
        experiment: What to run.
        initializers: names separated by commas, as in HeNormal,GlorotNormal,Orthogonal
        out: the folder for the runs; if not given, one named after the options
        json_: print an object as JSON instead of the table
    """
    from kerasinit._src.initializers.identifiers import whole_names
    from kerasinit._src.lottery.progress import ConsoleWatch
    from kerasinit._src.lottery.questions.initializer_sweep import sweep

    console = terminal.console(stderr=json_)
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
    """Write a line to standard error, beside the answer."""
    terminal.write(terminal.console(stderr=True), line)


def _answer(found: typing.Any, as_json: bool) -> int:
    """Print the answer to a question."""
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        terminal.show(terminal.console(), found.table())
    return 0

"""The commands of ``kerasinit lottery`` on a run: run, report, plot and others.

The options of a run are declared as the fields of `kerasinit.lottery.Experiment`.
"""

import json
import typing
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.reports import terminal

app = tyro.extras.SubcommandApp()
values = tyro.constructors.ConstructorRegistry()


@values.primitive_rule
def _comma_separated(
    kind: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """Read ``a,b`` as a tuple of names or numbers, and ``none`` as an empty one."""
    if typing.get_origin(kind.type) is not tuple:
        return None
    item = typing.get_args(kind.type)[0]
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="NUMBER,..." if item is int else "NAME,...",
        instance_from_str=lambda words: (
            () if words[0] == "none" else tuple(item(word) for word in words[0].split(","))
        ),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value)) or "none"],
    )


@values.primitive_rule
def _assignments(
    kind: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """Read ``a=0.1,b=0.2`` as numbers by name, and ``none`` as no numbers."""
    if typing.get_origin(kind.type) is not dict:
        return None

    def read(words: list[str]) -> dict[str, float]:
        pairs = [] if words[0] == "none" else [word.rpartition("=") for word in words[0].split(",")]
        return {name: float(number) for name, _, number in pairs}

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME=NUMBER,...",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [",".join(f"{k}={v}" for k, v in value.items()) or "none"],
    )


@app.command(name="run")
def _run(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    spec: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[SPEC.toml]")] = None,
    preset: str | None = None,
    out: Path | None = None,
    checkpoint_every: float = 30.0,
    workers: int = 1,
) -> int:
    """Train, prune, rewind, repeat; a run that was stopped resumes.

    Args:
        experiment: What to run.
        spec: a TOML file of options, such as `levels = 3`; options typed here override it
        preset: options by name: digits, lenet-mnist, lenet-mnist-short, conv2, conv4 or conv6; a
            file and options typed here override it
        out: the folder for the results; if not given, one named after the options
        checkpoint_every: seconds between two checkpoints of a training
        workers: processes that train independent trials in parallel
    """
    if spec is not None or preset is not None:
        # `options.expand` has replaced them by their options if they were in the right position.
        raise ValueError(f"Name {spec or preset} first: kerasinit lottery run SPEC.toml --option.")
    # Imported in the functions, here and below, so that other commands start faster; only
    # training imports a framework.
    from kerasinit._src.lottery.loop import run
    from kerasinit._src.lottery.progress import ConsoleWatch
    from kerasinit._src.lottery.report.means import table
    from kerasinit._src.lottery.report.plots import plot

    console = terminal.console()
    with ConsoleWatch(console) as watch:
        store = run(
            experiment, out=out, watch=watch, checkpoint_every=checkpoint_every, workers=workers
        )
    terminal.show(console, table(store))
    last = max(place for place in store.places() if place.branch == "ticket")
    paths = [
        ("everything", store.folder),
        ("sparsest ticket", store.stage(last).ticket_path),
        ("its trained model", store.stage(last).model_path),
    ]
    picture = store.folder / "accuracy.png"
    try:
        # The plot of a run that was already finished does not change.
        if watch.missing or not picture.exists():
            plot(store, picture)
        paths.append(("picture", picture))
    except ImportError as error:
        terminal.write(console, f"No picture: {error}")
    for what, path in paths:
        terminal.write(console, f"{what + ':':18s} {path}")
    return 0


@app.command(name="report")
def _report(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
    html: Path | None = None,
    csv: Path | None = None,
    curves: Path | None = None,
    png: Path | None = None,
    svg: Path | None = None,
    tensorboard: Path | None = None,
) -> int:
    """Print the table of a run, and write it in other formats; to new files only.

    Args:
        folder: the folder of the run
        json_: print a list of rows as JSON instead
        html: write a page with plots, curves, masks, verdict and specification
        csv: write a line for each training
        curves: write a line for each measurement of each training, as CSV
        png: write the plot of accuracy and early stop as PNG
        svg: write the plot as SVG
        tensorboard: write a folder of scalars for TensorBoard
    """
    from kerasinit._src.lottery.report.exports import rows, write_outputs
    from kerasinit._src.lottery.report.means import table
    from kerasinit._src.lottery.store.store import Store

    store = Store.read(folder)
    files = {"html": html, "csv": csv, "curves": curves, "png": png, "svg": svg}
    outputs = write_outputs(store, {**files, "tensorboard": tensorboard})
    if json_:
        print(json.dumps(rows(folder), indent=2))
        return 0
    console = terminal.console()
    terminal.show(console, table(store))
    missing = len(store.missing())
    if missing:
        console.print(f"{missing} of {len(store.places())} trainings are not finished yet.")
    for what, path in outputs.items():
        terminal.write(console, f"{what + ':':12s} {path}")
    return 0


@app.command(name="plot")
def _plot(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    what: Literal["accuracy", "curves", "masks"] = "accuracy",
    out: Path | None = None,
) -> int:
    """Draw a run into a new SVG or PNG file.

    Args:
        folder: the folder of the run
        what: accuracy and early stop against density, the training curves of the tickets, or
            their masks level by level
        out: the file, which ends in .svg or .png; if not given, an SVG file in the current folder,
            named after the run and the figure
    """
    from kerasinit._src.files.atomic import new_outputs
    from kerasinit._src.lottery.report.plots import write_plot
    from kerasinit._src.lottery.store.store import Store

    store = Store.read(folder)
    path = Path(f"{store.folder.resolve().name}-{what}.svg") if out is None else out
    new_outputs({"out": path})
    write_plot(store, path, what)
    terminal.write(terminal.console(), f"Wrote {path}")
    return 0


@app.command(name="verdict")
def _verdict(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    margin: float = 0.002,
    stop_margin: float = 0.02,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Judge for each density whether its tickets win, as far as the trials can show.

    Args:
        folder: the folder of the run
        margin: how far a ticket's accuracy may be below the dense network's, as a fraction
        stop_margin: how much later a ticket may stop, as a fraction of the iterations
        json_: print the verdicts as JSON instead
    """
    from kerasinit._src.lottery.proof.winning import table, verdict
    from kerasinit._src.lottery.store.store import Store

    store = Store.read(folder)
    verdicts = verdict(store, margin=margin, stop_margin=stop_margin)
    if json_:
        print(json.dumps([found.to_dict() for found in verdicts], indent=2))
        return 0
    trials = store.experiment.trials
    title = f"{store.experiment.model} on {store.experiment.dataset}, trials: {trials}"
    terminal.show(terminal.console(), table(verdicts, title=title))
    return 0


@app.command(name="digest")
def _digest(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    partial: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Print a hash of all results of a run; equal results have equal hashes.

    Args:
        folder: the folder of the run
        partial: use the finished trainings of an unfinished run
    """
    from kerasinit._src.lottery.store.run_digest import digest
    from kerasinit._src.lottery.store.store import Store

    print(digest(Store.read(folder), partial=partial))
    return 0


@app.command(name="verify")
def _verify(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Verify a run from its files alone; exit code 1 if a check fails.

    Args:
        folder: the folder of the run
        json_: print the proof as JSON instead
    """
    from kerasinit._src.lottery.proof.verification import verify

    proof = verify(folder)
    print(proof.to_json() if json_ else proof)
    return 0 if proof.holds else 1

"""The commands ``footprint`` and ``shrink``."""

import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kerasinit._src.files.atomic import new_outputs
from kerasinit._src.reports import terminal

_Json = Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff]


def add_to(commands: tyro.extras.SubcommandApp) -> None:
    """Add ``footprint`` and ``shrink`` to the commands."""
    commands.command(name="footprint")(_footprint)
    commands.command(name="shrink")(_shrink)


def _footprint(
    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL.keras")],
    more: Annotated[
        tyro.conf.Positional[list[Path]], tyro.conf.arg(metavar="[MORE.keras ...]")
    ] = [],  # noqa: B006
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None,
    batch_size: int = 1,
    latency: bool = True,
    runtimes: tuple[str, ...] = (),
    threads: tuple[int, ...] = (),
    seconds: float = 10.0,
    json_: _Json = False,
) -> int:
    """Measure what saved models cost: weights, multiplications, bytes, and time per runtime.

    Args:
        model: a .keras or .h5 file of Keras 3 or tf_keras
        more: further ones, which are compared with the first
        data: examples: x_train or x; for several inputs one array each, by their names, or x_0,
            x_1, ...; needed for litert-int8; if not given, a random batch
        batch_size: the examples that the latencies are for
        latency: whether to measure times; otherwise only weights and files
        runtimes: keras, litert, onnx, or one of them as in litert-int8; if none, all that are
            installed
        threads: the numbers of threads for LiteRT and ONNX Runtime; if none, one, and as many as
            there are processors
        seconds: for how long to measure the latencies
        json_: print JSON instead
    """
    models = [model, *more]
    if len(set(models)) < len(models):
        raise ValueError(f"A file is named twice: {', '.join(map(str, models))}.")
    if batch_size < 1:
        raise ValueError(f"--batch-size must be a whole number of at least 1; got {batch_size}.")
    if data is None and any(name.startswith("litert-int8") for name in runtimes):
        raise ValueError("litert-int8 is calibrated on examples: pass --data FILE.npz.")
    # What imports a framework is imported here and below, so that other commands start faster.
    from kerasinit._src.cli.model_shrinking import measure

    found = measure(
        models,
        data,
        batch_size,
        latency=latency,
        runtimes=runtimes or None,
        threads=threads or None,
        seconds=seconds,
    )
    print(found.to_json() if json_ else found)
    return 0


def _shrink(
    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL.keras")],
    out: Annotated[Path, tyro.conf.arg(metavar="SMALL.keras")],
    target: Annotated[list[dict[str, float]], tyro.conf.UseAppendAction] = [],  # noqa: B006
    ratios: dict[str, float] = {},  # noqa: B006
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None,
    epochs: int = 3,
    batch_size: int = 32,
    loss: str | None = None,
    optimizer: str | None = None,
    metrics: tuple[str, ...] = (),
    importance: Literal[
        "magnitude", "l1", "l2", "batch_norm", "taylor", "activation", "random"
    ] = "magnitude",
    scope: Literal["global", "local"] = "global",
    round_to: int = 1,
    min_width: int = 1,
    ignore: tuple[str, ...] = (),
    through_statistics: bool = False,
    seed: int = 0,
    compact_only: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    json_: _Json = False,
) -> int:
    """Shrink a saved model: prune whole channels while it trains, then remove them.

    Channels fade out over the first half of the training steps; the second half fine-tunes what is
    left. Without training (--epochs 0) they are removed at once.

    Args:
        model: a .keras or .h5 file of Keras 3 or tf_keras; not changed
        out: the smaller model; a new file only
        target: the fraction to keep of macs, parameters, bytes or latency (measured on this
            machine); all that are given are met
        ratios: the fraction to remove from layers by name, as in conv2d=0.5,dense=0.25
        data: examples to train on: x_train and y_train, or x and y; for several inputs or outputs
            one array each, by their names, or x_0, x_1, ... and y_0, y_1, ...; if it has x_test
            and y_test (a_test for a), the model is evaluated on them before and after
        epochs: passes over the examples
        batch_size: examples per optimizer step
        loss: a loss in place of the compiled one, as in mse or
            sparse_categorical_crossentropy:from_logits=True
        optimizer: as in sgd:learning_rate=0.1; if not given, the compiled one, or else adam
        metrics: what to evaluate, as in accuracy; if none, the compiled ones
        importance: which channels go first; taylor and activation rank them on examples
        scope: whether one ranking finds the widths of all layers, or each loses the same fraction
        round_to: leave widths that are a multiple of this
        min_width: the min width that a layer is cut to
        ignore: names of layers that keep their width
        through_statistics: also remove channels that a layer or group normalization takes the
            statistics of, which changes what the others compute
        seed: the seed of the order of the examples, and of --importance random
        compact_only: only remove channels that are already dead, with the same outputs
        json_: print JSON instead
    """
    targets = {name: fraction for one in target for name, fraction in one.items()}
    _check(out, targets, ratios, data, epochs, batch_size, compact_only)
    from kerasinit._src.cli.model_shrinking import Options, shrink

    options = Options(
        targets=targets,
        ratios=ratios,
        data=data,
        epochs=epochs,
        batch_size=batch_size,
        loss=loss,
        optimizer=optimizer,
        metrics=metrics,
        plan={
            "importance": importance,
            "scope": scope,
            "round_to": round_to,
            "min_width": min_width,
            "ignore": ignore,
            "through_statistics": through_statistics,
        },
        seed=seed,
        compact_only=compact_only,
    )
    progress = terminal.console(stderr=True)
    found = shrink(
        model,
        out,
        options,
        show=lambda report: None if json_ else print(f"{report}\n"),
        say=lambda line: terminal.write(progress, line),
    )
    if json_:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        terminal.write(terminal.console(), f"Wrote {out}")
    return 0


def _check(
    out: Path,
    targets: dict[str, float],
    ratios: dict[str, float],
    data: Path | None,
    epochs: int,
    batch_size: int,
    compact_only: bool,
) -> None:
    """Raise an error for options that don't go together, before anything is loaded."""
    new_outputs({"out": out})
    if out.suffix != ".keras":
        raise ValueError(f"--out needs a name that ends in .keras; got {out}.")
    for name, given, minimum in (("epochs", epochs, 0), ("batch-size", batch_size, 1)):
        if given < minimum:
            raise ValueError(f"--{name} must be a whole number of at least {minimum}; got {given}.")
    if compact_only:
        if targets or ratios:
            raise ValueError(
                "--compact-only removes only channels that are already dead. Omit it, or omit "
                "--target and --ratios."
            )
        return
    if not targets and not ratios:
        raise ValueError(
            "Pass --target, as in --target macs=0.5, or --ratios; or --compact-only, to remove "
            "only channels that are already dead."
        )
    if epochs and data is None:
        raise ValueError(
            "Training needs --data FILE.npz. Pass it, or --epochs 0 to remove channels without "
            "training."
        )

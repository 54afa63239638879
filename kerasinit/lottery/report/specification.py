"""What a run was, in words: each field with what it means, and the command that repeats it."""

import ast
import dataclasses
import inspect
import itertools
import shlex
from collections.abc import Mapping
from typing import Any

from kerasinit.lottery.experiment import Experiment


def descriptions() -> dict[str, str]:
    """Return what each field of `Experiment` means: the text below it in the source.

    Example:
    >>> descriptions()["batch_size"]
    'examples in an optimizer step'
    """
    body = ast.parse(inspect.getsource(Experiment)).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def words(fields: Mapping[str, Any]) -> list[str]:
    """Return fields as the words of a command line.

    Args:
        fields: Values by the names of fields; None is left out.

    Example:
    >>> words({"levels": 3, "controls": (), "xla": False, "initializer": None})
    ['--levels', '3', '--controls', 'none', '--no-xla']
    """
    found: list[str] = []
    for name, value in fields.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list | tuple):
            found += [f"--{option}", ",".join(map(str, value)) or "none"]
        elif value is not None:
            found += [f"--{option}", str(value)]
    return found


def command(experiment: Experiment) -> str:
    """Return the command that runs an experiment again, with what differs from the defaults.

    Args:
        experiment: What was run. A model or data set that was given from Python has a
            name only, which the command cannot find.

    Example:
    >>> print(command(Experiment(levels=3, controls=(), seed=7)))
    kerasinit lottery run --dataset digits --levels 3 --controls none --seed 7
    """
    fields = {
        field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)
    }
    usual = Experiment(dataset=experiment.dataset)
    said = {
        name: value
        for name, value in fields.items()
        if name == "dataset" or value != getattr(usual, name)
    }
    return shlex.join(["kerasinit", "lottery", "run", *words(said)])

"""What a run was, in words: each field with what it means, and the command that repeats it."""

import ast
import dataclasses
import inspect
import itertools
import shlex

from kerasinit.lottery.experiment import Experiment


def meanings(kind: type = Experiment) -> dict[str, str]:
    """Return what each field of a data class means: the text below it in the source.

    Example:
    >>> meanings()["batch_size"]
    'examples in an optimizer step'
    """
    body = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def said_value(value: object) -> str:
    """Return a field's value as the command line takes it.

    Example:
    >>> said_value(("reinit", "shuffle")), said_value({"dense": 0.1}), said_value([])
    ('reinit,shuffle', 'dense=0.1', 'none')
    """
    if isinstance(value, dict):
        value = [f"{name}={number}" for name, number in value.items()]
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return str(value)


def command(experiment: Experiment) -> str:
    """Return the command that runs an experiment again, with what differs from the defaults.

    Args:
        experiment: What was run. A model or data set that was given from Python has a
            name only, which the command cannot find.

    Example:
    >>> print(command(Experiment(levels=3, controls=(), seed=7)))
    kerasinit lottery run --dataset digits --levels 3 --controls none --seed 7
    """
    kind = type(experiment)
    fields = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(kind)}
    usual = kind(dataset=experiment.dataset)
    said = {
        name: value
        for name, value in fields.items()
        if name == "dataset" or value != getattr(usual, name)
    }
    if kind(**said) != experiment:
        # A default that hangs on another field would come out otherwise.
        said = {name: value for name, value in fields.items() if value is not None}
    words = ["kerasinit", "lottery", "run"]
    for name, value in said.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", said_value(value)]
    return shlex.join(words)

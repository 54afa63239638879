"""An experiment as people write it: words of a command, a preset, a TOML file, a table.

All of it comes from the fields of `Experiment` and from what is written below each of
them there. A preset, like a TOML file, stands for options. What is given on the command
line wins over the file, and the file over the preset.
"""

import ast
import dataclasses
import inspect
import itertools
import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasinit._src import errors
from kerasinit._src.lottery.experiment import Experiment, Options, option

_MOST_BYTES = 2**20
_LENET = {
    "model": "lenet-300-100",
    "dataset": "mnist",
    "initializer": "GlorotNormal",
    "optimizer": "adam:learning_rate=0.0012",
    "batch_size": 60,
}


def _convolutional(
    model: str, learning_rate: float, iterations: int, convolution_rate: float
) -> dict[str, Any]:
    return {
        "model": model,
        "dataset": "cifar10",
        "initializer": "GlorotNormal",
        "optimizer": f"adam:learning_rate={learning_rate}",
        "batch_size": 60,
        "iterations": iterations,
        "levels": 20,
        "rate": 0.2,
        "output_rate": 0.1,
        "layer_rates": {"conv2d*": convolution_rate},
    }


PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"dataset": "digits", "iterations": 2_000, "levels": 8, "trials": 3},
    # Frankle and Carbin, 2019, figures 2 to 4.
    "lenet-mnist": {**_LENET, "iterations": 50_000, "levels": 20, "trials": 5},
    # The same in minutes: down to 8.68 %, and controls where the paper looks at them.
    "lenet-mnist-short": {
        **_LENET,
        "iterations": 15_000,
        "levels": 11,
        "controls": ["reinit", "shuffle"],
        "control_levels": [7, 9, 11],
    },
    # The same paper, figure 2, and its figure 5.
    "conv2": _convolutional("conv2", 0.0002, 20_000, 0.1),
    "conv4": _convolutional("conv4", 0.0003, 25_000, 0.1),
    "conv6": _convolutional("conv6", 0.0003, 30_000, 0.15),
}


def words(fields: Mapping[str, Any]) -> list[str]:
    """Return fields of an experiment as the words of a command line.

    Args:
        fields: Values by the names of fields; None is left out.

    Raises:
        ValueError: If there is no such field.

    Example:
    >>> words({"levels": 3, "controls": ["reinit", "shuffle"], "xla": False})
    ['--levels', '3', '--controls', 'reinit,shuffle', '--no-xla']
    """
    known = [field.name for field in dataclasses.fields(Experiment)]
    found: list[str] = []
    for name, value in fields.items():
        if name not in known:
            raise errors.unknown("option", name, known)
        if isinstance(value, bool):
            found.append(option(name) if value else option(f"no_{name}"))
        elif value is not None:
            word = _word(value)
            # What begins with a hyphen would be read as another option.
            found += [f"{option(name)}={word}"] if word.startswith("-") else [option(name), word]
    return found


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        value = [f"{key}={_word(part)}" for key, part in value.items()]
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value)) or "none"
    return value if isinstance(value, str) else repr(value)


def command(experiment: Experiment) -> str:
    """Return the line that repeats an experiment.

    What is as it would be anyway is left out.

    Example:
    >>> command(Experiment(levels=2, rewind="step:100", controls=()))
    'kerasinit lottery run --dataset digits --levels 2 --rewind step:100 --controls none'
    """
    usual = Experiment(dataset=experiment.dataset).to_dict()
    fields = {
        name: value
        for name, value in experiment.to_dict().items()
        if name == "dataset" or value != usual[name]
    }
    return shlex.join(["kerasinit", "lottery", "run", *words(fields)])


def to_toml(experiment: Experiment) -> str:
    r"""Return the TOML file that describes an experiment; `read_toml` reads it back.

    Example:
    >>> print("\n".join(to_toml(Experiment(dataset="mnist")).splitlines()[:2]))
    dataset = "mnist"
    model = "lenet-300-100"
    """
    lines = [
        f"{name} = {_toml(value)}"
        for name, value in experiment.to_dict().items()
        if value is not None
    ]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_toml(key)} = {_toml(part)}" for key, part in value.items())
        return f"{{{inside}}}"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"TOML cannot hold {value!r}, which is no text.") from error
        # JSON's strings are TOML's, but for one character that TOML wants escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the fields that a TOML file gives.

    Raises:
        ValueError: If there is no such file, it is too large or no TOML, or a key is not
            a field of an experiment.
    """
    if not path.is_file():
        raise ValueError(f"No such file: {path}. Name a TOML file, or a preset with --preset.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; a description of a run has at most "
            f"{_MOST_BYTES}."
        )
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error
    known = [field.name for field in dataclasses.fields(Experiment)]
    for name in fields:
        if name not in known:
            raise errors.unknown(f"key in {path}", name, known)
    return fields


def descriptions() -> dict[str, str]:
    """Return what is written below each field of `Experiment`, by the field's name."""
    found: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(Options))
    declared = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    for pair in itertools.pairwise(declared.body):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def table() -> str:
    """Return the options of a run as a Markdown table."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Experiment):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if isinstance(default, bool):
            shown = "yes" if default else "no"
        else:
            shown = "" if default is None or default in ((), {}) else f"`{_word(default)}`"
        text = descriptions()[field.name].replace("*", r"\*").replace("|", r"\|")
        lines.append(f"| `{option(field.name)}` | {shown} | {text} |")
    return "\n".join(lines)


def preset(name: str) -> Experiment:
    """Return a preset as an experiment.

    Args:
        name: ``digits``, ``lenet-mnist``, ``lenet-mnist-short``, ``conv2``, ``conv4`` or
            ``conv6``.

    Raises:
        ValueError: If there is no such preset.

    Example:
    >>> preset("lenet-mnist-short").control_levels
    (7, 9, 11)
    """
    return Experiment.from_dict(_fields(name))


def _fields(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise errors.unknown("preset", name, PRESETS)
    return PRESETS[name]


def expand(command_line: Sequence[str]) -> list[str]:
    """Put the options that a preset and a TOML file stand for in their place.

    Of an option that comes twice the last one counts, so they go before those that
    were typed.

    Args:
        command_line: The words after ``kerasinit lottery run``.

    Raises:
        ValueError: If the preset or the file is not there or not valid.

    Example:
    >>> expand(["--preset", "digits", "--levels", "2"])[-4:]
    ['--trials', '3', '--levels', '2']
    """
    flags = {
        name
        for field in dataclasses.fields(Experiment)
        if field.type in (bool, bool | None)
        for name in (option(field.name), option(f"no_{field.name}"))
    }
    fields: dict[str, Any] = {}
    files: dict[str, Any] = {}
    typed: list[str] = []
    rest = list(command_line)
    while rest:
        word = rest.pop(0)
        if word == "--preset" and rest:
            fields = _fields(rest.pop(0))
        elif word.startswith("--preset="):
            fields = _fields(word.partition("=")[2])
        elif not word.startswith("-"):
            if not word.endswith(".toml"):
                raise ValueError(
                    f"Expected options or the name of a TOML file; got {word!r}. Options begin "
                    f"with --; a preset is named with --preset."
                )
            files |= read_toml(Path(word))
        else:
            typed.append(word)
            takes_value = "=" not in word and word.replace("_", "-") not in flags
            if takes_value and rest and not rest[0].startswith("-"):
                typed.append(rest.pop(0))
    given = {**fields, **files}
    if given:
        # Says what is wrong in a file before it is mixed with what was typed.
        Experiment.from_dict(given)
    return words(given) + typed

"""Experiments as text: words of a command, a preset, a TOML file, a table.

All of these derive from the fields of `Experiment` and the strings below them. Options on the
command line override a TOML file, which overrides a preset.
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
from kerasinit._src.lottery.experiment import Experiment, Options, option, require_fields

_MAX_BYTES = 2**20
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
    # The same in minutes: down to 8.68 %, with controls at the levels that the paper examines.
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
    """Return fields of an experiment as the words of a command line; None is omitted.

    Example:
    >>> words({"levels": 3, "controls": ["reinit", "shuffle"], "xla": False})
    ['--levels', '3', '--controls', 'reinit,shuffle', '--no-xla']
    """
    require_fields(fields, "option")
    result: list[str] = []
    for name, value in fields.items():
        if isinstance(value, bool):
            result.append(option(name) if value else option(f"no_{name}"))
        elif value is not None:
            word = _word(value)
            # A value that starts with a hyphen would be parsed as another option.
            result += [f"{option(name)}={word}"] if word.startswith("-") else [option(name), word]
    return result


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        value = [f"{key}={_word(part)}" for key, part in value.items()]
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value)) or "none"
    return value if isinstance(value, str) else repr(value)


def command(experiment: Experiment) -> str:
    """Return the command line that repeats an experiment, without options left at their defaults.

    Args:
        experiment: The experiment.

    Example:
    >>> command(Experiment(levels=2, rewind="step:100", controls=()))
    'kerasinit lottery run --dataset digits --levels 2 --rewind step:100 --controls none'
    """
    defaults = Experiment(dataset=experiment.dataset).to_dict()
    fields = {
        name: value
        for name, value in experiment.to_dict().items()
        if name == "dataset" or value != defaults[name]
    }
    return shlex.join(["kerasinit", "lottery", "run", *words(fields)])


def to_toml(experiment: Experiment) -> str:
    r"""Return a TOML file that describes an experiment; `read_toml` reads it back.

    Args:
        experiment: The experiment.

    Returns:
        The text of the file.

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
            raise ValueError(
                f"TOML cannot represent {value!r}, which is not valid text."
            ) from error
        # JSON strings are valid TOML, except that TOML escapes one more character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value)


def read_toml(path: Path) -> dict[str, Any]:
    r"""Return the fields of an experiment in a TOML file.

    Args:
        path: The file, such as one that `to_toml` returned.

    Returns:
        The fields by name, for `Experiment`.

    Raises:
        ValueError: If the file does not exist, is too large or not TOML, or a key is not a field
            of an experiment.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit import lottery
    >>> _ = Path("short.toml").write_text("levels = 3\niterations = 500\n")
    >>> lottery.Experiment(**lottery.read_toml(Path("short.toml"))).levels
    3
    """
    if not path.is_file():
        raise ValueError(f"No such file: {path}. Pass a TOML file, or a preset with --preset.")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes; at most {_MAX_BYTES} are read.")
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error
    require_fields(fields, f"key in {path}")
    return fields


def descriptions() -> dict[str, str]:
    """Return the string below each field of `Options`, by the field's name."""
    texts: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(Options))
    declared = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    for pair in itertools.pairwise(declared.body):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = " ".join(text.split())
    return texts


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
        name: ``"digits"``, ``"lenet-mnist"``, ``"lenet-mnist-short"``, ``"conv2"``, ``"conv4"``
            or ``"conv6"``.

    Returns:
        The `Experiment`.

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
    """Replace a preset and TOML files among the words after ``kerasinit lottery run`` by options.

    They precede the options that were typed, since the last value of an option counts.

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
                    f"Expected options or a TOML file; got {word!r}. Options start with --; a "
                    f"preset is chosen with --preset."
                )
            files |= read_toml(Path(word))
        else:
            typed.append(word)
            takes_value = "=" not in word and word.replace("_", "-") not in flags
            if takes_value and rest and not rest[0].startswith("-"):
                typed.append(rest.pop(0))
    given = {**fields, **files}
    if given:
        # Reports mistakes in a file before it is merged with the typed options.
        Experiment.from_dict(given)
    return words(given) + typed

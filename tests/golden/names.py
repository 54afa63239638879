"""What is public, as lines of text: names with their parameters, and commands with their options.

``names.txt`` of each release holds its lines, which later releases may add to. In a line such as
``kerasinit.diagnose(model, x, y=, *, seeds=)``, ``=`` follows a parameter that has a default.
"""

import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

import kerasinit
from kerasinit._src import cli

# The data classes that users make. All others are results: their attributes are public, and their
# constructors are not, so that a result may get another attribute.
_MADE = {"Dataset", "Experiment", "Rule", "Settings", "SideSettings", "Ticket"}
_SIGNED = re.compile(r"(?P<name>[^(]+)\((?P<parameters>.*)\)")


def public_names() -> list[str]:
    """Return a line for each public name of the package, and for each command."""
    return sorted({*_python_names(), *_commands("kerasinit")})


def _modules() -> Iterator[str]:
    yield "kerasinit"
    for found in pkgutil.walk_packages(kerasinit.__path__, "kerasinit."):
        if "._" not in found.name:
            yield found.name


def _python_names() -> Iterator[str]:
    described = set()
    # The shortest path first: the members of a class are listed once, where users look first.
    for module in sorted(_modules(), key=lambda name: (name.count("."), name)):
        for name in importlib.import_module(module).__all__:
            value = getattr(importlib.import_module(module), name)
            yield f"{module}.{name}{_parameters(value)}"
            if inspect.isclass(value) and value not in described:
                described.add(value)
                yield from (f"{module}.{name}.{member}" for member in _members(value))


def _members(kind: type) -> Iterator[str]:
    """Yield what users find in an instance; not what classes of other packages define."""
    names = set()
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "kerasinit":
            names |= {*inspect.get_annotations(base), *base.__dict__}
    for name in names:
        if not name.startswith("_"):
            value = getattr(kind, name, None)
            yield f"{name}{'' if inspect.isclass(value) else _parameters(value)}"


def _parameters(value: Any) -> str:
    """Return the parameters of a function or class; nothing of what cannot be called."""
    if not (inspect.isfunction(value) or inspect.ismethod(value) or inspect.isclass(value)):
        return ""
    if inspect.isclass(value) and issubclass(value, BaseException):
        return ""  # caught, not made, by users
    if dataclasses.is_dataclass(value) and value.__name__ not in _MADE:
        return ""
    words, star = [], False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
        elif parameter.kind is parameter.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        default = "" if parameter.default is parameter.empty else "="
        words.append(f"{prefix.get(parameter.kind, '')}{parameter.name}{default}")
    return f"({', '.join(words)})"


def _commands(*words: str) -> Iterator[str]:
    """Yield a line for each command below these words, with its options, from its help."""
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        cli.main([*words[1:], "--help"])
    text = printed.getvalue()
    commands = re.findall(r"^[│ ] +• +([\w-]+)", text, re.MULTILINE)
    if commands:
        for command in commands:
            yield from _commands(*words, command)
    else:
        heads = re.findall(r"^[│ ] ((?:--?[\w-]+,? )+)", text, re.MULTILINE)
        options = re.findall(r"--[\w-]+", " ".join(heads))
        yield f"$ {' '.join(words)} {' '.join(sorted(set(options)))}"


def broken(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Return a sentence for each promise of old lines that new ones break."""
    found = {_name(line): line for line in new}
    sentences = []
    for line in old:
        if _name(line) not in found:
            sentences.append(f"{_name(line)} is gone")
        elif reason := _broken_by(line, found[_name(line)]):
            sentences.append(f"{_name(line)} {reason}: {line} -> {found[_name(line)]}")
    return sentences


def _name(line: str) -> str:
    if line.startswith("$ "):
        return line.partition(" --")[0]
    return line.partition("(")[0]


def _broken_by(old: str, new: str) -> str:
    """Return what calls of an old line would notice of the new one; nothing if they would not."""
    if old.startswith("$ "):
        gone = set(old.split()) - set(new.split())
        return f"has no {', '.join(sorted(gone))}" if gone else ""
    before, after = _SIGNED.fullmatch(old), _SIGNED.fullmatch(new)
    if before is None or after is None:
        return "" if before is after else "can be called or not"
    (old_places, old_names), (places, names) = map(_split, (before, after))
    gone = sorted(set(old_names) - set(names))
    if gone:
        return f"has no {', '.join(gone)}"
    if [*places][: len(old_places)] != [*old_places]:
        return "has its parameters in another order"
    needed = sorted(name for name, optional in names.items() if not optional)
    needed = [name for name in needed if old_names.get(name, True)]
    return f"needs {', '.join(needed)}" if needed else ""


def _split(signed: re.Match[str]) -> tuple[list[str], dict[str, bool]]:
    """Return the parameters that have a place, and whether each of all can be left out."""
    words = [word for word in signed["parameters"].split(", ") if word]
    places = [*words]
    for i, word in enumerate(words):
        if word.startswith("*"):
            places = words[:i]
            break
    optional = {
        word.removesuffix("="): word.endswith("=") or word.startswith("*")
        for word in words
        if word != "*"
    }
    return [word.removesuffix("=") for word in places], optional

"""The choices to compare: initializers, rules, recommendations, and data-dependent methods."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kerasinit._src import compat, errors, initializers
from kerasinit._src.initializers import identifiers
from kerasinit._src.network.parts import parts
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm, within_layer
from kerasinit._src.whole_models.recommendation import recommend
from kerasinit._src.whole_models.redraw import Rule, reinitialize

RECOMMEND = "recommend"

FROM_BATCH = {
    "lsuv": lambda model, batch, seed: lsuv(model, batch, seed=seed),
    "weight_norm": lambda model, batch, seed: weight_norm(model, batch, seed=seed),
    "within_layer": lambda model, batch, seed: within_layer(model, batch),
}


def choices_by_name(given: Any) -> dict[str, Any]:
    """Return the choices by name, in order, checked as far as possible without a model."""
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"Expected initializers to be a list, or a dictionary from names; got {given!r}."
        )
    else:
        pairs = [(_name_of(choice), choice) for choice in given]
    choices: dict[str, Any] = {}
    for name, choice in pairs:
        if not isinstance(name, str) or not name:
            raise TypeError(f"Expected a string as the name of a choice; got {name!r}.")
        if name in choices:
            raise ValueError(
                f"Two choices are named {name!r}. Pass a dictionary with a name for each."
            )
        choices[name] = _checked(name, choice)
    if not choices:
        raise ValueError("Nothing to compare: pass at least one initializer.")
    return choices


def apply(name: str, choice: Any, model: Any, batch: Any, seed: int) -> tuple[str, ...]:
    """Set a built model to the initial values of a choice and return the names of the others.

    These variables keep the values that they were built with; none are listed for ``"own"``, which
    sets nothing. Only data-dependent methods use the batch.
    """
    if choice == OWN:
        return ()
    try:
        if isinstance(choice, str) and choice in FROM_BATCH:
            before = {part.name: compat.read(part.variable) for part in parts(model)}
            FROM_BATCH[choice](model, batch, seed)
            after = {part.name: compat.read(part.variable) for part in parts(model)}
            return tuple(n for n, old in before.items() if np.array_equal(old, after[n]))
        rules: Any = choice
        if isinstance(choice, str):
            rules = recommend(model)
        report = reinitialize(model, rules, seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    if not report.changed:
        raise ValueError(f"{name}: no variable of the model matches, so it would have no effect.")
    return tuple(report.kept)


def _name_of(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, compat.classes("initializers", "Initializer")):
        return _text_of(given)
    # A class, or a function that makes rules.
    name = getattr(given, "__name__", None)
    if name is None:
        raise TypeError(f"{given!r} has no name: pass a dictionary with a name for each choice.")
    return name


def _text_of(initializer: Any) -> str:
    """Return an initializer in the syntax of the command line, without default arguments."""
    kind = type(initializer)
    config = initializer.get_config()
    if any(isinstance(value, dict) for value in config.values()):
        return repr(initializer)  # arrays have no such syntax
    try:
        defaults = kind().get_config()
    except TypeError:  # it has arguments without defaults
        defaults = {}
    arguments = ",".join(
        f"{key}={value}"
        for key, value in config.items()
        # Each variable has its own seed.
        if key != "seed" and (key not in defaults or defaults[key] != value)
    )
    return kind.__name__.removeprefix("kerasinit>") + (f":{arguments}" if arguments else "")


def _checked(name: str, given: Any) -> Any:
    """Return a choice as ``"own"``, ``"recommend"``, a name in `FROM_BATCH`, or rules."""
    if isinstance(given, str):
        if given in (OWN, RECOMMEND, *FROM_BATCH):
            return given
        kind, _ = identifiers.split(given.removeprefix("kerasinit>"))
        known = [*initializers.__all__, OWN, RECOMMEND, *FROM_BATCH]
        if kind not in initializers.__all__:
            raise errors.unknown("initializer or method", kind, known)
        given = identifiers.parse(given)
    if isinstance(given, type) and issubclass(given, compat.classes("initializers", "Initializer")):
        given = given()
    if isinstance(given, compat.classes("initializers", "Initializer")):
        try:
            # As kernel_initializer does: all other variables keep their values.
            return [Rule(given, role="kernel")]
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    if isinstance(given, Mapping | list | tuple) or callable(given):
        return given
    raise TypeError(
        f"{name}: expected an initializer or the name of one, rules for reinitialize, or one of "
        f"{', '.join(sorted([OWN, RECOMMEND, *FROM_BATCH]))}; got {given!r}."
    )

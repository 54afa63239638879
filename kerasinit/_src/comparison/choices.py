"""What is compared: names, initializers, rules, recommendations, and methods that use a batch."""

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
_INITIALIZERS = compat.classes("initializers", "Initializer")


def named(given: Any) -> dict[str, Any]:
    """Return the choices by name, in order.

    Args:
        given: The ``initializers`` of `kerasinit.compare`.

    Raises:
        TypeError: If one is of a wrong type, or has no name.
        ValueError: If a name is unknown or comes twice, or an initializer has a seed.
    """
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"Expected as initializers a list, or a dictionary from names; got {given!r}."
        )
    else:
        pairs = [(_name_of(one), one) for one in given]
    choices: dict[str, Any] = {}
    for name, one in pairs:
        if not isinstance(name, str) or not name:
            raise TypeError(f"A choice is named by a string; got {name!r}.")
        if name in choices:
            raise ValueError(
                f"Two choices are called {name!r}. Give a dictionary, with a name for each."
            )
        choices[name] = _checked(name, one)
    if not choices:
        raise ValueError("Nothing to compare: give at least one initializer.")
    return choices


def begin(name: str, choice: Any, model: Any, batch: Any, seed: int) -> tuple[str, ...]:
    """Give a model, as it was built, the first values that a choice stands for.

    Args:
        name: The choice's name, for errors.
        choice: What `named` has for it.
        model: A built model.
        batch: What the methods that look at one look at.
        seed: The origin of what is drawn.

    Returns:
        The structural names of the variables that it leaves as they were built; none for
        ``"own"``, which is to leave all.

    Raises:
        ValueError: If the choice does nothing to this model, or cannot be applied.
        TypeError: If rules are of a wrong type.
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
        raise ValueError(f"{name}: no variable of the model fits, so it would change nothing.")
    return tuple(report.kept)


def _name_of(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, _INITIALIZERS):
        return _text_of(given)
    # A class, or a function that makes rules.
    name = getattr(given, "__name__", None)
    if name is None:
        raise TypeError(f"{given!r} has no name: give a dictionary, with a name for each choice.")
    return name


def _text_of(initializer: Any) -> str:
    """Return an initializer as a command line names it, without what is as it would be anyway."""
    kind = type(initializer)
    config = initializer.get_config()
    if any(isinstance(value, dict) for value in config.values()):
        return repr(initializer)  # no command line can name an array
    try:
        usual = kind().get_config()
    except TypeError:  # it has arguments without defaults
        usual = {}
    said = [
        f"{key}={value}"
        for key, value in config.items()
        # Each variable gets a seed of its own.
        if key != "seed" and (key not in usual or usual[key] != value)
    ]
    return kind.__name__.removeprefix("kerasinit>") + (f":{','.join(said)}" if said else "")


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
    if isinstance(given, type) and issubclass(given, _INITIALIZERS):
        given = given()
    if isinstance(given, _INITIALIZERS):
        try:
            # As kernel_initializer: everything else stays as the model has it.
            return [Rule(given, role="kernel")]
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    if isinstance(given, Mapping | list | tuple) or callable(given):
        return given
    raise TypeError(
        f"{name}: expected an initializer or the name of one, rules for reinitialize, or one of "
        f"{', '.join(sorted([OWN, RECOMMEND, *FROM_BATCH]))}; got {given!r}."
    )

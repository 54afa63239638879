"""The Keras lines that build exactly the network of one side, and a script that repeats a run.

Only names of known classes and literals are written: nothing of an initializer's text as it is.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kerasinit._src.initializers import identifiers
from kerasinit._src.playground.networks import (
    BEFORE_METHOD,
    METHOD_EXAMPLES,
    layer_seed,
    takes_seed,
)
from kerasinit._src.playground.settings import METHODS, SIDES, Settings, SideSettings

WIDTH = 88
_INDENT = "    "
_OPTIMIZERS = {
    "adam": "keras.optimizers.Adam({})",
    "momentum": "keras.optimizers.SGD({}, momentum=0.9)",
    "rmsprop": "keras.optimizers.RMSprop({})",
    "sgd": "keras.optimizers.SGD({})",
}
_NORMALIZATIONS = {
    "batch": "keras.layers.BatchNormalization()",
    "layer": "keras.layers.LayerNormalization()",
}
_METHOD_LINES = {
    "lsuv": "kerasinit.lsuv(model, x[:{n}], seed={seed})",
    "recommend": "kerasinit.reinitialize(model, kerasinit.recommend(model), seed={seed})",
    "weight_norm": "kerasinit.weight_norm(model, x[:{n}], seed={seed})",
    "within_layer": "kerasinit.within_layer(model, x[:{n}])",
}
_AT_ONCE = 1000  # steps whose examples are copied for one call of fit
_MEASURED = 500


@dataclass(frozen=True)
class _Call:
    """A call in Python, whose arguments are texts or calls; ``after`` follows it."""

    name: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...] = ()
    after: str = ""

    def lines(self, before: str, indent: int, after: str = "", width: int = WIDTH) -> list[str]:
        """Return the call after some text: on one line if it fits, else an argument on each."""
        space, after = _INDENT * indent, self.after + after
        line = f"{space}{before}{self}{after}"
        if len(line) <= width:
            return [line]
        inner = [
            line
            for start, value in [("", a) for a in self.arguments]
            + [(f"{key}=", value) for key, value in self.keywords]
            for line in _lines(value, start, indent + 1, width)
        ]
        return [f"{space}{before}{self.name}(", *inner, f"{space}){after}"]

    def __str__(self) -> str:
        keywords = [f"{key}={value}" for key, value in self.keywords]
        return f"{self.name}({', '.join([*map(str, self.arguments), *keywords])})"


def network_code(settings: Settings, side: str, classes: int, inputs: int) -> str:
    """Return the lines that build and compile the network of a side, with its first weights.

    Methods such as LSUV read ``x``, the training inputs.

    Args:
        settings: The settings.
        side: ``"left"`` or ``"right"``.
        classes: The number of classes.
        inputs: The number of inputs.

    Example:
    >>> settings = Settings(depth=1, right=SideSettings("RandomNormal:stddev=0.01"))
    >>> print(network_code(settings, "right", 2, 2))
    import keras
    import kerasinit
    <BLANKLINE>
    layers = [keras.Input((2,))]
    layers += [
        keras.layers.Dense(
            16,
            kernel_initializer=kerasinit.RandomNormal(stddev=0.01, seed=1),
            name="hidden_1",
        ),
        keras.layers.Activation("relu"),
    ]
    layers += [
        keras.layers.Dense(
            2,
            kernel_initializer=kerasinit.RandomNormal(stddev=0.01, seed=2),
            name="outputs",
        ),
    ]
    model = keras.Sequential(layers)
    model.compile(
        keras.optimizers.SGD(0.03),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    <BLANKLINE>
    """
    lines = _network_lines(settings, getattr(settings, side), str(classes), str(inputs))
    return _text(["import keras", "import kerasinit", "", *lines])


def script(settings: Settings, steps: int) -> str:
    """Return a Python script that repeats a run, with `TwoNetworks` and with Keras' ``fit``.

    Args:
        settings: The settings.
        steps: How many steps to train.
    """
    compared = steps
    if settings.rounds:
        # The networks are pruned as soon as a round's last step is taken.
        compared = min(steps, settings.round_steps - 1)
    table = ", table" if settings.data == "csv" else ""
    return _text(
        [
            '"""A run of the playground of kerasinit, and the same networks trained by Keras."""',
            "",
            "import keras",
            "import numpy as np",
            "",
            "import kerasinit",
            "from kerasinit.playground import Settings, SideSettings, TwoNetworks",
            "",
            *_settings_lines(settings),
            *(_TABLE_LINES if table else ()),
            f"two = TwoNetworks(settings{table})",
            f"two.advance({steps})",
            "for name, number in zip(two.columns, two.rows[-1]):",
            '    print(f"{name}: {number:g}")',
            "",
            *_rewinding_lines(settings, steps, compared),
            "x, y = two.examples.x, two.examples.y",
            "classes = len(two.examples.classes)",
            *(line for side in SIDES for line in _function_lines(settings, side)),
            *_comparing_lines(settings, compared),
        ]
    )


def _network_lines(
    settings: Settings, side: SideSettings, classes: str, inputs: str, width: int = WIDTH
) -> list[str]:
    """Return the lines of a network, without imports; sizes may be the names of variables."""
    if settings.residual and settings.depth > 1:
        lines = _residual_lines(settings, side, classes, inputs, width)
    else:
        lines = _sequential_lines(settings, side, classes, inputs, width)
    optimizer = _OPTIMIZERS[settings.optimizer].format(repr(settings.learning_rate))
    loss = "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
    compiling = _Call("model.compile", (optimizer, loss), (("metrics", '["accuracy"]'),))
    lines += compiling.lines("", 0, width=width)
    if side.initializer in METHODS:
        seed = layer_seed(settings.seed, 0)
        lines.append(_METHOD_LINES[side.initializer].format(n=METHOD_EXAMPLES, seed=seed))
    return lines


def _sequential_lines(
    settings: Settings, side: SideSettings, classes: str, inputs: str, width: int
) -> list[str]:
    loop, indent, number = _loop(settings)
    space = _INDENT * indent
    hidden = _dense(settings, side, str(settings.width), number)
    last = _dense(settings, side, classes, settings.depth + 1)
    return [
        f"layers = [keras.Input(({inputs},))]",
        *loop,
        f"{space}layers += [",
        *hidden.lines("", indent + 1, ",", width),
        *(f"{space}{_INDENT}{layer}," for layer in _after_dense(settings, side)),
        f"{space}]",
        "layers += [",
        *last.lines("", 1, ",", width),
        "]",
        "model = keras.Sequential(layers)",
    ]


def _residual_lines(
    settings: Settings, side: SideSettings, classes: str, inputs: str, width: int
) -> list[str]:
    loop, indent, number = _loop(settings)
    space = _INDENT * indent
    hidden = _dense(settings, side, str(settings.width), number, "(z)")
    last = _dense(settings, side, classes, settings.depth + 1, "(z)")
    return [
        f"inputs = z = keras.Input(({inputs},))",
        *loop,
        f"{space}before = z",
        *hidden.lines("z = ", indent, width=width),
        *(f"{space}z = {layer}(z)" for layer in _after_dense(settings, side)),
        f"{space}if k > 1:",
        f"{space}{_INDENT}z = keras.layers.Add()([before, z])",
        *last.lines("outputs = ", 0, width=width),
        "model = keras.Model(inputs, outputs)",
    ]


def _loop(settings: Settings) -> tuple[list[str], int, int | None]:
    """Return the head of a loop over hidden layers, its indent, and the number if it is one."""
    if settings.depth == 1:
        return [], 0, 1
    return [f"for k in range(1, {settings.depth + 1}):"], 1, None


def _after_dense(settings: Settings, side: SideSettings) -> list[str]:
    normalization = _NORMALIZATIONS.get(settings.normalization)
    activation = f"keras.layers.Activation({_literal(side.activation)})"
    return [normalization, activation] if normalization else [activation]


def _dense(
    settings: Settings, side: SideSettings, units: str, number: int | None, after: str = ""
) -> _Call:
    """Return a dense layer; without a number that of the loop, ``k``."""
    name = '"outputs"' if number == settings.depth + 1 else f'"hidden_{number}"'
    if number is None:
        name = 'f"hidden_{k}"'
        start = layer_seed(settings.seed, 0)
        seed = f"{start} + k" if start else "k"
    else:
        seed = str(layer_seed(settings.seed, number))
    kernel = BEFORE_METHOD if side.initializer in METHODS else side.initializer
    keywords = [("kernel_initializer", _initializer(kernel, seed))]
    if side.bias != "Zeros":  # the default of Keras
        keywords.append(("bias_initializer", _initializer(side.bias, seed)))
    return _Call("keras.layers.Dense", (units,), (*keywords, ("name", name)), after)


def _initializer(text: str, seed: str) -> _Call:
    name, arguments = identifiers.split(text.removeprefix("kerasinit>"))
    keywords = {key: _literal(value) for key, value in arguments.items()}
    if takes_seed(name):
        keywords.setdefault("seed", seed)
    return _Call(f"kerasinit.{name}", (), tuple(keywords.items()))


_TABLE_LINES = (
    "# The file of the examples is not part of this script: fill in its rows.",
    "table = {",
    '    "x": [],  # a list of numbers for each row',
    '    "labels": [],  # the class of each row, counted from 0',
    '    "classes": [],  # the names of the classes',
    '    "columns": [],  # the names of the numbers',
    "}",
)


def _settings_lines(settings: Settings) -> list[str]:
    """Return the lines that make the settings: all of them, since defaults may change."""
    values = settings.to_dict()
    keywords = []
    for name, value in values.items():
        if name in SIDES:
            inner = tuple((key, _literal(word)) for key, word in value.items())
            keywords.append((name, _Call("SideSettings", (), inner)))
        else:
            keywords.append((name, _literal(value)))
    return _Call("Settings", (), tuple(keywords)).lines("settings = ", 0)


def _rewinding_lines(settings: Settings, steps: int, compared: int) -> list[str]:
    if compared == steps:
        return ["# The same by Keras alone, on the same batches."]
    return [
        "# The same by Keras alone, on the same batches. It does not prune: left out is all",
        f"# from the end of the first round on, step {settings.round_steps}.",
        "two.rewind()",
        f"two.advance({compared})",
    ]


def _function_lines(settings: Settings, side: str) -> list[str]:
    width = WIDTH - len(_INDENT)
    lines = _network_lines(settings, getattr(settings, side), "classes", "x.shape[1]", width)
    return ["", "", f"def build_{side}():", *_indented(lines), f"{_INDENT}return model"]


def _comparing_lines(settings: Settings, compared: int) -> list[str]:
    size = settings.batch_size
    return [
        "",
        "",
        "differences = []",
        "for name, model, trained in (",
        '    ("left", build_left(), two.left),',
        '    ("right", build_right(), two.right),',
        "):",
        f"    for start in range(0, {compared}, {_AT_ONCE}):",
        f"        order = two.batches(start, min(start + {_AT_ONCE}, {compared})).ravel()",
        f"        model.fit(x[order], y[order], batch_size={size}, shuffle=False, verbose=0)",
        f"    sample = x[:{_MEASURED}], y[:{_MEASURED}]",
        "    losses = [one.evaluate(*sample, verbose=0)[0] for one in (trained, model)]",
        '    print(f"{name}: loss {losses[0]:g} (playground), {losses[1]:g} (Keras)")',
        "    differences.append(abs(losses[0] - losses[1]))",
        'print(f"largest difference: {np.max(differences):.3g}")',
    ]


def _lines(value: Any, before: str, indent: int, width: int) -> list[str]:
    """Return an argument on lines of its own."""
    if isinstance(value, _Call):
        return value.lines(before, indent, ",", width)
    return [f"{_INDENT * indent}{before}{value},"]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"{_INDENT}{line}" if line else line for line in lines]


def _literal(value: Any) -> str:
    """Return a value of JSON as Python writes it, strings in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _text(lines: Iterable[str]) -> str:
    return "\n".join([*lines, ""])

"""Names of the variables of a saved model, from its configuration.

A Keras weights file numbers the variables of a layer (``layers/dense/vars/0``). The configuration
saved with it contains the classes of the layers, and the names and the order of the variables of
built-in classes are known. Variables of other layers get no names; nothing is guessed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasinit._src.keras_naming import snake_case

_MODELS = ("Functional", "Model", "Sequential")
# The names of the variables of each layer, in the order of the file; both names where Keras 3 and
# tf_keras differ.
_KERNEL_BIAS = (("kernel",), ("bias",))
_GAMMA_BETA = (("gamma",), ("beta",))
_VARIABLES = {
    "BatchNormalization": (*_GAMMA_BETA, ("moving_mean",), ("moving_variance",)),
    "DepthwiseConv1D": (("kernel", "depthwise_kernel"), ("bias",)),
    "DepthwiseConv2D": (("kernel", "depthwise_kernel"), ("bias",)),
    "Dense": _KERNEL_BIAS,
    "EinsumDense": _KERNEL_BIAS,
    "Embedding": (("embeddings",),),
    "GroupNormalization": _GAMMA_BETA,
    "LayerNormalization": _GAMMA_BETA,
    "PReLU": (("alpha",),),
    "SeparableConv1D": (("depthwise_kernel",), ("pointwise_kernel",), ("bias",)),
    "SeparableConv2D": (("depthwise_kernel",), ("pointwise_kernel",), ("bias",)),
    **{f"Conv{n}D{kind}": _KERNEL_BIAS for n in (1, 2, 3) for kind in ("", "Transpose")},
}
_CELLS = dict.fromkeys(
    ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "SimpleRNN"),
    (("kernel",), ("recurrent_kernel",), ("bias",)),
)


@dataclass(frozen=True)
class _Layer:
    path: str  # structural path, as in `network.walk.walk`
    group: str  # group in a weights file
    outermost: str  # name of the layer of the outermost model that contains it
    stem: str  # class name in snake case
    config: Mapping[str, Any]

    @property
    def custom_name(self) -> str | None:
        """The name of the layer, unless Keras generated it."""
        name = _name(self.config)
        return None if re.fullmatch(rf"{self.stem}(_\d+)?|", name) else name


def in_weights_file(
    model: Mapping[str, Any], counts: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """Return further names of the variables in a ``model.weights.h5``.

    ``model`` is the content of ``config.json``, and ``counts`` the number of variables in each
    group of the file, such as ``layers/dense/vars``. The names of ``layers/dense_1/vars/0``, for
    instance, are the structural name (``dense_1/kernel``; see `network.parts.named_variables`)
    and the name by the layer (``head/kernel``) if the layer was named explicitly.
    """
    result: dict[str, tuple[str, ...]] = {}
    for layer in _layers(model):
        parts = [
            (f"{layer.group}{group}/vars", path, names)
            for group, path, names in _parts(layer.config)
        ]
        # A quantized layer, for instance, has additional variables.
        if any(counts.get(group, 0) != len(variables) for group, _, variables in parts):
            continue
        owners = [layer.path] + ([layer.custom_name] if layer.custom_name else [])
        used: Counter[str] = Counter()
        for group, path, variables in parts:
            for position, words in enumerate(variables):
                suffix = f"_{used[words[0]]}" if used[words[0]] else ""
                used[words[0]] += 1
                # The second name is that of ticket format 1.
                result[f"{group}/{position}"] = tuple(
                    dict.fromkeys(
                        f"{owner}/{name}"
                        for owner in owners
                        for word in words
                        for name in (f"{path}{word}", f"{word}{suffix}")
                    )
                )
    return result


def in_h5_file(model: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the structural names of the variables in the ``.h5`` file of a whole model.

    Such a file names variables by the names of layers (``dense_7/dense_7/kernel:0``); the
    configuration contains the positions of these layers.
    """
    groups: dict[str, list[_Layer]] = {}
    for layer in _layers(model):
        groups.setdefault(layer.outermost, []).append(layer)
    matches: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")  # model_weights/GROUP/.../OWNER/WORD:0
        if len(parts) < 4:
            continue
        group, owner, word = parts[1], parts[-2], parts[-1].removesuffix(":0")
        for layer in groups.get(group, ()):
            # A group is a layer, with arbitrary names inside, or a nested model.
            if "/" not in layer.path or _name(layer.config) == owner:
                matches.setdefault(f"{layer.path}/{word}", []).append(name)
    # Several kernels of one layer cannot be distinguished.
    return {names[0]: (path,) for path, names in matches.items() if len(names) == 1}


def paths(model: Mapping[str, Any]) -> frozenset[str]:
    """Return the structural paths of a model's layers."""
    return frozenset(layer.path for layer in _layers(model))


def _layers(
    model: Mapping[str, Any], path: str = "", group: str = "", outermost: str = ""
) -> Iterator[_Layer]:
    if not _is_model(model):
        return
    layers = model["config"]["layers"]
    if any("shared_object_id" in config for config in layers):
        # A layer shared by two models is stored in one of them, and not numbered in the other.
        return
    counts: Counter[str] = Counter()
    for config in layers:
        stem = snake_case(re.sub(r"\W", "", config["class_name"].rsplit(">", 1)[-1]))
        name = f"{stem}_{counts[stem]}" if counts[stem] else stem
        counts[stem] += 1
        top = outermost or _name(config)
        if _is_model(config):
            yield from _layers(config, f"{path}{name}/", f"{group}layers/{name}/", top)
        else:
            yield _Layer(f"{path}{name}", f"{group}layers/{name}", top, stem, config)


def _name(config: Mapping[str, Any]) -> str:
    return str(config["config"].get("name", ""))


def _is_model(config: Mapping[str, Any]) -> bool:
    return (
        config["class_name"] in _MODELS
        and _is_built_in(config)
        and isinstance(config["config"].get("layers"), list)
    )


def _is_built_in(config: Mapping[str, Any]) -> bool:
    """Return whether a class is built into Keras, rather than a custom one of the same name."""
    if config.get("module"):
        return config["module"].split(".")[0] in ("keras", "tf_keras")
    # Older files contain no module, and a package only if the class was registered.
    return not config.get("registered_name") and ">" not in config["class_name"]


def _parts(layer: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    """Return the subgroups of a layer's variables, their paths within the layer, and names."""
    kind, config = layer["class_name"], layer["config"]
    if not _is_built_in(layer):
        return []
    if kind in _CELLS:
        return [("/cell", "", _present(_CELLS[kind], config))]
    if kind in _VARIABLES:
        return [("", "", _present(_VARIABLES[kind], config))]
    inner = {}
    if kind == "TimeDistributed":
        inner = {"/layer": ("", config["layer"])}
    if kind == "Bidirectional":
        backward = config.get("backward_layer") or config["layer"]
        inner = {
            "/forward_layer": ("forward/", config["layer"]),
            "/backward_layer": ("backward/", backward),
        }
    return [
        (f"{group}{subgroup}", f"{path}{subpath}", names)
        for group, (path, wrapped) in inner.items()
        for subgroup, subpath, names in _parts(wrapped)
    ]


def _present(
    variables: tuple[tuple[str, ...], ...], config: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    """Return the variables that a layer with these arguments has."""
    absent = {
        "bias": config.get("use_bias") is False
        or ("equation" in config and config.get("bias_axes") is None),
        "gamma": config.get("scale") is False,
        "beta": config.get("center") is False,
    }
    return [words for words in variables if not absent.get(words[0], False)]

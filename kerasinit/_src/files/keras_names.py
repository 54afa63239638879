"""Names for the variables of a saved model, from what its file says of its layers.

In a Keras weights file the variables of a layer are numbered (``layers/dense/vars/0``).
The configuration saved beside it tells which class each layer is, and of Keras' own
classes it is known what their variables are called and in which order they are kept. A
layer of which it is not known gets no names here, so that nothing is ever guessed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasinit._src.compat import snake_case

_MODELS = ("Functional", "Model", "Sequential")
# The names of each layer's variables, in the order in which files keep them. Where the two
# Kerases call one variable differently, both names stand.
_KERNEL_BIAS = (("kernel",), ("bias",))
_GAMMA_BETA = (("gamma",), ("beta",))
_VARIABLES = {
    "BatchNormalization": (*_GAMMA_BETA, ("moving_mean",), ("moving_variance",)),
    "DepthwiseConv1D": (("kernel", "depthwise_kernel"), ("bias",)),
    "DepthwiseConv2D": (("kernel", "depthwise_kernel"), ("bias",)),
    "Embedding": (("embeddings",),),
    "GroupNormalization": _GAMMA_BETA,
    "LayerNormalization": _GAMMA_BETA,
    "PReLU": (("alpha",),),
    "SeparableConv1D": (("depthwise_kernel",), ("pointwise_kernel",), ("bias",)),
    "SeparableConv2D": (("depthwise_kernel",), ("pointwise_kernel",), ("bias",)),
    **dict.fromkeys(
        (
            "Conv1D",
            "Conv1DTranspose",
            "Conv2D",
            "Conv2DTranspose",
            "Conv3D",
            "Conv3DTranspose",
            "Dense",
            "EinsumDense",
        ),
        _KERNEL_BIAS,
    ),
}
_CELLS = dict.fromkeys(
    ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "SimpleRNN"),
    (("kernel",), ("recurrent_kernel",), ("bias",)),
)


@dataclass(frozen=True)
class _Layer:
    path: str  # its structural path, as `network.walk.walk` numbers
    group: str  # its group in a weights file, as Keras numbers
    outermost: str  # the own name of the layer of the whole model that it is, or is within
    stem: str
    saved: Mapping[str, Any]

    @property
    def own_name(self) -> str:
        return _own_name(self.saved)

    @property
    def given_name(self) -> str | None:
        """The layer's own name, unless Keras made it up."""
        made_up = re.fullmatch(rf"{self.stem}(_\d+)?|", self.own_name)
        return None if made_up else self.own_name


def in_weights_file(
    model: Mapping[str, Any], counts: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """Return other names of the variables in a ``model.weights.h5``.

    Args:
        model: The model's configuration, as ``config.json`` holds it.
        counts: How many variables each group of the file has, by the group's name, such
            as ``layers/dense/vars``.

    Returns:
        For a variable's name in the file, such as ``layers/dense_1/vars/0``, the
        structural name (``dense_1/kernel``; see `network.parts.named_variables`), and
        the one by the layer's own name (``head/kernel``) if a person gave it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for layer in _layers(model):
        parts = [
            (f"{layer.group}{where}/vars", path, names)
            for where, path, names in _parts(layer.saved)
        ]
        # A layer that was quantized, say, keeps more than it is known for.
        if any(counts.get(group, 0) != len(variables) for group, _, variables in parts):
            continue
        owners = [layer.path] + ([layer.given_name] if layer.given_name else [])
        taken: dict[str, int] = {}
        for group, path, variables in parts:
            for position, words in enumerate(variables):
                again = taken.get(words[0], 0)
                taken[words[0]] = again + 1
                end = f"_{again}" if again else ""
                # The second is what the first format of tickets called it.
                found[f"{group}/{position}"] = tuple(
                    dict.fromkeys(
                        f"{owner}/{name}"
                        for owner in owners
                        for word in words
                        for name in (f"{path}{word}", f"{word}{end}")
                    )
                )
    return found


def in_h5_file(model: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the structural names of the variables in the ``.h5`` file of a whole model.

    Such a file names its variables by the layers' own names (``dense_7/dense_7/kernel:0``),
    of which the configuration tells where in the model they are.
    """
    groups: dict[str, list[_Layer]] = {}
    for layer in _layers(model):
        groups.setdefault(layer.outermost, []).append(layer)
    meant: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")  # model_weights/GROUP/.../OWNER/WORD:0
        if len(parts) < 4:
            continue
        group, owner, word = parts[1], parts[-2], parts[-1].removesuffix(":0")
        for layer in groups.get(group, ()):
            # A group is a layer, whose parts are called as they like, or a nested model.
            if "/" not in layer.path or layer.own_name == owner:
                meant.setdefault(f"{layer.path}/{word}", []).append(name)
    # Two kernels of one layer cannot be told apart by what a kernel is called.
    return {found[0]: (name,) for name, found in meant.items() if len(found) == 1}


def paths(model: Mapping[str, Any]) -> frozenset[str]:
    """Return the structural paths of a model's layers."""
    return frozenset(layer.path for layer in _layers(model))


def _layers(
    model: Mapping[str, Any], path: str = "", group: str = "", outermost: str = ""
) -> Iterator[_Layer]:
    if not _is_model(model):
        return
    layers = model["config"]["layers"]
    if any("shared_object_id" in saved for saved in layers):
        # A layer of two models is kept in one of them, and not counted in the other.
        return
    counts: dict[str, int] = {}
    for saved in layers:
        stem = snake_case(re.sub(r"\W", "", saved["class_name"].rsplit(">", 1)[-1]))
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        name = f"{stem}_{number}" if number else stem
        top = outermost or _own_name(saved)
        if _is_model(saved):
            yield from _layers(saved, f"{path}{name}/", f"{group}layers/{name}/", top)
        else:
            yield _Layer(f"{path}{name}", f"{group}layers/{name}", top, stem, saved)


def _own_name(saved: Mapping[str, Any]) -> str:
    return str(saved["config"].get("name", ""))


def _is_model(saved: Mapping[str, Any]) -> bool:
    return (
        saved["class_name"] in _MODELS
        and _is_keras_own(saved)
        and isinstance(saved["config"].get("layers"), list)
    )


def _is_keras_own(saved: Mapping[str, Any]) -> bool:
    """Return whether a class is Keras' own, and not somebody's that is called the same."""
    if saved.get("module"):
        return saved["module"].split(".")[0] in ("keras", "tf_keras")
    # Files of the old kind name no module, and a package only where it was registered.
    return not saved.get("registered_name") and ">" not in saved["class_name"]


def _parts(layer: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    """Return where in a layer's group its variables are, their path in it, and their names."""
    kind, config = layer["class_name"], layer["config"]
    if not _is_keras_own(layer):
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
        (f"{group}{where}", f"{path}{more}", names)
        for group, (path, saved) in inner.items()
        for where, more, names in _parts(saved)
    ]


def _present(
    variables: tuple[tuple[str, ...], ...], config: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    """Return which of the variables a layer has that was made with these arguments."""
    absent = {
        "bias": config.get("use_bias") is False
        or ("equation" in config and config.get("bias_axes") is None),
        "gamma": config.get("scale") is False,
        "beta": config.get("center") is False,
    }
    return [words for words in variables if not absent.get(words[0], False)]

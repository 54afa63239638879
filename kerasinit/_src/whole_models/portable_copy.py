"""A copy of a model whose files load where kerasinit is not installed.

The model is saved as `.keras`, the format that keeps its vocabularies, its optimizer and their
state. The initializers in its ``config.json`` are replaced by Keras' own, and the file is loaded.
"""

import json
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.errors import warn
from kerasinit._src.initializers.base import PACKAGE, Initializer
from kerasinit._src.network.parts import named_variables
from kerasinit._src.troubleshooting import see
from kerasinit._src.whole_models import keras_equivalents
from kerasinit._src.whole_models.keras_equivalents import ADVICE, Slot

_SLOT = "kerasinit slot"


def portable(model: Any) -> Any:
    """Return a copy of a model whose initializers are Keras' own.

    The copy's files (``.keras``, ``.h5``, JSON, a SavedModel) load where kerasinit, or a file that
    `kerasinit.FromModel` took its values from, is not available. It has the same weights, bit for
    bit, the same names, and is compiled like the model, with the optimizer's state.

    The replaced initializers matter only if the copy is rebuilt from its JSON or cloned.

    * If Keras has an initializer of the same distribution, that one: `HeNormal` becomes
      ``HeNormal``, with a ``negative_slope`` ``VarianceScaling`` of the resulting scale.
      From the same seed it draws different numbers. A seed of 2^31 or more is taken
      modulo 2^31, and a ``SeedGenerator`` becomes None.
    * Otherwise Keras' default, ``GlorotUniform`` (zeros in place of `Chrono` and
      `ForgetBias`), and a warning that names the layers. The weights are not affected.

    Args:
        model: A built Sequential or functional model of either Keras. It is not changed.

    Returns:
        A new model of the same Keras.

    Raises:
        TypeError: If the model, or one within it, is of a custom class, whose code creates its
            layers; if a layer has an initializer of an unknown class, such as a custom one
            derived from ours; or if the model cannot be saved completely (see the message).
        ValueError: If the model is not built, or if a layer is shared by several models within it.

    Example:
    >>> import keras
    >>> import kerasinit
    >>> layer = keras.layers.Dense(3, kernel_initializer=kerasinit.HeNormal(seed=1))
    >>> copy = portable(keras.Sequential([keras.Input((4,)), layer]))
    >>> type(copy.layers[0].kernel_initializer) is keras.initializers.HeNormal
    True
    >>> bool((copy.layers[0].kernel.numpy() == layer.kernel.numpy()).all())
    True
    """
    library = compat.library_of(model)
    _require_savable(model)
    # By position: an unnamed variable has another name in each model.
    weights = [compat.read(variable) for variable in named_variables(model).values()]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.keras"), Path(folder, "theirs.keras")
        model.save(ours)
        with zipfile.ZipFile(ours) as archive:
            config = json.loads(archive.read("config.json"))
        slots = _Slots(library, config)
        _with_config(ours, theirs, slots.filled(_chosen(slots.found)))
        copy = _loaded(library, theirs)
    left = _Slots(library, library.saving.serialize_keras_object(copy))
    if left.found:
        raise TypeError(
            f"The layer {left.found[0].layer!r} creates {left.found[0].initializer!r} in its own "
            f"code, which cannot be rewritten. {ADVICE}"
        )
    for variable, values in zip(named_variables(copy).values(), weights, strict=True):
        # Random state, such as that of Dropout, is not in the file.
        if compat.read(variable).tobytes() != values.tobytes():
            compat.assign(variable, values)
    return copy


def with_keras_initializers(library: Any, config: Any) -> Any:
    """Return a model's configuration with Keras' own initializers in the place of ours.

    Args:
        library: The model's Keras.
        config: What ``serialize_keras_object`` returned for the model.
    """
    slots = _Slots(library, config)
    return slots.filled(_chosen(slots.found)) if slots.found else config


def _loaded(library: Any, path: Path) -> Any:
    try:
        return library.models.load_model(path)
    except EOFError as error:
        # Two members of the archive are open at a time, which Python's zipfile no longer allows.
        raise ValueError(
            f"tf_keras cannot load its own .keras files if they have assets, such as a vocabulary, "
            f"under Python {platform.python_version()} (seen from 3.12 on). Use an earlier "
            f"Python, or put the layer with the vocabulary outside of the model."
        ) from error


def _require_savable(model: Any) -> None:
    if not compat.is_model(model):
        raise TypeError(f"Expected a model; got the layer {model!r}. Put it into a model.")
    for one in _models(model):
        if type(one).__module__.split(".")[0] not in compat.KERASES:
            raise TypeError(
                f"The model {one.name!r} is of the class {type(one).__qualname__}, whose own code "
                f"creates its layers, so their initializers cannot be rewritten. portable takes "
                f"Sequential and functional models. {ADVICE}"
            )
    if not compat.is_built(model):
        raise ValueError(
            f"The model {model.name!r} is not built. Call it once, or `build` it. "
            f"{see('unbuilt-model')}"
        )
    owners: dict[int, Any] = {}
    for one in _models(model):
        for layer in one.layers:
            if compat.unwrapped(layer) is not layer:
                raise TypeError(
                    f"The layer {layer.name!r} is wrapped for pruning, and such files cannot be "
                    f"loaded. Remove the wrappers: kerasinit.pruning.strip_pruning(model)."
                )
            if owners.setdefault(id(layer), one) is not one and layer.weights:
                raise ValueError(
                    f"The layer {layer.name!r} is shared by several models, {one.name!r} and "
                    f"{owners[id(layer)].name!r}. Keras' files do not keep shared layers."
                )
    if compat.kerase_of(model) == "keras":
        return
    if any(compat.dtype_of(one) == "bfloat16" for one in named_variables(model).values()):
        raise TypeError(
            "tf_keras cannot load its own .keras files if they have variables of bfloat16. Use "
            "the policy 'mixed_bfloat16', whose variables are float32."
        )
    if optimizers.is_legacy(getattr(model, "optimizer", None)):
        name = type(model.optimizer).__name__
        raise TypeError(
            f"tf_keras does not save the state of its legacy optimizer {name} in .keras files. "
            f"Compile with tf_keras.optimizers.{name} instead."
        )


def _models(thing: Any) -> Iterator[Any]:
    """Yield a model and those nested in it, also in wrappers."""
    if compat.is_model(thing):
        yield thing
        for layer in thing.layers:
            yield from _models(layer)
    elif hasattr(thing, "layer"):
        yield from _models(thing.layer)


def _with_config(path: Path, new: Path, config: Any) -> None:
    """Copy a ``.keras`` file with another configuration."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, "w") as archive:
        for info in old.infolist():
            if info.filename == "config.json":
                archive.writestr(info, json.dumps(config))
            else:
                with old.open(info) as here, archive.open(info, "w", force_zip64=True) as there:
                    shutil.copyfileobj(here, there)


class _Slots:
    """The occurrences of our initializers in a model's configuration."""

    def __init__(self, library: Any, config: Any) -> None:
        self.library = library
        self.found: list[Slot] = []
        self._template = self._without_ours(config, "", "")

    def filled(self, with_what: Sequence[Any]) -> Any:
        """Return the configuration with other initializers, one for each slot."""
        saved = [self.library.saving.serialize_keras_object(one) for one in with_what]

        def fill(node: Any) -> Any:
            if isinstance(node, dict):
                if _SLOT in node:
                    return saved[node[_SLOT]]
                return {key: fill(value) for key, value in node.items()}
            return [fill(value) for value in node] if isinstance(node, list | tuple) else node

        return fill(self._template)

    def _without_ours(self, node: Any, layer: str, dtype: str) -> Any:
        if isinstance(node, str) and node.startswith(f"{PACKAGE}>"):
            node = {"class_name": node, "config": {}}
        if isinstance(node, list | tuple):
            return [self._without_ours(value, layer, dtype) for value in node]
        if not isinstance(node, dict):
            return node
        config = node.get("config")
        if isinstance(config, dict):
            # Two layers that share an initializer get one each: one of Keras' would draw the same
            # values for both.
            if cls := self._ours(node):
                self.found.append(Slot(layer, cls.from_config(config), self.library, dtype))
                return {_SLOT: len(self.found) - 1}
            layer = str(config.get("name", layer))
            policy = config.get("dtype", dtype)
            named = policy.get("config", {}).get("name") if isinstance(policy, dict) else policy
            dtype = str(named or "")
        return {key: self._without_ours(value, layer, dtype) for key, value in node.items()}

    def _ours(self, node: dict[str, Any]) -> Any:
        name = node.get("registered_name") or node.get("class_name")
        cls = self.library.saving.get_registered_object(name) if isinstance(name, str) else None
        return cls if isinstance(cls, type) and issubclass(cls, Initializer) else None


def _chosen(slots: list[Slot]) -> list[Any]:
    """Return an initializer of Keras for each slot, and warn of those without an equivalent."""
    chosen = [keras_equivalents.equivalent(slot) for slot in slots]
    without = [slot for slot, one in zip(slots, chosen, strict=True) if one is None]
    if without:
        listed = ", ".join(f"{slot.initializer!r} of {slot.layer!r}" for slot in without)
        warn(
            f"Keras has no equivalent of {listed}. The copy has the same weights; only a model "
            f"rebuilt from its configuration starts from Keras' default instead."
        )
    return [
        keras_equivalents.substitute(slot) if one is None else one
        for slot, one in zip(slots, chosen, strict=True)
    ]

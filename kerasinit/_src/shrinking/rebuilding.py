"""Builds a model again with fewer channels: its configuration is edited and its weights are cut."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.parts import variables_of
from kerasinit._src.network.trace import raised
from kerasinit._src.network.walk import walk
from kerasinit._src.shrinking.channels import Channels, Labels
from kerasinit._src.shrinking.reading import ModelChannels


def rebuilt(reading: ModelChannels, kept: np.ndarray) -> Any:
    """Return a new model with the kept channels and their weights.

    Args:
        reading: The channels of the model, with what is folded into its biases.
        kept: For each channel whether it is kept.
    """
    model, channels = reading.model, reading.channels

    def count(labels: Labels) -> int:
        return int(kept[channels.of(labels)].sum())

    library = compat.library_of(model)
    entry = _Configuration(reading, count).of(model)
    small = _deserialized(library, entry, model)
    _copy_weights(reading, small, kept, count)
    return small


class _Configuration:
    """Edits the configurations of a model and of those inside it."""

    def __init__(self, reading: ModelChannels, count: Callable[[Labels], int]) -> None:
        self._reading, self._count = reading, count

    def of(self, model: Any) -> dict[str, Any]:
        """Return the serialized model with all edits."""
        library = compat.library_of(model)
        plain = model
        if type(model).__module__.split(".")[0] not in compat.KERASES:
            # A class of the user's around a functional model: what it adds is not its graph.
            plain = library.Model(model.inputs, model.outputs, name=model.name)
        entry = copy.deepcopy(library.saving.serialize_keras_object(plain))
        for key in ("compile_config", "build_config"):
            entry.pop(key, None)
        self._edit_model(entry["config"], model)
        return entry

    def _edit_model(self, config: dict[str, Any], model: Any) -> None:
        config.pop("build_input_shape", None)
        layers = {layer.name: layer for layer in map(compat.unwrapped, model.layers)}
        layers.update({layer.name: layer for layer in getattr(model, "_layers", ())})
        inputs = {name: signal for name, inner, signal in self._reading.entries if inner is model}
        for number, entry in enumerate(config["layers"]):
            own = entry["config"]
            name = entry.get("name", own.get("name"))
            layer = layers.get(name)
            if entry["class_name"] == "InputLayer":
                self._edit_input(own, inputs.get(name, inputs.get("")))
            elif layer is None:
                self._edit(own, ("operation", id(model), name))
                if name is not None and entry.get("build_config"):
                    entry.pop("build_config")
            elif compat.is_model(layer):
                if self._is_expanded(layer):
                    inner = self.of(layer)
                    config["layers"][number] = {**entry, **inner}
                    config["layers"][number].pop("build_config", None)
            else:
                self._edit_layer(entry, layer)

    def _is_expanded(self, model: Any) -> bool:
        return any(inner is model for _, inner, _ in self._reading.entries)

    def _edit_layer(self, entry: dict[str, Any], layer: Any) -> None:
        changed = self._edit(entry["config"], id(layer))
        inner = getattr(layer, "layer", None)
        nested = entry["config"].get("layer")
        if compat.is_layer(inner) and isinstance(nested, dict):
            changed |= self._edit(nested["config"], id(inner))
        if type(layer).__module__.split(".")[0] in compat.KERASES or changed:
            _without_shapes(entry)

    def _edit(self, config: dict[str, Any], key: Any) -> bool:
        changes = self._reading.channels.edits.get(key, ())
        for change in changes:
            change(config, self._count)
        return bool(changes)

    def _edit_input(self, config: dict[str, Any], signal: Any) -> None:
        if signal is None:
            return
        for name in ("batch_shape", "batch_input_shape"):
            if config.get(name) is not None:
                config[name] = [
                    self._count(labels) if labels is not None and size is not None else size
                    for size, labels in zip(config[name], signal.axes, strict=True)
                ]


def _without_shapes(entry: Any) -> None:
    """Remove the shapes of inputs, which may have become smaller, from a configuration."""
    if isinstance(entry, dict):
        entry.pop("build_config", None)
        for value in entry.values():
            _without_shapes(value)
    elif isinstance(entry, list):
        for value in entry:
            _without_shapes(value)


def _deserialized(library: Any, entry: dict[str, Any], model: Any) -> Any:
    classes = {
        kind.__name__: kind
        for kind in {type(layer) for layer in _all_layers(model)}
        if getattr(library.layers, kind.__name__, None) is not kind
    }
    try:
        # The model is in the memory of this process: its code has been trusted already.
        return library.saving.deserialize_keras_object(
            entry, custom_objects=classes, safe_mode=False
        )
    except Exception as error:  # any from_config may fail in its own way
        raise ValueError(
            f"The model {model.name!r} cannot be built again from its configuration, which failed "
            f"with: {raised(error)}. A custom layer needs a get_config with all arguments of its "
            f"constructor."
        ) from error


def _all_layers(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found += [layer, *(_all_layers(layer) if compat.is_model(layer) else ())]
        inner = getattr(layer, "layer", None)
        if compat.is_layer(inner):
            found.append(inner)
    return found


def _copy_weights(
    reading: ModelChannels, small: Any, kept: np.ndarray, count: Callable[[Labels], int]
) -> None:
    channels = reading.channels
    made = {one.name: one for one in variables_of(small)}
    biases = {}
    is_keras_3 = compat.kerase_of(small) == "keras"
    for one in variables_of(reading.model):
        new = made.pop(one.name, None)
        if new is None:
            raise ValueError(
                f"The model {reading.model.name!r}, built again from its configuration, has no "
                f"variable {one.name!r}. A custom layer needs a get_config with all arguments of "
                f"its constructor."
            )
        compat.assign(new.variable, cut(channels, one.variable, kept, count))
        if is_keras_3 and new.variable.trainable != one.variable.trainable:
            new.variable.trainable = one.variable.trainable  # of tf_keras, the layers' decide
    _copy_states(reading.model, small)
    for one in made.values():
        biases[one.layer.name, one.name.rsplit("/", 1)[-1]] = one.variable
    for layer, amount, labels in channels.new_biases.values():
        variable = biases.pop((layer.name, "bias"))
        compat.assign(variable, amount[kept[channels.of(labels)]])


def _copy_states(model: Any, small: Any) -> None:
    """Copy the states of stateful recurrent layers, which are no weights in tf_keras."""
    if compat.kerase_of(model) == "keras":
        return
    for (_, old), (_, new) in zip(walk(model), walk(small), strict=True):
        states = getattr(old, "states", None)
        if getattr(old, "stateful", False) and states and all(map(compat.is_variable, states)):
            new.reset_states([compat.read(one) for one in states])


def cut(
    channels: Channels,
    variable: Any,
    kept: np.ndarray,
    count: Callable[[Labels], int] | None = None,
) -> np.ndarray:
    """Return the values of a variable for the kept channels, with what is folded into it."""
    values = compat.read(variable)
    dtype = values.dtype
    if id(variable) in channels.folded:
        values = (values.astype("float64") + channels.folded[id(variable)]).astype(dtype)
    values = kept_values(channels, variable, values, kept)
    if count is not None:
        for one, labels, factor in channels.rescaled:
            if one is variable and count(labels) != len(labels):
                values = (values.astype("float64") * factor(count(labels))).astype(dtype)
    return values


def kept_values(
    channels: Channels, variable: Any, values: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Return an array of the shape of a variable, for the kept channels."""
    bound = channels.bound.get(id(variable))
    for axis, labels in enumerate(() if bound is None else bound.axes):
        if labels is not None:
            values = np.compress(kept[channels.of(labels)], values, axis)
    return values

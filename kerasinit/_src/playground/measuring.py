"""What is seen of a network at a step: its boundary, its mistakes, and each of its layers."""

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.diagnosis.signals import saturated_fraction
from kerasinit._src.diagnosis.twins import twins
from kerasinit._src.network.parts import parts
from kerasinit._src.playground.examples import Examples
from kerasinit._src.theory import limits

GRID = 40
"""The width and height of the boundary's picture, in points."""
BINS = 24
"""Of the histograms."""
_MARGIN = 0.15  # of the plane around the points, relative to their extent
_WRONG = 12  # examples shown


class Views:
    """Measures one network again and again.

    Args:
        model: The network, as `networks.build` returns it.
        examples: The examples that it is trained on.
        activation: The name of its activation.
    """

    def __init__(self, model: keras.Model, examples: Examples, activation: str) -> None:
        self._model, self._examples, self._activation = model, examples, activation
        self._hidden = _hidden_layers(model)
        tensors = [tensor for n in self._hidden for tensor in _tensors(model, n)]
        self._probe = keras.Model(model.inputs, [*tensors, model.outputs[0]])
        self._parts = {(part.layer.name, part.role): part for part in parts(model)}
        self._measure = tf.function(self._signals_and_gradients, reduce_retracing=True)
        self._predict = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
        # In training mode these are updated, which looking at a network must not do.
        self._statistics = [w for w in model.non_trainable_weights if "moving" in w.name]
        self._points = tf.constant(_grid(bounds(examples))) if examples.is_plane else None

    def view(self, masks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return everything as plain data, ready for JSON."""
        seen: dict[str, Any] = {"grid": None, "confusion": None, "wrong": None}
        if self._points is not None:
            best, confidence = self.boundary()
            seen["grid"] = {
                "size": GRID,
                "best": _encoded(best),
                "confidence": _encoded(np.round(confidence * 255)),
            }
        else:
            seen |= self._mistakes()
        return seen | {"digest": self.digest(), "layers": self._layers(masks)}

    def digest(self) -> str:
        """Return a hash of all weights, by which the same weights are recognized."""
        sha = hashlib.sha256()
        for value in self._model.get_weights():
            sha.update(value.tobytes())
        return sha.hexdigest()[:16]

    def boundary(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of each point of the plane, and its probability, row by row."""
        chances = np.nan_to_num(tf.nn.softmax(self._predict(self._points)).numpy())
        shape = GRID, GRID
        return chances.argmax(axis=1).reshape(shape), chances.max(axis=1).reshape(shape)

    def _mistakes(self) -> dict[str, Any]:
        examples = self._examples
        predicted = np.nan_to_num(self._predict(tf.constant(examples.x_test)).numpy()).argmax(1)
        classes = len(examples.classes)
        confusion = np.zeros((classes, classes), int)
        np.add.at(confusion, (examples.y_test, predicted), 1)
        wrong = np.flatnonzero(predicted != examples.y_test)[:_WRONG]
        return {
            "confusion": confusion.tolist(),
            "wrong": [[int(i), int(predicted[i]), int(examples.y_test[i])] for i in wrong],
        }

    def _layers(self, masks: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        statistics = [compat.read(variable) for variable in self._statistics]
        x, y = self._examples.probe
        measured = self._measure(tf.constant(x), tf.constant(y))
        for variable, value in zip(self._statistics, statistics, strict=True):
            compat.assign(variable, value)
        names = [*(f"hidden_{number}" for number in self._hidden), "outputs"]
        return [
            self._layer(name, units.numpy(), signal.numpy(), gradient.numpy(), masks)
            for name, units, signal, gradient in zip(names, *measured, strict=True)
        ]

    def _layer(
        self,
        name: str,
        units: np.ndarray,
        signal: np.ndarray,
        gradient: np.ndarray,
        masks: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        kernel = self._parts[name, "kernel"]
        weights = compat.read(kernel.variable)
        bias = compat.read(self._parts[name, "bias"].variable)
        hidden = name != "outputs"
        alike = twins(kernel, weights, None, bias)
        saturated = None
        if hidden:
            limit = math.exp(-limits.HARM)
            saturated = saturated_fraction(units, self._activation, limit)
        mask = masks[kernel.name]
        return {
            "activation": _root_mean_square(signal),
            # Of an example's own loss: the mean over a batch divides each by the number of them.
            "gradient": _root_mean_square(gradient) * len(gradient),
            "weights": _histogram(weights[mask]),
            "activations": _histogram(units),
            "dead": int((units == 0).all(axis=0).sum()) if hidden else 0,
            "saturated": saturated,
            "identical": 0 if alike is None else alike.alike,
            "units": int(units.shape[1]),
            "kept": float(mask.mean()),
        }

    def _signals_and_gradients(self, x: tf.Tensor, y: tf.Tensor) -> tuple[list[Any], ...]:
        """Return what the units of each layer compute, its signal, and its gradient.

        The signal is what the next layer sees: with a residual connection, the sum. The gradient
        is that of the loss by the layer's preactivations.
        """
        with tf.GradientTape() as tape:
            *hidden, logits = self._probe(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        before, units, signals = hidden[0::3], hidden[1::3], hidden[2::3]
        gradients = tape.gradient(
            loss, [*before, logits], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [*units, logits], [*signals, logits], gradients


def bounds(examples: Examples) -> tuple[float, float, float, float]:
    """Return the part of the plane that is drawn: left, right, bottom, top."""
    points = np.concatenate([examples.x, examples.x_test])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * np.maximum(high - low, 1e-3)
    (left, bottom), (right, top) = low - margin, high + margin
    return float(left), float(right), float(bottom), float(top)


def _grid(edges: tuple[float, float, float, float]) -> np.ndarray:
    """Return the centres of the picture's points, row by row from the top."""
    left, right, bottom, top = edges
    centres = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(left + centres * (right - left), top - centres * (top - bottom))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _tensors(model: keras.Model, number: int) -> tuple[Any, Any, Any]:
    """Return preactivation, activation and signal of a hidden layer."""
    names = {layer.name for layer in model.layers}
    last = f"add_{number}" if f"add_{number}" in names else f"activation_{number}"
    kinds = (f"hidden_{number}", f"activation_{number}", last)
    before, after, signal = (model.get_layer(kind).output for kind in kinds)
    return before, after, signal


def _hidden_layers(model: keras.Model) -> list[int]:
    names = [layer.name for layer in model.layers]
    return [n for n in range(1, len(names) + 1) if f"hidden_{n}" in names]


def _root_mean_square(values: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(values, dtype=np.float64))))


def _histogram(values: np.ndarray) -> dict[str, Any]:
    """Return the range and the counts of the finite values."""
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return {"low": 0.0, "high": 0.0, "counts": [0] * BINS}
    low, high = float(values.min()), float(values.max())
    counts = np.zeros(BINS, int)
    if high > low:
        places = ((values - low) / (high - low) * BINS).astype(int)
        counts += np.bincount(np.minimum(places, BINS - 1).ravel(), minlength=BINS)
    else:
        counts[BINS // 2] = values.size
    return {"low": low, "high": high, "counts": counts.tolist()}


def _encoded(values: np.ndarray) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()

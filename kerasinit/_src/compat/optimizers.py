"""The optimizers of both Kerases: their state, a new start, and a step by hand."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import tf_keras

from kerasinit._src import compat, errors


def is_legacy(optimizer: Any) -> TypeGuard[Any]:
    """Return whether an optimizer is one of ``tf_keras.optimizers.legacy``."""
    return isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer)


def optimizer_variables(model: Any) -> list[Any]:
    """Return every variable of a compiled model's optimizer, made if they were not yet.

    Raises:
        TypeError: For an optimizer of ``tf_keras.optimizers.legacy``, which makes
            its variables only as it goes, and for Nadam of tf_keras, which keeps one of them to
            itself, so that their state cannot be put back.
    """
    optimizer = model.optimizer
    if compat.kerase_of(model) == "tf_keras":
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if isinstance(inner, tf_keras.optimizers.Nadam):
            raise TypeError(
                f"The model is compiled with {type(inner).__name__} of tf_keras, whose state "
                f"cannot be put back: a product of its momenta is not among its variables. Compile "
                f"with tf_keras.optimizers.Adam, or build the model with Keras 3."
            )
        if is_legacy(optimizer):
            raise TypeError(
                f"The model is compiled with the legacy optimizer "
                f"{type(optimizer).__name__}, whose state cannot be put back. Compile with "
                f"tf_keras.optimizers.{type(optimizer).__name__} instead."
            )
        optimizer.build(model.trainable_variables)
        return list(optimizer.variables)
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return list(optimizer.variables)


def state_of(model: Any) -> list[Any]:
    """Return the variables that a model's optimizer has so far; none without an optimizer."""
    return list(getattr(getattr(model, "optimizer", None), "variables", ()) or ())


def averages_weights(model: Any) -> bool:
    """Return whether a compiled model's optimizer keeps an average of the weights."""
    optimizer = model.optimizer
    # One that scales the loss wraps another.
    return bool(getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False))


def require_resettable_optimizer(model: Any) -> None:
    """Raise if `reset_optimizer` could not start a model's optimizer anew.

    Raises:
        TypeError: For a used optimizer of ``tf_keras.optimizers.legacy``.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if is_legacy(optimizer) and optimizer.weights:
        optimizer_variables(model)  # which says why not


def reset_optimizer(model: Any) -> None:
    """Give the variables of a compiled model's optimizer the values that they begin with.

    Its settings stay, and so does a learning rate that was changed since. A model
    without an optimizer, or one that was not used yet, is left as it is.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or is_legacy(optimizer):
        return
    # A second one of the same settings: public, and right for whatever it holds.
    fresh = type(optimizer).from_config(optimizer.get_config())
    if len(optimizer.variables) > len(fresh.variables):
        fresh.build(model.trainable_variables)
    for variable, first in zip(optimizer.variables, fresh.variables, strict=True):
        variable.assign(first.numpy())


def replace_optimizer(model: Any, name: str, arguments: Mapping[str, Any]) -> None:
    """Compile a compiled model again, with another optimizer of its own Keras.

    Its loss stays, and its metrics if they were given by name.

    Args:
        model: A compiled model of either Keras.
        name: The optimizer's class, in any case: ``"adam"``.
        arguments: What to make it with.

    Raises:
        ValueError: If there is no such optimizer or argument, or a value is not valid.
    """
    library = compat.library_of(model).optimizers
    not_by_name = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    classes = {
        key.lower(): value
        for key, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, library.Optimizer)
        if key not in not_by_name
    }
    if name.lower() not in classes:
        raise errors.unknown("optimizer", name, classes)
    try:
        optimizer = classes[name.lower()](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Cannot make the optimizer {name!r}: {error}") from error
    config = model.get_compile_config()
    metrics = config.get("metrics")
    named = isinstance(metrics, list) and all(isinstance(metric, str) for metric in metrics)
    model.compile(
        optimizer,
        model.loss,
        loss_weights=config.get("loss_weights"),
        metrics=metrics if named else None,
    )


def scaled_loss(model: Any, loss: Any) -> Any:
    """Return the loss to differentiate: scaled where mixed precision asks for it."""
    if compat.kerase_of(model) == "keras":
        return model.optimizer.scale_loss(loss)
    if isinstance(model.optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        return model.optimizer.get_scaled_loss(loss)
    return loss


def apply_gradients(model: Any, gradients: list[Any]) -> None:
    """Take one optimizer step with gradients of `scaled_loss`, one per trainable variable."""
    optimizer = model.optimizer
    if compat.kerase_of(model) == "keras":
        optimizer.apply(gradients, model.trainable_variables)
        return
    unscaled = _unscaled(optimizer, gradients)
    optimizer.apply_gradients(zip(unscaled, model.trainable_variables, strict=True))


def _unscaled(optimizer: Any, gradients: list[Any]) -> list[Any]:
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        return optimizer.get_unscaled_gradients(gradients)
    return gradients

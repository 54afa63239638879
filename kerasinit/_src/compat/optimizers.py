"""Optimizers of both Kerases: reading and resetting their state, and applying gradients."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from kerasinit._src import compat, errors


def is_legacy(optimizer: Any) -> TypeGuard[Any]:
    """Return whether an optimizer is one of ``tf_keras.optimizers.legacy``."""
    tf_keras = compat.imported().get("tf_keras")
    return tf_keras is not None and isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer)


def optimizer_variables(model: Any) -> list[Any]:
    """Return all variables of a compiled model's optimizer, building it if necessary.

    Raises TypeError for optimizers of ``tf_keras.optimizers.legacy``, which create their variables
    while training, and for tf_keras' Nadam, which hides one: their state cannot be restored.
    """
    optimizer = model.optimizer
    if compat.kerase_of(model) == "tf_keras":
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if isinstance(inner, compat.classes("optimizers", "Nadam")):
            raise TypeError(
                f"The model is compiled with {type(inner).__name__} of tf_keras, whose state "
                f"cannot be restored: the product of its momenta is not among its variables. "
                f"Compile with tf_keras.optimizers.Adam, or build the model with Keras 3."
            )
        if is_legacy(optimizer):
            raise TypeError(
                f"The model is compiled with the legacy optimizer "
                f"{type(optimizer).__name__}, whose state cannot be restored. Compile with "
                f"tf_keras.optimizers.{type(optimizer).__name__} instead."
            )
        optimizer.build(model.trainable_variables)
        return list(optimizer.variables)
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return list(optimizer.variables)


def state_of(model: Any) -> list[Any]:
    """Return the existing variables of a model's optimizer; none without an optimizer."""
    return list(getattr(getattr(model, "optimizer", None), "variables", ()) or ())


def averages_weights(model: Any) -> bool:
    """Return whether a compiled model's optimizer keeps a moving average of the weights."""
    optimizer = model.optimizer
    # A LossScaleOptimizer wraps another optimizer.
    return bool(getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False))


def require_resettable_optimizer(model: Any) -> None:
    """Raise TypeError for a used legacy optimizer, which `reset_optimizer` cannot reset."""
    optimizer: Any = getattr(model, "optimizer", None)
    if is_legacy(optimizer) and optimizer.weights:
        optimizer_variables(model)  # raises with the reason


def reset_optimizer(model: Any) -> None:
    """Reset the variables of a model's optimizer to their initial values.

    Its settings are kept, including a learning rate that was changed later.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or is_legacy(optimizer):
        return
    # A new optimizer with the same config has the initial values of any optimizer's variables.
    fresh = type(optimizer).from_config(optimizer.get_config())
    if len(optimizer.variables) > len(fresh.variables):
        fresh.build(model.trainable_variables)
    for variable, first in zip(optimizer.variables, fresh.variables, strict=True):
        variable.assign(first.numpy())


def replace_optimizer(model: Any, name: str, arguments: Mapping[str, Any]) -> None:
    """Recompile a model with another optimizer of its Keras, by case-insensitive class name.

    The loss is kept, and so are metrics that were given by name.
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
        raise ValueError(f"Cannot create the optimizer {name!r}: {error}") from error
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
    """Return the loss to differentiate, scaled if mixed precision requires it."""
    if compat.kerase_of(model) == "keras":
        return model.optimizer.scale_loss(loss)
    if isinstance(model.optimizer, _loss_scaler(model)):
        return model.optimizer.get_scaled_loss(loss)
    return loss


def apply_gradients(model: Any, gradients: list[Any]) -> None:
    """Apply gradients of `scaled_loss`, one per trainable variable."""
    optimizer = model.optimizer
    if compat.kerase_of(model) == "keras":
        optimizer.apply(gradients, model.trainable_variables)
        return
    if isinstance(optimizer, _loss_scaler(model)):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def _loss_scaler(model: Any) -> Any:
    """Return the class of tf_keras' optimizers that scale the loss."""
    return compat.library_of(model).mixed_precision.LossScaleOptimizer

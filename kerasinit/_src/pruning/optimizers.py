"""The optimizers that a model trains with: the one it was compiled with, and others it holds."""

from typing import Any

import keras
import numpy as np


def steps_of(model: Any) -> int:
    """Return how many training steps of a model make one update of its weights.

    Of a model with several optimizers, such as a GAN, those count that it was not compiled with;
    if they do not agree, every training step does.
    """
    compiled = getattr(model, "optimizer", None)
    optimizers = [one for one in _optimizers_of(model) if one is not compiled] or [compiled]
    steps = set()
    for optimizer in optimizers:
        while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        steps.add(getattr(optimizer, "gradient_accumulation_steps", None) or 1)
    return steps.pop() if len(steps) == 1 else 1


def was_trained(model: Any) -> bool:
    """Return whether an optimizer of a model has taken a step."""
    return any(int(np.asarray(one.iterations)) > 0 for one in _optimizers_of(model))


def _optimizers_of(model: Any) -> list[Any]:
    """Return the optimizer that a model was compiled with, and others that it holds."""
    held: list[Any] = []
    for value in vars(model).values():
        several = isinstance(value, list | tuple | dict)
        held += (value.values() if isinstance(value, dict) else value) if several else [value]
    return [value for value in held if isinstance(value, keras.optimizers.Optimizer)]

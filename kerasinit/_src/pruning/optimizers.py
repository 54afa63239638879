"""The optimizers of a model: the compiled one and those in its attributes."""

from typing import Any

import keras
import numpy as np


def steps_of(model: Any) -> int:
    """Return the number of training steps per weight update (gradient accumulation).

    A model with several optimizers, such as a GAN, is trained by those it was not compiled with; if
    they disagree, this is 1.
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
    """Return whether any optimizer of a model has taken a step."""
    return any(int(np.asarray(one.iterations)) > 0 for one in _optimizers_of(model))


def _optimizers_of(model: Any) -> list[Any]:
    """Return the optimizers among the attributes of a model, including the compiled one."""
    held: list[Any] = []
    for value in vars(model).values():
        several = isinstance(value, list | tuple | dict)
        held += (value.values() if isinstance(value, dict) else value) if several else [value]
    return [value for value in held if isinstance(value, keras.optimizers.Optimizer)]

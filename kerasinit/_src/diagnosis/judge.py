"""What is wrong with a network, from what its layers and outputs showed."""

from kerasinit._src.diagnosis.activations import follow_activations
from kerasinit._src.diagnosis.findings import Finding, Found, in_order
from kerasinit._src.diagnosis.gradients import find_no_gradient, follow_gradients
from kerasinit._src.diagnosis.measured import Measured
from kerasinit._src.diagnosis.outputs import find_beside, find_flat_loss, find_learning_rate
from kerasinit._src.diagnosis.single_layers import (
    find_dead_units,
    find_non_finite,
    find_saturation,
    find_symmetry,
    find_unscaled_input,
)


def judge(measured: Measured, times: int = 1) -> tuple[Finding, ...]:
    """Return what is wrong, one finding for each kind, causes before their effects.

    Args:
        measured: What the model showed.
        times: How many sets of weights of it are judged in all: the more, the rarer must be
            what counts as more than chance in one.
    """
    found = Found(measured, times)
    sound = find_non_finite(found)
    find_unscaled_input(found)
    find_symmetry(found)
    find_dead_units(found)
    find_saturation(found)
    follow_activations(found)
    find_beside(found)
    if sound:
        find_flat_loss(found)
        find_no_gradient(found)
        follow_gradients(found)
    find_learning_rate(found)
    return in_order(found.findings.values())

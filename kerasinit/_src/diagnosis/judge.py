"""What is wrong with a network, judged from the measurements of its layers and outputs."""

from kerasinit._src.diagnosis.activations import follow_activations
from kerasinit._src.diagnosis.findings import Finding, Review, in_order
from kerasinit._src.diagnosis.gradients import find_no_gradient, follow_gradients
from kerasinit._src.diagnosis.measured import Measured
from kerasinit._src.diagnosis.outputs import (
    find_constant_loss,
    find_learning_rate,
    find_output_faults,
)
from kerasinit._src.diagnosis.single_layers import (
    find_dead_units,
    find_non_finite,
    find_saturation,
    find_symmetry,
    find_unscaled_input,
)


def judge(measured: Measured, times: int = 1) -> tuple[Finding, ...]:
    """Return one finding for each kind of fault, causes before their effects.

    ``times`` is how many sets of weights of the model are judged in total; the limits of each
    become wider, so that the chance of a false alarm stays the same for all together.
    """
    review = Review(measured, times)
    is_finite = find_non_finite(review)
    find_unscaled_input(review)
    find_symmetry(review)
    find_dead_units(review)
    find_saturation(review)
    follow_activations(review)
    find_output_faults(review)
    if is_finite:
        find_constant_loss(review)
        find_no_gradient(review)
        follow_gradients(review)
    find_learning_rate(review)
    return in_order(review.findings.values())

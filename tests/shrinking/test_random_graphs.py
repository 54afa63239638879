"""No graph of Keras' layers, and no pattern of zeros, makes `compact` return something wrong."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasinit import shrinking
from tests.kerases import INSTALLED
from tests.products import nightly
from tests.shrinking import networks, random_graphs
from tests.shrinking.cutting import assert_same_outputs, zero_channels

pytestmark = pytest.mark.filterwarnings("ignore:compact keeps constant channels")

CHOICES = st.integers(0, 5)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(random_graphs.STEPS)), CHOICES, CHOICES, CHOICES),
    min_size=2,
    max_size=12,
)
KINDS = st.lists(st.sampled_from(sorted(random_graphs.SHAPES)), min_size=1, max_size=2)


def channels(model, rng):
    """Zero a random part of the channels of every group."""
    zero_channels(model, rng.choice((0.3, 0.6, 0.9)), rng)


def weights(model, rng):
    """Zero most weights of each kernel, one by one, and some of the biases and scales."""
    for variable in model.trainable_variables:
        share = 0.9 if len(variable.shape) > 1 else rng.choice((0, 0.5))
        values = np.array(variable)
        variable.assign(np.where(rng.random(values.shape) < share, 0, values))


def columns(model, rng):
    """Zero parts of kernels along one of their axes: what makes a channel, or what reads it."""
    for variable in model.trainable_variables:
        values = np.array(variable)
        if values.ndim:
            values = np.moveaxis(values, rng.integers(values.ndim), 0)
            values[rng.random(len(values)) < 0.5] = 0
        variable.assign(values.reshape(variable.shape))


def everything(model, rng):
    """Zero whole variables."""
    for variable in model.trainable_variables:
        if rng.random() < 0.3:
            variable.assign(np.zeros(variable.shape))


ZEROING = {one.__name__: one for one in (channels, weights, columns, everything)}


def check(library, kinds, program, outputs, zeroing, seed):
    # In double precision no sum of many terms hides a small difference.
    with networks.precision(library, "float64"):
        model = random_graphs.build(library, kinds, program, outputs)
    networks.randomize(model, seed)
    ZEROING[zeroing](model, np.random.default_rng(seed))
    before = [np.array(one) for one in model.get_weights()]
    x = networks.batch(model, size=3, seed=seed)

    small = shrinking.compact(model)

    assert_same_outputs(model, small, x, 1e-6)
    assert small.count_params() <= model.count_params()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


GRAPHS = {
    "kinds": KINDS,
    "program": PROGRAMS,
    "outputs": st.integers(0, 2),
    "zeroing": st.sampled_from(sorted(ZEROING)),
    "seed": st.integers(0, 99),
}
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@given(**GRAPHS)
@settings(max_examples=25, **SETTINGS)
def test_random_graphs_of_keras(kinds, program, outputs, zeroing, seed):
    check(keras, kinds, program, outputs, zeroing, seed)


@pytest.mark.skipif(len(INSTALLED) < 2, reason="tf_keras is not installed")
@given(**GRAPHS)
@settings(max_examples=25, **SETTINGS)
def test_random_graphs_of_tf_keras(kinds, program, outputs, zeroing, seed):
    check(INSTALLED[-1], kinds, program, outputs, zeroing, seed)


@nightly
@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
@given(**GRAPHS)
@settings(max_examples=1500, **SETTINGS)
def test_many_random_graphs(library, kinds, program, outputs, zeroing, seed):
    check(library, kinds, program, outputs, zeroing, seed)


@pytest.mark.parametrize("step", sorted(random_graphs.STEPS))
def test_each_step_makes_a_layer(step):
    """No step is left out of every graph, which would test nothing."""
    kinds = sorted(random_graphs.SHAPES)
    made = [
        len(random_graphs.build(keras, kinds, [(step, a, 2, c)], 1).outputs)
        for a in range(4)
        for c in range(3)
    ]

    assert max(made) == 2

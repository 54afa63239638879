import math

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit._src.network.fans import compute_fans

SHAPES = st.lists(st.integers(0, 7), max_size=6)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((3, 5), (3, 5)),
        ((4, 3, 5), (12, 20)),
        ((3, 3, 64, 128), (576, 1152)),
        ((2, 3, 4, 5, 6), (120, 144)),
        ((0, 5), (0, 5)),
    ],
)
def test_a_shape_alone_is_read_as_keras_reads_it(shape, fans):
    assert compute_fans(shape) == fans


@given(SHAPES.filter(lambda shape: all(shape)))
def test_keras_draws_from_the_interval_that_these_fans_give(shape):
    fan_in, fan_out = compute_fans(shape)
    limit = math.sqrt(3 / max(1, fan_out))
    drawn = keras.initializers.VarianceScaling(1, "fan_out", "uniform", seed=1)(shape)
    assert abs(keras.ops.convert_to_numpy(drawn)).max() <= limit * (1 + 1e-6)
    assert fan_in * (shape[-1] if shape else 1) == fan_out * (shape[-2:-1] or shape or [1])[0]


def test_axes_say_what_a_shape_cannot():
    assert compute_fans((512, 8, 64), [0], [1, 2]) == (512, 512)
    assert compute_fans((8, 64, 512), [0, 1], [2]) == (512, 512)
    assert compute_fans((512, 8, 64)) == (512 * 8, 512 * 64)


@given(SHAPES.filter(len), st.data())
def test_axes_count_from_either_end(shape, data):
    axes = data.draw(st.permutations(range(len(shape))))
    cut = data.draw(st.integers(0, len(shape)))
    inputs, outputs = axes[:cut], axes[cut:]
    fans = compute_fans(shape, inputs, outputs)
    assert fans == compute_fans(shape, [a - len(shape) for a in inputs], outputs)
    assert fans[0] * fans[1] == math.prod(shape)


@given(SHAPES, st.integers(0, 7))
def test_a_batch_of_kernels_has_the_fans_of_one(shape, experts):
    assert compute_fans([experts, *shape], batch_axes=[0]) == compute_fans(shape)
    assert compute_fans([*shape, experts], batch_axes=[-1]) == compute_fans(shape)


def test_batch_axes_count_in_neither_fan_beside_other_axes():
    assert compute_fans((4, 3, 5), [1], [2], [0]) == (3, 5)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (([0], None), "given together or not at all"),
        ((None, [0]), "given together or not at all"),
        (([2], [0]), "names axis 2, but the shape \\(3, 4\\) has only the axes 0 to 1"),
        (([0], [-3]), "output_axes names axis -3"),
        (([0], [0]), "named twice, in input_axes and in output_axes"),
        (([0, -2], [1]), "named twice, in input_axes and in input_axes"),
        (([0], [1], [1]), "named twice, in output_axes and in batch_axes"),
    ],
)
def test_axes_that_cannot_be_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        compute_fans((3, 4), *axes)

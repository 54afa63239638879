"""Where the values of a seed come from, and which seeds there are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.kerases import KERASES, tf_keras

from .table import SEEDED, TABLE

for_seeded = pytest.mark.parametrize("case", SEEDED, ids=str)


@for_seeded
def test_an_integer_seed_gives_the_same_values_at_every_call(case):
    made = case.make(seed=1)
    np.testing.assert_array_equal(made(case.shape), made(case.shape))
    np.testing.assert_array_equal(made(case.shape), case.make(seed=np.int64(1))(case.shape))
    assert not np.array_equal(made(case.shape), case.make(seed=2)(case.shape))


@for_seeded
def test_without_a_seed_every_call_gives_fresh_values(case):
    made = case.make()
    assert not np.array_equal(made(case.shape), made(case.shape))
    assert not np.array_equal(made(case.shape), case.make()(case.shape))


@for_seeded
@pytest.mark.parametrize("kerase", KERASES)
def test_fresh_values_come_again_after_set_random_seed(case, kerase):
    made = case.make()

    def two_calls(seed):
        KERASES[kerase].utils.set_random_seed(seed)
        return made(case.shape), made(case.shape)

    first, again, other = two_calls(7), two_calls(7), two_calls(8)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


@for_seeded
def test_a_seed_generator_advances_at_every_call(case):
    def two_calls(seed):
        made = case.make(seed=keras.random.SeedGenerator(seed))
        return made(case.shape), made(case.shape)

    first, again, other = two_calls(1), two_calls(1), two_calls(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], case.make(seed=1)(case.shape))


def test_one_instance_without_a_seed_gives_two_layers_different_weights():
    made = kerasinit.HeNormal()
    for module in KERASES.values():
        layers = [module.layers.Dense(4, kernel_initializer=made) for _ in range(2)]
        for layer in layers:
            layer.build((None, 4))
        assert not np.array_equal(layers[0].kernel.numpy(), layers[1].kernel.numpy())


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 + 1, 2**64, 2**128 - 1, 10**60])
def test_a_seed_may_be_as_large_as_it_likes(seed):
    values = kerasinit.RandomNormal(seed=seed)((3, 3))
    assert not np.array_equal(values, kerasinit.RandomNormal(seed=seed + 1)((3, 3)))
    assert not np.array_equal(values, kerasinit.RandomNormal(seed=seed % 2**31 + 7)((3, 3)))
    assert kerasinit.RandomNormal(seed=seed).get_config()["seed"] == seed


def test_a_seed_generator_is_saved_as_keras_saves_it():
    generator = keras.random.SeedGenerator(5)
    made = kerasinit.RandomNormal(seed=generator)
    config = made.get_config()
    assert config["seed"] == keras.saving.serialize_keras_object(generator)
    again = kerasinit.RandomNormal.from_config(config)
    assert isinstance(again.seed, keras.random.SeedGenerator)
    np.testing.assert_array_equal(again((3, 3)), made((3, 3)))


@pytest.mark.parametrize("kerase", KERASES)
def test_a_seed_generator_works_in_layers_of_both_kerases(kerase):
    made = kerasinit.HeNormal(seed=keras.random.SeedGenerator(5))
    layers = [KERASES[kerase].layers.Dense(4, kernel_initializer=made) for _ in range(2)]
    for layer in layers:
        layer.build((None, 4))
    again = kerasinit.HeNormal(seed=keras.random.SeedGenerator(5))
    for layer in layers:
        np.testing.assert_array_equal(layer.kernel.numpy(), again((4, 4)))


def test_a_seed_generator_works_in_attention():
    made = kerasinit.HeNormal(seed=keras.random.SeedGenerator(5))
    layer = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=made)
    layer.build((None, 3, 8), (None, 3, 8))
    assert np.isfinite(layer.weights[0].numpy()).all()


@pytest.mark.parametrize("seed", [1, None, "generator"])
@pytest.mark.parametrize("kerase", KERASES)
def test_a_layer_may_be_built_inside_a_tf_function(kerase, seed):
    seed = keras.random.SeedGenerator(1) if seed == "generator" else seed
    layer = KERASES[kerase].layers.Dense(4, kernel_initializer=kerasinit.HeNormal(seed=seed))

    @tf.function
    def call(inputs):
        return layer(inputs)

    np.testing.assert_allclose(call(tf.eye(4)), layer.kernel.numpy(), rtol=1e-6)
    if seed == 1:
        np.testing.assert_array_equal(layer.kernel.numpy(), kerasinit.HeNormal(seed=1)((4, 4)))


def test_mixed_precision_layers_hold_the_float32_values():
    for module in (keras, tf_keras):
        layer = module.layers.Dense(
            4, kernel_initializer=kerasinit.HeNormal(seed=1), dtype="mixed_bfloat16"
        )
        assert layer(np.ones((1, 4), "float32")).dtype == "bfloat16"
        np.testing.assert_array_equal(layer.kernel.numpy(), kerasinit.HeNormal(seed=1)((4, 4)))


@pytest.mark.parametrize("seed", [True, 1.0, "1", [1], {"class_name": "Dense"}, np.float32(1)])
def test_a_seed_of_another_type_is_refused(seed):
    with pytest.raises(TypeError, match="Expected seed to be a non-negative integer"):
        kerasinit.HeNormal(seed=seed)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="got -1, which is negative"):
        kerasinit.HeNormal(seed=-1)


def test_a_generator_of_tensorflow_is_not_a_seed():
    with pytest.raises(TypeError, match=r"or a keras\.random\.SeedGenerator; got"):
        kerasinit.HeNormal(seed=tf.random.Generator.from_seed(1))


# What makes vectors of any length.
VECTORS = [
    case
    for case in TABLE
    if case.kind in ("matrix", "bias") and case.name not in ("Orthogonal", "ZerO")
]


@pytest.mark.parametrize("case", VECTORS, ids=str)
@pytest.mark.parametrize("kerase", KERASES)
def test_an_lstm_takes_it_for_its_bias(case, kerase):
    # Both Kerases join the values for the gates with ones for the forget gate; tf_keras
    # computes with what it gets.
    layer = KERASES[kerase].layers.LSTM(4, bias_initializer=case.fixed())
    layer.build((None, 3, 2))
    bias = layer.cell.bias.numpy()
    np.testing.assert_array_equal(bias[:8], [*case.fixed()((4,)), *np.ones(4)])
    np.testing.assert_array_equal(bias[8:], case.fixed()((8,)))

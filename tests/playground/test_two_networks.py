"""Two networks train as a function of their settings, as plain Keras would."""

import dataclasses

import keras
import numpy as np
import pytest

from kerasinit._src.playground.two_networks import is_recorded
from kerasinit.playground import Settings, SideSettings, TwoNetworks
from tests.products import nightly

SMALL = Settings(depth=2, width=8, data="moons")
CHOICES = [
    {"normalization": "batch"},
    {"optimizer": "adam", "learning_rate": 0.003},
    {"data": "digits", "batch_size": 200},
    *(
        pytest.param(choice, marks=nightly)
        for choice in (
            {},
            {"normalization": "layer", "residual": True},
            {"optimizer": "momentum", "residual": True},
            {"optimizer": "rmsprop", "learning_rate": 0.001},
        )
    ),
]


def weights_of(two):
    return [w for model in (two.left, two.right) for w in model.get_weights()]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_pauses_make_no_difference_and_rewinding_gives_the_same_bits(choice):
    settings = dataclasses.replace(SMALL, **choice)
    one, other = TwoNetworks(settings), TwoNetworks(settings)
    first = weights_of(one)

    one.advance(12)
    for steps in (1, 0, 4, 7):
        other.advance(steps)
    rows, last = one.rows, weights_of(one)

    assert_same(weights_of(other), last)
    np.testing.assert_array_equal(other.rows, rows)
    assert len(rows) == 13
    one.rewind()
    assert_same(weights_of(one), first)
    assert one.step == 0
    one.advance(12)
    np.testing.assert_array_equal(one.rows, rows)
    assert_same(weights_of(one), last)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_fit_of_keras_takes_the_same_steps(choice):
    settings = dataclasses.replace(SMALL, **choice)
    two, plain = TwoNetworks(settings), TwoNetworks(settings)
    order = two.batches(0, 20).ravel()
    x, y = two.examples.x[order], two.examples.y[order]

    two.advance(20)
    for model in (plain.left, plain.right):
        model.fit(x, y, batch_size=settings.batch_size, shuffle=False, verbose=0)

    for a, b in zip(weights_of(two), weights_of(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    measured = plain.left.evaluate(
        two.examples.x[:500], two.examples.y[:500], verbose=0, return_dict=True
    )
    expected = [measured["loss"], measured["accuracy"]]
    np.testing.assert_allclose(two.rows[-1][[1, 3]], expected, atol=1e-5)


def test_both_sides_draw_from_the_same_stream():
    two = TwoNetworks(
        dataclasses.replace(
            SMALL,
            left=SideSettings("RandomNormal:stddev=0.5"),
            right=SideSettings("RandomNormal:stddev=0.25"),
        )
    )

    for left, right in zip(two.left.get_weights(), two.right.get_weights(), strict=True):
        np.testing.assert_array_equal(left, 2 * right)


def test_no_two_layers_share_their_numbers():
    two = TwoNetworks(dataclasses.replace(SMALL, depth=5))

    kernels = [two.left.get_layer(f"hidden_{n}").get_weights()[0].tobytes() for n in range(2, 6)]

    assert len({*kernels}) == 4


@pytest.mark.parametrize("method", ["lsuv", "weight_norm", "within_layer", "recommend"])
def test_methods_set_the_whole_network(method):
    settings = dataclasses.replace(
        SMALL, learning_rate=100.0, left=SideSettings(method), right=SideSettings("GlorotUniform")
    )
    one, again = TwoNetworks(settings), TwoNetworks(settings)

    assert_same(one.left.get_weights(), again.left.get_weights())
    assert not np.array_equal(one.left.get_weights()[2], one.right.get_weights()[2])
    one.advance(3)
    assert np.isfinite(one.rows).all()


def test_a_network_that_diverges_stops_and_the_other_goes_on():
    settings = dataclasses.replace(
        SMALL,
        depth=3,
        optimizer="momentum",
        learning_rate=10.0,
        left=SideSettings("RandomNormal:stddev=5"),
        right=SideSettings("Zeros"),
    )
    two = TwoNetworks(settings)

    two.advance(40)

    left, right = two.networks
    assert left.diverged_at is not None
    assert np.isnan(two.rows[left.diverged_at :, 1:5]).all()
    assert np.isfinite(two.rows[left.diverged_at - 1][1])
    assert right.diverged_at is None
    assert np.isfinite(two.rows[:, 5]).all()
    two.rewind()
    assert left.diverged_at is None


def rounds(**choice):
    return dataclasses.replace(
        SMALL, rounds=2, round_steps=10, sparsity=0.5, right=SideSettings("HeNormal"), **choice
    )


def test_survivors_are_rewound_and_the_others_are_held_at_zero():
    two = TwoNetworks(rounds())
    first = [w for w in two.left.get_weights() if w.ndim == 2]

    two.advance(10)
    [name] = [n for n in two.networks[0].masks if n == "dense_1/kernel"]
    mask = two.networks[0].masks[name]

    np.testing.assert_array_equal(two.left.get_layer("hidden_2").get_weights()[0], first[1] * mask)
    assert mask.mean() == 0.5
    two.advance(15)
    kernel = two.left.get_layer("hidden_2").get_weights()[0]
    mask = two.networks[0].masks[name]
    assert mask.mean() == 0.25
    assert not kernel[~mask].any()
    assert np.count_nonzero(kernel) == mask.sum()
    assert [step for step, _ in two.events] == [10, 20]
    assert "25.0%" in two.events[1][1]


def test_pruning_removes_the_smallest_trained_weights():
    two, dense = TwoNetworks(rounds()), TwoNetworks(SMALL)

    dense.advance(10)
    two.advance(10)

    trained = np.abs(dense.left.get_layer("hidden_2").get_weights()[0])
    mask = two.networks[0].masks["dense_1/kernel"]
    assert trained[mask].min() >= trained[~mask].max()


def test_each_round_begins_with_the_first_batches_and_the_last_goes_on():
    two = TwoNetworks(rounds())

    np.testing.assert_array_equal(two.batches(0, 10), two.batches(10, 20))
    np.testing.assert_array_equal(two.batches(0, 10), two.batches(20, 30))
    np.testing.assert_array_equal(two.batches(20, 50)[:10], two.batches(0, 10))
    np.testing.assert_array_equal(two.batches(30, 40), TwoNetworks(SMALL).batches(10, 20))


def test_redrawn_survivors_differ_from_rewound_ones_by_their_values_alone():
    two = TwoNetworks(
        dataclasses.replace(rounds(), right=SideSettings("HeNormal", survivors="redraw"))
    )

    two.advance(10)

    left, right = (model.get_layer("hidden_2").get_weights()[0] for model in (two.left, two.right))
    np.testing.assert_array_equal(left != 0, right != 0)
    assert not np.array_equal(left, right)
    again = TwoNetworks(two.settings)
    again.advance(10)
    np.testing.assert_array_equal(again.right.get_weights()[2], two.right.get_weights()[2])


def test_a_round_starts_with_a_new_optimizer():
    two = TwoNetworks(rounds(optimizer="adam"))

    two.advance(10)

    assert all(not np.asarray(v).any() for v in two.left.optimizer.variables[2:])
    assert int(np.asarray(two.left.optimizer.iterations)) == 0


def test_pruning_and_rewinding_give_the_same_bits_again():
    two = TwoNetworks(rounds())
    two.advance(25)
    rows = two.rows

    two.rewind()
    assert not two.events
    two.advance(25)

    np.testing.assert_array_equal(two.rows, rows)


def test_rows_grow_with_the_logarithm_of_the_steps():
    recorded = [step for step in range(100_001) if is_recorded(step)]

    assert recorded[:1002] == [*range(1001), 1010]
    assert len(recorded) < 3000
    assert 100_000 in recorded


def test_other_settings_are_refused():
    with pytest.raises(TypeError, match=r"Expected kerasinit\.playground\.Settings; got"):
        TwoNetworks({"depth": 3})
    with pytest.raises(ValueError, match="Sparse got num_nonzero=15"):
        TwoNetworks(dataclasses.replace(SMALL, left=SideSettings("Sparse")))


def test_the_networks_are_keras_models_that_can_be_saved(tmp_path):
    two = TwoNetworks(SMALL)

    two.left.save(tmp_path / "left.keras")

    loaded = keras.saving.load_model(tmp_path / "left.keras")
    assert_same(loaded.get_weights(), two.left.get_weights())

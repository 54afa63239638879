"""Scores of the network itself: worked out by hand, and the network is left as it was."""

import keras
import numpy as np
import pytest

from kerasinit._src import compat
from kerasinit._src.lottery.method import criteria, saliency
from kerasinit._src.lottery.method.survivors import keep
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from kerasinit._src.network.prunable import prunable_weights
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder

X, Y = np.array([[1.0, 2.0]], "float32"), np.array([[0.0]], "float32")


def _line(kerase, use_bias):
    """``w = (1, -2)``, so ``w x = -3``, squared error 9."""
    library = KERASES[kerase]
    model = library.Sequential(
        [library.layers.InputLayer((2,)), library.layers.Dense(1, use_bias=use_bias)]
    )
    model.compile("sgd", "mse")
    compat.assign(named_variables(model)["dense/kernel"], np.array([[1.0], [-2.0]]))
    return model


@pytest.mark.parametrize("kerase", KERASES)
def test_snip_is_weight_times_gradient(kerase):
    # g = 2 (w x) x = (-6, -12)
    scores = saliency.snip(_line(kerase, True), X, Y)

    assert {name: score.tolist() for name, score in scores.items()} == {
        "dense/kernel": [[6.0], [24.0]]
    }


@pytest.mark.parametrize("kerase", KERASES)
def test_grasp_is_weight_times_hessian_times_gradient(kerase):
    # H = 2 x x' = ((2, 4), (4, 8)), H g = (-60, -120)
    assert saliency.grasp(_line(kerase, False), X, Y)["dense/kernel"].tolist() == [[-60.0], [240.0]]
    # The bias has g = -6, and bends by 2 x: H g = (-72, -144).
    assert saliency.grasp(_line(kerase, True), X, Y)["dense/kernel"].tolist() == [[-72.0], [288.0]]


@pytest.mark.parametrize("kerase", KERASES)
def test_of_equal_scores_of_the_network_the_first_is_kept(kerase):
    # w x = 2, g = 4 x = (4, 8, 4), H g = 2 x (x g) = (48, 96, 48).
    library = KERASES[kerase]
    model = library.Sequential(
        [library.layers.InputLayer((3,)), library.layers.Dense(1, use_bias=False)]
    )
    model.compile("sgd", "mse")
    model.set_weights([np.array([[2.0], [-1.0], [2.0]])])
    x, masks = np.array([[1.0, 2.0, 1.0]], "float32"), Masks.dense({"dense/kernel": (3, 1)})

    def kept(scores, number):
        return keep(scores, masks, number)["dense/kernel"].astype(int).ravel().tolist()

    scores = saliency.snip(model, x, Y)
    assert scores["dense/kernel"].tolist() == [[8.0], [8.0], [8.0]]
    assert [kept(scores, number) for number in (1, 2)] == [[1, 0, 0], [1, 1, 0]]
    scores = saliency.grasp(model, x, Y)
    assert scores["dense/kernel"].tolist() == [[96.0], [-96.0], [96.0]]
    assert [kept(scores, number) for number in (1, 2)] == [[1, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize("score", saliency.FROM_BATCH.values())
def test_gradients_are_those_of_the_mode_in_which_the_network_is_trained(score):
    # Over a batch, what is normalized does not depend on the size of its only weight.
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False),
            keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-6),
        ]
    )
    model.compile("sgd", "mse")
    model.set_weights([np.array([[3.0]]), np.zeros(1), np.ones(1)])
    x, y = np.array([[1.0], [2.0], [4.0]], "float32"), np.array([[0.0], [1.0], [0.0]])

    assert abs(score(model, x, y)["dense/kernel"].item()) < 1e-3


def test_a_criterion_is_called_by_its_name():
    assert dict(snip=saliency.snip, grasp=saliency.grasp) == saliency.FROM_BATCH
    assert {*saliency.FROM_BATCH, "synflow"} == {*criteria.FROM_NETWORK}


def test_grasp_is_the_change_of_the_gradients_size():
    # d |g|^2 / dw = 2 H g, by differences.
    model, data = builder()(), blobs()
    x, y = data.x_train[:20], data.y_train[:20]
    kernel = named_variables(model)["dense_1/kernel"]
    scores = saliency.grasp(model, x, y)["dense_1/kernel"]
    before = compat.read(kernel)

    def flow(value):
        import tensorflow as tf

        compat.assign(kernel, value)
        trained = [compat.tensor(v) for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x))
        return sum(float(tf.reduce_sum(g * g)) for g in tape.gradient(loss, trained))

    for at in [(0, 0), (3, 2), (9, 1)]:
        step = np.zeros_like(before)
        step[at] = 1e-2
        slope = (flow(before + step) - flow(before - step)) / 2e-2
        assert scores[at] == pytest.approx(before[at] * slope / 2, rel=0.05, abs=1e-4)


def _two_layers(kerase):
    library = KERASES[kerase]
    model = library.Sequential(
        [
            library.layers.InputLayer((2,)),
            library.layers.Dense(2, use_bias=False),
            library.layers.Dense(1, use_bias=False),
        ]
    )
    model.compile("sgd", "mse")
    model.set_weights([np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([[2.0], [-1.0]])])
    return model


@pytest.mark.parametrize("kerase", KERASES)
def test_synflow_looks_again_after_every_round(kerase):
    # Scores ((2, 2), (6, 0.5)) and (8, 2.5). Without the 0.5 the last is 2, tied with the
    # first row; it comes last, so it goes, and with it all that flows through it.
    model, masks = (
        _two_layers(kerase),
        Masks.dense({"dense/kernel": (2, 2), "dense_1/kernel": (2, 1)}),
    )

    def kept(wanted):
        found = saliency.synflow(model, masks, wanted)
        return {name: mask.astype(int).ravel().tolist() for name, mask in found.items()}

    assert kept(5) == {"dense/kernel": [1, 1, 1, 0], "dense_1/kernel": [1, 1]}
    assert kept(4) == {"dense/kernel": [1, 1, 1, 0], "dense_1/kernel": [1, 0]}
    # By the first scores alone, the second weight of the second layer would stay.
    assert kept(3) == {"dense/kernel": [1, 0, 1, 0], "dense_1/kernel": [1, 0]}
    assert kept({"dense/kernel": 2, "dense_1/kernel": 2}) == {
        "dense/kernel": [1, 0, 1, 0],
        "dense_1/kernel": [1, 1],
    }


def _flow(layers, weights):
    """Return which of the weights synflow keeps, for each number in all from most to least."""
    model = keras.Sequential([keras.Input((len(weights[0]),)), *layers])
    model.set_weights([np.array(value, "float32") for value in weights])
    masks = Masks.dense({w.name: tuple(w.variable.shape) for w in prunable_weights(model)})

    def kept(number):
        found = saliency.synflow(model, masks, number)
        return [mask.astype(int).ravel().tolist() for mask in found.values()]

    return [kept(number) for number in range(masks.size - 1, len(masks) - 1, -1)]


def test_synflow_is_the_flow_of_sizes():
    # Sizes ((1, 2), (3, 1)) and (1, 1): hidden 4 and 3, scores ((1, 2), (3, 1)) and (4, 3). Of
    # the ones the last goes, which leaves (4, 2); then the first, which leaves (3, 2) and, of
    # the twos, those that are the best of their layers or come first.
    # With their signs, hidden would be -2 and 3: -3 would go, then the 4.
    layers = [keras.layers.Dense(2, use_bias=False), keras.layers.Dense(1, use_bias=False)]

    assert _flow(layers, weights=[[[1, 2], [-3, 1]], [[1], [1]]]) == [
        [[1, 1, 1, 0], [1, 1]],
        [[0, 1, 1, 0], [1, 1]],
        [[0, 1, 1, 0], [1, 0]],
        [[0, 0, 1, 0], [1, 0]],
    ]


def test_synflow_takes_biases_by_their_size_and_networks_as_they_are_used():
    # Hidden 1 + 10 and 2: scores (1, 2) and (11, 2). A bias of -10 would let nothing through.
    # To normalize over the one input there is would do so, too.
    layers = [keras.layers.Dense(2, "relu"), keras.layers.BatchNormalization()]
    weights = [[[1, 2]], [-10, 0], [1, 1], [0, 0], [0, 0], [1, 1], [[1], [1]]]

    kept = _flow([*layers, keras.layers.Dense(1, use_bias=False)], weights=weights)
    assert kept[0] == [[0, 1], [1, 1]]


def test_synflow_goes_down_in_a_hundred_equal_ratios(monkeypatch):
    asked = []

    def remember(scores, masks, wanted):
        asked.append(wanted)
        return keep(scores, masks, wanted)

    monkeypatch.setattr(saliency, "keep", remember)
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, use_bias=False)])
    masks = Masks.dense({"dense/kernel": (10, 10)})
    saliency.synflow(model, masks, 1)
    # 100 to 1: a hundredth of two powers of ten at each, 10 ** 1.98 = 95.5, 10 ** 1.96 = 91.2.
    assert [asked[0], asked[1], asked[49], asked[99]] == [95, 91, 10, 1]
    assert len(asked) == 100
    asked.clear()
    saliency.synflow(model, masks, {"dense/kernel": 25})
    assert (asked[49], asked[-1], len(asked)) == ({"dense/kernel": 50}, {"dense/kernel": 25}, 100)


def test_synflow_of_outputs_that_sum_to_one_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax")])

    with pytest.raises(ValueError, match=r"after a softmax\. Return logits"):
        saliency.synflow(model, Masks.dense({"dense/kernel": (2, 3)}), 3)


@pytest.mark.parametrize("kerase", KERASES)
def test_a_model_is_left_as_it_was_found(kerase):
    model = builder(kerase, layers=[("BatchNormalization",), ("Dropout", 0.5)])()
    data = blobs()
    before = {name: compat.read(v) for name, v in named_variables(model).items()}
    masks = Masks.dense({"dense/kernel": (8, 16), "dense_1/kernel": (16, 3)})
    saliency.snip(model, data.x_train[:20], data.y_train[:20])
    saliency.grasp(model, data.x_train[:20], data.y_train[:20])
    saliency.synflow(model, masks, 50)

    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(compat.read(variable), before[name])


def test_weights_that_are_not_trained_cannot_be_scored_by_gradients():
    model = builder()()
    model.layers[0].trainable = False
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    with pytest.raises(ValueError, match=r"dense/kernel cannot be scored .* not trainable"):
        saliency.snip(model, blobs().x_train[:5], blobs().y_train[:5])

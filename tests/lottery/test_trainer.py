"""One training: masks hold, the early stop is right, and both Kerases agree."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.data import Order
from kerasinit._src.training.outcome import DivergedError
from kerasinit._src.training.trainer import Trainer
from tests.kerases import KERASES, tf_keras
from tests.lottery.blobs import blobs, builder, misled
from tests.products import nightly

DATA = blobs()
TRAIN, VALIDATION = DATA.split(0, 0)
ORDER = Order(TRAIN, 20, seed=0, trial=0)


def _trainer(kerase="keras", xla=False, **options):
    with compat.global_stream(0, "weights"):
        return Trainer(builder(kerase, **options)(), DATA, VALIDATION, xla=xla)


def _half(trainer):
    rng = np.random.default_rng(0)
    return Masks({name: rng.random(shape) < 0.5 for name, shape in trainer.shapes.items()})


@pytest.mark.parametrize("kerase", KERASES)
def test_pruned_weights_stay_exactly_zero_and_leave_no_moments(kerase):
    trainer = _trainer(kerase)
    masks = _half(trainer)
    trained = trainer.train(masks, ORDER, iterations=30, keep=30)

    for name, mask in masks.items():
        assert not trained.final[name][~mask].any()
        assert trained.final[name][mask].all()
    moments = [
        value
        for name, value in trained.kept.items()
        if name.startswith("optimizer/") and value.shape == masks["dense/kernel"].shape
    ]
    assert len(moments) == 2
    for moment in moments:
        assert not moment[~masks["dense/kernel"]].any()
        # A hidden unit may be dead, so some survivors may have none either.
        assert moment[masks["dense/kernel"]].any()


def test_survivors_train_as_in_a_network_whose_weights_are_multiplied_by_the_mask():
    trainer = _trainer()
    masks = _half(trainer)
    first = trainer.state()
    trained = trainer.train(masks, ORDER, iterations=5)

    # The same by hand: the mask in the forward pass, Adam as Kingma and Ba write it.
    names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    values = [first[name].astype("float64") for name in names]
    m, v = [[np.zeros_like(value) for value in values] for _ in range(2)]
    for t in range(1, 6):
        batch = ORDER.batches(t - 1, t)[0]
        gradients = _gradients(values, masks, DATA.x_train[batch], DATA.y_train[batch])
        for i, gradient in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            v[i] = 0.999 * v[i] + 0.001 * gradient**2
            rate = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            values[i] = values[i] - rate * m[i] / (np.sqrt(v[i]) + 1e-7)
    for name, value in zip(names, values, strict=True):
        expected = value * masks[name] if name in masks else value
        np.testing.assert_allclose(trained.final[name], expected, atol=1e-5)


def _gradients(values, masks, x, y):
    w1, b1, w2, b2 = values
    w1, w2 = w1 * masks["dense/kernel"], w2 * masks["dense_1/kernel"]
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    error = exponentials / exponentials.sum(1, keepdims=True)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    back = (error @ w2.T) * (hidden > 0)
    return (
        x.T @ back * masks["dense/kernel"],
        back.sum(0),
        hidden.T @ error * masks["dense_1/kernel"],
        error.sum(0),
    )


def test_the_early_stop_is_the_first_least_validation_loss_and_has_its_own_test_accuracy():
    with compat.global_stream(0, "weights"):
        trainer = Trainer(builder()(), misled(DATA), VALIDATION, xla=False)
    first, masks = trainer.state(), Masks.dense(trainer.shapes)
    trained = trainer.train(masks, ORDER, iterations=60, evaluate_every=5)
    losses = [point.validation_loss for point in trained.curve]
    best = int(np.argmin(losses))

    assert [point.iteration for point in trained.curve] == list(range(5, 61, 5))
    assert (trained.best_iteration, trained.best_validation_loss) == ((best + 1) * 5, losses[best])
    assert losses[best] < min(losses[0], losses[-1]) / 1.05, "so plain a curve shows nothing"
    for iterations, accuracy in (
        (trained.best_iteration, trained.test_accuracy),
        (60, trained.final_test_accuracy),
    ):
        trainer.restore(first)
        state = trainer.train(masks, ORDER, iterations=iterations, evaluate_every=5).final
        assert accuracy == _accuracy(state)


def _accuracy(state):
    hidden = np.maximum(DATA.x_test @ state["dense/kernel"] + state["dense/bias"], 0)
    outputs = hidden @ state["dense_1/kernel"] + state["dense_1/bias"]
    return float(np.mean(outputs.argmax(1) == DATA.y_test))


def test_of_equal_validation_losses_the_first_is_the_early_stop():
    trainer = _trainer(learning_rate=0.0)
    trained = trainer.train(
        Masks.dense(trainer.shapes), ORDER, iterations=15, evaluate_every=5, keep=None
    )

    assert len({point.validation_loss for point in trained.curve}) == 1
    assert trained.best_iteration == 5


@pytest.mark.parametrize("kerase", KERASES)
def test_a_training_does_not_depend_on_the_trainings_before_it(kerase):
    trainer = _trainer(kerase, layers=[("BatchNormalization",)])
    first, masks = trainer.state(), _half(trainer)
    once = trainer.train(masks, ORDER, iterations=20)
    trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=7)
    trainer.restore(first)
    again = trainer.train(masks, ORDER, iterations=20)

    assert once.curve == again.curve
    for name in once.final:
        np.testing.assert_array_equal(once.final[name], again.final[name])


def test_a_random_layer_of_keras_3_is_put_back_too():
    trainer = _trainer(layers=[("Dropout", 0.5)])
    first, masks = trainer.state(), Masks.dense(trainer.shapes)
    once = trainer.train(masks, ORDER, iterations=10)
    trainer.restore(first)

    assert trainer.repeatable
    assert trainer.train(masks, ORDER, iterations=10).curve == once.curve


def test_a_random_layer_of_tf_keras_is_noticed():
    assert not _trainer("tf_keras", layers=[("Dropout", 0.5)]).repeatable
    assert _trainer("tf_keras").repeatable


@pytest.mark.parametrize(
    "layers",
    [pytest.param([], marks=nightly), [("BatchNormalization",)]],
    ids=["plain", "batch norm"],
)
def test_both_kerases_train_to_the_same_bits(layers):
    ends = []
    for kerase in ("keras", "tf_keras"):
        trainer = _trainer(kerase, layers=layers)
        ends.append(trainer.train(_half(trainer), ORDER, iterations=50, evaluate_every=10))

    for name in _trainer(layers=layers).shapes:
        np.testing.assert_array_equal(ends[0].final[name], ends[1].final[name])


def test_xla_changes_only_the_rounding():
    with_xla, without = _trainer(xla=True), _trainer(xla=False)
    masks = _half(without)
    fast = with_xla.train(masks, ORDER, iterations=30, evaluate_every=10)
    slow = without.train(masks, ORDER, iterations=30, evaluate_every=10)

    for name in slow.final:
        np.testing.assert_allclose(fast.final[name], slow.final[name], atol=1e-5)


@pytest.mark.filterwarnings("default:XLA cannot compile this model:UserWarning")
def test_what_xla_cannot_compile_is_said_once_and_trains_without_it(recwarn):
    class Python(keras.layers.Layer):
        """Passes its inputs through Python, where no compiler can follow."""

        def call(self, inputs):
            outputs = tf.py_function(lambda x: x + 0, [inputs], tf.float32)
            return tf.ensure_shape(outputs, inputs.shape)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3)(Python()(inputs)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer = Trainer(model, DATA, VALIDATION, xla=True)
    first = trainer.state()
    slow = trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=10, evaluate_every=5)

    said = [w for w in recwarn if "XLA cannot compile" in str(w.message)]
    # It points here, at no line of the package.
    assert [warning.filename for warning in said] == [__file__]
    assert len(slow.curve) == 2
    # No step was taken twice: the same without the detour.
    plain = Trainer(model, DATA, VALIDATION, xla=False)
    plain.restore(first)
    again = plain.train(Masks.dense(plain.shapes), ORDER, iterations=10, evaluate_every=5)
    np.testing.assert_array_equal(again.final["dense/kernel"], slow.final["dense/kernel"])


def test_a_state_that_was_kept_on_the_way_leads_to_the_same_end():
    trainer = _trainer()
    masks = _half(trainer)
    whole = trainer.train(masks, ORDER, iterations=30, evaluate_every=10, keep=17)
    trainer.restore(whole.kept)
    rest = trainer.train(masks, ORDER, start=17, iterations=30, evaluate_every=10)

    assert rest.curve[-1].validation_loss == whole.curve[-1].validation_loss
    for name in whole.final:
        np.testing.assert_array_equal(rest.final[name], whole.final[name])


def test_a_masked_state_has_zeros_in_the_moments_too():
    trainer = _trainer()
    masks = _half(trainer)
    state = trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=5, keep=5).kept
    masked = trainer.mask_state(state, masks)

    changed = [name for name in state if not np.array_equal(state[name], masked[name])]
    shapes = [state[name].shape for name in changed]
    # Each kernel and its two moments, no bias.
    assert sorted(shapes) == sorted(3 * [masks[name].shape for name in masks])
    for name in changed:
        mask = next(m for m in masks.values() if m.shape == state[name].shape)
        np.testing.assert_array_equal(masked[name], np.where(mask, state[name], 0))


@pytest.mark.parametrize("kerase", KERASES)
def test_moments_are_told_apart_by_names_that_contain_each_other(kerase):
    layers = KERASES[kerase].layers
    model = KERASES[kerase].Sequential(
        [
            layers.InputLayer((8,)),
            layers.Dense(8, name="a"),
            layers.Dense(8, name="aa"),
            layers.Dense(3),
        ]
    )
    model.compile(
        KERASES[kerase].optimizers.SGD(0.1, momentum=0.9),
        KERASES[kerase].losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    trainer = Trainer(model, DATA, VALIDATION, xla=False)
    state = trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=3, keep=3).kept
    masks = Masks.dense(trainer.shapes)
    only_second = Masks({**masks, "dense_1/kernel": np.zeros((8, 8), bool)})
    masked = trainer.mask_state(state, only_second)
    changed = [name for name in state if not np.array_equal(state[name], masked[name])]
    moments = [name for name in state if name.startswith("optimizer/") and state[name].ndim == 2]

    # The kernel and its own momentum, which is the second of the three.
    assert changed == ["dense_1/kernel", moments[1]]


def test_weight_decay_cannot_move_what_is_pruned():
    model = builder()()
    model.compile(
        keras.optimizers.AdamW(0.01, weight_decay=0.5, use_ema=True, ema_overwrite_frequency=3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    trainer = Trainer(model, DATA, VALIDATION, xla=False)
    masks = _half(trainer)
    trained = trainer.train(masks, ORDER, iterations=7)

    assert all(not trained.final[name][~mask].any() for name, mask in masks.items())


@pytest.mark.parametrize("kerase", KERASES)
def test_mixed_precision_scales_the_loss_and_trains_the_same_network(kerase):
    library = KERASES[kerase]
    ends = []
    for policy in ("float32", "mixed_float16"):
        layers = library.layers
        model = library.Sequential(
            [
                layers.InputLayer((8,)),
                layers.Dense(16, "relu", dtype=policy),
                layers.Dense(3, dtype=policy),
                layers.Activation("linear", dtype="float32"),
            ]
        )
        optimizer = library.optimizers.SGD(0.1)
        if policy == "mixed_float16":
            wrap = library.optimizers if kerase == "keras" else library.mixed_precision
            optimizer = wrap.LossScaleOptimizer(optimizer)
        model.compile(optimizer, library.losses.SparseCategoricalCrossentropy(from_logits=True))
        trainer = Trainer(model, DATA, VALIDATION, xla=False)
        start = np.random.default_rng(5)
        trainer.restore({n: 0.3 * start.standard_normal(s) for n, s in trainer.shapes.items()})
        first, masks = trainer.state(), _half(trainer)
        ends.append(trainer.train(masks, ORDER, iterations=40).final)
        assert all(not ends[-1][name][~mask].any() for name, mask in masks.items())

    for name in trainer.shapes:
        np.testing.assert_allclose(*(end[name] for end in ends), atol=0.01)
        assert np.abs(ends[0][name] - first[name])[masks[name]].max() > 0.1


def test_rows_of_class_values_are_labels_as_well():
    onehot = blobs()
    rows = np.eye(3, dtype="float32")
    data = type(onehot)(
        onehot.x_train, rows[onehot.y_train], onehot.x_test, rows[onehot.y_test], name="rows"
    )
    model = builder()()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    trained = Trainer(model, data, VALIDATION, xla=False).train(
        Masks.dense({"dense/kernel": (8, 16), "dense_1/kernel": (16, 3)}), ORDER, iterations=3
    )

    assert trained.final_test_accuracy == _accuracy(trained.final)


@pytest.mark.parametrize("examples", [pytest.param(1001, marks=nightly), 2000, 2500])
def test_examples_are_evaluated_in_pieces_that_leave_none_out(examples):
    data = blobs(examples * 6)
    model = builder()()
    trainer = Trainer(model, data, np.arange(examples), xla=False)
    trained = trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=1)
    x, y = data.x_train[:examples], data.y_train[:examples]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x))

    assert trained.curve[0].validation_loss == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("kerase", KERASES)
def test_a_loss_that_is_no_number_stops_the_training(kerase):
    trainer = _trainer(kerase, learning_rate=1e30)

    with pytest.raises(DivergedError, match="between iterations 0 and 40"):
        trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=80, evaluate_every=40)


def test_a_legacy_optimizer_is_refused():
    model = builder("tf_keras")()
    model.compile(tf_keras.optimizers.legacy.SGD(0.1), "mse")

    with pytest.raises(TypeError, match=r"Compile with tf_keras\.optimizers\.SGD"):
        Trainer(model, DATA, VALIDATION)


def test_nadam_of_tf_keras_whose_state_cannot_be_put_back_is_refused():
    model = builder("tf_keras")()
    model.compile(tf_keras.optimizers.Nadam(0.1), "mse")

    with pytest.raises(TypeError, match="the product of its momenta is not among its variables"):
        Trainer(model, DATA, VALIDATION)


def test_a_training_without_an_iteration_is_refused():
    trainer = _trainer()
    dense = Masks.dense(trainer.shapes)

    with pytest.raises(ValueError, match="nothing to train from iteration 5 to 5"):
        trainer.train(dense, ORDER, iterations=5, start=5)


def test_masks_of_another_model_are_refused():
    trainer = _trainer()

    with pytest.raises(ValueError, match="no mask for 'dense_1/kernel'"):
        trainer.train(Masks({"dense/kernel": np.ones((8, 16), bool)}), ORDER, iterations=1)

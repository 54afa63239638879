"""Keras 3 with our engine against tf_keras with tfmot: the same masks, bit by bit."""

import functools
import itertools

import keras
import numpy as np
import pytest

from kerasinit import pruning
from kerasinit._src.pruning import masked_update
from tests.kerases import tf_keras
from tests.products import each_value_once, nightly

# A schedule that ends between two updates is among what tfmot is compared by.
SAID = pytest.mark.filterwarnings("ignore:Pruning. :UserWarning")

SAMPLES, BATCH = 96, 8
STEPS = SAMPLES // BATCH


def mlp(library):
    layers = library.layers
    return library.Sequential([library.Input((13,)), layers.Dense(22, "relu"), layers.Dense(6)])


def convolutions(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((9, 9, 5)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.SeparableConv2D(7, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(6),
        ]
    )


def recurrent(library):
    layers = library.layers
    return library.Sequential([library.Input((6, 5)), layers.LSTM(8), layers.Dense(4)])


def weights(model):
    # Layer by layer, for a wrapped model counts its masks among its weights.
    found = {}
    for layer in (getattr(layer, "layer", layer) for layer in model.layers):
        for weight in layer.weights:
            found.setdefault(id(weight), weight.numpy())
    return [*found.values()]


class Record:
    """What a training leaves behind: after each execution by its last step, and each epoch."""

    def __init__(self):
        self.updates, self.moved = {}, {}
        self.masks, self.weights = [], []

    def callback(self, library, between=True):
        record = self

        def look_between(self, batch, logs=None):
            # Of seven steps at once, Keras counts some that an epoch does not have.
            step = len(record.masks) * STEPS + min(batch + 1, STEPS)
            record.updates[step] = pruning.masks(self.model)
            record.moved[step] = weights(self.model)

        class Recorder(library.callbacks.Callback):
            # A callback between steps might write weights, and then no step is a quiet one.
            if between:
                on_train_batch_end = look_between

            def on_epoch_end(self, epoch, logs=None):
                record.masks.append(pruning.masks(self.model))
                record.weights.append(weights(self.model))

        return Recorder()


def start_and_data(build):
    """Return the first weights and the batches of both twins."""
    rng = np.random.default_rng(3)
    model = build(tf_keras)
    start = [rng.normal(size=w.shape, scale=0.15).astype("float32") for w in model.weights]
    inputs = rng.normal(size=(SAMPLES, *model.input_shape[1:]))
    if build is looked_up:
        inputs = rng.integers(9, size=inputs.shape)
    # Large targets make large gradients, under which removed weights grow back.
    targets = 6 * rng.normal(size=(SAMPLES, model.output_shape[-1]))
    return start, (inputs.astype("float32"), targets.astype("float32"))


def train(
    library,
    build,
    optimizer,
    schedule,
    trainings=(3,),
    compilation=None,
    between=True,
    validated=False,
    **arguments,
):
    """Train a pruned model of one library; return its record and validation losses."""
    start, data = start_and_data(build)
    model = build(library)
    model.set_weights(start)
    model = pruning.prune_low_magnitude(model, schedule(), **arguments)
    model.compile(optimizer(library), "mse", **{"jit_compile": False, **(compilation or {})})
    record, callback, losses = Record(), pruning.UpdatePruningStep(), []
    for epochs in trainings:
        history = model.fit(
            *data,
            batch_size=BATCH,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            validation_data=data if validated else None,
            callbacks=[callback, record.callback(library, between)],
        )
        losses.extend(history.history.get("val_loss", ()))
    return record, losses


@functools.cache
def tfmots(build, optimizer, schedule, **arguments):
    """Train the tf_keras twin, once for all tests that compare with it."""
    return train(tf_keras, build, optimizer, schedule, **arguments)


def twins(build, optimizer, schedule, compilation=None, between=True, **arguments):
    """Return the records of tf_keras with tfmot and of Keras 3 with ours."""
    theirs, their_losses = tfmots(build, optimizer, schedule, **arguments)
    ours, our_losses = train(
        keras,
        build,
        optimizer,
        schedule,
        compilation=compilation,
        between=between,
        **arguments,
    )
    # Validation comes before the end of an epoch, and must see masked weights as well.
    np.testing.assert_allclose(our_losses, their_losses, rtol=1e-3)
    return theirs, ours


def pairs(theirs, ours, between, at_the_end):
    """Yield what is to be the same: after each epoch, and wherever we have looked between."""
    yield from zip(getattr(theirs, at_the_end), getattr(ours, at_the_end), strict=True)
    for step, found in getattr(ours, between).items():
        yield getattr(theirs, between)[step], found


def assert_masks_equal(theirs, ours):
    assert len(ours.masks) > 0
    for expected, got in pairs(theirs, ours, "updates", "masks"):
        assert list(expected) == list(got)
        for name, mask in expected.items():
            np.testing.assert_array_equal(got[name], mask, err_msg=name)


def assert_weights_equal(theirs, ours, atol=0):
    # Between epochs with what an update moves and no mask has met: what the next is made of.
    for expected, got in pairs(theirs, ours, "moved", "weights"):
        for one, other in zip(expected, got, strict=True):
            # To the last bit, save the sign of a zero: the two optimizers differ in it.
            np.testing.assert_allclose(other, one, rtol=0, atol=atol)


def dense(library, build, optimizer):
    """Return the weights of a twin that is not pruned, after the same training."""
    start, data = start_and_data(build)
    model = build(library)
    model.set_weights(start)
    model.compile(optimizer(library), "mse", jit_compile=False)
    model.fit(*data, batch_size=BATCH, epochs=3, shuffle=False, verbose=0)
    return weights(model)


def pruned_fraction(masks):
    return 1 - np.mean(np.concatenate([mask.ravel() for mask in masks.values()]))


def regrown(record):
    """Count weights that were removed after one step and kept after the next."""
    steps = itertools.pairwise(record.updates.values())
    return sum(int((~a[name] & b[name]).sum()) for a, b in steps for name in a)


def changes(record):
    """Return the steps after which masks are others than before; the first is not seen."""
    steps = itertools.pairwise(record.updates.items())
    return [
        step
        for (_, before), (step, after) in steps
        if any((before[name] != after[name]).any() for name in after)
    ]


def sgd(library):
    return library.optimizers.SGD(0.2)


def momentum(library):
    return library.optimizers.SGD(0.1, momentum=0.9)


def gentle_momentum(library):
    # With the larger rate the convolutions diverge.
    return library.optimizers.SGD(0.03, momentum=0.9)


def suited(build, optimizer):
    """Return the optimizer, or what is to be used in its place for that network."""
    return gentle_momentum if (build, optimizer) == (convolutions, momentum) else optimizer


def adam(library):
    return library.optimizers.Adam(0.05)


def cubic():
    return pruning.PolynomialDecay(0.5, 0.65, begin_step=1, end_step=34, frequency=3)


def constant():
    return pruning.ConstantSparsity(0.6, begin_step=1, frequency=3)


NETWORKS = [mlp, convolutions, recurrent]
OPTIMIZERS = [sgd, momentum, adam]
PRUNED = {
    mlp: ["dense/kernel", "dense_1/kernel"],
    convolutions: ["conv2d/kernel", "separable_conv2d/pointwise_kernel", "dense/kernel"],
    recurrent: ["lstm/kernel", "lstm/recurrent_kernel", "dense/kernel"],
}


@each_value_once(build=NETWORKS, optimizer=OPTIMIZERS, schedule=[constant, cubic])
def test_masks_and_weights_are_those_of_tfmot(build, optimizer, schedule):
    theirs, ours = twins(build, suited(build, optimizer), schedule)
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)
    assert list(ours.masks[-1]) == PRUNED[build]
    assert pruned_fraction(ours.masks[-1]) > 0.55
    assert regrown(ours) > 0, "without weights growing back this proves little"


# The parity above rests on it: where these fail, it is Keras that has changed.
@pytest.mark.parametrize(
    ("build", "optimizer"),
    [
        pytest.param(*case, marks=() if case == (mlp, sgd) else nightly)
        for case in itertools.product(NETWORKS, OPTIMIZERS)
    ],
)
def test_the_dense_twins_of_these_are_equal_to_the_last_bit(build, optimizer):
    ours, theirs = (
        dense(library, build, suited(build, optimizer)) for library in (keras, tf_keras)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def still(library):
    return library.optimizers.SGD(0.0)


def gated(library):
    layers = library.layers
    return library.Sequential([library.Input((6, 5)), layers.GRU(8), layers.Dense(4)])


def attentive(library):
    inputs = library.Input((6, 8))
    attended = library.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    return library.Model(inputs, library.layers.Dense(4)(library.layers.Flatten()(attended)))


def looked_up(library):
    layers = library.layers
    words = library.Input((6,))
    return library.Model(words, layers.Dense(4)(layers.Flatten()(layers.Embedding(9, 8)(words))))


def slow(library):
    return library.optimizers.SGD(0.02)


def apart(build, optimizer):
    """Return by how much the weights of dense twins differ at most."""
    ours, theirs = (dense(library, build, optimizer) for library in (keras, tf_keras))
    return max(np.abs(one - other).max() for one, other in zip(ours, theirs, strict=True))


@nightly
@pytest.mark.parametrize("build", [gated, attentive])
def test_the_dense_twins_of_others_may_differ_by_rounding(build):
    assert apart(build, slow) < 1e-5


@nightly
def test_the_dense_twins_of_embeddings_differ_as_adam_updates_other_rows():
    assert apart(looked_up, adam) > 0.01
    assert apart(looked_up, slow) < 1e-5


ATTENTION = [f"multi_head_attention/{p}/kernel" for p in ("query", "key", "value")]


OTHERS_PRUNED = {
    gated: ["gru/kernel", "gru/recurrent_kernel"],
    attentive: [*ATTENTION, "multi_head_attention/attention_output/kernel"],
    looked_up: ["embedding/embeddings"],
}


@each_value_once(build=[gated, attentive, looked_up], jit_compile=[False, True])
def test_layers_whose_dense_twins_differ_get_the_same_masks_from_the_same_weights(
    build, jit_compile
):
    theirs, ours = twins(build, still, cubic, compilation={"jit_compile": jit_compile})
    assert_masks_equal(theirs, ours)
    assert list(ours.masks[-1]) == [*OTHERS_PRUNED[build], "dense/kernel"]
    for mask in ours.masks[-1].values():
        assert mask.mean() == pytest.approx(0.35, abs=0.5 / mask.size)
    # At each update a few more, until the decay is too slow for another.
    assert changes(ours) == [*range(4, 29, 3)]


@pytest.mark.parametrize("pooling", ["AVG", "MAX"])
def test_ragged_blocks_are_removed_as_by_tfmot(pooling):
    theirs, ours = twins(mlp, sgd, constant, block_size=(4, 4), block_pooling_type=pooling)
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)
    assert regrown(ours) > 0
    mask = ours.masks[-1]["dense/kernel"]
    assert 0.5 < pruned_fraction({"": mask}) < 0.7
    assert len({*mask[:4, :4].ravel()}) == len({*mask[12:, 20:].ravel()}) == 1


@pytest.mark.parametrize("build", [convolutions, pytest.param(mlp, marks=nightly)])
def test_two_of_four_are_removed_as_by_tfmot(build):
    theirs, ours = twins(build, sgd, constant, sparsity_m_by_n=(2, 4), trainings=(2,))
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)
    kernel = ours.masks[-1]["dense/kernel"]
    groups = kernel[: len(kernel) // 4 * 4].T.reshape(-1, 4)
    assert (groups.sum(axis=1) == 2).all()


BLOCKS = {"block_size": (4, 4), "block_pooling_type": "AVG"}
TWO_OF_FOUR = {"sparsity_m_by_n": (2, 4), "trainings": (2,)}


@pytest.mark.parametrize(
    ("build", "optimizer", "schedule", "pattern"),
    [
        (mlp, sgd, constant, {}),
        pytest.param(convolutions, gentle_momentum, cubic, {}, marks=nightly),
        pytest.param(recurrent, adam, constant, {}, marks=nightly),
        pytest.param(mlp, sgd, constant, BLOCKS, marks=nightly),
        (convolutions, sgd, constant, TWO_OF_FOUR),
    ],
)
def test_several_steps_in_one_execution_change_nothing(build, optimizer, schedule, pattern):
    compilation = {"steps_per_execution": 7}
    theirs, ours = twins(build, optimizer, schedule, compilation=compilation, **pattern)
    assert [*ours.updates][:4] == [7, 12, 19, 24]
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)


def seldom():
    return pruning.ConstantSparsity(0.6, begin_step=1, frequency=10)


@pytest.mark.parametrize(
    ("build", "optimizer", "steps"),
    [
        (mlp, momentum, 1),
        (convolutions, sgd, 7),
        *(
            pytest.param(*case, marks=nightly)
            for case in [
                (mlp, momentum, 7),
                (convolutions, sgd, 1),
                (recurrent, adam, 1),
                (recurrent, adam, 7),
            ]
        ),
    ],
)
def test_quiet_steps_end_where_tfmots_do(build, optimizer, steps, monkeypatch):
    monkeypatch.setattr(masked_update, "_MIN_QUIET_STEPS", 1)
    quiet, begin_step = [], masked_update.QuietSteps.begin_step

    def count(self, *arguments):
        quiet.append(begin_step(self, *arguments))

    monkeypatch.setattr(masked_update.QuietSteps, "begin_step", count)
    compilation = {"steps_per_execution": steps}
    theirs, ours = twins(
        build, optimizer, seldom, compilation=compilation, between=False, validated=build is mlp
    )
    assert quiet, "no training function for quiet steps was traced"
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)


@pytest.mark.parametrize(
    ("build", "optimizer", "schedule", "steps", "pattern"),
    [
        (mlp, sgd, constant, 7, BLOCKS),
        (convolutions, gentle_momentum, cubic, 1, {}),
        *(
            pytest.param(*case, marks=nightly)
            for case in [
                (mlp, adam, constant, 7, {}),
                (mlp, sgd, cubic, 1, {}),
                (convolutions, sgd, constant, 1, TWO_OF_FOUR),
                (recurrent, adam, constant, 1, {}),
            ]
        ),
    ],
)
def test_under_xla_masks_are_the_same_and_weights_nearly(
    build, optimizer, schedule, steps, pattern
):
    compilation = {"jit_compile": True, "steps_per_execution": steps}
    theirs, ours = twins(build, optimizer, schedule, compilation=compilation, **pattern)
    assert_masks_equal(theirs, ours)
    # They are up to 3e-6 apart, and no weight is within 1e-5 of being kept or removed otherwise.
    assert_weights_equal(theirs, ours, atol=1e-4)
    if "sparsity_m_by_n" not in pattern:
        assert regrown(theirs) > 0


def late():
    return pruning.PolynomialDecay(0.0, 0.8, begin_step=STEPS, end_step=2 * STEPS, frequency=4)


@SAID
def test_a_second_training_goes_on_counting():
    theirs, ours = twins(mlp, sgd, late, trainings=(1, 2), validated=True)
    assert_masks_equal(theirs, ours)
    assert_weights_equal(theirs, ours)
    assert pruned_fraction(ours.masks[0]) < 0.1
    assert pruned_fraction(ours.masks[-1]) > 0.7


def halfway():
    # At step 22 it asks for 27 * (1 - 0.7963) = 5.5 of the last kernel's weights.
    return pruning.PolynomialDecay(0.0, 0.8, begin_step=12, end_step=24, frequency=5)


def three_headed(library):
    layers = library.layers
    return library.Sequential([library.Input((13,)), layers.Dense(9, "relu"), layers.Dense(3)])


@SAID
def test_a_count_halfway_between_two_numbers_is_rounded_alike():
    theirs, ours = twins(three_headed, sgd, halfway)
    assert_masks_equal(theirs, ours)
    assert ours.masks[-1]["dense_1/kernel"].size == 27


def every_third():
    class EveryThird(pruning.PruningSchedule):
        def __call__(self, step):
            return step % 3 == 0, 0.25

        def get_config(self):
            return {}

    return EveryThird()


def test_a_schedule_of_the_users_own_is_followed():
    theirs, ours = twins(mlp, sgd, every_third)
    assert_masks_equal(theirs, ours)
    assert 0.2 < pruned_fraction(ours.masks[-1]) < 0.3


def zero_headed(library):
    model = mlp(library)
    set_weights = model.set_weights
    model.set_weights = lambda start: set_weights([*start[:2], 0 * start[2], start[3]])
    return model


def every_step():
    return pruning.ConstantSparsity(0.6, begin_step=0, frequency=1)


def test_a_kernel_that_starts_at_zero_can_be_trained_and_pruned():
    theirs, ours = twins(zero_headed, sgd, every_step)
    assert_masks_equal(theirs, ours)
    kept = ours.masks[-1]["dense_1/kernel"]
    assert 0 < kept.sum() < kept.size

"""Steps in which no mask changes are taken by a cheaper function, with the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit import pruning
from kerasinit._src.pruning import masked_update, outlook, pruner, session
from kerasinit._src.pruning.masked_update import PerWeightEpsilons
from kerasinit._src.pruning.patterns import SingleWeights
from kerasinit._src.pruning.pruned_models import pruner_of, session_of
from kerasinit._src.pruning.tfmot_bridge import tfmot
from tests.kerases import HAS_TFMOT, has_keras
from tests.products import nightly

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((192, 8)).astype("float32"), RNG.standard_normal((192, 4))
STEPS, EPOCHS = 32, 3  # of 6 examples


class Between(keras.callbacks.Callback):
    """A callback that might write weights between steps, so that no step is a quiet one."""

    def on_train_batch_end(self, batch, logs=None):
        pass


class Own:
    """A schedule of a user's own, which may fire at any time."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        return self.schedule(step)

    def get_config(self):
        return {}


def model_of(schedule, optimizer=None, constraint=None, pattern=None, **options):
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(16, "relu", kernel_constraint=constraint)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4)(hidden))
    start = np.random.default_rng(1)
    model.set_weights([start.standard_normal(w.shape) for w in model.get_weights()])
    model = pruning.prune_low_magnitude(model, schedule, **(pattern or {}))
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse", **options)
    return model


def trained(model, *callbacks, epochs=EPOCHS):
    callbacks = [pruning.UpdatePruningStep(), *callbacks]
    model.fit(X, Y, batch_size=6, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model.get_weights()


@pytest.fixture
def calls(monkeypatch):
    """Count training functions that ran, quiet ones and others."""
    counted = {True: 0, False: 0}
    run = session.Session.run

    def counting(self, train_function, quiet_function, *others):
        def tell(function):
            def called(iterator):
                counted[self.quiet.traced] += 1
                return function(iterator)

            return function and called

        return run(self, tell(train_function), tell(quiet_function), *others)

    monkeypatch.setattr(session.Session, "run", counting)
    return counted


CUBIC = pruning.PolynomialDecay(0.2, 0.8, begin_step=0, end_step=60, frequency=30)
ONE_UPDATE = pruning.PolynomialDecay(0.2, 0.8, begin_step=0, end_step=30, frequency=30)


def test_all_but_the_steps_around_an_update_are_quiet(calls):
    trained(model_of(CUBIC))
    # Updates at 30 and 60, each with the step before, whose weights it looks at.
    assert calls == {True: EPOCHS * STEPS - 4, False: 4}


def test_of_seven_steps_at_once_none_changes_a_mask_in_a_quiet_call(calls):
    trained(model_of(CUBIC, steps_per_execution=7))
    assert calls[True] > 0
    assert calls[False] >= 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: model_of(pruning.ConstantSparsity(0.5, 0, frequency=10)),
        lambda: model_of(Own(ONE_UPDATE)),
        lambda: model_of(ONE_UPDATE, OwnUpdate(0.01)),
    ],
    ids=["often", "own schedule", "own optimizer"],
)
def test_no_step_is_quiet_where_that_would_not_pay_or_not_hold(make, calls):
    trained(make(), epochs=1)
    assert calls == {True: 0, False: STEPS}


def test_no_step_is_quiet_where_a_callback_may_write_weights(calls):
    own = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    trained(model_of(ONE_UPDATE), own, epochs=1)
    assert calls == {True: 0, False: STEPS}


def test_no_step_is_quiet_where_a_custom_fit_may_bring_a_callback(calls):
    class Own(keras.Sequential):
        def fit(self, *args, callbacks, **kwargs):
            return super().fit(*args, callbacks=[*callbacks, Between()], **kwargs)

    model = Own([keras.Input((8,)), keras.layers.Dense(4)])
    pruning.prune_low_magnitude(model, ONE_UPDATE)
    model.compile("sgd", "mse")
    trained(model, epochs=1)
    assert calls == {True: 0, False: STEPS}


class OwnUpdate(keras.optimizers.SGD):
    def apply(self, grads, trainable_variables=None):
        super().apply(grads, trainable_variables)


# Whatever way Keras' optimizers have of writing a weight.
KERAS_OPTIMIZERS = [
    cls
    for name, cls in sorted(vars(keras.optimizers).items())
    if isinstance(cls, type)
    and issubclass(cls, keras.optimizers.Optimizer)
    and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    # Its update fails on TensorFlow in Keras 3.12, with kerasinit and without.
    and (name != "Muon" or has_keras("3.13"))
]
OPTIONS = {
    "adam": {},
    "averages": {
        "optimizer": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=7)
    },
    "momentum, growing back two by two": {
        "optimizer": lambda: keras.optimizers.SGD(0.005, momentum=0.9),
        "pattern": {"block_size": (2, 2)},
        "schedule": pruning.ConstantSparsity(0.5, 0, frequency=30),
    },
    "constraint, seven at once": {
        "constraint": keras.constraints.MaxNorm(0.9),
        "steps_per_execution": 7,
    },
    "accumulation": {
        "optimizer": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
        "schedule": ONE_UPDATE,
    },
}
MORE_OPTIONS = {
    "eager": {"run_eagerly": True, "schedule": ONE_UPDATE, "epochs": 1},
    **{
        f"keras {cls.__name__}": {"optimizer": lambda cls=cls: cls(0.01)}
        for cls in KERAS_OPTIMIZERS
    },
    "decay": {"optimizer": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1)},
    "clipping": {"optimizer": lambda: keras.optimizers.Adam(0.01, clipnorm=0.1)},
    "amsgrad": {"optimizer": lambda: keras.optimizers.Adam(0.01, amsgrad=True)},
    "large epsilon": {"optimizer": lambda: keras.optimizers.Adam(0.01, epsilon=0.1)},
    "constraint": {"constraint": keras.constraints.MaxNorm(0.9)},
    "seven at once": {"steps_per_execution": 7},
    "two by two": {"pattern": {"block_size": (2, 2)}},
    "grows back": {"schedule": pruning.ConstantSparsity(0.5, 0, frequency=30)},
}


@pytest.mark.parametrize("cls", KERAS_OPTIMIZERS)
def test_an_update_is_masked_however_an_optimizer_writes_it(cls):
    kernel, mask = kernel_and_mask()
    plain = keras.Variable(kernel.numpy(), name="plain")
    ours, others = cls(0.1), cls(0.1)
    for step in range(3):
        gradient = tf.constant([[0.1, -0.2], [0.3, 0.01 + step]])
        with masked_update.masking([(kernel, mask, None)]):
            ours.apply([gradient], [kernel])
        others.apply([gradient], [plain])
        moved = plain.numpy()
        plain.assign(plain * mask)
        assert (moved != plain.numpy()).any(), "no removed weight was written, so none was masked"
        np.testing.assert_array_equal(kernel, plain)


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(options, id=name) for name, options in OPTIONS.items()),
        *(pytest.param(o, id=name, marks=nightly) for name, o in MORE_OPTIONS.items()),
    ],
)
def test_quiet_steps_change_no_bit(options, calls):
    options = {"schedule": CUBIC, "optimizer": lambda: keras.optimizers.Adam(0.01), **options}
    make, epochs = options.pop("optimizer"), options.pop("epochs", EPOCHS)

    quiet = trained(model_of(optimizer=make(), **options), epochs=epochs)
    assert calls[True] > 0
    calls[True] = 0
    others = trained(model_of(optimizer=make(), **options), Between(), epochs=epochs)
    assert calls[True] == 0

    assert sum(np.count_nonzero(w == 0) for w in quiet) > 20
    for ours, theirs in zip(quiet, others, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_quiet_steps_within_xla_have_the_same_masks(calls):
    model = model_of(ONE_UPDATE, jit_compile=True)
    quiet = trained(model, epochs=1)
    assert calls[True] > 0
    # There a mask is free, and an epsilon for each weight would not be.
    assert session_of(model).quiet.epsilons is None
    others = trained(model_of(ONE_UPDATE, jit_compile=True), Between(), epochs=1)
    for ours, theirs in zip(quiet, others, strict=True):
        np.testing.assert_array_equal(ours == 0, theirs == 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_weights_that_a_callback_writes_between_epochs_are_masked_before_the_next_step():
    class Revive(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.layers[1].kernel.assign(keras.ops.ones((8, 16)))

    # The learning rate is 0, so what a callback wrote stays, but for what is masked.
    schedule = pruning.ConstantSparsity(0.5, 0, end_step=1, frequency=1)
    model = model_of(schedule, keras.optimizers.SGD(0.0))
    kernel = model.layers[1].kernel
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(float(keras.ops.mean(kernel == 0)))

    model.fit(
        X[:24], Y[:24], batch_size=6, verbose=0, callbacks=[pruning.UpdatePruningStep(), Look()]
    )
    trained(model, Revive(), Look(), epochs=1)
    assert seen == [0.5, 0.5]


@settings(max_examples=40)
@given(
    st.sampled_from([pruning.ConstantSparsity, *([tfmot().ConstantSparsity] if HAS_TFMOT else [])]),
    st.integers(0, 20),
    st.one_of(st.just(-1), st.integers(20, 60)),
    st.integers(1, 15),
    st.integers(0, 80),
)
def test_the_next_update_is_when_the_schedule_fires_next(kind, begin, end, frequency, step):
    schedule = kind(0.5, begin, end, frequency)
    rule = pruner.Rule(schedule, SingleWeights())
    later = tf.range(step + 1, step + 200, dtype=tf.int64)
    fires = later.numpy()[schedule(later)[0].numpy()]
    assert outlook.next_update(rule, step) == (fires[0] if len(fires) else outlook.NEVER)


class OwnAdam(keras.optimizers.Adam):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        variable.assign_add(tf.ones_like(variable))


def kernel_and_mask():
    kernel = keras.Variable(np.full((2, 2), 3.0, "float32"), name="kernel")
    mask = tf.Variable([[1.0, 0.0], [0.0, 1.0]])
    kernel.assign(kernel * mask)
    return kernel, mask


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("cls", [keras.optimizers.Adam, keras.optimizers.AdamW])
def test_adam_leaves_removed_weights_alone_by_an_infinite_epsilon(cls, amsgrad):
    optimizer = cls(1.0, amsgrad=amsgrad, epsilon=1e-3)
    assert PerWeightEpsilons.supports(optimizer)
    kernel, mask = kernel_and_mask()
    epsilons = PerWeightEpsilons(optimizer, [(kernel, mask)])
    plain = keras.Variable(np.full((2, 2), 3.0, "float32"), name="plain")
    other = cls(1.0, amsgrad=amsgrad, epsilon=1e-3)
    plain.assign(plain * mask)
    for step in range(4):
        # The mask turns round in between: a weight is revived, with the moments it had.
        if step == 2:
            mask.assign(1 - mask)
            kernel.assign(kernel * mask)
            plain.assign(plain * mask)
        epsilons.follow_masks()
        gradient = tf.constant([[0.1, -0.2], [0.3, 0.01 * step]])
        with masked_update.masking([(kernel, mask, None)], epsilons):
            optimizer.apply([gradient], [kernel])
            assert kernel.constraint is None
        other.apply([gradient], [plain])
        np.testing.assert_array_equal(kernel, plain * mask)
        plain.assign(plain * mask)
        for ours, theirs in zip(optimizer.variables, other.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert optimizer.epsilon == 1e-3
    assert "update_step" not in vars(optimizer)


def test_weights_without_a_mask_have_adams_own_epsilon():
    optimizer = keras.optimizers.Adam(1.0, epsilon=0.5)
    kernel, mask = kernel_and_mask()
    bias = keras.Variable(np.zeros(2, "float32"), name="bias")
    epsilons = PerWeightEpsilons(optimizer, [(kernel, mask)])
    epsilons.follow_masks()
    with masked_update.masking([(kernel, mask, None)], epsilons):
        optimizer.apply([tf.ones((2, 2)), tf.ones(2)], [kernel, bias])
    alone = keras.Variable(np.zeros(2, "float32"), name="alone")
    keras.optimizers.Adam(1.0, epsilon=0.5).apply([tf.ones(2)], [alone])
    np.testing.assert_array_equal(bias, alone)
    assert np.all(alone.numpy() != 0)


@pytest.mark.parametrize(
    "optimizer",
    [
        OwnAdam(1.0),
        keras.optimizers.SGD(1.0),
        keras.optimizers.Adam(1.0, use_ema=True, ema_overwrite_frequency=1),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1.0)),
    ],
    ids=["own", "sgd", "averages", "loss scale"],
)
def test_an_epsilon_is_not_enough_for_other_optimizers(optimizer):
    assert not PerWeightEpsilons.supports(optimizer)


def test_nor_has_a_training_with_them_any(calls):
    model = model_of(ONE_UPDATE, "sgd")
    trained(model, epochs=1)
    assert calls[True] > 0
    assert session_of(model).quiet.epsilons is None


def test_nor_is_it_where_a_constraint_of_the_users_comes_after_the_update():
    optimizer = keras.optimizers.Adam(1.0)
    kernel, mask = kernel_and_mask()
    epsilons = PerWeightEpsilons(optimizer, [(kernel, mask)])
    epsilons.follow_masks()
    with masked_update.masking([(kernel, mask, lambda w: w + 1.0)], epsilons):
        optimizer.apply([-tf.ones((2, 2))], [kernel])
    np.testing.assert_array_equal(kernel.numpy() != 0, mask.numpy() != 0)


def test_quiet_steps_of_adam_take_no_mask_outside_of_xla():
    model = model_of(ONE_UPDATE)
    trained(model, epochs=1)
    assert session_of(model).quiet.epsilons is not None
    # They are no part of the optimizer, and so in no file.
    names = [variable.path for variable in model.optimizer.variables]
    assert len(names) == 2 + 2 * len(model.trainable_variables), names
    assert not any("epsilon" in name for name in names)


def test_rows_of_an_embedding_are_masked_after_their_update():
    table = keras.Variable(np.ones((3, 2), "float32"), name="embeddings")
    mask = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    table.assign(table * mask)
    # Twice the same row, one after the other: half of the last bit of 1 is lost each time, which
    # the sum of both would not be.
    rows = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 1]), tf.constant([3, 2]))
    optimizer = keras.optimizers.SGD(2.0**-25)
    with masked_update.masking([(table, mask, None)]):
        optimizer.apply([rows], [table])
    np.testing.assert_array_equal(table, mask)


def test_no_step_is_quiet_in_a_training_step_of_the_users_on_the_instance(calls):
    plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    step = plain.train_step
    plain.train_step = lambda data: step(data)
    model = pruning.prune_low_magnitude(plain, ONE_UPDATE)
    model.compile("sgd", "mse")
    trained(model, epochs=1)
    assert calls == {True: 0, False: STEPS}


def test_what_is_written_after_a_fit_is_masked_when_a_loop_ends_its_epoch():
    schedule = pruning.ConstantSparsity(0.5, 0, end_step=1, frequency=1)
    model = model_of(schedule)
    callback = pruning.UpdatePruningStep()
    model.fit(X, Y, batch_size=6, verbose=0, callbacks=[callback])
    callback.on_train_begin()
    model.layers[1].kernel.assign(keras.ops.ones((8, 16)))
    callback.on_epoch_end(0)
    assert float(keras.ops.mean(model.layers[1].kernel == 0)) == 0.5


class Position(keras.callbacks.Callback):
    """Asks for the number of steps, and may break off the training after an epoch."""

    def __init__(self, last=None):
        super().__init__()
        self.seen, self.last = [], last

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(pruner_of(self.model).counter.position)

    def on_epoch_end(self, epoch, logs=None):
        counter = pruner_of(self.model).counter
        self.seen.append(counter.position)
        if epoch == 1:
            # To read the variable writes what was counted beside it.
            assert int(counter.step) == 2 * STEPS
            assert counter.position == (2 * STEPS, 0)
        if epoch == self.last:
            raise KeyboardInterrupt


def test_the_number_of_steps_is_known_whoever_counts_them(calls):
    asked = Position()
    trained(model_of(CUBIC), asked)
    assert calls[True] > calls[False] > 0
    ends = [0, *(STEPS * epoch for epoch in range(1, EPOCHS) for _ in (1, 2)), STEPS * EPOCHS]
    assert asked.seen == [(end, 0) for end in ends]


@pytest.mark.parametrize(
    "last", [pytest.param(None, id="ended", marks=nightly), pytest.param(1, id="broken off")]
)
def test_a_compiled_loop_goes_on_counting_where_a_fit_has_stopped(last, calls):
    model = model_of(CUBIC)
    if last is None:
        trained(model, epochs=2)
    else:
        with pytest.raises(KeyboardInterrupt):
            trained(model, Position(last))
    counter = pruner_of(model).counter

    @tf.function
    def step():
        pruning.begin_step(model)
        return tf.identity(counter.step)

    # The graph counts, and Python is not told.
    assert [int(step()) for _ in range(2)] == [2 * STEPS + 1, 2 * STEPS + 2]
    assert counter.position == (2 * STEPS + 2, 0)
    assert int(step()) == 2 * STEPS + 3
    assert counter.position == (2 * STEPS + 3, 0)
    assert calls[True] > calls[False] > 0


def test_constraints_are_put_back_as_they_were():
    kernel = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    kernel.constraint = before = keras.constraints.NonNeg()
    with masked_update.masking([(kernel, tf.zeros((2, 2)), None)]):
        assert kernel.constraint is not before
        np.testing.assert_array_equal(kernel.constraint(kernel), np.zeros((2, 2)))
    assert kernel.constraint is before

"""Removed channels are at zero at every look while a model trains, and the plan is met."""

import keras
import numpy as np
import pytest

from kerasinit import pruning, shrinking
from tests.kerases import INSTALLED, tf_keras
from tests.products import each_value_once

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 8, 8, 3)).astype("float32")
Y = RNG.standard_normal((64, 2)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", INSTALLED)
# With 64 examples in batches of 8, an epoch has 8 steps.
DECAY = {"begin_step": 0, "end_step": 16, "frequency": 4}


def decay(**changes):
    options = {"initial_sparsity": 0.0, "final_sparsity": 0.5} | DECAY | changes
    return pruning.PolynomialDecay(**options)


def net(library, kind=None, optimizer=None, **compile_options):
    layers = library.layers
    library.utils.set_random_seed(0)
    inputs = library.Input((8, 8, 3))
    one = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    one = stem = layers.ReLU()(layers.BatchNormalization(name="norm")(one))
    one = layers.Conv2D(16, 3, padding="same", activation="relu", name="body")(one)
    one = layers.Conv2D(24, 3, activation="relu", name="wide")(layers.Add()([one, stem]))
    one = layers.Dense(20, activation="relu", name="hidden")(layers.Flatten()(one))
    outputs = layers.Dense(2, name="head")(one)
    model = (kind or library.Model)(inputs, outputs)
    optimizer = optimizer or library.optimizers.Adam(0.01)
    model.compile(optimizer, "mse", **compile_options)
    random = np.random.default_rng(1)
    model.set_weights([w + random.uniform(-0.05, 0.1, w.shape) for w in model.get_weights()])
    return model


def fit(model, *callbacks, epochs=3, **options):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, callbacks=[*callbacks], **options)


def dead(model, plan, groups=None):
    """Return whether all weights of the removed channels are zero."""
    groups = shrinking.groups(model) if groups is None else groups
    return all(
        not one.values()[list(planned.removed)].any()
        for group, planned in zip(groups, plan.groups, strict=True)
        for one in group.slices
        if one.role != "statistic"
    )


class Look(keras.callbacks.Callback):
    """Records after each step what is left, and whether the rest is zero."""

    def __init__(self, callback):
        super().__init__()
        self._callback, self.removed, self.fractions, self.dead = callback, [], [], []

    def on_train_begin(self, logs=None):
        self._groups = shrinking.groups(self._callback.model)

    def on_train_batch_end(self, batch, logs=None):
        plan = self._callback.plan
        self.removed.append(plan.removed)
        self.fractions.append(plan.cost("macs").ratio)
        self.dead.append(dead(None, plan, self._groups))


def look(library, callback):
    """Return a `Look` for a Keras."""
    if library is keras:
        return Look(callback)
    found = type("Look", (library.callbacks.Callback,), dict(vars(Look)))
    made = found.__new__(found)
    library.callbacks.Callback.__init__(made)
    made._callback, made.removed, made.fractions, made.dead = callback, [], [], []
    return made


@each_value_once(
    library=INSTALLED,
    optimizer=["adam", "momentum", "averaged"],
    importance=["magnitude", "taylor", "batch_norm"],
)
def test_channels_fade_out_are_zero_at_every_look_and_the_target_is_met(
    library, optimizer, importance
):
    made = {
        "adam": lambda: library.optimizers.Adam(0.01),
        "momentum": lambda: library.optimizers.SGD(0.01, momentum=0.9),
        "averaged": lambda: library.optimizers.Adam(0.01, use_ema=True),
    }[optimizer]()
    model = net(library, optimizer=made)
    ratio = 0.7 if importance == "batch_norm" else 0.5
    plan = shrinking.structured(
        model, {"macs": ratio}, importance=importance, round_to=4, x=X[:32], y=Y[:32]
    )
    callback = shrinking.StructuredPruning(plan, decay())
    seen = look(library, callback)
    before = model.get_layer("hidden").kernel.numpy()

    fit(model, callback, seen)

    assert all(seen.dead[3:])
    assert dead(model, callback.plan)
    assert callback.plan.removed
    # The updates are after steps 4, 8, 12 and 16, and each leaves no more than it may.
    for step in range(4, 17, 4):
        sparsity = float(decay()(step)[1])
        assert seen.fractions[step - 1] <= 1 - sparsity / 0.5 * (1 - ratio) + 1e-6
    assert seen.fractions[3] > ratio + 0.05
    assert len(set(seen.fractions[3:])) >= 2
    assert len({str(one) for one in seen.removed[16:]}) == 1
    for after, earlier in zip(seen.removed[4:], seen.removed[3:], strict=False):
        for name, channels in earlier.items():
            assert set(channels) <= set(after[name])
    # What is left has trained.
    kernel = model.get_layer("hidden").kernel.numpy()
    assert (kernel[kernel != 0] != before[kernel != 0]).all()
    small = shrinking.compact(model)
    assert shrinking.count(small).macs == callback.plan.cost("macs").left
    assert 0.9 * ratio < callback.plan.cost("macs").ratio <= ratio
    assert all(after % 4 == 0 for before, after in callback.plan.widths.values() if after < before)
    np.testing.assert_allclose(
        small.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-4, atol=1e-4
    )


@each_value_once(
    library=INSTALLED, final=[0.1, 0.9], constant=[False, True], target=["macs", "parameters"]
)
def test_training_ends_at_the_target_with_any_final_sparsity(library, final, constant, target):
    model = net(library)
    plan = shrinking.structured(model, {target: 0.6})
    schedule = pruning.ConstantSparsity(final, 4, frequency=8) if constant else decay(
        final_sparsity=final
    )  # fmt: skip
    callback = shrinking.StructuredPruning(plan, schedule)

    fit(model, callback)

    assert 0.55 < callback.plan.cost(target).ratio <= 0.6
    assert dead(model, callback.plan)


def test_ratios_grow_with_the_schedule():
    model = net(keras)
    plan = shrinking.structured(model, ratios={"wide": 0.5})
    callback = shrinking.StructuredPruning(plan, decay())
    seen = Look(callback)

    fit(model, callback, seen)

    counts = [len(one.get("wide", ())) for one in seen.removed[3::4]]
    sparsities = [float(decay()(step)[1]) for step in (4, 8, 12, 16)]
    assert counts[:4] == [round(24 * one) for one in sparsities]
    assert set(callback.plan.removed) == {"wide"}


def test_channels_are_chosen_by_the_weights_as_they_are_then():
    model = net(keras)
    plan = shrinking.structured(model, ratios={"hidden": 0.25})
    chosen = plan.removed["hidden"]
    hidden = next(one for one in shrinking.groups(model) if one.name == "hidden")
    others = [one for one in range(20) if one not in chosen][:5]
    for one in hidden.slices:
        values = one.variable.numpy()
        moved = np.moveaxis(values, one.axis, 0)
        moved[one.positions[others].ravel()] *= 1e-3
        moved[one.positions[list(chosen)].ravel()] += 1
        one.variable.assign(values)
    schedule = pruning.ConstantSparsity(0.5, 0, frequency=1)
    callback = shrinking.StructuredPruning(plan, schedule)

    fit(model, callback, epochs=1)

    assert callback.plan.removed == {"hidden": tuple(others)}
    plan.apply(model)
    assert dead(model, plan)


@pytest.mark.nightly
def test_several_steps_at_once_and_xla_train_the_same():
    found = []
    for options in ({}, {"steps_per_execution": 4}, {"run_eagerly": True}, {"jit_compile": True}):
        # Adam would make differences in the last bit of a gradient near zero large.
        model = net(keras, optimizer=keras.optimizers.SGD(0.01), **options)
        plan = shrinking.structured(model, {"macs": 0.5})
        callback = shrinking.StructuredPruning(plan, decay())
        fit(model, callback)
        assert dead(model, callback.plan)
        found.append((callback.plan.removed, model.get_weights()))

    for removed, weights in found[1:]:
        assert removed == found[0][0]
        for one, other in zip(weights, found[0][1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


@pytest.mark.nightly
def test_a_custom_training_step_is_masked_between_steps():
    model, plain = net(keras, OwnStep), net(keras)
    plans = []
    for one in (model, plain):
        callback = shrinking.StructuredPruning(shrinking.structured(one, {"macs": 0.5}), decay())
        seen = Look(callback)
        fit(one, callback, seen)
        assert all(seen.dead[3:])
        plans.append(callback.plan.removed)

    assert plans[0] == plans[1]
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda **o: net(tf_keras, **o), lambda **o: net(keras, OwnStep, **o)]
)
def test_several_steps_at_once_are_refused_where_masks_are_applied_between_them(make):
    model = make(steps_per_execution=2)
    plan = shrinking.structured(model, {"macs": 0.5})

    with pytest.raises(ValueError, match="takes 2 steps at a time"):
        fit(model, shrinking.StructuredPruning(plan, decay()))


def test_updates_do_not_trace_the_step_again():
    traces = []

    class Traced(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                traces.append(x)
            return x

    inputs = keras.Input((8, 8, 3))
    one = keras.layers.Conv2D(16, 3, activation="relu", name="wide")(Traced()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(one)))
    model.compile("adam", "mse")
    schedule = decay(end_step=8, frequency=1)
    callback = shrinking.StructuredPruning(shrinking.structured(model, {"macs": 0.5}), schedule)

    fit(model, callback, epochs=1)
    once = len(traces)
    fit(model, callback, epochs=1)

    assert len(callback.plan.removed["wide"]) >= 8
    assert len(traces) == once


@LIBRARIES
def test_files_that_others_save_and_evaluations_have_zeros(library, tmp_path):
    model = net(library)
    path = str(tmp_path / "epoch.keras")
    callback = shrinking.StructuredPruning(shrinking.structured(model, {"macs": 0.5}), decay())
    saver = library.callbacks.ModelCheckpoint(path)

    fit(model, saver, callback, epochs=3, validation_data=(X, Y))

    loaded = library.models.load_model(path)
    assert dead(loaded, callback.plan)
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(model.weights) == len(net(library).weights)
    assert shrinking.count(shrinking.compact(loaded)).macs == callback.plan.cost("macs").left


@pytest.mark.nightly
@LIBRARIES
def test_a_further_fit_continues_the_schedule(library):
    found = []
    for parts in ((3,), (1, 2)):
        model = net(library)
        callback = shrinking.StructuredPruning(shrinking.structured(model, {"macs": 0.5}), decay())
        for place, epochs in enumerate(parts):
            if len(parts) > 1 and place == 0:
                with pytest.warns(UserWarning, match="short of the 0.5 at which the schedule ends"):
                    fit(model, callback, epochs=epochs)
                assert callback.plan.cost("macs").ratio > 0.5
            else:
                fit(model, callback, epochs=epochs)
        found.append((callback.plan.removed, model.get_weights()))

    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@LIBRARIES
def test_a_training_is_resumed_from_a_file(library, tmp_path):
    model = net(library)
    plan = shrinking.structured(model, {"macs": 0.5}, importance="random")
    first = shrinking.StructuredPruning(plan, decay())
    with pytest.warns(UserWarning, match="short of the 0.5"):
        fit(model, first, epochs=1)
    model.save(tmp_path / "model.keras")
    whole = shrinking.StructuredPruning(plan, decay())
    fit(net(library), whole)

    loaded = library.models.load_model(tmp_path / "model.keras")
    resumed = shrinking.StructuredPruning(plan, decay())
    seen = look(library, resumed)
    fit(loaded, resumed, seen, epochs=3, initial_epoch=1)

    assert seen.removed[0] == first.plan.removed
    assert seen.dead[0]
    assert resumed.plan.removed == whole.plan.removed


@pytest.mark.nightly
def test_a_model_that_was_replaced_starts_dense_again():
    one, other = net(keras), net(keras)
    callback = shrinking.StructuredPruning(shrinking.structured(one, {"macs": 0.5}), decay())
    fit(one, callback)

    callback.model = None
    seen = Look(callback)
    fit(other, callback, seen)

    assert seen.fractions[3] > 0.55
    assert dead(other, callback.plan)


@LIBRARIES
def test_a_training_without_the_callback_is_dense_again(library):
    model = net(library)
    callback = shrinking.StructuredPruning(shrinking.structured(model, {"macs": 0.5}), decay())
    fit(model, callback)
    assert dead(model, callback.plan)

    # Their gradients are zero; the decay of weights is not needed, but the biases move again.
    model.get_layer("norm").beta.assign(np.ones(16))
    fit(model, epochs=1)
    assert model.get_layer("norm").beta.numpy().all()
    fit(model, callback, epochs=1)
    assert dead(model, callback.plan)


@pytest.mark.nightly
def test_a_schedule_that_misses_its_end_is_reported():
    model = net(keras)
    plan = shrinking.structured(model, {"macs": 0.5})

    with pytest.warns(UserWarning, match=r"end_step=100, frequency=4.*end_step=24 would end there"):
        fit(model, shrinking.StructuredPruning(plan, decay(end_step=100)))
    with pytest.warns(UserWarning, match="does not fire in this training"):
        fit(model, shrinking.StructuredPruning(plan, decay(begin_step=50, end_step=100)))

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    with pytest.warns(UserWarning, match=r"ended at step 8 of 24.*A further fit with the same"):
        fit(net(keras), shrinking.StructuredPruning(plan, decay()), Stop())


class Steps(pruning.PruningSchedule):
    def __call__(self, step):
        return step in (3, 7), 0.2 if step < 7 else 0.4

    def get_config(self):
        return {"class_name": "Steps", "config": {}}


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_custom_schedule_serves_and_its_end_must_be_known():
    class Graph(Steps):
        def __call__(self, step):
            fires = keras.ops.logical_or(keras.ops.equal(step, 3), keras.ops.equal(step, 7))
            return fires, keras.ops.where(keras.ops.less(step, 7), 0.2, 0.4)

    model = net(keras)
    plan = shrinking.structured(model, {"macs": 0.5})
    callback = shrinking.StructuredPruning(plan, Graph())
    seen = Look(callback)

    fit(model, callback, seen)

    assert 0.6 < seen.fractions[2] <= 0.75
    assert seen.fractions[6] <= 0.5

    def batches():
        for start in range(0, 64, 8):
            yield X[start : start + 8], Y[start : start + 8]

    with pytest.raises(ValueError, match=r"final sparsity of .* is unknown"):
        net(keras).fit(
            batches(), epochs=1, verbose=0, shuffle=False,
            callbacks=[shrinking.StructuredPruning(plan, Graph())],
        )  # fmt: skip


@pytest.mark.nightly
def test_gradient_accumulation_counts_updates():
    model = net(keras, optimizer=keras.optimizers.Adam(0.01, gradient_accumulation_steps=2))
    plan = shrinking.structured(model, {"macs": 0.5})
    callback = shrinking.StructuredPruning(plan, decay(end_step=8))
    seen = Look(callback)

    fit(model, callback, seen)

    # Four and eight updates.
    changes = [n for n in range(1, 24) if seen.removed[n] != seen.removed[n - 1]]
    assert changes == [7, 15]
    assert seen.fractions[14] > seen.fractions[15]
    assert all(seen.dead[7:])


def test_a_custom_loop_counts_its_steps():
    model = net(keras)
    plan = shrinking.structured(model, {"macs": 0.5})
    callback = shrinking.StructuredPruning(plan, decay())
    callback.set_model(model)
    callback.on_train_begin()

    for step in range(16):
        model.train_on_batch(X[:8], Y[:8])
        callback.on_train_batch_end(step)

    callback.on_train_end()
    assert callback.plan.cost("macs").ratio <= 0.5
    assert dead(model, callback.plan)


@pytest.mark.nightly
def test_a_latency_is_only_measured_at_the_end():
    model, seen = net(keras), []

    def latency(measured):
        seen.append(shrinking.count(measured).macs)
        return float(seen[-1])

    plan = shrinking.structured(model, {"latency": 0.5}, latency=latency)
    callback = shrinking.StructuredPruning(plan, decay())
    planned = len(seen)

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            numbers.append(len(seen) - planned)

    numbers = []
    fit(model, callback, Count())

    # But for the report on each update, which measures one model.
    assert numbers[11] == 6
    assert numbers[15] > 10
    assert callback.plan.cost("macs").ratio <= 0.5


@LIBRARIES
def test_plans_and_schedules_that_do_not_fit_are_refused(library):
    model = net(library)
    plan = shrinking.structured(model, {"macs": 0.5})

    with pytest.raises(TypeError, match="Expected the plan"):
        shrinking.StructuredPruning({"macs": 0.5}, decay())
    with pytest.raises(TypeError, match=r"Expected pruning_schedule\(step\)"):
        shrinking.StructuredPruning(plan, lambda step: 0.5)
    with pytest.raises(ValueError, match=r"sparsities in \[0, 1\)"):
        shrinking.StructuredPruning(plan, lambda step: (True, 1.5))
    with pytest.raises(ValueError, match="removes nothing: its final sparsity is 0"):
        shrinking.StructuredPruning(plan, decay(final_sparsity=0.0))
    other = library.Sequential([library.Input((8, 8, 3)), library.layers.Flatten()])
    other.add(library.layers.Dense(2))
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="The plan is for another model"):
        fit(other, shrinking.StructuredPruning(plan, decay()))


def test_weights_that_become_nan_are_reported():
    model = net(keras)
    plan = shrinking.structured(model, {"macs": 0.5})

    class Break(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                model.get_layer("wide").kernel.assign(np.full((3, 3, 16, 24), np.nan))

    with pytest.raises(ValueError, match=r"importance of .* is not finite"):
        fit(model, Break(), shrinking.StructuredPruning(plan, decay()))


def test_normalized_channels_fade_out_and_are_cut_at_the_end():
    inputs = keras.Input((6, 10))
    one = keras.layers.LayerNormalization()(keras.layers.Dense(16, name="wide")(inputs))
    one = keras.layers.Dense(12, activation="relu")(one)
    model = keras.Model(inputs, keras.layers.Dense(2)(one))
    model.compile("adam", "mse")
    x, y = RNG.standard_normal((64, 6, 10)), RNG.standard_normal((64, 6, 2))
    plan = shrinking.structured(model, {"macs": 0.5}, through_statistics=True)
    callback = shrinking.StructuredPruning(plan, decay())

    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    with pytest.warns(UserWarning, match="inexact"):
        small = callback.plan.cut(model, x)

    assert small.get_layer("wide").units < 16
    assert shrinking.count(small).macs == callback.plan.cost("macs").left
    before = small.evaluate(x, y, verbose=0)
    small.fit(x, y, epochs=3, verbose=0)
    assert small.evaluate(x, y, verbose=0) < before

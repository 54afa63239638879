"""What will not work is said once, before the training, with numbers that would."""

import warnings

import keras
import numpy as np
import pytest

from kerasinit import pruning

X, Y = np.random.default_rng(0).normal(size=(2, 48, 8)).astype("float32")
# Twelve steps in an epoch.
BATCH = 4

JIT = pytest.mark.parametrize("jit_compile", [True, False])


def made(*units, jit_compile=False, **compilation):
    layers = [keras.layers.Dense(unit) for unit in (units or (8,))]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("sgd", "mse", jit_compile=jit_compile, **compilation)
    return model


def fit(model, epochs=1, **arguments):
    targets = Y[:, : model.output_shape[-1]]
    callbacks = [pruning.UpdatePruningStep()]
    model.fit(
        X, targets, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks, **arguments
    )


def constant(sparsity, begin_step=0, frequency=1, **arguments):
    return pruning.ConstantSparsity(sparsity, begin_step, frequency=frequency, **arguments)


def cubic(end_step, frequency, begin_step=0):
    return pruning.PolynomialDecay(0.0, 0.75, begin_step, end_step, frequency=frequency)


@JIT
@pytest.mark.parametrize(
    ("schedule", "message", "mended"),
    [
        (
            lambda: pruning.ConstantSparsity(0.5, 0),
            r"does not fire in this training, steps 1 to 12.*begin_step=0, end_step=-1, "
            r"frequency=100.*frequency of at most 12 would, or a training of at least 100 steps",
            lambda: constant(0.5, frequency=12),
        ),
        (
            lambda: constant(0.5, begin_step=13),
            "does not fire.*at least 13 steps",
            lambda: constant(0.5, begin_step=12),
        ),
        (
            lambda: cubic(end_step=12, frequency=8),
            r"last update.* is at step 8, .* 0\.7222, short of the 0\.75 .*end_step=8 would",
            lambda: cubic(end_step=8, frequency=8),
        ),
        (
            lambda: cubic(end_step=100, frequency=5),
            r"step 10.*short of.*end_step=100.*end_step=10 would end there",
            lambda: cubic(end_step=10, frequency=5),
        ),
    ],
)
def test_a_schedule_that_cannot_do_its_work_in_this_training(
    schedule, message, mended, jit_compile
):
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), schedule())
    with pytest.warns(UserWarning, match=message) as said:
        fit(model)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(pruning.prune_low_magnitude(made(), mended()))
        # It is said once.
        fit(model)


class Own(pruning.PruningSchedule):
    def __init__(self, sparsity, fires):
        self.sparsity, self.fires = sparsity, fires

    def __call__(self, step):
        return self.fires(step), self.sparsity(step)

    def get_config(self):
        return {}


def test_a_schedule_of_the_users_own_that_never_fires():
    model = pruning.prune_low_magnitude(made(), Own(lambda step: 0.5, lambda step: step > 12))
    with pytest.warns(UserWarning, match=r"Own object .* does not fire in this training, steps 1"):
        fit(model)
    fit(model)
    assert pruning.masks(model)["dense/kernel"].mean() == 0.5


@JIT
def test_a_sparsity_that_leaves_its_range_is_an_error_before_training(jit_compile):
    schedule = Own(lambda step: keras.ops.cast(step, "float32") / 10, lambda step: step > 0)
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), schedule)
    before = model.get_weights()[0]
    with pytest.raises(ValueError, match=r"sparsities in \[0, 1\).*asks for 1 at step 10"):
        fit(model)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 50])
def test_a_constant_sparsity_outside_its_range_is_an_error_at_once(sparsity):
    with pytest.raises(ValueError, match=r"in range \[0,1\)"):
        pruning.ConstantSparsity(sparsity, 0)
    with pytest.raises(ValueError, match=r"sparsities in \[0, 1\)"):
        pruning.prune_low_magnitude(made(), lambda step: (True, sparsity))


@JIT
def test_asking_for_less_sparsity_than_there_is(jit_compile):
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), constant(0.75))
    fit(model)
    masks = pruning.masks(model)
    pruning.prune_low_magnitude(model, constant(0.5))
    with pytest.warns(
        UserWarning, match=r"'dense/kernel' is 0\.75 sparse already.*0\.5 at most.*above 0\.75"
    ) as said:
        fit(model)
    assert len(said) == 1
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], masks["dense/kernel"])


@JIT
def test_a_weight_with_fewer_elements_than_the_request_allows(jit_compile):
    model = made(1, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, constant(0.95))
    with pytest.warns(
        UserWarning, match=r"'dense/kernel' has only 8 weights.*0\.95 would leave none\. 0\.875 wo"
    ):
        fit(model)
    assert pruning.masks(model)["dense/kernel"].sum() == 1
    fit(pruning.prune_low_magnitude(made(1), constant(0.875)))


@JIT
def test_blocks_and_groups_that_do_not_fit(jit_compile):
    model = made(3, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, constant(0.5), block_size=(4, 4))
    with pytest.warns(
        UserWarning, match=r"\(4, 4\) do not fit into 'dense/kernel' of shape \(8, 3\).*\(4, 3\) wo"
    ):
        fit(model)
    fit(pruning.prune_low_magnitude(made(3), constant(0.5), block_size=(4, 3)))

    model = made(3, 8, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, sparsity_m_by_n=(2, 4))
    with pytest.warns(UserWarning, match=r"'dense_1/kernel' has 3 input channels.*at most 3"):
        fit(model)


def test_several_things_are_said_in_one_warning():
    model = pruning.prune_low_magnitude(made(1, 8), cubic(end_step=12, frequency=5))
    with pytest.warns(UserWarning, match=r"Pruning: .*end_step=10 would") as said:
        fit(model)
    assert len(said) == 1


def test_a_schedule_that_is_over_is_no_reason_to_complain():
    model = pruning.prune_low_magnitude(made(), cubic(end_step=12, frequency=6))
    fit(model)
    fit(model)
    assert pruning.masks(model)["dense/kernel"].mean() == 0.25


def test_the_callback_on_another_model_names_those_that_are_pruned():
    pruned = pruning.prune_low_magnitude(made(), constant(0.5))
    with pytest.raises(ValueError, match=rf"is not pruned.*at present:.*'{pruned.name}'"):
        fit(made())


@JIT
def test_a_missing_callback_is_an_error(jit_compile):
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), constant(0.5))
    with pytest.raises(ValueError, match=r"fit\(\.\.\., callbacks=\[kerasinit.pruning.UpdateP"):
        model.fit(X, Y, verbose=0)

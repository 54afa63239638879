"""What will not work is said once, before the training, with numbers that would."""

import keras
import numpy as np
import pytest

from kerasinit import pruning
from tests.products import nightly

X, Y = np.random.default_rng(0).normal(size=(2, 48, 8)).astype("float32")
# Twelve steps in an epoch.
BATCH = 4

JIT = pytest.mark.parametrize("jit_compile", [True, False])
# What follows from schedules and shapes alone is said before anything is compiled.
JIT_AS_WELL = pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=nightly)])


def made(*units, jit_compile=False, **compilation):
    layers = [keras.layers.Dense(unit) for unit in (units or (8,))]
    model = keras.Sequential([keras.Input((8,)), *layers])
    # Without XLA step by step: nothing here is about graphs, and to trace them takes longer.
    how = {"jit_compile": True} if jit_compile else {"run_eagerly": True}
    model.compile("sgd", "mse", **how, **compilation)
    return model


def fit(model, epochs=1, **arguments):
    targets = np.resize(Y, (len(X), model.output_shape[-1]))
    callbacks = [pruning.UpdatePruningStep()]
    model.fit(
        X, targets, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks, **arguments
    )


def constant(sparsity, begin_step=0, frequency=1, **arguments):
    return pruning.ConstantSparsity(sparsity, begin_step, frequency=frequency, **arguments)


def cubic(end_step, frequency, begin_step=0):
    return pruning.PolynomialDecay(0.0, 0.75, begin_step, end_step, frequency=frequency)


# What is wrong: the schedule, what is said of it, and what that says would work.
UNFIT = {
    "too seldom": (
        lambda: pruning.ConstantSparsity(0.5, 0),
        r"does not fire in this training, steps 1 to 12.*begin_step=0, end_step=-1, "
        r"frequency=100.*frequency of at most 12 would, or a training of at least 100 steps",
        lambda: constant(0.5, frequency=12),
    ),
    "too late": (
        lambda: constant(0.5, begin_step=13),
        "does not fire.*at least 13 steps",
        lambda: constant(0.5, begin_step=12),
    ),
    "over before": (
        # No training, however long, would make it fire.
        lambda: cubic(end_step=7, frequency=9),
        r"end_step=7, frequency=9\. begin_step=0 with a frequency of at most 7 would\.$",
        lambda: cubic(end_step=7, frequency=7),
    ),
    "over at once": (
        lambda: constant(0.5, end_step=0),
        r"begin_step=0 and end_step=12 with a frequency of at most 12 would\.$",
        lambda: constant(0.5, end_step=12, frequency=12),
    ),
    "of one update": (
        # The one update that there is is the first, and a decay of no length is none.
        lambda: cubic(end_step=100, frequency=5, begin_step=10),
        r"is at step 10, .* of 0, short .*begin_step=0 and frequency=1 with end_step=12 would",
        lambda: cubic(end_step=12, frequency=1),
    ),
    "between its updates": (
        lambda: cubic(end_step=12, frequency=8),
        r"last update.* is at step 8, .* 0\.7222, short of the 0\.75 .*end_step=8 would",
        lambda: cubic(end_step=8, frequency=8),
    ),
    "too long": (
        lambda: cubic(end_step=100, frequency=5),
        r"step 10.*short of.*end_step=100.*end_step=10 would end there",
        lambda: cubic(end_step=10, frequency=5),
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_schedule_that_cannot_do_its_work_in_this_training(case):
    schedule, message, mended = UNFIT[case]
    model = pruning.prune_low_magnitude(made(), schedule())
    with pytest.warns(UserWarning, match=message) as said:
        fit(model)
    assert len(said) == 1
    # It is said once, and what it says would work does; a warning more would be an error.
    fit(model)
    fit(pruning.prune_low_magnitude(made(), mended()))


@pytest.mark.parametrize("case", ["too seldom", "between its updates"])
def test_it_is_said_under_xla_as_well(case):
    schedule, message, _ = UNFIT[case]
    model = pruning.prune_low_magnitude(made(jit_compile=True), schedule())
    with pytest.warns(UserWarning, match=message) as said:
        fit(model)
    assert len(said) == 1


def test_it_is_said_once_for_all_epochs():
    model = pruning.prune_low_magnitude(made(), constant(0.5, frequency=40))
    with pytest.warns(UserWarning, match=r"steps 1 to 36: .*at most 36.*at least 40 steps") as said:
        fit(model, epochs=3)
    assert len(said) == 1


def test_with_gradient_accumulation_steps_are_updates_of_the_weights():
    model = made()
    model.compile(keras.optimizers.SGD(0.01, gradient_accumulation_steps=3), "mse")
    pruning.prune_low_magnitude(model, constant(0.5, frequency=5))
    with pytest.warns(UserWarning, match=r"steps 1 to 4: .*at most 4 would, .* at least 5 steps"):
        fit(model)


def test_a_training_that_goes_on_after_the_last_update_is_not_said_to_have_one():
    schedule = pruning.PolynomialDecay(0.5, 0.75, 0, 12, frequency=8)
    model = pruning.prune_low_magnitude(made(), schedule, initial_step=12)
    with pytest.warns(UserWarning, match=r"no update in this training, steps 13 to 24; .*step 8,"):
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


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 50, float("nan")])
def test_a_constant_sparsity_outside_its_range_is_an_error_at_once(sparsity):
    with pytest.raises(ValueError, match=r"in range \[0,1\)"):
        pruning.ConstantSparsity(sparsity, 0)
    remedy = r"; .* asks for 50 at step 1\. If that is a percentage, 0\.5 would" * (sparsity == 50)
    with pytest.raises(ValueError, match=rf"sparsities in \[0, 1\).*{remedy}"):
        pruning.prune_low_magnitude(made(), lambda step: (True, sparsity))


@JIT_AS_WELL
@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (
            {"pruning_schedule": constant(0.75)},
            {"pruning_schedule": constant(0.5)},
            r"'dense/kernel' is 0\.75 sparse already.*0\.5 at most.*above 0\.75 would",
        ),
        (
            {"pruning_schedule": constant(0.75), "block_size": (4, 4)},
            {"pruning_schedule": constant(0.5), "block_size": (4, 4)},
            r"'dense/kernel' is 0\.75 sparse already.*0\.5 at most.*above 0\.75 would",
        ),
        (
            {"sparsity_m_by_n": (2, 4)},
            {"sparsity_m_by_n": (1, 4)},
            r"is 0\.5 sparse already, and sparsity_m_by_n=\(1, 4\) asks for 0\.25.*\(3, 4\) would",
        ),
    ],
)
def test_asking_for_less_sparsity_than_there_is(first, then, message, jit_compile):
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), **first)
    fit(model)
    masks = pruning.masks(model)
    pruning.prune_low_magnitude(model, **then)
    with pytest.warns(UserWarning, match=message) as said:
        fit(model)
    assert len(said) == 1
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], masks["dense/kernel"])
    fit(model)


def test_what_was_asked_for_before_this_training_does_not_count():
    less = Own(lambda step: keras.ops.where(step <= 12, 0.75, 0.5), lambda step: step > 0)
    model = pruning.prune_low_magnitude(made(), less)
    fit(model)
    with pytest.warns(UserWarning, match=r"is 0\.75 sparse already.*asks for 0\.5 at most"):
        fit(model)


def test_asking_for_as_much_as_there_is_is_no_reason_to_complain():
    # One of two blocks goes, but it has 16 of the 20 weights.
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])
    model.set_weights([np.repeat([0.0, 9.0], [16, 4]).reshape(5, 4), np.zeros(4)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    for _ in range(2):
        pruning.prune_low_magnitude(model, constant(0.5), block_size=(4, 4))
        callbacks = [pruning.UpdatePruningStep()]
        model.fit(X[:4, :5], Y[:4, :4], verbose=0, callbacks=callbacks)
    assert pruning.masks(model)["dense/kernel"].sum() == 4


def test_a_decay_from_below_what_there_is_to_above_is_no_reason_to_complain():
    model = pruning.prune_low_magnitude(made(), constant(0.5))
    fit(model)
    pruning.prune_low_magnitude(model, cubic(end_step=12, frequency=3))
    fit(model)
    assert pruning.masks(model)["dense/kernel"].mean() == 0.25


@JIT_AS_WELL
def test_a_weight_with_fewer_elements_than_the_request_allows(jit_compile):
    model = made(1, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, constant(0.95))
    with pytest.warns(
        UserWarning, match=r"'dense/kernel' has only 8 weights.*0\.95 would leave none\. 0\.875 wo"
    ) as said:
        fit(model)
    assert len(said) == 1
    assert pruning.masks(model)["dense/kernel"].sum() == 1
    fit(pruning.prune_low_magnitude(made(1), constant(0.875)))


def test_the_sparsity_that_would_fit_is_told_to_the_last_weight():
    # Four digits would make 1 of it.
    model = pruning.prune_low_magnitude(made(4000), constant(0.99999))
    with pytest.warns(UserWarning, match=r"only 32000 weights.*0\.99999 would .* 0\.999969 would"):
        fit(model)
    fit(pruning.prune_low_magnitude(made(4000), constant(0.999969)))


@JIT_AS_WELL
@pytest.mark.parametrize(
    ("units", "pattern", "message", "mended"),
    [
        (
            (3,),
            {"block_size": (4, 4)},
            r"\(4, 4\) do not fit into 'dense/kernel' of shape \(8, 3\).*block_size=\(4, 3\) would",
            {"block_size": (4, 3)},
        ),
        (
            (3, 8),
            {"sparsity_m_by_n": (3, 4)},
            r"'dense_1/kernel' has 3 input channels, .*sparsity_m_by_n=\(2, 3\), which would fit",
            {"sparsity_m_by_n": (2, 3)},
        ),
        (
            (1, 8),
            {"sparsity_m_by_n": (2, 4)},
            r"'dense_1/kernel' has 1 input channel, .* Exclude the layer by a pruning_policy\.$",
            None,
        ),
    ],
)
def test_blocks_and_groups_that_do_not_fit(units, pattern, message, mended, jit_compile):
    model = made(*units, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, constant(0.5), **pattern)
    with pytest.warns(UserWarning, match=message) as said:
        fit(model)
    assert len(said) == 1
    if mended:
        fit(pruning.prune_low_magnitude(made(*units), constant(0.5), **mended))


def test_several_things_are_said_in_one_warning():
    model = pruning.prune_low_magnitude(made(1, 8), cubic(end_step=12, frequency=5))
    with pytest.warns(UserWarning, match=r"Pruning: .*end_step=10 would") as said:
        fit(model)
    assert len(said) == 1


def test_a_schedule_that_ends_short_by_less_than_a_message_shows_is_no_reason_to_complain():
    # The last update is at step 54 of 55: 0.749995 of a sparsity of 0.75.
    model = made(4)
    pruning.prune_low_magnitude(model, cubic(55, 18))

    fit(model, epochs=5)


def test_a_schedule_that_is_over_is_no_reason_to_complain():
    model = pruning.prune_low_magnitude(made(), cubic(end_step=12, frequency=6))
    fit(model)
    fit(model)
    assert pruning.masks(model)["dense/kernel"].mean() == 0.25


@JIT
def test_the_callback_on_another_model_names_those_that_are_pruned(jit_compile):
    pruned, other = (
        pruning.prune_low_magnitude(made(), constant(0.5)),
        made(jit_compile=jit_compile),
    )
    before = other.get_weights()[0]
    with pytest.raises(ValueError, match=rf"not pruned.*Currently pruned models:.*'{pruned.name}'"):
        fit(other)
    np.testing.assert_array_equal(other.get_weights()[0], before)


@JIT
def test_a_missing_callback_is_an_error(jit_compile):
    model = pruning.prune_low_magnitude(made(jit_compile=jit_compile), constant(0.5))
    before = model.get_weights()[0]
    with pytest.raises(ValueError, match=r"fit\(\.\.\., callbacks=\[kerasinit.pruning.UpdateP"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_a_training_whose_length_is_not_known_is_told_of_at_its_end():
    model = pruning.prune_low_magnitude(made(), constant(0.5, frequency=20))
    batches = ((X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, 48, BATCH))
    with pytest.warns(UserWarning, match=r"not fire in this training, steps 1 to 1[23]") as said:
        model.fit(batches, shuffle=False, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    assert sum(str(warning.message).startswith("Pruning: ") for warning in said) == 1

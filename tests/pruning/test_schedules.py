"""The schedules are tfmot's, as own classes: the same arguments, bits, configurations, refusals."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kerasinit import pruning
from kerasinit._src.pruning.schedules import is_standard
from kerasinit._src.pruning.tfmot_bridge import tfmot
from tests.kerases import needs_tfmot

NAMES = ("ConstantSparsity", "PolynomialDecay")
STEPS = st.lists(st.integers(-3, 4000), min_size=1, max_size=5)


def pair(name):
    return getattr(pruning, name), getattr(tfmot(), name)


def sparsities():
    return st.floats(0, 1, exclude_max=True)


@st.composite
def constant(draw):
    begin = draw(st.integers(0, 2000))
    end = draw(st.one_of(st.just(-1), st.integers(begin, 4000)))
    return NAMES[0], (draw(sparsities()), begin, end, draw(st.integers(1, 500)))


@st.composite
def decay(draw):
    begin = draw(st.integers(0, 2000))
    end = draw(st.integers(begin, 4000))
    power = draw(st.one_of(st.integers(0, 6), st.floats(0.1, 6)))
    return NAMES[1], (
        draw(sparsities()),
        draw(sparsities()),
        begin,
        end,
        power,
        draw(st.integers(1, 500)),
    )


def bits(result):
    return [(tensor.dtype, tensor.shape, tensor.numpy().tobytes()) for tensor in result]


@needs_tfmot
@settings(max_examples=200)
@given(st.one_of(constant(), decay()), STEPS)
@example((NAMES[1], (0.1, 0.7, 50, 50, 3, 1)), [49, 50, 51])
def test_they_return_the_bits_of_tfmots_at_every_step(described, steps):
    name, arguments = described
    ours, theirs = (kind(*arguments) for kind in pair(name))
    for step in steps:
        assert bits(ours(step)) == bits(theirs(step))
        assert bits(ours(tf.constant(step, tf.int64))) == bits(theirs(tf.constant(step, tf.int64)))
    steps = tf.constant(steps, tf.int64)
    assert bits(ours(steps)) == bits(theirs(steps))


@needs_tfmot
@settings(max_examples=15)
@given(st.one_of(constant(), decay()), STEPS)
def test_they_stay_in_a_graph_with_the_bits_of_tfmots(described, steps):
    name, arguments = described
    ours, theirs = (
        tf.function(kind(*arguments), input_signature=[tf.TensorSpec([], tf.int64)])
        for kind in pair(name)
    )
    for step in steps:
        step = tf.constant(step, tf.int64)
        assert bits(ours(step)) == bits(theirs(step))
    assert ours.experimental_get_tracing_count() == 1
    graph = ours.get_concrete_function().graph
    assert not any("PyFunc" in operation.type for operation in graph.get_operations())


@needs_tfmot
@pytest.mark.parametrize("name", NAMES)
def test_their_arguments_have_the_names_the_order_and_the_defaults_of_tfmots(name):
    ours, theirs = (inspect.signature(kind).parameters for kind in pair(name))
    assert [(one.name, one.default) for one in ours.values()] == [
        (one.name, one.default) for one in theirs.values()
    ]


def outcome(kind, arguments):
    try:
        return kind(*arguments).get_config()
    except ValueError:
        return ValueError


FRACTIONS = st.one_of(st.floats(-0.5, 1.5), st.sampled_from([0, 1, 50, -0.0, float("nan")]))
NUMBERS = st.integers(-3, 4)


@needs_tfmot
@settings(max_examples=300)
@given(
    st.one_of(
        st.tuples(st.just(NAMES[0]), st.tuples(FRACTIONS, NUMBERS, NUMBERS, NUMBERS)),
        st.tuples(
            st.just(NAMES[1]),
            st.tuples(FRACTIONS, FRACTIONS, NUMBERS, NUMBERS, st.integers(1, 3), NUMBERS),
        ),
    )
)
def test_they_refuse_what_tfmots_refuse_and_have_their_configuration(described):
    name, arguments = described
    ours, theirs = pair(name)
    config = outcome(ours, arguments)
    assert config == outcome(theirs, arguments)
    if config is not ValueError:
        assert list(config["config"]) == list(theirs(*arguments).get_config()["config"])
        assert ours.from_config(theirs(*arguments).get_config()["config"]).get_config() == config
        assert theirs.from_config(config["config"]).get_config() == config


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (NAMES[0], (0.5, -1), "begin_step to be at least 0; got -1"),
        (NAMES[0], (0.5, 5, 4), "at least begin_step, or -1 for no end; got end_step=4 and begin_"),
        (NAMES[0], (0.5, 0, -2), "or -1 for no end; got end_step=-2"),
        (NAMES[0], (0.5, 0, -1, 0), "frequency to be at least 1; got 0"),
        (NAMES[0], (50, 0), r"target_sparsity.* got 50\. If that is a percentage, 0\.5 would"),
        (NAMES[1], (0.0, 0.5, 0, -1), "step at which the schedule ends; got -1"),
        (NAMES[1], (0.0, 0.5, 5, 4), "at least begin_step; got end_step=4 and begin_step=5"),
        (NAMES[1], (-0.5, 0.5, 0, 9), r"initial_sparsity.* got -0\.5\. See"),
        (NAMES[1], (0.0, 1.0, 0, 9), r"final_sparsity.* got 1\.0\. See"),
    ],
)
def test_a_refusal_names_the_argument_and_its_value(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(pruning, name)(*arguments)


@pytest.mark.parametrize(
    "schedule",
    [
        pruning.ConstantSparsity(0.5, 3, end_step=9, frequency=2),
        pruning.PolynomialDecay(0.25, 0.75, 2, 8, power=2, frequency=3),
    ],
)
def test_they_can_be_printed_copied_and_pickled(schedule):
    scope = {name: getattr(pruning, name) for name in NAMES}
    for other in (
        eval(repr(schedule), scope),
        copy.copy(schedule),
        copy.deepcopy(schedule),
        pickle.loads(pickle.dumps(schedule)),
    ):
        assert type(other) is type(schedule)
        assert other.get_config() == schedule.get_config()


def sine(base):
    """Return a custom schedule that relies on the protected methods of its base class."""

    class Sine(base):
        def __init__(self, target, begin_step, end_step, frequency=1):
            self._validate_step(begin_step, end_step, frequency, allow_negative_1=False)
            self._validate_sparsity(target, variable_name="target")
            self.target, self.steps = target, (begin_step, end_step, frequency)

        def __call__(self, step):
            since = tf.cast(step - self.steps[0], tf.float32)
            share = tf.clip_by_value(since / (self.steps[1] - self.steps[0]), 0.0, 1.0)
            fires = self._should_prune_in_step(step, *self.steps)
            return fires, self.target * tf.sin(share * np.pi / 2)

        def get_config(self):
            begin, end, frequency = self.steps
            return {
                "class_name": type(self).__name__,
                "config": {
                    "target": self.target,
                    "begin_step": begin,
                    "end_step": end,
                    "frequency": frequency,
                },
            }

    return Sine


@needs_tfmot
def test_custom_schedules_move_between_the_base_classes():
    ours, theirs = sine(pruning.PruningSchedule), sine(tfmot().PruningSchedule)
    for step in range(14):
        assert bits(ours(0.5, 2, 11, 3)(step)) == bits(theirs(0.5, 2, 11, 3)(step))
    for wrong in ((1.0, 2, 11), (0.5, 2, -1), (0.5, -1, 11), (0.5, 2, 11, 0)):
        for kind in (ours, theirs):
            with pytest.raises(ValueError, match=r"target|step|frequency"):
                kind(*wrong)
    again = ours.from_config(ours(0.5, 2, 11, 3).get_config()["config"])
    assert again.steps == (2, 11, 3)


def test_a_custom_schedule_needs_a_call_and_a_configuration():
    class Lacks(pruning.PruningSchedule):
        def __call__(self, step):
            return True, 0.5

    with pytest.raises(TypeError, match="get_config"):
        Lacks()


@needs_tfmot
def test_tfmots_schedules_are_instances_of_these_classes_and_no_others():
    class Theirs(tfmot().ConstantSparsity):
        pass

    # A name alone does not make it the counterpart of tfmot's class.
    Ours = type("ConstantSparsity", (pruning.ConstantSparsity,), {})  # noqa: N806
    constant, decay = tfmot().ConstantSparsity(0.5, 0), tfmot().PolynomialDecay(0.0, 0.5, 0, 9)
    custom = sine(tfmot().PruningSchedule)(0.5, 2, 11)
    base = pruning.PruningSchedule
    assert all(isinstance(one, base) for one in (constant, decay, custom, Theirs(0.5, 0)))
    kinds = [pruning.ConstantSparsity, pruning.PolynomialDecay]
    assert [isinstance(constant, kind) for kind in kinds] == [True, False]
    assert [isinstance(decay, kind) for kind in kinds] == [False, True]
    assert [isinstance(Theirs(0.5, 0), kind) for kind in kinds] == [True, False]
    assert not any(isinstance(custom, kind) for kind in kinds)
    assert not isinstance(constant, Ours)
    assert not isinstance(np.zeros(1), base)

    assert is_standard(constant)
    assert is_standard(decay)
    assert is_standard(pruning.ConstantSparsity(0.5, 0))
    assert is_standard(pruning.PolynomialDecay(0.0, 0.5, 0, 9))
    # A subclass may fire at any step.
    assert not any(is_standard(one) for one in (custom, Theirs(0.5, 0), Ours(0.5, 0)))


@needs_tfmot
def test_a_keras_3_model_is_pruned_alike_by_these_schedules_and_by_tfmots():
    def pruned(schedule):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
        model = pruning.prune_low_magnitude(keras.Sequential(layers), schedule)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        x = np.random.default_rng(0).standard_normal((32, 6)).astype("float32")
        model.fit(x, x[:, :2], 4, verbose=0, shuffle=False, callbacks=[pruning.UpdatePruningStep()])
        return [array.tobytes() for array in pruning.strip_pruning(model).get_weights()]

    arguments = dict(begin_step=1, end_step=7, frequency=2)
    ours, theirs = (kind(0.1, 0.7, **arguments) for kind in pair("PolynomialDecay"))
    assert pruned(ours) == pruned(theirs)
    assert pruned(ours) != pruned(pruning.PolynomialDecay(0.1, 0.6, **arguments))

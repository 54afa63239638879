"""Choices are trained on the same batches, repeatably, and only the lost are left behind."""

import json

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import compare
from kerasinit._src import streams
from kerasinit._src.comparison.choices import choices_by_name
from kerasinit._src.comparison.subject import Subject
from kerasinit._src.network.parts import named_variables
from kerasinit._src.training.examples import examples_of
from kerasinit._src.training.loop import Loop
from kerasinit.lottery import load
from tests.kerases import KERASES, tf_keras
from tests.lottery.blobs import blobs, builder

DATA = blobs()
FEW = {"steps": 4, "batch_size": 20, "evaluate_every": 2, "xla": False}
SHORT = {"steps": 32, "batch_size": 20, "evaluate_every": 2, "xla": False}


@pytest.fixture(scope="module")
def digits():
    """A hopeless choice and two sound ones, on real data, with the loop that XLA compiles."""
    names = ["Zeros", "HeNormal", "lsuv"]
    return compare("lenet-300-100", names, "digits", steps=80, seeds=3, evaluate_every=5)


def _losses(choice):
    return [[point.loss for point in one.points] for one in choice.trainings]


def test_all_choices_of_a_seed_see_the_same_batches(monkeypatch):
    seen = []
    monkeypatch.setattr(Loop, "advance", lambda self, batches: seen.append(batches) or 1.0)

    compare(builder(), ["own", "HeNormal"], DATA, seeds=2, **SHORT | {"evaluate_every": 32})

    assert len(seen) == 4
    for own, other in zip(seen[:2], seen[2:], strict=True):
        assert own.shape == (32, 20)
        np.testing.assert_array_equal(own, other)
    assert not np.array_equal(seen[0], seen[1])  # another seed has another order
    held_out = examples_of(DATA).split(0, None)[1]
    assert not np.isin(np.stack(seen), held_out).any()


def test_a_choice_trains_the_same_to_the_bit_whatever_it_is_compared_with():
    first = compare(builder(), ["HeNormal", "own", "weight_norm"], DATA, seeds=2, **FEW)
    again = compare(builder(), ["weight_norm", "HeNormal", "own"], DATA, seeds=2, **FEW)

    for choice in first.choices:
        assert choice.trainings == again[choice.name].trainings
    assert len({str(_losses(choice)) for choice in first.choices}) == 3
    one, other = _losses(first["HeNormal"])
    assert one != other
    moved = compare(builder(), ["HeNormal"], DATA, seeds=2, seed=1, **FEW)
    assert moved["HeNormal"].trainings != first["HeNormal"].trainings


def test_both_kerases_train_to_the_same_bits():
    names = ["HeNormal", "lsuv"]
    first, second = (
        compare(builder(kerase), names, DATA, seeds=1, **FEW) for kerase in ("keras", "tf_keras")
    )

    assert first == second


@pytest.mark.parametrize("kerase", KERASES)
def test_random_layers_draw_the_same_again_for_every_choice(kerase):
    build = builder(kerase, layers=[("Dropout", 0.5)])
    twice = {"one": "HeNormal", "other": "HeNormal"}
    one, other = compare(build, twice, DATA, seeds=1, **FEW).choices
    (alone,) = compare(build, ["HeNormal"], DATA, seeds=1, **FEW).choices
    (plain,) = compare(builder(kerase), ["HeNormal"], DATA, seeds=1, **FEW).choices

    assert one.trainings == other.trainings == alone.trainings
    assert one.trainings != plain.trainings


def test_a_hopeless_choice_is_stopped_early_and_a_sound_one_is_not(digits):
    stop = digits["Zeros"].stop

    assert (stop.kind, stop.step) == ("lost", digits["Zeros"].steps)
    assert stop.step <= 50
    assert "of lsuv" in stop.why or "of HeNormal" in stop.why
    for name in ("HeNormal", "lsuv"):
        assert digits[name].stop is None
        assert digits[name].steps == 80
    assert digits.saved == pytest.approx((80 - stop.step) / 80 / 3)
    assert digits["Zeros"].start.median == pytest.approx(np.log(10), rel=1e-5)


def test_without_stopping_all_go_on_from_the_same_curve():
    names = ["Zeros", "HeNormal"]
    said = []
    short = SHORT | {"steps": 64, "seeds": 3, "optimizer": "adam:learning_rate=0.05"}
    stopped = compare(builder(), names, DATA, say=said.append, **short)
    whole = compare(builder(), names, DATA, stop=False, **short)

    assert stopped["Zeros"].stop.kind == "lost"
    assert any("Zeros is stopped (lost)" in line for line in said)
    assert whole["Zeros"].stop is None
    assert whole["Zeros"].steps == 64
    assert whole.saved == 0
    assert "Early stopping was off." in str(whole)
    for one, other in zip(_losses(stopped["Zeros"]), _losses(whole["Zeros"]), strict=True):
        assert one == other[: len(one)]
    assert stopped["HeNormal"] == whole["HeNormal"]


def test_two_seeds_cannot_tell_who_is_lost():
    short = SHORT | {"steps": 64, "optimizer": "adam:learning_rate=0.05"}

    found = compare(builder(), ["Zeros", "HeNormal"], DATA, seeds=2, **short)

    assert found.saved == 0
    assert "With fewer than 3 seeds no choice is called lost." in found.said()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_huge_learning_rate_diverges_in_every_seed():
    names = ["HeNormal", "GlorotUniform"]
    found = compare(builder(), names, DATA, optimizer="sgd:learning_rate=1e30", seeds=3, **SHORT)

    for choice in found.choices:
        assert choice.diverged == 1
        assert choice.stop.kind == "diverged"
        assert choice.steps < 32
    assert found.best is None
    assert found.target is None
    assert "No choice trains" in str(found)
    content = json.loads(found.to_json())
    assert content["choices"][0]["diverged"] == 1
    assert content["choices"][0]["best"]["median"] is None
    assert "No choice trains" in found.to_html()


def _subject(build=None, data=DATA):
    examples = examples_of(data)
    training, held_out = examples.split(0, None)
    return Subject(
        build or builder(),
        examples,
        training,
        held_out,
        optimizer=None,
        seed=0,
        max_steps=2,
        xla=False,
    )


def _first(subject, choice, trial=0):
    ((name, checked),) = choices_by_name({"it": choice}).items()
    _, state, _ = subject.start(name, checked, trial)
    return {key: np.array(value) for key, value in state.items()}


def test_each_kind_of_choice_gives_the_first_values_it_stands_for():
    subject = _subject()
    own = _first(subject, "own")
    he = _first(subject, "HeNormal")

    model = subject.built(0)
    for variable, value in zip(model.get_weights(), own.values(), strict=False):
        np.testing.assert_array_equal(variable, value)
    assert he["dense/kernel"].std() == pytest.approx(np.sqrt(2 / 8), rel=0.2)
    for initializer in (kerasinit.HeNormal(), kerasinit.HeNormal, {"kernel": "HeNormal"}):
        again = _first(subject, initializer)
        np.testing.assert_array_equal(again["dense/kernel"], he["dense/kernel"])
    for library in (keras, tf_keras):
        constant = _first(subject, library.initializers.Constant(0.5))
        assert (constant["dense_1/kernel"] == 0.5).all()
        assert (constant["dense_1/bias"] == 0).all()
    biased = _first(subject, {"kernel": "Zeros", "bias": "Ones"})
    assert (biased["dense/bias"] == 1).all()
    gpt2 = _first(subject, lambda model: [kerasinit.Rule("Zeros", name="dense/kernel")])
    assert not gpt2["dense/kernel"].any()
    np.testing.assert_array_equal(gpt2["dense_1/kernel"], own["dense_1/kernel"])
    lsuv, centred = _first(subject, "lsuv"), _first(subject, "within_layer")
    sums = DATA.x_train @ lsuv["dense/kernel"]
    assert sums.var() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(
        (DATA.x_train @ centred["dense/kernel"] + centred["dense/bias"]).std(0), 1, atol=0.15
    )
    drawn = _first(subject, "weight_norm")
    assert not np.array_equal(drawn["dense/kernel"], centred["dense/kernel"])
    recommended = _first(subject, "recommend")
    model = subject.built(0)
    for variable, value in own.items():
        if not variable.startswith("optimizer/"):
            named_variables(model)[variable].assign(value)
    seed = streams.derive(0, "compare", "weights", 0)
    kerasinit.reinitialize(model, kerasinit.recommend(model), seed)
    for variable, value in zip(model.get_weights(), recommended.values(), strict=False):
        np.testing.assert_array_equal(variable, value)
    assert not np.array_equal(recommended["dense/kernel"], own["dense/kernel"])
    # What came before leaves no trace, and another seed has other values.
    for key, value in _first(subject, "own").items():
        np.testing.assert_array_equal(value, own[key])
    assert not np.array_equal(_first(subject, "HeNormal", 1)["dense/kernel"], he["dense/kernel"])
    assert not np.array_equal(_first(subject, "own", 1)["dense/kernel"], own["dense/kernel"])


@pytest.mark.parametrize("kerase", KERASES)
def test_what_a_choice_leaves_as_built_is_named(kerase):
    build = builder(kerase, layers=[("BatchNormalization",)])
    names = ["own", "HeNormal", "lsuv", "recommend", "within_layer"]
    found = compare(build, [*names, "GlorotNormal"], DATA, seeds=1, **FEW)
    statistics = [f"batch_normalization/moving_{what}" for what in ("mean", "variance")]
    scales = ["batch_normalization/gamma", "batch_normalization/beta"]

    assert found["own"].kept == ()
    assert found["HeNormal"].kept == ("dense/bias", *scales, *statistics, "dense_1/bias")
    assert found["GlorotNormal"].kept == found["HeNormal"].kept
    assert set(found["lsuv"].kept) == set(found["HeNormal"].kept)
    assert "dense/bias" not in found["within_layer"].kept
    assert "dense/bias" not in found["recommend"].kept
    said = " ".join(found.said())
    assert "GlorotNormal" in said
    assert " leave as built: dense/bias, batch_normalization/gamma, " in said
    assert json.loads(found.to_json())["choices"][1]["kept"] == list(found["HeNormal"].kept)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["recomend"], "Did you mean 'recommend'"),
        (["HeNormall"], "Did you mean 'HeNormal'"),
        (["lsvu"], "Did you mean 'lsuv'"),
        (["HeNormal", "HeNormal"], "Two choices are named"),
        ([kerasinit.HeNormal(), "HeNormal"], "Two choices are named"),
        ([], "at least one"),
        ({"it": kerasinit.HeNormal(seed=1)}, "it: .*must not have a seed"),
        ({"it": {"embeddings": "Zeros"}}, "it: No variable of the model has the role"),
        ({"it": {"nothing/*": "Zeros"}}, "it: Unknown variable"),
        (["DeltaOrthogonal"], "DeltaOrthogonal: "),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(monkeypatch, given, message):
    monkeypatch.setattr(Loop, "advance", None)

    with pytest.raises(ValueError, match=message):
        compare(builder(), given, DATA, seeds=1, **SHORT)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"initializers": "HeNormal"}, TypeError, "a list"),
        ({"initializers": [3]}, TypeError, "no name"),
        ({"initializers": {"it": 3}}, TypeError, "it: expected an initializer"),
        ({"build": 3}, TypeError, "function that returns a compiled model"),
        ({"build": "lenet"}, ValueError, "Unknown model"),
        ({"build": lambda: keras.Sequential([keras.Input((8,))])}, ValueError, "not built"),
        ({"data": [1, 2]}, TypeError, r"\(x, y\)"),
        ({"data": (np.ones((20, 8)), np.ones(19))}, ValueError, "must be equal"),
        ({"data": (np.full((20, 8), np.nan), np.ones(20))}, ValueError, "not finite"),
        ({"data": (np.ones((20, 5)), np.ones(20, int))}, ValueError, "inputs of shape"),
        ({"steps": 0}, ValueError, "steps"),
        ({"seeds": 1.5}, TypeError, "seeds"),
        ({"validation": 180}, ValueError, "none to train on"),
        ({"target": "low"}, TypeError, "target"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    given = {"build": builder(), "initializers": ["own"], "data": DATA, "seeds": 1, **SHORT}
    given |= arguments

    with pytest.raises(error, match=message):
        compare(**given)


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_models_with_several_inputs_and_any_loss_are_compared(library):
    def build():
        words = library.Input((4,), dtype="int32", name="words")
        numbers = library.Input((3,), name="numbers")
        looked_up = library.layers.Flatten()(library.layers.Embedding(5, 2)(words))
        joined = library.layers.Concatenate()([looked_up, numbers])
        output = library.layers.Dense(1)(library.layers.Dense(8, "tanh")(joined))
        model = library.Model({"words": words, "numbers": numbers}, output)
        model.compile(library.optimizers.SGD(0.1), "mse")
        return model

    rng = np.random.default_rng(0)
    x = {"words": rng.integers(0, 5, (60, 4)), "numbers": rng.normal(size=(60, 3))}
    y = x["numbers"][:, :1] + 0.1 * x["words"][:, :1]

    found = compare(build, ["GlorotUniform"], (x, y), seeds=1, **SHORT)

    (training,) = found.choices[0].trainings
    assert training.best < 0.5 * training.points[0].loss


def test_a_model_with_steps_of_its_own_takes_them():
    taken = []

    class Own(keras.Model):
        def train_step(self, data):
            taken.append(1)  # when it is traced
            return super().train_step(data)

    def build():
        inputs = keras.Input((8,))
        model = Own(inputs, keras.layers.Dense(3)(inputs))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss)
        return model

    found = compare(build, ["Zeros", "HeNormal"], DATA, seeds=1, **FEW)

    assert taken
    assert found["Zeros"].trainings[0].best < np.log(3)


def test_named_data_and_arrays_of_it_train_alike(digits):
    data = load("digits")
    arrays = (data.x_train, data.y_train)
    given = compare("lenet-300-100", ["HeNormal"], arrays, seeds=1, steps=5)

    (first,) = given["HeNormal"].trainings
    assert (given.setting.data, digits.setting.data) == ("arrays", "digits")
    assert first.points[0] == digits["HeNormal"].trainings[0].points[0]
    assert first.points[-1].loss == pytest.approx(
        digits["HeNormal"].trainings[0].points[1].loss, rel=1e-4
    )

"""``kerasinit diagnose`` and ``kerasinit compare`` as a stranger types them."""

import json

import keras
import numpy as np
import pytest

from kerasinit._src import cli
from kerasinit._src.files import keras_models
from kerasinit._src.network import sample_batch
from tests.kerases import KERASES


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """A function that runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(words):
        with pytest.raises(SystemExit) as exit_:
            cli.main(words.split())
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


def network(library=keras, initializer="he_normal"):
    layers = library.layers
    hidden = [layers.Dense(32, "relu", kernel_initializer=initializer) for _ in range(3)]
    model = library.Sequential([library.Input((16,)), *hidden, layers.Dense(4)])
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.SGD(0.1), loss)
    return model


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_exit_code_tells_the_sound_from_the_ill(ask, library, ending):
    network(library).save(f"good.{ending}")
    network(library, "zeros").save(f"bad.{ending}")

    code, out, _ = ask(f"diagnose good.{ending}")
    assert code == 0
    assert "Nothing found" in out
    assert "random batch (standard normal numbers)" in out
    code, out, _ = ask(f"diagnose bad.{ending} --json")
    found = json.loads(out)
    assert code == 1
    assert not found["ok"]
    assert found["findings"]
    assert "random batch" in found["examples"]


def test_examples_come_from_a_file_in_the_shape_that_the_model_takes(ask, tmp_path):
    network().save("good.keras")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4, 4)), rng.integers(0, 4, 40)
    np.savez("plain.npz", x=x)
    np.savez("labelled.npz", x_train=x, y_train=y, x=x[:0])
    np.savez("raw.npz", x=(255 * rng.random((40, 16))).astype("uint8"), y=y)

    code, out, _ = ask("diagnose good.keras --data plain.npz")
    assert code == 0
    assert "40 examples; gradients of a random linear functional" in out
    assert "Used plain.npz." in out
    code, out, _ = ask("diagnose good.keras --data labelled.npz --examples 8 --html page.html")
    assert code == 0
    assert "8 examples; gradients of sparse_categorical" in out
    page = (tmp_path / "page.html").read_text()
    assert "</h1><p>Used labelled.npz, with labels.</p>" in page
    code, out, _ = ask("diagnose good.keras --data raw.npz")
    assert code == 1
    assert "unscaled-input" in out


def test_what_cannot_be_looked_at_is_no_finding(ask, tmp_path):
    network().save("good.keras")
    (tmp_path / "page.html").write_text("mine")
    (tmp_path / "text.keras").write_text("no model")
    network().save_weights("only.weights.h5")
    strings = keras.Input((), dtype="string")
    keras.Model(strings, keras.layers.Identity()(strings)).save("words.keras")
    np.savez("other.npz", z=np.ones((4, 16)))
    np.savez("short.npz", x=np.ones((4, 16)), y=np.ones(3, int))
    np.savez("wide.npz", x=np.ones((4, 17)))
    np.savez("pickled.npz", x=np.array([{}, {}], object))
    np.savez("far.npz", x=np.ones((4, 16)), y=np.full(4, 9))
    np.savez("long.npz", x=np.ones((4, 16)), y=np.ones((4, 5)))
    bare = keras.Sequential([keras.Input((16,)), keras.layers.Dense(4)])
    bare.save("bare.keras")
    bare.export("saved", verbose=False)
    (tmp_path / "empty").mkdir()
    several().save("several.keras")
    (tmp_path / "text.npz").write_text("no arrays")

    for words, message in (
        ("nothing.keras", "No such file"),
        ("text.keras", "not a .keras or .h5 file"),
        ("only.weights.h5", "contains weights only"),
        ("words.keras", "takes string"),
        ("good.keras --html page.html", "not overwritten"),
        ("good.keras --html nowhere/page.html", "does not exist"),
        ("good.keras --examples 1", "--examples must be"),
        ("good.keras --data nothing.npz", "No such file"),
        ("good.keras --data text.npz", "not an .npz file"),
        ("good.keras --data other.npz", "it has z"),
        ("good.keras --data short.npz", "as many examples"),
        ("good.keras --data wide.npz", "inputs of shape (16,)"),
        ("good.keras --data pickled.npz", "Python objects"),
        ("good.keras --data long.npz", "good.keras could not be diagnosed"),
        ("good.keras --data far.npz --loss msse", "Did you mean 'mse'"),
        ("good.keras --loss mse", "needs labels"),
        ("bare.keras --data far.npz", "Pass --loss"),
        ("several.keras --data far.npz", "expected a, b, or x_0, x_1"),
        ("saved", "a SavedModel, whose compiled functions have no layers"),
        ("empty", "is a folder"),
        ("", "required"),
    ):
        code, out, err = ask(f"diagnose {words}")
        assert (code, message in out + " ".join(err.split())) == (2, True), (words, err)
    assert (tmp_path / "page.html").read_text() == "mine"


def several(library=keras):
    layers = library.layers
    inputs = [library.Input((4,), name=name) for name in "ab"]
    hidden = layers.Dense(8, "relu")(layers.Concatenate()(inputs))
    model = library.Model(inputs, [layers.Dense(1, name=name)(hidden) for name in ("up", "down")])
    model.compile("sgd", {"up": "mse", "down": "mae"}, loss_weights={"up": 1.0, "down": 0.5})
    return model


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_several_inputs_and_outputs_go_by_name_or_number(ask, library):
    several(library).save("several.keras")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(40, 4)) for _ in "ab"] + [rng.normal(size=40) for _ in "ud"]
    np.savez("named.npz", **dict(zip(["a", "b", "up", "down"], arrays, strict=True)))
    np.savez("numbered.npz", **dict(zip(["x_0", "x_1", "y_0", "y_1"], arrays, strict=True)))
    np.savez("bare.npz", **dict(zip(["a", "b"], arrays[:2], strict=True)))
    found = []
    for words in ("--data named.npz", "--data numbered.npz", "--data bare.npz", ""):
        _, out, _ = ask(f"diagnose several.keras {words} --json")
        found.append(json.loads(out)["measured"])
    assert found[0] == found[1]
    assert found[0]["objective"] == "up: mse, down: mae"
    assert all("functional" in one["objective"] for one in found[2:])


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_the_loss_is_the_compiled_one_or_another_or_none(ask, library):
    network(library).save("good.keras")
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(40, 16)), y=rng.integers(0, 4, 40))
    np.savez("far.npz", x=rng.normal(size=(40, 16)), y=rng.integers(1, 5, 40))
    for words, code, objective in (
        ("--data data.npz", 0, "sparse_categorical_crossentropy"),
        ("--data data.npz --no-labels", 0, "random linear functional"),
        (
            "--data data.npz --loss sparse_categorical_crossentropy:from_logits=True",
            0,
            "sparse_categorical_crossentropy",
        ),
        ("--data data.npz --loss sparse_categorical_crossentropy", 1, "output-loss"),
        ("--data far.npz", 1, "y = y - 1"),
    ):
        got, out, err = ask(f"diagnose good.keras {words}")
        assert (got, objective in out) == (code, True), (words, out, err)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_that_holds_code_is_not_run(tmp_path, library, ending):
    inside = library.layers.TimeDistributed(library.layers.Lambda(lambda x: 2 * x))
    path = tmp_path / f"model.{ending}"
    library.Sequential([library.Input((4, 3)), inside]).save(path)

    with pytest.raises(ValueError, match=r"(?i)lambda"):
        keras_models.load_model(path)


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_a_batch_is_made_up_of_what_each_input_takes(library):
    layers = library.layers
    words, flags = library.Input((None,), name="words"), library.Input((2,), dtype="int32")
    looked_up = layers.GlobalAveragePooling1D()(layers.Embedding(50, 3)(words))
    numbers = library.Input((5,), batch_size=8, name="numbers")
    both = layers.Concatenate()([looked_up, numbers, layers.Rescaling(1.0)(flags)])
    model = library.Model([words, flags, numbers], layers.Dense(1)(both))

    (ids, ints, floats), said = sample_batch.random_batch(model, 40, seed=0)

    assert ids.shape == (40, 32)
    assert set(np.unique(ids)) <= set(range(50))
    assert ids.max() > 40
    assert (ints.dtype, ints.max()) == (np.int32, 49)
    assert floats.shape == (8, 5)
    assert abs(floats.mean()) < 0.5
    assert "unknown size has 32" in said
    again, _ = sample_batch.random_batch(model, 40, seed=0)
    np.testing.assert_array_equal(ids, again[0])
    other, _ = sample_batch.random_batch(model, 40, seed=1)
    assert not np.array_equal(ids, other[0])


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_words_are_made_up_for_a_saved_network_of_words(tmp_path, library):
    embedding = library.layers.Embedding(50, 3)
    library.Sequential([library.Input((7,)), embedding]).save(tmp_path / "words.keras")

    batch, said = sample_batch.random_batch(
        keras_models.load_model(tmp_path / "words.keras"), 40, seed=0
    )

    assert said == "integers from 0 to 49"
    assert batch.shape == (40, 7)


def test_a_model_that_does_not_say_what_it_takes_needs_data():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Give examples with --data"):
        sample_batch.random_batch(Own(), 4, seed=0)


SMALL = "--steps 4 --seeds 1 --no-xla --batch-size 20"


def test_initializers_are_compared_and_written_to_new_files(ask, tmp_path):
    names = "Zeros,VarianceScaling:scale=2.0,mode=fan_in,lsuv,recommend"
    code, out, err = ask(f"compare --initializers {names} {SMALL} --html page.html --png c.png")

    assert code == 0
    assert "VarianceScaling:scale=2.0,mode=fan_in" in out
    assert "4 steps of 20, 1 seed" in out
    assert "No clear best: " in out
    assert "At least 6 seeds are needed" in out
    assert "leave as built: dense/bias, dense_1/bias, dense_2/bias." in " ".join(out.split())
    assert "step 4 of 4" in err
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")

    before = (tmp_path / "page.html").read_bytes()
    code, _, err = ask(f"compare --initializers {names} {SMALL} --html page.html")
    assert code == 2
    assert "not overwritten" in err
    assert (tmp_path / "page.html").read_bytes() == before


def test_a_comparison_is_printed_for_programs(ask):
    code, out, _ = ask(
        "compare --model lenet-300-100 --initializers own,lsuv --seeds 1 --no-xla --steps 2 "
        "--target 0.5 --seed 3 --batch-size 20 --optimizer sgd:learning_rate=0.1 --validation 10 "
        "--evaluate-every 1 --no-stop --json"
    )

    found = json.loads(out)
    assert code == 0
    assert [choice["name"] for choice in found["choices"]] == ["own", "lsuv"]
    assert found["target"] == 0.5
    assert found["setting"] == {
        "model": "lenet-300-100",
        "data": "digits",
        "held_out": 10,
        "steps": 2,
        "seeds": 1,
        "seed": 3,
        "batch_size": 20,
        "evaluate_every": 1,
        "stopping": False,
    }
    assert [point["step"] for point in found["choices"][0]["trainings"][0]["points"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--initializers HeNormall", "Did you mean 'HeNormal'"),
        ("--initializers HeNormal --model lenet", "Unknown model"),
        ("--initializers HeNormal --dataset digit", "Did you mean 'digits'"),
        ("--initializers HeNormal --steps 0", "steps"),
        ("--initializers ,HeNormal", "Expected a string as the name of a choice; got ''"),
        ("--initializers recomend", "Did you mean 'recommend'"),
        ("", "required"),
    ],
)
def test_what_cannot_be_compared_ends_with_code_2(ask, words, message):
    code, out, err = ask(f"compare {words}")

    assert code == 2
    assert message in out + " ".join(err.split())
    assert "Traceback" not in err


MODULE = """
import keras

def raises():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(units=FAULT)])

class Own(keras.layers.Layer):
    def call(self, x):
        return x + FAULT

def calls():
    model = keras.Sequential([keras.Input((64,)), Own()])
    model.compile("sgd", "mse")
    return model
"""


@pytest.mark.parametrize("command", ["compare --initializers own --seeds 1", "lottery run"])
@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("int('ten')", "ValueError: invalid literal for int()"),
        ("1 + 'ten'", "TypeError: unsupported operand"),
        ("{}['ten']", "KeyError: 'ten'"),
    ],
)
def test_an_error_of_the_users_own_code_comes_with_its_traceback(
    ask, tmp_path, monkeypatch, command, fault, last
):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"own_{abs(hash((command, fault)))}"
    (tmp_path / f"{name}.py").write_text(MODULE.replace("FAULT", fault))
    code, _, err = ask(f"{command} --model {name}:raises")

    assert code == 2
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert err.splitlines()[1].startswith(f'  File "{tmp_path / name}.py", line 5, in raises')
    assert last in err
    assert err.splitlines()[-1].startswith("kerasinit: ")
    assert "kerasinit/" not in err


def test_an_error_in_a_module_or_a_layer_of_the_users_comes_with_its_traceback(
    ask, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text("import no_such_module\n")
    (tmp_path / "broken_layer.py").write_text(MODULE.replace("FAULT", "int('ten')"))

    code, _, err = ask("compare --initializers own --seeds 1 --model broken_module:build")
    assert code == 2
    assert 'broken_module.py", line 1' in err
    assert "Cannot import the module" in err
    code, _, err = ask("compare --initializers own --seeds 1 --model broken_layer:calls")
    assert code == 2
    assert 'broken_layer.py", line 9, in call' in err
    code, _, err = ask("compare --initializers own --seeds 1 --model not_there:build")
    assert code == 2
    assert "Traceback" not in err


def test_an_error_of_this_package_that_is_none_of_arguments_is_not_hidden(ask, monkeypatch):
    monkeypatch.delattr("kerasinit._src.training.models.find")

    with pytest.raises(AttributeError, match="find"):
        ask("compare --initializers own")

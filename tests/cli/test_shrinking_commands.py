"""``kerasinit shrink`` and ``kerasinit footprint`` as a stranger types them."""

import json

import keras
import numpy as np
import pytest

from kerasinit import shrinking
from kerasinit._src import cli
from kerasinit._src.files import keras_models
from tests.kerases import INSTALLED, KERASES

# Keras announces that a model that was compiled and not trained has no state of an optimizer.
NOT_TRAINED = pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
pytestmark = NOT_TRAINED


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


def network(library=keras, *, compiled=True, norm=False):
    layers = library.layers
    hidden = [layers.Dense(32, "relu", name=name) for name in ("first", "second")]
    if norm:
        hidden.insert(1, layers.LayerNormalization())
    model = library.Sequential(
        [library.layers.InputLayer((16,)), *hidden, layers.Dense(4, name="head")], name="network"
    )
    if compiled:
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(library.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    return model


def examples(size=240):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, 4, 4)).astype("float32")
    return x, np.argmax(x[:, 0], -1)


def save_examples(path="data.npz"):
    x, y = examples()
    np.savez(path, x_train=x[:180], y_train=y[:180], x_test=x[180:], y_test=y[180:])


def removed(plan):
    return {group["name"]: tuple(group["removed"]) for group in plan["groups"] if group["removed"]}


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_a_model_is_trained_smaller_and_evaluated_before_and_after(ask, tmp_path, library):
    dense = network(library)
    x, y = examples()
    x = x.reshape(-1, 16)
    dense.fit(x[:180], y[:180], epochs=2, verbose=0)
    dense.save(tmp_path / "dense.keras")
    before = (tmp_path / "dense.keras").read_bytes()
    save_examples(tmp_path / "data.npz")

    code, out, err = ask(
        "shrink dense.keras --target macs=0.5 --data data.npz --epochs 6 --out small.keras "
        "--batch-size 20 --json"
    )

    assert code == 0, err
    assert "6 epochs, 54 steps: channels fade out up to step 27; the rest fine-tunes." in err
    assert "epoch 6 of 6: " in err
    found = json.loads(out)
    small = keras_models.load_model(tmp_path / "small.keras")
    assert isinstance(small, library.Model)
    assert (tmp_path / "dense.keras").read_bytes() == before
    rows = found["footprint"]["rows"]
    assert [row["name"] for row in rows] == ["dense.keras", "small.keras"]
    assert rows[0]["macs"] == 16 * 32 + 32 * 32 + 32 * 4
    assert rows[0]["nonzeros"] == shrinking.count(dense).nonzeros
    assert rows[1]["macs"] == shrinking.count(small).macs <= 0.5 * rows[0]["macs"]
    macs = next(cost for cost in found["plan"]["costs"] if cost["name"] == "macs")
    assert macs["left"] == rows[1]["macs"]
    evaluation = found["evaluation"]
    assert evaluation["examples"] == 60
    for model, which in ((dense, "before"), (small, "after")):
        scores = model.evaluate(x[180:], y[180:], verbose=0, return_dict=True)
        assert evaluation[which] == pytest.approx(scores, abs=1e-5)
    assert evaluation["after"]["accuracy"] > 0.6  # guessing is 0.25


@pytest.mark.nightly
def test_what_was_done_is_printed(ask, tmp_path):
    network().save("dense.keras")
    save_examples()

    code, out, _ = ask("shrink dense.keras --target macs=0.5 --data data.npz --out small.keras")

    assert code == 0
    words = " ".join(out.split())
    assert "group kept whole because width left removed" in words
    assert "Chosen again from the weights during training:" in words
    assert "On 60 test examples, before and after: accuracy" in words
    assert "litert-float small.keras" in words
    assert out.splitlines()[-1] == "Wrote small.keras"


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_without_training_channels_are_removed_at_once(ask, tmp_path, library):
    model = network(library, compiled=False)
    model.save(tmp_path / "dense.keras")
    targets = "--target macs=0.6 --target parameters=0.4,bytes=0.9"

    code, out, err = ask(f"shrink dense.keras {targets} --epochs 0 --out small.keras --json")

    assert code == 0, err
    costs = {cost["name"]: cost for cost in json.loads(out)["plan"]["costs"]}
    assert {name: cost["target"] for name, cost in costs.items()} == {
        "macs": 0.6,
        "parameters": 0.4,
        "bytes": 0.9,
    }
    assert all(cost["left"] <= cost["target"] * cost["dense"] for cost in costs.values())
    shrinking.structured(model, {"macs": 0.6, "parameters": 0.4, "bytes": 0.9}).apply(model)
    small = keras_models.load_model(tmp_path / "small.keras")
    assert small.count_params() == costs["parameters"]["left"]
    x = examples()[0].reshape(-1, 16)
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_what_is_dead_is_taken_out_without_a_target(ask, tmp_path, library):
    model = network(library)
    groups = {group.name: group for group in shrinking.groups(model)}
    groups["first"].zero(range(20))
    groups["second"].zero(range(5))
    model.save(tmp_path / "pruned.keras")
    save_examples()

    code, out, err = ask(
        "shrink pruned.keras --compact-only --data data.npz --out small.keras --json"
    )

    assert code == 0, err
    small = keras_models.load_model(tmp_path / "small.keras")
    assert [layer.units for layer in small.layers] == [12, 27, 4]
    x = examples()[0].reshape(-1, 16)
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
    found = json.loads(out)
    assert "plan" not in found
    assert found["evaluation"]["after"] == pytest.approx(found["evaluation"]["before"], abs=1e-5)


@pytest.mark.nightly
def test_each_option_of_the_plan_counts(ask, tmp_path):
    model = network(compiled=False)
    model.save("dense.keras")
    options = {
        "importance": "random",
        "ratios": {"second": 0.6},
        "round_to": 5,
        "seed": 3,
    }

    code, out, err = ask(
        "shrink dense.keras --target macs=0.5 --epochs 0 --out small.keras --json "
        "--importance random --ratios second=0.6 --round-to 5 --seed 3"
    )

    assert code == 0, err
    done = removed(json.loads(out)["plan"])
    assert done == shrinking.structured(model, {"macs": 0.5}, **options).removed
    for name in options:
        others = {key: value for key, value in options.items() if key != name}
        assert done != shrinking.structured(model, {"macs": 0.5}, **others).removed, name


@pytest.mark.nightly
def test_widths_are_as_asked_for(ask):
    network(compiled=False).save("dense.keras")
    for number, (words, widths) in enumerate(
        (
            ("--target macs=0.7 --ignore first", lambda first, second: first == 32 > second),
            ("--target macs=0.6 --scope local", lambda first, second: first == second < 32),
            ("--target macs=0.7 --min-width 21", lambda *two: min(two) >= 21),
            ("--target macs=0.7 --round-to 16", lambda *two: set(two) <= {16, 32}),
            ("--ratios second=0.25", lambda *two: two == (32, 24)),
        )
    ):
        code, _, err = ask(f"shrink dense.keras --epochs 0 --out small{number}.keras {words}")

        assert code == 0, err
        small = keras_models.load_model(f"small{number}.keras")
        assert widths(small.get_layer("first").units, small.get_layer("second").units), words


@pytest.mark.nightly
@pytest.mark.parametrize("importance", ["taylor", "activation"])
def test_channels_are_ranked_on_the_examples(ask, importance):
    model = network()
    model.save("dense.keras")
    x, y = examples(30)
    np.savez("data.npz", x=x, y=y)

    code, out, err = ask(
        f"shrink dense.keras --target macs=0.5 --data data.npz --epochs 0 --out small.keras --json "
        f"--importance {importance}"
    )

    assert code == 0, err
    found = json.loads(out)
    plan = shrinking.structured(
        model, {"macs": 0.5}, importance=importance, x=x.reshape(-1, 16), y=y
    )
    assert removed(found["plan"]) == plan.removed
    assert "evaluation" not in found  # no test examples


@pytest.mark.nightly
@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_loss_optimizer_and_metrics_are_those_chosen(ask, tmp_path, library):
    model = network(library, compiled=False)
    model.save(tmp_path / "dense.keras")
    save_examples()

    code, out, err = ask(
        "shrink dense.keras --target macs=0.5 --data data.npz --epochs 1 --out small.keras --json "
        "--loss sparse_categorical_crossentropy:from_logits=True --metrics accuracy "
        "--optimizer sgd:learning_rate=0.0"
    )

    assert code == 0, err
    assert set(json.loads(out)["evaluation"]["before"]) == {"loss", "accuracy"}
    # Steps of no length: what is left is as it was.
    groups = {group.name: group for group in shrinking.groups(model)}
    for name, channels in removed(json.loads(out)["plan"]).items():
        groups[name].zero(channels)
    small = keras_models.load_model(tmp_path / "small.keras")
    x = examples()[0].reshape(-1, 16)
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
    assert isinstance(small.optimizer, library.optimizers.SGD)


@pytest.mark.nightly
def test_another_loss_keeps_the_metrics_and_the_optimizer(ask, tmp_path):
    network().save("dense.keras")
    x, y = examples()
    x, y = x.reshape(-1, 16), np.eye(4)[y]
    np.savez("data.npz", x=x, y=y, x_test=x, y_test=y)

    code, out, err = ask(
        "shrink dense.keras --target macs=0.5 --data data.npz --epochs 0 --out small.keras --json "
        "--loss mse"
    )

    assert code == 0, err
    dense = keras_models.load_model("dense.keras")
    before = json.loads(out)["evaluation"]["before"]
    expected = np.mean((dense.predict(x, verbose=0) - y) ** 2)
    assert before["loss"] == pytest.approx(expected, rel=1e-4)
    assert set(before) == {"loss", "accuracy"}
    assert isinstance(keras_models.load_model("small.keras").optimizer, keras.optimizers.Adam)


@pytest.mark.nightly
def test_channels_that_statistics_run_over_are_cut_when_asked_for(ask):
    network(norm=True).save("dense.keras")
    words = "shrink dense.keras --target macs=0.3 --epochs 0 --out small.keras"

    code, _, err = ask(words)
    assert code == 2
    assert "cannot be met" in err
    with pytest.warns(UserWarning, match="inexact: statistics of LayerNormalization"):
        code, _, err = ask(f"{words} --through-statistics")

    assert code == 0, err
    small = keras_models.load_model("small.keras")
    assert small.get_layer("first").units < 32


def two_by_two(library=keras):
    layers = library.layers
    inputs = [layers.Input((4,), name=name) for name in "ab"]
    hidden = layers.Dense(16, "relu", name="hidden")(layers.Concatenate()(inputs))
    outputs = [layers.Dense(1, name=name)(hidden) for name in ("up", "down")]
    model = library.Model(inputs, outputs)
    model.compile("sgd", {"up": "mse", "down": "mae"}, loss_weights={"up": 1.0, "down": 0.5})
    return model


@pytest.mark.nightly
@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_several_inputs_and_outputs_go_by_name_or_number(ask, tmp_path, library):
    model = two_by_two(library)
    model.save(tmp_path / "dense.keras")
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(40, 4)) for name in "ab"}
    arrays |= {name: rng.normal(size=40) for name in ("up", "down")}
    tests = {f"{name}_test": array[:10] for name, array in arrays.items()}
    np.savez("named.npz", **arrays, **tests)
    numbers = dict(zip(arrays, ("x_0", "x_1", "y_0", "y_1"), strict=True))
    np.savez("numbered.npz", **{numbers[name]: array for name, array in arrays.items()})

    words = "--target macs=0.5 --epochs 1 --json"
    code, out, err = ask(f"shrink dense.keras --data named.npz --out small.keras {words}")
    assert code == 0, err
    evaluation = json.loads(out)["evaluation"]
    assert evaluation["examples"] == 10
    assert set(evaluation["before"]) == set(evaluation["after"])
    assert keras_models.load_model("small.keras").get_layer("hidden").units == 8
    code, out, err = ask(f"shrink dense.keras --data numbered.npz --out other.keras {words}")
    assert code == 0, err
    assert "evaluation" not in json.loads(out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dense.keras --out there.keras --target macs=0.5", "not overwritten"),
        ("dense.keras --out no/small.keras --target macs=0.5", "does not exist"),
        ("dense.keras --out small.h5 --target macs=0.5", "ends in .keras"),
        ("dense.keras --out small.keras", "Pass --target"),
        ("dense.keras --out small.keras --target macs=0.5", "Training needs --data"),
        ("dense.keras --out small.keras --target macs=0.5 --epochs -1", "--epochs must be"),
        ("dense.keras --out small.keras --target macs=0.5 --batch-size 0", "--batch-size must be"),
        ("dense.keras --out small.keras --target macs=0.5 --compact-only", "Omit it"),
        ("dense.keras --out small.keras --target mac=0.5 --epochs 0", "Did you mean 'macs'"),
        ("dense.keras --out small.keras --target macs=50 --epochs 0", "0.5 would be the fraction"),
        ("dense.keras --out small.keras --target macs=half --epochs 0", "NAME=NUMBER"),
        ("dense.keras --out small.keras --target macs=1e-4 --epochs 0", "the smallest is macs"),
        ("dense.keras --out small.keras --ratios first=1 --epochs 0", "in [0, 1)"),
        ("dense.keras --out small.keras --ratios head=0.5 --epochs 0", "output of the model"),
        ("dense.keras --out small.keras --target macs=0.5 --epochs 0 --ignore fist", "'first'"),
        (
            "dense.keras --out small.keras --target macs=0.5 --epochs 0 --importance taylor",
            "ranks channels on examples: pass --data",
        ),
        ("dense.keras --out small.keras --target macs=0.5 --data none.npz", "No such file"),
        ("dense.keras --out small.keras --target macs=0.5 --data wide.npz", "shape (16,)"),
        ("dense.keras --out small.keras --target macs=0.5 --data bare.npz", "no labels"),
        ("dense.keras --out small.keras --target macs=0.5 --data short.npz", "as many examples"),
        ("dense.keras --out small.keras --target macs=0.5 --data long.npz", "do not fit"),
        ("dense.keras --out small.keras --target macs=0.5 --data far.npz", "do not fit: "),
        (
            "dense.keras --out small.keras --target macs=0.5 --data later.npz",
            "could not be trained on later.npz",
        ),
        ("bare.keras --out small.keras --target macs=0.5 --data far.npz", "Pass --loss"),
        ("bare.keras --out small.keras --compact-only --metrics accuracy", "Pass --loss"),
        (
            "dense.keras --out small.keras --target macs=0.5 --data far.npz --loss msse",
            "Did you mean 'mse'",
        ),
        (
            "dense.keras --out small.keras --target macs=0.5 --data far.npz --optimizer sdg",
            "Did you mean 'sgd'",
        ),
        ("none.keras --out small.keras --compact-only", "No such file"),
        ("nan.keras --out small.keras --compact-only", "NaN"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_nothing_is_written(
    ask, tmp_path, words, message
):
    (tmp_path / "there.keras").write_text("mine")
    network().save(tmp_path / "dense.keras")
    network(compiled=False).save(tmp_path / "bare.keras")
    nan = network()
    nan.layers[0].kernel.assign(np.full((16, 32), np.nan))
    nan.save(tmp_path / "nan.keras")
    x, y = examples(40)
    np.savez(tmp_path / "wide.npz", x=np.ones((4, 17)), y=y[:4])
    np.savez(tmp_path / "bare.npz", x=x)
    np.savez(tmp_path / "short.npz", x=x, y=y[:3])
    np.savez(tmp_path / "long.npz", x=x, y=np.ones((40, 5)))
    np.savez(tmp_path / "far.npz", x=x, y=np.full(40, 9), x_test=x, y_test=np.full(40, 9))
    np.savez(tmp_path / "later.npz", x=x, y=[*y[:39], 9])
    before = sorted(path.name for path in tmp_path.iterdir())

    code, out, err = ask(f"shrink {words}")

    assert code == 2
    assert message in " ".join((out + err).split()), err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "there.keras").read_text() == "mine"


def test_costs_of_files_are_compared_with_the_first(ask, tmp_path):
    for library in INSTALLED:
        network(library).save(tmp_path / f"{library.__name__}.keras")
    network(compiled=False).save(tmp_path / "wide.keras")
    files = [f"{library.__name__}.keras" for library in INSTALLED]

    code, out, err = ask(f"footprint {' '.join(files)} --no-latency --runtimes keras --json")

    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert [row["name"] for row in rows] == files
    assert {row["parameters"] for row in rows} == {16 * 32 + 32 + 32 * 32 + 32 + 32 * 4 + 4}
    assert all(row["latencies"] == [] for row in rows)
    assert all([file["name"] for file in row["files"]] == ["keras"] for row in rows)


@pytest.mark.nightly
def test_latencies_are_those_asked_for(ask):
    network().save("dense.keras")
    save_examples()

    code, out, err = ask(
        "footprint dense.keras --data data.npz --batch-size 5 --seconds 0.1 --json "
        "--runtimes litert-int8,keras-call --threads 1"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["batch"] == 5
    timed = {(one["runtime"], one["threads"]) for one in found["rows"][0]["latencies"]}
    assert ("litert-int8", 1) in timed
    assert {name for name, _ in timed} == {"litert-int8", "keras-call"}
    code, out, err = ask("footprint dense.keras --batch-size 5 --seconds 0.1 --runtimes keras-call")
    assert code == 0, err
    assert "Latency of 5 examples" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required"),
        ("none.keras", "No such file"),
        ("dense.keras dense.keras", "named twice"),
        ("dense.keras --batch-size 0", "--batch-size must be"),
        ("dense.keras --seconds 0", "seconds"),
        ("dense.keras --runtimes litert-in8", "Did you mean 'litert-int8'"),
        ("dense.keras --runtimes litert-int8", "--data"),
        ("dense.keras other.keras --data data.npz", "takes batches of shape"),
    ],
)
def test_what_cannot_be_measured_ends_with_code_2(ask, words, message):
    network().save("dense.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save("other.keras")
    save_examples()

    code, out, err = ask(f"footprint {words}")

    assert code == 2
    assert message in " ".join((out + err).split()), err
    assert "Traceback" not in err

"""Models are found, built from a stream, and checked before anything is trained."""

import sys

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import lottery
from kerasinit._src.network.prunable import prunable_weights
from kerasinit._src.training import models, paper_networks
from kerasinit.lottery import Dataset, questions
from tests.kerases import INSTALLED, KERASES, needs_tf_keras, tf_keras
from tests.lottery.blobs import blobs, builder

DATA = blobs()
IMAGES = Dataset(
    np.zeros((20, 4, 2), "float32"), np.arange(20) % 3, np.zeros((5, 4, 2), "float32"), np.arange(5)
)


def _make(build, initializer=None, data=DATA, seed=0):
    return models.make(build, data, initializer, seed, "weights", 0)


def test_lenet_has_the_weights_of_the_paper():
    data = Dataset(
        np.zeros((12, 28, 28), "float32"),
        np.arange(12) % 10,
        np.zeros((10, 28, 28), "float32"),
        np.arange(10),
    )
    model = _make(models.find("lenet-300-100"), data=data)
    kernels = [layer.kernel.numpy() for layer in model.layers]

    assert sum(kernel.size for kernel in kernels) == 266_200
    assert model.optimizer.learning_rate.numpy() == np.float32(1.2e-3)
    for kernel in kernels:
        assert kernel.std() == pytest.approx(np.sqrt(2 / sum(kernel.shape)), rel=0.05)


def _pictures(*shape):
    return Dataset(
        np.zeros((12, *shape), "float32"),
        np.arange(12) % 10,
        np.zeros((10, *shape), "float32"),
        np.arange(10),
    )


@pytest.mark.parametrize(
    ("name", "sizes", "learning_rate"),
    [
        ("conv2", [3 * 64 * 9, 64 * 64 * 9, 16 * 16 * 64 * 256], 2e-4),
        ("conv4", [3 * 64 * 9, 64 * 64 * 9, 64 * 128 * 9, 128 * 128 * 9, 8 * 8 * 128 * 256], 3e-4),
        (
            "conv6",
            [
                *(3 * 64 * 9, 64 * 64 * 9, 64 * 128 * 9, 128 * 128 * 9),
                *(128 * 256 * 9, 256 * 256 * 9, 4 * 4 * 256 * 256),
            ],
            3e-4,
        ),
    ],
)
def test_the_convolutional_networks_have_the_weights_of_the_paper(name, sizes, learning_rate):
    model = _make(models.find(name), data=_pictures(32, 32, 3))
    kernels = [weight.variable for weight in prunable_weights(model)]

    assert [int(np.prod(k.shape)) for k in kernels] == [*sizes, 256 * 256, 256 * 10]
    assert model.optimizer.learning_rate.numpy() == np.float32(learning_rate)


def test_a_convolutional_network_takes_grey_pictures_and_refuses_what_is_none():
    assert _make(models.find("conv2"), data=_pictures(4, 4)).input_shape == (None, 4, 4, 1)
    with pytest.raises(ValueError, match=r"at least 8 x 8; one example .* shape \(4, 4\)"):
        _make(models.find("conv6"), data=_pictures(4, 4))
    with pytest.raises(ValueError, match="Use lenet-300-100"):
        _make(models.find("conv2"))


@pytest.mark.parametrize("kerase", KERASES)
def test_an_optimizer_that_is_asked_for_replaces_the_models(kerase):
    model = models.make(
        builder(kerase), DATA, None, 0, "weights", 0, optimizer="sgd:learning_rate=0.5,momentum=0.9"
    )

    assert type(model.optimizer) is KERASES[kerase].optimizers.SGD
    assert model.optimizer.learning_rate.numpy() == np.float32(0.5)
    assert model.optimizer.momentum == 0.9
    assert type(model.loss) is KERASES[kerase].losses.SparseCategoricalCrossentropy
    for bad, match in {
        "agd": "Unknown optimizer 'agd'. Did you mean",
        "sgd:learning_rat=0.1": "Cannot create the optimizer 'sgd'",
        "sgd:0.1": "Expected argument=value after the colon",
    }.items():
        with pytest.raises(ValueError, match=match):
            models.make(builder(kerase), DATA, None, 0, "weights", 0, optimizer=bad)


def test_the_stream_decides_the_weights():
    first, again, other = (_make(builder(), seed=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])
    assert not np.any(first.get_weights()[0] == other.get_weights()[0])


def test_the_initializer_reaches_the_kernels():
    model = _make(paper_networks.lenet_300_100, "RandomNormal:stddev=0.5")

    assert model.layers[0].kernel.numpy().std() == pytest.approx(0.5, rel=0.1)


def test_a_function_of_ones_own_gets_the_initializer_as_an_object():
    def build(initializer="zeros"):
        model = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(3, kernel_initializer=initializer)]
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    assert not _make(build).get_weights()[0].any()
    model = _make(build, "HeNormal")
    assert model.get_weights()[0].all()
    assert type(model.layers[0].kernel_initializer) is kerasinit.HeNormal


def test_a_function_gets_what_it_asks_for_and_nothing_else():
    asked = {}

    def build(num_classes, input_shape, depth=2):
        asked.update(num_classes=num_classes, input_shape=input_shape, depth=depth)
        return builder()()

    _make(build)
    assert asked == {"num_classes": 3, "input_shape": (8,), "depth": 2}


def test_inputs_are_given_in_the_shape_the_model_asks_for():
    x = np.arange(16, dtype="float32").reshape(2, 4, 2)

    for shape in ((8,), (4, 2), (4, 2, 1), (2, 2, 2)):
        model = keras.Sequential([keras.Input(shape), keras.layers.Flatten()])
        fitted = models.fit_shape(model, x, "it")
        np.testing.assert_array_equal(fitted.reshape(2, -1), x.reshape(2, -1))
        assert fitted.shape == (2, *shape)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("lenet-300", "Unknown model 'lenet-300'. Did you mean 'lenet-300-100'"),
        ("no_such_module_here:build", "Cannot import the module of model"),
        ("tests.lottery.blobs:bulider", "Did you mean 'builder'"),
        ("tests.lottery.blobs:KERASES", "expected a function"),
    ],
)
def test_a_model_that_cannot_be_found_says_so(name, match):
    with pytest.raises(ValueError, match=match):
        models.find(name)


def test_a_function_of_ones_own_is_found_by_its_name():
    assert models.find("tests.lottery.blobs:builder") is builder


def _compiled(library, layers, loss="sparse_categorical_crossentropy"):
    model = library.Sequential(layers)
    model.compile("sgd", loss)
    return model


def _bad_models(library):
    layers = library.layers
    return {
        "returned int": 3,
        "is not built": _compiled(library, [layers.Dense(3)]),
        "is not compiled": library.Sequential([layers.InputLayer((8,)), layers.Dense(3)]),
        r"inputs of shape \(5,\)": _compiled(library, [layers.InputLayer((5,)), layers.Dense(3)]),
        r"outputs of shape \(2,\); the labels have 3 classes": _compiled(
            library, [layers.InputLayer((8,)), layers.Dense(2)]
        ),
        r"outputs of shape \(2, 3\)": _compiled(
            library, [layers.InputLayer((8,)), layers.Reshape((2, 4)), layers.Dense(3)]
        ),
        "loss does not fit": _compiled(
            library,
            [layers.InputLayer((8,)), layers.Dense(3, "softmax")],
            "categorical_crossentropy",
        ),
    }


@pytest.mark.parametrize("library", INSTALLED)
def test_a_model_that_cannot_be_trained_says_what_to_do(library):
    for match, model in _bad_models(library).items():
        with pytest.raises(ValueError, match=match):
            _make(lambda model=model: model)


def test_an_argument_nobody_can_give_is_refused():
    with pytest.raises(ValueError, match="needs width"):
        _make(lambda width: None)


def test_an_initializer_that_the_function_does_not_take_is_refused():
    with pytest.raises(ValueError, match="takes no argument `initializer`"):
        _make(builder(), "HeNormal")
    with pytest.raises(ValueError, match="Did you mean 'HeNormal'"):
        _make(paper_networks.lenet_300_100, "HeNromal")


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize(
    ("loss", "rows", "fits"),
    [
        ("sparse_categorical_crossentropy", False, True),
        ("mse", False, False),
        ("mae", False, False),
        ("mse", True, True),
        ("categorical_crossentropy", True, True),
        ("binary_crossentropy", True, True),
        ("categorical_hinge", True, True),
        ("poisson", True, True),
    ],
)
def test_a_loss_that_asks_for_no_class_is_refused(kerase, loss, rows, fits):
    library = KERASES[kerase]
    y = np.arange(20) % 2
    y = np.eye(2)[y] if rows else y
    x = np.zeros((20, 6), "float32")
    data = Dataset(x, y, x, y)

    def build():
        model = library.Sequential([library.Input((6,)), library.layers.Dense(2, "softmax")])
        model.compile("sgd", loss)
        return model

    if fits:
        _make(build, data=data)
    else:
        with pytest.raises(ValueError, match="prefers no output over another"):
            _make(build, data=data)


def test_a_network_with_one_output_is_told_how_to_have_two():
    def build():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        return model

    with pytest.raises(ValueError, match=r"one class for each example.*Dense\(2\), with Sparse"):
        _make(build)


@pytest.mark.parametrize("kerase", KERASES)
def test_an_optimizer_that_took_steps_already_is_refused(kerase):
    def build():
        model = builder(kerase)()
        model.fit(DATA.x_train, DATA.y_train, epochs=1, batch_size=90, verbose=0)
        return model

    with pytest.raises(ValueError, match=r"has taken 2 steps already.*Compile the model again"):
        _make(build)
    models.make(build, DATA, None, 0, "weights", 0, optimizer="sgd")


@pytest.mark.parametrize("name", ["__main__:build", "__mp_main__:build", "module:f.<locals>.build"])
def test_a_model_of_a_script_is_told_how_to_go_on(name):
    with pytest.raises(ValueError, match=r"of a script.*--model module:build.*pass build=build"):
        models.find(name)


def test_a_model_is_no_function_that_builds_one():
    with pytest.raises(TypeError, match="a function that returns a compiled model"):
        lottery.run(build=builder()(), data=DATA)


def test_a_run_of_a_script_warns_that_it_cannot_be_asked(tmp_path):
    def build():
        return builder()()

    build.__module__, build.__qualname__ = "__main__", "build"
    experiment = lottery.Experiment(
        iterations=2, levels=0, trials=1, controls=(), batch_size=20, evaluate_every=1, xla=False
    )
    with pytest.warns(UserWarning, match=r"comes from a script \(__main__:build\).*pass build="):
        run = lottery.run(experiment, build=build, data=DATA, out=tmp_path / "run")
    for ask in (
        lambda **more: questions.lmc(run, points=3, data=DATA, out=tmp_path / "lmc", **more),
        lambda **more: questions.transfer(run, DATA, out=tmp_path / "on", **more),
    ):
        with pytest.raises(ValueError, match=r"'__main__:build' was built by a function of a scri"):
            ask()
        ask(build=build)
    with pytest.raises(ValueError, match=r"Unknown data set 'blobs'.*came from Python, pass them"):
        questions.lmc(run, points=3, out=tmp_path / "other", build=build)


def test_a_question_to_a_run_with_another_network_is_refused(tmp_path):
    experiment = lottery.Experiment(
        iterations=2, levels=0, trials=1, controls=(), batch_size=20, evaluate_every=1, xla=False
    )
    run = lottery.run(experiment, build=builder(), data=DATA, out=tmp_path / "run")

    def other():
        model = builder()()
        model.layers[0].bias.assign_add(keras.ops.ones(16))
        return model

    with pytest.raises(ValueError, match="gives other initial weights now"):
        questions.lmc(run, points=3, data=DATA, out=tmp_path / "lmc", build=other)


@needs_tf_keras
def test_a_function_that_imports_tf_keras_builds_the_same_the_first_time(monkeypatch):
    def build():
        monkeypatch.setitem(sys.modules, "tf_keras", tf_keras)
        return tf_keras.initializers.GlorotUniform()((3, 3)).numpy()

    monkeypatch.delitem(sys.modules, "tf_keras")
    first = models.called(build, {}, 1, "weights")

    np.testing.assert_array_equal(first, models.called(build, {}, 1, "weights"))
    assert not np.array_equal(first, models.called(build, {}, 2, "weights"))

"""Errors point home: a likely mistake's message ends in the section that explains it."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit import lottery, pruning, shrinking
from kerasinit._src import compat, troubleshooting
from kerasinit._src.cli import playground
from kerasinit._src.playground import uploads
from kerasinit._src.training import models
from tests.kerases import tf_keras

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
ANCHORS = get_args(troubleshooting.Anchor)
MISTAKES = []

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
Y = np.zeros((32, 2), "float32")


def ends_in(anchor):
    """Return a decorator for a function that makes a mistake, given monkeypatch and a folder."""

    def add(mistake):
        MISTAKES.append(pytest.param(anchor, mistake, id=f"{anchor}-{mistake.__name__}"))
        return mistake

    return add


def network(compiled=False, kind=keras):
    layers = [kind.Input((8,)), kind.layers.Dense(4, "relu"), kind.layers.Dense(2)]
    model = kind.Sequential(layers)
    if compiled:
        model.compile("sgd", "mse")
    return model


def unbuilt():
    return keras.Sequential([keras.layers.Dense(2)])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


class Scaling(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


@ends_in("missing-extra")
def figure_without_matplotlib(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    kerasinit.diagnose(network(), X).plot()


@ends_in("missing-extra")
def digits_without_scikit_learn(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    lottery.load("digits")


@ends_in("missing-extra")
def summaries_without_tensorboard(monkeypatch, folder):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    pruning.PruningSummaries(str(folder))


@ends_in("missing-extra")
def onnx_without_its_packages(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    shrinking.export(network(), folder / "model.onnx")


@ends_in("missing-extra")
def playground_without_its_packages(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    playground._check_installed()


@ends_in("missing-tensorflow")
def lottery_without_tensorflow(monkeypatch, folder):
    theirs = importlib.import_module

    def imported(name, *arguments):
        if name.startswith("kerasinit._src."):
            raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
        return theirs(name, *arguments)

    monkeypatch.delitem(vars(kerasinit), "diagnose", raising=False)
    monkeypatch.setattr(importlib, "import_module", imported)
    kerasinit.diagnose  # noqa: B018


@ends_in("missing-tf-keras")
def tf_keras_that_is_missing(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    compat.library("tf_keras")


@ends_in("missing-tf-keras")
def tf_keras_model_without_tfmot(monkeypatch, folder):
    model = network(kind=tf_keras)
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    pruning.prune_low_magnitude(model)


@ends_in("tensorflow-backend")
def pruning_on_jax(monkeypatch, folder):
    model = network()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    pruning.prune_low_magnitude(model)


@ends_in("tensorflow-backend")
def diagnosis_on_pytorch(monkeypatch, folder):
    model = network()
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    kerasinit.diagnose(model, X)


@ends_in("tensorflow-backend")
def comparison_on_jax(monkeypatch, folder):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    kerasinit.compare(lambda: network(compiled=True), ["HeNormal"], (X, Y), steps=1)


@ends_in("tensorflow-backend")
def export_on_jax(monkeypatch, folder):
    model = network()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    shrinking.export(model, folder / "model.tflite")


@ends_in("unbuilt-model")
def reinitialization_of_an_unbuilt_model(monkeypatch, folder):
    kerasinit.reinitialize(unbuilt(), seed=1)


@ends_in("unbuilt-model")
def compaction_of_an_unbuilt_model(monkeypatch, folder):
    shrinking.compact(unbuilt())


@ends_in("unbuilt-model")
def export_of_an_unbuilt_model(monkeypatch, folder):
    shrinking.export(unbuilt(), folder / "model.keras")


@ends_in("unbuilt-model")
def copy_of_an_unbuilt_model(monkeypatch, folder):
    kerasinit.portable(unbuilt())


@ends_in("unbuilt-model")
def step_of_an_unbuilt_model(monkeypatch, folder):
    pruning.begin_step(pruning.prune_low_magnitude(unbuilt()))


@ends_in("uncompiled-model")
def labels_without_a_loss(monkeypatch, folder):
    kerasinit.diagnose(network(), X, Y)


@ends_in("uncompiled-model")
def function_that_does_not_compile(monkeypatch, folder):
    kerasinit.compare(network, ["HeNormal"], (X, Y), steps=1)


@ends_in("subclassed-model")
def compaction_of_a_subclassed_model(monkeypatch, folder):
    model = Subclassed()
    model(X)
    shrinking.compact(model)


@ends_in("unknown-initializer")
def initializer_of_another_name(monkeypatch, folder):
    kerasinit.get("HeNorml")


@ends_in("unknown-initializer")
def rule_with_an_initializer_of_another_name(monkeypatch, folder):
    kerasinit.reinitialize(network(), {"kernel": "HeNorml"}, seed=1)


@ends_in("unmatched-rule")
def rule_for_a_layer_class_that_is_not_there(monkeypatch, folder):
    kerasinit.reinitialize(network(), {"Conv2D": "HeNormal"}, seed=1)


@ends_in("unmatched-rule")
def rule_for_a_name_that_is_not_there(monkeypatch, folder):
    kerasinit.reinitialize(network(), {"head/kernel": "HeNormal"}, seed=1)


@ends_in("unmatched-rule")
def rule_for_a_role_that_is_not_there(monkeypatch, folder):
    kerasinit.reinitialize(network(), {"embeddings": "HeNormal"}, seed=1)


@ends_in("fans-of-a-kernel")
def fans_of_a_variable(monkeypatch, folder):
    kerasinit.compute_fans(network().layers[0].kernel)


@ends_in("fans-of-a-kernel")
def fans_of_axes_that_are_not_there(monkeypatch, folder):
    kerasinit.compute_fans((8, 4), input_axes=(0,), output_axes=(2,))


@ends_in("fans-of-a-kernel")
def fans_of_an_axis_with_two_roles(monkeypatch, folder):
    kerasinit.HeNormal(input_axes=(0,), output_axes=(0,))((8, 4))


@ends_in("saved-variable")
def variable_that_was_not_saved(monkeypatch, folder):
    network().save(folder / "model.keras")
    kerasinit.FromModel(folder / "model.keras", "head/kernel")((8, 4))


@ends_in("saved-variable")
def weight_that_is_not_in_the_ticket(monkeypatch, folder):
    ticket().save(folder / "ticket.safetensors")
    kerasinit.WinningTicket(folder / "ticket.safetensors", "head/kernel")((8, 4))


@ends_in("arrays-expected")
def dataset_instead_of_arrays(monkeypatch, folder):
    kerasinit.diagnose(network(), tf.data.Dataset.from_tensors(X))


@ends_in("arrays-expected")
def lists_instead_of_arrays(monkeypatch, folder):
    kerasinit.diagnose(network(), X.tolist())


@ends_in("arrays-expected")
def words_as_labels(monkeypatch, folder):
    kerasinit.diagnose(network(compiled=True), X, np.array(["cat", "dog"] * 16))


@ends_in("label-count")
def fewer_labels_than_examples(monkeypatch, folder):
    kerasinit.diagnose(network(compiled=True), X, Y[:10])


@ends_in("pruning-callback")
def training_without_the_callback(monkeypatch, folder):
    model = pruning.prune_low_magnitude(network())
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


@ends_in("pruning-callback")
def custom_loop_without_begin_step(monkeypatch, folder):
    model = pruning.prune_low_magnitude(network())
    optimizer = keras.optimizers.SGD()
    optimizer.apply([tf.ones_like(v) for v in model.trainable_variables], model.trainable_variables)


@ends_in("not-pruned")
def callback_for_a_model_that_is_not_pruned(monkeypatch, folder):
    network(compiled=True).fit(X, Y, verbose=0, callbacks=[pruning.UpdatePruningStep()])


@ends_in("not-pruned")
def masks_of_a_tf_keras_model_that_is_not_pruned(monkeypatch, folder):
    pruning.masks(network(kind=tf_keras))


@ends_in("no-pruning-rule")
def custom_layer_without_a_rule(monkeypatch, folder):
    pruning.prune_low_magnitude(keras.Sequential([keras.Input((8,)), Scaling()]))


@ends_in("nothing-to-prune")
def policy_that_allows_nothing(monkeypatch, folder):
    model = network()
    model.trainable = False
    pruning.prune_low_magnitude(model, pruning_policy=pruning.PruneTrainableLayers())


@ends_in("sparsity-range")
def percentage_as_sparsity(monkeypatch, folder):
    pruning.ConstantSparsity(80, begin_step=0)


@ends_in("sparsity-range")
def percentage_in_a_custom_schedule(monkeypatch, folder):
    class Percent(pruning.PruningSchedule):
        def __call__(self, step):
            return True, 80.0

        def get_config(self):
            return {}

    pruning.prune_low_magnitude(network(), Percent())


def ticket():
    model = network()
    masks = pruning.Masks({"dense/kernel": np.ones((8, 4), bool)})
    return lottery.Ticket(masks, {"dense/kernel": np.asarray(model.layers[0].kernel)})


@ends_in("masks-do-not-fit")
def masks_of_another_model(monkeypatch, folder):
    model = network(compiled=True)
    masks = pruning.Masks({"dense/kernel": np.ones((8, 5), bool)})
    model.fit(X, Y, verbose=0, callbacks=[pruning.HoldMasks(masks)])


@ends_in("masks-do-not-fit")
def ticket_of_another_model(monkeypatch, folder):
    ticket().apply(network())


@ends_in("shrinking-target")
def percentage_as_target(monkeypatch, folder):
    shrinking.structured(network(), {"macs": 50})


@ends_in("shrinking-target")
def number_as_target(monkeypatch, folder):
    shrinking.structured(network(), 0.5)


@ends_in("shrinking-target")
def target_of_an_unknown_cost(monkeypatch, folder):
    shrinking.structured(network(), {"flops": 0.5})


@ends_in("shrinking-target")
def no_target(monkeypatch, folder):
    shrinking.structured(network())


@ends_in("shrinking-target")
def percentage_as_ratio(monkeypatch, folder):
    shrinking.structured(network(), ratios={"dense": 50})


@ends_in("importance-data")
def importance_without_examples(monkeypatch, folder):
    shrinking.structured(network(), {"macs": 0.5}, importance="activation")


@ends_in("importance-data")
def importance_without_labels(monkeypatch, folder):
    shrinking.structured(network(compiled=True), {"macs": 0.5}, importance="taylor", x=X)


@ends_in("unknown-data-set")
def data_set_of_another_name(monkeypatch, folder):
    lottery.load("fashion")


@ends_in("unknown-data-set")
def arrays_as_data_set(monkeypatch, folder):
    lottery.run(lottery.Experiment(), out=folder / "run", data=(X, Y))


@ends_in("run-settings")
def other_settings_in_the_same_folder(monkeypatch, folder):
    data = lottery.Dataset(X, np.arange(32) % 2, X, np.arange(32) % 2)
    for iterations in (1, 2):
        experiment = lottery.Experiment(
            levels=0, iterations=iterations, validation=8, controls=(), trials=1
        )
        lottery.run(experiment, out=folder / "run", data=data)


@ends_in("model-function")
def function_in_no_module(monkeypatch, folder):
    models.find("no_such_module:build")


@ends_in("model-function")
def function_that_is_not_in_the_module(monkeypatch, folder):
    models.find("tests.test_troubleshooting:netwrk")


@ends_in("model-function")
def nested_function(monkeypatch, folder):
    models.find("tests.test_troubleshooting:make.<locals>.build")


@ends_in("model-function")
def model_of_another_name(monkeypatch, folder):
    models.find("resnet1000")


@ends_in("csv-refused")
def file_with_text_among_its_numbers(monkeypatch, folder):
    uploads.parse(b"a,b,class\n" + b"1,2,0\n" * 19 + b"1,?,1\n", "my.csv")


@ends_in("csv-refused")
def file_that_is_too_large(monkeypatch, folder):
    uploads.parse(b"1" * (uploads.MAX_BYTES + 1), "my.csv")


@pytest.mark.parametrize(("anchor", "mistake"), MISTAKES)
def test_the_message_of_a_mistake_ends_in_its_section(anchor, mistake, monkeypatch, tmp_path):
    with pytest.raises((ValueError, TypeError, ImportError)) as raised:
        mistake(monkeypatch, tmp_path)

    assert str(raised.value).endswith(f"See {LINK}#{anchor}")


LINK = troubleshooting.see("unbuilt-model").removeprefix("See ").removesuffix("#unbuilt-model")


def test_every_section_has_its_mistakes():
    assert len(ANCHORS) >= 20
    assert {mistake.values[0] for mistake in MISTAKES} == set(ANCHORS)


def test_every_section_is_on_the_page_once_and_in_the_order_of_the_table():
    labels = re.findall(r"^\(([\w-]+)\)=\n### \S", PAGE, re.MULTILINE)

    assert tuple(labels) == ANCHORS


def test_every_section_is_named_by_a_message():
    files = (ROOT / "kerasinit").rglob("*.py")
    named = {one for path in files for one in re.findall(r"\bsee\(.([\w-]+).\)", path.read_text())}

    assert named == set(ANCHORS)


def test_a_message_names_the_page_by_its_address_once_there_is_one(monkeypatch):
    monkeypatch.setattr(troubleshooting, "SITE", "")
    assert troubleshooting.see("not-pruned") == (
        "See the documentation, docs/troubleshooting.md#not-pruned"
    )

    monkeypatch.setattr(troubleshooting, "SITE", "https://somebody.github.io/kerasinit/")
    assert troubleshooting.see("not-pruned") == (
        "See https://somebody.github.io/kerasinit/troubleshooting.html#not-pruned"
    )

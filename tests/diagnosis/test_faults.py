"""Every planted fault is found where it is, gone when mended, and sound networks have peace."""

import hashlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kerasinit
from tests.diagnosis import networks
from tests.products import each_value_once

SEEDS, WIDTHS = range(5), (32, 64, 128)
BOTH = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
_DIAGNOSED = {}


def findings(model, x):
    """Return what is found; once for weights and data of the same bits.

    Many faults are planted in one architecture, and nothing of them is left after mending: the
    weights are then those of an earlier test, bit for bit.
    """
    digest = hashlib.sha256(x.tobytes() + type(model).__module__.encode())
    digest.update(str([layer.get_config()["activation"] for layer in model.layers]).encode())
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    key = digest.digest()
    if key not in _DIAGNOSED:
        _DIAGNOSED[key] = kerasinit.diagnose(model, x).findings
    return _DIAGNOSED[key]


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", networks.FAULTS)
def test_a_planted_fault_is_found_at_its_layer_for_every_seed(name, width, library):
    fault = networks.FAULTS[name]
    for seed in SEEDS:
        model = fault.planted(library, width, seed)
        report = kerasinit.diagnose(model, networks.batch(16, width, seed=seed))
        found = {finding.kind: finding for finding in report.findings}
        assert fault.kind in found, (seed, report.findings)
        assert not report.ok
        if fault.layer is not None:
            assert found[fault.kind].layer == fault.layer
        assert found[fault.kind].confidence > 0.99
    if name == "glorot-relu":
        # Each layer halves the mean square: 6 nats are gone after about nine.
        assert 5 <= int(found[fault.kind].layer.removeprefix("dense_")) <= 20
        assert "HeNormal" in found[fault.kind].advice


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", networks.FAULTS)
def test_a_planted_fault_is_gone_when_the_recommended_values_are_drawn(name, width, library):
    for seed in SEEDS:
        model = networks.FAULTS[name].planted(library, width, seed)
        kerasinit.reinitialize(model, kerasinit.recommend(model), seed=seed)
        assert findings(model, networks.batch(16, width, seed=seed)) == (), seed


def with_advice(library, model, advice, seed):
    """Return a network of the same hidden layers, each changed as a line of advice says."""
    if "reinitialize" in advice:
        exec(advice.split(": ", 1)[1].split(";")[0], {"kerasinit": kerasinit, "model": model})
        return model
    line = advice.split(";")[0]
    after = "keras.layers.BatchNormalization() after the layer"
    options = eval(f"dict({line.replace(after, '')})", {"kerasinit": kerasinit})
    library.utils.set_random_seed(seed)
    layers = []
    for layer in model.layers[:-1]:
        given = {"activation": layer.get_config()["activation"], **options}
        layers.append(library.layers.Dense(layer.units, **given))
        layers += [library.layers.BatchNormalization()] if after in line else []
    return library.Sequential([library.Input(model.input_shape[1:]), *layers, model.layers[-1]])


@each_value_once(library=[keras, tf_keras], name=list(networks.FAULTS))
def test_the_line_of_advice_mends_what_it_is_printed_for(library, name):
    x = networks.batch(16, 64, seed=1)
    model = networks.FAULTS[name].planted(library, 64, 1)
    found = kerasinit.diagnose(model, x).findings
    assert found
    for finding in found:
        mended = with_advice(library, model, finding.advice, seed=2)
        left = [one.kind for one in kerasinit.diagnose(mended, x).findings]
        assert finding.kind not in left, finding.advice


@BOTH
def test_a_sigmoid_that_is_no_layers_is_advised_of_as_recommended(library):
    """There is no activation to replace in a layer's arguments."""
    function = keras.ops.sigmoid if library is keras else tf.sigmoid
    inputs = x = library.Input((32,))
    for _ in range(10):
        x = function(library.layers.Dense(32)(x))
    model = library.Model(inputs, library.layers.Dense(4)(x))
    x = networks.batch(64, 32)
    findings = kerasinit.diagnose(model, x).findings
    assert [one.kind for one in findings] == ["correlation-collapse", "vanishing-gradients"]
    recommended = kerasinit.recommend(model)["dense_1/kernel"].initializer
    for finding in findings:
        (initializer,) = re.findall(
            r"kernel_initializer=(kerasinit\.CentredNormal.*)", finding.advice
        )
        made = eval(initializer, {"kerasinit": kerasinit})
        assert made.get_config() == recommended.get_config()
        hidden = {f"dense_{number}/kernel": made for number in range(1, 10)}
        kerasinit.reinitialize(model, {**hidden, "kernel": "own", "bias": "own"}, seed=1)
        assert kerasinit.diagnose(model, x).ok


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", networks.FAULTS)
def test_a_planted_fault_is_gone_after_lsuv(name, width, library):
    model = networks.FAULTS[name].planted(library, width, seed=width)
    kerasinit.lsuv(model, networks.batch(64, width), seed=width)
    assert findings(model, networks.batch(16, width, seed=1)) == ()


@pytest.mark.parametrize(
    ("library", "width"),
    [(keras, 32), (tf_keras, 64), (keras, 128)],
    ids=["keras-32", "tf_keras-64", "keras-128"],
)
@pytest.mark.parametrize("name", networks.SOUND)
def test_a_sound_network_raises_no_alarm(name, width, library):
    depth, activation, initializer = networks.SOUND[name]
    model = networks.hidden(library, width, depth, activation)
    for seed in SEEDS:
        networks.drawn(model, initializer, seed=seed)
        report = kerasinit.diagnose(model, networks.batch(16, width, seed=seed))
        assert report.ok, (seed, report.findings)


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
def test_inputs_up_to_255_are_told_at_the_first_layer_and_scaled_ones_are_not(width, library):
    model = networks.hidden(library, width, 3, "relu")
    for seed in SEEDS:
        networks.drawn(model, "HeNormal", seed=seed)
        x = np.random.default_rng(seed).integers(0, 256, (16, width)).astype("float32")
        (finding,) = kerasinit.diagnose(model, x).findings
        assert (finding.kind, finding.layer) == ("unscaled-input", "dense")
        assert "Rescaling(1 / 255)" in finding.advice
        assert kerasinit.diagnose(model, x / 255).ok


@BOTH
def test_residual_networks_and_transformers_are_sound_at_five_seeds(library):
    image, words = networks.batch(8, 8, 8, 3), np.random.default_rng(0).integers(0, 50, (8, 8))
    resnet, transformer = networks.resnet(library), networks.transformer(library)
    # A branch that starts at zero wakes after one step.
    asleep = networks.resnet(library, "zeros")
    for model, x in ((resnet, image), (asleep, image), (transformer, words)):
        report = kerasinit.diagnose(model, x, seeds=SEEDS)
        assert report.ok, report.findings
        kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
        assert kerasinit.diagnose(model, x).ok


def test_mobilenet_is_sound_as_it_comes():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35)
    x = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    report = kerasinit.diagnose(model, x)
    assert report.ok, report.findings


@BOTH
def test_both_kerases_give_the_same_numbers(library):
    model = networks.stack(library, 8, 2, "relu", library.initializers.Constant(0.5))
    report = kerasinit.diagnose(model, np.ones((2, 8), "float32"))
    # 8 inputs of 1 by weights of 0.5 are 4, then 8 of 4 by 0.5 are 16.
    assert [row.signal.mean for row in report.layers] == [4.0, 16.0, report.layers[2].signal.mean]
    assert [finding.kind for finding in report.findings] == ["symmetry"]


def test_a_zero_head_is_no_fault():
    model = networks.stack(keras, 32, 3, "relu", "he_normal")
    model.layers[-1].set_weights([np.zeros((32, 10)), np.zeros(10)])
    assert kerasinit.diagnose(model, networks.batch(16, 32)).ok

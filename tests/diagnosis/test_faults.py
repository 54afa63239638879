"""Every planted fault is found where it is, gone when mended, and sound networks have peace."""

import hashlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.diagnosis import networks
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once, nightly

SEEDS, WIDTHS = range(5), (32, 64, 128)
# A seed and a width for each Keras; nightly the product of all seeds and widths.
AT_EVERY_RUN = {"keras": (1, 32), "tf_keras": (4, 64)}
BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
_DIAGNOSED = {}


def at_seeds_and_widths(*names):
    """Parametrize by name, Keras, width and seeds: one of each at every run, all of them nightly.

    Args:
        *names: The faults or networks; without any, the tests have no ``name``.
    """
    cases = []
    for name in names or (None,):
        for kerase, library in KERASES.items():
            seed, width = AT_EVERY_RUN[kerase]
            given = () if name is None else (name,)
            words = "-".join((*given, kerase))
            cases.append(pytest.param(*given, library, width, (seed,), id=f"{words}-{width}"))
            cases += [
                pytest.param(*given, library, w, SEEDS, id=f"{words}-{w}-all", marks=nightly)
                for w in WIDTHS
            ]
    words = ("library", "width", "seeds")
    return pytest.mark.parametrize(("name", *words) if names else words, cases)


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


@at_seeds_and_widths(*networks.FAULTS)
def test_a_planted_fault_is_found_at_its_layer_for_every_seed(name, library, width, seeds):
    fault = networks.FAULTS[name]
    for seed in seeds:
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


@at_seeds_and_widths(*networks.FAULTS)
def test_a_planted_fault_is_gone_when_the_recommended_values_are_drawn(name, library, width, seeds):
    for seed in seeds:
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


@each_value_once(library=INSTALLED, name=list(networks.FAULTS))
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


@at_seeds_and_widths(*networks.FAULTS)
def test_a_planted_fault_is_gone_after_lsuv(name, library, width, seeds):
    for seed in seeds:
        model = networks.FAULTS[name].planted(library, width, seed)
        kerasinit.lsuv(model, networks.batch(64, width), seed=seed)
        assert findings(model, networks.batch(16, width, seed=1)) == (), seed


@at_seeds_and_widths(*networks.SOUND)
def test_a_sound_network_raises_no_alarm(name, library, width, seeds):
    depth, activation, initializer = networks.SOUND[name]
    model = networks.hidden(library, width, depth, activation)
    for seed in seeds:
        networks.drawn(model, initializer, seed=seed)
        report = kerasinit.diagnose(model, networks.batch(16, width, seed=seed))
        assert report.ok, (seed, report.findings)


@at_seeds_and_widths()
def test_inputs_up_to_255_are_told_at_the_first_layer_and_scaled_ones_are_not(
    library, width, seeds
):
    model = networks.hidden(library, width, 3, "relu")
    for seed in seeds:
        networks.drawn(model, "HeNormal", seed=seed)
        x = np.random.default_rng(seed).integers(0, 256, (16, width)).astype("float32")
        (finding,) = kerasinit.diagnose(model, x).findings
        assert (finding.kind, finding.layer) == ("unscaled-input", "dense")
        assert "Rescaling(1 / 255)" in finding.advice
        assert kerasinit.diagnose(model, x / 255).ok


@BOTH
def test_what_an_input_out_of_scale_does_is_not_blamed_on_the_weights(library):
    model = networks.stack(library, 16, 4, "tanh", "glorot_uniform")
    x = np.random.default_rng(0).uniform(0, 1e4, (64, 16)).astype("float32")
    cause, *others = kerasinit.diagnose(model, x).findings
    assert cause.kind == "unscaled-input"
    # A tanh brings it to 1, which loses nothing but what is flat.
    assert "saturation" in {one.kind for one in others}
    assert "vanishing-activations" not in {one.kind for one in others}
    assert {one.advice for one in others} == {cause.advice}
    assert kerasinit.diagnose(model, (x - 5e3) / 3e3).ok
    # Behind a normalization the weights are to blame again.
    layers = library.layers
    large = [
        layers.Dense(16, "tanh", kernel_initializer=networks.normal(3.0, library)) for _ in range(4)
    ]
    ill = [layers.Dense(16), layers.LayerNormalization(), *large, layers.Dense(1)]
    model = library.Sequential([library.Input((16,)), *ill])
    found = {one.kind: one.advice for one in kerasinit.diagnose(model, x).findings}
    assert "kernel_initializer" in found["saturation"]


@pytest.mark.parametrize(
    ("library", "seeds"),
    [
        (keras, 1),
        pytest.param(tf_keras, 1, marks=nightly),
        pytest.param(keras, 5, marks=nightly),
        pytest.param(tf_keras, 5, marks=nightly),
    ],
)
def test_residual_networks_and_transformers_are_sound_at_every_seed(library, seeds):
    image, words = networks.batch(8, 8, 8, 3), np.random.default_rng(0).integers(0, 50, (8, 8))
    resnet, transformer = networks.resnet(library), networks.transformer(library)
    # A branch that starts at zero wakes after one step.
    asleep = networks.resnet(library, "zeros")
    for model, x in ((resnet, image), (asleep, image), (transformer, words)):
        report = kerasinit.diagnose(model, x, seeds=seeds)
        assert report.ok, report.findings
        kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
        assert kerasinit.diagnose(model, x).ok


@nightly
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
    kinds = [finding.kind for finding in report.findings]
    assert kinds == ["equal-examples", "symmetry"]


def test_a_zero_head_is_no_fault():
    model = networks.stack(keras, 32, 3, "relu", "he_normal")
    model.layers[-1].set_weights([np.zeros((32, 10)), np.zeros(10)])
    assert kerasinit.diagnose(model, networks.batch(16, 32)).ok

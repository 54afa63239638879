"""Every planted fault is found where it is, and sound networks are left in peace."""

import keras
import numpy as np
import pytest
import tf_keras

import kerasinit
from tests.diagnosis import networks

SEEDS, WIDTHS = range(5), (32, 64, 128)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", networks.FAULTS)
def test_a_planted_fault_is_found_at_its_layer_for_every_seed(name, width):
    kind, layer, build = networks.FAULTS[name]
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        report = kerasinit.diagnose(build(width), networks.batch(16, width, seed=seed))
        found = {finding.kind: finding for finding in report.findings}
        assert kind in found, (seed, report.findings)
        assert not report.ok
        if layer is not None:
            assert found[kind].layer == layer
        assert found[kind].confidence > 0.99
    if name == "glorot-relu":
        # Each layer halves the mean square: 6 nats are gone after about nine.
        assert 5 <= int(found[kind].layer.removeprefix("dense_")) <= 20
        assert "HeNormal" in found[kind].advice


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", networks.SOUND)
def test_a_sound_network_raises_no_alarm(name, width):
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model = networks.SOUND[name](width)
        report = kerasinit.diagnose(model, networks.batch(16, width, seed=seed))
        assert report.ok, (seed, report.findings)


@pytest.mark.parametrize("width", WIDTHS)
def test_inputs_up_to_255_are_told_at_the_first_layer_and_scaled_ones_are_not(width):
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model = networks.stack(keras, width, 2, "relu", "he_normal")
        x = np.random.default_rng(seed).integers(0, 256, (16, width)).astype("float32")
        (finding,) = kerasinit.diagnose(model, x).findings
        assert (finding.kind, finding.layer) == ("unscaled-input", "dense")
        assert "Rescaling(1 / 255)" in finding.advice
        assert kerasinit.diagnose(model, x / 255).ok


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_residual_networks_and_transformers_are_sound_in_both_kerases(library):
    library.utils.set_random_seed(0)
    image, words = networks.batch(8, 8, 8, 3), np.random.default_rng(0).integers(0, 50, (8, 8))
    assert kerasinit.diagnose(networks.resnet(library), image).ok
    # A branch that starts at zero wakes after one step.
    assert kerasinit.diagnose(networks.resnet(library, "zeros"), image).ok
    assert kerasinit.diagnose(networks.transformer(library), words).ok


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
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

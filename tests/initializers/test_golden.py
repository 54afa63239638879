"""What is for ever: names in files, configurations, and the values of a seed.

If a test here fails, the package broke a promise to files and papers that exist.
Nothing in this file is ever changed, only added to.
"""

import keras
import numpy as np
import pytest
import tf_keras

import kerasinit
from kerasinit import initializers, lottery

from .table import ALIASES, FILES, TABLE

NAMES = {
    "kerasinit>Constant",
    "kerasinit>FromModel",
    "kerasinit>GlorotNormal",
    "kerasinit>GlorotUniform",
    "kerasinit>HeNormal",
    "kerasinit>HeUniform",
    "kerasinit>Identity",
    "kerasinit>LecunNormal",
    "kerasinit>LecunUniform",
    "kerasinit>Ones",
    "kerasinit>Orthogonal",
    "kerasinit>RandomNormal",
    "kerasinit>RandomUniform",
    "kerasinit>TruncatedNormal",
    "kerasinit>VarianceScaling",
    "kerasinit>WinningTicket",
    "kerasinit>Zeros",
}

_FAN_FREE = {"seed": 1, "input_axes": None, "output_axes": None}
CONFIGS = {
    "Constant": {"value": 0.75},
    "FromModel": {
        "path": str(FILES / "model-0.1.keras"),
        "variable": "dense/kernel",
        "digest": "sha256:dae77a871c7640d29409f56b6d98ff97b8a5b702c7a5091c0b48cd08d6e0a0ba",
    },
    "GlorotNormal": _FAN_FREE,
    "GlorotUniform": _FAN_FREE,
    "HeNormal": {**_FAN_FREE, "negative_slope": 0.25},
    "HeUniform": {**_FAN_FREE, "negative_slope": 0.25},
    "Identity": {"gain": 2.0},
    "LecunNormal": _FAN_FREE,
    "LecunUniform": _FAN_FREE,
    "Ones": {},
    "Orthogonal": {"gain": 1.5, "seed": 1},
    "RandomNormal": {"mean": 0.5, "stddev": 0.25, "seed": 1},
    "RandomUniform": {"minval": -0.5, "maxval": 0.25, "seed": 1},
    "TruncatedNormal": {"mean": 0.5, "stddev": 0.25, "seed": 1},
    "VarianceScaling": {
        "scale": 3.0,
        "mode": "fan_out",
        "distribution": "untruncated_normal",
        **_FAN_FREE,
    },
    "WinningTicket": {
        "path": str(FILES / "ticket-0.1.safetensors"),
        "variable": "dense/kernel",
        "digest": "sha256:877a05fb36789b08e521df1fbdaf288a017d77a6b10dedc82d3ea8ebb31d6a4e",
    },
    "Zeros": {},
}

# The first values from seed 1 of a tensor of this shape, or else of the table's.
SHAPES = {"matrix": (4, 5)}
VALUES = {
    "Constant": [0.75, 0.75, 0.75, 0.75],
    "FromModel": [-0.75, -0.05, 0.65, -0.25],
    "GlorotNormal": [0.49742001, 0.065555617, -0.9793008, -0.62613958],
    "GlorotUniform": [0.14928931, -0.6739257, 0.53973401, 0.33794641],
    "HeNormal": [0.72385246, 0.095397443, -1.425092, -0.91116697],
    "HeUniform": [0.21724784, -0.98070598, 0.78542829, 0.49178421],
    "Identity": [2, 0, 0, 0],
    "LecunNormal": [0.52759361, 0.069532238, -1.0387053, -0.66412139],
    "LecunUniform": [0.15834516, -0.71480608, 0.5724743, 0.3584463],
    "Ones": [1, 1, 1, 1],
    "Orthogonal": [0.395432, 1.3179655, -0.079441704, 0.49056289],
    "RandomNormal": [0.73204243, 0.53058118, 0.043164045, 0.2079109],
    "RandomUniform": [-0.056434512, -0.43452013, 0.12288862, 0.030211806],
    "TruncatedNormal": [0.73204243, 0.53058118, 0.043164045, 0.2079109],
    "VarianceScaling": [0.71895725, 0.094752297, -1.4154545, -0.90500504],
    "WinningTicket": [-2.25, 0, 0, -0.75],
    "Zeros": [0, 0, 0, 0],
}


@pytest.mark.parametrize("module", [keras, tf_keras])
def test_the_registered_names_are_these_and_lead_to_our_classes(module):
    registered = module.saving.get_custom_objects()
    ours = {name for name in registered if name.startswith("kerasinit>")}
    assert ours >= NAMES
    for name in NAMES:
        assert registered[name] is getattr(kerasinit, name.removeprefix("kerasinit>"))


def test_every_class_has_its_name_here_and_every_public_class_is_in_the_table():
    names = {case.name for case in TABLE}
    assert {f"kerasinit>{name}" for name in names} == NAMES
    assert names | set(ALIASES) == set(initializers.__all__)
    assert set(initializers.__all__) <= set(kerasinit.__all__)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_class_itself(alias):
    assert getattr(kerasinit, alias) is getattr(kerasinit, ALIASES[alias])


@pytest.mark.parametrize("module", [keras, tf_keras])
def test_nothing_is_registered_under_a_bare_name(module):
    bare = [name for name in module.saving.get_custom_objects() if ">" not in name]
    assert not [name for name in bare if hasattr(kerasinit, name)]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_files_name_the_class_by_its_registered_name(case):
    for module in (keras, tf_keras):
        saved = module.saving.serialize_keras_object(case.make())
        assert saved["registered_name"] == saved["class_name"] == f"kerasinit>{case.name}"


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_configuration_is_what_it_was(case):
    assert case.fixed().get_config() == CONFIGS[case.name]


@pytest.mark.parametrize("case", [case for case in TABLE if case.name in VALUES], ids=str)
def test_a_seed_gives_the_values_that_it_gave(case):
    # The decomposition behind Orthogonal is LAPACK's, whose last digits may differ.
    tolerance = 1e-4 if case.name == "Orthogonal" else 1e-6
    values = case.fixed()(SHAPES.get(case.kind, case.shape)).ravel()[:4]
    np.testing.assert_allclose(values, VALUES[case.name], rtol=0, atol=tolerance)


def test_the_values_go_on_the_same_in_the_second_chunk():
    values = kerasinit.RandomNormal(stddev=1.0, seed=1)((2**17 + 2,))
    np.testing.assert_allclose(values[-3:], [0.54782, -1.5456326, -0.47970885], rtol=0, atol=1e-6)


def test_a_seed_generator_gives_the_values_that_it_gave():
    made = kerasinit.RandomNormal(seed=keras.random.SeedGenerator(1))
    expected = [[-0.07064731, 0.01397523, 0.0344946], [0.06972478, -0.04654526, -0.04954191]]
    np.testing.assert_allclose([made((3,)), made((3,))], expected, rtol=0, atol=1e-6)


def test_a_model_that_the_first_release_saved_is_loaded():
    model = keras.models.load_model(FILES / "model-0.1.keras")
    first, second = model.layers

    assert type(first.kernel_initializer) is kerasinit.HeNormal
    assert first.kernel_initializer.get_config() == CONFIGS["HeNormal"]
    assert type(second.kernel_initializer) is kerasinit.GlorotUniform
    np.testing.assert_array_equal(first.kernel.numpy().ravel()[:4], np.float32(VALUES["FromModel"]))


def test_a_ticket_that_the_first_release_saved_is_loaded():
    ticket = lottery.load_ticket(FILES / "ticket-0.1.safetensors")

    assert list(ticket.masks) == ["dense/kernel"]
    assert list(ticket.weights) == ["dense/bias", "dense/kernel"]
    assert ticket.masks["dense/kernel"].ravel()[:4].tolist() == [True, False, False, True]
    np.testing.assert_array_equal(
        ticket.weights["dense/kernel"].ravel()[:4], np.float32(VALUES["WinningTicket"])
    )

"""What is for ever: names in files, configurations, and the values of a seed.

If a test here fails, the package broke a promise to files and papers that exist.
Nothing in this file is ever changed, only added to.
"""

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import initializers, lottery
from tests.kerases import INSTALLED, has_keras, since_keras, tf_keras

from .table import ALIASES, FILES, TABLE

NAMES = {
    "kerasinit>AlexNet",
    "kerasinit>Bilinear",
    "kerasinit>CentredNormal",
    "kerasinit>Chrono",
    "kerasinit>Constant",
    "kerasinit>ConvOrthogonal",
    "kerasinit>ConvolutionAware",
    "kerasinit>DeltaOrthogonal",
    "kerasinit>Dirac",
    "kerasinit>ForgetBias",
    "kerasinit>FromModel",
    "kerasinit>GlorotNormal",
    "kerasinit>GlorotUniform",
    "kerasinit>HeNormal",
    "kerasinit>HeUniform",
    "kerasinit>ICNR",
    "kerasinit>Identity",
    "kerasinit>LecunNormal",
    "kerasinit>LecunUniform",
    "kerasinit>Ones",
    "kerasinit>Orthogonal",
    "kerasinit>PerGate",
    "kerasinit>PriorProbability",
    "kerasinit>RandomNormal",
    "kerasinit>RandomUniform",
    "kerasinit>STFT",
    "kerasinit>Siren",
    "kerasinit>Sparse",
    "kerasinit>TruncatedNormal",
    "kerasinit>VarianceScaling",
    "kerasinit>ZerO",
    "kerasinit>WinningTicket",
    "kerasinit>Zeros",
}

# Other names by which the classes are found; no file is written with them.
ALIAS_NAMES = {
    "kerasinit>KaimingNormal": "HeNormal",
    "kerasinit>KaimingUniform": "HeUniform",
    "kerasinit>XavierNormal": "GlorotNormal",
    "kerasinit>XavierUniform": "GlorotUniform",
}

_FAN_FREE = {
    "seed": 1,
    "input_axes": None,
    "output_axes": None,
    "gain": 1.0,
    "nonlinearity": None,
    "negative_slope": None,
    "fans": None,
}
CONFIGS = {
    "AlexNet": {"seed": 1},
    "Bilinear": {},
    "CentredNormal": {**_FAN_FREE, "nonlinearity": "sigmoid"},
    "Chrono": {"units": 4, "max_time": 50, "cell": "gru", "seed": 1},
    "Constant": {"value": 0.75},
    "ConvOrthogonal": {"gain": 1.5, "seed": 1},
    "ConvolutionAware": {"eps_std": 0.25, "seed": 1},
    "DeltaOrthogonal": {"gain": 1.5, "seed": 1},
    "Dirac": {"groups": 2, "gain": 2.0},
    "ForgetBias": {"units": 4, "value": 2.5},
    "FromModel": {
        "path": str(FILES / "model-0.1.keras"),
        "variable": "dense/kernel",
        "digest": "sha256:dae77a871c7640d29409f56b6d98ff97b8a5b702c7a5091c0b48cd08d6e0a0ba",
    },
    "GlorotNormal": _FAN_FREE,
    "GlorotUniform": _FAN_FREE,
    "HeNormal": {**_FAN_FREE, "negative_slope": 0.25},
    "HeUniform": {**_FAN_FREE, "negative_slope": 0.25},
    "ICNR": {
        "initializer": {
            "class_name": "kerasinit>RandomNormal",
            "config": {"mean": 0.0, "stddev": 0.25, "seed": None},
            "registered_name": "kerasinit>RandomNormal",
        },
        "scale": 3,
        "seed": 1,
    },
    "Identity": {"gain": 2.0},
    "LecunNormal": _FAN_FREE,
    "LecunUniform": _FAN_FREE,
    "Ones": {},
    "Orthogonal": {"gain": 1.5, "seed": 1, "input_axes": None, "output_axes": None},
    "PerGate": {
        "initializer": {
            "class_name": "kerasinit>Orthogonal",
            "config": {"gain": 1.0, "seed": None, "input_axes": None, "output_axes": None},
            "registered_name": "kerasinit>Orthogonal",
        },
        "gates": 4,
        "seed": 1,
    },
    "RandomNormal": {"mean": 0.5, "stddev": 0.25, "seed": 1},
    "RandomUniform": {"minval": -0.5, "maxval": 0.25, "seed": 1},
    "TruncatedNormal": {
        "mean": 0.5,
        "stddev": 0.25,
        "seed": 1,
        "bounds": [-2.0, 2.0],
        "absolute": False,
    },
    "PriorProbability": {"probability": 0.05},
    "Siren": {
        "omega": 20.0,
        "first": True,
        "seed": 1,
        "input_axes": None,
        "output_axes": None,
        "fans": None,
    },
    "STFT": {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True},
    "Sparse": {"num_nonzero": 3, "stddev": 0.5, "seed": 1},
    "VarianceScaling": {
        "scale": 3.0,
        "mode": "fan_out",
        "distribution": "untruncated_normal",
        **_FAN_FREE,
    },
    "ZerO": {},
    "WinningTicket": {
        "path": str(FILES / "ticket-0.1.safetensors"),
        "variable": "dense/kernel",
        "digest": "sha256:877a05fb36789b08e521df1fbdaf288a017d77a6b10dedc82d3ea8ebb31d6a4e",
    },
    "Zeros": {},
}

# The first values from seed 1 of a tensor of this shape, or else of the table's.
SHAPES = {
    "convolution": (2, 2, 4),
    "gates": (2, 8),
    "matrix": (4, 5),
    "frames": (4, 1, 3),
    "subpixel": (1, 1, 1, 18),
    "three inputs or more": (4, 5),
    "upsampling": (4, 4, 2, 2),
    "widening convolution": (2, 3, 4),
}
VALUES = {
    "AlexNet": [-0.0039671017, 0.002311918, 0.0058403397, -0.013575602],
    "Bilinear": [0.0625, 0, 0, 0.0625],
    "CentredNormal": [-2.5427916, -0.066777334, 2.6494591, -3.8561554],
    "Chrono": [3.3805928, 1.6468709, 3.7102709, 3.553448],
    "Constant": [0.75, 0.75, 0.75, 0.75],
    "ConvOrthogonal": [0.089221716, -0.026728934, 0.25026411, -1.4374214],
    "ConvolutionAware": [0.75365657, -0.63631469, 0.038686614, 0.77460676],
    "DeltaOrthogonal": [-0.38454634, 0.22409037, 0.56611162, -1.3158363],
    "Dirac": [2, 0, 2, 0],
    "ForgetBias": [0, 0, 0, 0],
    "FromModel": [-0.75, -0.050000001, 0.64999998, -0.25],
    "GlorotNormal": [-0.2024433, 0.11816715, 0.29715115, -0.66863447],
    "GlorotUniform": [0.14928931, -0.6739257, 0.53973401, 0.33794641],
    "HeNormal": [-0.29459828, 0.17195848, 0.43241847, -0.97300613],
    "HeUniform": [0.21724784, -0.98070598, 0.78542829, 0.49178421],
    "ICNR": [-0.099176653, 0.057805125, -0.099176653, 0.057805125],
    "Identity": [2, 0, 0, 0],
    "LecunNormal": [-0.21472356, 0.1253352, 0.31517643, -0.709194],
    "LecunUniform": [0.15834516, -0.71480608, 0.5724743, 0.3584463],
    "Ones": [1, 1, 1, 1],
    "Orthogonal": [-0.32229012, 0.18782184, 0.4744733, -1.1028914],
    "PerGate": [
        0.63661039,
        -0.77118558,
        -0.031404018,
        -0.99950677,
        -0.086194873,
        -0.99627829,
        0.51198161,
        -0.85899645,
    ],
    "PriorProbability": [-2.9444389, -2.9444389, -2.9444389, -2.9444389],
    "RandomNormal": [0.40082246, 0.55779797, 0.64600849, 0.16060993],
    "RandomUniform": [-0.056434512, -0.43452013, 0.12288862, 0.030211806],
    "Siren": [0.045710325, -0.20634675, 0.16525909, 0.10347453],
    "STFT": [0, 0, 0, 0, -0.25, 0, 0, 0, 0, 0, 0.25, 0],
    "Sparse": [0, -0.44696528, 0, -0.58372957],
    "TruncatedNormal": [0.40556183, 0.55512404, 0.63861865, 0.18808737],
    "VarianceScaling": [-0.30729041, 0.1790804, 0.45239079, -1.0515617],
    "ZerO": [0.5, 0.5, 0.5, 0.5],
    "WinningTicket": [-2.25, 0, 0, -0.75],
    "Zeros": [0, 0, 0, 0],
}
# Behind these stands a matrix product of LAPACK, whose last digits may differ.
BY_LAPACK = {"ConvOrthogonal", "ConvolutionAware", "DeltaOrthogonal", "Orthogonal", "PerGate"}


@pytest.mark.parametrize("module", INSTALLED)
def test_the_registered_names_are_these_and_lead_to_our_classes(module):
    registered = module.saving.get_custom_objects()
    ours = {name for name in registered if name.startswith("kerasinit>")}
    assert ours >= NAMES
    for name in NAMES:
        assert registered[name] is getattr(kerasinit, name.removeprefix("kerasinit>"))


def test_every_class_has_its_name_here_and_every_public_class_is_in_the_table():
    names = {case.name for case in TABLE}
    assert {f"kerasinit>{alias}": name for alias, name in ALIASES.items()} == ALIAS_NAMES
    assert {f"kerasinit>{name}" for name in names} == NAMES
    assert names | set(ALIASES) == set(initializers.__all__)
    assert set(initializers.__all__) <= set(kerasinit.__all__)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_class_itself(alias):
    assert getattr(kerasinit, alias) is getattr(kerasinit, ALIASES[alias])


@pytest.mark.parametrize("module", INSTALLED)
@pytest.mark.parametrize("alias", ALIAS_NAMES)
def test_a_registered_alias_leads_to_the_class_by_every_way(module, alias):
    kind = getattr(kerasinit, ALIAS_NAMES[alias])
    named = {"class_name": alias, "config": {"seed": 1}}
    identifiers = [alias, named, {**named, "registered_name": alias, "module": None}]
    if module is keras and has_keras("3.16"):
        identifiers.remove(alias)
    for identifier in identifiers:
        made = module.initializers.get(identifier)
        assert type(made) is kind
        layer = module.layers.Dense(3, kernel_initializer=identifier)
        again = module.layers.Dense.from_config(layer.get_config())
        assert type(again.kernel_initializer) is kind
    # What is written is the class' own name.
    assert module.saving.serialize_keras_object(made)["registered_name"] == (
        f"kerasinit>{kind.__qualname__}"
    )


@pytest.mark.parametrize("module", INSTALLED)
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


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_seed_gives_the_values_that_it_gave(case):
    tolerance = 1e-4 if case.name in BY_LAPACK else 1e-6
    values = case.fixed()(SHAPES.get(case.kind, case.shape)).ravel()[: len(VALUES[case.name])]
    np.testing.assert_allclose(values, VALUES[case.name], rtol=0, atol=tolerance)


def test_the_values_go_on_the_same_in_the_second_chunk():
    values = kerasinit.RandomNormal(stddev=1.0, seed=1)((2**18 + 2,))
    np.testing.assert_allclose(values[-3:], [0.06213944, -0.21281606, 3.3829665], rtol=0, atol=1e-6)


def test_a_seed_generator_gives_the_values_that_it_gave():
    made = kerasinit.RandomNormal(seed=keras.random.SeedGenerator(1))
    expected = [[-0.05976833, 0.03357463, -0.06299215], [-0.07568842, 0.037228, -0.03260574]]
    np.testing.assert_allclose([made((3,)), made((3,))], expected, rtol=0, atol=1e-6)


@since_keras("3.13", "Dense reads its quantization_config, which the file has")
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

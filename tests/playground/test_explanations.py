"""The formula of an initializer states the statistics of what it draws."""

import math
import re

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit._src.initializers import identifiers
from kerasinit._src.playground.explanations import SOURCES, explain
from kerasinit._src.playground.settings import METHODS, NOT_HERE

SHAPES = ((2, 16), (16, 16), (16, 3))
SEEDS = 1000
SIGMAS = 5

INITIALIZERS = {
    "AlexNet": "AlexNet",
    "CentredNormal": "CentredNormal:nonlinearity=sigmoid",
    "Constant": "Constant:value=-0.25",
    "GlorotNormal": "GlorotNormal",
    "GlorotUniform": "GlorotUniform:gain=1.7",
    "HeNormal": "HeNormal",
    "HeUniform": "HeUniform:negative_slope=0.3",
    "Identity": "Identity:gain=0.5",
    "KaimingNormal": "KaimingNormal:nonlinearity=tanh",
    "KaimingUniform": "KaimingUniform",
    "LecunNormal": "LecunNormal",
    "LecunUniform": "LecunUniform",
    "Ones": "Ones",
    "Orthogonal": "Orthogonal:gain=1.5",
    "PriorProbability": "PriorProbability:probability=0.2",
    "RandomNormal": "RandomNormal:mean=0.1,stddev=0.3",
    "RandomUniform": "RandomUniform:minval=-0.1,maxval=0.4",
    "Siren": "Siren:omega=4",
    "Sparse": "Sparse:num_nonzero=2,stddev=0.7",
    "TruncatedNormal": "TruncatedNormal:mean=0.5,stddev=2,absolute=true",
    "VarianceScaling": "VarianceScaling:scale=3,mode=fan_geo,distribution=untruncated_normal",
    "XavierNormal": "XavierNormal",
    "XavierUniform": "XavierUniform",
    "ZerO": "ZerO",
    "Zeros": "Zeros",
}
# Other arguments of classes that are in the table above.
MORE = (
    "Siren:first=true",
    "VarianceScaling:mode=fan_out,distribution=uniform",
    "VarianceScaling:mode=fan_avg,nonlinearity=gelu,gain=0.5",
    "RandomNormal:stddev=0",
    "TruncatedNormal:stddev=0.2",
    "TruncatedNormal:stddev=0",
    "Orthogonal:nonlinearity=relu",
)


def draws(text, shape):
    """Return the values for many seeds, or the only ones of an initializer that draws nothing."""
    initializer = identifiers.parse(text)
    config = initializer.get_config()
    if "seed" not in config:
        return np.asarray(initializer(shape), np.float64)[None]
    seeds = range(SEEDS)
    return np.stack(
        [type(initializer).from_config({**config, "seed": seed})(shape) for seed in seeds]
    ).astype(np.float64)


def is_likely(samples, expected):
    """Return whether the mean of independent samples is within chance of what is expected."""
    error = samples.std() / math.sqrt(len(samples))
    return abs(samples.mean() - expected) <= SIGMAS * error + 1e-6 * abs(expected)


def test_every_initializer_of_the_playground_is_tested():
    assert set(INITIALIZERS) == set(identifiers.CLASSES) - set(NOT_HERE)
    assert all(text.partition(":")[0] == name for name, text in INITIALIZERS.items())


@pytest.mark.parametrize("text", [*INITIALIZERS.values(), *MORE])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula_has_the_moments_of_the_values(text, shape):
    if text.startswith("Identity") and shape[0] != shape[1]:
        with pytest.raises(ValueError, match="as many outputs as inputs"):
            explain(text, shape)
        return

    explained = explain(text, shape)

    values = draws(text, shape).reshape(-1, math.prod(shape))
    assert is_likely(values.mean(1), explained.mean)
    assert is_likely((values**2).mean(1), explained.variance + explained.mean**2)
    # A formula that is wrong by a tenth would be noticed.
    square = (values**2).mean(1)
    assert SIGMAS * square.std() / math.sqrt(len(square)) <= 0.1 * square.mean()
    assert f"{explained.variance:.3g}" in " ".join(explained.lines)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["HeUniform", "LecunUniform", "Siren", "XavierUniform:gain=3"])
def test_the_bounds_of_uniform_values_are_shown(text, shape):
    line = " ".join(explain(text, shape).lines)
    shown = re.search(r"uniform on \[-(?:limit, limit\], limit = .*? = )?([\d.e-]+)\b", line)

    largest = np.abs(draws(text, shape)).max()
    assert 0.99 <= largest / float(shown[1]) <= 1.005


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["HeNormal", "LecunNormal:nonlinearity=tanh", "GlorotNormal"])
def test_where_a_normal_distribution_is_cut_off_is_shown(text, shape):
    line = " ".join(explain(text, shape).lines)
    sigma, limit = map(
        float, re.search(r"sigma is ([\d.]+): .*? two sigma, ([\d.]+),", line).groups()
    )

    values = draws(text, shape)
    assert 0.99 <= np.abs(values).max() / limit <= 1.005
    assert sigma == pytest.approx(values.std() / 0.8796, rel=0.03)


def test_a_formula_has_the_numbers_of_the_layer():
    assert explain("HeNormal", (16, 3)).lines == (
        "Var(W) = 2 / fan_in = 2 / 16 = 0.125",
        "The 2 makes up for relu, which sets half of its inputs to zero.",
        "standard deviation sqrt(0.125) = 0.354, drawn from a truncated normal whose sigma is "
        "0.402: values beyond two sigma, 0.804, are not used, so that what is left has it",
    )
    assert explain("GlorotNormal", (2, 16)).lines[0] == (
        "Var(W) = 1 / ((fan_in + fan_out) / 2) = 1 / ((2 + 16) / 2) = 0.111"
    )
    assert explain("HeNormal", (16, 3)).title == "HeNormal: 16 x 3 weights"


@pytest.mark.parametrize(
    ("text", "activation", "expected"),
    [
        (
            "GlorotNormal",
            "relu",
            "relu keeps its signal if fan_in * Var(W) = 2; here it is 1, so each layer multiplies "
            "the mean square by 0.5.",
        ),
        ("HeNormal", "relu", "here it is 2, so it does."),
        (
            "LecunNormal",
            "tanh",
            "tanh keeps a mean square of 1 if fan_in * Var(W) = 2.54; here it is 1, so a mean "
            "square of 1 becomes 0.394 in the next layer.",
        ),
        ("CentredNormal:nonlinearity=sigmoid", "sigmoid", "so it does."),
        ("CentredNormal", "sigmoid", "a mean square of 1 becomes 0.0434 in the next layer."),
        ("RandomUniform:minval=0", "relu", "whose mean is 0; here it is 0.025."),
        ("Identity", "relu", "These weights are not random"),
    ],
)
def test_theory_is_compared_in_one_sentence(text, activation, expected):
    assert expected in explain(text, (16, 16), activation).lines[-1]


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("cls", [kerasinit.LecunNormal, kerasinit.CentredNormal])
def test_the_ratio_to_theory_is_what_one_layer_does(cls, activation):
    explained = explain(cls(), (200, 200), activation)
    shown = float(re.search(r"(?:by|becomes) (\d+\.\d+)", explained.lines[-1])[1])

    rng = np.random.default_rng(0)
    before = rng.standard_normal((500, 200)).astype("float32")
    kernels = [cls(seed=seed)((200, 200)) for seed in range(20)]
    active = keras.ops.convert_to_numpy(getattr(keras.activations, activation)(before))
    after = np.mean([((active @ kernel) ** 2).mean() for kernel in kernels])
    assert after == pytest.approx(shown, rel=0.03)


def test_the_first_layer_has_no_activation_to_make_up_for():
    lines = explain("HeNormal", (2, 16)).lines

    assert not any("Theory" in line for line in lines)


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_explained_without_numbers_that_depend_on_data(method):
    explained = explain(method, (16, 3), "relu")

    assert explained.title == f"{method}: 16 x 3 weights"
    assert explained.mean is None
    assert explained.variance is None
    assert len(explained.lines) == 3
    assert explained.source


def test_the_methods_start_from_what_is_shown():
    assert "[-0.577, 0.577]" in explain("within_layer", (16, 2)).lines[0]
    assert "1 / 16 = 0.0625" in explain("lsuv", (16, 3)).lines[0]


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) & set(SOURCES)))
def test_a_source_is_in_the_docstring_of_the_class(name):
    documented = getattr(kerasinit, name).__doc__
    for paper in SOURCES[name].split("; "):
        author, year = re.match(r"(\w+).*, (\d{4})$", paper).groups()
        assert re.search(rf"{author}\b[^;]*{year}", documented), paper


def test_a_name_that_is_wrong_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'HeNormal'"):
        explain("HeNormall", (2, 16))
    with pytest.raises(ValueError, match="only 2 inputs"):
        explain("Sparse", (2, 16))


def test_explaining_does_not_advance_a_seed():
    generator = keras.random.SeedGenerator(3)
    expected = kerasinit.HeNormal(seed=keras.random.SeedGenerator(3))((2, 16))

    explain(kerasinit.HeNormal(seed=generator), (2, 16))

    assert (kerasinit.HeNormal(seed=generator)((2, 16)) == expected).all()

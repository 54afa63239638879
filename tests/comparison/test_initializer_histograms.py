"""What is drawn of initializers: their values, and nothing but their law."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import kerasinit
from kerasinit._src.reports import figures
from tests.kerases import INSTALLED

SHAPE = (40, 30)


def _bars(axes):
    """Return heights and edges of a histogram."""
    (patch,) = axes.patches
    heights, edges, _ = patch.get_data()
    return heights, edges


def test_bars_are_the_histogram_of_the_values_and_the_line_is_their_law():
    initializer = kerasinit.HeNormal(seed=1)

    (axes,) = kerasinit.plot_initializers(initializer, SHAPE).axes

    values = initializer(SHAPE).astype(float).ravel()
    heights, edges = _bars(axes)
    expected, there = np.histogram(values, round(2 * 1200 ** (1 / 3)), density=True)
    np.testing.assert_array_equal(heights, expected)
    np.testing.assert_array_equal(edges, there)
    (line,) = axes.lines
    places, density = line.get_data()
    assert (places[0], places[-1]) == pytest.approx((-2 * 0.2542, 2 * 0.2542), rel=1e-3)
    assert (density[0], density[-1]) == (0, 0)
    assert np.trapezoid(density, places) == pytest.approx(1, abs=1e-3)
    assert axes.get_title() == "HeNormal(seed=1)"
    assert f"variance {values.var():.4g}" in axes.get_xlabel()
    assert "truncated normal law: 0.05" in axes.get_xlabel()


def test_without_a_law_there_is_a_histogram_with_its_variance():
    (axes,) = kerasinit.plot_initializers(kerasinit.Orthogonal(seed=1), SHAPE, bins=7).axes

    assert len(_bars(axes)[0]) == 7
    assert not axes.lines
    assert "variance 0.02" in axes.get_xlabel()
    assert "law" not in axes.get_xlabel()


def test_a_constant_is_a_line_at_its_value():
    (axes,) = kerasinit.plot_initializers(kerasinit.Constant(0.25), SHAPE).axes

    (line,) = axes.lines
    assert set(line.get_xdata()) == {0.25}
    assert "all values are 0.25" in axes.get_xlabel()
    low, high = axes.get_xlim()
    assert low < 0.25 < high


def test_several_have_a_panel_each_with_their_labels():
    choices = ["HeNormal", kerasinit.Ones, kerasinit.Zeros(), {"class_name": "ZerO", "config": {}}]
    drawn = kerasinit.plot_initializers(choices, (8, 8))

    titles = [axes.get_title() for axes in drawn.axes]
    assert titles == ["HeNormal", "Ones()", "Zeros()", "ZerO()"]
    named = kerasinit.plot_initializers({"a $b$": "Ones", "b": "HeNormal"}, (8, 8))
    assert [axes.get_title() for axes in named.axes] == [r"a \$b\$", "b"]
    (legend,) = named.legends
    assert [text.get_text() for text in legend.get_texts()] == ["drawn values", "law"]


def test_axes_are_shared_only_on_demand():
    choices = [kerasinit.RandomNormal(stddev=1, seed=1), kerasinit.RandomNormal(stddev=9, seed=1)]
    limits = {
        same: [
            a.get_xlim() for a in kerasinit.plot_initializers(choices, SHAPE, same_scale=same).axes
        ]
        for same in (False, True)
    }

    assert limits[True][0] == limits[True][1]
    assert limits[False][1][1] > 5 * limits[False][0][1]


@pytest.mark.parametrize("library", INSTALLED)
def test_initializers_of_either_keras_are_drawn(library):
    theirs = library.initializers.GlorotUniform(seed=1)

    (axes,) = kerasinit.plot_initializers(theirs, SHAPE).axes

    assert axes.get_title() == f"{library.__name__}: GlorotUniform"
    _, edges = _bars(axes)
    assert edges[-1] == np.max(theirs(SHAPE))
    assert "uniform law" in axes.get_xlabel()


def test_functions_are_drawn():
    def ramp(shape, dtype=None):
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    (axes,) = kerasinit.plot_initializers(ramp, (3, 4), bins=12).axes

    assert axes.get_title().endswith("ramp")
    np.testing.assert_allclose(_bars(axes)[0], 1 / 11)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], SHAPE), ValueError, r"Expected one or more initializers, .*; got \[\]"),
        ((None, SHAPE), ValueError, "Expected one or more initializers"),
        (("he_norml", SHAPE), ValueError, "Did you mean 'HeNormal'"),
        (([3], SHAPE), ValueError, "Expected an initializer"),
        (("HeNormal", 30), TypeError, r"Expected as shape the sizes .*\(784, 300\); got 30"),
        (("HeNormal", (3, 2.5)), TypeError, "Expected as shape"),
        (("HeNormal", (3, 0)), ValueError, "Expected as shape"),
    ],
)
def test_wrong_input_is_refused_in_words(arguments, error, message):
    with pytest.raises(error, match=message):
        kerasinit.plot_initializers(*arguments)


def test_wrong_numbers_of_bars_and_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="bins to be an integer of at least 1; got 0"):
        kerasinit.plot_initializers("HeNormal", SHAPE, bins=0)
    with pytest.raises(TypeError, match=r"bins to be an integer of at least 1; got 2\.5"):
        kerasinit.plot_initializers("HeNormal", SHAPE, bins=2.5)
    broken = {"broken": lambda shape, dtype=None: np.full(shape, np.nan)}
    with pytest.raises(ValueError, match="broken drew values that are NaN or infinite"):
        kerasinit.plot_initializers(broken, SHAPE)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_figure_is_written(kind):
    drawn = kerasinit.plot_initializers(["HeNormal", "Zeros", "Sparse"], SHAPE)

    content = figures.rendered(drawn, kind)

    if kind == "svg":
        assert ET.fromstring(content).tag.endswith("svg")
        assert "HeNormal" in content.decode()
    else:
        assert content.startswith(b"\x89PNG")

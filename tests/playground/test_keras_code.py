"""The Keras lines build the very network of a side, and the script repeats a run."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from kerasinit._src.playground.keras_code import WIDTH, network_code, script
from kerasinit._src.playground.settings import (
    ACTIVATIONS,
    METHODS,
    NORMALIZATIONS,
    OPTIMIZERS,
    Settings,
    SideSettings,
)
from kerasinit._src.playground.two_networks import TwoNetworks
from tests.products import nightly

BASE = {"data": "xor", "depth": 3, "width": 5, "seed": 2}
CASES = {
    "plain": {},
    "first seed": {"seed": 0},
    "one layer": {"depth": 1},
    "one residual layer": {"depth": 1, "residual": True},
    "residual": {"residual": True},
    **{name: {"normalization": name, "optimizer": "adam"} for name in NORMALIZATIONS[1:]},
    "residual and normalized": {"residual": True, "normalization": "batch"},
    **{name: {"optimizer": name, "learning_rate": 0.0123} for name in OPTIMIZERS},
    "digits": {"data": "digits"},
    "large seed": {"seed": 999_999},
}
SIDES = {
    "seeded": SideSettings("HeNormal:seed=7"),
    "arguments": SideSettings(
        "VarianceScaling:scale=3,mode=fan_avg,distribution=uniform,nonlinearity=tanh", "tanh"
    ),
    "alias": SideSettings("KaimingUniform:negative_slope=0.2", "leaky_relu"),
    "registered": SideSettings("kerasinit>TruncatedNormal:absolute=true,stddev=0.5"),
    "not random": SideSettings("Constant:value=0.1", bias="Ones"),
    "random bias": SideSettings("Orthogonal:gain=2", bias="RandomNormal:stddev=0.3"),
    **{name: SideSettings(name, "gelu") for name in METHODS},
    "method and bias": SideSettings("lsuv", "softplus", bias="RandomUniform"),
}


def built_by(code, two):
    """Run lines as a notebook would, and return their model."""
    names = {"x": two.examples.x}
    exec(compile(code, "<page>", "exec"), names)
    return names["model"]


def check_same(settings, side="left"):
    two = TwoNetworks(settings)
    examples = two.examples
    code = network_code(settings, side, len(examples.classes), examples.x.shape[1])

    model = built_by(code, two)

    expected = getattr(two, side)
    ours, theirs = model.get_weights(), expected.get_weights()
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes()
    x = examples.x[:64]
    assert (np.asarray(model(x)) == np.asarray(expected(x))).all()
    assert type(model.optimizer) is type(expected.optimizer)
    assert without_name(model.optimizer) == without_name(expected.optimizer)
    assert without_name(model.loss) == without_name(expected.loss)
    kinds = [type(layer) for layer in expected.layers if not is_input(layer)]
    assert [type(layer) for layer in model.layers if not is_input(layer)] == kinds
    return code


def without_name(part):
    return {key: value for key, value in part.get_config().items() if key != "name"}


def is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)


@pytest.mark.parametrize("changes", CASES.values(), ids=list(CASES))
def test_the_lines_build_the_network(changes):
    settings = Settings(**{**BASE, **changes}, left=SideSettings("HeNormal", "elu"))

    check_same(settings)


@pytest.mark.parametrize("side", SIDES.values(), ids=list(SIDES))
def test_the_lines_have_the_initializers(side):
    check_same(Settings(**BASE, right=side), "right")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_lines_have_the_activation(activation):
    settings = Settings(**{**BASE, "depth": 1}, left=SideSettings("HeNormal", activation))

    assert f'keras.layers.Activation("{activation}")' in check_same(settings)


@pytest.mark.parametrize("method", METHODS)
def test_methods_and_residuals_go_together(method):
    settings = Settings(**BASE, residual=True, normalization="layer", left=SideSettings(method))

    check_same(settings)


def formatted(code):
    """Return Python as ruff writes it."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", f"--line-length={WIDTH}"]
    return subprocess.run([*command, "-"], input=code, text=True, capture_output=True, check=True)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(depth=1, seed=3, left=SIDES["arguments"]),
        Settings(residual=True, normalization="batch", left=SIDES["arguments"]),
        Settings(residual=True, left=SideSettings("lsuv"), right=SIDES["random bias"]),
        Settings(data="csv", rounds=2, right=SIDES["arguments"]),
    ],
    ids=["plain", "one layer", "residual", "method", "file"],
)
def test_the_code_is_formatted(settings):
    texts = [script(settings, 300), *(network_code(settings, s, 2, 2) for s in ("left", "right"))]
    for text in texts:
        # Only the text of an initializer cannot be wrapped.
        lines = [line for line in text.splitlines() if ' initializer="' not in line]
        assert max(map(len, lines)) <= WIDTH
        assert formatted(text).stdout == text
        compile(text, "<page>", "exec")


def test_a_deep_network_takes_a_loop():
    assert len(network_code(Settings(depth=50), "left", 2, 2).splitlines()) < 30


def run_script(settings, steps, capsys):
    """Run a script of these settings; return what it prints, as numbers by their names."""
    exec(compile(script(settings, steps), "<page>", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split(": ", 1) for line in lines)


def test_a_script_repeats_the_run(capsys):
    settings = Settings(**BASE, normalization="batch", right=SideSettings("lsuv", "tanh"))
    two = TwoNetworks(settings)
    two.advance(40)

    printed = run_script(settings, 40, capsys)

    for name, number in zip(two.columns, two.rows[-1], strict=True):
        assert printed[name] == f"{number:g}"
    assert float(printed["largest difference"]) < 1e-5
    assert printed["left"].startswith(f"loss {two.rows[-1][1]:.4g}"[:9])


def test_a_script_does_not_hide_that_a_network_diverged(capsys):
    wild = SideSettings("RandomNormal:stddev=2")
    settings = Settings(
        data="xor", seed=2, learning_rate=1.0, left=SideSettings("Zeros"), right=wild
    )

    printed = run_script(settings, 10, capsys)

    assert printed["right"] == "loss nan (playground), nan (Keras)"
    assert printed["largest difference"] == "nan"


def test_a_script_compares_up_to_the_first_pruning(capsys):
    settings = Settings(**BASE, rounds=2, round_steps=15, right=SideSettings(survivors="redraw"))
    two = TwoNetworks(settings)
    two.advance(50)

    printed = run_script(settings, 50, capsys)

    assert printed["step"] == "50"
    assert printed["left loss"] == f"{two.rows[-1][1]:g}"
    assert float(printed["largest difference"]) < 1e-5
    assert "It does not prune" in script(settings, 50)
    assert "end of the first round on, step 15." in script(settings, 50)
    # Before the end of the first round nothing is left out.
    assert "It does not prune" not in script(settings, 14)


def test_a_script_of_a_file_has_a_place_for_its_rows(capsys):
    settings = Settings(**{**BASE, "data": "csv"})
    text = script(settings, 10)
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).tolist()
    labels = (np.arange(60) % 2).tolist()
    assert "not part of this script" in text

    filled = text
    for name, rows in (("x", x), ("labels", labels), ("classes", ["a", "b"]), ("columns", "abc")):
        filled = filled.replace(f'"{name}": [],', f'"{name}": {list(rows)!r},')
    exec(compile(filled, "<page>", "exec"), {})

    printed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert float(printed["largest difference"]) < 1e-5


@nightly
def test_a_script_of_many_steps_trains_in_parts(capsys):
    settings = Settings(**{**BASE, "depth": 1, "learning_rate": 0.003})

    printed = run_script(settings, 1205, capsys)

    assert printed["step"] == "1200"  # the last recorded one
    assert float(printed["largest difference"]) < 1e-4

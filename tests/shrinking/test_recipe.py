"""What is promised of the way from a dense network to a small int8 file, step by step.

The steps are those of `tests/benchmarks/shrinking_recipe.py`, on few images, for few epochs.
"""

import keras
import numpy as np
import pytest

from kerasinit import shrinking
from kerasinit._src.training.data import load
from tests.benchmarks import shrinking_recipe

DATA = shrinking_recipe.images(load("digits"))
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def steps():
    """The steps by their names, and the weights of the dense network when it was trained."""
    found, trained = {}, None
    for step in shrinking_recipe.recipe(DATA, epochs=3, width=16, seed=0, round_to=8):
        found[step.name] = step
        trained = trained or step.model.get_weights()
    return found, trained


def test_no_step_loses_accuracy(steps):
    found = {name: step.accuracy for name, step in steps[0].items()}

    # Of four seeds the smallest is 0.958.
    assert next(iter(found)) == "dense"
    assert len(found) == 7
    assert min(found.values()) > 0.93
    assert found["distilled, int8"] > found["dense"] - 0.03


def test_half_of_the_multiplications_are_left(steps):
    dense, pruned, compact, distilled = (
        shrinking.count(steps[0][name].model)
        for name in ("dense", "structured", "compact", "distilled")
    )

    assert 0.3 < compact.macs / dense.macs <= 0.5
    assert (pruned.macs, pruned.parameters) == (dense.macs, dense.parameters)
    assert distilled.macs == compact.macs
    assert compact.parameters < pruned.nonzeros < dense.nonzeros


def test_compaction_changes_no_answer(steps):
    found = steps[0]["compact"]

    assert found.difference < 1e-5
    assert found.accuracy == steps[0]["structured"].accuracy


def test_the_distilled_network_answers_more_like_the_dense_one(steps):
    def distance(name):
        dense, other = (
            keras.ops.softmax(steps[0][one].model.predict(DATA.x_train, verbose=0) / 3)
            for one in ("dense", name)
        )
        return float(np.mean(keras.losses.kl_divergence(dense, other)))

    assert distance("distilled") < 0.5 * distance("compact, labels alone")


def test_the_dense_network_is_left_as_it_was(steps):
    found, trained = steps

    for before, after in zip(trained, found["dense"].model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_each_step_makes_the_file_smaller(steps, tmp_path):
    found, _ = steps
    files = {
        name: shrinking.export(found[name].model, tmp_path / f"{name}.tflite", quantize=None)
        for name in ("structured", "compact")
    }

    # Zeros help only where the file is zipped.
    assert files["structured"].bytes > 4 * shrinking.count(found["dense"].model).parameters * 0.95
    assert files["structured"].gzipped < 0.8 * files["structured"].bytes
    assert files["compact"].bytes < 0.7 * files["structured"].bytes
    assert found["distilled, int8"].export.bytes < 0.5 * files["compact"].bytes
    assert found["distilled, int8"].export.bytes < found["dense, int8"].export.bytes


def test_the_int8_file_computes_what_the_model_does(steps):
    found = steps[0]["distilled, int8"]

    assert found.export.examples == 64
    assert 0 < found.difference < 0.1


def test_the_table_has_a_line_for_each_step():
    model = shrinking_recipe.network((8, 8, 1), 10, 4)
    runs = [
        [shrinking_recipe.Step("dense", model, one), shrinking_recipe.Step("i8", model, 1, "int8")]
        for one in (0.5, 0.7)
    ]

    found = shrinking_recipe.table(runs, DATA.x_test, DATA.x_train[:20], seconds=0.1)

    dense, int8 = (line.strip("| ").split(" | ") for line in found.splitlines()[2:])
    assert dense[:2] == ["dense", "60.00%"]
    assert int8[:2] == ["i8", "100.00%"]
    assert dense[-1] == "1.00"
    assert int8[2:4] == dense[2:4]
    assert int8[4] != dense[4]


def test_logits_are_distilled_through_a_softmax():
    # Keras 3.15 does so for an instance of the loss, not for its name.
    teacher, student = np.array([[2.0, -1.0, 0.5]]), np.array([[0.0, 1.0, -3.0]])
    soft = [np.exp(one / 3) / np.exp(one / 3).sum() for one in (teacher, student)]

    loss = keras.distillation.LogitsDistillation(3.0, keras.losses.KLDivergence())

    expected = 3.0**2 * np.sum(soft[0] * np.log(soft[0] / soft[1]))
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)

"""A diagnosis sees every kind of model, and leaves it as it was."""

import dataclasses
import json
import random
import re

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from tests.diagnosis import networks
from tests.kerases import KERASES

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


@BOTH
def test_nothing_of_the_model_changes_to_the_last_bit(library):
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((6,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = networks.batch(12, 6), np.arange(12) % 3
    model.fit(x, y, verbose=0)

    def state():
        metrics = [variable for metric in model.metrics for variable in metric.variables]
        held = [*model.variables, *optimizers.optimizer_variables(model), *metrics]
        return [compat.read(variable).tobytes() for variable in held], [
            sorted(vars(layer)) for layer in model.layers
        ]

    def random_states():
        return np.random.get_state()[1].tobytes(), random.getstate()

    random_state = random_states()
    before = state()
    report = kerasinit.diagnose(model, x, y)
    assert state() == before
    # Drawn anew and put back, the optimizer as well.
    assert len(kerasinit.diagnose(model, x, y, seeds=2).seeds) == 2
    assert state() == before
    assert random_states() == random_state
    assert report.measured.objective == "sparse_categorical_crossentropy"
    assert report.layers[0].update_ratio > 0
    assert report.measured.passes <= 10


@BOTH
def test_layers_are_put_back_when_a_pass_fails(library):
    model = networks.stack(library, 4, 1, "relu", "he_normal")
    with pytest.raises(Exception):  # noqa: B017, PT011 - each Keras has its own
        kerasinit.diagnose(model, networks.batch(4, 5))
    assert all("call" not in vars(layer) for layer in model.layers)


def test_a_subclassed_model_and_layers_inside_it_are_seen_in_the_order_of_the_data():
    @keras.saving.register_keras_serializable("tests")
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(2)
            self.shared = keras.layers.Dense(4, "relu")

        def call(self, x):
            return self.last(self.shared(self.shared(x)))

    model = Twice()
    model(np.zeros((1, 4)))
    report = kerasinit.diagnose(model, networks.batch(8, 4))
    assert [(row.kind, row.shape[-1], row.call) for row in report.layers] == [
        ("Dense", 4, 1),
        ("Dense", 4, 2),
        ("Dense", 2, 1),
    ]


def test_batch_normalization_normalizes_by_the_batch():
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(epsilon=1e-12)])
    report = kerasinit.diagnose(model, 50 + 10 * networks.batch(16, 3))
    assert report.layers[0].signal.mean == pytest.approx(0, abs=1e-4)
    assert report.layers[0].signal.variance == pytest.approx(1, rel=1e-3)


def test_gradients_and_updates_are_those_of_the_hand_computed_example():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[2.0]])])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    # Outputs 2 and 6, labels 0: loss (4 + 36) / 2; gradients 2 and 6; of the weight 2 + 18.
    row = kerasinit.diagnose(model, np.array([[1.0], [3.0]]), np.zeros((2, 1))).layers[0]
    assert row.gradient == pytest.approx(40**0.5)
    assert row.weight_gradient == pytest.approx(20)
    assert row.update_ratio == pytest.approx(0.1 * 20 / 2)


@BOTH
def test_seeds_tell_the_initializers_from_these_weights_and_from_chance(library):
    x = networks.batch(16, 32)
    # A NaN is of these weights, and of no others.
    model = networks.FAULTS["nan"].planted(library, 32, 0)
    (finding,) = kerasinit.diagnose(model, x, seeds=3).findings
    assert (finding.kind, finding.as_is, finding.seeds) == ("non-finite", True, ())

    # Constants are of the initializers: reinitialized by others, it shows under the seeds alone.
    model = networks.stack(library, 32, 3, "tanh", library.initializers.Constant(0.1))
    report = kerasinit.diagnose(model, x, seeds=[7, 9])
    assert report.findings[0].kind == "symmetry"
    assert report.findings[0].seeds == report.seeds == (7, 9)
    assert "in 2 of 2 seeds" in str(report)
    kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
    assert kerasinit.diagnose(model, x).ok
    report = kerasinit.diagnose(model, x, seeds=[7, 9])
    assert not report.ok
    assert (report.findings[0].as_is, report.findings[0].seeds) == (False, (7, 9))
    assert "not as it is, but in 2 of 2 seeds" in str(report)
    assert "not as it is, but in 2 of 2 seeds" in report.to_html()


@BOTH
def test_a_seed_judges_the_weights_that_reinitialize_gives_with_it(library):
    x = networks.batch(16, 32)
    model = networks.drawn(networks.stack(library, 32, 30, "relu", "glorot_uniform"), seed=5)
    (drawn, again) = (kerasinit.diagnose(model, x, seeds=seeds).findings for seeds in ([], [5]))
    assert [one.kind for one in drawn] == [one.kind for one in again]
    assert all(one.seeds == (5,) for one in again)


def test_the_model_is_put_back_when_drawing_anew_fails():
    def broken(shape, dtype=None):
        if next(calls):
            raise ValueError("no more")
        return np.ones(shape, "float32")

    calls = iter([False, True])
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, kernel_initializer="he_normal"),
            keras.layers.Dense(4, kernel_initializer=broken),
        ]
    )
    before = [weight.tobytes() for weight in model.get_weights()]
    with pytest.raises(ValueError, match="no more"):
        kerasinit.diagnose(model, networks.batch(4, 4), seeds=1)
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_the_functional_depends_on_the_seed_and_on_nothing_else():
    model, x = networks.stack(keras, 8, 2, "tanh", "glorot_uniform"), networks.batch(8, 8)

    def gradients(seed):
        return [row.gradient for row in kerasinit.diagnose(model, x, seed=seed).layers]

    assert gradients(1) == gradients(1)
    assert gradients(1) != gradients(2)


def test_only_the_first_examples_are_looked_at():
    model, x = networks.stack(keras, 8, 1, "tanh", "glorot_uniform"), networks.batch(9, 8)
    assert kerasinit.diagnose(model, x, examples=4).measured.examples == 4
    assert (
        kerasinit.diagnose(model, x[:4]).layers == kerasinit.diagnose(model, x, examples=4).layers
    )


def test_no_more_is_read_than_is_looked_at():
    """Of a file, as h5py opens one, and of a table whose rows have names, as pandas reads one."""

    class File:
        def __init__(self, values):
            self.values, self.shape, self.dtype = values, values.shape, values.dtype

        def __len__(self):
            return len(self.values)

        def __array__(self, *args, **kwargs):
            raise AssertionError("read whole")

        def __getitem__(self, rows):
            return self.values[rows]

    class Table(File):
        def __getitem__(self, rows):
            raise AssertionError("looked up by name")

        @property
        def iloc(self):
            return self.values

    model, x = networks.stack(keras, 8, 1, "tanh", "glorot_uniform"), networks.batch(9, 8)
    model.compile("sgd", "mse")
    y = networks.batch(9, 10)
    expected = kerasinit.diagnose(model, x, y, examples=4)
    for kind in (File, Table):
        assert kerasinit.diagnose(model, kind(x), kind(y), examples=4).layers == expected.layers
    with pytest.raises(ValueError, match="as many labels"):
        kerasinit.diagnose(model, File(x), y[:4], examples=4)


def test_the_report_is_a_narrow_table_and_plain_json():
    model = networks.FAULTS["nan"].planted(keras, 32, 0)
    report = kerasinit.diagnose(model, networks.batch(8, 32))
    assert max(map(len, str(report).splitlines())) <= 80
    assert "non-finite at dense_2" in str(report)
    assert "kerasinit.recommend" not in str(report)  # what is lost is to be loaded
    ill = kerasinit.diagnose(networks.FAULTS["small"].planted(keras, 32, 0), networks.batch(8, 32))
    assert "kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)" in str(ill)
    content = json.loads(report.to_json())
    assert content["findings"][0]["kind"] == "non-finite"
    assert content["measured"]["layers"][2]["signal"]["mean"] is None


def test_long_paths_are_shortened_and_numbers_are_not():
    inner = [keras.layers.Dense(8, "tanh") for _ in range(3)]
    model = keras.Sequential([keras.Input((8,)), inner[0], keras.layers.Dense(8), *inner[1:]])
    for _ in range(4):
        model = keras.Sequential([keras.Input((8,)), model])
    report = kerasinit.diagnose(model, networks.batch(8, 8))
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 80
    for row in report.layers:
        (line,) = [one for one in lines if f"{row.layer.rsplit('/', 1)[1]} " in one]
        assert line.lstrip().startswith("…")
        assert f"{row.gradient:.1e}" in line
        assert f"{row.weight_gradient:.1e}" in line
        assert f"{row.signal.correlation:.4f}" in line
    assert "|dL/dh|" in str(report)


def test_mistakes_are_told():
    model, x = networks.stack(keras, 4, 1, "relu", "he_normal"), networks.batch(4, 4)
    with pytest.raises(ValueError, match="Give loss="):
        kerasinit.diagnose(model, x, y=np.zeros((4, 10)))
    with pytest.raises(ValueError, match="needs labels"):
        kerasinit.diagnose(model, x, loss="mse")
    with pytest.raises(ValueError, match="at least 2"):
        kerasinit.diagnose(model, x, examples=1)
    with pytest.raises(ValueError, match="at least 0"):
        kerasinit.diagnose(model, x, seeds=-1)
    with pytest.raises(ValueError, match="distinct"):
        kerasinit.diagnose(model, x, seeds=[1, 1])
    with pytest.raises(TypeError, match="list of seeds"):
        kerasinit.diagnose(model, x, seeds="3")
    with pytest.raises(TypeError, match=r"keras\.Sequential"):
        kerasinit.diagnose(keras.layers.Dense(3), x)


def test_the_plot_draws_every_layer_and_marks_those_of_the_findings():
    report = kerasinit.diagnose(
        networks.stack(keras, 32, 3, "tanh", networks.normal(1.0)), networks.batch(8, 32)
    )
    above, below = report.plot().axes
    every, marked = above.lines
    assert list(every.get_ydata()) == [row.signal.square for row in report.layers]
    assert list(marked.get_xdata()) == [0, 1, 2]
    assert list(below.lines[0].get_ydata()) == [row.gradient for row in report.layers]


def test_the_page_holds_findings_and_layers_loads_nothing_and_escapes_names():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, "tanh", kernel_initializer="ones")]
    )
    report = kerasinit.diagnose(model, networks.batch(4, 8))
    told = dataclasses.replace(report.findings[0], layer="<script>")
    html = dataclasses.replace(report, findings=(told,)).to_html()
    assert "symmetry at &lt;script&gt;" in html
    assert "<script>" not in html
    # The names of SVG's own spaces are no addresses that a browser loads.
    addresses = re.findall(r"https?://[^\"'\s<>)]+", html)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert html.count('scope="row"') == len(report.layers)

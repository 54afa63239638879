"""Data are read, checked, split and put in order."""

import itertools

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src.training.data import Order, load
from kerasinit.lottery import Dataset, Experiment, questions
from tests.kerases import tf_keras
from tests.lottery.blobs import blobs


def _write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (20, 3, 3), dtype=np.uint8),
        "y_train": (np.arange(20) % 4).astype(np.uint8),
        "x_test": rng.integers(0, 256, (8, 3, 3), dtype=np.uint8),
        "y_test": (np.arange(8) % 4).astype(np.uint8),
    }


def test_digits_need_no_network_and_are_split_the_same_every_time():
    first, second = load("digits"), load("digits")

    assert first.digest == second.digest
    assert (len(first.x_train), len(first.x_test)) == (1438, 359)
    assert (first.input_shape, first.num_classes) == ((64,), 10)
    assert (first.x_train.min(), first.x_train.max()) == (0, 1)


def test_an_npz_file_is_read_and_bytes_are_scaled(tmp_path, arrays):
    data = load(_write(tmp_path / "mine.npz", **arrays))

    assert data.name == "mine"
    assert data.x_train.dtype == np.float32
    np.testing.assert_allclose(data.x_train, arrays["x_train"] / 255, rtol=1e-6)
    np.testing.assert_array_equal(data.y_test, arrays["y_test"])


def test_the_digest_notices_one_changed_value(tmp_path, arrays):
    before = load(_write(tmp_path / "a.npz", **arrays)).digest
    arrays["x_test"][3, 1, 1] ^= 1

    assert load(_write(tmp_path / "a.npz", **arrays)).digest != before


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"y_test": None}, "has no array y_test; it has x_test, x_train, y_train"),
        ({"y_train": np.zeros(3, int)}, "x_train has 20 examples and y_train 3 labels"),
        ({"x_test": np.zeros((8, 4, 4), np.uint8)}, r"\(3, 3\), one of x_test \(4, 4\)"),
        ({"x_train": np.zeros((20, 3, 3), int)}, "dtype int64; expected uint8"),
        ({"x_train": np.full((20, 3, 3), np.nan)}, "not finite"),
        ({"x_train": np.zeros(20, np.uint8)}, "at least one feature"),
        ({"y_train": np.full(20, 0.5)}, "expected class indices"),
        ({"y_train": np.full(20, -1)}, "expected class indices"),
        ({"y_train": np.array([None] * 20)}, "Python objects"),
    ],
)
def test_a_file_that_is_not_right_says_why(tmp_path, arrays, change, match):
    arrays |= change
    path = _write(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})

    with pytest.raises(ValueError, match=match):
        load(path)


def test_what_is_no_npz_file_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")

    with pytest.raises(ValueError, match=r"is not an \.npz file"):
        load(str(tmp_path / "text.npz"))
    with pytest.raises(ValueError, match="No such file"):
        load(str(tmp_path / "missing.npz"))
    with pytest.raises(ValueError, match=r"'mnsit'\. Did you mean 'mnist'\? Choices: cifar10, dig"):
        load("mnsit")


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_what_keras_downloads_is_its_own_and_a_failure_says_what_else_there_is(
    monkeypatch, arrays, name
):
    def fails():
        raise Exception("URL fetch failure")  # as Keras does

    whole = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    source = getattr(keras.datasets, name)
    monkeypatch.setattr(source, "load_data", lambda: whole)
    np.testing.assert_array_equal(load(name).y_test, arrays["y_test"])
    monkeypatch.setattr(source, "load_data", fails)
    with pytest.raises(OSError, match=r"URL fetch failure.*use 'digits', which needs no network"):
        load(name)


def test_an_array_that_promises_more_than_the_file_holds_is_refused(tmp_path, arrays):
    import zipfile

    path = tmp_path / "bomb.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if k != "x_train"})
    with zipfile.ZipFile(path, "a") as archive, archive.open("x_train.npy", "w") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**44,)}
        np.lib.format.write_array_header_1_0(file, header)

    with pytest.raises(ValueError, match="declares 17592186044416 bytes"):
        load(str(path))


def test_the_split_keeps_every_example_once_and_depends_on_seed_and_trial():
    data = blobs()
    train, validation = data.split(seed=0, trial=0)

    assert sorted([*train, *validation]) == list(range(len(data.x_train)))
    assert len(validation) == data.num_validation == len(data.x_train) // 6
    for seed, trial in ((1, 0), (0, 1)):
        assert set(data.split(seed, trial)[1]) != set(validation)
    np.testing.assert_array_equal(data.split(0, 0)[1], validation)


def test_the_number_to_validate_on_can_be_given():
    data = blobs()
    train, validation = data.split(0, 0, validation=7)

    assert (len(train), len(validation)) == (len(data.x_train) - 7, 7)
    with pytest.raises(ValueError, match="--validation 180 leaves none to train on"):
        data.split(0, 0, validation=len(data.x_train))


def test_mnist_sets_aside_as_many_as_the_paper():
    x = np.zeros((60_000, 1), "float32")
    data = Dataset(x, np.zeros(60_000, int), x[:10], np.zeros(10, int))

    assert data.num_validation == 5000


@given(
    size=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 30), min_size=2, max_size=5).map(sorted),
)
def test_an_order_does_not_depend_on_how_it_is_asked_for(size, batch_size, cuts):
    positions = np.arange(size) * 3

    def ask(start, stop):
        return Order(positions, batch_size, seed=1, trial=0).batches(start, stop)

    whole = ask(cuts[0], cuts[-1]) if cuts[0] < cuts[-1] else np.empty((0, batch_size))
    pieces = [ask(a, b) for a, b in itertools.pairwise(cuts) if a < b]

    np.testing.assert_array_equal(whole, np.concatenate([whole[:0], *pieces]))


def test_an_order_shows_every_example_once_in_each_epoch():
    order = Order(np.arange(6), 4, seed=0, trial=0).batches(0, 6).ravel()

    epochs = order.reshape(4, 6)
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_orders_of_other_trials_and_seeds_differ():
    orders = {
        tuple(Order(np.arange(50), 50, seed, trial).batches(0, 1).ravel())
        for seed, trial in ((0, 0), (1, 0), (0, 1))
    }
    assert len(orders) == 3


@pytest.mark.parametrize(
    ("x", "y", "digest"),
    [
        (np.arange(24 * 6, dtype=np.uint8).reshape(24, 2, 3), np.arange(24) % 3, "461a1f441961"),
        (np.linspace(0, 1, 144).reshape(24, 6), np.arange(24).reshape(24, 1) % 3, "a885a4686b72"),
        (np.ones((24, 6), "float16"), np.eye(3)[np.arange(24) % 3], "1e00a4d1dc67"),
    ],
    ids=["uint8", "float64", "float16"],
)
def test_a_file_has_the_digest_of_its_arrays_that_it_had_when_runs_began(x, y, digest, tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    assert load(str(path)).digest == Dataset(x, y, x[:7], y[:7]).digest
    assert load(str(path)).digest.startswith(digest)
    changed = np.array(x)
    changed[-1, -1] = 0
    np.savez(path, x_train=changed, y_train=y, x_test=x[:7], y_test=y[:7])
    assert not load(str(path)).digest.startswith(digest)


X, Y = np.linspace(0, 1, 120, dtype="float32").reshape(20, 6), np.arange(20) % 3


def _with(x=X, y=Y):
    return Dataset(x, y, x, y, name="mine")


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ((X > 0.5).astype("float32"), "several labels for an example, and regression, are not"),
        ((X > 0.5).astype(int), "rows that are not class probabilities: 20 of 20"),
        (np.eye(3)[Y] * 2, "with a sum of 2"),
        (np.eye(3)[Y] - 0.2, "rows that are not class probabilities"),
        (np.full((20, 3), 1 / 3), "rows without a single largest class: 20 of 20"),
        (np.full((20, 2), np.nan), "not finite"),
        (X[:, :1], "regression is not supported"),
        (X[:, 0], "regression is not supported"),
        (Y.astype(float), r"\.astype\('int64'\)"),
        (Y.astype(bool), "For two classes use"),
        (Y.astype(str), "numpy.unique"),
        (Y.astype(object), "numpy.unique"),
        (np.stack([np.eye(3)[Y]] * 2, axis=1), "a label for each position or step"),
        (np.where(Y, 2**32 + 1, 0), "the label 4294967297; expected class indices"),
        (np.full(20, 2**31 + 5), "the label 2147483653"),
        (np.full(20, np.iinfo(np.uint64).max, np.uint64), "the label 18446744073709551615"),
        (np.where(Y, 2_000_000_000, 0), "the label 2000000000"),
        (np.full(20, -(2**40)), "the label -1099511627776"),
    ],
)
def test_what_is_no_class_for_each_example_is_refused(y, match):
    with pytest.raises(ValueError, match=rf"mine: y_train .*{match}"):
        _with(y=y)


@pytest.mark.parametrize(
    "y",
    [Y.astype(dtype) for dtype in ("uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64")]
    + [Y[:, None], Y.tolist(), np.eye(3, dtype=bool)[Y], np.eye(3, dtype=int)[Y]]
    + [(0.9 * np.eye(3) + 0.1 / 3)[Y].astype(dtype) for dtype in ("float16", "float64")],
    ids=lambda y: f"{getattr(y, 'dtype', 'list')}",
)
def test_classes_of_any_type_are_taken(y):
    data = _with(y=y)

    assert data.num_classes == 3
    found = data.y_train if data.y_train.ndim == 1 else data.y_train.argmax(axis=1)
    np.testing.assert_array_equal(found, Y)


def test_more_classes_than_examples_are_a_warning():
    with pytest.warns(UserWarning, match=r"implies 191 classes, but there are 40 examples.*unique"):
        _with(y=Y * 95)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X, Y


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ({"a": X, "b": X}, r"a dict with a, b; a lottery takes models with one input"),
        ([X, X[:, :2]], r"shapes are \(20, 6\), \(20, 2\)\).*numpy.concatenate"),
        ([X, X], "Inputs in several arrays are not supported"),
        ((X, X), "Inputs in several arrays are not supported"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), "is a tf.data.Dataset.*as_numpy"),
        ((row for row in X), "is a generator; expected an array in memory"),
        (Batches(), "yields batches"),
        (scipy.sparse.csr_matrix(X), r"toarray\(\)"),
        (np.ma.masked_array(X, X > 0.5), "whose mask would be lost"),
        (None, "is None; expected an array"),
        ("mnist", "is 'mnist'; expected an array"),
        ((20 * X).astype("int64"), r"For ids.*\.astype\('float32'\); keras.layers.Embedding"),
        ((20 * X).astype("int32"), "expected uint8"),
        (X > 0.5, "expected uint8"),
        (X.astype(str), "Convert text to integers"),
        (X.astype(complex), "expected uint8 or floating point"),
        (np.full((20, 6), 1e300), r"values up to 1e\+300.*3.4e38"),
        (np.full((20, 6), -1e300), r"values up to 1e\+300"),
        (np.full((20, 6), np.inf), "not finite"),
    ],
)
def test_inputs_that_are_no_array_say_what_is_and_the_way_round(x, match):
    with pytest.raises(ValueError, match=rf"mine: x_train.*{match}"):
        _with(x=x)


def test_ids_go_through_an_embedding_as_floats():
    for library in (keras, tf_keras):
        layer = library.layers.Embedding(2000, 3)
        ids = np.array([[0, 1999], [7, 1024]])
        np.testing.assert_array_equal(layer(ids), layer(ids.astype("float32")))


@pytest.mark.parametrize(
    "thing", [((X, Y), (X, Y)), tf.data.Dataset.from_tensor_slices((X, Y)), "mnist", {"x": X}]
)
def test_data_that_are_no_dataset_are_refused_wherever_they_are_asked_for(thing, tmp_path):
    for ask in (
        lambda: lottery.run(Experiment(), data=thing, out=tmp_path / "run"),
        lambda: questions.earlybird(Experiment(), data=thing, out=tmp_path / "run"),
        lambda: questions.sweep(["HeNormal"], Experiment(), data=thing, out=tmp_path / "run"),
    ):
        with pytest.raises(TypeError, match=r"Expected data to be a kerasinit.lottery.Dataset"):
            ask()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("thing", ["digits", {"levels": 3}, 3])
def test_what_is_no_experiment_is_refused(thing, tmp_path):
    for ask in (lottery.run, questions.earlybird):
        with pytest.raises(TypeError, match="Expected experiment to be a kerasinit"):
            ask(thing, out=tmp_path / "run")


def test_what_is_wrong_in_a_file_names_the_file(tmp_path, arrays):
    for change in (
        {"y_train": np.full(20, 2**40)},
        {"x_train": np.full((20, 3, 3), np.nan)},
        {"x_test": np.full((8, 3, 3), 1e300)},
    ):
        path = _write(tmp_path / "a.npz", **(arrays | change))
        with pytest.raises(ValueError, match=r"/a\.npz: [xy]_"):
            load(path)

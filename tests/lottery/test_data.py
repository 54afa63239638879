"""Data are read, checked, split and put in order."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit.lottery import Dataset, data
from kerasinit.lottery.data import Order, load
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
        ({"y_train": np.full(20, 0.5)}, "expected class numbers"),
        ({"y_train": np.full(20, -1)}, "expected class numbers"),
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

    with pytest.raises(ValueError, match="announces 17592186044416 bytes"):
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
    ("x", "y"),
    [
        (np.arange(24 * 6, dtype=np.uint8).reshape(24, 2, 3), np.arange(24) % 3),
        (np.linspace(0, 1, 24 * 6).reshape(24, 6), np.arange(24).reshape(24, 1) % 3),
        (np.ones((24, 6), "float16"), np.eye(3)[np.arange(24) % 3]),
    ],
    ids=["uint8", "float64", "float16"],
)
def test_a_glance_at_a_file_tells_what_loading_it_would(x, y, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_HASHED_AT_ONCE", 5)
    path = tmp_path / "some.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    loaded = data.load(str(path))
    assert data.glance(str(path)) == (loaded.digest, loaded.input_shape)
    changed = np.array(x)
    changed[-1, -1] = 0
    np.savez(path, x_train=changed, y_train=y, x_test=x[:7], y_test=y[:7])
    assert data.glance(str(path))[0] != loaded.digest
    assert data.glance("digits") is None
    assert data.glance(str(tmp_path / "none.npz")) is None

"""Tickets travel: to a file and onto a freshly built model, in either Keras."""

import keras
import numpy as np
import pytest
import safetensors.numpy

from kerasinit import lottery
from kerasinit._src.files import tensors
from kerasinit._src.mask_arrays import Masks
from kerasinit.lottery import load_ticket
from tests.kerases import KERASES, tf_keras
from tests.lottery.blobs import builder


@pytest.fixture
def ticket():
    rng = np.random.default_rng(0)
    shapes = {
        "dense/kernel": (8, 16),
        "dense/bias": (16,),
        "dense_1/kernel": (16, 3),
        "dense_1/bias": (3,),
    }
    masks = Masks({n: rng.random(s) < 0.4 for n, s in shapes.items() if n.endswith("kernel")})
    weights = {n: rng.standard_normal(s).astype("float32") for n, s in shapes.items()}
    weights |= {n: np.where(mask, weights[n], np.float32(0)) for n, mask in masks.items()}
    return lottery.Ticket(masks, weights, {"place": "trial 0, level 1, ticket"})


def test_a_ticket_comes_back_from_its_file_bit_for_bit(tmp_path, ticket):
    ticket.save(tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors")

    assert again.masks == ticket.masks
    assert dict(again.about) == dict(ticket.about)
    for name, value in ticket.weights.items():
        assert again.weights[name].dtype == value.dtype
        np.testing.assert_array_equal(again.weights[name], value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_come_back_too(tmp_path, dtype):
    value = np.ones((3, 3)).astype(tf_keras.backend.constant(0, dtype).numpy().dtype)
    lottery.Ticket(Masks({"k": np.ones((3, 3), bool)}), {"k": value}).save(tmp_path / "t")

    assert load_ticket(tmp_path / "t").weights["k"].dtype == value.dtype


@pytest.mark.parametrize("kerase", KERASES)
def test_a_ticket_is_put_on_a_freshly_built_model(ticket, kerase):
    builder(kerase)()
    model = ticket.apply(builder(kerase)())

    for layer, name in zip((model.layers[-2], model.layers[-1]), ("dense", "dense_1"), strict=True):
        np.testing.assert_array_equal(layer.kernel.numpy(), ticket.weights[f"{name}/kernel"])
        np.testing.assert_array_equal(layer.bias.numpy(), ticket.weights[f"{name}/bias"])


@pytest.mark.parametrize("kerase", KERASES)
def test_a_model_that_does_not_fit_is_left_as_it_was(ticket, kerase):
    library = KERASES[kerase]
    model = library.Sequential(
        [library.layers.InputLayer((8,)), library.layers.Dense(16), library.layers.Dense(4)]
    )
    before = model.get_weights()

    with pytest.raises(ValueError, match=r"'dense_1/kernel' has shape \(16, 4\), the ticket's"):
        ticket.apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_file_is_never_overwritten(tmp_path, ticket):
    ticket.save(tmp_path / "t")

    with pytest.raises(FileExistsError, match="not overwritten"):
        ticket.save(tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_file_that_is_no_ticket_says_so(tmp_path, ticket):
    (tmp_path / "text").write_text("not a ticket")
    safetensors.numpy.save_file({"a": np.ones(2)}, tmp_path / "other")
    newer = {"format": "kerasinit-ticket", "version": "99"}
    safetensors.numpy.save_file({"a": np.ones(2)}, tmp_path / "newer", newer)
    short = {"format": "kerasinit-ticket", "version": "1", "order": "k"}
    safetensors.numpy.save_file(
        {"weight/k": np.ones(20), "mask/k": np.ones(2, "uint8")}, tmp_path / "short", short
    )

    for name, match in (
        ("text", "not a safetensors file"),
        ("other", "not a ticket"),
        ("newer", "has ticket format 99"),
        ("short", "no mask of the right size for 'k'"),
    ):
        with pytest.raises(ValueError, match=match):
            load_ticket(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_ticket(tmp_path / "missing")


def test_a_ticket_with_a_removed_weight_that_is_not_zero_is_refused():
    with pytest.raises(ValueError, match="removes weights of 'k' that are not 0"):
        lottery.Ticket(Masks({"k": np.array([True, False])}), {"k": np.array([1.0, 1.0])})
    with pytest.raises(ValueError, match="no weights of that name and shape"):
        lottery.Ticket(Masks({"k": np.array([True])}), {"k": np.array([1.0, 1.0])})


def test_the_file_packs_eight_masks_into_a_byte(tmp_path):
    size = 80_000
    ticket = lottery.Ticket(Masks({"k": np.ones(size, bool)}), {"k": np.zeros(size, "float16")})
    ticket.save(tmp_path / "t")

    assert (tmp_path / "t").stat().st_size < size * (2 + 1 / 8) + 1000


def test_keras_is_the_one_that_was_asked_for(ticket):
    assert isinstance(ticket.apply(builder()()), keras.Model)


def _rewrite(path, change, **words):
    """Change the arrays, and the words, in a ticket's file."""
    arrays, about = tensors.read_tensors(path)
    change(arrays)
    path.write_bytes(safetensors.numpy.save(arrays, metadata=about | words))


def _nothing(arrays):
    pass


@pytest.mark.parametrize(
    ("change", "words", "match"),
    [
        (
            lambda a: a.update({"mask/dense/kernel": a["mask/dense/kernel"].astype("float32")}),
            {},
            "the mask of 'dense/kernel' has dtype float32; expected uint8",
        ),
        (
            lambda a: a.update({"mask/dense/kernel": a["mask/dense/kernel"][None]}),
            {},
            "no mask of the right size for 'dense/kernel'",
        ),
        (
            lambda a: a.update({"weight/dense/kernel": a["weight/dense/kernel"].view("int32")}),
            {},
            "'dense/kernel' has a mask and dtype int32; expected a floating-point dtype",
        ),
        (
            lambda a: a["weight/dense/kernel"].__setitem__((0, 0), np.nan),
            {},
            "1 of 128 values of 'dense/kernel' are not finite",
        ),
        (
            lambda a: a["weight/dense_1/bias"].__setitem__(1, -np.inf),
            {},
            "1 of 3 values of 'dense_1/bias' are not finite",
        ),
        (
            lambda a: a["weight/dense/kernel"].fill(1.0),
            {},
            "it removes weights of 'dense/kernel' that are not 0",
        ),
        (lambda a: a.pop("mask/dense/kernel"), {}, "no mask of the right size for 'dense/kernel'"),
        (lambda a: a.pop("weight/dense/kernel"), {}, "no mask of the right size for 'dense/kern"),
        (
            lambda a: a.update({"weight/dense/kernel": a["weight/dense/kernel"][:-1]}),
            {},
            "no mask of the right size for 'dense/kernel'",
        ),
        (lambda a: a.update(extra=np.ones(2)), {}, "'extra' is neither a mask nor a weight"),
        (_nothing, {"order": "dense/kernel"}, "it lists the weights 'dense/kernel', but has masks"),
        (_nothing, {"order": "dense/kernel\ndense/kernel\ndense_1/kernel"}, "it lists the weights"),
    ],
)
def test_a_ticket_from_outside_is_checked_whole(tmp_path, ticket, change, words, match):
    path = tmp_path / "outside.safetensors"
    ticket.save(path)
    _rewrite(path, change, **words)

    with pytest.raises(ValueError, match=rf"outside\.safetensors is damaged: {match}"):
        load_ticket(path)
    # The initializer reads one weight, and sees what is wrong with that.
    if "dense_1" not in match and "dense/kernel' and" not in match:
        with pytest.raises(ValueError, match=r"outside\.safetensors"):
            tensors.read_ticket_weight(path, "dense/kernel")


def test_a_folder_is_no_ticket(tmp_path):
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_ticket(tmp_path)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.array([1, 0]), "has weights of dtype int64 for 'k'"),
        (np.array([np.nan, 0.0]), "has values of 'k' that are not finite"),
    ],
)
def test_a_ticket_is_no_ticket_of_such_values(values, match):
    with pytest.raises(ValueError, match=match):
        lottery.Ticket(Masks({"k": np.array([True, False])}), {"k": values})


def test_a_model_that_does_not_hold_the_values_is_left_as_it_was(ticket):
    layers = [keras.Input((8,)), keras.layers.Dense(16, dtype="float16")]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    before = model.get_weights()
    ticket.apply(model)  # what fits is rounded
    model.set_weights(before)
    large = {**ticket.weights, "dense/bias": np.full(16, 1e6, "float32")}

    with pytest.raises(ValueError, match=r"'dense/bias' has dtype float16, which does not hold"):
        lottery.Ticket(ticket.masks, large).apply(model)
    whole = {**ticket.weights, "dense/bias": np.zeros(16, "int32")}
    with pytest.raises(ValueError, match=r"'dense/bias' has dtype float16.* the ticket's int32"):
        lottery.Ticket(ticket.masks, whole).apply(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

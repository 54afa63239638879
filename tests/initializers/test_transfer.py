"""Values from a file: the right ones, the same ones for ever, or an error that says why not."""

import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import kerasinit
from kerasinit import lottery, pruning
from kerasinit._src.files.tensors import write_tensors
from kerasinit._src.mask_arrays import Masks
from tests.kerases import KERASES
from tests.products import each_value_once

from .table import FILES

SHAPE = (6, 4)
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def model_of(module, **arguments):
    first = module.layers.Dense(SHAPE[1], "relu", name="first", **arguments)
    return module.Sequential([module.Input(SHAPE[:1]), first, module.layers.Dense(1, name="last")])


@pytest.fixture
def ticket(tmp_path):
    """Return a ticket for `model_of`, and its file."""
    rng = np.random.default_rng(0)
    shapes = {"dense/kernel": SHAPE, "dense/bias": (4,), "dense_1/kernel": (4, 1)}
    weights = {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    weights["dense_1/bias"] = np.zeros(1, "float32")
    masks = {name: rng.random(shapes[name]) < 0.5 for name in ("dense/kernel", "dense_1/kernel")}
    weights |= {name: np.where(mask, weights[name], 0) for name, mask in masks.items()}
    weights = {name: value.astype("float32") for name, value in weights.items()}
    made = lottery.Ticket(Masks(masks), weights)
    made.save(tmp_path / "ticket.safetensors")
    return made, tmp_path / "ticket.safetensors"


def numbers(path, **values):
    """Write a safetensors file."""
    safetensors.numpy.save_file({name: np.asarray(value) for name, value in values.items()}, path)
    return path


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("source", KERASES)
@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m.weights.h5", "folder"])
def test_a_layer_starts_where_another_model_ended(tmp_path, kerase, source, form):
    trained = model_of(KERASES[source])
    if form == "m.weights.h5":
        trained.save_weights(tmp_path / form)
    elif form == "folder":
        trained.export(str(tmp_path / form))
    else:
        trained.save(tmp_path / form)
    # Weights alone do not say that `first` is a Dense, nor that its kernel is number 0.
    name = "layers/dense/vars/0" if form == "m.weights.h5" else "first/kernel"
    model = model_of(KERASES[kerase], kernel_initializer=kerasinit.FromModel(tmp_path / form, name))

    np.testing.assert_array_equal(
        model.layers[-2].kernel.numpy(), trained.layers[-2].kernel.numpy()
    )


@given(
    values=arrays.arrays(
        st.sampled_from(["float16", "float32", "float64", "int8", "int64", "bool"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_what_was_saved_comes_back_bit_for_bit(tmp_path_factory, values):
    path = numbers(tmp_path_factory.mktemp("values") / "f.safetensors", a=values)
    made = kerasinit.FromModel(path, "a")
    found = made(values.shape, values.dtype.name)

    assert found.dtype == values.dtype
    assert found.tobytes() == values.tobytes()
    again = kerasinit.FromModel.from_config(json.loads(json.dumps(made.get_config())))
    assert again(values.shape, values.dtype.name).tobytes() == values.tobytes()


def test_the_whole_precision_of_the_file_is_kept(tmp_path):
    third = np.full((2,), 1 / 3)
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=third), "a")

    assert made((2,), "float64").tobytes() == third.tobytes()
    assert made((2,), "float32").tobytes() == third.astype("float32").tobytes()


def test_bfloat16_is_read_and_made(tmp_path):
    value = np.array([1.0, -2.5, 1e30]).astype(tf.bfloat16.as_numpy_dtype)
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=value), "a")

    assert made((3,), "bfloat16").tobytes() == value.tobytes()
    np.testing.assert_array_equal(made((3,)), value.astype("float32"))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1.0, 2.0], "int32"),
        ([1.0, 0.0], "bool"),
        ([1, 2], "float32"),
        ([1, 300], "uint8"),
        ([1, 0], "bool"),
        ([True, False], "int32"),
        ([True, False], "float32"),
        ([1e5, 1.0], "float16"),
        ([1e300, 1.0], "float32"),
    ],
)
def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path, values, dtype):
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=values), "a")
    with pytest.raises(ValueError, match=rf"'a' in .*f has values of .*'{dtype}' cannot hold"):
        made((2,), dtype)


def test_what_is_not_finite_in_the_file_stays_so(tmp_path):
    values = np.array([np.inf, -np.inf, np.nan], "float32")
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=values), "a")
    np.testing.assert_array_equal(made((3,), "float16"), values.astype("float16"))


def test_another_shape_is_refused_with_both_and_the_file(tmp_path):
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=np.ones((2, 3))), "a")
    with pytest.raises(ValueError, match=r"shape \(3, 2\), but 'a' in .*f has shape \(2, 3\)"):
        made((3, 2))


def test_an_unknown_variable_is_refused_when_the_initializer_is_made(tmp_path):
    path = numbers(tmp_path / "f", **{"block/kernel": np.ones((2, 3)), "block/bias": np.ones(3)})
    message = r"'block/kernl'. Did you mean 'block/kernel'\? Choices: block/bias \(3,\), block/ker"
    with pytest.raises(ValueError, match=message):
        kerasinit.FromModel(path, "block/kernl")
    assert kerasinit.FromModel(path, "kernel")((2, 3)).sum() == 6


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m.safetensors"])
def test_a_file_that_was_changed_is_noticed(tmp_path, form):
    def save():
        model = model_of(keras)
        if form == "m.safetensors":
            return numbers(tmp_path / form, **{"first/kernel": model.layers[0].kernel.numpy()})
        return model.save(tmp_path / form)

    save()
    made = kerasinit.FromModel(tmp_path / form, "first/kernel")
    made(SHAPE)
    save()
    with pytest.raises(ValueError, match=rf"{form} has changed: .* was created for {made.digest}"):
        made(SHAPE)
    kerasinit.FromModel(tmp_path / form, "first/kernel")(SHAPE)


@pytest.mark.parametrize(
    "other",
    [np.float32([1, 2, 3, 5]), np.float64([1, 2, 3, 4]), np.float32([[1, 2], [3, 4]])],
    ids=["values", "dtype", "shape"],
)
def test_the_digest_is_of_values_dtype_and_shape(tmp_path, other):
    made = kerasinit.FromModel(numbers(tmp_path / "f", a=np.float32([1, 2, 3, 4])), "a")
    numbers(tmp_path / "f", a=other)
    with pytest.raises(ValueError, match="has changed"):
        made(other.shape)


def test_another_variable_of_the_file_may_change(tmp_path):
    numbers(tmp_path / "f", a=np.ones(2), b=np.ones(2))
    made = kerasinit.FromModel(tmp_path / "f", "a")
    numbers(tmp_path / "f", a=np.ones(2), b=np.zeros(3))
    assert made((2,)).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["FromModel", "WinningTicket"])
def test_a_configuration_is_read_without_the_file_and_a_call_says_what_to_do(ticket, name):
    cls, (_, path) = getattr(kerasinit, name), ticket
    weight = "weight/dense/kernel" if name == "FromModel" else "dense/kernel"
    config = cls(path, weight).get_config()
    path.unlink()

    again = cls.from_config(config)
    assert again.get_config() == config
    message = rf"{name} reads its values from {re.escape(str(path))}.*kerasinit.portable\(model\)"
    with pytest.raises(FileNotFoundError, match=message):
        again(SHAPE)
    with pytest.raises(FileNotFoundError, match=message):
        cls(path, weight)


@each_value_once(
    form=["m.h5", "folder", "m.keras"],
    kerase=["keras", "tf_keras"],
    name=["FromModel", "WinningTicket"],
)
def test_a_saved_model_is_loaded_with_its_weights_when_the_source_is_gone(
    ticket, tmp_path, kerase, form, name
):
    if (kerase, form) == ("keras", "folder"):
        form = "m.keras"  # Keras 3 has no such format
    _, path = ticket
    weight = "weight/dense/kernel" if name == "FromModel" else "dense/kernel"
    initializer = getattr(kerasinit, name)(path, weight)
    module = KERASES[kerase]
    model = model_of(module, kernel_initializer=initializer)
    model.layers[-2].kernel.assign(np.full(SHAPE, 0.5))
    model.save(tmp_path / form)
    path.unlink()

    loaded = module.models.load_model(tmp_path / form)
    np.testing.assert_array_equal(loaded.layers[-2].kernel.numpy(), np.full(SHAPE, 0.5))
    # Building it afresh needs the values; a portable copy starts from Keras' default.
    for build in (
        lambda: module.models.clone_model(loaded),
        lambda: type(loaded).from_config(loaded.get_config()),
    ):
        with pytest.raises(FileNotFoundError, match=r"portable\(model\) creates a copy"):
            build()
    with pytest.warns(UserWarning, match=f"Keras has no equivalent of {name}"):
        copy = kerasinit.portable(loaded)
    np.testing.assert_array_equal(copy.layers[-2].kernel.numpy(), np.full(SHAPE, 0.5))
    assert module.models.clone_model(copy).layers[-2].kernel.shape == SHAPE


@pytest.mark.parametrize("kerase", KERASES)
def test_a_saved_model_is_loaded_when_the_source_has_changed(ticket, tmp_path, kerase):
    made, path = ticket
    module = KERASES[kerase]
    initializer = kerasinit.FromModel(path, "weight/dense/kernel")
    model = model_of(module, kernel_initializer=initializer)
    model.save(tmp_path / "m.keras")
    path.unlink()
    weights = {name: 2 * values for name, values in made.weights.items()}
    lottery.Ticket(made.masks, weights).save(path)
    loaded = module.models.load_model(tmp_path / "m.keras")
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="has changed"):
        initializer(SHAPE)
    with pytest.warns(UserWarning, match="Keras has no equivalent of FromModel"):
        kernel = kerasinit.portable(model).layers[-2].kernel.numpy()
    np.testing.assert_array_equal(kernel, model.layers[-2].kernel.numpy())


@pytest.mark.parametrize("name", ["FromModel", "WinningTicket"])
def test_arguments_of_a_wrong_kind_are_refused(name):
    cls, digest = getattr(kerasinit, name), "sha256:" + "0" * 64
    for arguments, error, message in (
        ((b"file", "a"), TypeError, "path=b'file'; expected a file's path"),
        ((7, "a", digest), TypeError, "path=7"),
        (("file", 0, digest), TypeError, "variable=0; expected a variable's name"),
        (("file", "a", "0" * 64), ValueError, "expected 'sha256:' and 64 hexadecimal digits"),
        (("file", "a", "sha256:xyz"), ValueError, "expected 'sha256:'"),
        (("file", "a", 7), ValueError, "digest=7"),
    ):
        with pytest.raises(error, match=f"{name} got {message}|{message}"):
            cls(*arguments)


def test_a_path_is_kept_as_it_was_given(monkeypatch):
    monkeypatch.chdir(FILES)
    for path in ("model-0.1.keras", Path("model-0.1.keras"), os.path.join(".", "model-0.1.keras")):
        made = kerasinit.FromModel(path, "dense/kernel")
        assert made.get_config()["path"] == str(path)
        assert made((4, 4)).shape == (4, 4)
    monkeypatch.chdir("..")
    with pytest.raises(FileNotFoundError, match=re.escape(f"(working directory {os.getcwd()})")):
        made((4, 4))


@pytest.mark.parametrize("kerase", KERASES)
def test_layers_of_tickets_weights_are_the_model_that_the_ticket_makes(ticket, kerase):
    made, path = ticket
    module = KERASES[kerase]

    def dense(units, name):
        return module.layers.Dense(
            units,
            kernel_initializer=kerasinit.WinningTicket(path, f"{name}/kernel"),
            bias_initializer=kerasinit.WinningTicket(path, f"{name}/bias"),
        )

    model = module.Sequential([module.Input(SHAPE[:1]), dense(4, "dense"), dense(1, "dense_1")])
    expected = made.apply(model_of(module))
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_mask_is_the_tickets(ticket):
    made, path = ticket
    for name, mask in made.masks.items():
        found = kerasinit.WinningTicket(path, name).mask()
        assert found.dtype == bool
        np.testing.assert_array_equal(found, mask)
    bias = kerasinit.WinningTicket(path, "dense/bias")
    assert bias.mask().tolist() == [True] * 4
    np.testing.assert_array_equal(bias((4,)), made.weights["dense/bias"])


@pytest.mark.parametrize("kerase", KERASES)
def test_the_zeros_stay_if_the_mask_is_held_and_not_else(ticket, kerase):
    initializer = kerasinit.WinningTicket(ticket[1], "dense/kernel")
    x, y = np.random.default_rng(1).standard_normal((32, 6)), np.ones((32, 1))
    kept = {}
    for held in (True, False):
        model = model_of(KERASES[kerase], kernel_initializer=initializer)
        model.compile("adam", "mse")
        callbacks = [pruning.HoldMasks({"dense/kernel": initializer.mask()})] if held else []
        model.fit(x, y, callbacks=callbacks, verbose=0)
        kept[held] = model.layers[-2].kernel.numpy() != 0
    np.testing.assert_array_equal(kept[True], initializer.mask())
    assert kept[False].sum() > kept[True].sum()


def test_an_unknown_weight_of_a_ticket_is_refused_with_the_list(ticket):
    message = r"'dense/kernle'. Did you mean 'dense/kernel'\? Choices: dense/bias \(4,\), dense/k"
    with pytest.raises(ValueError, match=message):
        kerasinit.WinningTicket(ticket[1], "dense/kernle")


def test_what_is_no_ticket_is_refused():
    with pytest.raises(ValueError, match="not a safetensors file"):
        kerasinit.WinningTicket(FILES / "model-0.1.keras", "dense/kernel")


def test_a_ticket_whose_mask_was_changed_is_noticed(tmp_path):
    weights = {"k": np.array([1.0, 0.0, 0.0], "float32")}
    for path, mask in (("a", [True, False, False]), ("b", [True, True, False])):
        lottery.Ticket(Masks({"k": np.array(mask)}), weights).save(tmp_path / path)
    made = kerasinit.WinningTicket(tmp_path / "a", "k")
    (tmp_path / "b").replace(tmp_path / "a")
    for call in (made.mask, lambda: made((3,))):
        with pytest.raises(ValueError, match="has changed"):
            call()


def test_a_ticket_that_removes_what_is_not_zero_is_refused(tmp_path):
    tensors = {"mask/k": np.packbits([True, False]), "weight/k": np.ones(2, "float32")}
    about = {"format": "kerasinit-ticket", "version": "1"}
    write_tensors(tmp_path / "t", tensors, about)
    with pytest.raises(ValueError, match="removes weights of 'k' that are not 0"):
        kerasinit.WinningTicket(tmp_path / "t", "k")

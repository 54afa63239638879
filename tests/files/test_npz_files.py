"""Arrays of a file are looked at before they are read."""

import zipfile

import numpy as np
import pytest

from kerasinit._src import cli
from kerasinit._src.files import npz
from kerasinit.lottery import load

NAMES = ("x_train", "y_train", "x_test", "y_test")


def _arrays():
    return {
        "x_train": np.zeros((20, 4), "float32"),
        "y_train": np.arange(20) % 2,
        "x_test": np.zeros((4, 4), "float32"),
        "y_test": np.arange(4) % 2,
    }


def _write(path, headers, content=b""):
    """Write a file of arrays, some of them by a header alone and what follows it."""
    arrays = {name: value for name, value in _arrays().items() if name not in headers}
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, (shape, dtype) in headers.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.write(content)


@pytest.fixture
def never_read(monkeypatch):
    """Fail when the numbers of an array are read."""

    def fails(*_):
        raise AssertionError("an array was read")

    monkeypatch.setattr(npz, "_array", fails)


@pytest.mark.parametrize(
    ("headers", "match"),
    [
        ({"x_train": ((20, 5), "<f4")}, r"one of x_test \(4,\)"),
        ({"x_train": ((21, 4), "<f4")}, "21 examples and y_train 20 labels"),
        ({"x_train": ((20, 4), "<i8")}, "dtype int64; expected uint8"),
        ({"x_train": ((20,), "<f4")}, "at least one feature"),
        ({"y_train": ((20,), "<f4")}, "expected class indices"),
        ({"y_train": ((20, 4, 4), "<i4")}, "each position or step"),
        ({"x_train": ((-1, 4), "<f4")}, "declares the negative shape"),
        ({"x_train": ((20, -4), "<f4")}, "declares the negative shape"),
    ],
)
def test_headers_alone_tell_what_is_wrong(tmp_path, never_read, headers, match):
    path = tmp_path / "some.npz"
    _write(path, headers, content=bytes(10_000))

    with pytest.raises(ValueError, match=rf"some\.npz: .*{match}"):
        load(str(path))


def test_a_bomb_is_never_read_whole(tmp_path, never_read):
    path = tmp_path / "bomb.npz"
    size = 2**28 + 2**24
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (20, size // 20)}
        np.lib.format.write_array_header_1_0(file, header)
        block = bytes(2**24)
        for _ in range(size // len(block)):
            file.write(block)
    assert path.stat().st_size < 2**20
    np_path = tmp_path / "rest.npz"
    np.savez(np_path, **{k: v for k, v in _arrays().items() if k != "x_train"})
    with zipfile.ZipFile(path, "a") as archive, zipfile.ZipFile(np_path) as rest:
        for name in rest.namelist():
            archive.writestr(name, rest.read(name))

    with pytest.raises(ValueError, match=r"bomb\.npz: x_train declares \d+ bytes, but has"):
        load(str(path))


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_damaged_file_is_named(tmp_path, where):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, **{**_arrays(), "x_train": np.random.rand(20, 400)})
    content = bytearray(path.read_bytes())
    at = int(len(content) * where)
    content[at : at + 50] = bytes(50)
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"damaged\.npz"):
        load(str(path))


def test_an_array_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "twice.npz"
    np.savez(path, **_arrays())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", b"")

    with pytest.raises(ValueError, match=r"twice\.npz contains x_train 2 times"):
        load(str(path))


def test_a_header_that_is_no_header_is_refused(tmp_path):
    path = tmp_path / "odd.npz"
    for text in (b"(" * 9000, b"{'descr': '<f4'", b"\xff" * 20, b""):
        np.savez(path, **{k: v for k, v in _arrays().items() if k != "x_train"})
        header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("x_train.npy", header)
        with pytest.raises(ValueError, match=r"odd\.npz: x_train is not a NumPy array"):
            load(str(path))


def test_diagnose_compares_lengths_first(tmp_path, never_read, capsys):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "xy.npz", x=np.zeros((10, 4), "float32"), y=np.zeros(9, int))
    with pytest.raises(SystemExit) as end:
        cli.main(["diagnose", f"{tmp_path}/model.keras", "--data", f"{tmp_path}/xy.npz"])

    assert end.value.code == 2
    assert "xy.npz: x and y must have as many examples" in capsys.readouterr().err

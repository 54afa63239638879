import gc
import threading

import keras
import ml_dtypes
import numpy as np
import pytest

import kerasinit
from kerasinit._src.initializers import memory


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(memory, "_SMALLEST", 1000)
    monkeypatch.setattr(memory, "_LARGEST", 4000)
    monkeypatch.setattr(memory, "_free", [])


def address(array):
    return array.__array_interface__["data"][0]


def test_a_tensor_takes_the_memory_of_one_that_is_gone():
    first = memory.empty((50, 10), np.float32)
    there = address(first)
    del first
    assert address(memory.empty((400,), np.float32)) == there


@pytest.mark.parametrize(
    "view", [lambda a: a, lambda a: a[3:], lambda a: a.T, lambda a: a.view(np.uint8), memoryview]
)
def test_memory_that_anything_still_shows_is_not_taken(view):
    seen = view(memory.empty((20, 20), np.float32))
    np.asarray(seen)[...] = 7
    before = bytes(seen)
    other = memory.empty((20, 20), np.float32)
    other[...] = 9
    assert bytes(seen) == before


def test_memory_of_a_keras_variable_is_not_taken():
    made = [keras.Variable(kerasinit.Constant(float(i)), shape=(16, 20)) for i in range(5)]
    gc.collect()
    for i, variable in enumerate(made):
        assert np.unique(np.asarray(variable)).tolist() == [i]


def test_what_is_small_or_too_large_is_not_kept():
    for size in (999, 4001):
        memory.empty((size,), np.uint8)
        assert memory._free == []


def test_one_block_is_kept_and_a_larger_tensor_replaces_it():
    tensors = [memory.empty((1000 + i,), np.uint8) for i in range(3)]
    del tensors
    assert len(memory._free) == 1
    large = memory.empty((3000,), np.uint8)
    assert memory._free == []
    del large
    assert [block.size for block in memory._free] == [3000]


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "float64", "int32"])
@pytest.mark.parametrize("shape", [(0,), (), (3, 0), (400, 2), (5, 50)])
def test_shape_and_dtype_are_what_was_asked_for(shape, dtype):
    made = memory.empty(shape, dtype)
    assert (made.shape, made.dtype) == (shape, np.dtype(dtype))
    assert made.flags.writeable
    assert made.flags.c_contiguous


def test_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(300):
            mine = memory.empty((1500,), np.uint8)
            mine[...] = number
            again = memory.empty((1200,), np.uint8)
            again[...] = 100 + number
            if np.any(mine != number) or np.any(again != 100 + number):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_values_do_not_depend_on_what_was_there_before():
    expected = kerasinit.HeNormal(seed=3)((20, 20))
    memory.empty((20, 20), np.float32)[...] = np.nan
    np.testing.assert_array_equal(kerasinit.HeNormal(seed=3)((20, 20)), expected)


@pytest.mark.parametrize("size", [0, 1, 249, 251, 999, 1001])
@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16, "int32", "bool"])
def test_a_full_tensor_has_its_value_everywhere(size, dtype):
    np.testing.assert_array_equal(memory.full((size,), dtype, 1), np.full(size, 1, dtype))

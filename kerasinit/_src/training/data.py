"""The examples a lottery trains on: loaded, checked, split and ordered."""

import functools
import hashlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src import errors, streams
from kerasinit._src.files import npz
from kerasinit._src.training.classes import inputs, labels, plain_array, require_fit
from kerasinit._src.troubleshooting import see

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_BUILT_IN = ("cifar10", "digits", "mnist")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test examples of a classification, in memory.

    Every example has exactly one class. Several labels per example, regression, and inputs in
    several arrays are not supported and raise an error.

    Args:
        x_train: Inputs, one array, examples first. ``uint8`` is divided by 255, floating
            point is used unchanged.
        y_train: Labels: integers of shape ``(n,)`` or ``(n, 1)``, or one row of class
            probabilities per example, which add up to 1 and have a single maximum.
        x_test: Inputs that are only used to measure accuracy, of the shape of ``x_train`` but
            for their number.
        y_test: Their labels, of shape ``(n,)`` or ``(n, 1)``, or one row per example.
        name: The name of the data set in reports; ``"arrays"`` by default.

    Raises:
        ValueError: If lengths differ, an array is empty, values are not finite or
            not of a type named above, or labels are not classes.

    Warns:
        UserWarning: If the labels imply more classes than there are examples.

    Example:
    >>> data = Dataset(np.zeros((12, 4), "float32"), np.arange(12) % 2,
    ...                np.zeros((2, 4), "float32"), np.arange(2), name="toy")
    >>> data
    <Dataset toy: 12 and 2 examples of shape (4,), 2 classes>
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str = "arrays"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"Expected the name of the data as a string; got {self.name!r}.")
        arrays = {n: plain_array(getattr(self, n), f"{self.name}: {n}") for n in _ARRAYS}
        require_fit({n: (a.shape, a.dtype) for n, a in arrays.items()}, self.name)
        for name, array in arrays.items():
            convert = inputs if name.startswith("x") else labels
            # A frozen data class sets its fields through object.
            object.__setattr__(self, name, convert(array, f"{self.name}: {name}"))
        examples = len(self.x_train) + len(self.x_test)
        if self.y_train.ndim == 1 and self.num_classes > examples:
            warnings.warn(
                f"{self.name}: the largest label, {self.num_classes - 1}, implies "
                f"{self.num_classes} classes, but there are {examples} examples. To renumber the "
                f"classes: numpy.unique(labels, return_inverse=True)[1].",
                stacklevel=3,
            )

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self.x_train)} and {len(self.x_test)} examples of shape "
            f"{self.input_shape}, {self.num_classes} classes>"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.x_train.shape[1:]

    @property
    def num_classes(self) -> int:
        """The number of classes in the labels."""
        if self.y_train.ndim == 2:
            return self.y_train.shape[1]
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    @functools.cached_property
    def digest(self) -> str:
        """A hash of every value, by which a run recognizes its data."""
        sha = hashlib.sha256()
        for name in _ARRAYS:
            array = getattr(self, name)
            sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    @property
    def num_validation(self) -> int:
        """The default number of validation examples, a sixth of all, at most 5,000."""
        return min(5000, len(self.x_train) // 6)

    def split(
        self, seed: int, trial: int, validation: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions to train on and those to validate on, in one trial.

        Args:
            seed: The run's seed.
            trial: The trial's number.
            validation: The number of validation examples; ``num_validation`` by default.

        Raises:
            ValueError: If that leaves nothing to train on.
        """
        held_out = self.num_validation if validation is None else validation
        if held_out >= len(self.x_train):
            raise ValueError(
                f"{self.name} has {len(self.x_train)} training examples; --validation {held_out} "
                f"leaves none to train on."
            )
        return split_positions(len(self.x_train), held_out, seed, trial)


def split_positions(
    size: int, held_out: int, seed: int, trial: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted positions to train on and those held out."""
    order = streams.generator(seed, "split", trial).permutation(size)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


class Order:
    """The order in which a trial sees its examples: permutations, end to end.

    A batch may span two epochs, so every batch is full and every example comes equally often. The
    order depends only on the seed, the trial and the epoch; every level and control of a trial
    shares it, so that they differ only in what is compared.
    """

    def __init__(self, positions: np.ndarray, batch_size: int, seed: int, trial: int) -> None:
        self._positions = positions.astype(np.int32)
        self._batch_size, self._seed, self._trial = batch_size, seed, trial
        self._epoch = functools.lru_cache(maxsize=2)(self._draw)

    def _draw(self, epoch: int) -> np.ndarray:
        return streams.generator(self._seed, "order", self._trial, epoch).permutation(
            self._positions
        )

    def batches(self, start: int, stop: int) -> np.ndarray:
        """Return the positions of iterations ``start`` to ``stop``, one row per batch."""
        first, last = start * self._batch_size, stop * self._batch_size
        size = len(self._positions)
        pieces = []
        for epoch in range(first // size, math.ceil(last / size)):
            begin = epoch * size
            pieces.append(self._epoch(epoch)[max(first - begin, 0) : last - begin])
        return np.concatenate(pieces).reshape(stop - start, self._batch_size)


def load(name: str) -> Dataset:
    """Load a data set by name, or from an ``.npz`` file.

    Args:
        name: ``"digits"`` (1,797 images of 8 x 8 pixels, each an array of shape ``(64,)``;
            included in scikit-learn, needs no network), ``"mnist"`` (70,000 images of 28 x 28
            pixels) or ``"cifar10"`` (60,000 images of 32 x 32 pixels in colour), which Keras
            downloads once, or the path of an ``.npz`` file with the arrays ``x_train``,
            ``y_train``, ``x_test`` and ``y_test``, examples first, as `Dataset` takes them.

    Returns:
        The `Dataset`.

    Raises:
        ValueError: If there is no such data set or file, or the file is invalid.
        OSError: If the data set cannot be downloaded.
        ImportError: If scikit-learn, which contains the digits, is not installed.

    Example:
    >>> from kerasinit import lottery
    >>> lottery.load("digits")
    <Dataset digits: 1438 and 359 examples of shape (64,), 10 classes>
    """
    if name == "digits":
        return _digits()
    if name in ("mnist", "cifar10"):
        return _downloaded(name)
    path = Path(name)
    if path.suffix != ".npz" and not path.exists():
        hint = f"Or give the path of an .npz file. {see('unknown-data-set')}"
        raise errors.unknown("data set", name, _BUILT_IN, hint)
    return _npz(path)


def require_dataset(data: Any, argument: str = "data") -> Dataset:
    """Return ``data``; raise a TypeError that says how to make it a `Dataset` if it is not."""
    if isinstance(data, Dataset):
        return data
    kind = type(data)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    raise TypeError(
        f"Expected {argument} to be a kerasinit.lottery.Dataset; got a "
        f"{module}{kind.__qualname__}. A lottery takes arrays in memory: "
        f"Dataset(x_train, y_train, x_test, y_test). Name a "
        f'built-in data set or a file in the experiment: Experiment(dataset="FILE.npz"). '
        f"{see('unknown-data-set')}"
    )


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "The data set 'digits' is part of scikit-learn, which is not installed: "
            f"pip install 'kerasinit[examples]'. {see('missing-extra')}"
        ) from error
    pixels, numbers = load_digits(return_X_y=True)
    # The split is part of what "digits" means, whatever a run's seed.
    order = np.random.Generator(np.random.SFC64(0)).permutation(len(numbers))
    pixels, numbers = (pixels[order] / 16).astype("float32"), numbers[order]
    test = len(numbers) // 5
    return Dataset(pixels[test:], numbers[test:], pixels[:test], numbers[:test], name="digits")


def _downloaded(name: str) -> Dataset:
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a bare Exception when a download fails.
        raise OSError(
            f"{name} is not on this machine and could not be downloaded: {error}. Pass a local "
            f"file FILE.npz, or use 'digits', which needs no network."
        ) from error
    return Dataset(x_train, y_train, x_test, y_test, name=name)


def _npz(path: Path) -> Dataset:
    arrays = npz.read(path, _ARRAYS, lambda headers: require_fit(headers, str(path)))
    try:
        return Dataset(**arrays, name=path.stem)
    except ValueError as error:
        message = str(error).removeprefix(f"{path.stem}: ")
        raise ValueError(f"{path}: {message}") from error

"""A network, its masked form and its compact one, and where the weights of the last come from."""

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import shrinking
from tests.kerases import INSTALLED, KERASES
from tests.products import nightly
from tests.shrinking import networks

FRACTIONS = (0.3, 0.5, 0.8, 0.95)
SEEDS = (0, 1, 2)
DEFAULTS = {"fraction": FRACTIONS, "seed": SEEDS}


@dataclass(frozen=True, eq=False)
class Cut:
    """What a test looks at.

    Attributes:
        model: With the channels at zero.
        gone: For each variable by its id, for each axis, the positions whose channels are zero.
        small: The compact model.
        x: A batch for both.
    """

    name: str
    library: Any
    model: Any
    gone: dict[int, dict[int, np.ndarray]]
    small: Any
    x: Any

    def kept(self, variable):
        """Return for each axis of a variable the positions that are left."""
        gone = self.gone.get(id(variable), {})
        return [
            np.setdiff1d(np.arange(size), gone.get(axis, []))
            for axis, size in enumerate(variable.shape)
        ]

    def factor(self, variable, left):
        """Return what `compact` has multiplied a variable by, where that is not 1.

        Attention divides its scores by the root of the width of a head. Where the heads have become
        narrower, their queries are multiplied instead.
        """
        own = np.asarray(variable)[np.ix_(*self.kept(variable))].ravel()
        left = np.asarray(left).ravel()
        if len(own) != len(left) or not np.any(own) or np.array_equal(own, left):
            return 1.0
        place = np.abs(own).argmax()
        return left[place] / own[place]


SMALLEST = "mobilenet_v2_application"


def cut(name, fraction, seed, library):
    """Return a network some of whose channels are set to zero, and what `compact` makes of it."""
    library = KERASES[library]
    model = networks.make(name, library, seed)
    gone = zero_channels(model, fraction, np.random.default_rng(seed))
    small = shrinking.compact(model)
    return Cut(name, library, model, gone, small, networks.batch(model, seed=seed))


def zero_channels(model, fraction, rng):
    """Set a fraction of each group's channels to zero, leaving its minimum, and return where."""
    gone = defaultdict(lambda: defaultdict(set))
    for group in shrinking.groups(model):
        if group.reason:
            continue
        count = min(round(fraction * group.size), group.size - group.minimum)
        channels = np.sort(rng.permutation(group.size)[:count])
        group.zero(channels)
        for one in group.slices:
            for channel in channels:
                gone[id(one.variable)][one.axis] |= set(np.ravel(one.positions[channel]).tolist())
    return {
        key: {axis: np.array(sorted(positions), int) for axis, positions in axes.items()}
        for key, axes in gone.items()
    }


def each_network(names=None, *, every=1, **lists):
    """Parametrize a test by `network_cases`, a parameter for each of their values."""
    found = network_cases(names, every=every, **lists)
    return pytest.mark.parametrize(("name", *(lists or DEFAULTS), "library"), found)


def network_cases(names=None, *, every=1, **lists):
    """Return networks, Kerases and the product of some lists, as parameters.

    The default run takes one case of a network, drawn by its name, so that over the networks it
    meets each value of each list. The others carry the marker ``nightly``, and so do large networks
    but for the smallest of them in the main test, that of all fractions and seeds.

    Args:
        names: Of networks; all by default.
        every: Of how many networks the default run takes one.
        lists: Values by the names of parameters; fractions and seeds by default.
    """
    is_main, lists, found = not lists and every == 1, dict(lists or DEFAULTS), []
    for name in sorted(names or networks.NETWORKS):
        lists["library"] = [one.__name__ for one in networks.libraries_of(name)]
        first = tuple(values[_draw(name, key, len(values))] for key, values in lists.items())
        for case in product(*lists.values()):
            is_first = case == first and not _draw(name, "network", every)
            is_first &= name not in networks.LARGE or (is_main and name == SMALLEST)
            marks = () if is_first else nightly
            found.append(
                pytest.param(name, *case, id="-".join(map(str, (name, *case))), marks=marks)
            )
    return found


def _draw(name, purpose, count):
    return zlib.crc32(f"{name} {purpose}".encode()) % count


def located_variables(model):
    """Return the variables of a model by where they stand: the layers' names, and their own."""
    found, seen, counts = {}, set(), defaultdict(int)

    def visit(layer, path):
        inner = getattr(layer, "layers", None) if isinstance(layer, MODELS) else None
        if inner is not None:
            for one in inner:
                visit(one, (*path, one.name))
            return
        for variable in layer.variables:
            if id(variable) in seen or "seed_generator" in getattr(variable, "path", ""):
                continue
            seen.add(id(variable))
            # A variable without a name of its own has a number.
            full = re.sub(r"(:0|_\d+)$", "", getattr(variable, "path", variable.name))
            key = (*path, "/".join(full.split("/")[-2:]) if "/" in full else full)
            found[(*key, counts[key])] = variable
            counts[key] += 1

    visit(model, ())
    return found


MODELS = tuple(library.Model for library in INSTALLED)


def gradients(model, x, seed=0):
    """Return the gradient of a random sum of the outputs, an array by the variable's id."""
    values = {
        id(one): one if isinstance(one, tf.Variable) else one.value
        for one in model.trainable_variables
    }
    with tf.GradientTape() as tape:
        loss, rng = 0.0, np.random.default_rng(seed)
        for outputs in keras.tree.flatten(model(x, training=False)):
            loss += tf.reduce_sum(outputs * rng.normal(size=outputs.shape).astype("float32"))
    found = tape.gradient(loss, list(values.values()))
    return {
        key: None if gradient is None else np.asarray(tf.convert_to_tensor(gradient))
        for key, gradient in zip(values, found, strict=True)
    }


def assert_same_outputs(model, small, x, tolerance=1e-5):
    """Check that two models' outputs differ by no more than a fraction of the largest one."""
    for one, other in zip(
        networks.outputs_of(model, x), networks.outputs_of(small, x), strict=True
    ):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert np.isfinite(one).all()
        largest = max(np.abs(one.astype("float64")).max(), 1e-6)
        np.testing.assert_allclose(
            other.astype("float64") / largest, one.astype("float64") / largest, 0, tolerance
        )

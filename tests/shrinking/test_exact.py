"""What `compact` returns computes what the masked model computes, and has nothing left over."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasinit import shrinking
from tests.kerases import KERASES
from tests.shrinking import networks
from tests.shrinking.cutting import (
    assert_same_outputs,
    cut,
    each_network,
    gradients,
    located_variables,
    network_cases,
    zero_channels,
)
from tests.shrinking.networks import INSTALLED, batch, leaf, make

# Everything in them is an output, normalized together, or goes through what is not known.
NOTHING_TO_CUT = {"channel_means", "operations_that_mix"}


def together(cases):
    """Return cases as the values of one parameter."""
    return [pytest.param(one.values, id=one.id, marks=one.marks) for one in cases]


@pytest.fixture(scope="module", params=together(network_cases()))
def made(request):
    """Return a network with channels at zero, and its compact form; its tests stand together."""
    return cut(*request.param)


def test_outputs_are_equal(made):
    assert_same_outputs(made.model, made.small, made.x)


def test_gradients_of_what_is_left_are_equal(made):
    of_all, of_small = gradients(made.model, made.x), gradients(made.small, made.x)
    left = located_variables(made.small)
    largest = max(np.abs(one).max() for one in of_all.values() if one is not None)

    compared = 0
    for place, variable in located_variables(made.model).items():
        if place not in left or of_all.get(id(variable)) is None:
            continue
        expected = of_all[id(variable)][np.ix_(*made.kept(variable))]
        found = of_small[id(left[place])] * made.factor(variable, left[place])
        np.testing.assert_allclose(found, expected, 1e-3, 1e-5 * largest, err_msg=str(place))
        compared += 1
    assert compared > 1


def test_all_that_is_zero_is_gone_and_nothing_else(made):
    expected = {
        place: tuple(map(len, made.kept(variable)))
        for place, variable in located_variables(made.model).items()
    }
    found = {place: tuple(one.shape) for place, one in located_variables(made.small).items()}

    assert found == expected
    assert made.name in NOTHING_TO_CUT or made.small.count_params() < made.model.count_params()


def test_weights_that_are_left_keep_their_values(made):
    left = located_variables(made.small)

    for place, variable in located_variables(made.model).items():
        if place in left:
            factor = made.factor(variable, left[place])
            expected = np.asarray(variable)[np.ix_(*made.kept(variable))] * factor
            np.testing.assert_allclose(np.asarray(left[place]), expected, 1e-6, 0, str(place))
            assert factor == 1 or "attention" in str(place)


@each_network(every=4)
def test_the_model_is_as_it_was(name, fraction, seed, library):
    model = make(name, KERASES[library], seed)
    zero_channels(model, fraction, np.random.default_rng(seed))
    weights, described = model.get_weights(), (model.to_json(), model.trainable)

    shrinking.compact(model)

    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (model.to_json(), model.trainable) == described


@each_network(every=4)
def test_a_saved_one_loads_and_trains(name, fraction, seed, library, tmp_path):
    made, path = cut(name, fraction, seed, library), tmp_path / "small.keras"
    made.small.save(path)
    options = {"safe_mode": False} if name in networks.NOT_PORTABLE else {}
    loaded = made.library.models.load_model(path, **options)

    loaded.compile("sgd", "mse", run_eagerly=True)
    labels = [np.ones(one.shape, one.dtype) for one in networks.outputs_of(loaded, made.x)]
    if isinstance(loaded(made.x), dict):
        labels = [dict(zip(sorted(loaded.output), labels, strict=True))]
    before = [np.array(one) for one in loaded.trainable_variables]
    loaded.train_on_batch(made.x, labels[0] if len(labels) == 1 else labels)

    changed = [
        np.any(np.asarray(one) != other)
        for one, other in zip(loaded.trainable_variables, before, strict=True)
    ]
    assert sum(changed) > len(changed) // 2


@pytest.fixture(scope="module")
def loaded_elsewhere(request, tmp_path_factory):
    """Save the small form of each network that is asked for, and run them without kerasinit."""
    folder, models = tmp_path_factory.mktemp("saved"), {}
    calls = [getattr(one, "callspec", None) for one in request.session.items]
    for call in calls:
        if not call or "portable" not in call.params:
            continue
        name, fraction, seed, library = call.params["portable"]
        made, path = cut(name, fraction, seed, library), folder / f"{name}.{library}.keras"
        made.small.save(path)
        named = made.x if isinstance(made.x, dict) else {}
        arrays = [] if named else made.x if isinstance(made.x, list) else [made.x]
        np.savez(path.with_suffix(".x.npz"), *arrays, **named)
        models[name, library] = made.small, made.x, path.with_suffix(".y.npz")
    script = Path(__file__).with_name("load_without_kerasinit.py")
    subprocess.run([sys.executable, script, folder], check=True, cwd=folder)
    return models


@pytest.mark.parametrize(
    "portable",
    together(
        network_cases(
            set(networks.NETWORKS) - networks.NOT_PORTABLE, every=6, fraction=(0.5,), seed=(0,)
        )
    ),
)
def test_a_saved_one_needs_no_kerasinit(loaded_elsewhere, portable):
    name, _, _, library = portable
    small, x, path = loaded_elsewhere[name, library]

    with np.load(path) as file:
        for one, other in zip(networks.outputs_of(small, x), file.values(), strict=True):
            np.testing.assert_allclose(other, one, 1e-5, 1e-6)


@each_network(every=4, seed=(0,))
def test_nothing_is_cut_from_a_model_without_zeros(name, seed, library):
    model = make(name, KERASES[library], seed)
    small = shrinking.compact(model)

    assert small is not model
    assert small.count_params() == model.count_params()
    assert_same_outputs(model, small, batch(model))


# TensorFlow has no pools of three axes in double precision for processors.
@each_network(set(networks.NETWORKS) - {"convolutions_3d"}, every=4, fraction=(0.5,), seed=(0,))
def test_in_double_precision_nothing_is_lost_either(name, fraction, seed, library):
    with networks.precision(KERASES[library], "float64"):
        model = make(name, KERASES[library], seed)
    zero_channels(model, fraction, np.random.default_rng(seed))

    small = shrinking.compact(model)

    assert_same_outputs(model, small, batch(model), 1e-8)
    dtypes = [str(one.dtype) for one in small.variables]
    assert dtypes == [str(one.dtype) for one in model.variables]


@each_network(set(networks.NETWORKS) - networks.LARGE, seed=(0,))
def test_every_kernel_whose_outputs_can_go_is_in_a_group(name, seed, library):
    """Names that start with ``whole`` must not be cut, names with ``maybe`` may or may not."""
    model = make(name, KERASES[library], seed)
    cuttable, kept = set(), set()
    for group in shrinking.groups(model):
        for one in group.slices:
            if one.role == "out":
                (kept if group.reason else cuttable).add(id(one.variable))

    for place, variable in located_variables(model).items():
        is_kernel = "kernel" in leaf(variable) and "depthwise" not in leaf(variable)
        if not is_kernel and leaf(variable) != "embeddings":
            continue
        if any("whole" in part for part in place[:-1]):
            assert id(variable) not in cuttable, place
        elif not any("maybe" in part for part in place[:-1]):
            assert id(variable) in cuttable, place


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_groups_name_what_they_cut(library):
    for group in shrinking.groups(make("vgg", library)):
        for one in group.slices:
            assert one.role in ("out", "in", "statistic")
            assert len(one.positions) == group.size
            taken = np.concatenate([np.ravel(positions) for positions in one.positions])
            assert len(set(taken.tolist())) == len(taken)
            assert taken.min() >= 0
            assert taken.max() < one.variable.shape[one.axis]


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_zero_leaves_moving_statistics_alone(library):
    model = make("vgg", library)
    before = {id(one): np.array(one) for one in model.non_trainable_variables}

    zero_channels(model, 0.8, np.random.default_rng(0))

    assert before
    for variable in model.non_trainable_variables:
        np.testing.assert_array_equal(np.asarray(variable), before[id(variable)])

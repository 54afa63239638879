"""A plan meets its targets under its conditions, with the least important channels."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit import shrinking
from kerasinit._src.shrinking.selection import Candidate, Chooser, Target
from tests.kerases import INSTALLED
from tests.products import each_value_once

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 12, 12, 3)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", INSTALLED)


def net(library, head="head"):
    layers = library.layers
    inputs = library.Input((12, 12, 3))
    one = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    one = stem = layers.ReLU()(layers.BatchNormalization(name="norm")(one))
    one = layers.Conv2D(16, 3, padding="same", activation="relu", name="body")(one)
    one = layers.Add()([one, stem])
    one = layers.Conv2D(24, 3, activation="relu", name="wide")(one)
    one = layers.Concatenate()([one, layers.Conv2D(12, 3, name="branch")(stem)])
    one = layers.Dense(40, activation="tanh", name="hidden")(layers.GlobalMaxPooling2D()(one))
    model = library.Model(inputs, layers.Dense(3, name=head)(one))
    random = np.random.default_rng(1)
    model.set_weights([w + random.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    return model


def outputs(model, x=X):
    return np.asarray(model(x, training=False))


def small_of(model, plan):
    """Return the compacted model with the channels of a plan at zero, and that one."""
    plan.apply(model)
    return shrinking.compact(model), model


@each_value_once(
    library=INSTALLED,
    target=[
        {"macs": 0.5},
        {"parameters": 0.4},
        {"bytes": 0.7},
        {"macs": 0.5, "parameters": 0.3},
        {"macs": 0.3, "parameters": 0.9},
    ],
    scope=["global", "local"],
)
def test_the_compacted_model_costs_what_was_planned_and_computes_what_was_masked(
    library, target, scope
):
    model = net(library)

    plan = shrinking.structured(model, target, scope=scope)
    small, masked = small_of(model, plan)

    for name, fraction in target.items():
        assert plan.cost(name).ratio <= fraction
        assert plan.cost(name).target == fraction
    # One of them is met without much to spare.
    assert max(plan.cost(name).ratio / fraction for name, fraction in target.items()) > 0.93
    counts = shrinking.count(small)
    assert counts.macs == plan.cost("macs").left
    assert counts.parameters == plan.cost("parameters").left
    assert counts.parameters * 4 == plan.cost("bytes").left
    np.testing.assert_allclose(outputs(small), outputs(masked), rtol=1e-4, atol=1e-5)


@LIBRARIES
def test_a_plan_changes_nothing(library):
    model = net(library)
    before = [w.copy() for w in model.get_weights()]

    plan = shrinking.structured(model, {"macs": 0.5})
    plan.cut(model)

    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@LIBRARIES
def test_the_least_important_channels_are_removed(library):
    model = net(library)
    unimportant = {"stem + body": [3, 7, 8], "wide": [0, 23], "hidden": [5, 6, 39]}
    for group in shrinking.groups(model):
        for one in group.slices if group.name in unimportant else ():
            values = one.variable.numpy()
            places = one.positions[unimportant[group.name]].ravel()
            np.moveaxis(values, one.axis, 0)[places] *= 1e-3
            one.variable.assign(values)

    ratios = {name: len(channels) / 40 for name, channels in unimportant.items()}
    ratios |= {"stem": 3 / 16, "wide": 2 / 24}
    ratios.pop("stem + body")
    plan = shrinking.structured(model, ratios=ratios)

    assert plan.removed == {name: tuple(channels) for name, channels in unimportant.items()}


def test_a_global_choice_compares_groups_and_a_local_one_takes_as_much_of_each():
    model = net(keras)

    def uneven(group):
        return np.arange(group.size) + (100 if group.name == "wide" else 0)

    everywhere = shrinking.structured(model, {"macs": 0.6}, importance=uneven, scope="local")
    ranked = shrinking.structured(model, {"macs": 0.6}, importance=uneven, scope="global")

    fractions = [len(one.removed) / one.size for one in everywhere.groups if not one.reason]
    assert max(fractions) - min(fractions) < 0.1
    assert min(fractions) > 0.15
    assert "wide" not in ranked.removed
    scores = {one.name: uneven(one) for one in shrinking.groups(model)}
    removed = max(scores[name][list(channels)].max() for name, channels in ranked.removed.items())
    kept = min(np.delete(scores[one.name], one.removed).min() for one in ranked.groups
               if not one.reason)  # fmt: skip
    # But for what was given back of the last step.
    assert removed <= kept + 2


def test_ratios_are_what_is_removed_by_the_name_of_a_layer_or_a_group():
    model = net(keras)

    alone = shrinking.structured(model, ratios={"body": 0.25, "wide": 0.0, "hidden": 0.5})
    with_target = shrinking.structured(model, {"macs": 0.5}, ratios={"stem + body": 0.125})
    other = shrinking.structured(model, {"macs": 0.5})

    lost = {one.name: len(one.removed) / one.size for one in alone.groups}
    assert lost == {"stem + body": 0.25, "wide": 0, "branch": 0, "hidden": 0.5, "head": 0}
    assert len(with_target.removed["stem + body"]) == 2
    assert with_target.cost("macs").ratio <= 0.5
    assert len(other.removed["stem + body"]) != 2


@pytest.mark.parametrize("round_to", [4, 8])
def test_widths_are_multiples_or_whole(round_to):
    model = net(keras)

    plan = shrinking.structured(model, {"macs": 0.4}, round_to=round_to)
    free = shrinking.structured(model, {"macs": 0.4})

    assert any(after % round_to for _, after in free.widths.values())
    for before, after in plan.widths.values():
        assert after == before or after % round_to == 0
    assert plan.removed
    # Steps of eight of sixteen channels are large, but the groups make up for each other.
    assert 0.3 < plan.cost("macs").ratio <= 0.4


def test_a_layer_narrower_than_the_multiple_is_whole():
    plan = shrinking.structured(net(keras), {"macs": 0.9}, round_to=16)

    assert plan.widths["branch"] == (12, 12)
    assert plan.widths["wide"][1] == 16


def test_the_width_of_a_grouped_convolution_counts_its_filters():
    inputs = keras.Input((8, 8, 3))
    one = keras.layers.Conv2D(32, 3, name="one")(inputs)
    one = keras.layers.Conv2D(64, 3, groups=16, name="grouped")(one)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(one)))

    plan = shrinking.structured(model, {"macs": 0.6}, round_to=8)
    coarse = shrinking.structured(model, {"macs": 0.8}, round_to=24)

    (name,) = plan.removed
    row = next(one for one in plan.groups if one.name == name)
    # A channel of the group is two filters before and four after.
    assert (row.size, row.positions, row.width[0]) == (16, 2, 32)
    assert row.width[1] % 8 == 0
    assert coarse.widths[name][1] == 24
    small, masked = small_of(model, plan)
    x = X[:, :8, :8]
    np.testing.assert_allclose(outputs(small, x), outputs(masked, x), rtol=1e-4, atol=1e-5)


def test_units_of_a_recurrent_layer_are_rounded_not_its_gates():
    model = keras.Sequential(
        [keras.Input((5, 4)), keras.layers.LSTM(20, name="lstm"), keras.layers.Dense(2)]
    )

    plan = shrinking.structured(model, {"parameters": 0.6}, round_to=8)

    ((before, after),) = [plan.widths[one] for one in plan.removed]
    assert (before, after) == (20, 8)


def test_heads_are_not_rounded_but_their_dimensions_are():
    inputs = keras.Input((6, 8))
    attended = keras.layers.MultiHeadAttention(6, 24)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(attended)))

    plan = shrinking.structured(model, {"parameters": 0.45}, round_to=8)

    widths = [one.width for one in plan.groups if not one.reason and one.size != 8]
    assert {before for before, _ in widths} == {6, 24}
    for before, after in widths:
        assert before == 6 or after % 8 == 0
    heads = shrinking.structured(
        model, {"parameters": 0.9}, round_to=8,
        importance=lambda group: np.arange(6) if group.size == 6 else None,
    )  # fmt: skip
    assert [one.width for one in heads.groups if one.removed] == [(6, 5)]


@LIBRARIES
def test_ignored_layers_keep_their_width(library):
    model = net(library)
    names = ["wide", model.get_layer("body")]

    plan = shrinking.structured(model, {"macs": 0.9}, ignore=names)

    assert set(plan.removed) <= {"branch", "hidden"}
    assert {one.reason for one in plan.groups} == {"", "ignored", "output of the model"}
    assert set(shrinking.structured(model, {"macs": 0.9}).removed) & {"wide", "stem + body"}
    assert shrinking.structured(model, {"macs": 0.5}, ignore="head").removed


def test_no_layer_is_cut_below_the_smallest_width():
    model = net(keras)

    def only_hidden(group):
        return np.arange(group.size) - 1000.0 * (group.name == "hidden")

    free = shrinking.structured(model, {"parameters": 0.9}, importance=only_hidden)
    plan = shrinking.structured(model, {"parameters": 0.96}, importance=only_hidden, min_width=30)

    assert free.widths["hidden"][1] < 30
    assert plan.widths["hidden"][1] == 30
    assert plan.widths["branch"][1] == 12
    assert min(after for _, after in shrinking.structured(model, {"macs": 0.1}).widths.values()) > 0


@pytest.mark.parametrize(
    "conditions", [{}, {"round_to": 8}, {"min_width": 10}, {"ignore": ["stem", "wide"]}]
)
def test_a_target_that_cannot_be_met_is_refused_with_the_smallest_that_can(conditions):
    model = net(keras)

    with pytest.raises(
        ValueError, match=r"cannot be met: with .* the smallest is macs 0\."
    ) as info:
        shrinking.structured(model, {"macs": 0.001}, **conditions)

    text = str(info.value)
    smallest = float(text.split("the smallest is macs ")[1].split(". Kept")[0])
    for name in conditions:
        assert f"{name}=" in text
    assert "'head' (output of the model)" in text
    assert shrinking.structured(model, {"macs": smallest}, **conditions).cost("macs").ratio <= (
        smallest
    )
    with pytest.raises(ValueError, match="cannot be met"):
        shrinking.structured(model, {"macs": smallest - 2e-4}, **conditions)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "Expected a target, such as"),
        ({"target": {"macs": 0}}, r"fraction to keep, in \(0, 1\]; got 0"),
        ({"target": {"macs": 50}}, "If that is a percentage, 0.5 would be the fraction"),
        ({"target": {"flops": 0.5}}, "Unknown cost in target 'flops'"),
        ({"ratios": {"wide": 1}}, r"fraction to remove, in \[0, 1\); got 1"),
        ({"ratios": {"wide": -0.1}}, r"in \[0, 1\)"),
        ({"ratios": {"wide": 30}}, "0.3 would be the fraction"),
        ({"ratios": {"head": 0.5}}, "'head', whose channels must be kept: output of the model"),
        ({"ratios": {"wides": 0.5}}, "layer in ratios 'wides'. Did you mean 'wide'"),
        ({"ratios": {"stem": 0.5, "body": 0.25}}, "of the same channels: those of 'stem . body'"),
        ({"target": {"macs": 0.5}, "ratios": {"wide": 0.5}, "ignore": "wide"}, "kept: ignored"),
        (
            {"ratios": {"wide": 0.5}, "importance": "batch_norm"},
            "cannot be ranked: no batch normalization",
        ),
        ({"target": {"macs": 0.5}, "ignore": ["bodies"]}, "layer in ignore 'bodies'"),
        ({"target": {"macs": 0.5}, "scope": "locale"}, "Did you mean 'local'"),
        ({"target": {"macs": 0.5}, "round_to": 0}, "round_to to be an integer of at least 1"),
        ({"target": {"macs": 0.5}, "min_width": 0}, "min_width to be an integer of at least 1"),
        ({"target": {"macs": 0.5}, "seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        shrinking.structured(net(keras), **options)


@pytest.mark.parametrize(
    "options", [{"target": 0.5}, {"target": {"macs": "half"}}, {"ratios": {"wide": True}}]
)
def test_arguments_of_a_wrong_type_are_refused(options):
    with pytest.raises(TypeError, match=r"Expected .* to be"):
        shrinking.structured(net(keras), **options)


@LIBRARIES
def test_models_that_cannot_be_read_are_refused(library):
    broken = net(library)
    broken.get_layer("wide").kernel.assign(np.full((3, 3, 16, 24), np.nan))

    for model, match in (
        (library.Sequential([library.layers.Dense(3)]), "is not built"),
        (broken, "values that are not finite"),
    ):
        with pytest.raises(ValueError, match=match):
            shrinking.structured(model, {"macs": 0.5})


@LIBRARIES
def test_a_plan_is_for_models_of_its_structure(library):
    model = net(library)
    plan = shrinking.structured(model, {"macs": 0.5})
    clone = library.models.clone_model(model)
    clone.set_weights(model.get_weights())

    small, _ = small_of(clone, plan)

    assert shrinking.count(small).macs == plan.cost("macs").left
    layers = library.layers
    inputs = library.Input((12, 12, 3))
    wider = library.Model(inputs, layers.Conv2D(3, 1)(layers.Conv2D(17, 3)(inputs)))
    for wrong in (wider, library.Model(inputs, layers.Conv2D(3, 3)(inputs))):
        before = [w.copy() for w in wrong.get_weights()]
        with pytest.raises(ValueError, match="The plan is for another model"):
            plan.apply(wrong)
        with pytest.raises(ValueError, match="The plan is for another model"):
            plan.cut(wrong)
        for one, other in zip(before, wrong.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@LIBRARIES
def test_a_cut_is_what_compact_makes_of_the_masked_model(library):
    model = net(library)
    plan = shrinking.structured(model, {"macs": 0.5})

    cut = plan.cut(model, X)
    small, masked = small_of(model, plan)

    for one, other in zip(cut.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(outputs(cut), outputs(masked), rtol=1e-4, atol=1e-5)


def normalized(library):
    layers = library.layers
    inputs = library.Input((6, 10))
    one = layers.LayerNormalization(name="norm")(layers.Dense(16, name="wide")(inputs))
    one = layers.Dense(12, activation="relu", name="hidden")(one)
    return library.Model(inputs, layers.Dense(2)(one))


@LIBRARIES
def test_channels_under_statistics_are_removed_on_request_and_the_difference_is_reported(library):
    model = normalized(library)
    x = RNG.standard_normal((7, 6, 10)).astype("float32")

    kept = shrinking.structured(model, {"macs": 0.7})
    plan = shrinking.structured(model, {"macs": 0.5}, through_statistics=True)

    assert "wide" not in kept.removed
    assert kept.inexact == ()
    assert any("statistics of LayerNormalization" in one.reason for one in kept.groups)
    assert "wide" in plan.removed
    assert len(plan.inexact) == 1
    assert "'norm'" in plan.inexact[0]
    assert "Inexact: statistics of" in str(plan)

    with pytest.warns(UserWarning, match="inexact: statistics of LayerNormalization") as caught:
        cut = plan.cut(model, x)
    assert shrinking.count(cut).macs == plan.cost("macs").left
    plan.apply(model)
    difference = np.abs(outputs(cut, x) - outputs(model, x)).max()
    assert difference > 1e-3
    reported = float(str(caught[0].message).split("differ by up to ")[1].split(" ")[0])
    assert reported == pytest.approx(difference, rel=0.01)
    # The masked model itself is compacted exactly, and stays wide.
    with pytest.warns(UserWarning, match="compact keeps constant channels"):
        exact = shrinking.compact(model)
    assert exact.get_layer("wide").units == 16


def test_a_latency_is_measured_on_the_model_that_would_be_left():
    model = net(keras)
    seen = []

    def latency(measured):
        seen.append(shrinking.count(measured).macs)
        return 1e-3 + 1e-9 * seen[-1]

    dense = shrinking.count(model).macs
    plan = shrinking.structured(model, {"latency": 0.8}, latency=latency)
    both = shrinking.structured(model, {"latency": 0.8, "macs": 0.3}, latency=latency)

    assert 0.7 < plan.cost("latency").ratio <= 0.8
    assert plan.cost("latency").dense == pytest.approx(1e-3 + 1e-9 * dense)
    assert plan.cost("latency").left == pytest.approx(1e-3 + 1e-9 * plan.cost("macs").left)
    assert both.cost("macs").ratio <= 0.3
    assert set(seen) > {dense}
    with pytest.raises(ValueError, match="the smallest is latency 0"):
        shrinking.structured(model, {"latency": 0.1}, latency=latency)


@pytest.mark.nightly
@LIBRARIES
def test_a_latency_is_measured_by_default(library):
    model = net(library)

    plan = shrinking.structured(model, {"latency": 1.0}, x=X)

    cost = plan.cost("latency")
    assert 0 < cost.dense < 10
    # Where all of it is kept, both are the same model.
    assert 0.2 < cost.ratio < 5
    assert "ms" in str(plan)


def test_a_plan_is_printed_and_written():
    plan = shrinking.structured(net(keras), {"macs": 0.5}, round_to=8)

    text = str(plan)
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "output of the model" in lines["head"]
    assert str(plan.widths["hidden"][1]) in lines["hidden"]
    assert f"{plan.cost('macs').ratio:.3f}" in lines["MACs"]
    written = json.loads(plan.to_json())
    assert {one["name"] for one in written["groups"]} == set(plan.widths)
    assert [one["name"] for one in written["costs"]] == ["macs", "parameters", "bytes"]
    with pytest.raises(ValueError, match="Did you mean 'macs'"):
        plan.cost("mac")


def test_groups_of_the_same_name_are_told_apart():
    inputs = keras.Input((6, 8))
    one = keras.layers.MultiHeadAttention(4, 5, name="att")(inputs, inputs)
    one = keras.layers.MultiHeadAttention(4, 5, name="att_1")(one, one)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(one)))

    plan = shrinking.structured(model, {"macs": 0.5})

    assert len(plan.widths) == len(plan.groups)
    assert any(name.endswith("(2)") for name in plan.widths)
    # The name of the layer is that of its groups only.
    of_one = shrinking.structured(model, ratios={"att": 0.5})
    assert of_one.removed
    assert all(any(s.startswith("multi_head_attention/") for s in one.slices)
               for one in of_one.groups if one.removed)  # fmt: skip


class _Row:
    """Stands for a group: the chooser only needs its channels."""

    def __init__(self, channels):
        self.channels = channels

    @property
    def size(self):
        return len(self.channels)


@st.composite
def _problems(draw):
    candidates, first = [], 0
    for _ in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 12))
        step = draw(st.integers(1, 4))
        scores = draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
        present = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        present[0] = True
        sizes = np.unique([*range(step, size, step), size])
        candidates.append(
            Candidate(
                _Row(np.arange(first, first + size)), np.array(scores, float), sizes,
                np.array(present),
            )
        )  # fmt: skip
        first += size
    return candidates, first, draw(st.floats(0.05, 1)), draw(st.sampled_from(["global", "local"]))


@given(_problems())
def test_every_choice_meets_its_target_with_allowed_numbers_of_the_best(problem):
    candidates, number, fraction, scope = problem
    target = Target("channels", fraction, lambda kept: kept.sum() / number)
    chooser = Chooser(candidates, scope, number)

    kept = chooser.kept([target])

    smallest = sum(one.allowed[0] for one in candidates)
    if kept is None:
        assert smallest / number > fraction
        return
    assert target.is_met(kept)
    for one in candidates:
        own = kept[one.group.channels]
        assert own.sum() in one.allowed
        assert not (own & ~one.present).any()
        lost = one.present & ~own
        if lost.any() and own.any():
            assert one.scores[lost].max() <= one.scores[own].min()

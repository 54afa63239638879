"""How many weights live is exact, never grows, and is the same in all for every scope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit._src.lottery.method import scopes
from kerasinit.lottery import Experiment

LENET = {
    "dense/kernel": (784, 300),
    "dense_1/kernel": (300, 100),
    "dense_2/kernel": (100, 10),
}


def _total(counts):
    return counts if isinstance(counts, int) else sum(counts.values())


@pytest.mark.parametrize("scope", scopes.SCOPES)
def test_every_scope_has_the_ladder_of_the_paper(scope):
    ladder = [
        round(100 * _total(scopes.counts(Experiment(scope=scope), LENET, level)) / 266_200, 2)
        for level in range(12)
    ]

    assert ladder == [
        *(100, 80.04, 64.06, 51.28, 41.05, 32.87, 26.32, 21.07, 16.88, 13.52, 10.83, 8.68),
    ]


def test_a_layers_own_rate_is_the_one_that_it_is_pruned_by():
    experiment = Experiment(rate=0.5, output_rate=0.25, layer_rates={"dense_1": 0.9})

    assert list(scopes.counts(experiment, LENET, 2).values()) == [58_800, 300, 562]


def test_a_pattern_for_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"'dens_1'\. Did you mean 'dense_1'\? .*pattern such as"):
        scopes.rates(Experiment(layer_rates={"dens_1": 0.5}), LENET)


def test_a_pattern_may_name_layers_or_weights():
    for pattern in ("dense_1", "dense_1/kernel", "*_1/*"):
        rates = scopes.rates(Experiment(rate=0.5, layer_rates={pattern: 0.9}), LENET)
        assert list(rates.values()) == [0.5, 0.9, Experiment().output_rate]


def test_erk_is_proportional_to_the_sum_of_the_sides():
    # Of a third of 266,200 - 88,733: 1084, 400 and 110, of which the last has but 1,000.
    counts = scopes.erk(88_733, LENET, {"a": 235_200, "b": 30_000, "c": 1_000})
    rest = 88_733 - 1_000

    assert counts["dense_2/kernel"] == 1_000
    assert counts["dense/kernel"] == round(rest * 1084 / 1484) == 64_085
    assert counts["dense_1/kernel"] == rest - 64_085


def test_smart_ratios_fall_with_depth_and_the_output_keeps_three_tenths():
    counts = scopes.smart_ratios(30_300, LENET, {"a": 235_200, "b": 30_000, "c": 1_000})
    shares = 235_200 * 12, 30_000 * 6

    assert counts["dense_2/kernel"] == 300
    assert counts["dense/kernel"] == round(30_000 * shares[0] / sum(shares)) == 28_201
    assert counts["dense_1/kernel"] == 1_799


def test_smart_ratios_leave_the_output_what_the_others_have_no_room_for():
    most = {"a": 10, "b": 10, "c": 10}
    shapes = dict.fromkeys(most, (2, 5))

    assert scopes.smart_ratios(28, shapes, most) == {"a": 10, "b": 10, "c": 8}
    assert scopes.smart_ratios(3, shapes, most) == {"a": 1, "b": 1, "c": 1}
    assert scopes.smart_ratios(7, {"a": (2, 5)}, {"a": 10}) == {"a": 7}


@pytest.mark.parametrize(
    ("total", "shares", "most", "expected"),
    [
        (7, [1, 1], [9, 9], [4, 3]),  # halves: the first is rounded up
        (8, [1, 1, 1], [9, 9, 9], [3, 3, 2]),
        (5, [1, 1000], [9, 9], [1, 4]),  # none loses its last
        (11, [1, 1000], [9, 9], [2, 9]),
        (18, [1, 1000], [9, 9], [9, 9]),
        (2, [1, 1000], [9, 9], [1, 1]),
        (10, [2, 3, 5], [9, 9, 9], [2, 3, 5]),
        (11, [2, 3, 5], [9, 9, 9], [2, 3, 6]),  # 2.2, 3.3, 5.5
        (12, [2, 3, 5], [9, 9, 9], [2, 4, 6]),  # 2.4, 3.6, 6.0
    ],
)
def test_a_number_is_split_exactly(total, shares, most, expected):
    assert scopes.allocate(total, shares, most) == expected


def test_what_cannot_be_split_is_refused():
    for total in (1, 19):
        with pytest.raises(ValueError, match=f"{total} weights cannot be spread over 2 layers"):
            scopes.allocate(total, [1, 1], [9, 9])


@given(
    shapes=st.lists(
        st.lists(st.integers(1, 12), min_size=2, max_size=4).map(tuple), min_size=1, max_size=6
    ),
    scope=st.sampled_from(["layer", "erk", "smart-ratios"]),
    rate=st.floats(0.01, 0.95),
)
def test_counts_are_exact_never_grow_and_leave_every_layer_one(shapes, scope, rate):
    shapes = {f"layer_{i}/kernel": shape for i, shape in enumerate(shapes)}
    experiment = Experiment(scope=scope, rate=rate)
    before = None
    for level in range(6):
        counts = scopes.counts(experiment, shapes, level)
        assert sum(counts.values()) == _total(scopes.counts(Experiment(rate=rate), shapes, level))
        assert all(n >= 1 for n in counts.values())
        assert before is None or all(counts[name] <= before[name] for name in counts)
        before = counts

"""The verdict: exact tests over trials, and no winner that is none."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.lottery.proof.winning import table
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.theory.permutation import ALPHA, FEWEST, POWER, Differences
from tests.lottery.synthetic import store_of
from tests.products import each_value_once

WHOLE = st.lists(st.integers(-20, 20), min_size=1, max_size=9)


class Rows(Store):
    """A run of which only the rows exist."""

    def __init__(self, experiment, accuracies, stops):
        super().__init__(Path("RUN"), experiment, {})
        self._accuracies, self._stops = accuracies, stops

    def rows(self):
        found = []
        for place in self.places():
            key = "dense" if place.level == 0 else place.branch
            accuracies, stops = self._accuracies[key], self._stops[key]
            if place.trial < len(accuracies):
                accuracy, stop = float(accuracies[place.trial]), int(stops[place.trial])
                density = 0.8**place.level
                row = Row(place.trial, place.level, place.branch, density, stop, 0.1, accuracy, 0.5)
                found.append(row)
        return found


def _judge(accuracies, stops=None, *, levels=1, trials=None, iterations=10_000, **margins):
    trials = trials or len(accuracies["dense"])
    controls = tuple(name for name in accuracies if name not in ("dense", "ticket"))
    experiment = lottery.Experiment(
        levels=levels, trials=trials, controls=controls, iterations=iterations
    )
    stops = stops or {name: [3000] * trials for name in accuracies}
    return lottery.verdict(Rows(experiment, accuracies, stops), **margins)


DENSE = [0.980, 0.981, 0.979, 0.980, 0.982]
BETTER = [0.983, 0.982, 0.981, 0.983, 0.983]
WORSE = [0.975, 0.976, 0.974, 0.976, 0.977]


def _states(found):
    return {condition.name: condition.state for condition in found.conditions}


def test_a_ticket_that_does_all_three_things_in_five_trials_wins():
    stops = {"dense": [3000] * 5, "ticket": [2000, 2500, 3000, 2800, 3100], "reinit": [5000] * 5}
    found = _judge({"dense": DENSE, "ticket": BETTER, "reinit": WORSE}, stops)[0]

    assert (found.outcome, found.note, found.trials_needed) == ("WINNING", "", None)
    assert set(_states(found).values()) == {"met"}
    accuracy, stop, control = found.conditions
    # Five differences of one sign: of 32 ways to flip them, one is as extreme.
    assert accuracy.p_met == stop.p_met == control.p_met == 1 / 32
    assert accuracy.difference == pytest.approx(0.002)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.001, 0.003))
    assert (stop.low, stop.high, stop.threshold) == (-1000, 100, 200)
    assert control.threshold == 0
    assert "accuracy against reinit +0.68 points (+0.60 to +0.80; > +0.00: met)" in found.text


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"ticket": [a - 0.0021 for a in DENSE]}, "accuracy against dense"),
        ({"reinit": BETTER}, "accuracy against reinit"),
        ({"reinit": [a + 0.001 for a in BETTER]}, "accuracy against reinit"),
        ({"stops": [3201] * 5}, "early stop against dense"),
    ],
    ids=["inferior by more than the margin", "equal to its control", "below it", "too late"],
)
def test_a_ticket_that_is_shown_to_fail_in_one_thing_does_not_win(changed, name):
    accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": WORSE, **changed}
    late = accuracies.pop("stops", [3000] * 5)
    found = _judge(accuracies, {"dense": [3000] * 5, "ticket": late, "reinit": late})[0]

    assert found.outcome == "NOT WINNING"
    assert _states(found)[name] == "refuted"
    assert next(c for c in found.conditions if c.name == name).p_refuted == 1 / 32


@pytest.mark.parametrize(
    "changed",
    [
        {"ticket": [*BETTER[:4], DENSE[4] - 0.0021]},
        {"reinit": [*WORSE[:4], BETTER[4]]},
        {"stops": [3000, 3000, 3000, 3000, 3200]},
    ],
    ids=["once inferior", "once tied with its control", "once as late as the margin"],
)
def test_one_trial_of_five_that_fails_leaves_it_open(changed):
    accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": [0.9] * 5, **changed}
    late = accuracies.pop("stops", [3000] * 5)
    found = _judge(accuracies, {"dense": [3000] * 5, "ticket": late, "reinit": late})[0]

    assert found.outcome == "INCONCLUSIVE"
    assert sorted(_states(found).values()) == ["met", "met", "open"]
    assert found.trials_needed > 5
    assert found.note == f"about {found.trials_needed} trials would settle it"


def test_every_control_must_be_beaten():
    accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": WORSE, "shuffle": BETTER}
    experiment = lottery.Experiment(levels=1, trials=5)
    object.__setattr__(experiment, "controls", ("reinit", "shuffle"))
    stops = {name: [3000] * 5 for name in accuracies}
    found = lottery.verdict(Rows(experiment, accuracies, stops))[0]

    assert found.outcome == "NOT WINNING"
    assert _states(found)["accuracy against reinit"] == "met"
    assert _states(found)["accuracy against shuffle"] == "refuted"


def test_the_margins_are_what_was_asked_for():
    lower = [a - 0.001 for a in DENSE]
    accuracies = {"dense": DENSE, "ticket": lower, "reinit": WORSE}
    stops = {"dense": [3000] * 5, "ticket": [3150] * 5, "reinit": [5000] * 5}

    assert _judge(accuracies, stops)[0].outcome == "WINNING"
    assert _judge(accuracies, stops, margin=0.0005)[0].outcome == "NOT WINNING"
    assert _judge(accuracies, stops, stop_margin=0.015)[0].outcome == "NOT WINNING"
    # Never less than one evaluation, that is 100 iterations.
    assert _judge(accuracies, stops, stop_margin=0)[0].conditions[1].threshold == 100
    for wrong in ({"margin": 0.2e1}, {"margin": math.nan}, {"stop_margin": -0.1}):
        with pytest.raises(ValueError, match=r"margin is a fraction, at least 0 and below 1; got"):
            _judge(accuracies, stops, **wrong)


@pytest.mark.parametrize("trials", [1, 2, 3, 4])
def test_fewer_than_five_trials_prove_nothing(trials):
    accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": [0.5] * 5}
    found = _judge({name: values[:trials] for name, values in accuracies.items()})[0]

    assert found.outcome == "INCONCLUSIVE"
    assert set(_states(found).values()) == {"open"}
    assert found.trials_needed >= FEWEST == 5
    assert "fewer than 5 trials prove nothing; about 5 trials" in found.note
    assert found.conditions[0].low is found.conditions[0].high is None


def test_levels_without_controls_or_with_trainings_missing_are_inconclusive():
    alone = _judge({"dense": DENSE, "ticket": BETTER})[0]
    assert alone.outcome == "INCONCLUSIVE"
    assert alone.note == "no control was trained at this density"

    accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": WORSE}
    found = _judge({**accuracies, "reinit": WORSE[:4]}, trials=5)[0]
    assert (found.outcome, found.note) == ("INCONCLUSIVE", "trainings that are not finished: 1")
    assert [condition.trials for condition in found.conditions] == [5, 5, 4]


def test_a_dense_network_that_is_missing_is_a_training_that_is_not_finished():
    accuracies = {"dense": DENSE[:4], "ticket": BETTER, "reinit": WORSE}
    found = _judge(accuracies, {name: [3000] * 5 for name in accuracies}, trials=5)[0]

    assert (found.outcome, found.note) == ("INCONCLUSIVE", "trainings that are not finished: 1")
    assert [condition.trials for condition in found.conditions] == [4, 4, 5]


def test_all_that_leans_to_winning_must_be_settled_or_one_that_leans_against_it():
    ticket = [*BETTER[:4], DENSE[4] - 0.0021]
    barely = [a - d for a, d in zip(ticket, [2e-3, 2e-3, 2e-3, 2e-3, -4e-3], strict=True)]
    found = _judge({"dense": DENSE, "ticket": ticket, "reinit": barely})[0]
    needed = [c.trials_needed for c in found.conditions if c.state == "open"]

    assert len(set(needed)) == 2
    assert found.trials_needed == max(needed)

    against = [a + d for a, d in zip(ticket, [2e-3, 2e-3, 2e-3, 2e-3, -3e-3], strict=True)]
    found = _judge({"dense": DENSE, "ticket": ticket, "reinit": against})[0]
    open_ = {c.name: c.trials_needed for c in found.conditions if c.state == "open"}
    assert len(open_) == 2
    assert found.trials_needed == open_["accuracy against reinit"]


def test_a_run_without_a_pruned_level_gets_no_verdict():
    with pytest.raises(ValueError, match="has no finished ticket to compare"):
        _judge({"dense": DENSE, "ticket": BETTER}, levels=0)


def test_each_level_has_its_verdict():
    found = _judge({"dense": DENSE, "ticket": BETTER, "reinit": WORSE}, levels=3)

    assert [one.level for one in found] == [1, 2, 3]
    assert [one.density for one in found] == pytest.approx([0.8, 0.64, 0.512])


# What must not happen: a winner that is none.


def _simulated(rng, trials, **means):
    trial = rng.normal(0, 0.002, trials)
    return {name: mean + trial + rng.normal(0, 0.001, trials) for name, mean in means.items()}


NO_WINNERS = {
    "as good as its control": {"dense": 0.98, "ticket": 0.983, "reinit": 0.983},
    "inferior by the margin": {"dense": 0.98, "ticket": 0.978, "reinit": 0.970},
}


@each_value_once(edge=list(NO_WINNERS), trials=[5, 8])
def test_at_the_edge_of_what_is_no_winner_few_are_called_winning(edge, trials):
    means = NO_WINNERS[edge]
    rng = np.random.default_rng(0)
    runs = 250
    outcomes = [_judge(_simulated(rng, trials, **means))[0].outcome for _ in range(runs)]
    winning = outcomes.count("WINNING")

    # No more than what a rate of 0.05 gives with a probability of 0.999.
    assert winning <= scipy.stats.binom.ppf(0.999, runs, ALPHA)
    # And the test is not idle: its level is close to what few trials allow.
    attained = math.floor(ALPHA * 2**trials) / 2**trials
    assert winning >= scipy.stats.binom.ppf(0.001, runs, attained)


def test_a_late_ticket_at_the_margin_is_rarely_called_winning():
    rng = np.random.default_rng(1)
    winning = 0
    for _ in range(250):
        accuracies = {"dense": DENSE, "ticket": BETTER, "reinit": WORSE}
        dense = rng.integers(20, 50, 5) * 100
        # In mean exactly as late as the margin, on the grid of the evaluations.
        late = dense + 200 + rng.integers(-8, 9, 5) * 100
        stops = {"dense": dense, "ticket": late, "reinit": late}
        winning += _judge(accuracies, stops)[0].outcome == "WINNING"

    assert 0 < winning <= scipy.stats.binom.ppf(0.999, 250, ALPHA)


def test_a_true_winner_is_found():
    rng = np.random.default_rng(2)
    means = {"dense": 0.98, "ticket": 0.983, "reinit": 0.979}
    outcomes = [_judge(_simulated(rng, 6, **means))[0].outcome for _ in range(200)]

    assert outcomes.count("WINNING") > 160
    assert outcomes.count("NOT WINNING") == 0


def test_a_planted_reinitialized_network_is_not_called_winning(tmp_path, capsys, monkeypatch):
    results = {}
    for trial in range(5):
        results |= {
            (trial, 0, "ticket"): (DENSE[trial], 3000),
            (trial, 1, "ticket"): (BETTER[trial], 2500),
            (trial, 1, "reinit"): (DENSE[trial] - 0.0005, 3000),  # as good as dense
        }
    store = store_of(tmp_path / "run", results, trials=5, iterations=10_000)
    assert [one.outcome for one in lottery.verdict(store)] == ["WINNING"]
    for trial in range(5):
        ticket, control = (store.path(Place(trial, 1, b)) for b in ("ticket", "reinit"))
        row = json.loads((control / "result.json").read_text())
        (ticket / "result.json").write_text(json.dumps({**row, "branch": "ticket"}))

    found = lottery.verdict(store)
    assert [one.outcome for one in found] == ["NOT WINNING"]
    assert list(_states(found[0]).values()) == ["met", "met", "refuted"]
    assert found[0].conditions[2].difference == 0

    monkeypatch.setenv("COLUMNS", "140")
    assert _kerasinit("lottery", "verdict", str(store.folder), capsys=capsys)[0] == 0
    code, out, _ = _kerasinit("lottery", "verdict", str(store.folder), "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps([one.to_dict() for one in found]))
    code, out, _ = _kerasinit("lottery", "verdict", str(store.folder), capsys=capsys)
    assert code == 0
    assert "NOT WINNING" in out
    assert "accuracy against reinit" in out
    words = ("lottery", "verdict", str(store.folder), "--margin", "2")
    code, _, err = _kerasinit(*words, capsys=capsys)
    assert (code, "--margin is a fraction" in err) == (2, True)


def _kerasinit(*words, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


# The tests underneath.


@given(values=WHOLE, threshold=st.integers(-5, 5))
def test_p_values_are_those_of_flipping_every_sign(values, threshold):
    found = Differences(values)
    moved = [value - threshold for value in values]
    sums = [
        sum(sign * value for sign, value in zip(signs, moved, strict=True))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]

    assert found.p_greater(threshold) == np.mean([total >= sum(moved) for total in sums])
    assert found.p_less(threshold) == np.mean([total <= sum(moved) for total in sums])


def test_p_values_are_those_of_scipy():
    values = np.array([0.4, -0.1, 0.3, 0.25, 0.5, 0.0, -0.2, 0.35])
    for alternative, p in (("greater", "p_greater"), ("less", "p_less")):
        theirs = scipy.stats.permutation_test(
            (values, np.zeros(8)),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=alternative,
        )
        assert getattr(Differences(values), p)(0) == theirs.pvalue


@given(values=st.lists(st.integers(-20, 20), min_size=5, max_size=9))
def test_the_interval_holds_what_the_tests_do_not_reject(values):
    found = Differences(values)
    low, high = found.bounds()
    inside = 1e-6

    assert found.p_greater(low - inside) <= ALPHA < found.p_greater(low + inside)
    assert found.p_less(high + inside) <= ALPHA < found.p_less(high - inside)
    assert low <= found.mean + inside
    assert high >= found.mean - inside


@given(values=WHOLE, threshold=st.integers(-5, 5))
def test_what_ties_are_counted_for(values, threshold):
    found, mirrored = Differences(values), Differences([-value for value in values])

    assert found.p_at_most(threshold) <= found.p_less(threshold)
    assert found.p_at_least(threshold) <= found.p_greater(threshold)
    assert mirrored.p_greater(-threshold) == found.p_less(threshold)
    assert mirrored.p_at_most(-threshold) == found.p_at_least(threshold)
    assert Differences([threshold] * 5).p_at_most(threshold) == 1 / 32
    assert Differences([threshold] * 5).p_less(threshold) == 1


def test_many_trials_are_sampled_and_agree_with_the_t_test():
    values = np.random.default_rng(0).normal(0.25, 1, 40)
    found, theirs = Differences(values), scipy.stats.ttest_1samp(values, 0, alternative="greater")

    assert found.p_greater(0) == pytest.approx(theirs.pvalue, rel=0.15)
    interval = theirs.confidence_interval(1 - ALPHA)
    assert found.bounds()[0] == pytest.approx(interval.low, abs=0.03)
    assert Differences(values).bounds() == found.bounds()


@pytest.mark.parametrize("effect", [1.0, 2.0])
def test_the_number_of_trials_that_is_needed_gives_the_power(effect):
    needed = Differences([effect - math.sqrt(0.5), effect + math.sqrt(0.5)]).needed(0)
    rng = np.random.default_rng(0)
    found = [Differences(rng.normal(effect, 1, needed)).p_greater(0) for _ in range(200)]
    power = np.mean([p <= ALPHA for p in found])

    assert power >= scipy.stats.binom.ppf(0.001, 200, POWER) / 200
    fewer = [Differences(rng.normal(effect, 1, needed // 2)).p_greater(0) for _ in range(200)]
    assert np.mean([p <= ALPHA for p in fewer]) < POWER


def test_the_number_of_trials_at_the_threshold_is_unknown():
    assert Differences([-1, 1]).needed(0) is None
    assert Differences([3]).needed(0) == FEWEST
    assert Differences([0.00001, 1, -1]).needed(0) is None


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0]]])
def test_differences_that_are_none_are_refused(values):
    with pytest.raises(ValueError, match="Expected finite differences"):
        Differences(values)


def test_in_80_columns_every_word_and_number_of_a_table_is_whole():
    controls = ("reinit", "shuffle", "random-mask", "shuffle-reinit")
    found = _judge({"dense": DENSE, "ticket": BETTER, **dict.fromkeys(controls, WORSE)})
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table(found, title="lenet-300-100 on mnist"))
    shown = capture.get()

    assert "…" not in shown
    assert "80.00 %: WINNING\n" in re.sub(r" +\n", "\n", shown)
    assert [line.split()[-2:] for line in shown.splitlines() if "against" in line] == [
        ["0.031", "met"]
    ] * (2 + len(controls))
    assert all(f" {name} " in shown for name in ("dense", *controls))

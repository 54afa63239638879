"""What a comparison says follows from its curves, counted by hand."""

import json
import math
import re

import numpy as np
import pytest

from kerasinit._src.comparison import racing
from kerasinit.comparison import Band, Choice, Comparison, Point, Setting, Stop, Training

STEPS = (0, 10, 20, 30)


def curve(*losses, trial=0, training=None):
    """A training with these held-out losses; its batches' last mean loss may be told."""
    points = [Point(STEPS[0], losses[0])]
    points += [Point(s, loss, loss) for s, loss in zip(STEPS[1:], losses[1:], strict=False)]
    if training is not None:
        points[-1] = Point(points[-1].step, points[-1].loss, training)
    return Training(trial, tuple(points))


GOOD = Choice(
    "good", (curve(2.0, 1.0, 0.5, 0.4), curve(2.2, 0.8, 0.6, 0.7), curve(2.4, 0.9, 0.7, 0.3))
)
BAD = Choice(
    "bad",
    (curve(2.0, 1.9, 1.8), curve(3.0, 2.0, 1.7), curve(1.0, 1.1, math.nan)),
    Stop(20, "lost", "it was too slow."),
)


def comparison(*choices, wanted=None):
    setting = Setting("net", "digits", 12, 30, 3, 0, 60, 10, True)
    return Comparison(setting, choices, wanted)


def test_bands_are_median_and_range_of_the_seeds():
    assert GOOD.bands() == (
        Band(0, 2.2, 2.0, 2.4),
        Band(10, 0.9, 0.8, 1.0),
        Band(20, 0.6, 0.5, 0.7),
        Band(30, 0.4, 0.3, 0.7),
    )
    assert BAD.bands()[-1] == Band(20, 1.8, 1.7, math.inf)
    assert GOOD.best == Band(30, 0.4, 0.3, 0.6)  # the second was best at step 20
    assert BAD.best == Band(20, 1.8, 1.7, math.inf)


def test_steps_to_a_target_are_the_median_and_count_who_is_late_as_infinitely_late():
    found = comparison(GOOD, BAD)

    assert [one.steps_to(0.5) for one in GOOD.trainings] == [20, None, 30]
    assert (GOOD.steps_to(0.5), GOOD.reached(0.5)) == (30, 2)
    assert (GOOD.steps_to(0.4), GOOD.reached(0.4)) == (30, 2)
    assert (GOOD.steps_to(0.3), GOOD.reached(0.3)) == (None, 1)
    # The median seed of the best had 0.9 by step 15, which is half of 30.
    assert found.target == 0.9
    assert (GOOD.steps_to(0.9), GOOD.reached(0.9)) == (10, 3)
    assert comparison(GOOD, wanted=0.7).target == 0.7


def test_to_diverge_is_to_break_or_to_end_worse_than_at_the_start():
    assert BAD.diverged == pytest.approx(1 / 3)
    assert curve(2.0, 1.0, math.inf).diverged
    assert curve(2.0, 1.0, 0.9, training=math.nan).diverged
    assert curve(2.0, 5.0, 9.0, training=4.1).diverged
    assert not curve(2.0, 5.0, 9.0, training=3.9).diverged  # not yet twice the start
    assert not curve(2.0, 1.0, 9.0, training=0.1).diverged  # that is overfitting
    assert not curve(2.0, 99.0, 1.0).diverged  # it recovered
    assert curve(-1.0, 0.0, 0.5).diverged
    assert not curve(-1.0, -2.0, -3.0).diverged
    assert curve(2.0, 0.1, math.nan).best == math.inf


def test_who_leads_and_what_was_saved():
    found = comparison(BAD, GOOD)

    assert found.leader is GOOD
    assert found.best is None  # three seeds cannot show it
    assert found["bad"] is BAD
    with pytest.raises(KeyError, match="Did you mean 'good'"):
        found["goof"]
    assert found.saved == pytest.approx(30 / 180)


def test_the_text_says_who_was_stopped_when_and_why():
    said = str(comparison(GOOD, BAD))

    assert "No clear best: good leads" in said
    assert "bad was stopped at step 20 (lost): it was too slow." in said
    assert "17% of the steps were saved." in said
    assert re.search(r"good +0\.4 \(0\.3 to 0\.6\) +10 +3/3 +0/3 +30", said)
    assert re.search(r"bad +1\.8 \(1\.7 to inf\) +- +0/3 +1/3 +20!", said)
    assert max(map(len, said.splitlines())) <= 80
    assert "No choice was clearly lost" in str(comparison(GOOD))
    assert racing.FEWEST == 3


def test_the_json_holds_everything_and_no_number_that_is_none():
    content = json.loads(comparison(GOOD, BAD).to_json(), parse_constant=pytest.fail)

    good, bad = content["choices"]
    assert (content["best"], content["leader"], content["target"]) == (None, "good", 0.9)
    assert good["bands"][1] == {"step": 10, "median": 0.9, "least": 0.8, "most": 1.0}
    assert (good["steps_to_target"], good["reached_target"]) == (10, 3)
    assert bad["stop"]["step"] == 20
    assert bad["trainings"][2]["points"][-1]["loss"] is None


def test_the_figure_draws_medians_and_bands():
    (axes,) = comparison(GOOD, BAD).plot().axes

    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["good"].get_ydata()) == [2.2, 0.9, 0.6, 0.4]
    assert list(lines["bad (lost)"].get_xdata()) == [0, 10, 20]
    assert axes.get_yscale() == "log"
    corners = axes.collections[0].get_paths()[0].vertices
    assert {(10, 0.8), (10, 1.0)} <= {tuple(np.round(corner, 6)) for corner in corners}


def test_the_page_is_whole_and_asks_for_nothing():
    strange = Choice("<script>alert(1)</script>", GOOD.trainings)
    page = comparison(GOOD, BAD, strange).to_html()

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    outside = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"https?://|url\((?!#)|@import|src=\"(?!data:)", outside)
    assert "bad was stopped at step 20 (lost): it was too slow." in page
    assert page.count("<tr>") == 2 + 3 + 9
    assert page == comparison(GOOD, BAD, strange).to_html()


def _straight(start, now, seeds=3, look=40):
    """Trainings that fall in a line from step 0 on."""
    steps = range(0, look + 1, 5)
    points = tuple(Point(step, start + (now - start) * step / look, 1.0) for step in steps)
    return [Training(trial, points) for trial in range(seeds)]


def test_to_be_a_bit_behind_is_not_to_be_lost():
    leading = _straight(2.0, 1.0)

    assert racing.behind(_straight(2.0, 1.8), leading, 40, 20, 50)
    assert racing.behind(_straight(2.0, 1.7), leading, 40, 20, 50) is None  # within four times
    # Above what the leader had, and so steep that it gets there in time.
    assert racing.behind(_straight(9.0, 4.0), leading, 40, 20, 50)
    assert racing.behind(_straight(9.0, 4.0), leading, 40, 20, 70) is None
    assert racing.behind(_straight(2.0, 1.8, 2), _straight(2.0, 1.0, 2), 40, 20, 50) is None
    one_good = [*_straight(2.0, 1.8)[:2], _straight(2.0, 1.0)[0]]
    assert racing.behind(one_good, leading, 40, 20, 50) is None
    assert racing.behind(_straight(2.0, 1.8), one_good, 40, 20, 50) is None


@pytest.mark.parametrize(("seeds", "chances"), [(3, 20), (4, 70)])
def test_who_needs_exactly_four_times_the_steps_is_called_behind_as_rarely_as_promised(
    seeds, chances
):
    rng = np.random.default_rng(0)
    draws = 4000
    called = 0
    for early, now in zip(*rng.random((2, draws, seeds)), strict=True):
        # The leader had at a quarter what the other has now, from one distribution.
        leading = [Training(0, (Point(0, 2.0), Point(10, e, 1.0), Point(40, 0.0))) for e in early]
        late = [Training(0, (Point(0, 2.0), Point(20, n, 1.0), Point(40, n, 1.0))) for n in now]
        called += racing.behind(late, leading, 40, 20, 100) is not None
    error = math.sqrt(1 / chances * (1 - 1 / chances) / draws)
    assert called / draws == pytest.approx(1 / chances, abs=4 * error)

"""The diagnosis in plain words: for each kind, and right for real networks."""

import json
import math

import pytest

from kerasinit._src.diagnosis.advice import KINDS
from kerasinit._src.diagnosis.entry import diagnose
from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.playground import lesson_files, verdicts
from kerasinit._src.playground.settings import Settings, SideSettings
from kerasinit._src.playground.two_networks import TwoNetworks
from kerasinit._src.playground.verdicts import verdict

LESSONS = {lesson.id: lesson.settings for lesson in lesson_files.built_in()}


def test_every_kind_has_words():
    assert set(verdicts.TITLES) == set(KINDS)
    assert set(verdicts.WHY) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_explained_in_two_sentences(kind):
    sentences = verdicts.WHY[kind].split(". ")
    assert len(sentences) == 2
    assert all(10 < len(sentence) < 260 for sentence in sentences)
    assert len(set(verdicts.WHY.values())) == len(KINDS)
    how_sure, what = verdicts.TITLES[kind]
    assert how_sure in ("will not", "will probably not", "may not")
    assert len(what) < 60


@pytest.fixture(scope="module")
def measured():
    two = TwoNetworks(LESSONS["he"])
    return diagnose(two.right, *two.examples.probe)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_said(kind, measured):
    finding = Finding(kind, "dense_2", "measured 3", 1.0, KINDS[kind], "do this")
    diagnosis = Diagnosis(measured.measured, (finding,))

    words = verdict(diagnosis, LESSONS["he"], "right")

    assert words["ok"] is False
    assert words["title"].startswith("It ")
    assert "{" not in words["title"]
    [said] = words["findings"]
    assert said["text"] == "In hidden_3: measured 3."
    assert (said["kind"], said["layer"], said["fix"]) == (kind, "hidden_3", "do this")


def words_of(settings, side, steps=0):
    two = TwoNetworks(settings)
    two.advance(steps)
    words = verdict(diagnose(getattr(two, side), *two.examples.probe), settings, side)
    assert json.loads(json.dumps(words)) == words
    return words


@pytest.mark.parametrize("name", ["he", "lsuv", "xavier", "ticket"])
def test_a_network_that_trains_is_said_to_train(name):
    assert words_of(LESSONS[name], "right") == {
        "ok": True,
        "title": "It will train",
        "findings": [],
    }


DEAD = Settings(left=SideSettings(bias="Constant:value=-5"))
SATURATED = Settings(left=SideSettings("RandomNormal:stddev=20", "tanh"))
RESIDUAL = Settings(depth=30, residual=True, left=SideSettings("HeNormal"))


@pytest.mark.parametrize(
    ("settings", "title", "layer", "text"),
    [
        (
            LESSONS["zeros"],
            "will probably not train as it is: units are identical and stay so",
            "hidden_1",
            "In hidden_1: 16 of 16 units have the weights of another unit, with the same "
            "gradient. 2 more of 3 layers show it.",
        ),
        (
            LESSONS["he"],
            "will probably not train as it is: the signal dies on its way forward",
            "hidden_11",
            "After the activation of hidden_11: mean square 2.0e-05, 10.8 nats below",
        ),
        (
            DEAD,
            "will probably not train as it is: units are dead",
            "hidden_1",
            "After the activation of hidden_1: 16 of 16 units are zero for all 64 examples",
        ),
        (
            SATURATED,
            "will probably not train as it is: its tanh units are saturated",
            "hidden_1",
            "of its outputs are where tanh is saturated",
        ),
        (
            RESIDUAL,
            "may not train as it is: the signal explodes on its way forward",
            "hidden_10",
            "After the residual sum of hidden_10: mean square 1.3e+04",
        ),
        (
            Settings(learning_rate=100.0),
            "may not train as it is: the learning rate does not suit its weights",
            "outputs",
            "In outputs: the norm of the next step is 21 times the weights'",
        ),
    ],
    ids=["identical", "vanishing", "dead", "saturated", "residual", "learning rate"],
)
def test_what_keeps_a_network_from_training_is_said(settings, title, layer, text):
    words = words_of(settings, "left")

    assert words["ok"] is False
    assert words["title"] == f"It {title}"
    first = words["findings"][0]
    assert first["layer"] == layer
    assert text in first["text"]
    assert first["fix"]


def test_a_network_that_diverged_is_not_finite():
    words = words_of(LESSONS["sizes"], "right", steps=5)

    assert words["title"] == "It will not train as it is: some of its numbers are not finite"


def test_nats_are_shown_as_a_factor():
    [finding] = words_of(LESSONS["sizes"], "left")["findings"]

    assert "9.2 nats below" in finding["text"]
    assert finding["text"].endswith(
        " 5 more of 7 layers show it. (9.2 nats are a factor of 9,900.)"
    )
    assert math.exp(9.2) == pytest.approx(9900, rel=0.01)

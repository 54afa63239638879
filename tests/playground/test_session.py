"""A session answers every command, shows what `TwoNetworks` computes, and waits for its page."""

import json

import numpy as np
import pytest

from kerasinit._src.playground.session import Session
from kerasinit.playground import Settings, SideSettings, TwoNetworks
from tests.playground.test_replays import recorded_in

SMALL = Settings(depth=2, width=8, data="moons")


class Page:
    """A page that keeps the messages of its session; its clock does not stand still."""

    def __init__(self):
        self.messages, self.time = [], 0.0
        self.session = Session(self.receive, clock=self.tick)

    def receive(self, message):
        # What cannot be written as JSON would fail in the worker.
        self.messages.append(json.loads(json.dumps(message, allow_nan=False)))

    def tick(self):
        self.time += 1.0
        return self.time

    def do(self, name, **command):
        """Send a command, let the session work until it waits, and return the new messages."""
        before = len(self.messages)
        self.session.handle({"do": name, **command})
        while self.session.wait is not None:
            self.session.work()
        return self.messages[before:]

    def do_all(self, name, **command):
        """Do the same as a page that looks at every frame."""
        found = new = self.do(name, **command)
        while any(message["is"] == "frame" for message in new):
            frame = max(message.get("frame", 0) for message in new)
            new = self.do("seen", frame=frame)
            found = found + new
        return found

    def start(self, settings=SMALL, **command):
        return self.do_all("start", settings=settings.to_dict(), **command)


def kinds(messages):
    return [message["is"] for message in messages]


def rows_of(messages):
    return np.array([row for m in messages if m["is"] == "frame" for row in m["rows"]], float)


def test_a_start_is_answered_with_the_networks_a_frame_and_verdicts():
    page = Page()

    messages = page.start()

    assert kinds(messages) == ["started", "frame", "verdict"]
    started, frame, verdict = messages
    assert Settings.from_dict(started["settings"]) == SMALL
    assert Settings.from_address(started["address"]) == SMALL
    assert started["layers"] == ["hidden_1", "hidden_2", "outputs"]
    assert len(started["points"]["x"]) == 400
    assert len(started["left"]["theory"]) == 2
    assert (frame["step"], frame["playing"], len(frame["rows"])) == (0, False, 1)
    assert {"ok", "title", "findings"} <= {*verdict["left"]}


def test_the_numbers_of_the_page_are_those_of_a_script_bit_for_bit():
    page, two = Page(), TwoNetworks(SMALL)
    messages = page.start()

    messages += page.do_all("advance", steps=37)
    two.advance(37)

    np.testing.assert_array_equal(rows_of(messages), two.rows)
    assert messages[-1]["step"] == 37
    assert not messages[-1]["playing"]


def test_a_link_is_trained_to_its_step():
    page, two = Page(), TwoNetworks(SMALL)

    messages = page.start(step=120)
    two.advance(120)

    assert messages[-1]["step"] == 120
    np.testing.assert_array_equal(rows_of(messages), two.rows)


def test_no_more_than_two_frames_wait_for_the_page():
    page = Page()
    page.start()

    messages = page.do("play", steps=5)

    assert [m["step"] for m in messages] == [5, 10]
    assert page.session.wait is None
    assert [m["step"] for m in page.do("seen", frame=messages[0]["frame"])] == [15]
    assert [m["step"] for m in page.do("pause")] == [15]
    assert page.do("seen", frame=page.messages[-1]["frame"]) == []


def test_frames_are_paced():
    page = Page()
    page.tick = lambda: 0.0
    page.session = Session(page.receive, clock=lambda: page.time)
    page.start()

    page.session.handle({"do": "play", "steps": 1})

    assert 0 < page.session.wait < 0.1


def test_rewinding_begins_the_curves_anew():
    page = Page()
    page.start()
    first = page.do_all("advance", steps=20)

    [rewound] = page.do("rewind")
    again = page.do_all("advance", steps=20)

    assert rewound["step"] == 0
    assert rewound["rows"][0][0] == 0
    np.testing.assert_array_equal(rows_of(first), rows_of(again))


def test_rounds_are_told_as_events():
    page = Page()
    settings = Settings(
        depth=2,
        width=8,
        rounds=2,
        round_steps=5,
        right=SideSettings("HeNormal", survivors="redraw"),
    )
    page.start(settings)

    messages = page.do_all("advance", steps=12)

    events = [m for m in messages if m["is"] == "event"]
    assert [event["step"] for event in events] == [5, 10]
    assert messages[-1]["left"]["layers"][1]["kept"] == 0.25


def test_an_explanation_has_the_numbers_of_the_layer():
    page = Page()
    page.start()

    [told] = page.do("explain", side="left", layer=1)
    [last] = page.do("explain", side="right", layer=2)

    assert "HeNormal" in told["title"]
    assert any("8" in line for line in told["lines"])
    assert last["lines"]


def test_a_diagnosis_can_be_asked_for_at_any_step():
    page = Page()
    page.start()
    page.do_all("advance", steps=3)

    [verdict] = page.do("diagnose")

    assert verdict["step"] == 3


@pytest.fixture(scope="module")
def started():
    page = Page()
    page.start()
    return page


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"do": "explode"}, "Unknown command 'explode'"),
        ({}, "Unknown command None"),
        ({"do": "play", "steps": 0}, "from 1 to 100000 as steps; got 0"),
        ({"do": "play", "steps": True}, "as steps; got True"),
        ({"do": "advance", "steps": "9"}, "as steps; got '9'"),
        ({"do": "explain", "side": "middle"}, "Unknown side 'middle'"),
        ({"do": "explain", "side": "left", "layer": 3}, "from 0 to 2 as layer; got 3"),
        ({"do": "export", "kind": "docx"}, "Unknown kind of export 'docx'"),
        ({"do": "start", "settings": {"depth": 1000}}, "from 1 to 50 as depth; got 1000"),
        ({"do": "start", "settings": {"data": "csv"}}, "choose the file again"),
        ({"do": "start", "settings": {}, "step": -1}, "as step; got -1"),
    ],
)
def test_wrong_commands_are_refused_and_the_session_goes_on(started, command, message):
    step = next(m["step"] for m in started.messages[::-1] if m["is"] == "frame")

    started.session.handle(command)

    assert started.messages[-1]["is"] == "refused"
    assert message in started.messages[-1]["text"]
    assert started.do_all("advance", steps=1)[-1]["step"] == step + 1


def test_nothing_can_be_done_before_a_start():
    page = Page()

    [refused] = page.do("play", steps=1)

    assert refused == {
        "is": "refused",
        "text": "There are no networks yet: start with some settings.",
    }


def test_a_run_ends_at_its_last_step(monkeypatch):
    monkeypatch.setattr("kerasinit._src.playground.session.MAX_STEPS", 6)
    page = Page()
    page.start()

    messages = page.do_all("play", steps=4)
    [refused] = page.do("play", steps=4)

    assert messages[-1]["step"] == 6
    assert not messages[-1]["playing"]
    assert "The last step of a run, 6, is reached" in refused["text"]


def test_numbers_that_are_not_finite_are_null():
    page = Page()
    settings = Settings(
        depth=3,
        width=8,
        optimizer="momentum",
        learning_rate=10.0,
        left=SideSettings("RandomNormal:stddev=5"),
        right=SideSettings("Zeros"),
    )
    page.start(settings)

    frame = page.do_all("advance", steps=10)[-1]

    assert frame["left"]["diverged"] is not None
    assert frame["rows"][-1][1] is None
    assert frame["right"]["diverged"] is None


def test_the_numbers_are_exported_with_all_their_bits():
    page, two = Page(), TwoNetworks(SMALL)
    page.start()
    page.do_all("advance", steps=5)
    two.advance(5)

    [file] = page.do("export", kind="csv")
    head, *lines = file["text"].splitlines()

    assert head.split(",") == list(two.columns)
    np.testing.assert_array_equal([[*map(float, line.split(","))] for line in lines], two.rows)


@pytest.mark.parametrize("data", ["moons", "digits"])
def test_the_picture_is_drawn(data):
    page = Page()
    page.start(Settings(depth=2, width=8, data=data))
    page.do_all("advance", steps=5)

    [svg], [png] = page.do("export", kind="svg"), page.do("export", kind="png")

    assert "after 5 steps" in svg["text"]
    assert svg["text"].count("<svg") == 1
    assert png["base64"].startswith("iVBOR")


def test_the_script_names_the_settings_and_the_steps():
    page = Page()
    page.start()
    page.do_all("advance", steps=5)

    [file] = page.do("export", kind="script")

    assert "TwoNetworks" in file["text"]
    compile(file["text"], "playground.py", "exec")


def test_the_page_that_is_exported_has_the_run():
    page = Page()
    page.start()
    page.do_all("advance", steps=5)

    [file] = page.do("export", kind="html")

    frames = [message for message in page.messages if message["is"] == "frame"]
    [run] = recorded_in(file["text"])["runs"]
    recorded = [message for message in run["messages"] if message["is"] == "frame"]
    assert recorded[-1]["rows"][-1] == frames[-1]["rows"][-1]
    assert recorded[-1]["left"] == frames[-1]["left"]
    explained = [message for message in run["messages"] if message["is"] == "explanation"]
    assert len(explained) == 2 * 3

"""A recording stays small, keeps every row, and spreads its frames over the run."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kerasinit._src.playground.recording import MAX_FRAMES, Recording


def frame(step, rows):
    return {"is": "frame", "step": step, "rows": rows, "playing": True}


@given(st.integers(1, 700))
def test_every_row_is_kept_once_in_few_frames(count):
    recording = Recording({"is": "started"})
    for step in range(count):
        recording.add(frame(step, [[step, 0.5]]))

    messages = recording.messages()
    frames = messages[1:]

    assert messages[0] == {"is": "started"}
    assert len(frames) <= MAX_FRAMES
    assert [row[0] for one in frames for row in one["rows"]] == [*range(count)]
    assert all(one["rows"][-1][0] == one["step"] for one in frames)
    assert frames[0]["step"] == 0
    assert frames[-1]["step"] == count - 1
    gaps = [b["step"] - a["step"] for a, b in itertools.pairwise(frames[:-1])]
    assert len({*gaps}) <= 1
    assert len(frames) >= min(count, MAX_FRAMES // 2)


def test_rewinding_keeps_the_verdict_on_the_first_weights():
    recording = Recording({"is": "started"})
    recording.add(frame(0, [[0]]))
    recording.add({"is": "verdict", "step": 0})
    recording.add({"is": "event", "step": 5})
    recording.add({"is": "verdict", "step": 9})
    recording.add(frame(9, [[9]]))

    recording.rewind()
    recording.add(frame(0, [[0]]))

    assert [one["is"] for one in recording.messages()] == ["started", "verdict", "frame"]

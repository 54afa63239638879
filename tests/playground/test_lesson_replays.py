"""Lessons as pages without a server hold the whole lesson, and what it suggests to try."""

import numpy as np
import pytest

from kerasinit._src.playground import lesson_files
from kerasinit._src.playground.lesson_replays import write_replays
from kerasinit.playground import TwoNetworks
from tests.playground.test_replays import recorded_in

LESSON = """
title = "Two layers"
question = "Which one?"
answer = "Neither."
steps = 12

[settings]
data = "xor"
depth = 1
width = 4

[[try]]
text = "Look at the curves."

[[try]]
text = "Try another seed."
settings.seed = 5
"""


@pytest.fixture
def lessons(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "01_two.toml").write_text(LESSON)
    return lesson_files.read_folder(folder)


def test_a_page_has_the_lesson_and_its_variants_with_the_numbers_of_a_script(lessons, tmp_path):
    [path] = write_replays(tmp_path / "pages", lessons)

    assert path.name == "01-two.html"
    recorded = recorded_in(path.read_text("utf-8"))
    assert recorded["lesson"]["title"] == "Two layers"
    # A suggestion without settings is no run of its own.
    assert [run["label"] for run in recorded["runs"]] == ["the lesson", "Try another seed."]
    for run, settings in zip(
        recorded["runs"], (lessons[0].settings, lessons[0].patched(1)), strict=True
    ):
        two = TwoNetworks(settings)
        two.advance(12)
        frames = [message for message in run["messages"] if message["is"] == "frame"]
        rows = [row for frame in frames for row in frame["rows"]]
        np.testing.assert_array_equal(rows, two.rows)
        assert {m["is"] for m in run["messages"]} == {"started", "verdict", "frame", "explanation"}


def test_nothing_is_overwritten(lessons, tmp_path):
    (tmp_path / "pages").mkdir()

    with pytest.raises(FileExistsError):
        write_replays(tmp_path / "pages", lessons)

"""A question's folder: gone on with for the same question, never overwritten for another."""

import pytest

from kerasinit._src.files.lock import BusyError
from kerasinit._src.lottery.questions.answers import Answers, read_json, write_json

ASKED = {"question": "how far?", "experiment": {"seed": 0, "controls": ("a", "b")}}


def test_the_same_question_finds_its_finished_parts(tmp_path):
    answers = Answers(tmp_path / "new", ASKED)
    with answers.new("trial-0", "level-01") as part:
        write_json(part / "x.json", {"x": 1})

    again = Answers(tmp_path / "new", ASKED)
    assert again.has("trial-0", "level-01")
    assert not again.has("trial-0", "level-02")
    assert read_json(again.path("trial-0", "level-01") / "x.json") == {"x": 1}


def test_two_processes_do_not_answer_into_one_folder(tmp_path):
    answers = Answers(tmp_path, ASKED)
    with answers.held(), pytest.raises(BusyError), Answers(tmp_path, ASKED).held():
        pass
    with answers.held():
        pass


def test_a_part_that_failed_is_not_there(tmp_path):
    answers = Answers(tmp_path, ASKED)
    with pytest.raises(KeyError), answers.new("trial-0"):
        raise KeyError

    assert not answers.has("trial-0")


def test_what_was_killed_at_its_first_word_can_be_asked_again(tmp_path):
    (tmp_path / ".question.json.123.partial").write_text("{")

    assert not Answers(tmp_path, ASKED).has("trial-0")
    assert read_json(tmp_path / "question.json")["question"] == "how far?"


def test_another_question_is_refused_and_says_what_differs(tmp_path):
    Answers(tmp_path, ASKED)
    before = (tmp_path / "question.json").read_bytes()

    with pytest.raises(
        ValueError, match=r"experiment\.seed is 0 there and 1 here\. Choose another"
    ):
        Answers(tmp_path, {**ASKED, "experiment": {"seed": 1, "controls": ("a", "b")}})
    assert (tmp_path / "question.json").read_bytes() == before


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        Answers(tmp_path, ASKED)
    with pytest.raises(ValueError, match="is a file"):
        Answers(tmp_path / "letter.txt", ASKED)

    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "question.json").write_bytes(content)

    with pytest.raises(ValueError, match=r"question\.json is damaged"):
        Answers(tmp_path, ASKED)

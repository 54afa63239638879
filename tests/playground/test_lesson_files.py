"""Files of lessons: read whole, checked by the settings, refused with the file and the key."""

import json
import re
from pathlib import Path

import pytest

from kerasinit._src.playground import lesson_files
from kerasinit._src.playground.lesson_files import built_in, read_file, read_folder
from kerasinit.playground import TwoNetworks

TEXT = """
title = "Dropout"
question = '''
Which one is
better?
'''
answer = "Neither."
steps = 100

[settings]
data = "xor"
depth = 3
left.initializer = "Zeros"
right.activation = "tanh"

[[try]]
text = "Make it deeper."
settings.depth = 5
settings.left.activation = "elu"

[[try]]
text = "Think."
"""


@pytest.fixture
def write(tmp_path):
    def write(text=TEXT, name="3_dropout.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_lesson_is_read_with_its_settings(write):
    lesson = read_file(write())

    assert (lesson.id, lesson.title, lesson.steps) == ("dropout", "Dropout", 100)
    assert lesson.question == "Which one is better?"
    assert (lesson.settings.data, lesson.settings.depth) == ("xor", 3)
    assert lesson.settings.left.initializer == "Zeros"
    assert lesson.settings.left.activation == "relu"
    # What a file does not name is the default of that side.
    assert lesson.settings.right.initializer == "GlorotNormal"
    assert lesson.settings.right.activation == "tanh"


def test_what_to_try_replaces_only_what_it_names(write):
    lesson = read_file(write())

    deeper, same = lesson.patched(0), lesson.patched(1)

    assert (deeper.depth, deeper.data) == (5, "xor")
    assert (deeper.left.activation, deeper.left.initializer) == ("elu", "Zeros")
    assert deeper.right == lesson.settings.right
    assert same == lesson.settings


def test_a_lesson_is_plain_data_for_a_page(write):
    shown = read_file(write()).to_dict()

    assert json.loads(json.dumps(shown)) == shown
    assert list(shown) == ["id", "title", "question", "try", "answer", "steps", "settings"]
    assert shown["try"] == [
        {"text": "Make it deeper.", "settings": {"depth": 5, "left": {"activation": "elu"}}},
        {"text": "Think.", "settings": None},
    ]
    assert shown["settings"]["left"]["initializer"] == "Zeros"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Dropout"', "", "Missing: 'title'"),
        ("steps", "step", "Unknown key 'step'. Did you mean 'steps'"),
        ("steps = 100", "steps = 0", "from 1 to 100,000 as 'steps'; got 0"),
        ("steps = 100", "steps = true", "a whole number as 'steps'"),
        ('answer = "Neither."', "answer = 3", "Expected text as 'answer'; got 3"),
        ('answer = "Neither."', 'answer = " "', "'answer' is empty"),
        (
            "depth = 3",
            "depths = 3",
            "In 'settings': Unknown setting 'depths'. Did you mean 'depth'",
        ),
        ("depth = 3", "depth = 51", "In 'settings': Expected from 1 to 50 as depth; got 51"),
        ('data = "xor"', 'data = "csv"', "a lesson has no file of examples"),
        ('"Zeros"', '"Zeroes"', "Did you mean 'Zeros'"),
        ('"Zeros"', "\"__import__('os')\"", "In 'settings': Unknown initializer"),
        ("left.initializer", "left.initialiser", "Unknown setting 'left.initialiser'"),
        ("settings.depth = 5", "settings.depth = 0", r"In 'try\[0\].settings': Expected from 1"),
        ('text = "Think."', 'words = "Think."', r"Unknown key 'try\[1\].words'"),
        ('text = "Think."', "", r"Missing: 'try\[1\].text'"),
        ('"Dropout"', '"Dropout', "Cannot read the lesson"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_key(write, old, new, message):
    assert old in TEXT
    path = write(TEXT.replace(old, new, 1))

    with pytest.raises(ValueError, match=message) as caught:
        read_file(path)

    assert str(path) in str(caught.value)


def test_other_files_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="more than 64 KB"):
        read_file(write(TEXT + "#" * lesson_files.MAX_BYTES))
    with pytest.raises(ValueError, match="Cannot read the lesson"):
        read_file(write(b"\xff\xfe"))
    with pytest.raises(ValueError, match="lowercase letters"):
        read_file(write(name="3_Drop out.toml"))
    with pytest.raises(ValueError, match="no-such"):
        read_file(tmp_path / "no-such.toml")
    with pytest.raises(ValueError, match="there is none at"):
        read_folder(tmp_path / "no-such")
    with pytest.raises(ValueError, match=r"an array of tables as 'try'"):
        read_file(write("try = 3\n" + TEXT.partition("[[try]]")[0]))


def test_a_folder_is_read_in_the_order_of_its_numbers(write, tmp_path):
    for name in ("more.toml", "10_tickets.toml", "2-sizes.toml", "notes.txt"):
        write(name=name)

    assert [lesson.id for lesson in read_folder(tmp_path)] == ["sizes", "tickets", "more"]

    write(name="3_sizes.toml")
    with pytest.raises(ValueError, match="are both the lesson 'sizes'"):
        read_folder(tmp_path)


def test_the_lessons_of_the_package_are_read():
    assert len(built_in()) >= 9
    for lesson in built_in():
        for number in range(len(lesson.attempts)):
            assert lesson.patched(number) != lesson.settings


def test_the_lesson_of_the_page_for_teachers_is_read_and_true(write):
    page = Path(__file__).parents[2] / "docs" / "playground.md"
    text = re.search(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)[1]
    lesson = read_file(write(text))

    as_it_is, with_residuals = (
        TwoNetworks(settings) for settings in (lesson.settings, lesson.patched(0))
    )
    for two in (as_it_is, with_residuals):
        two.advance(lesson.steps)

    left, right = as_it_is.columns.index("left loss"), as_it_is.columns.index("right loss")
    assert as_it_is.rows[:, left].min() > 0.6
    assert as_it_is.rows[:, right].min() < 0.1
    assert with_residuals.rows[:, left].min() < 0.1

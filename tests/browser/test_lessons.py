"""Each lesson, played to its end in a browser, shows the numbers of a script, bit for bit."""

import keras
import numpy as np
import pytest

from kerasinit._src.playground import lesson_files
from kerasinit._src.playground.measuring import Views
from kerasinit.playground import Settings, TwoNetworks

LESSONS = {lesson.id: lesson for lesson in lesson_files.built_in()}
_COMPARED = 100


def assert_same(shown, expected):
    """Compare numbers of the page, where null is what is not finite, with those of a script."""
    shown = np.array([[np.nan if n is None else n for n in row] for row in shown])
    np.testing.assert_array_equal(shown, np.where(np.isfinite(expected), expected, np.nan))


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_the_numbers_of_a_script(open_tab, name):
    lesson = LESSONS[name]
    tab = open_tab(f"#lesson={name}")
    state = tab.wait_for_start()
    assert Settings.from_dict(state["state"]["settings"]) == lesson.settings
    first = tab.get("step-count").inner_text()

    tab.get("speed").select_option("20")
    tab.get("play").click()
    tab.wait("p.step === a && !p.state.playing", lesson.steps)
    rows = tab.state()["rows"]
    tab.get("answer").locator("summary").click()

    two = TwoNetworks(lesson.settings)
    two.advance(min(_COMPARED, lesson.steps))
    assert first == "0"
    assert_same(rows[: len(two.rows)], two.rows)
    assert rows[-1][0] == lesson.steps
    assert tab.get("answer-text").inner_text()
    for side in ("left", "right"):
        assert tab.get(f"{side}-verdict").inner_text()


def test_fit_of_keras_gives_the_numbers_of_the_page(open_tab):
    fragment = f"#{Settings(data='moons', depth=2, left=Settings().right).to_address()}&step=100"
    tab = open_tab(fragment)
    tab.wait("p.step === 100 && !p.state.playing")
    rows = np.array(tab.state()["rows"])

    two = TwoNetworks(Settings.from_address(fragment[1:].rpartition("&")[0]))
    x, y = two.examples.x, two.examples.y
    for model, column in ((two.left, 1), (two.right, 5)):
        losses = []
        for batch in two.batches(0, 100):
            model.fit(x[batch], y[batch], batch_size=len(batch), shuffle=False, verbose=0)
            losses.append(model.evaluate(x, y, verbose=0)[0])
        np.testing.assert_allclose(rows[1:, column], losses, atol=1e-5)


def test_rewinding_gives_the_same_first_weights_bit_for_bit(open_tab):
    tab = open_tab("#data=xor&depth=3")
    tab.wait_for_start()
    settings = Settings.from_dict(tab.state()["state"]["settings"])
    two = TwoNetworks(settings)
    digest = Views(two.left, two.examples, settings.left.activation).digest()
    first = tab.state()["views"]
    assert first["left"]["digest"] == digest

    tab.get("play").click()
    tab.wait("p.step >= 20")
    tab.get("play").click()
    tab.wait("!p.state.playing")
    played = tab.state()
    tab.get("rewind").click()
    tab.wait("p.step === 0 && p.rows.length === 1")
    again = tab.state()["views"]
    assert played["views"]["left"]["digest"] != digest
    assert again == first

    tab.get("play").click()
    tab.wait("p.step >= a", played["step"])
    tab.get("play").click()
    tab.wait("!p.state.playing")
    assert tab.state()["rows"][: len(played["rows"])] == played["rows"]


def test_the_next_seed_is_another_draw(open_tab):
    tab = open_tab("#data=xor&depth=2&seed=5")
    tab.wait_for_start()
    before = tab.state()

    tab.get("next-seed").click()
    tab.wait("p.state.settings.seed === 6 && p.rows.length && !p.state.waiting")

    assert tab.state()["views"]["left"]["digest"] != before["views"]["left"]["digest"]


def test_a_keras_line_of_the_page_builds_the_network(open_tab):
    tab = open_tab("#data=moons&depth=2&left.initializer=Orthogonal&normalization=layer")
    tab.wait_for_start()
    names = {}
    # In a test only: the package evaluates nothing.
    exec(tab.get("code-left").inner_text(), names)

    model = next(value for value in names.values() if isinstance(value, keras.Model))
    two = TwoNetworks(Settings.from_dict(tab.state()["state"]["settings"]))
    for a, b in zip(model.get_weights(), two.left.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

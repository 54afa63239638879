"""The page as a person uses it: links, files, keys, words, wrong input, many tabs."""

import csv
import hashlib
import io
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

SHIFTS = """
window.shifts = 0;
new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({type: 'layout-shift', buffered: true});
"""


def download(tab, kind):
    """Export and return the text or the bytes of the file."""
    tab.get("export").click()
    with tab.page.expect_download() as waiting:
        tab.get(f"export-{kind}").click()
    return waiting.value.path().read_bytes(), waiting.value.suggested_filename


def wait_for_text(tab, testid, text):
    """Wait until a part of the page has some text."""
    script = """([testid, text]) =>
        document.querySelector(`[data-testid=${testid}]`).innerText.includes(text)"""
    tab.page.wait_for_function(script, arg=[testid, text])


def test_a_link_shows_the_same(open_tab):
    tab = open_tab("#data=moons&depth=3&right.activation=tanh")
    tab.wait_for_start()
    tab.get("speed").select_option("10")
    tab.get("play").click()
    tab.wait("p.step >= 30")
    tab.get("play").click()
    tab.wait("!p.state.playing")
    before = tab.state()
    fragment = tab.page.evaluate("location.hash")

    other = open_tab(fragment)
    other.wait("p.step === a && !p.state.playing && p.verdict", before["step"])

    after = other.state()
    assert after["state"]["settings"] == before["state"]["settings"]
    assert after["rows"] == before["rows"]
    assert after["views"] == before["views"]


def test_what_is_exported_opens(open_tab, tmp_path):
    tab = open_tab("#data=moons&depth=2&step=40")
    tab.wait("p.step === 40 && !p.state.playing && p.verdict")
    rows = tab.state()["rows"]

    svg, _ = download(tab, "svg")
    png, _ = download(tab, "png")
    numbers, _ = download(tab, "csv")
    script, name = download(tab, "script")
    page, _ = download(tab, "html")

    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert png.startswith(b"\x89PNG")
    _, *lines = csv.reader(io.StringIO(numbers.decode()))
    np.testing.assert_array_equal(np.array(lines, float), np.array(rows))
    compile(script, name, "exec")
    replayed = tmp_path / "replayed.html"
    replayed.write_bytes(page)

    offline = open_tab(address=replayed.as_uri(), offline=True)
    offline.outside.clear()  # the file itself
    offline.wait("p.started && p.rows.length")
    offline.get("play").click()
    offline.wait("p.step === 40")
    assert offline.state()["rows"] == rows
    offline.get("rewind").click()
    offline.wait("p.step === 0")
    assert offline.outside == []


def test_keys_play_pause_step_and_rewind(open_tab):
    tab = open_tab("#data=xor&depth=1")
    tab.wait_for_start()

    tab.page.keyboard.press("Space")
    tab.wait("p.step >= 5")
    tab.page.keyboard.press("Space")
    tab.wait("!p.state.playing")
    step = tab.state()["step"]
    tab.page.keyboard.press("s")
    tab.wait("p.step === a", step + 1)
    tab.page.keyboard.press("r")
    tab.wait("p.step === 0")
    tab.page.keyboard.press("n")
    tab.wait("p.state.settings.seed === 1 && !p.state.waiting")


def test_keys_do_nothing_while_one_types(open_tab):
    tab = open_tab("#data=xor&depth=1")
    tab.wait_for_start()

    tab.page.locator("[data-fields=left] input[type=text]").first.focus()
    tab.page.keyboard.type("snr ")

    time.sleep(0.5)
    assert tab.state()["step"] == 0
    assert tab.state()["state"]["settings"]["seed"] == 0


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("__import__('os').system('true')", "Unknown initializer"),
        ("HeNormel", "Did you mean 'HeNormal'"),
        ("FromModel:path=/etc/passwd", "must not open your files"),
    ],
)
def test_a_wrong_initializer_is_refused_in_words(open_tab, typed, message):
    tab = open_tab("#data=xor&depth=1")
    tab.wait_for_start()

    field = tab.page.locator("[data-fields=left] input[type=text]").first
    field.fill(typed)
    field.press("Enter")

    wait_for_text(tab, "alert", message)
    tab.get("step").click()
    tab.wait("p.step === 1")


def test_a_link_with_a_wrong_setting_is_refused_in_words(open_tab):
    tab = open_tab("#depth=1000")

    wait_for_text(tab, "alert", "from 1 to 50 as depth")


def table(columns, text=False):
    random = np.random.default_rng(0)
    lines = [",".join([*(f"c{n}" for n in range(columns)), "kind"])]
    for row in range(60):
        numbers = random.normal(size=columns) + 2 * (row % 2)
        words = ["bad" if text and row == 7 else f"{n:.3f}" for n in numbers]
        lines.append(",".join([*words, "even" if row % 2 else "odd"]))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("columns", [2, 4])
def test_a_file_of_the_user_is_trained_and_linked(open_tab, columns):
    content = table(columns)
    tab = open_tab("#data=csv&depth=2")
    file = {"name": "mine.csv", "mimeType": "text/csv", "buffer": content}

    tab.get("csv").set_input_files(file)
    tab.wait_for_start()
    tab.get("step").click()
    tab.wait("p.step === 1")

    state = tab.state()
    assert state["started"]["classes"] == ["even", "odd"]
    assert (state["views"]["left"]["grid"] is not None) == (columns == 2)
    assert (state["views"]["left"]["confusion"] is not None) == (columns == 4)
    assert hashlib.sha256(content).hexdigest() in tab.page.evaluate("location.hash")


def test_a_file_with_text_and_a_large_one_are_refused_in_words(open_tab):
    tab = open_tab("#data=csv&depth=2")
    wrong = {"name": "wrong.csv", "mimeType": "text/csv", "buffer": table(3, text=True)}
    tab.get("csv").set_input_files(wrong)
    wait_for_text(tab, "alert", "bad")
    large = {"name": "large.csv", "mimeType": "text/csv", "buffer": b"1,2,3\n" * 300_000}
    tab.get("csv").set_input_files(large)
    wait_for_text(tab, "alert", "1 MB")
    # The browser reports the refusal of the first file itself.
    tab.said = [text for text in tab.said if "422" not in text]


def test_a_wrong_token_is_refused_in_words(open_tab, server):
    tab = open_tab(address=f"{server.origin}/?token=wrong")

    assert "Open the address that" in tab.page.inner_text("body")
    tab.said = [text for text in tab.said if "403" not in text]


def test_the_formula_of_a_layer_is_explained(open_tab):
    tab = open_tab("#data=xor&depth=2&width=8")
    tab.wait_for_start()

    tab.get("explain-left").click()

    wait_for_text(tab, "explanation-left", "fan_in")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280, 2560])
def test_the_page_fits_its_window_and_does_not_jump(open_tab, width, scheme):
    tab = open_tab(
        "#data=moons&depth=6",
        script=SHIFTS,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    tab.wait_for_start()
    tab.get("play").click()
    tab.wait("p.step >= 5")

    too_wide = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert too_wide <= 0
    assert tab.page.evaluate("window.shifts") < 0.05


def test_the_page_is_painted_within_a_second(open_tab):
    script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    painted = []
    for _ in range(3):
        tab = open_tab()
        tab.wait("p.started")
        painted.append(tab.page.evaluate(script))

    # The best of three: the machine may do something else.
    assert min(painted) < 1000


def test_everything_has_a_name_for_screen_readers(open_tab):
    tab = open_tab("#data=moons&depth=2")
    tab.wait_for_start()

    unnamed = tab.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, summary, [role=img]')]
            .filter(one => one.offsetParent && !(one.labels?.length || one.innerText?.trim()
                || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby')))
            .map(one => one.outerHTML.slice(0, 120))"""
    )

    assert unnamed == []


def test_twenty_tabs_opened_and_closed_leave_no_process(open_tab, server, chromium):
    from tests.browser.conftest import Tab

    for number in range(20):
        tab = Tab(chromium, server.origin).open(f"{server.url}#data=xor&depth=2&seed={number}")
        tab.wait("p.started && p.rows.length")
        tab.page.keyboard.press("Space")
        tab.wait("p.step >= 1")
        tab.close()

    deadline = time.monotonic() + 15
    while len(server.children()) > 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(server.children()) <= 1  # a spare, for the next one

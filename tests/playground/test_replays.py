"""A replay is one file: it holds everything, loads nothing, and nothing in it becomes HTML."""

import base64
import gzip
import json
import re

import pytest

from kerasinit._src.playground import page_files
from kerasinit._src.playground.replays import replay_page
from tests.playground.test_page_files import Elements, directives

EVIL = '</script><script>alert("x")</script><!-- <script> <!-- left side --> $side \u2028'
RECORDED = {
    "lesson": {"id": "zeros", "title": EVIL, "question": EVIL, "try": [], "answer": EVIL},
    "form": {"shared": [], "side": []},
    "runs": [{"label": EVIL, "messages": [{"is": "event", "run": 1, "step": 2, "text": EVIL}]}],
}
PAGE = replay_page(RECORDED)
ELEMENTS = Elements(PAGE)


def scripts(kind):
    return [text for attributes, text in ELEMENTS.of("script") if attributes.get("type") == kind]


def recorded_in(page):
    """Return what a page carries, as its script reads it."""
    [packed] = [text for a, text in Elements(page).of("script") if a["type"] == "application/gzip"]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def policy():
    [content] = [a["content"] for a, _ in ELEMENTS.of("meta") if "http-equiv" in a]
    return directives(content)


def test_what_was_recorded_comes_back_and_stays_text():
    assert recorded_in(PAGE) == RECORDED
    assert PAGE.count("<script") == 3
    assert "alert" not in "".join(scripts("module"))


def test_it_holds_every_module():
    [imports] = scripts("importmap")
    addresses = json.loads(imports)["imports"]
    start = "data:text/javascript;charset=utf-8;base64,"

    assert all(address.startswith(start) for address in addresses.values())
    texts = {
        name: base64.b64decode(address.removeprefix(start)).decode()
        for name, address in addresses.items()
    }
    assert texts == page_files.modules()
    assert scripts("module") == [f'import "{page_files.ENTRY}";']


def test_it_loads_nothing():
    sources = policy()

    assert sources.pop("default-src") == ["'none'"]
    assert "connect-src" not in sources
    allowed = {word for words in sources.values() for word in words if "sha256" not in word}
    assert allowed == {"data:", "blob:", "'none'"}
    addresses = [a[key] for _, a, _ in ELEMENTS.found for key in ("src", "href") if key in a]
    assert addresses == ["data:,"]


def test_its_policy_allows_its_own_scripts_and_style():
    [(_, style)] = ELEMENTS.of("style")
    [imports], [entry] = scripts("importmap"), scripts("module")

    assert policy()["style-src"] == [page_files.source_of(style)]
    expected = {page_files.source_of(imports), page_files.source_of(entry), "data:"}
    assert set(policy()["script-src"]) == expected
    for name in page_files.STYLES:
        assert page_files.static_files()[name].content.decode() in style


def test_the_policy_stands_before_everything_it_rules():
    place = PAGE.index("Content-Security-Policy")

    assert place < min(PAGE.index("<style>"), PAGE.index("<script"))


def test_it_carries_the_licence_of_what_it_contains():
    [comment] = re.findall(r"<!-- Contains uPlot:(.*?)-->", PAGE, re.S)

    assert "Permission is hereby granted" in comment


def test_a_recording_without_runs_is_refused():
    with pytest.raises(ValueError, match="Expected at least one recorded run; got none"):
        replay_page({**RECORDED, "runs": []})


def test_a_number_that_json_has_no_word_for_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        replay_page({**RECORDED, "runs": [{"label": "a", "messages": [{"loss": float("nan")}]}]})

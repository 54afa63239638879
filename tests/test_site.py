"""The check of the built site notices what it is there for; `python -m docs.build` runs it."""

import json

import pytest

from docs import check

INDEX = {
    "terms": {"kaim": [0, 1], "vanish": 1, "gradient": [0, 1], "mask": 0},
    "titleterms": {"tfmot": [1]},
}


def write(folder, body, name="index.html"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<html><head></head><body>{body}</body></html>", "utf-8")


def test_a_sound_site_has_no_faults(tmp_path):
    write(tmp_path, '<h1 id="top">A</h1><a href="b/c.html#x%20y">b</a><a href="#top">a</a>')
    write(tmp_path, '<p id="x y"></p><a href="../">up</a><img src="d.svg">', "b/c.html")
    write(
        tmp_path,
        '<a href="https://keras.io">Keras</a><img src="data:image/png;base64,AA">',
        "e.html",
    )
    (tmp_path / "b/d.svg").write_text("<svg/>")

    assert check.faults(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "leads to no file: gone.html"),
        ('<a href="../outside.html">x</a>', "leads to no file: ../outside.html"),
        ('<a href="#gone">x</a>', "leads to no anchor: #gone"),
        ('<img src="gone.png">', "leads to no file: gone.png"),
        (
            '<script src="https://cdn.org/a.js"></script>',
            "loads from elsewhere: https://cdn.org/a.js",
        ),
        ('<link rel="stylesheet" href="//cdn.org/a.css">', "loads from elsewhere: //cdn.org/a.css"),
        ('<img srcset="https://cdn.org/a.png 2x">', "loads from elsewhere: https://cdn.org/a.png"),
    ],
)
def test_a_fault_is_named_with_its_page(body, fault, tmp_path):
    write(tmp_path, body)

    assert check.faults(tmp_path) == [f"index.html: {fault}"]


@pytest.mark.parametrize("rule", ["src: url(https://fonts.org/a.woff2)", '@import "x.css"'])
def test_a_style_sheet_that_loads_from_elsewhere_is_named(rule, tmp_path):
    (tmp_path / "a.css").write_text(f"body {{ {rule} }}")

    assert [fault.split(":")[0] for fault in check.faults(tmp_path)] == ["a.css"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Kaiming", True),
        ("vanishing gradients", True),
        ("tfmot", True),
        ("mask", True),
        ("vanishing mask", False),  # both words, but on no page together
        ("unheard", False),
    ],
)
def test_what_the_search_cannot_find_is_named(query, found, tmp_path):
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(INDEX)})")
    stems = {"kaiming": "kaim", "vanishing": "vanish", "gradients": "gradient"}

    faults = check.unfound(tmp_path, [query], lambda word: stems.get(word, word))

    assert faults == ([] if found else [f"The search finds nothing for: {query}"])

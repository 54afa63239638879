"""The written pages are complete, and the check of the built site notices what it is there for.

Both need no Sphinx; `python -m docs.build` makes the site and checks it.
"""

import dataclasses
import importlib
import json

import pytest

from docs import check
from docs.extensions import docstrings, public_names, written_pages
from kerasinit import lottery

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


def test_every_public_name_has_a_place_in_the_reference():
    owners = public_names.modules()
    named = {
        f"{owner}.{name}" for owner in owners for name in importlib.import_module(owner).__all__
    }
    pages = "".join(written_pages.reference_page(area) for area in public_names.AREAS)
    places = {name: public_names.canonical(name) for name in named}
    modules = {name for name in named if name in owners}

    assert {name for name, place in places.items() if not place} <= modules
    assert {
        place
        for place in places.values()
        if place and f":: {place}\n" not in pages and place not in modules
        if place != "kerasinit.diagnosis.KINDS"
    } == set()


def test_a_new_public_name_without_a_heading_is_an_error(monkeypatch):
    areas = [area for area in public_names.AREAS if area.page != "theory"]
    monkeypatch.setattr(public_names, "AREAS", areas)

    with pytest.raises(LookupError, match=r"no heading for .*kerasinit\.gain"):
        public_names.documented.__wrapped__()


def test_the_command_line_is_described_with_every_option():
    page = written_pages.commands_page()
    options = {field.name.replace("_", "-") for field in dataclasses.fields(lottery.Experiment)}
    section = page.partition("kerasinit lottery run\n")[2].partition("kerasinit lottery report\n")[
        0
    ]

    assert {name for name in options if f".. option:: --{name}" not in section} == set()
    assert page.count(".. program:: ") >= 12
    assert "what the kept weights are rewound to: init (the initial weights), step:K" in section
    assert "conv2d\\*=0.1" in section  # no emphasis begins there


def test_every_example_has_a_page_with_its_picture():
    pages = written_pages.pages()
    for name, (title, _) in written_pages.examples().items():
        path = written_pages.ROOT / "examples" / f"{name}.py"
        draws = "savefig" in path.read_text("utf-8")

        assert f"{title}\n===" in pages[f"gallery/{name}.rst"]
        assert (f"images/examples/{name}.png" in pages[f"gallery/{name}.rst"]) == draws


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Example:\n>>> 1\n1\n\n>>> 2\n2", "Example:\n    >>> 1\n    1\n\n    >>> 2\n    2"),
        ("Example:\n>>> 1\n1\n\nMore.", "Example:\n    >>> 1\n    1\n\nMore."),
        ("Example:\n    >>> 1\n    1", "Example:\n    >>> 1\n    1"),
        ("Args:\n    x: One.\n\nReturns:\n    Two.", "Args:\n    x: One.\n\nReturns:\n    Two."),
    ],
)
def test_an_example_without_indentation_becomes_a_section(written, read):
    assert "\n".join(docstrings.indent_examples(written.split("\n"))) == read


def test_a_class_without_its_docstring_in_the_reference_is_named(tmp_path):
    class Shown:
        pass

    entries = [(f"kerasinit.{name}", Shown) for name in ("Shown", "Other", "Gone")]
    alias = '<dd><p>alias of <a class="reference"></a></p></dd>'
    sig = '<dt class="sig sig-object py" id="kerasinit.{}">'
    Shown.__qualname__ = "Shown"
    write(tmp_path, sig.format("Shown") + "text" + sig.format("Other") + alias, "reference/a.html")

    assert check.undocumented(tmp_path, {"a": entries[:2]}) == []
    assert check.undocumented(tmp_path, {"a": entries}) == [
        "reference/a.html: no docstring of kerasinit.Gone"
    ]
    write(tmp_path, sig.format("Shown") + alias, "reference/b.html")
    assert check.undocumented(tmp_path, {"b": entries[:1]}) == [
        "reference/b.html: no docstring of kerasinit.Shown"
    ]

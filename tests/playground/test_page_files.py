"""The page is whole, loads nothing from elsewhere, and obeys its own strict policy."""

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from kerasinit._src.playground import page_files
from tests.test_import import run_fresh

PAGE = Path(str(resources.files("kerasinit._src.playground"))) / "page"
VENDOR = PAGE / "vendor" / "uplot"
MODULES = page_files.modules()
OURS = {name: text for name, text in MODULES.items() if name != "uplot"}
STYLE = "\n".join(page_files.static_files()[name].content.decode() for name in page_files.STYLES)
IMPORTS = re.compile(r'^(?:import|export) .*?from "([^"]+)";|^import "([^"]+)";', re.M | re.S)


class Elements(HTMLParser):
    """The elements of a document: name, attributes, and text of each."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.within = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.within = [tag, dict(attrs), ""]
        self.found.append(self.within)

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within:
            self.within[2] += data

    def of(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


ELEMENTS = Elements(page_files.page())


def imports_of(text):
    return {first or second for first, second in IMPORTS.findall(text)}


def directives(policy):
    return {part.split()[0]: part.split()[1:] for part in policy.split("; ")}


def test_every_import_is_in_the_import_map():
    addresses = json.loads(page_files.served_import_map())["imports"]

    assert set(addresses) == set(MODULES)
    for text in OURS.values():
        assert imports_of(text) <= set(addresses)
    names = {address.removeprefix("/static/") for address in addresses.values()}
    assert names <= set(page_files.static_files())


def test_the_entry_reaches_every_module():
    reached, waiting = set(), {page_files.ENTRY}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= imports_of(MODULES[name]) - reached

    assert reached == set(MODULES)


def test_modules_export_what_others_import():
    named = re.compile(r'^import \{([^}]+)\} from "(playground/[^"]+)";', re.M)
    exported = re.compile(r"^export (?:async )?(?:const|function|class) (\w+)", re.M)
    seen = 0
    for text in OURS.values():
        for names, source in named.findall(text):
            wanted = {name.strip() for name in names.split(",") if name.strip()}
            assert wanted <= set(exported.findall(OURS[source]))
            # What is imported is used, too.
            for name in wanted:
                assert len(re.findall(rf"\b{name}\b", text)) > 1, (source, name)
            seen += len(wanted)

    assert seen > 50


@pytest.mark.parametrize("name", OURS)
def test_modules_are_short_and_described(name):
    text = OURS[name]

    assert text.startswith("/** ")
    assert len(text.splitlines()) <= 300
    assert max(map(len, text.splitlines())) <= 100
    exports = re.findall(r"^(.*)\nexport ", text, re.M)
    assert all(line.endswith("*/") for line in exports), exports


def test_lines_of_styles_and_documents_are_short():
    files = [PAGE / "playground.css", *PAGE.glob("*.html")]
    lines = [(path.name, line) for path in files for line in path.read_text("utf-8").splitlines()]

    assert len(lines) > 300
    assert [one for one in lines if len(one[1]) > 100] == []


@pytest.mark.parametrize(
    "danger",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"],
)
def test_no_module_makes_html_or_code_of_text(danger):
    assert [name for name, text in MODULES.items() if danger in text] == []


def test_the_page_has_neither_inline_styles_nor_handlers():
    for tag, attributes, _ in ELEMENTS.found:
        assert tag != "style"
        assert [name for name in attributes if name == "style" or name.startswith("on")] == []
    inline = [attributes for attributes, text in ELEMENTS.of("script") if text]
    assert inline == [{"type": "importmap"}]


def test_the_page_refers_to_this_server_alone():
    files = page_files.static_files()
    addresses = [a[key] for _, a, _ in ELEMENTS.found for key in ("src", "href") if key in a]

    assert len(addresses) >= 5
    for address in addresses:
        assert address == "data:," or address.removeprefix("/static/") in files
    for text in (page_files.page(), STYLE, *OURS.values()):
        assert not re.search(r"https?://|url\(|@import", text)


def test_the_policy_allows_the_import_map_and_nothing_else():
    policy = directives(page_files.policy())
    [(_, text)] = [
        element for element in ELEMENTS.of("script") if element[0].get("type") == "importmap"
    ]

    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'", page_files.source_of(text)]
    assert policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert "unsafe" not in page_files.policy()
    # The digest of the empty string, as everybody writes it.
    empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert page_files.source_of("") == f"'sha256-{empty}'"


def test_ids_are_unique_and_those_that_modules_ask_for_are_there():
    ids = [attributes["id"] for _, attributes, _ in ELEMENTS.found if "id" in attributes]
    asked = set(re.findall(r'byId\("([^"]+)"\)', "".join(OURS.values())))

    assert len(ids) == len(set(ids))
    assert len(asked) > 20
    assert asked <= set(ids)
    labels = [
        a[key] for _, a, _ in ELEMENTS.found for key in ("for", "aria-labelledby") if key in a
    ]
    assert set(labels) <= set(ids)


def test_both_sides_have_the_same_panels():
    ids = {attributes.get("id", "") for _, attributes, _ in ELEMENTS.found}
    sides = {
        side: {one.removeprefix(f"{side}-") for one in ids if one.startswith(f"{side}-")}
        for side in ("left", "right")
    }

    assert sides["left"] == sides["right"]
    assert {"boundary", "digits", "verdict", "code", "explanation"} <= sides["left"]
    assert "$" not in page_files.page()


def test_every_colour_is_defined_in_both_themes():
    light, dark = (
        set(re.findall(r"(--[\w-]+):", block))
        for block in (STYLE.partition("@media")[0], STYLE.partition("dark)")[2])
    )
    used = set(re.findall(r'"(--c\d|--[a-z]+)"', "".join(OURS.values())))
    used |= {f"--class-{index}" for index in range(6)}

    assert {"--c0", "--c1", "--ink", "--paper"} <= used
    assert used - {"--share", "--count"} <= light | set(re.findall(r"(--class-\d):", STYLE))
    assert used - {"--share", "--count"} <= dark


def test_the_style_sheet_of_reports_comes_first():
    hrefs = [a["href"] for a, _ in ELEMENTS.of("link") if a["rel"] == "stylesheet"]
    reports = resources.files("kerasinit._src.reports") / "page.css"

    assert hrefs == ["/static/page.css", "/static/uplot.css", "/static/playground.css"]
    assert page_files.static_files()["page.css"].content == reports.read_bytes()


def test_files_have_the_types_that_browsers_insist_on():
    types = {name: file.content_type for name, file in page_files.static_files().items()}

    assert types["app.js"] == types["uplot.js"] == "text/javascript; charset=utf-8"
    assert types["page.css"] == types["uplot.css"] == "text/css; charset=utf-8"
    assert all(name.rpartition(".")[2] in ("js", "css", "txt") for name in types)


def test_the_vendored_library_is_what_was_published():
    vendor = json.loads((VENDOR / "vendor.json").read_text())
    files = {path.name: path for path in VENDOR.iterdir() if path.name != "vendor.json"}

    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert vendor["sha256"] == digests
    assert (vendor["name"], vendor["licence"]) == ("uplot", "MIT")
    assert f"(v{vendor['version']})" in MODULES["uplot"]
    assert "MIT License" in files["LICENSE"].read_text()


def test_serving_the_page_needs_no_framework():
    loaded = run_fresh(
        """
        import json, sys
        from kerasinit._src.playground import page_files, replays
        page_files.page()
        frameworks = {"keras", "tensorflow", "tf_keras", "numpy"}
        print(json.dumps(sorted(frameworks & set(sys.modules))))
        """
    )

    assert loaded == []

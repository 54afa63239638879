"""Check a built site without a network: links, anchors, and that nothing comes from elsewhere."""

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# Attributes that make a browser load something, by element.
_LOADED = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "img": ("src", "srcset"),
    "input": ("src",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "track": ("src",), "video": ("src", "poster"), "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}  # fmt: skip
# Relations of a <link> that name a page instead of loading it.
_NAMED = {"author", "canonical", "help", "index", "next", "prev", "search"}


class _Page(HTMLParser):
    """The links, the loaded addresses and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what an element refers to."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag in ("a", "area") and "href" in given:
            self.links.append(given["href"])
        if tag == "link":
            relations = set(given.get("rel", "").split())
            (self.links if relations & _NAMED else self.loaded).append(given.get("href", ""))
        for name in _LOADED.get(tag, ()):
            if name in given:
                several = name == "srcset"
                parts = given[name].split(",") if several else [given[name]]
                self.loaded += [part.split()[0] for part in parts if part.strip()]


@functools.cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


def _fault(folder: Path, path: Path, link: str) -> str | None:
    """Return what is wrong with a link of a page, if anything."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(folder) or not target.is_file():
        return f"leads to no file: {link}"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in _read(target).anchors:
        return f"leads to no anchor: {link}"
    return None


def faults(folder: Path) -> list[str]:
    """Return a line for each link that leads nowhere, and for each address that is loaded.

    Args:
        folder: The built site.
    """
    folder = folder.resolve()
    found = []
    for path in sorted(folder.rglob("*.html")):
        page, name = _read(path), path.relative_to(folder)
        for link in [*page.links, *page.loaded]:
            fault = _fault(folder, path, link)
            found += [f"{name}: {fault}"] if fault else []
        for link in page.loaded:
            if urlsplit(link).netloc or urlsplit(link).scheme not in ("", "data"):
                found.append(f"{name}: loads from elsewhere: {link}")
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text("utf-8")
        for sign in ("url(http", 'url("http', "url('http", "url(//", "@import"):
            if sign in text:
                found.append(f"{path.relative_to(folder)}: loads from elsewhere: {sign}")
    return found


def undocumented(folder: Path, entries: Mapping[str, Iterable[tuple[str, Any]]]) -> list[str]:
    """Return a line for each class whose docstring is missing in the reference.

    Autodoc shows a reference in its place where it takes a class for an alias of another one.

    Args:
        folder: The built site.
        entries: By the name of a page in ``reference``, the names on it with their objects.
    """
    found = []
    for page, named in entries.items():
        text = (folder / "reference" / f"{page}.html").read_text("utf-8")
        parts = re.split(r'<dt class="sig[^>]*id="(kerasinit[^"]*)"', text)
        below = dict(zip(parts[1::2], parts[2::2], strict=True))
        for name, item in named:
            alias = inspect.isclass(item) and item.__qualname__ != name.rpartition(".")[2]
            if name not in below or ("<p>alias of <a" in below[name]) != alias:
                found.append(f"reference/{page}.html: no docstring of {name}")
    return found


def unfound(folder: Path, queries: Iterable[str], stem: Callable[[str], str]) -> list[str]:
    """Return a line for each query that no page answers: one that has all of its words.

    Args:
        folder: The built site, whose search index is read.
        queries: What people type into the search.
        stem: Returns the stem of a word, as the index has it.
    """
    text = (folder / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").rstrip().removesuffix(")"))
    missing = []
    for query in queries:
        pages = [
            {page for part in ("terms", "titleterms") for page in _as_list(index[part].get(word))}
            for word in (stem(word.lower()) for word in query.split())
        ]
        missing += [] if set.intersection(*pages) else [f"The search finds nothing for: {query}"]
    return missing


def _as_list(pages: int | list[int] | None) -> list[int]:
    return [] if pages is None else pages if isinstance(pages, list) else [pages]


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print("\n".join(lines))
    sys.exit(1 if lines else 0)

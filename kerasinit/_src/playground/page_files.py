"""The files of the playground's page, as a server or a self-contained file needs them.

The page is made of plain modules without a build step. They import each other by bare names,
``"playground/curves"``, which an import map translates: to addresses below ``/static/`` for the
server, to ``data:`` addresses in a file of its own (`replays`).
"""

import base64
import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

_PAGE = resources.files("kerasinit._src.playground") / "page"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
# In the order of the cascade; the variables and the look of reports come first.
STYLES = ("page.css", "uplot.css", "playground.css")
# Files whose name on the server differs from their place in the package.
_ELSEWHERE = {
    "page.css": resources.files("kerasinit._src.reports") / "page.css",
    "uplot.css": _PAGE / "vendor" / "uplot" / "uPlot.min.css",
    "uplot.js": _PAGE / "vendor" / "uplot" / "uPlot.esm.js",
    "uplot.txt": _PAGE / "vendor" / "uplot" / "LICENSE",
}
ENTRY = "playground/app"
"""The bare name of the module that starts the page."""
_EARLY = "early.js"
"""A classic script, which runs before the first paint."""


class StaticFile(NamedTuple):
    """A file as it is served: its bytes and their content type."""

    content: bytes
    content_type: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Return everything below ``/static/`` by its name there; read once, served from memory."""
    places = {p.name: p for p in _PAGE.iterdir() if p.name.endswith((".js", ".css"))}
    places |= _ELSEWHERE
    return {
        name: StaticFile(place.read_bytes(), _TYPES[name.rpartition(".")[2]])
        for name, place in sorted(places.items())
    }


def modules() -> dict[str, str]:
    """Return the source text of each module by the bare name that imports it."""
    return {
        _bare_name(name): file.content.decode()
        for name, file in static_files().items()
        if _is_module(name)
    }


def import_map(addresses: dict[str, str]) -> str:
    """Return the import map of bare names and addresses, safe as the text of a script element."""
    return json.dumps({"imports": addresses}, separators=(",", ":")).replace("<", "\\u003c")


def served_import_map() -> str:
    """Return the import map of the page that a server sends."""
    names = [name for name in static_files() if _is_module(name)]
    return import_map({_bare_name(name): f"/static/{name}" for name in names})


def assembled(policy: str, styles: str, scripts: str) -> str:
    """Return the document with both sides' panels and the elements given for its head."""
    parts = {"policy": policy, "styles": styles, "scripts": scripts}
    for name in ("side", "words"):
        panel = (_PAGE / f"{name}.html").read_text("utf-8")
        for side in ("left", "right"):
            text = panel.replace("$side", side).replace("$title", side.capitalize())
            parts[f"{side} {name}"] = text
    text = (_PAGE / "index.html").read_text("utf-8")
    # In one pass, so that no part is searched for the marks of another.
    return re.sub(rf"<!-- ({'|'.join(parts)}) -->", lambda mark: parts[mark[1]], text)


def page() -> str:
    """Return the document that a server sends, to go with `policy`."""
    styles = "\n".join(f'<link rel="stylesheet" href="/static/{name}">' for name in STYLES)
    scripts = (
        f'<script src="/static/{_EARLY}"></script>\n'
        f'<script type="importmap">{served_import_map()}</script>\n'
        f'<script type="module" src="/static/{ENTRY.rpartition("/")[2]}.js"></script>'
    )
    return assembled("", styles, scripts)


def policy() -> str:
    """Return the content security policy of `page`, as the value of a header.

    Nothing is loaded from elsewhere, no script or style stands in the document but the import map,
    and no other site may show the page in a frame.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' {source_of(served_import_map())}",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def source_of(text: str) -> str:
    """Return the source expression that allows exactly this inline script or style."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _is_module(name: str) -> bool:
    return name.endswith(".js") and name != _EARLY


def _bare_name(file_name: str) -> str:
    stem = file_name.removesuffix(".js")
    return stem if stem == "uplot" else f"playground/{stem}"

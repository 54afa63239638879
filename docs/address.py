"""The address of the repository, and everything that depends on it.

The address is ``repository`` of ``[tool.kerasinit]`` in ``pyproject.toml``, and is written by hand
nowhere else. It is empty as long as there is no public repository; then nothing refers to one.
After a change, this writes what depends on it, between a pair of marked lines in each file::

    python -m docs.address
"""

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ADDRESS = re.compile(r"https://github\.com/(?P<owner>[\w-]+)/(?P<name>[\w.-]+?)")
_BLOCK = re.compile(
    r"^(?P<head>.*\baddress: written by python -m docs\.address\b.*\n)"
    r"(?P<lines>(?:.*\n)*?)"
    r"(?P<end>.*/address\b.*)$",
    re.MULTILINE,
)
# What the badges measure, by the workflow that measures it.
_BADGES = {"gate": "gate", "matrix": "versions", "nightly": "pre-releases"}


def repository(root: Path = ROOT) -> str:
    """Return the address of the repository, without a slash at its end; empty if it has none.

    Raises:
        ValueError: If it is not the address of a repository on GitHub, where the workflows run.
    """
    with open(root / "pyproject.toml", "rb") as file:
        address = tomllib.load(file)["tool"]["kerasinit"]["repository"]
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"[tool.kerasinit] of pyproject.toml has repository = {address!r}; expected "
            f"'https://github.com/OWNER/NAME', or '' if there is none yet."
        )
    return address


def site(address: str) -> str:
    """Return where GitHub Pages shows the documentation of the repository at an address."""
    parts = _ADDRESS.fullmatch(address)
    return f"https://{parts['owner'].lower()}.github.io/{parts['name']}/" if parts else ""


def source(path: str, address: str) -> str:
    """Return the link to a file in the repository; empty if there is none."""
    return f"{address}/blob/main/{path}" if address else ""


def colab(notebook: str, address: str) -> str:
    """Return the link that opens a notebook of the repository in Colab; empty if there is none."""
    path = source(notebook, address).removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}" if path else ""


def _urls(address: str) -> str:
    if not address:
        return ""
    urls = {
        "Documentation": site(address),
        "Source": address,
        "Issues": f"{address}/issues",
        "Changelog": source("CHANGELOG.md", address),
    }
    return "[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in urls.items())


def _badges(address: str) -> str:
    if not address:
        return ""
    workflows = f"{address}/actions/workflows"
    badges = [
        f"[![{label}]({workflows}/{name}.yml/badge.svg?branch=main)]({workflows}/{name}.yml)"
        for name, label in _BADGES.items()
    ]
    releases = f"{address}/releases"
    badges += [
        f"[![{label}](https://img.shields.io/pypi/{kind}/kerasinit)]({releases})"
        for kind, label in {"v": "version", "pyversions": "versions of Python"}.items()
    ]
    return "\n".join(badges) + "\n"


def _citation(address: str) -> str:
    return f'repository-code: "{address}"\nurl: "{site(address)}"\n' if address else ""


def _messages(address: str) -> str:
    return f'SITE = "{site(address)}"\n'


PLACES: dict[str, Callable[[str], str]] = {
    "CITATION.cff": _citation,
    "README.md": _badges,
    "kerasinit/_src/troubleshooting.py": _messages,
    "pyproject.toml": _urls,
}
"""The files with marked lines, and what stands between these for an address, or for none."""


def rewritten(text: str, lines: str) -> str:
    """Return a text with other lines between its marked ones.

    Raises:
        ValueError: If it has no pair of marked lines, or several.
    """
    found = list(_BLOCK.finditer(text))
    if len(found) != 1:
        raise ValueError(
            f"Expected one pair of lines '... address: written by python -m docs.address ...' and "
            f"'... /address ...'; got {len(found)}."
        )
    (block,) = found
    return text[: block.end("head")] + lines + text[block.start("end") :]


def write(root: Path = ROOT) -> list[str]:
    """Write what depends on the address, and return the names of the files that changed."""
    address = repository(root)
    changed = []
    for name, lines in PLACES.items():
        path = root / name
        old = path.read_text("utf-8")
        new = rewritten(old, lines(address))
        if new != old:
            path.write_text(new, "utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    for name in write():
        print(f"Wrote {name}", file=sys.stderr)

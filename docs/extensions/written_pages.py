"""Pages written at the beginning of a build: the reference, the commands, and the examples.

They are written into ``docs/reference/`` and ``docs/gallery/``, which git ignores.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.extensions import public_names

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
_NOTE = ".. Written by docs/extensions/written_pages.py at each build.\n\n"


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n\n"


def source_line(module: str, name: str) -> tuple[str, int] | None:
    """Return the file of the repository and the line where a public object is defined."""
    item: Any = importlib.import_module(module)
    for part in name.split("."):
        item = getattr(item, part, None)
    item = inspect.unwrap(item) if callable(item) else item
    if isinstance(item, property):
        item = item.fget
    try:
        path = Path(inspect.getsourcefile(item) or "")
        return path.relative_to(ROOT).as_posix(), inspect.getsourcelines(item)[1]
    except (TypeError, ValueError, OSError):
        return None


def _first_line(item: Any) -> str:
    return (inspect.getdoc(item) or "").partition("\n\n")[0].replace("\n", " ")


def _entry(name: str, item: Any) -> str:
    if inspect.isclass(item):
        inherited = "kerasinit._src.reports.base" in {base.__module__ for base in item.__mro__[1:]}
        options = "   :members:\n" + ("   :inherited-members: object\n" if inherited else "")
        return f".. autoclass:: {name}\n{options}\n"
    if inspect.isroutine(item):
        return f".. autofunction:: {name}\n\n"
    # Not by autodoc, which would show the docstring of ``dict``.
    rows = "".join(f"   ``{key}``\n      {_as_rst(text)}\n\n" for key, text in item.items())
    module, _, short = name.rpartition(".")
    return f".. py:data:: {short}\n   :module: {module}\n\n   A dictionary:\n\n{rows}\n"


def reference_page(area: public_names.Area) -> str:
    """Return the page of an area: a list of its names, then each with its docstring."""
    parts = [_NOTE, _title(area.title), area.intro, "\n\n"]
    parts += [f".. py:module:: {one}\n" for one in area.modules if one != "kerasinit"]
    parts.append("\n.. py:currentmodule:: kerasinit\n\n")
    sections = {
        heading: entries
        for heading, entries in public_names.documented()[area.page].items()
        if entries
    }
    for heading, entries in sections.items():
        parts += [f".. rubric:: {heading}\n\n", ".. list-table::\n   :widths: auto\n\n"]
        for name, item in entries:
            kind = item if callable(item) else None
            parts.append(f"   * - :py:obj:`{name.removeprefix('kerasinit.')} <{name}>`\n")
            parts.append(f"     - {_first_line(kind)}\n")
        parts.append("\n")
    for heading, entries in sections.items():
        parts.append(_title(heading, "-"))
        parts += [_entry(name, item) for name, item in entries]
    return "".join(parts)


def reference_index() -> str:
    """Return the page that lists the areas."""
    pages = "".join(f"   {area.page}\n" for area in public_names.AREAS)
    return (
        _NOTE
        + ".. py:module:: kerasinit\n\n"
        + _title("API reference")
        + "Every public name, with its arguments, errors, an example that the tests run, and the "
        "paper it is from. What is not listed here is internal and may change from one release "
        "to the next.\n\n.. toctree::\n   :maxdepth: 2\n\n" + pages
    )


def _help_of(words: list[str]) -> str:
    """Return what a command prints with ``--help``, one line for each line of its docstring."""
    from kerasinit._src.cli import main

    printed = io.StringIO()
    usual = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "1000"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if usual is not None:
            os.environ["COLUMNS"] = usual
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue())


_HEADING = re.compile(r"^ (positional arguments|options|subcommands) *\n -+ *\n", re.MULTILINE)


def _parts(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return the parts of a help text by heading: each entry with its explanation."""
    pieces = _HEADING.split(text)
    parts = {}
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        entries: list[tuple[str, list[str]]] = []
        for line in filter(str.strip, body.splitlines()):
            bullet = line.strip().startswith("• ")
            if bullet or re.match(r"  \S", line):
                head, *rest = re.split(r" {2,}", line.strip().removeprefix("• "), maxsplit=1)
                entries.append((head, rest))
            else:
                entries[-1][1].append(line.strip())
        parts[heading] = [(head, " ".join(words)) for head, words in entries]
    return parts


def commands(words: list[str] | None = None) -> Iterator[tuple[list[str], str]]:
    """Yield every command with its help text, those above before those below."""
    words = words or []
    text = _help_of(words)
    yield words, text
    for name, _ in _parts(text).get("subcommands", []):
        if name != "(required)":
            yield from commands([*words, name])


def commands_page() -> str:
    """Return the reference of the command line."""
    parts = [
        _NOTE,
        _title("Command line"),
        "``kerasinit COMMAND --help`` prints what stands here. Exit codes: 0 is success, 1 is the "
        "answer no (a finding, a failed check), 2 means that the command failed, 130 that it was "
        "interrupted.\n\n",
    ]
    for words, text in commands():
        command = " ".join(["kerasinit", *words])
        usage, _, rest = text.partition("\n\n")
        description = _HEADING.split(rest)[0].strip()
        if words:
            parts.append(_title(command, "-"))
        parts.append(f".. code-block:: text\n\n   {usage.removeprefix('usage: ').strip()}\n\n")
        if description:
            parts.append(f"{_as_rst(description)}\n\n")
        if "subcommands" in _parts(text):
            continue
        parts.append(f".. program:: {command}\n\n")
        for entries in _parts(text).values():
            for head, explanation in entries:
                if head != "-h, --help":
                    parts.append(f".. option:: {head}\n\n   {_as_rst(explanation)}\n\n")
    return "".join(parts)


def _as_rst(text: str) -> str:
    """Quote what reStructuredText would read as markup; backticks stay code."""
    text = re.sub(r"`+([^`]+)`+", r"``\1``", text)
    pieces = re.split(r"(``[^`]+``)", text)
    quoted = [re.sub(r"([*_|\\])", r"\\\1", piece) for piece in pieces[::2]]
    pieces[::2] = quoted
    return "".join(pieces)


@functools.cache
def examples() -> dict[str, tuple[str, str]]:
    """Return by the name of each example its title and its text, from its docstring."""
    found = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = inspect.cleandoc(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        title, _, body = text.partition("\n\n")
        found[path.stem] = (title.replace("\n", " ").rstrip("."), body)
    return found


def example_page(name: str) -> str:
    """Return the page of an example: its docstring, its picture and its source."""
    title, body = examples()[name]
    picture = DOCS / "images" / "examples" / f"{name}.png"
    parts = [_NOTE, _title(title), body, "\n\n"]
    if picture.exists():
        parts.append(f".. image:: ../images/examples/{name}.png\n   :alt: {title}\n\n")
    parts.append(f"Run it with ``python examples/{name}.py``.\n\n")
    parts.append(f".. literalinclude:: ../../examples/{name}.py\n   :language: python\n")
    return "".join(parts)


def gallery_page() -> str:
    """Return the list of the examples."""
    parts = [
        _NOTE,
        _title("Examples"),
        "Programs of ``examples/``, each of which runs without a network and checks what it "
        "shows. They need ``pip install -e '.[examples]'``.\n\n",
    ]
    for name, (title, body) in examples().items():
        title = title.replace("`", "")
        parts.append(f".. rubric:: :doc:`{title} <{name}>`\n\n")
        picture = DOCS / "images" / "examples" / f"{name}.png"
        if picture.exists():
            path = f"../images/examples/{name}.png"
            parts.append(f".. image:: {path}\n   :alt: {title}\n   :target: {name}.html\n")
            parts.append("   :width: 32rem\n\n")
        first = re.split(r"(?<=[.:])\s", body.partition("\n\n")[0].replace("\n", " "))[0]
        parts.append(f"``examples/{name}.py``. {first}\n\n")
    listed = "".join(f"   {name}\n" for name in examples())
    parts.append(f".. toctree::\n   :hidden:\n\n{listed}")
    return "".join(parts)


def pages() -> dict[str, str]:
    """Return the texts of all written pages by their paths below ``docs/``."""
    written = {"reference/index.rst": reference_index(), "reference/commands.rst": commands_page()}
    for area in public_names.AREAS:
        written[f"reference/{area.page}.rst"] = reference_page(area)
    written["gallery/index.rst"] = gallery_page()
    for name in examples():
        written[f"gallery/{name}.rst"] = example_page(name)
    return written


def use_plain_names() -> None:
    """Give the initializers their plain names.

    Their ``__name__`` is the registered one, ``kerasinit>HeNormal``, for the files of tf_keras.
    Autodoc would take the class for an alias of another one, and show no docstring.
    """
    for sections in public_names.documented().values():
        for _, item in (entry for entries in sections.values() for entry in entries):
            if inspect.isclass(item):
                item.__name__ = item.__qualname__


def _write(app: Any, config: Any) -> None:
    use_plain_names()
    texts = pages()
    for folder in ("reference", "gallery"):
        for path in (DOCS / folder).glob("*.rst"):
            if f"{folder}/{path.name}" not in texts:
                path.unlink()
    for name, text in texts.items():
        path = DOCS / name
        # An unchanged file keeps its time, so that Sphinx does not read it again.
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("config-inited", _write)
    return {"parallel_read_safe": True}

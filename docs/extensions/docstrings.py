"""Docstrings as this package writes them, turned into what ``sphinx.ext.napoleon`` reads.

They are written for ``help()``, as in Keras: an ``Example:`` is followed by its lines without
indentation, which a section of napoleon needs.
"""

import re
from typing import Any

_SECTION = re.compile(r"^(Example|Examples|Reference):$")
_LEAD = re.compile(r"^(Formula): ")


def indent_examples(lines: list[str]) -> list[str]:
    """Indent what stands below ``Example:`` and is not indented, up to a blank line.

    Example:
    >>> indent_examples(["Example:", ">>> 1 + 1", "2", "", "More."])
    ['Example:', '    >>> 1 + 1', '    2', '', 'More.']
    """
    result, inside = [], False
    for number, line in enumerate(lines):
        if inside and not line.strip():
            # An example may go on after a blank line; a section or prose ends it.
            following = next((one for one in lines[number:] if one.strip()), "")
            inside = following.startswith((">>> ", "... "))
        result.append(f"    {line}" if inside and line.strip() else line)
        if _SECTION.match(line):
            below = next((one for one in lines[number + 1 :] if one.strip()), " ")
            inside = not below.startswith(" ")
    return result


def bold_leads(lines: list[str]) -> list[str]:
    """Set the word that begins a formula in bold."""
    return [_LEAD.sub(r"**\1:** ", line) for line in lines]


def _process(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    lines[:] = bold_leads(indent_examples(lines))


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx, before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}

"""References from docstrings: to any public name of an object, and to what lies outside.

The site must work without a network, so no other project's inventory is loaded: names of Keras,
NumPy and Python are shown, not linked. Whatever else leads nowhere is reported by Sphinx.
"""

import builtins
import importlib
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from docs import address
from docs.extensions import public_names

ROOT = Path(__file__).parents[2]

_OUTSIDE = {
    "collections", "datetime", "keras", "matplotlib", "ml_dtypes", "np", "numpy", "os", "pathlib",
    "rich", "sys", "tensorflow", "tf", "tf_keras", "tfmot", "types", "typing",
}  # fmt: skip
# Annotations that are imported for type checkers only.
_BARE = {
    "Figure",
    "Axes",
    "Table",
    "Path",
    "Console",
    "Iterable",
    "Callable",
    "Sequence",
    "Mapping",
}


# Methods of Keras' models that need no other name.
_METHODS = {"compile", "evaluate", "fit", "predict", "save"}


def _is_outside(target: str) -> bool:
    first = re.split(r"[.\[]", target)[0]
    known = hasattr(builtins, first) or hasattr(typing, first)
    return first in _OUTSIDE or target in _BARE | _METHODS or known


def _is_internal(target: str) -> bool:
    """Whether a name exists below ``kerasinit._src``, for a reader of the source."""
    parts = f"kerasinit._src.{target.removeprefix('kerasinit._src.')}".split(".")
    for length in range(len(parts), 2, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def _resolve(app: Any, env: Any, node: Any, shown: nodes.Node) -> nodes.Node | None:
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    if not target.replace(".", "").replace("[", "").isidentifier():
        return shown
    python = env.domains["py"]
    # An attribute that is described in the docstring of its class stands there.
    named = public_names.canonical(target, node.get("py:module"))
    for name in (named, named and named.rpartition(".")[0], f"kerasinit.{target}"):
        if name and name in python.objects:
            where = (env, node["refdoc"], app.builder, "obj", name, node, shown)
            return python.resolve_xref(*where)
    owner = public_names.canonical(f"{node.get('py:class')}.{target}", node.get("py:module"))
    known = owner or _is_outside(target) or _is_internal(target)
    return shown if known else None


class LinkCode(SphinxTransform):
    """Link code in pages and notebooks that is a public name, such as ``kerasinit.lsuv``.

    Names of `kerasinit` itself may stand alone, as in ``HeNormal`` or ``lsuv(model, x)``.
    """

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Wrap the code in references."""
        if self.env.doc2path(self.env.docname).suffix not in (".md", ".ipynb"):
            return
        for literal in list(self.document.findall(nodes.literal)):
            within = {type(node) for node in _ancestors(literal)}
            name = _public(literal.astext())
            if name and not within & {nodes.reference, nodes.title, addnodes.pending_xref}:
                found = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=name, refdoc=self.env.docname
                )
                literal.replace_self(found)
                found += literal


class LinkFiles(SphinxTransform):
    """Let what an included file of the repository links to, and is no page, lead to its source.

    As long as the repository has no address, the text stands there without a link.
    """

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Replace the references."""
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] == "myst" and (ROOT / node["reftarget"]).is_file():
                uri = address.source(node["reftarget"], address.repository())
                shown = node.children
                node.replace_self([nodes.reference("", "", *shown, refuri=uri)] if uri else shown)


def _ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _public(text: str) -> str | None:
    """Return the documented name that a piece of code is, or calls."""
    name = text.partition("(")[0]
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name) or text in ("get", "lottery", "pruning"):
        return None
    full = name if name.startswith("kerasinit.") else f"kerasinit.{name}"
    if full == name and full in public_names.modules():
        return full
    found = public_names.canonical(full)
    return found if found and found.rpartition(".")[2] == name.rpartition(".")[2] else None


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_transform(LinkCode)
    app.add_transform(LinkFiles)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}

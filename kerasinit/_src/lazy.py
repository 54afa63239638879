"""Public modules whose names are imported when they are first used (PEP 562).

A stub beside the module, a ``.pyi`` file, lists the names, for Python and for type checkers alike.
The package ``lazy_loader`` does the same for packages, from modules below them; ours export from
``kerasinit._src``.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasinit._src.troubleshooting import see


def exports(
    public: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a module, from the stub beside it.

    The stub consists of lines such as ``from kerasinit._src.theory.gains import gain as gain``.

    Args:
        public: The ``__name__`` of the module.
        file: Its ``__file__``.
    """
    tree = ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8"))
    sources = {
        alias.name: node.module or ""
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def find(name: str) -> Any:
        if name not in sources:
            raise AttributeError(f"module {public!r} has no attribute {name!r}")
        source = sources[name]
        try:
            # A name is a module of the package, or something that a module defines.
            if source == public:
                value = importlib.import_module(f"{public}.{name}")
            else:
                value = getattr(importlib.import_module(source), name)
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            raise ImportError(
                f"{public}.{name} runs on TensorFlow, which is not installed. Install it with "
                f"`pip install tensorflow`. Initializers work without it. "
                f"{see('missing-tensorflow')}"
            ) from error
        # Found without this function from now on.
        setattr(sys.modules[public], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[public]), *sources})

    return find, names, sorted(sources)

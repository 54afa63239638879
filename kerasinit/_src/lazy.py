"""Names of a public module whose own modules are imported when the names are first used."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def exports(
    public: str, sources: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module (PEP 562).

    Args:
        public: The name of the module.
        sources: The names that it exports, by the module below ``kerasinit._src`` that has them.
    """
    owners = {name: module for module, names in sources.items() for name in names}

    def find(name: str) -> Any:
        if name not in owners:
            raise AttributeError(f"module {public!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"kerasinit._src.{owners[name]}"), name)
        # Found without this function from now on.
        setattr(sys.modules[public], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[public]), *owners})

    return find, names

"""How a command that fails says so: in a line, or with the traceback of the user's own code.

A command runs code that is not of this package: the function that builds a model, the module that
it is in, the layers in it. What that code raises is for its author, who needs to see where. What
this package raises is about what was typed, and its words are enough.
"""

import site
import sysconfig
import traceback
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def report(error: BaseException) -> str | None:
    """Return the traceback of an error as far as it lies in the user's own code.

    Args:
        error: What a command ended with; what it came from is looked at as well.

    Returns:
        The traceback from the first line of the user's own on; None if there is none.
    """
    seen: BaseException | None = error
    while seen is not None:
        told = traceback.TracebackException.from_exception(seen, compact=True)
        own = next((i for i, one in enumerate(told.stack) if _is_users(one.filename)), None)
        if own is not None:
            told.stack = traceback.StackSummary.from_list(told.stack[own:])
            told.__cause__ = told.__context__ = None
            return "".join(told.format())
        seen = seen.__cause__
    return None


def _is_users(filename: str) -> bool:
    """Return whether a file is neither of this package, nor installed, nor made by a program."""
    if filename.startswith("<") or Path(filename).name.startswith("__autograph_generated"):
        return False
    path = Path(filename)
    return not any(path.is_relative_to(folder) for folder in _installed())


def _installed() -> list[Path]:
    names = ("platlib", "platstdlib", "purelib", "stdlib")
    folders = [sysconfig.get_path(name) for name in names]
    return [_PACKAGE, *map(Path, [*folders, *site.getsitepackages(), site.getusersitepackages()])]

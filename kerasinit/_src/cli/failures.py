"""How a failed command is reported: one line, or the traceback of the user's code.

Commands run custom code: the function that builds a model, its module, its layers. Its author needs
to see where it failed. Errors of this package are about the command, and their message is enough.
"""

import site
import sysconfig
import traceback
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def user_traceback(error: BaseException) -> str | None:
    """Return the traceback of an error, or of its cause, from the user's code on, if any."""
    current: BaseException | None = error
    while current is not None:
        trace = traceback.TracebackException.from_exception(current, compact=True)
        first = next((i for i, line in enumerate(trace.stack) if _is_users(line.filename)), None)
        if first is not None:
            trace.stack = traceback.StackSummary.from_list(trace.stack[first:])
            trace.__cause__ = trace.__context__ = None
            return "".join(trace.format())
        current = current.__cause__
    return None


def _is_users(filename: str) -> bool:
    """Return whether a file is neither of this package, nor installed, nor generated."""
    if filename.startswith("<") or Path(filename).name.startswith("__autograph_generated"):
        return False
    path = Path(filename)
    return not any(path.is_relative_to(folder) for folder in _installed())


def _installed() -> list[Path]:
    names = ("platlib", "platstdlib", "purelib", "stdlib")
    folders = [sysconfig.get_path(name) for name in names]
    return [_PACKAGE, *map(Path, [*folders, *site.getsitepackages(), site.getusersitepackages()])]

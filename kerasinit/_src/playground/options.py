"""What a page must know before it starts: its form, the lessons, the names of initializers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kerasinit._src.playground import lesson_files
from kerasinit._src.playground.settings import (
    ACTIVATIONS,
    MAX_CELLS,
    METHODS,
    Settings,
    admitted,
    form,
)
from kerasinit._src.playground.uploads import MAX_BYTES
from kerasinit._src.version import __version__


def options(folders: Iterable[Path] = ()) -> dict[str, Any]:
    """Return everything as plain data.

    Args:
        folders: Folders with more lessons.

    Raises:
        ValueError: If a file of a lesson is wrong.
    """
    lessons = [*lesson_files.built_in()]
    for folder in folders:
        lessons += lesson_files.read_folder(folder)
    return {
        "form": form(),
        "defaults": Settings().to_dict(),
        "lessons": [lesson.to_dict() for lesson in lessons],
        "activations": list(ACTIVATIONS),
        "initializers": [*admitted(), *METHODS],
        "limits": {"cells": MAX_CELLS, "upload_bytes": MAX_BYTES},
        "version": __version__,
    }

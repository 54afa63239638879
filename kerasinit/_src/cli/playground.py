"""The command ``playground``."""

import importlib
from pathlib import Path
from typing import Annotated

import tyro

from kerasinit._src import errors
from kerasinit._src.reports import terminal
from kerasinit._src.troubleshooting import see


def add_to(commands: tyro.extras.SubcommandApp) -> None:
    """Add ``playground`` to the commands."""
    commands.command(name="playground")(_playground)


def _playground(
    port: int = 8765,
    host: str = "127.0.0.1",
    sessions: int = 4,
    minutes: float = 30.0,
    browser: bool = True,
    lessons: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None,
    replays: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None,
) -> int:
    """Watch two initializations train side by side, on a page in the browser.

    Serves the page on this machine, at an address with a token, until Ctrl-C.

    Args:
        port: the port to listen on; 0 for any that is free
        host: the address to listen on; 0.0.0.0 for other machines, too, which must know the token
        sessions: the max number of tabs that train at a time, each in a process
        minutes: how long a session lasts; the page continues where it was when it is reloaded
        browser: whether to open the page
        lessons: a folder with more lessons, as .toml files
        replays: write each lesson as a page that replays it without a server, into this new
            folder, and end
    """
    _check(port, sessions, minutes, lessons)
    if replays is not None:
        _write_replays(replays, lessons)
        return 0
    _check_installed()
    # What needs the extra, or a framework, is imported here and below.
    from kerasinit._src.playground import server
    from kerasinit._src.playground.worker_pool import Limits

    limits = Limits(sessions=sessions, minutes=minutes)
    server.serve(host, port, limits, lessons=lessons, browser=browser)
    return 0


def _write_replays(folder: Path, lessons: Path | None) -> None:
    from kerasinit._src.playground import lesson_files, lesson_replays

    chosen = [*lesson_files.built_in()]
    if lessons is not None:
        chosen += lesson_files.read_folder(lessons)
    for path in lesson_replays.write_replays(folder, chosen):
        terminal.write(terminal.console(), f"Wrote {path}")


def _check_installed() -> None:
    """Raise an error if a package of the extra is not installed."""
    try:
        for name in ("starlette", "uvicorn", "websockets"):
            importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"The playground needs the extra `playground`: pip install 'kerasinit[playground]' "
            f"({error}). {see('missing-extra')}"
        ) from error


def _check(port: int, sessions: int, minutes: float, lessons: Path | None) -> None:
    """Raise an error for options that are out of range, before anything is imported."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be a whole number from 0 to 65535; got {port}.")
    errors.checked_count("--sessions", sessions)
    errors.checked_positive("--minutes", minutes)
    if lessons is not None and not lessons.is_dir():
        raise ValueError(f"--lessons {lessons} is not a folder. Pass one with .toml files in it.")

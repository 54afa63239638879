"""Keeps the notes that TensorFlow writes when it starts from users of the command line.

TensorFlow writes notes to standard error about the processor, about oneDNN, and about the CUDA that
a computer without a GPU lacks. ``TF_CPP_MIN_LOG_LEVEL`` hides only those that are written after the
libraries are loaded. The others are filtered: from the import of TensorFlow on, file descriptor 2
is a pipe to a process, this file run as a script, that passes on every line but the notes. It is a
process of its own, so that the last words of a TensorFlow that aborts arrive as well. What Python
writes to `sys.stderr` goes past it.

Worker processes inherit the variable and the descriptor.
"""

import contextlib
import importlib.abc
import os
import re
import subprocess
import sys
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_END = b"\0 end of the notes\n"
_SECONDS = 5.0
_NOTES = re.compile(
    rb"""
    # what absl logs as information: the level and the date, the time, the thread, the place
    I\d{4}\ [\d:.]+\ +\d+\ \S+:\d+\]\ .*
    # the same before TensorFlow 2.20
    | \d{4}-\d\d-\d\d\ [\d:.]+:\ I\ \S+:\d+\]\ .*
    | WARNING:\ All\ log\ messages\ before\ absl::InitializeLog\(\)\ is\ called\ .*
    | To\ enable\ the\ following\ instructions:\ .*
    # errors and warnings by their level that only say that there is no driver,
    | .*\ failed\ call\ to\ cuInit:\ .*\(303\).*
    # or that two parts of TensorFlow both brought the same library
    | .*\ Unable\ to\ register\ cu(DNN|FFT|BLAS)\ factory:\ .*
    | .*\ computation\ placer\ (is\ )?already\ registered.*
    # what the converter of LiteRT and its interpreter write for each file
    | fully_quantize:\ \d+,\ inference_type:\ .*
    | W\d{4}\ .*\ Ignored\ (output_format|drop_control_dependency)\.
    | W\d{4}\ .*\ Skipping\ runtime\ version\ metadata\ in\ the\ model\..*
    | INFO:\ Created\ TensorFlow\ Lite\ XNNPACK\ delegate\ for\ CPU\.
    """,
    re.VERBOSE,
)
_TRACE = re.compile(rb"=== Source Location Trace: ===\ *")
_PLACE = re.compile(rb"\S+:\d+")


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Hide the notes of a TensorFlow that is imported within the block, but not its errors.

    A level that the user has set is not changed; 0 shows everything.
    """
    if os.environ.setdefault(_LEVEL, "1") == "0" or "tensorflow" in sys.modules:
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.filters.close()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds no module, but starts the filter when TensorFlow is looked for."""

    def __init__(self) -> None:
        self.filters = contextlib.ExitStack()
        self._started = False

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Return None: the module is found by the next finder."""
        if fullname == "tensorflow" and sys.executable and not self._started:
            self._started = True
            # Without a standard error or a second process, the notes are shown.
            with contextlib.suppress(OSError, ValueError):
                self.filters.enter_context(_filtered())


@contextlib.contextmanager
def _filtered() -> Iterator[None]:
    """Filter what is written to file descriptor 2, except by Python."""
    terminal = os.dup(2)
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            # Ctrl-C is for the command, which may still report how it ends.
            start_new_session=True,
        )
    except BaseException:
        os.close(writer)
        os.close(terminal)
        raise
    finally:
        os.close(reader)
    python = sys.stderr
    if _descriptor(python) == 2:
        # Not closed in the end: handlers of logging may have kept it.
        sys.stderr = open(  # noqa: SIM115
            terminal, "w", 1, encoding=python.encoding, errors=python.errors, closefd=False
        )
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield
    finally:
        # Not the end of the file: another process may still have the pipe open.
        with contextlib.suppress(OSError):
            os.write(2, _END)
        os.dup2(terminal, 2)
        sys.stderr = python
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS)


def _descriptor(stream: object) -> int | None:
    try:
        return stream.fileno()  # pyright: ignore[reportAttributeAccessIssue]
    except (AttributeError, OSError, ValueError):
        return None


def _pass_on() -> None:
    """Write the lines of standard input to standard error, without the notes."""
    after_note = in_trace = False
    for line in sys.stdin.buffer:
        words = line.removesuffix(_END)
        text = words.rstrip(b"\r\n")
        is_note = _NOTES.fullmatch(text) is not None
        # From TensorFlow 2.22 on, a trace of places and an empty line may follow.
        begins = after_note and _TRACE.fullmatch(text) is not None
        goes_on = in_trace and (not text or _PLACE.fullmatch(text) is not None)
        if words and not (is_note or begins or goes_on):
            sys.stderr.buffer.write(words)
            sys.stderr.buffer.flush()
        after_note, in_trace = is_note, begins or (goes_on and bool(text))
        if words != line:
            return


if __name__ == "__main__":
    _pass_on()

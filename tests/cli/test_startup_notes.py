"""TensorFlow's notes at its start are hidden on the command line; its errors are not."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerasinit._src.cli import startup_notes
from tests.products import nightly

NOTES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795835295.502918   17522 port.cc:153] oneDNN custom operations are on. You may",
    "I0000 00:00:1795835295.503236   17522 cudart_stub.cc:31] Could not find cuda drivers on your",
    "I0000 00:00:1795835295.547146   17522 cpu_feature_guard.cc:227] This TensorFlow binary is",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with",
    "E0000 00:00:1795835297.823178   17522 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    # TensorFlow 2.19
    "2025-03-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations",
    "2025-03-01 10:00:00.123456: E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152]"
    " failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    "E0000 00:00:1740823200.123456    1234 cuda_dnn.cc:8310] Unable to register cuDNN factory: "
    "Attempting to register factory for plugin cuDNN when one has already been registered",
    "W0000 00:00:1740823200.123456    1234 computation_placer.cc:177] computation placer already "
    "registered. Please check linkage and avoid linking the same target more than once.",
    "fully_quantize: 0, inference_type: 6, input_inference_type: FLOAT32, "
    "output_inference_type: FLOAT32",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
]
WORDS = [
    "",
    "E0000 00:00:1795835297.823178   17522 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
    "E0000 00:00:1795835297.823178   17522 cuda_executor.cc:1228] INTERNAL: out of memory",
    "F0000 00:00:1795835297.823178   17522 cpu_feature_guard.cc:70] The TensorFlow library was "
    "compiled to use AVX instructions, but these aren't available on your machine.",
    "W0000 00:00:1795835297.823178   17522 gpu_device.cc:2341] Cannot dlopen some GPU libraries.",
    "2025-03-01 10:00:00.123456: E tensorflow/core/x.cc:1] Something else",
    "Information: I0000 is no note here",
    "  indented, ends with a space ",
    "ValueError: wrong",
]

# The module alone, from its file: nothing else is imported before it.
PROGRAM = """
import importlib.util, os, subprocess, sys
spec = importlib.util.spec_from_file_location("startup_notes", {file!r})
startup_notes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(startup_notes)
with startup_notes.hidden():
    print("before", file=sys.stderr)
    import tensorflow
    print("by Python: I0000 00:00:1.0 1 a.cc:1] kept", file=sys.stderr)
    print(tensorflow.NOTE, file=sys.stderr)
    child = "import sys, tensorflow; print('a child', file=sys.stderr)"
    subprocess.run([sys.executable, "-c", child], check=True)
os.write(2, {note!r})
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""
TENSORFLOW = """
import os
NOTE = {text!r}
os.write(2, {note!r} + b"an error\\n" + {note!r})
"""


@pytest.fixture
def started(tmp_path):
    """Return the end of a process that imports a small module named tensorflow."""

    def started(more="", **environment):
        note = f"{NOTES[1]}\n".encode()
        module = TENSORFLOW.format(note=note, text=NOTES[1])
        (tmp_path / "tensorflow.py").write_text(module + more)
        clean = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM.format(file=startup_notes.__file__, note=note)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**clean, **environment},
        )

    return started


def test_only_notes_are_dropped():
    mixed = [line for pair in zip(NOTES, WORDS, strict=False) for line in pair] + NOTES[-1:]
    text = "\n".join([*mixed, "no end of the line"])

    ended = subprocess.run(
        [sys.executable, startup_notes.__file__], input=text, capture_output=True, text=True
    )

    assert ended.stderr == "\n".join([*WORDS, "no end of the line"])
    assert ended.stdout == ""


def test_the_trace_of_a_note_is_dropped_and_that_of_an_error_is_not():
    trace = "=== Source Location Trace: === \nexternal/xla/cuda_status.cc:50\n\n"
    text = f"{NOTES[5]}\n{trace}{WORDS[2]}\n{trace}\nlast\n"

    ended = subprocess.run(
        [sys.executable, startup_notes.__file__], input=text, capture_output=True, text=True
    )

    assert ended.stderr == f"{WORDS[2]}\n{trace}\nlast\n"


def test_what_the_libraries_write_is_filtered_until_the_end_and_what_python_writes_is_not(started):
    ended = started()

    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    # The filter's lines may come later than Python's.
    python = ["before", "by Python: I0000 00:00:1.0 1 a.cc:1] kept", NOTES[1]]
    assert sorted(lines) == sorted([*python, "an error", "an error", "a child", NOTES[1]])
    assert lines[-1] == NOTES[1]
    assert [line for line in lines if line in python[:2]] == python[:2]
    assert ended.stdout == "1\n"


def test_a_users_own_level_wins(started):
    assert started(TF_CPP_MIN_LOG_LEVEL="3").stdout == "3\n"
    everything = started(TF_CPP_MIN_LOG_LEVEL="0")
    assert everything.stdout == "0\n"
    assert everything.stderr.count(NOTES[1]) == 6


def test_the_last_words_of_a_library_that_aborts_arrive(started):
    ended = started("os.write(2, b'unfinished'); os.abort()")

    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr == "before\nan error\nunfinished"


def test_the_filter_ends_within_a_line_that_has_no_end():
    ended = subprocess.run(
        [sys.executable, startup_notes.__file__],
        input=b"a line\nunfinished" + startup_notes._END + b"from another process\n",
        capture_output=True,
    )

    assert (ended.returncode, ended.stderr) == (0, b"a line\nunfinished")


def test_a_command_without_standard_error_imports_all_the_same(tmp_path):
    (tmp_path / "tensorflow.py").write_text("NOTE = 'imported'")
    program = PROGRAM.format(file=startup_notes.__file__, note=b"").replace("os.write(2, b'')", "")

    ended = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: os.close(2),
    )

    assert ended.returncode == 0
    assert "imported" in ended.stdout


@pytest.fixture
def typed(tmp_path):
    """Return the end of a command as a user without any setting types it."""

    def typed(*words):
        names = ("HOME", "PATH", "PYTHONPATH", "MPLBACKEND")
        clean = {name: os.environ[name] for name in names if name in os.environ}
        return subprocess.run(
            [sys.executable, "-c", "from kerasinit._src.cli import main; main()", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=clean,
        )

    return typed


@nightly  # a run, below, has all of this and workers
def test_diagnose_writes_only_its_own_words(typed, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu")])
    model.save(tmp_path / "model.keras")

    ended = typed("diagnose", "model.keras")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "No --data: used a random batch" in ended.stdout


def test_the_error_of_a_command_arrives(typed):
    ended = typed("compare", "--initializers", "HeNormal,Zeross", "--steps", "5")

    assert ended.returncode == 2
    assert ended.stderr.startswith("kerasinit: Unknown initializer or method 'Zeross'")
    assert len(ended.stderr.splitlines()) == 1


def test_a_run_and_its_workers_write_only_their_own_words(typed, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 6)), np.arange(60) % 2
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    small = "--iterations 10 --evaluate-every 5 --levels 1 --trials 2 --batch-size 20"

    ended = typed(*f"lottery run --dataset mine.npz --workers 2 --out run {small}".split())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "mean of 2 trials" in ended.stdout

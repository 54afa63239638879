"""Where a training's signals are written: CSV for programs, event files for TensorBoard."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.result import Diagnosis

# What is written of each layer, under the names that `Measure` and its parts have.
MEASURES = (
    "mean",
    "variance",
    "square",
    "least",
    "most",
    "dead",
    "saturated",
    "correlation",
    "rank",
    "alike",
    "gradient",
    "weight_gradient",
    "update_ratio",
)
COLUMNS = ("step", "epoch", "layer", "call", "kind", "units", *MEASURES)


def measures(row: Measure) -> dict[str, float | int | None]:
    """Return the numbers of a layer by their names; None where there is none."""
    found = {name: getattr(row.signal, name, None) for name in MEASURES}
    found["alike"] = None if row.twins is None else row.twins.alike
    for name in ("gradient", "weight_gradient", "update_ratio"):
        found[name] = getattr(row, name)
    return found


class SignalTable:
    """A CSV file that grows by one line for each look and layer.

    Each look is written at once and the file closed, so that a process that is killed leaves
    whole what it saw. (A machine that loses its power may lose the last ones.)

    Args:
        path: The file. Its folder must be there.

    Raises:
        TypeError: If it is no path.
        ValueError: If its folder is not there, or the file has other columns.
    """

    def __init__(self, path: Any) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise TypeError(f"Expected as csv the path of a file, such as 'run.csv'; got {path!r}.")
        self.path = Path(path)
        if not self.path.absolute().parent.is_dir():
            raise ValueError(
                f"There is no folder {self.path.parent} to write {self.path.name} to: make it."
            )
        self._has_rows()

    def begin(self, step: int) -> None:
        """Make sure that a training may write from this step on.

        Raises:
            FileExistsError: If the file has the looks of another training: there are some,
                and this one begins at step 0.
        """
        if not self._has_rows():
            return
        if step == 0:
            raise FileExistsError(
                f"{self.path} has the signals of an earlier training, and this one begins at step "
                f"0; nothing is overwritten. Name another file, or remove it first. (A training "
                f"that goes on, with its optimizer, is appended.)"
            )
        with self.path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # killed while it wrote
                file.write(b"\n")

    def write(self, step: int, epoch: int, diagnosis: Diagnosis) -> None:
        """Append the lines of one look."""
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        if not self._has_header():
            writer.writerow(COLUMNS)
        for row in diagnosis.layers:
            place = (step, epoch, row.layer, row.call, row.kind, row.signal.units)
            writer.writerow(place + tuple(measures(row).values()))
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(lines.getvalue())

    def _has_header(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _has_rows(self) -> bool:
        if not self._has_header():
            return False
        wanted = ",".join(COLUMNS)
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            # However long the first line is: what is longer than ours is not ours.
            header = file.readline(len(wanted) + 2)
            if header.rstrip("\r\n") != wanted:
                raise ValueError(
                    f"{self.path} is there already and has other columns, {header.strip()[:60]}, "
                    f"not {wanted}. It is left as it is; name another file."
                )
            return bool(file.read(1))


class SignalEvents:
    """Event files for TensorBoard, with a scalar for each layer and measure.

    Tags are such as ``signal/dense_1/variance``; the second call of a layer has its number
    behind its path.

    Args:
        folder: Where the event files go; made when the first is written.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is a file.
    """

    def __init__(self, folder: Any) -> None:
        if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
            raise TypeError(
                f"Expected as log_dir the path of a folder, such as 'logs/first'; got {folder!r}."
            )
        self.folder = os.fspath(folder)
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise ValueError(f"log_dir must name a folder; {self.folder} is a file.")
        self._writer: Any = None

    def write(self, step: int, diagnosis: Diagnosis) -> None:
        """Add the scalars of one look."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
        # What tf.summary.scalar writes, all of it in one operation: those are slow one by one.
        summary = tf.compat.v1.Summary(value=list(_scalars(diagnosis)))
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file; another look begins a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _scalars(diagnosis: Diagnosis) -> Iterator[Any]:
    kind = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    for row in diagnosis.layers:
        path = row.layer if row.call == 1 else f"{row.layer}/{row.call}"
        for name, value in measures(row).items():
            if value is not None:
                yield tf.compat.v1.Summary.Value(
                    tag=f"signal/{path}/{name}",
                    tensor=tf.make_tensor_proto(value, tf.float32),
                    metadata=kind,
                )

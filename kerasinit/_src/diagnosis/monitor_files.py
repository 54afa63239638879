"""The files of `SignalMonitor`: CSV, and event files for TensorBoard."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.result import Diagnosis

# The measures written for each layer, named like the attributes of `Measure` and its parts.
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
    """Return the measures of a layer by name; None for those it does not have."""
    values = {name: getattr(row.signal, name, getattr(row, name, None)) for name in MEASURES}
    return values | {"alike": None if row.twins is None else row.twins.alike}


class SignalTable:
    """A CSV file with one line per snapshot and layer.

    The file is closed after each snapshot, so that a killed process leaves complete snapshots.
    (A power failure may lose the last ones.)
    """

    def __init__(self, path: Any) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise TypeError(
                f"Expected csv to be the path of a file, such as 'run.csv'; got {path!r}."
            )
        self.path = Path(path)
        if not self.path.absolute().parent.is_dir():
            raise ValueError(
                f"There is no folder {self.path.parent} to write {self.path.name} to. Create it."
            )
        self._has_rows()

    def begin(self, step: int) -> None:
        """Check that a training that starts at this step may append its rows."""
        if not self._has_rows():
            return
        if step == 0:
            raise FileExistsError(
                f"{self.path} has the signals of an earlier training, and this one starts at step "
                f"0; nothing is overwritten. Choose another file, or delete this one. (A training "
                f"that resumes with its optimizer is appended.)"
            )
        with self.path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # killed while writing
                file.write(b"\n")

    def write(self, step: int, epoch: int, diagnosis: Diagnosis) -> None:
        """Append the lines of one snapshot."""
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
            header = file.readline(len(wanted) + 2)  # no more of a line that may be very long
            if header.rstrip("\r\n") != wanted:
                raise ValueError(
                    f"{self.path} already exists with other columns, {header.strip()[:60]}, "
                    f"not {wanted}. It was not changed; choose another file."
                )
            return bool(file.read(1))


class SignalEvents:
    """Event files for TensorBoard, with one scalar per layer and measure.

    Tags are ``signal/dense_1/variance``, or ``signal/dense_1/2/variance`` for a second call.
    """

    def __init__(self, folder: Any) -> None:
        if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
            raise TypeError(
                f"Expected log_dir to be the path of a folder, such as 'logs/first'; got "
                f"{folder!r}."
            )
        self.folder = os.fspath(folder)
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise ValueError(f"log_dir must be a folder; {self.folder} is a file.")
        self._writer: Any = None

    def write(self, step: int, diagnosis: Diagnosis) -> None:
        """Write the scalars of one snapshot."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
        # As tf.summary.scalar writes it, but in one operation, which is much faster.
        summary = tf.compat.v1.Summary(value=list(_scalars(diagnosis)))
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file; another snapshot starts a new one."""
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

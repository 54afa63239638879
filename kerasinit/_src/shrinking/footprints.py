"""What models cost on disk and while they run, as plain data."""

from dataclasses import dataclass
from typing import Literal

from kerasinit._src.reports import base

MARGIN = 0.05
Verdict = Literal["gains", "loses", "no difference shown"]


@dataclass(frozen=True)
class FileSize:
    """The size of a file.

    Attributes:
        name: ``"keras"``, or the runtime that the file was converted for.
        bytes: The size in bytes.
        gzipped: The size in bytes after ``gzip -9``.

    Example:
        See `footprint`.
    """

    name: str
    bytes: int
    gzipped: int


@dataclass(frozen=True)
class Latency:
    """How long one runtime takes for the batch.

    Attributes:
        runtime: The name of the runtime, such as ``"litert-float"``.
        threads: The number of threads.
        seconds: The median time in seconds.
        low: The lower end of the 95 % interval of the median, in seconds.
        high: The upper end, in seconds.
        runs: The number of timed runs.
        reference: Whether the others are compared with this one.
        ratio: The median ratio to the reference, which ran in the same rounds: the first model that
            runs in the same runtime with as many threads, without a sparse format.
        ratio_low: The lower end of the 95 % interval of the ratio.
        ratio_high: The upper end.

    Example:
    >>> Latency("onnx", 1, 0.008, 0.0079, 0.0082, 90, False, 0.8, 0.78, 0.83).verdict
    'gains'
    """

    runtime: str
    threads: int
    seconds: float
    low: float
    high: float
    runs: int
    reference: bool
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the runtime is faster than the reference, by at least 5 %.

        ``"gains"`` if the interval of the ratio is below 0.95, ``"loses"`` if it is above 1.05,
        otherwise ``"no difference shown"``. The same file loaded twice differs by a few percent,
        depending on where its weights are in memory, which no number of runs averages out.

        Reference:
            Mytkowicz, Diwan, Hauswirth and Sweeney, 2009, "Producing wrong data without doing
            anything obviously wrong!".
        """
        if self.ratio_high < 1 - MARGIN:
            return "gains"
        return "loses" if self.ratio_low > 1 + MARGIN else "no difference shown"


@dataclass(frozen=True)
class FootprintRow:
    """The costs of one model.

    Attributes:
        name: The model's name.
        parameters: The number of its weights, trainable or not.
        nonzeros: The number of weights that are not zero.
        macs: The multiplications of weights with signals for one example; None if not known.
        files: The sizes of its files.
        latencies: One for each runtime and number of threads that was measured.
        not_measured: Why a runtime did not run the model, by its name; and why ``"macs"`` could
            not be counted.

    Example:
        See `footprint`.
    """

    name: str
    parameters: int
    nonzeros: int
    macs: int | None
    files: tuple[FileSize, ...]
    latencies: tuple[Latency, ...]
    not_measured: dict[str, str]

    def latency(self, runtime: str, threads: int | None = None) -> Latency:
        """Return the latency in a runtime.

        Args:
            runtime: The name of the runtime.
            threads: The number of threads; None (default) for the smallest that was measured.

        Raises:
            KeyError: If it was not measured.
        """
        for one in self.latencies:
            if one.runtime == runtime and threads in (None, one.threads):
                return one
        known = ", ".join(f"{one.runtime} with {one.threads}" for one in self.latencies)
        raise KeyError(
            f"{runtime!r} with {threads or 'any'} threads was not measured. "
            f"Measured: {known or 'nothing'}."
        )

    def file(self, name: str) -> FileSize:
        """Return the size of a file.

        Args:
            name: ``"keras"``, or the runtime that it was converted for, such as
                ``"litert-float"``.

        Raises:
            KeyError: If there is no such file.
        """
        return base.row_named(self.files, name, "file")


@dataclass(frozen=True)
class Footprint(base.Plotted, base.Report):
    """The result of `footprint`: the costs of the models.

    Attributes:
        rows: One for each model, in the order given.
        batch: The number of examples that the latencies are for.
        missing: What was not measured for any model and why, by runtime.

    Example:
        See `footprint`.
    """

    rows: tuple[FootprintRow, ...]
    batch: int
    missing: dict[str, str]

    def __len__(self) -> int:
        """Return the number of models."""
        return len(self.rows)

    def __getitem__(self, key: int | str) -> FootprintRow:
        """Return the costs of a model by its index or name."""
        if isinstance(key, int):
            return self.rows[key]
        return base.row_named(self.rows, key, "model")

    @property
    def gains(self) -> tuple[tuple[str, Latency], ...]:
        """The latencies that gain (see `Latency.verdict`), best first, after the models' names."""
        found = [
            (row.name, one) for row in self.rows for one in row.latencies if one.verdict == "gains"
        ]
        return tuple(sorted(found, key=lambda pair: pair[1].ratio))

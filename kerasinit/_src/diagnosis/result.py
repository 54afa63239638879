"""The result of a diagnosis."""

from dataclasses import dataclass
from typing import Any

from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.measured import Measure, Measured
from kerasinit._src.reports.base import PageReport


@dataclass(frozen=True)
class Diagnosis(PageReport):
    """The measurements of a model, and what is wrong with it.

    Attributes:
        measured: The measurements with the current weights.
        findings: What is wrong, causes before their effects.
        seeds: The seeds with which the weights were also redrawn and judged.

    Example:
        See `kerasinit.diagnose`.
    """

    measured: Measured
    findings: tuple[Finding, ...]
    seeds: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found, with the current weights or any of the seeds."""
        return not self.findings

    @property
    def layers(self) -> tuple[Measure, ...]:
        """The measurements of each call of a layer, in the order in which the data passes them."""
        return self.measured.layers

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        return {"ok": self.ok} | super().to_dict()

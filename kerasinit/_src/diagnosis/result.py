"""What a diagnosis found."""

from dataclasses import dataclass
from typing import Any

from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.measured import Measure, Measured
from kerasinit._src.reports.base import PageReport


@dataclass(frozen=True)
class Diagnosis(PageReport):
    """What was measured of a model, and what is wrong with it.

    Attributes:
        measured: The inputs, the layers, what was differentiated, and how many examples and
            passes it took, with the current weights.
        findings: What is wrong, causes before their effects.
        seeds: The seeds under which the weights were redrawn and judged, too.
    """

    measured: Measured
    findings: tuple[Finding, ...]
    seeds: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found, with the current weights or under any of the seeds."""
        return not self.findings

    @property
    def layers(self) -> tuple[Measure, ...]:
        """What was measured at each call of a layer, in the order in which data passes them."""
        return self.measured.layers

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        return {"ok": self.ok} | super().to_dict()

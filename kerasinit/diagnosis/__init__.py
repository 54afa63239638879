"""Will this network train? Measured, judged and reported before training."""

from kerasinit.diagnosis.advice import KINDS
from kerasinit.diagnosis.findings import Finding
from kerasinit.diagnosis.measured import Measure, Measured
from kerasinit.diagnosis.report import Diagnosis, diagnose
from kerasinit.diagnosis.signals import Signal
from kerasinit.diagnosis.twins import Twins

__all__ = ["KINDS", "Diagnosis", "Finding", "Measure", "Measured", "Signal", "Twins", "diagnose"]

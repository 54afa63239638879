"""Whether a network will train: measured and judged before training."""

from kerasinit._src.diagnosis.advice import KINDS
from kerasinit._src.diagnosis.entry import diagnose
from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.measured import Measure, Measured
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.diagnosis.twins import Twins

__all__ = ["KINDS", "Diagnosis", "Finding", "Measure", "Measured", "Signal", "Twins", "diagnose"]

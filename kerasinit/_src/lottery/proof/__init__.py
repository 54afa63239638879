"""Verification of a run's files, and the verdict on its results."""

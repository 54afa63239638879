"""Lottery tickets: the experiment, its trials and their progress."""

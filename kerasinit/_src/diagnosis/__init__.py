"""Whether a network will train: measure, judge, advise, monitor."""

"""First values that depend on data: scales measured on a batch, or predicted by theory."""

"""First weights that look at the data: scales from a batch, or from the theory of one."""

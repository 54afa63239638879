"""Training with or without masks: data, networks, the compiled loop, checkpoints."""

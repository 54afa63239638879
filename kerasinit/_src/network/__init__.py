"""A built model, read once: layers, variables, fans, prunable weights, graph, branches."""

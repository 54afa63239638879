"""The graph of a model, and the residual branches in it."""

from kerasinit.graph.branches import Branch, residual_branches

__all__ = ["Branch", "residual_branches"]

"""The rules of `kerasinit.rules`, by kinds of networks."""

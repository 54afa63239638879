"""A run's folder: stages, tickets, manifests and the digest of all."""

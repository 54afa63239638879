"""A run's folder: stages, tickets, manifests and its digest."""

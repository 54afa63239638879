"""What must hold in a run, and what its results mean."""

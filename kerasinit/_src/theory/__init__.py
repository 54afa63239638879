"""Mathematics that no framework is needed for: quadrature, gains, mean field, statistics."""

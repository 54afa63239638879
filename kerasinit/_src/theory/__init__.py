"""Theory: quadrature, gains, mean field theory, thresholds, statistical tests, fans."""

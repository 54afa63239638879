"""Further questions about tickets, one module each."""

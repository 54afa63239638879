"""Other questions about tickets, one module each."""

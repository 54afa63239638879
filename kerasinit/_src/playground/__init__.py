"""Two networks, side by side: their training, and the page that shows it."""

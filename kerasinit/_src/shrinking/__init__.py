"""Makes models smaller and faster, measures what that brings, and exports them."""

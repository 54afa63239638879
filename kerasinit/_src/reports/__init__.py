"""What all reports share: HTML, figures, terminal output."""

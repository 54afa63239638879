"""Smaller models: channels that can be removed, and models without them."""

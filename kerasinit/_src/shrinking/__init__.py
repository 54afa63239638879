"""Smaller models: channels that can be taken out, and models without them."""

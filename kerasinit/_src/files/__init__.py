"""Files: atomic writes, locks, JSON with limits, safetensors, npz, saved Keras models."""

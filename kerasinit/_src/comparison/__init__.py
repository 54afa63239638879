"""Which initializer trains a network best."""

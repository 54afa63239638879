"""Initializers, under Keras' own names where it has them, for Keras 3 and tf_keras alike."""

from kerasinit._src.initializers import *  # noqa: F403
from kerasinit._src.initializers import __all__ as __all__

"""Initializers, diagnosis, pruning and lottery tickets for Keras 3 and tf_keras.

Importing this package imports neither Keras nor a backend: its names, which ``__init__.pyi``
lists, are imported when they are first used.
"""

from kerasinit._src import lazy
from kerasinit._src.registration import register_with_keras
from kerasinit._src.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)

register_with_keras()

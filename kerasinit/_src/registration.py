"""Registers the initializers with Keras before a saved model can ask for them.

A model that is loaded names its initializers, whether or not the program has. So they are
registered as soon as either Keras is imported, and no sooner: a program without Keras, such as
``kerasinit --help``, does not wait for it.

What imports Keras may be one of the modules that the initializers are made of, which is then not
complete. So each of their rooms that needs Keras imports it in its ``__init__.py``, before any of
its modules begins.
"""

import importlib

import wrapt


def register_with_keras() -> None:
    """Register all initializers once either Keras is imported; at once if it is already."""
    for package in ("keras", "tf_keras"):
        wrapt.register_post_import_hook(_register, package)


def _register(library: object) -> None:
    # Each class registers itself where it is defined.
    importlib.import_module("kerasinit._src.initializers")

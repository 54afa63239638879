"""Whether Keras is loading a saved model.

`load_model` makes the layers of a saved model, initializers and all, before it reads their weights.
Neither Keras tells an initializer that its values will be replaced, so the functions that are
running are asked. ``load_model`` is the public name in both; where it moves, a test of
`tests/initializers/test_transfer.py` fails.
"""

import inspect


def is_loading() -> bool:
    """Return whether a ``load_model`` of either Keras is running."""
    frame = inspect.currentframe()
    while frame is not None:
        package = frame.f_globals.get("__name__", "").split(".")[0]
        if frame.f_code.co_name == "load_model" and package in ("keras", "tf_keras"):
            return True
        frame = frame.f_back
    return False

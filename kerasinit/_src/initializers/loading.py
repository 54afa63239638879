"""Whether Keras is loading a saved model.

`load_model` builds the layers of a saved model, which calls their initializers, before it reads
the weights. Neither Keras 3 nor tf_keras informs an initializer that its values will be replaced,
so the call stack is inspected. ``load_model`` is the public name in both; if it moves, a test in
`tests/initializers/test_transfer.py` fails.
"""

import inspect


def is_loading() -> bool:
    """Return whether ``load_model`` of Keras 3 or tf_keras is on the call stack."""
    frame = inspect.currentframe()
    while frame is not None:
        package = frame.f_globals.get("__name__", "").split(".")[0]
        if frame.f_code.co_name == "load_model" and package in ("keras", "tf_keras"):
            return True
        frame = frame.f_back
    return False

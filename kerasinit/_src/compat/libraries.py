"""The two Kerases and TensorFlow as packages, each imported no sooner than it is used.

"Keras 3" is the package ``keras``; ``tf_keras`` is Keras 2, which TensorFlow used to ship. A
process that does not use tf_keras or TensorFlow does not import them, and tf_keras need not be
installed.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import keras
import wrapt

from kerasinit._src.troubleshooting import see

Kerase = Literal["keras", "tf_keras"]
_Class = TypeVar("_Class")
KERASES: tuple[Kerase, ...] = ("keras", "tf_keras")


def imported() -> dict[Kerase, Any]:
    """Return the Kerases that this process has imported.

    Enough to recognize an object, since an object of tf_keras cannot exist before tf_keras does.
    """
    tf_keras = sys.modules.get("tf_keras")
    return {"keras": keras} if tf_keras is None else {"keras": keras, "tf_keras": tf_keras}


def library(name: Kerase) -> Any:
    """Import one of the Kerases and return it, or raise ImportError that says how to install it."""
    if name == "keras":
        return keras
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"tf_keras (Keras 2) is needed here, but cannot be imported: {error}. Install it in "
            f"the version of TensorFlow, such as `pip install 'tf_keras==2.21.*'`, or use a model "
            f"of Keras 3. {see('missing-tf-keras')}"
        ) from error


def imported_tensorflow() -> Any:
    """Return TensorFlow if this process has imported it, else None.

    Enough to recognize a tensor, which cannot exist before TensorFlow does.
    """
    return sys.modules.get("tensorflow")


def outside_graphs() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which values are computed at once, even while a graph is traced."""
    stack = contextlib.ExitStack()
    if (tf := imported_tensorflow()) is not None:
        stack.enter_context(tf.init_scope())
    # Keras compiles an initializer for a large variable that several devices share.
    if keras.backend.backend() == "jax":
        jax = importlib.import_module("jax")
        stack.enter_context(jax.ensure_compile_time_eval())
    return stack


def serves_tf_keras(path: str) -> Callable[[type[_Class]], type[_Class]]:
    """Return a class decorator: the class also derives from a class of tf_keras, if there is one.

    tf_keras is not imported for that. Where it is imported later, the base is added then, so that
    existing objects and subclasses are of both Kerases from that moment on.

    Args:
        path: The base in tf_keras, such as ``"initializers.Initializer"``.
    """

    def decorate(cls: type[_Class]) -> type[_Class]:
        def add_base(tf_keras: Any) -> None:
            module, _, name = path.partition(".")
            base = getattr(getattr(tf_keras, module), name)
            # After the base of Keras 3, whose methods come first.
            cls.__bases__ = (cls.__bases__[0], base, *cls.__bases__[1:])

        when_imported("tf_keras", add_base)
        return cls

    return decorate


def when_imported(package: str, act: Callable[[Any], None]) -> None:
    """Call ``act`` with a package once it is imported; at once if it is already."""
    wrapt.register_post_import_hook(act, package)

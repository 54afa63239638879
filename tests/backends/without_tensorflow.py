"""A whole use of initializers, on a backend other than TensorFlow.

Run as ``python -m tests.backends.without_tensorflow FOLDER`` with ``KERAS_BACKEND`` set. Prints,
as JSON, what was imported without need before Keras was asked to save anything: Keras itself
imports TensorFlow to save, where it is installed. After that TensorFlow cannot be imported, and
everything is saved, loaded and read all the same.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

import kerasinit

UNUSED = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
ARGUMENTS = {
    "Chrono": {"units": 4, "max_time": 9},
    "ForgetBias": {"units": 4},
    "PerGate": {"initializer": "Orthogonal", "gates": 4},
}
FROM_FILES = ("FromModel", "WinningTicket")


def make_all() -> list[kerasinit.Initializer]:
    names = [name for name in kerasinit.initializers.__all__ if name not in FROM_FILES]
    return [getattr(kerasinit, name)(**ARGUMENTS.get(name, {})) for name in names]


def use() -> keras.Model:
    """Draw from the initializers, build and train a model with some, and ask for the theory."""
    for made in make_all():
        assert repr(made).startswith(type(made).__qualname__)
        assert made.get_config() is not None
    for dtype in ("float32", "bfloat16"):
        kerasinit.HeNormal(seed=keras.random.SeedGenerator(1))((3, 4), dtype)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(6, "gelu", kernel_initializer=kerasinit.VarianceScaling()),
            keras.layers.Dense(2, kernel_initializer=kerasinit.get("he_normal"), name="head"),
        ]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((8, 8)), np.ones((8, 2)), verbose=0)
    assert kerasinit.compute_fans(model)["head/kernel"] == (6, 2)
    assert kerasinit.gain("gelu") > kerasinit.gain("linear")
    assert not kerasinit.stability("silu").stable
    return model


def save(model: keras.Model, folder: Path) -> None:
    """Serialize the initializers, and save, load, read and reinitialize a model."""
    for made in make_all():
        assert type(kerasinit.deserialize(kerasinit.serialize(made))) is type(made)
    for name in ("model.keras", "model.h5", "model.weights.h5"):
        write = model.save_weights if ".weights" in name else model.save
        write(folder / name)
        assert len(kerasinit.variables_in(folder / name)) >= 4
    loaded = keras.models.load_model(folder / "model.keras")
    assert np.array_equal(loaded.get_weights()[0], model.get_weights()[0])
    copied = kerasinit.FromModel(folder / "model.keras", "head/kernel")((6, 2))
    assert np.array_equal(copied, model.get_weights()[2])
    kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)


if __name__ == "__main__":
    used = use()
    imported = [name for name in UNUSED if name in sys.modules]
    sys.modules.update(dict.fromkeys(UNUSED))  # so that an import of one fails
    save(used, Path(sys.argv[1]))
    print(json.dumps(imported))

"""What golden files are written of: small models, a run, settings of the playground."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kerasinit
from kerasinit import lottery, pruning
from kerasinit.lottery import report
from kerasinit.playground import Settings, SideSettings
from tests.initializers.table import IMAGES, Case
from tests.kerases import KERASES

SOURCES = {"FromModel": "source.weights.h5", "WinningTicket": "source.safetensors"}


def initializers(library: Any, cases: list[Case]) -> Any:
    """Return a model with a layer for each case, side by side."""
    images = library.Input(IMAGES)
    outputs = []
    for case in cases:
        layer = case.place.layer(library, _made(case), name=case.name)
        prepared = case.place.prepare(library, images)
        outputs.append(library.layers.Flatten()(layer(prepared)))
    merged = library.layers.Concatenate()(outputs) if len(outputs) > 1 else outputs[0]
    return library.Model(images, merged)


def _made(case: Case) -> Any:
    """Return an initializer with a seed; one that reads a file reads it where the script runs."""
    if case.name not in SOURCES:
        return case.fixed()
    source = Path(case.arguments["path"])
    target = Path(f"source{source.suffix}")
    if not target.exists():
        shutil.copy(source, target)
    return getattr(kerasinit, case.name)(target, case.arguments["variable"])


def small(library: Any) -> Any:
    """Return a compiled network that is trained in a moment."""
    dense = library.layers.Dense
    model = library.Sequential(
        [
            library.Input((6,)),
            # Without seeds: the controls of a run draw other weights.
            dense(8, "relu", kernel_initializer=kerasinit.HeNormal(), name="hidden"),
            dense(3, kernel_initializer=kerasinit.GlorotUniform(), name="head"),
        ]
    )
    model.compile("sgd", library.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def build() -> keras.Model:
    """Return the network of the run."""
    return small(keras)


def data() -> lottery.Dataset:
    """Return the examples of the run."""
    random = np.random.default_rng(0)
    x = random.standard_normal((80, 6)).astype("float32")
    y = (x @ random.standard_normal((6, 3))).argmax(1)
    return lottery.Dataset(x[20:], y[20:], x[:20], y[:20], name="golden")


EXPERIMENT = lottery.Experiment(
    dataset="golden",
    levels=2,
    trials=2,
    iterations=6,
    evaluate_every=3,
    batch_size=10,
    validation=10,
    rate=0.4,
    controls=("reinit", "shuffle"),
    xla=False,
)
ADDRESSES = (
    Settings(),
    Settings(data="spirals", depth=30, normalization="batch", residual=True, optimizer="adam"),
    Settings(
        rounds=3,
        sparsity=0.3,
        left=SideSettings("RandomNormal:stddev=0.01", "sigmoid", "Constant:value=0.1"),
        right=SideSettings("lsuv", "tanh", survivors="redraw"),
    ),
)


def pruned(library: Any) -> Any:
    """Return a pruned model in training."""
    schedule = pruning.ConstantSparsity(0.5, begin_step=0, frequency=1)
    model = pruning.prune_low_magnitude(small(library), schedule)
    model.compile("sgd", library.losses.SparseCategoricalCrossentropy(from_logits=True))
    examples = data()
    callbacks = [pruning.UpdatePruningStep()]
    model.fit(examples.x_train, examples.y_train, epochs=2, callbacks=callbacks, verbose=0)
    return model


def _save(make: Callable[[], Any], path: Path) -> None:
    model = make()
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)


def makers(cases: list[Case], suffix: str = "") -> dict[str, Callable[[Path], object]]:
    """Return for each golden file what writes it to a path.

    Args:
        cases: The initializers to write; if there are none, they have no file.
        suffix: What follows the name of their files.
    """
    made: dict[str, Callable[[Path], object]] = {}
    for name, library in KERASES.items():
        # One model for all formats, so that the weights of one file go into the model of another.
        whole = functools.cache(functools.partial(initializers, library, cases))
        stripped = functools.cache(lambda library=library: pruning.strip_pruning(pruned(library)))
        for ending in (".keras", ".h5", ".weights.h5") if cases else ():
            made[f"{name}/initializers{suffix}{ending}"] = functools.partial(_save, whole)
        made[f"{name}/pruned.keras"] = functools.partial(_save, functools.partial(pruned, library))
        made[f"{name}/stripped.keras"] = made[f"{name}/stripped.h5"] = functools.partial(
            _save, stripped
        )
    if "tf_keras" in KERASES:
        made["tf_keras/saved_model"] = lambda path: small(KERASES["tf_keras"]).save(
            path, save_format="tf", save_traces=False
        )
    # In this order: tables are of the run.
    return made | {
        "run": lambda path: lottery.run(EXPERIMENT, out=path, build=build, data=data()),
        "rows.csv": lambda path: report.write_csv(path.with_name("run"), path),
        "curves.csv": lambda path: report.write_curves(path.with_name("run"), path),
        "experiment.toml": lambda path: path.write_text(lottery.to_toml(EXPERIMENT), "utf-8"),
        "addresses.txt": lambda path: path.write_text(
            "".join(f"{settings.to_address()}\n" for settings in ADDRESSES), "utf-8"
        ),
    }

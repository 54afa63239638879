"""Runs made by hand: results and curves that are known, and masks where they matter."""

import json

import numpy as np

from kerasinit import lottery
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.mask_arrays import Masks


def store_of(folder, results, *, mask=None, shapes=(4, 3), **experiment):
    """Return a run that has the given results.

    ``results`` maps (trial, level, branch) to (test accuracy, early stop); ``mask`` makes
    the mask of the first kernel from a place.
    """
    fields = {"levels": 1, "trials": 2, "iterations": 1000, **experiment}
    about = {"data": "ab" * 32, "versions": {"keras": "3.15"}, "input_shape": [2, 2]}
    store = Store.open(folder, lottery.Experiment(**fields), about)
    for (trial, level, branch), (accuracy, stop) in results.items():
        path = store.path(Place(trial, level, branch))
        path.mkdir(parents=True)
        row = {
            "trial": trial,
            "level": level,
            "branch": branch,
            "density": 1.0 if level == 0 else 0.8004**level,
            "best_iteration": stop,
            "best_validation_loss": 0.1,
            "test_accuracy": accuracy,
            "final_test_accuracy": 0.5,
        }
        (path / "result.json").write_text(json.dumps({**row, "seconds": 1.0}))
        (path / "curve.csv").write_text(
            "iteration,training_loss,validation_loss,validation_accuracy\n"
            f"100,0.5,0.4,{accuracy - 0.1:.4f}\n{stop + 100},0.3,0.1,{accuracy:.4f}\n"
        )
        kernel = np.ones(shapes, bool) if mask is None else mask(Place(trial, level, branch))
        masks = Masks({"dense/kernel": kernel, "dense_1/kernel": np.ones((3, 2), bool)})
        weights = {name: value.astype("float32") for name, value in masks.items()}
        Ticket(masks, weights).save(path / "ticket.safetensors")
    return store


RESULTS = {
    (0, 0, "ticket"): (0.90, 300),
    (0, 1, "ticket"): (0.92, 100),
    (0, 1, "reinit"): (0.80, 500),
    (1, 0, "ticket"): (0.94, 500),
    (1, 1, "ticket"): (0.96, 300),
}

"""Build every initializer's layer on two replicas, in a process that has two devices.

Run as ``python -m tests.initializers.replicas``; the last line it prints is a JSON object: for
each Keras and each class whether the replicas hold equal values, and whether those of a seed
are those of a direct call.
"""

import json

import keras
import numpy as np
import tensorflow as tf

import kerasinit
from tests.kerases import KERASES

from .table import IMAGES, TABLE


def main():
    device = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(device, halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        found = {name: found_with(module, strategy) for name, module in KERASES.items()}
    print(json.dumps(found))


def found_with(module, strategy):
    """Return what is seen of each class in the layers of one Keras."""
    found = {}
    images = module.Input(IMAGES)
    for case in TABLE:
        copies = {}
        for kind, made in (("fresh", case.make()), ("fixed", case.fixed())):
            layer = case.place.layer(module, made)
            layer(case.place.prepare(module, images))
            copies[kind] = replicas(strategy, case.place.variable(layer))
        # And once more, over the whole layer, from outside.
        kerasinit.reinitialize(layer, {"*": "RandomUniform"}, seed=1)
        copies["rules"] = replicas(strategy, case.place.variable(layer))
        found[case.name] = {
            "number": [len(values) for values in copies.values()],
            "equal": [np.array_equal(*values) for values in copies.values()],
            "direct": np.array_equal(copies["fixed"][0], case.fixed()(case.shape)),
            "new": not np.array_equal(copies["fixed"][0], copies["rules"][0]),
        }
    return found


def replicas(strategy, variable):
    """Return a variable's values on each replica."""
    variable = variable.value if isinstance(variable, keras.Variable) else variable
    return [value.numpy() for value in strategy.experimental_local_results(variable)]


if __name__ == "__main__":
    main()

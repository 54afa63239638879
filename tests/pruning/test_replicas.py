"""Masks are equal on all replicas, on logical devices of one process and in two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.products import nightly

ROOT = Path(__file__).parents[2]

COMMON = """
import json, sys, warnings
import keras
import numpy as np
import tensorflow as tf
from kerasinit import pruning
from kerasinit._src.pruning import pruned_models

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 6)).astype("float32"), 4 * RNG.normal(size=(48, 2)).astype("float32")

def schedule():
    return pruning.PolynomialDecay(0.2, 0.75, begin_step=2, end_step=11, frequency=3)

def made(optimizer=True, **compilation):
    rng = np.random.default_rng(1)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.set_weights([rng.normal(size=w.shape, scale=0.5) for w in model.weights])
    if optimizer:
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, "mse", jit_compile=False, **compilation)
    return pruning.prune_low_magnitude(model, schedule())

def masks(model):
    return {name: mask.tolist() for name, mask in pruning.masks(model).items()}

def check_replicas(strategy, model, here):
    pruner = pruned_models.pruner_of(model)
    for name, mask in pruner.masks.items():
        for variable in (mask, pruner.weights[name]):
            copies = [copy.numpy() for copy in strategy.experimental_local_results(variable)]
            assert len(copies) == here, len(copies)
            assert all((copy == copies[0]).all() for copy in copies)
            assert (copies[0] == 0).mean() == 0.75, (copies[0] == 0).mean()
    assert pruner.counter.position == (12, 0)
"""

FIT = """
class Look(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch != 3:
            return
        before = self.model.layers[0].kernel.numpy()
        assert (self.model.get_weights()[0] == 0).mean() >= (before == 0).mean()
        self.model.evaluate(X[:8], Y[:8], verbose=0)
        assert (self.model.layers[0].kernel.numpy() == before).all()

def fit(model, data, *others, **arguments):
    callbacks = [pruning.UpdatePruningStep(), *others]
    model.fit(data, epochs=2, verbose=0, callbacks=callbacks, **arguments)
"""

LOOP = """
def loop(strategy, data):
    with strategy.scope():
        model = made(optimizer=False)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        optimizer.build(model.trainable_variables)

    def step(x, y):
        pruning.begin_step(model)
        with tf.GradientTape() as tape:
            # Keras' optimizers add up the gradients of the replicas.
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) / 2
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    run = tf.function(lambda x, y: strategy.run(step, args=(x, y)))
    for _ in range(2):
        for x, y in strategy.experimental_distribute_dataset(data):
            run(x, y)
    pruning.apply_masks(model)
    return model
"""

MIRRORED = (
    """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
    + COMMON
    + FIT
    + LOOP
    + """
data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
single = made()
fit(single, data)

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
# Not with several steps per execution: Keras 3.15 cannot do that on replicas, pruned or not.
with strategy.scope():
    model = made()
assert model.distribute_strategy is strategy
fit(model, data, Look(), validation_data=data)
check_replicas(strategy, model, 2)
assert masks(model) == masks(single)
for one, other in zip(model.get_weights(), single.get_weights(), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)
pruning.strip_pruning(model)
assert (model.layers[0].kernel.numpy() == 0).mean() == 0.75

model = loop(strategy, data)
check_replicas(strategy, model, 2)
assert masks(model) == masks(single)
"""
)

WORKER = (
    """
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
"""
    + COMMON
    + LOOP
    + """
assert strategy.num_replicas_in_sync == 2
data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
model = loop(strategy, data.with_options(options))
check_replicas(strategy, model, 1)
sums = [float(np.sum(np.abs(weight))) for weight in model.get_weights()]
print("RESULT " + json.dumps([masks(model), sums]))
"""
)


def run(script, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-3000:]
    return out


def test_masks_are_equal_on_two_devices_and_to_those_of_one():
    output(run(MIRRORED))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@nightly
def test_masks_are_equal_in_two_processes():
    # In a loop, since `fit` of Keras 3.15 cannot read data distributed over processes.
    workers = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(run(WORKER, TF_CONFIG=json.dumps(config)))
    results = []
    try:
        for process in processes:
            line = next(x for x in output(process).splitlines() if x.startswith("RESULT "))
            results.append(json.loads(line.removeprefix("RESULT ")))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert results[0] == results[1]

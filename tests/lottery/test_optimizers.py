"""What is removed leaves every optimizer of both Kerases alone."""

import inspect

import keras
import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import moments
from kerasinit._src.training.data import Order
from kerasinit._src.training.held_masks import HeldMasks
from kerasinit._src.training.outcome import weights_of
from kerasinit._src.training.trainer import Trainer
from tests.kerases import HAS_TF_KERAS, INSTALLED, KERASES, has_keras
from tests.lottery.blobs import blobs, builder
from tests.products import nightly

DATA = blobs()
TRAIN, VALIDATION = DATA.split(0, 0)
ORDER = Order(TRAIN, 20, seed=0, trial=0)
# They wrap others.
WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "Optimizer")


def _kinds(*at_every_run):
    """Return every optimizer, as it is and with an average of the weights."""
    found = []
    for library in INSTALLED:
        name = library.__name__
        for kind in vars(library.optimizers).values():
            known = inspect.isclass(kind) and issubclass(kind, library.optimizers.Optimizer)
            # Nadam of tf_keras is refused: its state cannot be put back.
            refused = known and (name, kind.__name__) == ("tf_keras", "Nadam")
            if not known or kind.__name__ in WRAPPERS or refused:
                continue
            for average in (False, True):
                label = f"{name}.{kind.__name__}{' with average' if average else ''}"
                marks = () if label in at_every_run else nightly
                found.append(pytest.param(name, kind, average, id=label, marks=marks))
    if HAS_TF_KERAS:
        assert set(at_every_run) <= {case.id for case in found}
    return pytest.mark.parametrize(("kerase", "kind", "average"), found)


# It divides by what it has gathered of a weight.
@_kinds("keras.Ftrl", "keras.Ftrl with average")
def test_removed_weights_stay_zero_and_survivors_train_the_same(kerase, kind, average):
    model = builder(kerase)()
    options = {"use_ema": True, "ema_overwrite_frequency": 3} if average else {}
    loss = KERASES[kerase].losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(kind(learning_rate=0.01, **options), loss)
    trainer = Trainer(model, DATA, VALIDATION, xla=False)
    random = np.random.default_rng(0)
    masks = Masks({n: random.random(s) < 0.5 for n, s in trainer.shapes.items()})
    first = trainer.state()
    masked = trainer.mask_state(first, masks)
    # The weights alone: the optimizer stays as it begins beside weights that all live.
    weights_masked = {**first, **{name: masked[name] for name in masks}}
    ends = []
    for start in (masked, weights_masked):
        trainer.restore(start)
        ends.append(trainer.train(masks, ORDER, iterations=8, evaluate_every=4).final)

    for name, mask in masks.items():
        assert not ends[0][name][~mask].any()
        assert (ends[0][name] != first[name])[mask].any()
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
    for name, value in ends[0].items():
        assert np.isfinite(value).all(), name
    for name, owner in trainer.owners.items():
        assert not ends[0][name][~masks[owner]].any(), name


# These begin with copies of the weights.
@_kinds(
    "keras.ScheduleFreeAdamW" if has_keras("3.14") else "keras.SGD with average",
    "tf_keras.SGD with average",
)
def test_other_first_weights_train_as_in_a_network_that_was_built_with_them(kerase, kind, average):
    trainers = []
    for seed in (1, 2):
        model = builder(kerase, seed=seed)()
        options = {"use_ema": True, "ema_overwrite_frequency": 3} if average else {}
        loss = KERASES[kerase].losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(kind(learning_rate=0.01, **options), loss)
        trainers.append(Trainer(model, DATA, VALIDATION, xla=False))
    used, built = trainers
    others = weights_of(built.state())
    dense = Masks.dense(used.shapes)
    # As a control is made, once the network of its trial has been trained.
    start = used.mask_state({**used.state(), **others}, dense)
    used.train(dense, ORDER, iterations=2, evaluate_every=2)
    used.restore(start)
    ends = [one.train(dense, ORDER, iterations=8, evaluate_every=4).final for one in trainers]

    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][name], err_msg=name)


@_kinds("keras.Adam", "tf_keras.SGD")
def test_removed_weights_that_need_no_holding_have_the_same_bits_as_held_ones(
    monkeypatch, kerase, kind, average
):
    model = builder(kerase)()
    options = {"use_ema": True} if average else {}
    loss = KERASES[kerase].losses.SparseCategoricalCrossentropy(from_logits=True)
    weight_decay = {"weight_decay": 0.1} if kind.__name__ != "ScheduleFreeAdamW" else {}
    model.compile(kind(learning_rate=0.01, **weight_decay, **options), loss)
    trainer = Trainer(model, DATA, VALIDATION, xla=False)
    random = np.random.default_rng(0)
    masks = Masks({n: random.random(s) < 0.5 for n, s in trainer.shapes.items()})
    first = trainer.mask_state(trainer.state(), masks)
    assert trainer._held.zeros_persist() == (not average and kind.__name__ in moments._ELEMENTWISE)
    ends = []
    for _ in range(2):
        trainer.restore(first)
        ends.append(trainer.train(masks, ORDER, iterations=8, evaluate_every=4).final)
        monkeypatch.setattr(HeldMasks, "zeros_persist", lambda self: False)

    for name, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][name], err_msg=name)


@pytest.mark.parametrize("kerase", KERASES)
def test_masks_that_are_put_on_in_the_middle_hold_though_moments_go_on(kerase):
    trainer = Trainer(builder(kerase)(), DATA, VALIDATION, xla=False)
    trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=3)
    masks = Masks({n: np.indices(s).sum(0) % 2 == 0 for n, s in trainer.shapes.items()})
    end = trainer.train(masks, ORDER, start=3, iterations=6).final

    for name, mask in masks.items():
        assert not end[name][~mask].any()


def test_a_layer_that_moves_removed_weights_is_not_trained_in_silence():
    class Restless(keras.layers.Dense):
        """Adds to its kernel at every call."""

        def get_prunable_weights(self):
            return [self.kernel]

        def call(self, inputs):
            self.kernel.assign_add(keras.ops.ones_like(self.kernel))
            return super().call(inputs)

    model = keras.Sequential([keras.Input((8,)), Restless(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer = Trainer(model, DATA, VALIDATION, xla=False)
    masks = Masks({n: np.indices(s).sum(0) % 2 == 0 for n, s in trainer.shapes.items()})

    with pytest.raises(RuntimeError, match="Removed weights of 'restless/kernel' were changed"):
        trainer.train(masks, ORDER, iterations=2)


@nightly
@pytest.mark.parametrize("kerase", KERASES)
def test_a_run_whose_optimizer_factors_its_moments_verifies(tmp_path, kerase):
    experiment = lottery.Experiment(
        optimizer="adafactor", iterations=6, evaluate_every=3, levels=1, trials=1, batch_size=20
    )
    run = lottery.run(experiment, out=tmp_path / "run", build=builder(kerase), data=DATA)

    assert not lottery.verify(run).findings

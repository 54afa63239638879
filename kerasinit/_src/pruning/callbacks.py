"""The callbacks of pruned models, in both Kerases: UpdatePruningStep and PruningSummaries."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.pruning import changes, pruned_models
from kerasinit._src.pruning.optimizers import steps_of
from kerasinit._src.pruning.tfmot_bridge import tfmot
from kerasinit._src.pruning.tfmot_training import TfmotTraining


class UpdatePruningStep(Callback):
    """Numbers the steps of pruning and leaves the weights masked.

    Every training of a pruned model needs it, or raises an error. With a tf_keras model
    it is tfmot's callback of the same name. With a Keras 3 model it

    * numbers the first training step 1; a second training goes on counting, and so does
      one that starts at an ``initial_epoch`` with a sparse model from a file;
    * masks the weights at the end of each epoch and of the training, since the last
      update of the optimizer moves removed weights too;
    * warns once if the schedule cannot do in this training what it was made for, and at the
      end of ``fit`` if it has not: because the training ended early, or because weights of
      an earlier epoch were restored.

    With a tf_keras model it also warns at the end, and sees to it that evaluation,
    prediction and calls of the model between two batches do not change its weights. (tfmot
    masks them at every forward pass.)

    It may stand anywhere in the list of callbacks: what others save is sparse.

    In a loop of your own it is simpler to call :func:`~kerasinit.pruning.begin_step` and
    :func:`~kerasinit.pruning.apply_masks`. As with tfmot you may also call ``set_model``
    and ``on_train_begin`` before the loop and ``on_epoch_end`` after each epoch; if it
    does not go through ``train_on_batch``, ``on_train_batch_begin`` before each batch.

    Raises:
        ValueError: When a training begins of a Keras 3 model that is not pruned.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    >>> model.compile("sgd", "mse")
    >>> callback = pruning.UpdatePruningStep()
    >>> callback.set_model(model)
    >>> callback.on_train_begin()
    >>> _ = model.train_on_batch(keras.ops.ones((2, 8)), keras.ops.ones((2, 4)))
    >>> callback.on_epoch_end(batch=0)
    >>> float(keras.ops.mean(model.layers[0].kernel == 0))
    0.5
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_tf_keras: TfmotTraining | None = None
        # Whether the model was to be built by its first step.
        self._unbuilt = False

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        super().set_model(model)
        self._in_tf_keras = None
        if compat.kerase_of(model) == "tf_keras":
            self._in_tf_keras = TfmotTraining(model)
            return
        pruned_models.adopt(model)
        if pruned_models.is_pruned(model):
            changes.warn_of_changes(model)
            training = pruned_models.training_of(model)
            training.waits, self._unbuilt = True, training.pending

    def on_train_begin(self, logs: Any = None) -> None:
        """Number the steps from here, unless an earlier training has begun to."""
        self._training.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Find the step of a training that goes on, and look ahead to its end."""
        known = self.params or {}
        if "epochs" in known:
            every = steps_of(self.model)
            self._training.begin_epoch(epoch, known.get("steps"), known["epochs"], every)

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        """Count a step of a custom loop; in ``fit`` the model counts itself."""
        if self._in_tf_keras is None and not (training := self._training).fitting:
            training.count_ahead(steps_of(self.model))

    def on_test_begin(self, logs: Any = None) -> None:
        """Know that ``fit`` evaluates the model at the end of an epoch."""
        self._note_evaluation(True)

    def on_test_end(self, logs: Any = None) -> None:
        """Know that it has done so."""
        self._note_evaluation(False)

    def on_epoch_end(self, batch: Any, logs: Any = None) -> None:
        """Mask the weights; the argument is called ``batch`` as in tfmot."""
        self._training.end_epoch()
        if self._unbuilt:
            self._unbuilt = False
            changes.warn_of_changes(self.model)

    def on_train_end(self, logs: Any = None) -> None:
        """Mask the weights that an optimizer may have written after the last epoch."""
        self._training.end()

    @property
    def _training(self) -> Any:
        return self._in_tf_keras or pruned_models.training_of(self.model)

    def _note_evaluation(self, runs: bool) -> None:
        if self._in_tf_keras is not None:
            self._in_tf_keras.views.at_epoch_end = runs


def _forward(name: str) -> Callable[..., None]:
    def hook(self: "PruningSummaries", *args: Any, **kwargs: Any) -> None:
        getattr(self._board, name)(*args, **kwargs)

    hook.__name__ = name
    hook.__doc__ = f"Hand ``{name}`` to the TensorBoard callback of the model's Keras."
    return hook


class PruningSummaries(Callback):
    """Writes sparsity and threshold of each pruned weight for TensorBoard.

    It does all that Keras' ``TensorBoard`` callback does, and writes besides, under
    ``log_dir/metrics``, at the beginning of each epoch and at the end of the training:

    * ``dense/kernel/sparsity``: the fraction of the weights that the mask removes;
    * ``dense/kernel/threshold``: the magnitude at the last update below which weights
      were removed.

    The horizontal axis is ``optimizer.iterations``. With a tf_keras model it is tfmot's
    callback of this name, whose tags begin with the names of its wrapper layers.

    Args:
        log_dir: Folder for the event files; made if it is not there.
        update_freq: ``"batch"``, ``"epoch"`` (default) or a number of batches, as in
            Keras' ``TensorBoard``.
        **kwargs: Further arguments of Keras' ``TensorBoard``.

    Raises:
        ImportError: If tensorboard is not installed.
        ValueError: If ``log_dir`` is not a path; when a training begins, if the model is
            not pruned.

    Example:
    >>> import os, tempfile
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    >>> model.compile("sgd", "mse")
    >>> x, y = keras.ops.ones((2, 8)), keras.ops.ones((2, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     callbacks = [pruning.UpdatePruningStep(), pruning.PruningSummaries(folder)]
    ...     history = model.fit(x, y, callbacks=callbacks, verbose=0)
    ...     sorted(os.listdir(folder))
    ['metrics', 'train']
    """

    def __init__(self, log_dir: Any, update_freq: Any = "epoch", **kwargs: Any) -> None:
        super().__init__()
        if not isinstance(log_dir, str | os.PathLike) or not os.fspath(log_dir):
            raise ValueError(
                "Expected log_dir to be the path of a folder, such as 'logs/first'; got "
                f"{log_dir!r}."
            )
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "PruningSummaries writes for TensorBoard, which is not installed: "
                "pip install 'kerasinit[tensorboard]'."
            )
        self.log_dir = os.fspath(log_dir)
        self._arguments = {"log_dir": self.log_dir, "update_freq": update_freq, **kwargs}
        # Made here as well, so that an argument it does not take is refused at once.
        self._board: Any = keras.callbacks.TensorBoard(**self._arguments)
        self._writer: Any = None

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        super().set_model(model)
        if compat.kerase_of(model) == "tf_keras":
            self._board = tfmot().PruningSummaries(**self._arguments)
        else:
            pruned_models.pruner_of(model)  # which says so if there is none
            self._board = keras.callbacks.TensorBoard(**self._arguments)
            self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, "metrics"))
        self._board.set_model(model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Write how sparse the model is before an epoch."""
        self._board.on_epoch_begin(epoch, logs)
        self._write()

    def on_train_end(self, logs: Any = None) -> None:
        """Write how sparse the last epoch has left the model."""
        self._write()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._board.on_train_end(logs)

    set_params = _forward("set_params")
    on_train_begin = _forward("on_train_begin")
    on_train_batch_begin = _forward("on_train_batch_begin")
    on_train_batch_end = _forward("on_train_batch_end")
    on_epoch_end = _forward("on_epoch_end")
    on_test_begin = _forward("on_test_begin")
    on_test_batch_begin = _forward("on_test_batch_begin")
    on_test_batch_end = _forward("on_test_batch_end")
    on_test_end = _forward("on_test_end")

    def _write(self) -> None:
        if self._writer is None:  # of tf_keras, where tfmot writes
            return
        pruner = pruned_models.pruner_of(self.model)
        step = int(np.asarray(self.model.optimizer.iterations))
        with self._writer.as_default(step):
            for name, mask in pruner.masks.items():
                removed = 1.0 - float(np.mean(np.asarray(mask.read_value()) != 0))
                tf.summary.scalar(f"{name}/sparsity", removed)
                threshold = tf.cast(pruner.thresholds[name].read_value(), tf.float32)
                tf.summary.scalar(f"{name}/threshold", threshold)
        self._writer.flush()

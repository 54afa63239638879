"""UpdatePruningStep and PruningSummaries, the callbacks for pruned models of both Kerases."""

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
from kerasinit._src.pruning.tfmot_session import TfmotSession
from kerasinit._src.troubleshooting import see


class UpdatePruningStep(Callback):
    """Counts pruning steps and masks the weights at the end of each epoch.

    It is required whenever a pruned model is trained. With a tf_keras model it runs tfmot's
    callback of the same name. With a Keras 3 model it

    * numbers the first training step 1, and continues counting in further calls to ``fit``,
      also at an ``initial_epoch`` with a sparse model loaded from a file;
    * masks the weights at the end of each epoch and of training, since the optimizer's last
      update changes removed weights as well;
    * warns once if the schedule cannot reach its goal within this ``fit``, and at the end of
      ``fit`` if it did not: because training stopped early, or because weights of an earlier
      epoch were restored.

    With a tf_keras model it also warns at the end, and prevents evaluation, prediction and
    calls of the model between two batches from changing its weights. (tfmot masks them at
    every forward pass.)

    It may be placed anywhere in the list of callbacks: files that others save are sparse.

    In a custom training loop it is simpler to call :func:`~kerasinit.pruning.begin_step` and
    :func:`~kerasinit.pruning.apply_masks`. As with tfmot you may also call ``set_model`` and
    ``on_train_begin`` before the loop and ``on_epoch_end`` after each epoch, and, unless the
    loop calls ``train_on_batch``, ``on_train_batch_begin`` before each batch.

    Raises:
        ValueError: When training begins with a Keras 3 model that is not pruned.

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
        self._tfmot_session: TfmotSession | None = None
        # Whether the first training step has to build the model.
        self._unbuilt = False

    def set_model(self, model: Any) -> None:
        """Store the model being trained; called by Keras."""
        super().set_model(model)
        self._tfmot_session = None
        if compat.kerase_of(model) == "tf_keras":
            self._tfmot_session = TfmotSession(model)
            return
        pruned_models.adopt(model)
        if pruned_models.is_pruned(model):
            changes.warn_of_changes(model)
            session = pruned_models.session_of(model)
            session.waits, self._unbuilt = True, session.pending

    def on_train_begin(self, logs: Any = None) -> None:
        """Start counting steps, or continue from an earlier ``fit``."""
        self._session.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Determine the current step, and check what the schedule will do until the end."""
        known = self.params or {}
        if "epochs" in known:
            every = steps_of(self.model)
            self._session.begin_epoch(epoch, known.get("steps"), known["epochs"], every)

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        """Count a step of a custom loop; in ``fit`` the model counts itself."""
        if self._tfmot_session is None and not (session := self._session).fitting:
            session.count_ahead(steps_of(self.model))

    def on_test_begin(self, logs: Any = None) -> None:
        """Called when ``fit`` begins to evaluate the model at the end of an epoch."""
        self._set_evaluating(True)

    def on_test_end(self, logs: Any = None) -> None:
        """Called when ``fit`` has evaluated the model."""
        self._set_evaluating(False)

    def on_epoch_end(self, batch: Any, logs: Any = None) -> None:
        """Mask the weights; the argument is called ``batch`` as in tfmot."""
        self._session.end_epoch()
        if self._unbuilt:
            self._unbuilt = False
            changes.warn_of_changes(self.model)

    def on_train_end(self, logs: Any = None) -> None:
        """Mask the weights again, since an optimizer may have written averaged ones."""
        self._session.end()

    @property
    def _session(self) -> Any:
        return self._tfmot_session or pruned_models.session_of(self.model)

    def _set_evaluating(self, evaluating: bool) -> None:
        if self._tfmot_session is not None:
            self._tfmot_session.views.at_epoch_end = evaluating


def _forward(name: str) -> Callable[..., None]:
    def hook(self: "PruningSummaries", *args: Any, **kwargs: Any) -> None:
        getattr(self._board, name)(*args, **kwargs)

    hook.__name__ = name
    hook.__doc__ = f"Forward ``{name}`` to the TensorBoard callback of the model's Keras."
    return hook


class PruningSummaries(Callback):
    """Writes sparsity and threshold of each pruned weight for TensorBoard.

    In addition to what Keras' ``TensorBoard`` callback writes, it writes under
    ``log_dir/metrics``, at the beginning of each epoch and at the end of training:

    * ``dense/kernel/sparsity``: the fraction of weights that the mask removes;
    * ``dense/kernel/threshold``: the magnitude below which the last update removed weights.

    The step is ``optimizer.iterations``. With a tf_keras model it runs tfmot's callback of
    this name, whose tags begin with the names of its wrapper layers.

    Args:
        log_dir: Directory for the event files; created if missing.
        update_freq: ``"batch"``, ``"epoch"`` (default) or a number of batches, as in
            Keras' ``TensorBoard``.
        **kwargs: Other arguments of Keras' ``TensorBoard``.

    Raises:
        ImportError: If tensorboard is not installed.
        ValueError: If ``log_dir`` is not a path; when training begins, if the model is not
            pruned.

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
                "PruningSummaries requires TensorBoard, which is not installed: "
                f"pip install 'kerasinit[tensorboard]'. {see('missing-extra')}"
            )
        self.log_dir = os.fspath(log_dir)
        self._arguments = {"log_dir": self.log_dir, "update_freq": update_freq, **kwargs}
        # Created here as well, so that an invalid argument is rejected immediately.
        self._board: Any = keras.callbacks.TensorBoard(**self._arguments)
        self._writer: Any = None

    def set_model(self, model: Any) -> None:
        """Store the model being trained; called by Keras."""
        super().set_model(model)
        if compat.kerase_of(model) == "tf_keras":
            self._board = tfmot().PruningSummaries(**self._arguments)
        else:
            pruned_models.pruner_of(model)  # raises if there is none
            self._board = keras.callbacks.TensorBoard(**self._arguments)
            self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, "metrics"))
        self._board.set_model(model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Write the sparsity before the epoch."""
        self._board.on_epoch_begin(epoch, logs)
        self._write()

    def on_train_end(self, logs: Any = None) -> None:
        """Write the sparsity after the last epoch."""
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
        if self._writer is None:  # a tf_keras model, for which tfmot writes
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

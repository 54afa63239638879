"""The callback that a pruned model is trained with, in both Kerases."""

from typing import Any

from kerasinit._src import compat
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.pruning import attach, changes, tfmot_training, tfmot_views
from kerasinit._src.pruning.tfmot_bridge import tfmot


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
        self._tfmot: Any = None
        self._views: Any = None
        self._progress: Any = None
        # Whether the model was to be built by its first step.
        self._unbuilt = False

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        super().set_model(model)
        self._tfmot = self._views = self._progress = None
        if compat.kerase_of(model) == "tf_keras":
            self._tfmot = tfmot().UpdatePruningStep()
            self._tfmot.set_model(model)
            self._views = tfmot_views.Views(model)
            self._progress = tfmot_training.Progress(model)
            return
        attach.adopt(model)
        if attach.is_pruned(model):
            changes.warn_of_changes(model)
            training = attach.training_of(model)
            training.waits, self._unbuilt = True, training.pending

    def on_train_begin(self, logs: Any = None) -> None:
        """Number the steps from here, unless an earlier training has begun to."""
        if self._tfmot is not None:
            self._tfmot.on_train_begin(logs)
            self._views.begin()
        else:
            attach.training_of(self.model).begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Find the step of a training that goes on, and look ahead to its end."""
        known = self.params or {}
        if "epochs" not in known:
            return
        if self._tfmot is not None:
            self._progress.begin_epoch(epoch, known.get("steps"), known["epochs"])
        else:
            attach.training_of(self.model).begin_epoch(
                epoch, known.get("steps"), known["epochs"], attach.steps_of(self.model)
            )

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        """Count a step of a loop that a user wrote; in ``fit`` the model counts itself."""
        if self._tfmot is None:
            training = attach.training_of(self.model)
            if not training.fitting:
                training.count_ahead(attach.steps_of(self.model))

    def on_test_begin(self, logs: Any = None) -> None:
        """Know that ``fit`` evaluates the model at the end of an epoch."""
        if self._views is not None:
            self._views.at_epoch_end = True

    def on_test_end(self, logs: Any = None) -> None:
        """Know that it has done so."""
        if self._views is not None:
            self._views.at_epoch_end = False

    def on_epoch_end(self, batch: Any, logs: Any = None) -> None:
        """Mask the weights; the argument is called ``batch`` as in tfmot."""
        if self._tfmot is not None:
            self._tfmot.on_epoch_end(batch, logs)
            self._progress.end_epoch()
        else:
            attach.training_of(self.model).end_epoch()
            if self._unbuilt:
                self._unbuilt = False
                changes.warn_of_changes(self.model)

    def on_train_end(self, logs: Any = None) -> None:
        """Mask the weights that an optimizer may have written after the last epoch."""
        if self._tfmot is not None:
            self._tfmot.on_train_end(logs)
            self._views.end()
            self._progress.end()
        else:
            attach.training_of(self.model).end()

"""The measurements of a model: plain data, which is judged and reported elsewhere."""

from dataclasses import dataclass

from kerasinit._src.diagnosis.flow import Way
from kerasinit._src.diagnosis.heads import Head
from kerasinit._src.diagnosis.next_step import Step
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.diagnosis.twins import Twins
from kerasinit._src.network.walk import is_default_name


@dataclass(frozen=True)
class Measure:
    """The measurements of one call of a layer.

    Attributes:
        layer: The layer's path, such as ``"dense_1"``: the first part of its variables' names in
            `kerasinit.reinitialize`.
        name: The layer's name in Keras.
        kind: The layer's class.
        call: The number of the call, from 1.
        shape: The output's shape, the batch first.
        role: ``"kernel"`` for a layer that multiplies by weights, ``"source"`` for one that
            resets the scale (normalization, embedding, rescaling), ``"block"`` for one
            that has others inside, ``"average"`` for a pooling by means, ``"choice"`` for a
            softmax, ``""`` for the rest.
        activation: The layer's activation; None if it is linear or unknown.
        signal: The output.
        given: The first input; None without any.
        before: The indices of the calls whose outputs are the inputs; ``-1 - k`` for the model's
            floating-point input ``k``.
        averaged: How many nats of the mean square averages may have removed since those calls.
        way: ``"main"`` if the data of some input reaches some output only through this call;
            ``"choice"`` if it only weights other signals, by a softmax; ``"constant"`` if it does
            not depend on the data; else ``"beside"``.
        follows: The function applied to the output, if it is not a layer's.
        learns: Whether the layer has trainable kernels or embeddings.
        gradient: Norm of the gradient of the loss with respect to the output, or to the logits
            where Keras computes a crossentropy from these; None if the loss does not depend on it.
        weight_gradient: Norm of the gradient with respect to the layer's weights; None without
            weights, or if the loss does not depend on them.
        update_ratio: Norm of the next update of the layer's kernel over the kernel's norm; None
            for a model that is not compiled.
        twins: Identical units; None where they would not mean anything.
        zero_kernel: Whether a kernel of the layer, or a normalization's scale, is all zeros.
        finite_weights: Whether all of the layer's weights are finite.

    Example:
        See `kerasinit.diagnose`.
    """

    layer: str
    name: str
    kind: str
    call: int
    shape: tuple[int, ...]
    role: str
    activation: str | None
    signal: Signal
    given: Signal | None
    before: tuple[int, ...] = ()
    averaged: float = 0.0
    way: Way = "main"
    follows: str | None = None
    learns: bool = False
    gradient: float | None = None
    weight_gradient: float | None = None
    update_ratio: float | None = None
    twins: Twins | None = None
    zero_kernel: bool = False
    finite_weights: bool = True

    @property
    def title(self) -> str:
        """The path, with the layer's name unless Keras generated it."""
        return (
            self.layer if is_default_name(self.name, self.kind) else f"{self.layer} ({self.name})"
        )


@dataclass(frozen=True)
class Measured:
    """The measurements of a model.

    Attributes:
        inputs: The model's floating-point inputs.
        layers: The calls of its layers, in the order in which they finished.
        objective: What was differentiated.
        examples: The number of examples.
        passes: The total number of forward and backward passes.
        heads: The floating-point outputs, with their labels and losses.
        loss: The loss; None if it was not computed.
        step: The next step; None for a model that is not compiled, or without labels.
        alike: ``"same"`` if all examples are identical, ``"zero"`` if all are zero, else empty.
        unseen: Layers that could not be measured, and why.
        trainable: Whether the model has trainable weights.
        note: Why the layers are judged in the order of their calls rather than along the data
            flow; empty if they are not.

    Example:
        See `kerasinit.diagnose`.
    """

    inputs: tuple[Signal, ...]
    layers: tuple[Measure, ...]
    objective: str
    examples: int
    passes: int
    heads: tuple[Head, ...] = ()
    loss: float | None = None
    step: Step | None = None
    alike: str = ""
    unseen: tuple[str, ...] = ()
    trainable: bool = True
    note: str = ""

    @property
    def caveat(self) -> str:
        """The note as a sentence."""
        return (
            f"The data flow of the model could not be traced ({self.note}): each layer is compared "
            f"with the one called before it."
        )

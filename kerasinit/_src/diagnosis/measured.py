"""What a model showed: plain data, which is judged and reported elsewhere."""

from dataclasses import dataclass

from kerasinit._src.diagnosis.flow import Way
from kerasinit._src.diagnosis.heads import Head
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.diagnosis.trial import Step
from kerasinit._src.diagnosis.twins import Twins
from kerasinit._src.network.walk import is_default_name


@dataclass(frozen=True)
class Measure:
    """What one call of a layer showed.

    Attributes:
        layer: The layer's path, such as ``"dense_1"``: the first part of the names that
            `kerasinit.reinitialize` gives its variables.
        name: The name that Keras gave the layer.
        kind: The layer's class.
        call: Which call of the layer it is, from 1.
        shape: Shape of what came out, the batch first.
        role: ``"kernel"`` for a layer that multiplies by weights, ``"source"`` for one that
            sets the scale anew (normalization, embedding, rescaling), ``"block"`` for one
            that has others inside, ``"average"`` for a pooling by means, ``"choice"`` for a
            softmax, ``""`` for the rest.
        activation: What the layer applies last; None if it is linear or unknown.
        signal: What came out.
        given: What went in first; None if nothing did.
        before: Places of the calls whose outputs come in, in the order of the data; ``-1 - k``
            for the model's floating input ``k``.
        averaged: How many nats of the mean square an average may have taken on the way from there.
        way: Where it stands, see `kerasinit.diagnosis.flow.Passage`.
        follows: The function that its output goes into, if that is no layer's.
        learns: Whether kernels or embeddings of the layer's own are trained.
        gradient: Norm of the gradient of the loss with respect to what came out, or, for an
            output whose crossentropy Keras computes from the logits, with respect to these; None
            if it does not reach the loss.
        weight_gradient: Norm of the gradient with respect to the layer's own weights; None
            without any, or where it does not reach the loss.
        update_ratio: Length of the next update over that of the weights, of the layer's
            kernel; None for a model that is not compiled.
        twins: Units that are alike; None where that says nothing.
        zero_kernel: Whether a kernel of the layer, or a normalization's scale, is all zeros.
        finite_weights: Whether all of the layer's weights are finite.
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
        """The path, with the layer's name if a person gave it."""
        given = not is_default_name(self.name, self.kind)
        return f"{self.layer} ({self.name})" if given else self.layer


@dataclass(frozen=True)
class Measured:
    """What a model showed.

    Attributes:
        inputs: The model's floating inputs.
        layers: The calls of its layers, in the order in which they were finished.
        objective: What was differentiated.
        examples: How many examples went through.
        passes: How many passes forward and back were made, together.
        heads: The floating outputs, with their labels and losses.
        loss: The loss; None where it was not looked at.
        step: The next step; None for a model that is not compiled, or without labels.
        alike: ``"same"`` if all examples are one and the same, ``"zero"`` if all are zero, else
            empty.
        unseen: Layers that could not be looked at, and why.
        trainable: Whether the model has weights that are trained.
        note: Why the layers are judged in the order of their calls, instead of on the ways of the
            data; empty if they are not.
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
            f"What the model computes could not be followed ({self.note}): each layer is judged "
            f"by the one called before it."
        )

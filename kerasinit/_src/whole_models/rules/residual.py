"""Rules for residual networks: Fixup, branches that start at zero, GPT-2."""

from collections.abc import Iterable
from typing import Any

from kerasinit._src.initializers.constant import Zeros
from kerasinit._src.initializers.random import RandomNormal
from kerasinit._src.initializers.variance_scaling import HeNormal, VarianceScaling
from kerasinit._src.network.branches import Branch, terminal_layers
from kerasinit._src.network.model import Network, is_recurrent, read
from kerasinit._src.network.parts import Part
from kerasinit._src.network.signal_roles import is_normalization
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.redraw import Rule
from kerasinit._src.whole_models.rules.picking import (
    Branches,
    ends,
    find_all_layers,
    multiplied,
    of_role,
    require_branches,
    rules_for,
    tables,
)


def fixup(
    model: Any, *, branches: Branches = None, head: Iterable[Any] | None = None
) -> list[Rule]:
    """Return the rules of Fixup, for deep residual networks without normalization.

    The first update changes the output by the same amount, however many branches there are.

    The architecture must provide the rest: no normalization; a scalar bias, initially 0, before
    each convolution, dense layer and activation; a scalar multiplier, initially 1, in each branch.
    Custom layers can do that.

    Formula: with L branches of m kernels each: He's values times ``L^(-1/(2m-2))`` in
    the branches, zero for the last kernel of each branch and for the kernel of the head;
    He's values elsewhere, zero for all biases. The rest as its layer was built.

    Args:
        model: A built model of either Keras.
        branches: For each residual branch its layers with weights or their names, in
            the order of the data; by default they are read from the model's graph.
        head: The classification layers or their names, possibly none; by default the last layers
            with kernels. Required if the model has no graph.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the model has no residual branch, or one with a normalization, or
            its branches or heads cannot be determined.

    Example:
    >>> import keras, kerasinit
    >>> inputs = hidden = keras.Input((8,))
    >>> for _ in range(4):
    ...     branch = keras.layers.Dense(8, "relu")(hidden)
    ...     hidden = hidden + keras.layers.Dense(8)(branch)
    >>> model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    >>> report = kerasinit.reinitialize(model, fixup, seed=1)
    >>> report["dense/kernel"].initializer.scale, report["dense_1/kernel"].initializer
    (0.5, Zeros())

    Reference:
        Zhang, Dauphin and Ma, 2019, "Fixup initialization: residual learning without
        normalization".
    """
    network = read(model)
    found = require_branches(network, branches, "fixup")
    _refuse_normalization(found)
    first: dict[float, list[Part]] = {}
    last: list[Part] = []
    for branch in found:
        last += ends(network, branch, branch.last_kernels, "fixup")
        inside = [
            p for layer in branch.layers for p in network.kernels(layer) if p.role == "kernel"
        ]
        scale = 2.0 * len(found) ** (-1.0 / (branch.depth - 1)) if branch.depth > 1 else 2.0
        first.setdefault(scale, []).extend(inside)
    for layer in _heads(network, found, head):
        last += network.last_kernels(layer)
    return [
        *rules_for(Zeros(), last),
        *(rule for s, inside in first.items() for rule in rules_for(VarianceScaling(s), inside)),
        *rules_for(HeNormal(), multiplied(network)),
        *rules_for(Zeros(), of_role(network, "bias")),
        Rule(OWN),
    ]


def zero_last(model: Any, *, branches: Branches = None) -> list[Rule]:
    """Return the rules that start each residual branch at zero, and change nothing else.

    The network starts as its shortcuts alone, which is shallow and easy to train. Used for large
    batches, and wherever a residual network is slow to start. Also known as zero gamma, and as
    ``zero_init_residual`` in torchvision. SkipInit and ReZero start in the same way, with a scalar
    multiplier of the branch, which is part of the architecture.

    Formula: of the last layer with weights in a branch, gamma and beta are 0 if it is a
    normalization, else the kernel and the bias. The biases of a recurrent layer, which
    hold its gates, are as the layer was built.

    Args:
        model: A built model of either Keras.
        branches: See `fixup`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the model has no residual branch, its branches cannot be determined, or one
            cannot be made zero: if its last activation is not zero at zero, or the
            normalization at its end has no scale.

    Example:
    >>> import keras, kerasinit
    >>> inputs = keras.Input((8,))
    >>> hidden = keras.layers.Dense(16, "relu")(inputs)
    >>> model = keras.Model(inputs, inputs + keras.layers.Dense(8)(hidden))
    >>> report = kerasinit.reinitialize(model, zero_last, seed=1)
    >>> report.changed
    ['dense_1/kernel', 'dense_1/bias']

    Reference:
        Goyal et al., 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour",
        section 5.1; He et al., 2019, "Bag of tricks for image classification with
        convolutional neural networks", section 3.1.
    """
    network = read(model)
    found = require_branches(network, branches, "zero_last")
    last: list[Part] = []
    gated: list[Part] = []
    for branch in found:
        last += ends(network, branch, branch.last_weights, "zero_last")
        for layer in branch.last_weights:
            for part in network.parts_of(layer):
                if part.role in ("bias", "offset"):
                    (gated if is_recurrent(layer) else last).append(part)
    # An LSTM gives zeros whatever its gates do, and its forget gate should start open.
    return [*rules_for(Zeros(), last), *rules_for(OWN, gated)]


def gpt2(
    model: Any,
    *,
    num_blocks: int | None = None,
    positions: Any = None,
    branches: Branches = None,
) -> list[Rule]:
    """Return the rules of GPT-2, for transformers with the normalization in the branch.

    Each of N branches adds to the residual stream; with ``1 / sqrt(N)`` the variance of the sum
    does not depend on depth.

    Formula: kernels and embeddings ``N(0, 0.02^2)``, the last kernel of each residual
    branch ``N(0, 0.02^2 / N)``, biases 0; position embeddings ``N(0, 0.01^2)`` if they
    are given. The rest, such as normalizations, as its layer was built.

    Args:
        model: A built model of either Keras.
        num_blocks: The number of blocks, each of an attention and a feed-forward branch, so that
            ``N = 2 num_blocks``; by default N is the number of branches. For a model that
            is only a part of the network.
        positions: The layer of the position embeddings, its name, or a list of such; by
            default they are treated like the other embeddings.
        branches: See `fixup`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the model has no residual branch, its branches cannot be determined, or
            ``num_blocks`` is less than 1.

    Example:
    >>> import keras, kerasinit
    >>> inputs = keras.Input((5, 16))
    >>> branch = keras.layers.LayerNormalization()(inputs)
    >>> hidden = inputs + keras.layers.MultiHeadAttention(2, 8)(branch, branch)
    >>> branch = keras.layers.Dense(64, "gelu")(keras.layers.LayerNormalization()(hidden))
    >>> model = keras.Model(inputs, hidden + keras.layers.Dense(16)(branch))
    >>> report = kerasinit.reinitialize(model, gpt2, seed=1)
    >>> round(report["dense_1/kernel"].initializer.stddev, 5)
    0.01414

    Reference:
        Radford et al., 2019, "Language models are unsupervised multitask learners",
        section 2.3, and the code published with it.
    """
    network = read(model)
    found = require_branches(network, branches, "gpt2")
    if num_blocks is not None:
        if isinstance(num_blocks, bool) or not hasattr(num_blocks, "__index__"):
            raise TypeError(f"gpt2 got num_blocks={num_blocks!r}; expected a whole number.")
        if num_blocks < 1:
            raise ValueError(f"gpt2 got num_blocks={num_blocks!r}; expected at least 1.")
    number = len(found) if num_blocks is None else 2 * int(num_blocks)
    last = [part for one in found for part in ends(network, one, one.last_kernels, "gpt2")]
    position_layers = find_all_layers(network, positions)
    own = [part for layer in position_layers for part in network.parts_of(layer)]
    return [
        *rules_for(RandomNormal(stddev=0.01), [part for part in own if part.role != "bias"]),
        *rules_for(RandomNormal(stddev=0.02 / number**0.5), last),
        *rules_for(RandomNormal(stddev=0.02), [*multiplied(network), *tables(network)]),
        *rules_for(Zeros(), of_role(network, "bias")),
        Rule(OWN),
    ]


def _heads(network: Network, found: list[Branch], head: Iterable[Any] | None) -> list[Any]:
    """Return the classification layers."""
    if head is not None:
        given = [head] if isinstance(head, str) or not isinstance(head, Iterable) else head
        return [layer for one in given for layer in find_all_layers(network, one)[-1:]]
    within = {id(layer) for branch in found for layer in (*branch.layers, *branch.shortcut)}
    try:
        return [layer for layer in terminal_layers(network) if id(layer) not in within]
    except ValueError as error:
        raise ValueError(
            f"fixup starts the classification layer at zero and cannot find it in "
            f"{network.model.name!r}, which has no graph. Pass head=[layer], or head=[] for none."
        ) from error


def _refuse_normalization(found: list[Branch]) -> None:
    for branch in found:
        for layer in branch.layers:
            if is_normalization(layer):
                raise ValueError(
                    f"fixup is for networks without normalization; the branch of {branch.sum!r} "
                    f"has the normalization {layer.name!r}. Use zero_last with it, or leave the "
                    f"normalization out."
                )

"""Rules for convolutional networks: AlexNet's."""

from typing import Any

from kerasinit._src.initializers.constant import Ones, Zeros
from kerasinit._src.initializers.networks import AlexNet
from kerasinit._src.network import readings
from kerasinit._src.network.branches import terminal_layers
from kerasinit._src.network.catalogue import reader_of
from kerasinit._src.network.model import Network, read
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.redraw import Rule
from kerasinit._src.whole_models.rules.picking import multiplied, of_role, rules_for


def alexnet(model: Any) -> list[Rule]:
    """Return the rules of AlexNet, to reproduce the paper or similar networks.

    The biases of 1 keep relu units active from the first step. For a new network He's values are
    better: they depend on the fans.

    Formula: kernels ``N(0, 0.01^2)``; biases 1 in the second, fourth and fifth
    convolution and in the hidden dense layers, else 0. The rest as its layer was built.

    Args:
        model: A built model of either Keras, with five convolutions, a hidden dense layer
            and a dense head, in the order of the data; in a subclassed model, in the order of
            their creation, the last dense layer being the head.

    Raises:
        TypeError: If it is not a model.
        ValueError: If it is not such a network.

    Example:
    >>> import keras, kerasinit
    >>> layers = [keras.layers.Conv2D(4, 3, activation="relu") for _ in range(5)]
    >>> layers += [keras.layers.Flatten(), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    >>> model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    >>> report = kerasinit.reinitialize(model, alexnet, seed=1)
    >>> [name for name in report.changed if repr(report[name].initializer) == "Ones()"]
    ['conv2d_1/bias', 'conv2d_3/bias', 'conv2d_4/bias', 'dense/bias']

    Reference:
        Krizhevsky, Sutskever and Hinton, 2012, "ImageNet classification with deep
        convolutional neural networks", section 5.
    """
    network = read(model)
    layers = network.layers_with_weights(model)
    readers = [(layer, reader_of(layer, "kernel")) for layer in layers]
    convolutions = [layer for layer, reader in readers if reader is readings.convolution]
    dense = [layer for layer, reader in readers if reader is readings.matrix]
    heads = {id(layer) for layer in _heads(network, dense)}
    hidden = [layer for layer in dense if id(layer) not in heads]
    if len(convolutions) < 5 or not hidden or not heads:
        raise ValueError(
            f"alexnet is for a network with five convolutions, hidden dense layers and a dense "
            f"head; {model.name!r} has {len(convolutions)} convolutions and {len(hidden)} hidden "
            f"dense layers."
        )
    ones = [*(convolutions[place] for place in (1, 3, 4)), *hidden]
    biases = [part for layer in ones for part in network.parts_of(layer) if part.role == "bias"]
    return [
        *rules_for(AlexNet(), multiplied(network)),
        *rules_for(Ones(), biases),
        *rules_for(Zeros(), of_role(network, "bias")),
        Rule(OWN),
    ]


def _heads(network: Network, dense: list[Any]) -> list[Any]:
    try:
        last = {id(layer) for layer in terminal_layers(network)}
    except ValueError:  # it has no graph
        return dense[-1:]
    return [layer for layer in dense if id(layer) in last]

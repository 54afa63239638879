"""Small random graphs of layers: a program of steps, each of which adds a layer to the graph.

A step is the name of an operation and three whole numbers, which choose its operands among the
tensors that there are, and its options. A step that no tensor fits is left out, so that every
program makes a graph, and hypothesis can leave out steps to find the shortest that fails.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

ACTIVATIONS = ("relu", "sigmoid", None, "softplus", "tanh", "elu")
KINDS = {1: "vector", 2: "sequence", 3: "image"}
SHAPES = {"image": (6, 6, 2), "sequence": (4, 3), "vector": (5,)}


@dataclass
class Graph:
    """The tensors that there are, and what chooses among them."""

    library: Any
    tensors: list[Any]
    shared: dict[Any, Any] = field(default_factory=dict)

    @property
    def layers(self):
        """The layers of the Keras at hand."""
        return self.library.layers

    def of_kind(self, kind, choice):
        """Return a tensor with that many axes; the last one for 0."""
        found = [one for one in self.tensors if KINDS[len(one.shape) - 1] == kind]
        return found[-1 - choice % len(found)] if found else None

    def any_tensor(self, choice):
        """Return one of the tensors, the last one for 0."""
        return self.tensors[-1 - choice % len(self.tensors)]

    def like(self, tensor, choice):
        """Return a tensor of the same shape, maybe the same one."""
        found = [one for one in self.tensors if tuple(one.shape) == tuple(tensor.shape)]
        return found[-1 - choice % len(found)]


def convolution(graph, a, b, c):
    x = graph.of_kind("image", a)
    if x is None or min(x.shape[1:3]) < 3:
        return None
    options = {"padding": ("same", "valid")[c % 2], "use_bias": bool(b % 3)}
    options |= {"strides": 2} if c == 5 else {"dilation_rate": 2} if c == 4 else {}
    if options.get("dilation_rate") and min(x.shape[1:3]) < 5:
        return None
    return graph.layers.Conv2D(2 + b, 3, activation=ACTIVATIONS[c], **options)(x)


def grouped_convolution(graph, a, b, c):
    x = graph.of_kind("image", a)
    if x is None or x.shape[-1] % 2:
        return None
    return graph.layers.Conv2D(2 + 2 * (b % 3), 1, groups=2, activation=ACTIVATIONS[c])(x)


def depthwise(graph, a, b, c):
    x = graph.of_kind("image", a)
    layer = graph.layers.DepthwiseConv2D
    activation = ACTIVATIONS[c]
    return x if x is None else layer(2, 1, "same", 1 + b % 2, activation=activation)(x)


def separable(graph, a, b, c):
    x = graph.of_kind("image", a)
    layer = graph.layers.SeparableConv2D
    return x if x is None else layer(2 + b, 2, padding="same", activation=ACTIVATIONS[c])(x)


def transposed(graph, a, b, c):
    x = graph.of_kind("image", a)
    if x is None or x.shape[1] > 8:
        return None
    padding = ("same", "valid")[c % 2]
    return graph.layers.Conv2DTranspose(2 + b, 2, 1 + a % 2, padding, activation=ACTIVATIONS[c])(x)


def pooling(graph, a, b, c):
    x = graph.of_kind("image", a)
    if x is None or min(x.shape[1:3]) < 2:
        return None
    layer = (graph.layers.MaxPooling2D, graph.layers.AveragePooling2D)[b % 2]
    return layer(2, strides=1 + c % 2, padding=("valid", "same")[c % 2])(x)


def resized(graph, a, b, c):
    x = graph.of_kind("image", a)
    if x is None or not 3 <= x.shape[1] <= 6 or x.shape[2] < 3:
        return None
    layers = (
        graph.layers.UpSampling2D(2, interpolation=("nearest", "bilinear")[c % 2]),
        graph.layers.ZeroPadding2D(1),
        graph.layers.Cropping2D(((1, 0), (0, 1))),
    )
    return layers[b % 3](x)


def over_all_places(graph, a, b, c):
    x = graph.of_kind("image" if c % 2 else "sequence", a)
    if x is None:
        return None
    size = len(x.shape) - 2
    kind = ("Average", "Max")[b % 2]
    return getattr(graph.layers, f"Global{kind}Pooling{size}D")()(x)


def flattened(graph, a, b, c):
    x = graph.any_tensor(a)
    return None if len(x.shape) == 2 or _features(x) > 120 else graph.layers.Flatten()(x)


def dense(graph, a, b, c):
    return graph.layers.Dense(2 + b, ACTIVATIONS[c], use_bias=bool(c % 3))(graph.any_tensor(a))


def softmax(graph, a, b, c):
    return graph.layers.Dense(2 + b, "softmax")(graph.any_tensor(a))


def normalized(graph, a, b, c):
    layers, x = graph.layers, graph.any_tensor(a)
    kinds = (
        layers.BatchNormalization(center=bool(b % 3), scale=bool(b % 2)),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.GroupNormalization(groups=-1),
    )
    return kinds[c % 4](x)


def activation(graph, a, b, c):
    layers = graph.layers
    kinds = (
        layers.Activation(ACTIVATIONS[b]),
        layers.LeakyReLU(),
        layers.PReLU(),
        layers.ReLU(max_value=1.0),
        layers.Softmax(),
        layers.Dropout(0.3),
    )
    return kinds[c](graph.any_tensor(a))


def merged(graph, a, b, c):
    x = graph.any_tensor(a)
    kinds = ("Add", "Multiply", "Average", "Maximum", "Subtract", "Minimum")
    return getattr(graph.layers, kinds[c])()([x, graph.like(x, b)])


def concatenated(graph, a, b, c):
    x = graph.any_tensor(a)
    # The last axis, or that of the places.
    axis = -1 if c % 3 or len(x.shape) == 2 else 1
    fits = [
        one
        for one in graph.tensors
        if len(one.shape) == len(x.shape) and _without(one, axis) == _without(x, axis)
    ]
    x = [x, fits[-1 - b % len(fits)]] + [x] * (c == 5)
    return graph.layers.Concatenate(axis=axis)(x) if sum(map(_features, x)) < 600 else None


def _without(tensor, axis):
    sizes = list(tensor.shape)
    del sizes[axis]
    return sizes


def _features(tensor):
    size = 1
    for one in tensor.shape[1:]:
        size *= one
    return size


def gate(graph, a, b, c):
    """Squeeze and excite."""
    x = graph.of_kind("image", a)
    if x is None:
        return None
    y = graph.layers.GlobalAveragePooling2D(keepdims=bool(b % 2))(x)
    y = graph.layers.Dense(x.shape[-1], ("sigmoid", "softplus")[c % 2])(y)
    y = graph.layers.Reshape((1, 1, x.shape[-1]))(y)
    return graph.layers.Multiply()([x, y] if c % 3 else [y, x])


def residual(graph, a, b, c):
    x = graph.any_tensor(a)
    y = graph.layers.Dense(x.shape[-1], ACTIVATIONS[c])(graph.layers.Dense(2 + b, "relu")(x))
    return graph.layers.Add()([x, y])


def reshaped(graph, a, b, c):
    """Change what is a place and what is a channel, or split channels."""
    x = graph.any_tensor(a)
    sizes = tuple(x.shape[1:])
    if len(sizes) == 3:
        return graph.layers.Reshape(
            ((sizes[0] * sizes[1], sizes[2]), (sizes[0], sizes[1] * sizes[2]))[b % 2]
        )(x)
    if len(sizes) == 2:
        # The last form mixes places with channels unless their numbers say otherwise.
        forms = ((1, *sizes), (sizes[0], 1, sizes[1]), (sizes[1], sizes[0]))
        return graph.layers.Reshape(forms[b % 3])(x)
    for size in (3, 2, 1)[b % 3 :]:
        if sizes[0] % size == 0:
            return graph.layers.Reshape((size, sizes[0] // size))(x)
    return None


def permuted(graph, a, b, c):
    x = graph.any_tensor(a)
    orders = {2: ((2, 1),), 3: ((2, 1, 3), (1, 3, 2), (3, 1, 2))}.get(len(x.shape) - 1)
    return graph.layers.Permute(orders[b % len(orders)])(x) if orders else None


def repeated(graph, a, b, c):
    x = graph.of_kind("vector", a)
    return None if x is None else graph.layers.RepeatVector(2 + b % 3)(x)


def recurrent(graph, a, b, c):
    layers, x = graph.layers, graph.of_kind("sequence", a)
    if x is None or _features(x) > 120:
        return None
    kind = (layers.LSTM, layers.GRU, layers.SimpleRNN)[c % 3]
    return kind(2 + b, return_sequences=bool(a % 2), go_backwards=c > 3)(x)


def two_directions(graph, a, b, c):
    layers, x = graph.layers, graph.of_kind("sequence", a)
    if x is None or _features(x) > 120:
        return None
    kind = (layers.GRU, layers.SimpleRNN)[c % 2]
    mode = ("concat", "sum", "mul", "ave")[a % 4]
    return layers.Bidirectional(kind(2 + b, return_sequences=bool(c % 3)), merge_mode=mode)(x)


def convolution_1d(graph, a, b, c):
    x = graph.of_kind("sequence", a)
    if x is None or x.shape[1] < 2:
        return None
    padding = ("same", "valid", "causal")[c % 3]
    return graph.layers.Conv1D(2 + b, 2, padding=padding, activation=ACTIVATIONS[c])(x)


def attention(graph, a, b, c):
    x = graph.of_kind("sequence", a)
    y = graph.of_kind("sequence", b)
    if x is None or _features(x) > 120 or _features(y) > 120:
        return None
    return graph.layers.MultiHeadAttention(1 + c % 3, 1 + b % 3, value_dim=2)(x, y)


def called_again(graph, a, b, c):
    """A layer that other tensors with as many channels have gone through, or a new one."""
    x = graph.any_tensor(a)
    key = (x.shape[-1], c % 2)
    if key not in graph.shared:
        units = x.shape[-1] if c % 2 else 3
        graph.shared[key] = graph.layers.Dense(units, ACTIVATIONS[b])
    return graph.shared[key](x)


def nested(graph, a, b, c):
    """A model of two layers, which other tensors of the same shape may have gone through."""
    x, library = graph.any_tensor(a), graph.library
    key = (tuple(x.shape[1:]), "model", c % 2)
    if key not in graph.shared:
        y = inner = library.Input(key[0])
        y = graph.layers.Dense(2 + b, ACTIVATIONS[c])(y)
        y = graph.layers.Dense(x.shape[-1], "sigmoid")(y)
        if c % 2:
            y = graph.layers.Add()([inner, y])
        graph.shared[key] = library.Model(inner, y)
    return graph.shared[key](x)


def cut_apart(graph, a, b, c):
    """Operations that choose channels or places, or put them in another order."""
    x, ops = graph.any_tensor(a), getattr(graph.library, "ops", None)
    if ops is None or min(x.shape[1:]) < 2:
        return None
    axis = 1 + b % (len(x.shape) - 1)
    place = (slice(None),) * axis
    half = x.shape[axis] // 2
    kinds = (
        lambda: x[(*place, slice(1, None))],
        lambda: x[(*place, slice(None, None, 2))],
        lambda: ops.flip(x, axis=axis),
        lambda: ops.concatenate(ops.split(x, [half], axis=axis)[::-1], axis=axis),
        lambda: ops.roll(x, 1, axis=axis),
        lambda: x[(*place, slice(0, half))] * x[(*place, slice(half, 2 * half))],
    )
    return kinds[c]()


def computed(graph, a, b, c):
    """Operations with numbers, over axes, and of a tensor with itself."""
    x, ops = graph.any_tensor(a), getattr(graph.library, "ops", None)
    if ops is None:
        return None
    axis = 1 + b % (len(x.shape) - 1)
    numbers = np.linspace(-1, 2, x.shape[axis]).reshape([-1] + [1] * (len(x.shape) - 1 - axis))
    kinds = (
        lambda: x + numbers,
        lambda: x * numbers,
        lambda: ops.mean(x, axis=axis, keepdims=True) - x,
        lambda: ops.max(x, axis=axis) if len(x.shape) > 2 else ops.exp(-ops.square(x)),
        lambda: ops.where(x > 0, x, 0.3) / 2.0,
        lambda: ops.maximum(x, 1.0 - x),
    )
    return kinds[c]()


def multiplied(graph, a, b, c):
    """Products of two sequences, as attention has them."""
    x, ops = graph.of_kind("sequence", a), getattr(graph.library, "ops", None)
    if x is None or ops is None or _features(x) > 60:
        return None
    y = graph.like(x, b)
    scores = ops.matmul(x, ops.transpose(y, (0, 2, 1)))
    if c % 3 == 0:
        return ops.matmul(ops.softmax(scores, axis=-1), y)
    return scores if c % 3 == 1 else ops.einsum("bij,bik->bkj", x, y)


STEPS = {
    function.__name__: function
    for function in (
        *(activation, attention, called_again, concatenated, convolution, convolution_1d, dense),
        *(depthwise, flattened, gate, grouped_convolution, merged, nested, normalized),
        *(over_all_places, permuted, pooling, recurrent, repeated, reshaped, residual, resized),
        *(separable, softmax, transposed, two_directions, computed, cut_apart, multiplied),
    )
}


def build(library, kinds, program, outputs):
    """Return the model of a program.

    Args:
        library: `keras` or `tf_keras`.
        kinds: Of its inputs: of ``image``, ``sequence`` and ``vector``.
        program: Steps, each the name of one of `STEPS` and three whole numbers from 0 to 5.
        outputs: How many of the last tensors are outputs, as they are; one goes through a dense
            layer to two.
    """
    inputs = [library.Input(SHAPES[kind]) for kind in kinds]
    graph = Graph(library, list(inputs))
    for name, *choices in program:
        made = STEPS[name](graph, *choices)
        if made is not None:
            graph.tensors.append(made)
    last = graph.tensors[-1]
    flat = last if len(last.shape) == 2 else library.layers.Flatten()(last)
    made = graph.tensors[len(inputs) :]
    found = [library.layers.Dense(2)(flat), *made[max(len(made) - outputs, 0) :]]
    return library.Model(inputs if len(inputs) > 1 else inputs[0], found)

"""Networks whose wiring is the difficulty: shared, nested, split, joined, several ends.

Names that start with ``whole`` or ``maybe`` mean what they mean in `image_networks`.
"""


def two_inputs_two_outputs(library):
    layers = library.layers
    image, vector = library.Input((8, 8, 2)), library.Input((5,))
    x = layers.Conv2D(6, 3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="sigmoid")(x))
    y = layers.Dense(8, activation="softplus")(vector)
    both = layers.Concatenate()([x, y])
    both = layers.Dense(12, activation="relu")(both)
    first = layers.Dense(3, name="whole_first")(both)
    second = layers.Dense(2, name="whole_second")(layers.Add()([y, layers.Dense(8)(both)]))
    return library.Model([image, vector], [first, second])


def output_in_the_middle(library):
    """What is an output, too, stays whole, and so does what is added to it."""
    layers = library.layers
    inputs = library.Input((6,))
    x = layers.Dense(8, activation="relu")(inputs)
    middle = layers.Dense(6, activation="sigmoid", name="whole_middle")(x)
    x = layers.Dense(6, name="whole_added")(layers.Dense(9, activation="relu")(middle))
    x = layers.Add()([x, middle])
    return library.Model(inputs, [middle, layers.Dense(2, name="whole_head")(x)])


def added_to_the_input(library):
    layers = library.layers
    inputs = library.Input((8, 8, 4))
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(4, 3, padding="same", name="whole_back")(y)
    x = layers.Add()([inputs, y])
    x = layers.Flatten()(layers.Conv2D(6, 3, strides=2, activation="relu")(x))
    return library.Model(inputs, layers.Dense(2, name="whole_head")(x))


def shared_layer(library):
    """A layer that is called with two tensors: their channels live and die together."""
    layers = library.layers
    first, second = library.Input((6,)), library.Input((5,))
    shared = layers.Dense(8, activation="relu")
    x = shared(layers.Dense(10, activation="sigmoid")(first))
    y = shared(layers.Dense(10, activation="relu")(second))
    z = layers.Concatenate()([x, layers.Dense(4)(y), x])
    return library.Model([first, second], layers.Dense(3, name="whole_head")(z))


def shared_in_a_row(library):
    """A layer that reads what it has made: its inputs are its outputs."""
    layers = library.layers
    inputs = library.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    again = layers.Conv2D(8, 3, padding="same", activation="softplus")
    norm = layers.BatchNormalization()
    for _ in range(3):
        x = norm(again(x))
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def shared_head(library):
    """The second call of a layer is an output, so that all of its calls stay whole."""
    layers = library.layers
    inputs = library.Input((6,))
    shared = layers.Dense(5, name="whole_shared")
    x = layers.Dense(8, activation="sigmoid")(inputs)
    y = layers.Dense(8, activation="relu")(shared(x))
    return library.Model(inputs, [shared(y), layers.Dense(3, name="whole_head")(y)])


def siamese(library):
    """A model that is called twice."""
    layers = library.layers
    x = inner = library.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, activation="sigmoid")(x)
    tower = library.Model(inner, layers.GlobalAveragePooling2D()(x), name="tower")
    first, second = library.Input((8, 8, 2)), library.Input((8, 8, 2))
    x, y = tower(first), tower(second)
    distance = layers.Multiply()([layers.Subtract()([x, y]), layers.Subtract()([x, y])])
    x = layers.Concatenate()([distance, layers.Maximum()([x, y])])
    return library.Model([first, second], layers.Dense(2, name="whole_head")(x))


def nested(library):
    """A Sequential and a functional model as layers of another."""
    layers = library.layers
    body = library.Sequential(
        [
            library.Input((8, 8, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(6, 3),
        ],
        name="body",
    )
    inner = library.Input((4, 4, 6))
    y = layers.Conv2D(6, 3, padding="same", activation="softplus")(inner)
    block = library.Model(inner, layers.Add()([inner, y]), name="block")
    inputs = library.Input((8, 8, 3))
    x = layers.Activation("sigmoid")(body(inputs))
    x = layers.Flatten()(block(x))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def nested_thrice(library):
    layers = library.layers
    inner = library.Input((6,))
    deepest = library.Model(inner, layers.Dense(8, activation="relu")(inner), name="deepest")
    inner = library.Input((6,))
    x = layers.Dense(7, activation="sigmoid")(deepest(inner))
    middle = library.Model(inner, [x, layers.Dense(6, activation="relu")(x)], name="middle")
    inner = library.Input((4,))
    first, second = middle(layers.Dense(6, activation="softplus")(inner))
    third, _ = middle(second)
    outer = library.Model(
        inner, layers.Concatenate()([first, layers.Add()([first, third])]), name="outer"
    )
    inputs = library.Input((4,))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(outer(inputs)))


def nested_sequential_application(library):
    """How people put a head on a network that has been trained."""
    layers = library.layers
    x = inner = library.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(10, 3, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    base = library.Model(inner, x, name="base")
    return library.Sequential(
        [
            library.Input((12, 12, 3)),
            layers.Rescaling(0.5, offset=0.1),
            base,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(6, activation="relu"),
            layers.Dense(3, name="whole_head"),
        ]
    )


def merges(library):
    """Every layer that joins tensors."""
    layers = library.layers
    inputs = library.Input((7,))

    def unit(activation, name=None):
        return layers.Dense(8, activation=activation, name=name)(inputs)

    x = layers.Average()([unit("relu"), unit("sigmoid"), unit(None)])
    x = layers.Maximum()([x, unit("softplus")])
    x = layers.Minimum()([x, unit("tanh")])
    x = layers.Subtract()([x, unit("relu")])
    x = layers.Multiply()([x, unit("sigmoid")])
    y = layers.Concatenate()([unit("relu"), x])
    y = layers.Add()([y, layers.Dense(16)(y)])
    dot = layers.Dot(axes=1)([unit("relu", "maybe_dot"), unit("sigmoid", "maybe_dotted")])
    y = layers.Concatenate()([y, dot])
    return library.Model(inputs, layers.Dense(3, name="whole_head")(y))


def broadcast(library):
    """One channel beside many, and one number for all of them."""
    layers = library.layers
    inputs = library.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="sigmoid")(inputs)
    mask = layers.Conv2D(1, 3, activation="sigmoid", name="maybe_mask")(inputs)
    x = layers.Multiply()([x, mask])
    gate = layers.Dense(8, activation="softplus")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Add()([x, gate])
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(6, 3)(x))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def concatenated_places(library):
    """Concatenation along places joins channels one by one; along channels it sets them apart."""
    layers = library.layers
    inputs = library.Input((6, 4))
    x = layers.Dense(8, activation="relu")(inputs)
    y = layers.Dense(8, activation="sigmoid")(inputs)
    x = layers.Concatenate(axis=1)([x, y, x])
    x = layers.Conv1D(6, 3, activation="softplus")(x)
    first = layers.Concatenate()([x, layers.Conv1D(4, 1)(x), x])
    x = layers.Dense(6, activation="relu")(first)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def repeated(library):
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(8, activation="sigmoid")(inputs)
    x = layers.RepeatVector(4)(x)
    x = layers.Conv1D(6, 2, activation="relu")(x)
    x = layers.Cropping1D(1)(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def operations(library):
    """Functions of `keras.ops` whose effect on channels is known."""
    layers, ops = library.layers, library.ops
    inputs = library.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    x = ops.relu(x) + ops.sigmoid(layers.Conv2D(8, 1)(inputs))
    x = ops.multiply(x, 0.5)
    x = ops.concatenate([x, ops.tanh(layers.Conv2D(4, 1)(inputs))], axis=-1)
    x = layers.Conv2D(8, 3, activation="softplus")(x)
    x = ops.mean(x, axis=(1, 2))
    x = ops.maximum(x, layers.Dense(8)(x))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def operations_that_split(library):
    layers, ops = library.layers, library.ops
    inputs = library.Input((6, 9))
    x = layers.Dense(12, activation="sigmoid", name="maybe_split")(inputs)
    first, second, third = ops.split(x, 3, axis=-1)
    x = first * ops.sigmoid(second) - third
    x = layers.Dense(8, activation="relu", name="maybe_sliced")(x)
    x = ops.concatenate([x[:, :, 4:], x[:, ::2, :4]], axis=1) if x.shape[1] == 6 else x
    x = layers.Dense(6, activation="softplus", name="maybe_last")(x)
    x = x[:, -1]
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def operations_that_move(library):
    layers, ops = library.layers, library.ops
    inputs = library.Input((4, 4, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="sigmoid", name="maybe_moved")(inputs)
    x = ops.transpose(x, (0, 2, 1, 3))
    x = ops.reshape(x, (-1, 16, 6))
    x = layers.Dense(8, activation="relu", name="maybe_summed")(x)
    total = ops.sum(x, axis=-1, keepdims=True)
    x = ops.concatenate([x, total], axis=-1)
    x = ops.expand_dims(x, 2)
    x = ops.squeeze(layers.Dense(6, activation="softplus", name="maybe_wide")(x), 2)
    x = ops.flip(x, axis=-1)
    x = ops.max(x, axis=1)
    x = ops.where(x > 0.5, x, 0.25 * x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def operations_that_mix(library):
    """What runs over the channels: normalized, cumulated, rolled, multiplied by a matrix."""
    layers, ops = library.layers, library.ops
    inputs = library.Input((7,))
    x = layers.Dense(8, activation="softplus", name="maybe_normalized")(inputs)
    x = x / ops.sum(x, axis=-1, keepdims=True)
    x = layers.Dense(6, name="maybe_cumulated")(x)
    x = ops.cumsum(x, axis=-1)
    x = layers.Dense(6, name="maybe_rolled")(x)
    x = ops.roll(x, 2, axis=-1)
    x = layers.Dense(6, name="maybe_matrix")(x)
    x = ops.matmul(x, ops.reshape(ops.arange(24, dtype="float32"), (6, 4)) / 24)
    x = layers.Dense(5, activation="relu", name="maybe_sorted")(x)
    x = ops.sort(x, axis=-1)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))

"""Networks with one peculiar layer each: kinds of convolutions, activations, normalizations.

Names that start with ``whole`` or ``maybe`` mean what they mean in `image_networks`.
"""


def separable(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((10, 10, 3)),
            layers.SeparableConv2D(8, 3, activation="relu"),
            layers.SeparableConv2D(10, 3, padding="same", depth_multiplier=2, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("softplus"),
            layers.SpatialDropout2D(0.2),
            layers.SeparableConv2D(6, 3, dilation_rate=2, activation="sigmoid"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def depth_multiplier(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((9, 9, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=3, padding="same", activation="sigmoid"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 1, activation="relu"),
            layers.DepthwiseConv2D(3, strides=2),
            layers.Flatten(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def depthwise_first(library):
    """The channels of the first layer are those of the input, each with two of its own."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((7, 7, 3)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="maybe_first"),
            layers.Conv2D(8, 3, activation="softplus"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def grouped(library):
    layers = library.layers
    inputs = library.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, groups=2, activation="relu", name="maybe_first")(inputs)
    x = layers.Conv2D(16, 3, groups=2, padding="same", activation="softplus", name="maybe_next")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(12, 1, groups=4, activation="relu", name="maybe_last")(x)
    x = layers.Conv2D(9, 1, activation="sigmoid")(x)
    x = layers.Conv2D(12, 1, groups=3, activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def resnext(library):
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    for _ in range(2):
        y = layers.Conv2D(8, 1, use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(8, 3, padding="same", groups=4, use_bias=False)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(12, 1, use_bias=False)(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def convolutions_1d(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((24, 3)),
            layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling1D(2),
            layers.SeparableConv1D(10, 3, activation="sigmoid"),
            layers.ZeroPadding1D(2),
            layers.Conv1D(6, 3, strides=2, activation="elu"),
            layers.UpSampling1D(2),
            layers.Cropping1D(1),
            layers.Conv1DTranspose(8, 3, strides=2, padding="same", activation="softplus"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def convolutions_3d(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((6, 6, 6, 2)),
            layers.Conv3D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling3D(2),
            layers.Conv3DTranspose(8, 2, strides=2, activation="softplus"),
            layers.Conv3D(5, (3, 3, 1), dilation_rate=(2, 2, 1), activation="sigmoid"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def dilated(library):
    layers = library.layers
    inputs = library.Input((11, 11, 2))
    x = layers.Conv2D(6, 3, padding="same", dilation_rate=2, activation="sigmoid")(inputs)
    x = layers.Conv2D(8, 3, padding="same", dilation_rate=3, activation="softplus")(x)
    x = layers.Conv2D(6, 3, dilation_rate=2, activation="relu")(x)
    x = layers.Cropping2D(1)(x)
    return library.Model(inputs, layers.Conv2D(2, 3, strides=2, name="whole_head")(x))


def prelu(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same"),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2D(6, 3),
            layers.PReLU(),
            layers.Flatten(),
            layers.Dense(10),
            layers.PReLU(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def prelu_of_one_number(library):
    """One slope for all channels: it stays, whichever of them go."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same"),
            layers.PReLU(shared_axes=[1, 2, 3]),
            layers.Conv2D(6, 3),
            layers.PReLU(shared_axes=[1]),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def flatten_and_pools(library):
    """Pools of other kinds, and flattening in the middle of nothing else."""
    layers = library.layers
    inputs = library.Input((9, 9, 2))
    x = layers.Conv2D(6, 3, activation="sigmoid")(inputs)
    low = layers.Flatten()(layers.MaxPooling2D(3, strides=2, padding="same")(x))
    high = layers.GlobalMaxPooling2D()(x)
    mean = layers.Reshape((6,))(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Concatenate()([low, high, mean])
    x = layers.Dense(8, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def reshapes(library):
    """Channels that become features, and features that become channels, and back."""
    layers = library.layers
    inputs = library.Input((4, 4, 2))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    x = layers.Reshape((16, 6))(x)
    x = layers.Conv1D(8, 3, activation="sigmoid")(x)
    x = layers.Reshape((2, 7, 8))(x)
    x = layers.Permute((2, 1, 3))(x)
    x = layers.Conv2D(5, 1, activation="relu")(x)
    x = layers.Reshape((70,))(x)
    x = layers.Dense(12, activation="softplus")(x)
    x = layers.Reshape((3, 4))(x)
    x = layers.Dense(6, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def permuted(library):
    """The channels move to another axis, where a layer reads them as places."""
    layers = library.layers
    inputs = library.Input((6, 5))
    x = layers.Dense(8, activation="relu", name="maybe_moved")(inputs)
    x = layers.Permute((2, 1))(x)
    x = layers.Dense(4, activation="sigmoid")(x)
    x = layers.Permute((2, 1))(x)
    x = layers.Dense(3, activation="relu", name="maybe_last")(x)
    return library.Model(inputs, layers.Dense(2, name="whole_head")(layers.Flatten()(x)))


def normalizations(library):
    """Statistics over the channels keep them together; over places, they do not."""
    layers = library.layers
    inputs = library.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="whole_grouped")(inputs)
    x = layers.GroupNormalization(groups=4)(x)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Conv2D(6, 1, name="whole_layer")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Dense(9, activation="softplus")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def instance_normalization(library):
    """A group of each channel: no channel knows of another."""
    layers = library.layers
    inputs = library.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="maybe_instance")(inputs)
    x = layers.GroupNormalization(groups=-1)(x)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def normalized_over_places(library):
    """Statistics over an axis that is not the channels', and scales that are not theirs."""
    layers = library.layers
    inputs = library.Input((5, 4))
    x = layers.Dense(8, activation="relu", name="maybe_first")(inputs)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.Dense(6, activation="sigmoid", name="maybe_second")(x)
    x = layers.LayerNormalization(axis=1)(x)
    x = layers.Dense(7, activation="relu")(x)
    return library.Model(inputs, layers.Dense(2, name="whole_head")(layers.Flatten()(x)))


def rms_normalization(library):
    layers = library.layers
    inputs = library.Input((12,))
    x = layers.Dense(10, name="whole_first")(inputs)
    x = layers.RMSNormalization()(x)
    x = layers.Dense(8, activation="silu")(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Dense(8, activation="tanh")(x)
    x = layers.BatchNormalization(center=False)(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def softmax_inside(library):
    """A softmax over the channels in the middle, as attention over experts has it."""
    layers = library.layers
    inputs = library.Input((10,))
    x = layers.Dense(12, activation="relu")(inputs)
    gate = layers.Dense(6, activation="softmax", name="whole_gate")(x)
    value = layers.Dense(6, name="maybe_value")(x)
    x = layers.Multiply()([gate, value])
    other = layers.Softmax()(layers.Dense(4, name="whole_other")(x))
    x = layers.Concatenate()([x, other])
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def unit_normalization(library):
    layers = library.layers
    inputs = library.Input((10,))
    x = layers.Dense(12, activation="relu")(inputs)
    x = layers.Dense(6, name="maybe_unit")(x)
    x = layers.UnitNormalization()(x)
    x = layers.Dense(7, activation="sigmoid")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def pixel_shuffle(library):
    """`Dense` to features whose order a reshape splits: channels first, then places."""
    layers = library.layers
    inputs = library.Input((6,))
    x = layers.Dense(8 * 4, activation="sigmoid", name="maybe_features")(inputs)
    x = layers.Reshape((8, 4))(x)
    x = layers.Permute((2, 1))(x)
    x = layers.Conv1D(5, 2, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))

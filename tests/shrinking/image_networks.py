"""Small versions of the well-known networks for images.

A layer whose name starts with ``whole`` makes channels that must be kept together: they are the
model's outputs, are added to its inputs, or are normalized with each other. A name that starts with
``maybe`` leaves it open. The outputs of all other layers with a kernel can be cut.
"""


def mlp(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((10,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(20, activation="sigmoid"),
            layers.Dropout(0.3),
            layers.Dense(16, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("softplus"),
            layers.Dense(4, name="whole_head"),
        ]
    )


def lenet5(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((20, 20, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(24, activation="tanh"),
            layers.Dense(16, activation="sigmoid"),
            layers.Dense(10, name="whole_head"),
        ]
    )


def vgg(library):
    layers = library.layers
    x = inputs = library.Input((16, 16, 3))
    for filters in (8, 8, 16, 16):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=filters == 8)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        if x.shape[1] > 4:
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(24, activation="relu")(x)
    return library.Model(inputs, layers.Dense(5, name="whole_head")(x))


def resnet20(library, width=8):
    """After He et al. (2016a): activation after the addition, projections where the width grows."""
    layers = library.layers

    def conv_bn(x, filters, size, strides=1):
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = library.Input((16, 16, 3))
    x = layers.ReLU()(conv_bn(inputs, width, 3))
    for stage in range(3):
        for block in range(3):
            filters, strides = width * 2**stage, 2 if stage and not block else 1
            y = layers.ReLU()(conv_bn(x, filters, 3, strides))
            y = conv_bn(y, filters, 3)
            x = x if strides == 1 else conv_bn(x, filters, 1, strides)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(5, name="whole_head")(x))


def resnet_v2(library):
    """After He et al. (2016b): normalization and activation before the convolutions."""
    layers = library.layers
    inputs = library.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    for filters, strides in ((8, 1), (16, 2), (16, 1)):
        before = layers.Activation("softplus")(layers.BatchNormalization()(x))
        if filters != x.shape[-1]:
            x = layers.Conv2D(filters, 1, strides)(before)
        y = layers.Conv2D(6, 1, strides, use_bias=False)(before)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.ZeroPadding2D(1)(y)
        y = layers.Conv2D(filters, 3)(y)
        x = layers.Add()([x, y])
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.GlobalMaxPooling2D()(x)
    return library.Model(inputs, layers.Dense(5, name="whole_head")(x))


def densenet(library):
    layers = library.layers
    inputs = library.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        for _ in range(3):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            y = layers.Conv2D(8, 1, use_bias=False)(y)
            y = layers.ReLU()(layers.BatchNormalization()(y))
            y = layers.Conv2D(4, 3, padding="same", use_bias=False)(y)
            x = layers.Concatenate()([x, y])
        x = layers.Activation("sigmoid")(layers.BatchNormalization()(x))
        x = layers.Conv2D(10, 1)(x)
        x = layers.AveragePooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(5, name="whole_head")(x))


def _unet(library, up):
    layers = library.layers

    def twice(x, filters):
        for activation in ("relu", "softplus"):
            x = layers.Conv2D(filters, 3, padding="same", activation=activation)(x)
        return x

    inputs = library.Input((8, 8, 2))
    first = twice(inputs, 6)
    second = twice(layers.MaxPooling2D()(first), 8)
    x = twice(layers.MaxPooling2D()(second), 10)
    for skip, filters in ((second, 8), (first, 6)):
        x = twice(layers.Concatenate()([skip, up(x, filters)]), filters)
    return library.Model(inputs, layers.Conv2D(2, 1, name="whole_head")(x))


def unet_transposed(library):
    def up(x, filters):
        return library.layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)

    return _unet(library, up)


def unet_upsampling(library):
    def up(x, filters):
        x = library.layers.UpSampling2D(interpolation="bilinear" if filters == 8 else "nearest")(x)
        return library.layers.Conv2D(filters, 2, padding="same", activation="relu")(x)

    return _unet(library, up)


def inception(library):
    layers = library.layers
    inputs = library.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    for _ in range(2):
        narrow = layers.Conv2D(6, 1, activation="relu")(x)
        wide = layers.Conv2D(4, 1, activation="sigmoid")(x)
        wide = layers.Conv2D(6, 3, padding="same", activation="relu")(wide)
        factored = layers.Conv2D(4, (1, 5), padding="same")(x)
        factored = layers.Conv2D(6, (5, 1), padding="same", activation="tanh")(factored)
        pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
        pooled = layers.Conv2D(4, 1, activation="relu")(pooled)
        x = layers.Concatenate()([narrow, wide, factored, pooled])
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(4, name="whole_head")(x))


def autoencoder(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((12, 12, 2)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="softplus"),
            layers.Conv2DTranspose(10, 3, strides=2, padding="same", activation="sigmoid"),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(2, 3, padding="same", name="whole_head"),
        ]
    )


def generator(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((7,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(3 * 3 * 8, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((3, 3, 8)),
            layers.Conv2DTranspose(6, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(1, 5, strides=2, padding="same", name="whole_head"),
        ]
    )


def mobile(library):
    """Inverted residuals with squeeze-and-excite, as in MobileNetV3."""
    layers = library.layers
    inputs = library.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
    for kept in (True, False):
        y = layers.Conv2D(16, 1, use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
        y = layers.Activation("sigmoid")(layers.BatchNormalization()(y))
        gate = layers.GlobalAveragePooling2D()(y)
        gate = layers.Reshape((1, 1, 16))(gate)
        gate = layers.Conv2D(4, 1, activation="relu")(gate)
        gate = layers.Conv2D(16, 1, activation="sigmoid")(gate)
        y = layers.Multiply()([y, gate])
        y = layers.BatchNormalization()(layers.Conv2D(8 if kept else 12, 1, use_bias=False)(y))
        x = layers.Add()([x, y]) if kept else y
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(5, 1, name="whole_head")(x)
    return library.Model(inputs, layers.Flatten()(x))


def squeeze_and_excite(library):
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, activation="softplus")(inputs)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(3, activation="relu")(gate)
    gate = layers.Dense(12, activation="sigmoid")(gate)
    gate = layers.Reshape((1, 1, 12))(gate)
    x = layers.Multiply()([gate, x])
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return library.Model(inputs, layers.Dense(4, name="whole_head")(layers.Flatten()(x)))


def convnext(library):
    """Depthwise convolutions, normalization of each place, layer scale written by hand."""
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    x = layers.Conv2D(8, 2, strides=2, name="whole_stem")(inputs)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    for block in range(2):
        y = layers.DepthwiseConv2D(3, padding="same", name=f"whole_depthwise_{block}")(x)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Dense(24, activation="gelu")(y)
        y = layers.Dense(8, name=f"whole_back_{block}")(y)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization()(x)
    return library.Model(inputs, layers.Dense(4, name="whole_head")(x))


def mobilenet_v2_application(library):
    return library.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=5, classifier_activation=None
    )


def efficientnet_b0_application(library):
    return library.applications.EfficientNetB0(
        weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None
    )


def convnext_application(library):
    return library.applications.ConvNeXtTiny(
        weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None
    )

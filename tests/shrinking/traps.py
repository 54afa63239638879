"""Networks in which something that is easily overlooked makes a cut model wrong.

Each has a layer, an option or a constant that sees the channels as a whole, or counts them, or
holds a number for each of them where no variable shows it. Names that start with ``whole`` or
``maybe`` mean what they mean in `image_networks`.
"""

import numpy as np


def constants_for_each_channel(library):
    """Layers whose configuration has a number for each channel."""
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(4, activation="sigmoid", name="maybe_rescaled")(inputs)
    x = layers.Rescaling([0.5, 1.5, 2.0, -1.0], offset=[0.1, 0.2, 0.3, 0.4])(x)
    x = layers.Dense(4, activation="relu", name="maybe_normalized")(x)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 0.7])(x)
    x = layers.Dense(6, activation="tanh")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def activations_over_channels(library):
    layers = library.layers
    inputs = library.Input((5, 6))
    x = layers.Dense(6, activation="log_softmax", name="whole_log")(inputs)
    x = layers.Conv1D(6, 2, activation="softmax", name="whole_soft")(x)
    x = layers.Softmax(axis=1)(layers.Dense(5, name="maybe_places")(x))
    x = layers.Dense(7, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def custom_activation(library):
    """A function that nobody knows: here it subtracts the mean of the channels."""
    import tensorflow as tf

    @library.saving.register_keras_serializable("traps")
    def centred(x):
        return x - tf.reduce_mean(x, axis=-1, keepdims=True)

    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(8, activation="sigmoid")(inputs)
    x = layers.Dense(6, activation=centred, name="maybe_custom")(x)
    x = layers.Dense(6, name="maybe_before")(x)
    x = layers.Activation(centred)(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def flattened_with_channels_first(library):
    """`Flatten` that puts the last axis first, so that places are ordered within channels."""
    layers = library.layers
    inputs = library.Input((5, 5, 2))
    x = layers.Conv2D(4, 3, activation="sigmoid", name="maybe_flattened")(inputs)
    x = layers.Flatten(data_format="channels_first")(x)
    x = layers.Dense(8, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def masked_by_values(library):
    """`Masking` skips the steps whose channels are all zero: it reads them all."""
    layers = library.layers
    inputs = library.Input((6, 2))
    x = layers.Dense(3, activation="relu", name="maybe_masked")(inputs)
    x = layers.Masking()(x)
    x = layers.LSTM(6, return_sequences=True)(x)
    x = layers.Dense(3, activation="relu", name="maybe_half")(x)
    x = layers.Masking(mask_value=0.0)(x)
    x = layers.GRU(5)(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def channel_means(library):
    """Pools over the axis that the channels are on."""
    layers = library.layers
    inputs = library.Input((4, 6))
    x = layers.Dense(8, activation="sigmoid", name="maybe_pooled")(inputs)
    x = layers.Permute((2, 1))(x)
    x = layers.AveragePooling1D(2)(x)
    x = layers.Conv1D(6, 2, activation="relu", name="maybe_averaged")(x)
    x = layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(x))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def steps_of_time_are_channels(library):
    """Recurrent layers and attention that move over the axis that the channels are on."""
    layers = library.layers
    inputs = library.Input((4, 3))
    x = layers.Dense(6, activation="sigmoid", name="maybe_steps")(inputs)
    x = layers.LSTM(5, return_sequences=True)(layers.Permute((2, 1))(x))
    x = layers.Dense(7, activation="relu", name="maybe_places")(x)
    x = layers.Permute((2, 1))(x)
    x = layers.MultiHeadAttention(2, 3, name="maybe_attention")(x, x)
    x = layers.Dense(5, activation="softplus", name="maybe_more_steps")(x)
    x = layers.Permute((2, 1))(x)
    x = layers.Bidirectional(layers.GRU(4))(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def pools_of_channels_first(library):
    """A pool that takes the last axis for a place; `channels_first` needs no device for it."""
    layers = library.layers
    inputs = library.Input((6, 5))
    x = layers.Dense(8, activation="relu", name="maybe_pooled")(inputs)
    x = layers.GlobalAveragePooling1D(data_format="channels_first")(x)
    x = layers.Dense(7, activation="sigmoid")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def attention_scores_are_outputs(library):
    layers = library.layers
    inputs = library.Input((4, 6))
    x = layers.Dense(8, activation="relu")(inputs)
    attention = layers.MultiHeadAttention(3, 4, name="maybe_attention")
    x, scores = attention(x, x, return_attention_scores=True)
    x = layers.Dense(3, name="whole_head")(layers.Flatten()(x))
    return library.Model(inputs, [x, scores])


def states_are_outputs(library):
    layers = library.layers
    inputs = library.Input((4, 6))
    x = layers.Dense(8, activation="sigmoid")(inputs)
    x, _, carried = layers.LSTM(5, return_state=True, name="maybe_recurrent")(x)
    x = layers.Dense(3, name="whole_head")(x)
    return library.Model(inputs, [x, carried])


def state_from_a_dense_layer(library):
    layers = library.layers
    inputs, start = library.Input((4, 3)), library.Input((5,))
    hidden = layers.Dense(8, activation="sigmoid", name="maybe_hidden")(start)
    x = layers.GRU(8, return_sequences=True, name="maybe_recurrent")(inputs, initial_state=hidden)
    x = layers.SimpleRNN(5)(x)
    return library.Model([inputs, start], layers.Dense(3, name="whole_head")(x))


def one_call_is_constant(library):
    """Two layers of which one may fall silent, read by the same layer."""
    layers = library.layers
    first, second = library.Input((5,)), library.Input((4,))
    shared = layers.Dense(7, activation="softplus")
    x = shared(layers.Dense(6, activation="sigmoid")(first))
    y = shared(layers.Dense(6, activation="softplus")(second))
    x = layers.Multiply()([x, y])
    return library.Model([first, second], layers.Dense(3, name="whole_head")(x))


def with_itself(library):
    """A tensor added to, multiplied with, subtracted from and set beside itself."""
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(6, activation="sigmoid")(inputs)
    x = layers.Concatenate()([layers.Add()([x, x]), layers.Multiply()([x, x])])
    x = layers.Dense(5, activation="softplus")(x)
    x = layers.Concatenate()([x, layers.Subtract()([x, x]), x])
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def outputs_of_all_kinds(library):
    """An input that is an output, an output that is there twice, and a constant sum."""
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(6, activation="sigmoid")(inputs)
    x = layers.Dense(3, name="whole_head")(x)
    scaled = layers.Rescaling(2.0)(inputs)
    return library.Model(inputs, [x, scaled, x])


def dictionaries(library):
    layers = library.layers
    first = library.Input((5,), name="first")
    second = library.Input((4,), name="second")
    x = layers.Dense(8, activation="sigmoid")(first)
    x = layers.Add()([x, layers.Dense(8, activation="relu")(second)])
    outputs = {
        "one": layers.Dense(3, name="whole_one")(x),
        "two": layers.Dense(2, name="whole_two")(layers.Dense(6, activation="tanh")(x)),
    }
    return library.Model({"first": first, "second": second}, outputs)


def sizes_are_open(library):
    layers = library.layers
    inputs = library.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="sigmoid")(inputs)
    x = layers.Conv2DTranspose(6, 3, strides=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Reshape((-1, 6))(x)
    x = layers.Dense(7, activation="softplus")(x)
    x = layers.GlobalMaxPooling1D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def wrapped_in_spectral_normalization(library):
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(8, activation="sigmoid", name="maybe_before")(inputs)
    x = layers.SpectralNormalization(layers.Dense(6, activation="relu", name="maybe_inside"))(x)
    x = layers.Dense(5, activation="softplus")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def low_rank_adapters(library):
    """A kernel that is a sum of a variable and of the product of two others."""
    layers = library.layers
    inputs = library.Input((6,))
    x = layers.Dense(8, activation="sigmoid", name="maybe_before")(inputs)
    adapted = layers.Dense(7, activation="relu", name="maybe_adapted")
    x = layers.Dense(5, activation="softplus")(adapted(x))
    model = library.Model(inputs, layers.Dense(3, name="whole_head")(x))
    adapted.enable_lora(2)
    return model


def tied_embeddings(library):
    """The words that come in and those that go out have one matrix."""
    layers = library.layers
    inputs = library.Input((5,), dtype="int32")
    words = layers.ReversibleEmbedding(7, 8, name="maybe_words")
    x = words(inputs)
    x = layers.Dense(8, name="maybe_back")(layers.Dense(10, activation="gelu")(x))
    return library.Model(inputs, words(x, reverse=True))


def lambda_layer(library):
    """Code that nobody can read: it stays as it is, and so does what it touches."""
    layers = library.layers
    inputs = library.Input((5,))
    x = layers.Dense(8, activation="sigmoid", name="maybe_before")(inputs)
    x = layers.Lambda(lambda x: x[:, ::-1] * 2.0, output_shape=(8,))(x)
    x = layers.Dense(6, activation="softplus")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def regularized(library):
    layers, regularizers = library.layers, library.regularizers
    inputs = library.Input((5,))
    x = layers.Dense(
        8,
        activation="sigmoid",
        kernel_regularizer=regularizers.L2(0.1),
        activity_regularizer=regularizers.L1(0.1),
        kernel_constraint=library.constraints.MaxNorm(2.0),
    )(inputs)
    x = layers.GaussianNoise(0.1)(layers.ActivityRegularization(0.1)(x))
    x = layers.Dense(6, activation="relu", bias_initializer="ones")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def constants_in_the_graph(library):
    """Arrays among the arguments of operations: a number for each channel."""
    layers, ops = library.layers, library.ops
    inputs = library.Input((5,))
    x = layers.Dense(6, activation="sigmoid", name="maybe_scaled")(inputs)
    x = x * np.linspace(0.5, 2, 6, dtype="float32")
    x = layers.Dense(6, activation="relu", name="maybe_shifted")(x)
    x = ops.add(ops.ones((6,)) * 0.3, x) + np.float32(0.1)
    x = layers.Dense(6, activation="relu", name="maybe_taken")(x)
    x = ops.take(x, np.array([3, 0, 0, 5, 1]), axis=-1)
    x = layers.Dense(6, activation="sigmoid", name="maybe_powered")(x)
    x = ops.power(2.0, x) - ops.exp(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def padded_with_numbers(library):
    """Padding with something else than zero, along places and along channels."""
    layers, ops = library.layers, library.ops
    inputs = library.Input((5, 4))
    x = layers.Dense(6, activation="sigmoid", name="maybe_padded")(inputs)
    x = ops.pad(x, ((0, 0), (1, 1), (0, 0)), constant_values=0.7)
    x = layers.Conv1D(5, 3, activation="softplus", name="maybe_wide")(x)
    x = ops.pad(x, ((0, 0), (0, 0), (2, 1)))
    x = layers.Conv1D(6, 2, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def gated_linear_units(library):
    """Halves of the channels that are multiplied with each other."""
    layers, ops = library.layers, library.ops
    inputs = library.Input((5,))
    x = layers.Dense(12, name="maybe_halves")(inputs)
    x = ops.glu(x, axis=-1)
    x = layers.Dense(10, activation="sigmoid", name="maybe_swapped")(x)
    first, second = ops.split(x, [4], axis=-1)
    x = ops.concatenate([second, first], axis=-1)
    x = layers.Dense(6, activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def stateful(library):
    layers = library.layers
    inputs = library.Input((5, 3), batch_size=4)
    x = layers.LSTM(6, stateful=True, return_sequences=True, name="maybe_recurrent")(inputs)
    x = layers.Dense(5, activation="sigmoid")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))

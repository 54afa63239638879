"""Small recurrent networks and transformers.

Names that start with ``whole`` or ``maybe`` mean what they mean in `image_networks`.
"""

WORDS = 7


def lstm_stack(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((6, 4)),
            layers.LSTM(10, return_sequences=True),
            layers.Dropout(0.2),
            layers.LSTM(8, return_sequences=True, go_backwards=True),
            layers.LSTM(6, activation="sigmoid"),
            layers.Dense(3, name="whole_head"),
        ]
    )


def gru_stack(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((6,), dtype="int32"),
            layers.Embedding(WORDS, 8),
            layers.GRU(10, return_sequences=True),
            layers.GRU(8, return_sequences=True, reset_after=False, use_bias=False),
            layers.GRU(6),
            layers.Dense(3, name="whole_head"),
        ]
    )


def simple_rnn(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((5, 3)),
            layers.Masking(),
            layers.SimpleRNN(8, return_sequences=True),
            layers.SimpleRNN(6, activation="relu", use_bias=False),
            layers.Dense(3, name="whole_head"),
        ]
    )


def bidirectional(library):
    """Two directions side by side: one layer after the other reads two of each."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((6,), dtype="int32"),
            layers.Embedding(WORDS, 8, mask_zero=True),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
            layers.Bidirectional(layers.GRU(5)),
            layers.Dense(8, activation="sigmoid"),
            layers.Dense(3, name="whole_head"),
        ]
    )


def bidirectional_sum(library):
    """Two directions that are added or multiplied: their units live and die together."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(8, return_sequences=True), merge_mode="sum"),
            layers.Bidirectional(layers.SimpleRNN(6, return_sequences=True), merge_mode="mul"),
            layers.Bidirectional(layers.GRU(6), merge_mode="ave"),
            layers.Dense(3, name="whole_head"),
        ]
    )


def convolution_lstm(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((4, 6, 6, 2)),
            layers.ConvLSTM2D(6, 3, padding="same", name="maybe_recurrent"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="whole_head"),
        ]
    )


def recurrent_cells(library):
    layers = library.layers
    inputs = library.Input((5, 3))
    x = layers.Dense(9, activation="relu")(inputs)
    x = layers.Dense(8, activation="sigmoid", name="maybe_read")(x)
    cells = [layers.LSTMCell(6, name="maybe_cell_0"), layers.GRUCell(5, name="maybe_cell_1")]
    x = layers.RNN(cells, name="maybe_stacked")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def sequence_to_sequence(library):
    """An encoder whose states are where the decoder starts."""
    layers = library.layers
    source = library.Input((5,), dtype="int32")
    target = library.Input((4,), dtype="int32")
    x = layers.Embedding(WORDS, 6)(source)
    _, hidden, carried = layers.LSTM(8, return_state=True, name="maybe_encoder")(x)
    x = layers.Embedding(WORDS, 6)(target)
    x, _, _ = layers.LSTM(8, return_sequences=True, return_state=True, name="maybe_decoder")(
        x, initial_state=[hidden, carried]
    )
    return library.Model([source, target], layers.Dense(WORDS, name="whole_head")(x))


def time_distributed(library):
    layers = library.layers
    inputs = library.Input((4, 8, 8, 2))
    x = layers.TimeDistributed(layers.Conv2D(6, 3, activation="relu", name="maybe_conv"))(inputs)
    x = layers.TimeDistributed(layers.BatchNormalization())(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.TimeDistributed(layers.Dense(10, activation="sigmoid", name="maybe_dense"))(x)
    x = layers.LSTM(6)(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def einsum_dense(library):
    layers = library.layers
    inputs = library.Input((5, 6))
    x = layers.EinsumDense("abc,cd->abd", (5, 8), bias_axes="d", activation="relu")(inputs)
    x = layers.EinsumDense(
        "abc,cde->abde", (5, 4, 3), bias_axes="de", activation="sigmoid", name="maybe_split"
    )(x)
    x = layers.EinsumDense("abde,dec->abc", (5, 9), bias_axes="c", activation="softplus")(x)
    x = layers.EinsumDense("abc,bce->ae", (7,), bias_axes="e", activation="relu")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def _embedded(library, tokens, width):
    layers = library.layers
    return layers.Embedding(WORDS, width, name=f"whole_embedding_{width}")(tokens)


def transformer_encoder(library):
    """Normalization after each addition: the stream keeps its width, the heads can go."""
    layers = library.layers
    inputs = library.Input((6,), dtype="int32")
    x = _embedded(library, inputs, 12)
    for block in range(2):
        y = layers.MultiHeadAttention(4, 3, name=f"maybe_attention_{block}")(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
        y = layers.Dense(20, activation="gelu")(x)
        y = layers.Dense(12, name=f"whole_back_{block}")(y)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling1D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def transformer_decoder(library):
    """Masked attention, attention to another sequence, normalization before each part."""
    layers = library.layers
    target = library.Input((5,), dtype="int32")
    memory = library.Input((4, 6))
    read = layers.Dense(10, activation="sigmoid")(memory)
    x = _embedded(library, target, 8)
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(2, 4, value_dim=3, name="maybe_attention")(
        y, y, use_causal_mask=True
    )
    x = layers.Add()([x, y])
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(4, 2, use_bias=False, name="maybe_cross_attention")(y, read)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(16, activation="relu")(y)
    y = layers.Dense(8, name="whole_back")(y)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    return library.Model([target, memory], layers.Dense(WORDS, name="whole_head")(x))


def attention_without_norms(library):
    """Nothing keeps the width of the stream: it can be cut, through the attention, too."""
    layers = library.layers
    inputs = library.Input((5, 6))
    x = layers.Dense(12, activation="relu")(inputs)
    y = layers.MultiHeadAttention(3, 4, output_shape=10, name="maybe_attention")(x, x)
    y = layers.Dense(12)(layers.Activation("sigmoid")(y))
    x = layers.Add()([x, y])
    x = layers.Flatten()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def attention_over_places(library):
    layers = library.layers
    inputs = library.Input((4, 3, 6))
    x = layers.Dense(8, activation="relu")(inputs)
    x = layers.MultiHeadAttention(2, 3, attention_axes=(1, 2), name="maybe_attention")(x, x)
    x = layers.Dense(6, activation="softplus")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def grouped_query_attention(library):
    layers = library.layers
    inputs = library.Input((6, 8))
    x = layers.Dense(12, activation="relu")(inputs)
    y = layers.GroupQueryAttention(
        head_dim=3, num_query_heads=4, num_key_value_heads=2, name="maybe_attention"
    )(x, x)
    x = layers.Add()([x, y])
    x = layers.RMSNormalization(name="rms")(layers.Dense(10, name="whole_dense")(x))
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def additive_attention(library):
    """The layers `Attention` and `AdditiveAttention`, which have no kernels or scales alone."""
    layers = library.layers
    inputs = library.Input((5, 6))
    query = layers.Dense(8, name="maybe_query")(inputs)
    value = layers.Dense(8, activation="relu", name="maybe_value")(inputs)
    dot = layers.Attention(name="maybe_dot")([query, value])
    added = layers.AdditiveAttention(name="maybe_added")([query, value])
    x = layers.Concatenate()([dot, added])
    x = layers.Dense(6, activation="sigmoid")(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(layers.Flatten()(x)))


def transformer_of_operations(library):
    """Attention written with `keras.ops`, as people write it."""
    layers, ops = library.layers, library.ops
    width, heads, places = 12, 3, 5
    inputs = library.Input((places,), dtype="int32")
    x = _embedded(library, inputs, width)
    y = layers.LayerNormalization()(x)
    parts = []
    for name in ("maybe_query", "maybe_key", "maybe_value"):
        part = layers.Dense(width, name=name)(y)
        part = ops.reshape(part, (-1, places, heads, width // heads))
        parts.append(ops.transpose(part, (0, 2, 1, 3)))
    query, key, value = parts
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / 2.0
    y = ops.matmul(ops.softmax(scores, axis=-1), value)
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, places, width))
    x = x + layers.Dense(width, name="whole_back_0")(y)
    y = layers.LayerNormalization()(x)
    y = layers.Dense(width, name="whole_back_1")(ops.gelu(layers.Dense(20)(y)))
    x = ops.mean(x + y, axis=1)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))


def mixer(library):
    """Dense layers over the places, between permutations."""
    layers = library.layers
    inputs = library.Input((6, 4))
    x = layers.Dense(8, name="maybe_stem")(inputs)
    y = layers.Permute((2, 1))(x)
    y = layers.Dense(10, activation="gelu", name="maybe_wide")(y)
    y = layers.Dense(6, name="whole_places")(y)
    x = layers.Add()([x, layers.Permute((2, 1))(y)])
    y = layers.Dense(16, activation="sigmoid")(x)
    x = layers.Add()([x, layers.Dense(8, name="maybe_back")(y)])
    x = layers.GlobalAveragePooling1D()(x)
    return library.Model(inputs, layers.Dense(3, name="whole_head")(x))

"""How fast small text models learn, by what their embeddings start with.

    python -m tests.benchmarks.embeddings [--seeds 4]

Everything else starts as `kerasinit.recommend` says. Printed is the mean training loss of the last
epoch over the seeds, and what is recommended.
"""

import argparse

import keras
import numpy as np

import kerasinit

WORDS, LENGTH = 200, 24
STARTS = {
    "layer's own": "own",
    "N(0, 1)": kerasinit.RandomNormal(stddev=1.0),
    "rows of 1": None,  # depends on the width
    "N(0, 0.02^2)": kerasinit.RandomNormal(stddev=0.02),
    "recommended": "recommended",
}


def sentences(number, seed):
    """Return sentences of words that are for or against something, some of them negated."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, WORDS, (number, LENGTH))
    feeling = np.where(np.arange(WORDS) < 60, np.random.default_rng(0).normal(size=WORDS), 0)
    negated = np.roll(words < 10, 1, axis=1)
    score = (feeling[words] * np.where(negated, -1, 1)).sum(1)
    return words, (score > 0).astype("float32")[:, None]


def chains(number, seed):
    """Return sequences in which the last two words tell much of the next."""
    rng, table = np.random.default_rng(seed), np.random.default_rng(0).integers(0, 32, (32, 4))
    words = rng.integers(0, 32, (number, LENGTH + 1))
    for place in range(2, LENGTH + 1):
        before = (words[:, place - 1] + 3 * (words[:, place - 2] % 2)) % 32
        words[:, place] = table[before, rng.integers(0, 4, number)]
    return words[:, :-1], words[:, 1:]


def _classifier(body, width=32):
    inputs = keras.Input((LENGTH,), dtype="int32")
    hidden = body(keras.layers.Embedding(WORDS, width)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


def averaged():
    def body(x):
        x = keras.layers.GlobalAveragePooling1D()(x)
        return keras.layers.Dense(32, "relu")(x)

    return _classifier(body)


def averaged_tanh():
    def body(x):
        x = keras.layers.Dense(32, "tanh")(x)
        return keras.layers.Dense(32, "tanh")(keras.layers.GlobalAveragePooling1D()(x))

    return _classifier(body)


def averaged_sigmoid():
    def body(x):
        x = keras.layers.Dense(32, "sigmoid")(x)
        return keras.layers.Dense(32, "sigmoid")(keras.layers.GlobalAveragePooling1D()(x))

    return _classifier(body)


def convolved():
    def body(x):
        x = keras.layers.Conv1D(32, 3, activation="relu")(x)
        return keras.layers.Dense(32, "relu")(keras.layers.GlobalMaxPooling1D()(x))

    return _classifier(body)


def recurrent():
    return _classifier(lambda x: keras.layers.GRU(32)(x))


def flattened():
    return _classifier(lambda x: keras.layers.Dense(32, "relu")(keras.layers.Flatten()(x)))


def attending():
    def body(x):
        places = keras.ops.arange(LENGTH)
        x = x + keras.layers.Embedding(LENGTH, 32)(places)
        branch = keras.layers.LayerNormalization()(x)
        x = x + keras.layers.MultiHeadAttention(2, 16)(branch, branch)
        branch = keras.layers.LayerNormalization()(x)
        x = x + keras.layers.Dense(32)(keras.layers.Dense(64, "relu")(branch))
        return keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))

    return _classifier(body)


def next_word_recurrent():
    inputs = keras.Input((LENGTH,), dtype="int32")
    hidden = keras.layers.Embedding(32, 32)(inputs)
    hidden = keras.layers.LSTM(48, return_sequences=True)(hidden)
    return keras.Model(inputs, keras.layers.Dense(32)(hidden))


def next_word_attending(last=True):
    inputs = keras.Input((LENGTH,), dtype="int32")
    places = keras.layers.Embedding(LENGTH, 32)(keras.ops.arange(LENGTH))
    hidden = keras.layers.Embedding(32, 32)(inputs) + places
    for _ in range(2):
        branch = keras.layers.LayerNormalization()(hidden)
        hidden = hidden + keras.layers.MultiHeadAttention(2, 16)(
            branch, branch, use_causal_mask=True
        )
        branch = keras.layers.LayerNormalization()(hidden)
        hidden = hidden + keras.layers.Dense(32)(keras.layers.Dense(64, "gelu")(branch))
    return keras.Model(inputs, keras.layers.Dense(32)(keras.layers.LayerNormalization()(hidden)))


def next_word_post_norm():
    inputs = keras.Input((LENGTH,), dtype="int32")
    places = keras.layers.Embedding(LENGTH, 32)(keras.ops.arange(LENGTH))
    hidden = keras.layers.Embedding(32, 32)(inputs) + places
    for _ in range(2):
        attended = keras.layers.MultiHeadAttention(2, 16)(hidden, hidden, use_causal_mask=True)
        hidden = keras.layers.LayerNormalization()(hidden + attended)
        branch = keras.layers.Dense(32)(keras.layers.Dense(64, "gelu")(hidden))
        hidden = keras.layers.LayerNormalization()(hidden + branch)
    return keras.Model(inputs, keras.layers.Dense(32)(hidden))


CLASSIFIERS = (
    averaged,
    averaged_tanh,
    averaged_sigmoid,
    convolved,
    recurrent,
    flattened,
    attending,
)
NEXT_WORD = (next_word_recurrent, next_word_attending, next_word_post_norm)


def final_loss(make, start, seed):
    """Return the training loss of the last epoch."""
    keras.utils.set_random_seed(seed)
    model = make()
    recommended = kerasinit.recommend(model)
    if start == "recommended":
        rules = recommended
    else:
        width = model.layers[1].output_dim
        made = start or kerasinit.RandomNormal(stddev=width**-0.5)
        rules = [kerasinit.Rule(made, role="embeddings"), *recommended]
    kerasinit.reinitialize(model, rules, seed=seed)
    next_word = make in NEXT_WORD
    x, y = (chains if next_word else sentences)(1024, seed)
    loss = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if next_word
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    model.compile(keras.optimizers.Adam(1e-3), loss, steps_per_execution=32)
    epochs = 12 if next_word else 10
    return model.fit(x, y, batch_size=32, epochs=epochs, verbose=0).history["loss"][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args()
    print("network".ljust(22), *(name.rjust(13) for name in STARTS), " recommended")
    for make in (*CLASSIFIERS, *NEXT_WORD):
        means = [
            np.mean([final_loss(make, start, seed) for seed in range(given.seeds)])
            for start in STARTS.values()
        ]
        recommended = kerasinit.recommend(make())
        rows = {str(row.initializer) for row in recommended.rows if row.role == "embeddings"}
        print(make.__name__.ljust(22), *(f"{mean:13.3f}" for mean in means), "", *rows, flush=True)


if __name__ == "__main__":
    main()

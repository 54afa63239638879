"""Every layer class of both Kerases in a small classifier, found by introspection.

A class is made with what its constructor needs, by the arguments' names, and put between an
input of the first shape that it takes and a dense output. A class that cannot stand in a
classifier of arrays is named in `NOT_IN_A_CLASSIFIER`, with the reason; one that is new in
Keras and fits none of this fails the walk, so that somebody looks at it.
"""

import inspect

import keras
import numpy as np
import tensorflow as tf

from kerasinit.lottery import Dataset
from tests.kerases import KERASES

NOT_IN_A_CLASSIFIER = {
    "AbstractRNNCell": "abstract",
    "Layer": "abstract",
    "Wrapper": "passes no arguments on to what it wraps, its subclasses do",
    "DenseFeatures": "takes the feature columns of TensorFlow 1",
    "FlaxLayer": "needs JAX",
    "InputLayer": "every network begins with one",
    "JaxLayer": "needs JAX",
    "TorchModuleWrapper": "needs PyTorch",
    "TFSMLayer": "wraps a SavedModel, which has no variables that Keras trains",
    "StringLookup": "takes text",
    "TextVectorization": "takes text",
    "MaxNumBoundingBoxes": "takes bounding boxes",
    "CutMix": "takes labels beside the images",
    "MixUp": "takes labels beside the images",
}

# What this version of a Keras cannot make at all.
BROKEN = {
    ("keras", "RandomCrop"): "crops while it trains alone, so that a dense layer does not fit",
    ("tf_keras", "SpectralNormalization"): "refuses its own InputSpec, as it takes Keras 3's",
}

_SHAPES = ((12,), (12, 12, 3), (6, 4), (3, 8, 8, 2), (2, 4, 4, 4, 2), (1,), (2000, 1), (2000,))
_WHOLE_NUMBERS = {
    "CategoryEncoding",
    "Embedding",
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "ReversibleEmbedding",
}


def names(kerase):
    """Return the names of the layer classes of a Keras, each class once."""
    library = KERASES[kerase]
    found = {}
    for name, thing in vars(library.layers).items():
        if inspect.isclass(thing) and issubclass(thing, library.layers.Layer):
            found.setdefault(id(thing), name)
    return sorted(
        name
        for name in found.values()
        if name not in NOT_IN_A_CLASSIFIER and (kerase, name) not in BROKEN
    )


def _arguments(library, name):
    """Return what a class of a layer is made with: a value for each argument it must have."""
    layers = library.layers
    values = {
        "activation": "relu",
        "bin_boundaries": [0.2, 0.6],
        "cell": lambda: layers.GRUCell(4),
        "cells": lambda: [layers.LSTMCell(4), layers.GRUCell(3)],
        "dims": lambda: (1,),
        "equation": "...a,ab->...b",
        "factor": 0.2,
        "filters": 4,
        "function": lambda: lambda x: 2.0 * x,
        "head_dim": 4,
        "height": 6,
        "input_dim": 16,
        "kernel_size": 2,
        "key_dim": 4,
        "n": 3,
        "num_bins": 16,
        "num_heads": 2,
        "num_key_value_heads": 1,
        "num_query_heads": 2,
        "num_tokens": 16,
        "output_dim": 4,
        "output_size": 2,
        "pool_size": 2,
        "height_factor": 0.2,
        "width_factor": 0.2,
        "rate": 0.3,
        "scale": 0.5,
        "stddev": 0.1,
        "target_shape": lambda: (-1,),
        "units": 5,
        "width": 6,
    }
    special = {
        "AlphaDropout": {"rate": 0.3},
        "Attention": {"dropout": 0.3},
        "AdditiveAttention": {"dropout": 0.3},
        "Bidirectional": {"layer": lambda: layers.LSTM(4, dropout=0.2)},
        "CategoryEncoding": {"num_tokens": 16},
        "Discretization": {"bin_boundaries": lambda: [0.2, 0.6]},
        "Dot": {"axes": -1},
        "EinsumDense": {"equation": "...a,ab->...b", "output_shape": 4, "bias_axes": "b"},
        "GroupNormalization": {"groups": -1},
        "GroupQueryAttention": {
            "head_dim": 4,
            "num_query_heads": 2,
            "num_key_value_heads": 1,
            "dropout": 0.2,
        },
        "GRU": {"units": 4, "dropout": 0.2, "recurrent_dropout": 0.2},
        "IntegerLookup": {"vocabulary": lambda: list(range(1, 9))},
        "LSTM": {"units": 4, "dropout": 0.2, "recurrent_dropout": 0.2},
        "MultiHeadAttention": {"num_heads": 2, "key_dim": 4, "dropout": 0.2},
        "Permute": {"dims": lambda: (1,)},
        "Pipeline": {
            "layers": lambda: [layers.RandomFlip(), layers.RandomContrast(0.2)],
        },
        "RandomPosterization": {"factor": 4, "value_range": lambda: (0.0, 1.0)},
        "RNN": {"cell": lambda: layers.LSTMCell(4, dropout=0.2)},
        "SpectralNormalization": {"layer": lambda: layers.Dense(4)},
        "TimeDistributed": {"layer": lambda: layers.Dense(4)},
    }
    if name in special:
        given = special[name]
    else:
        given = {}
        parameters = inspect.signature(getattr(layers, name).__init__).parameters
        for argument, p in list(parameters.items())[1:]:
            must = p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            if must:
                given[argument] = values[argument]
        if name.startswith("Random") and "value_range" in parameters:
            given["value_range"] = (0.0, 1.0)
    return {key: value() if callable(value) else value for key, value in given.items()}


def _called(library, name, x):
    """Return what a new layer makes of inputs."""
    layer = getattr(library.layers, name)(**_arguments(library, name))
    if name in ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"):
        layer = library.layers.RNN(layer)
    if name in _WHOLE_NUMBERS:
        cast = keras.ops.cast if library is keras else tf.cast
        x = cast(x * 8, "int32")
        return layer((x, x)) if name == "HashedCrossing" else layer(x)
    if name in ("GroupQueryAttention", "MultiHeadAttention"):
        return layer(x, x)
    two = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
    if name in (*two, "AdditiveAttention", "Attention"):
        return layer([x, library.layers.Dense(x.shape[-1])(x)])
    if name == "Masking":
        return library.layers.SimpleRNN(4)(layer(x))  # which heeds the mask, as others would not
    return layer(x)


def network(kerase, name):
    """Return a classifier of three classes with a layer of a class in it, compiled."""
    library = KERASES[kerase]
    layers = library.layers
    problems = []
    for shape in _SHAPES:
        if (name in ("MelSpectrogram", "STFTSpectrogram")) != (2000 in shape):
            continue
        try:
            inputs = library.Input(shape)
            x = _called(library, name, inputs)
            cast = keras.ops.cast if library is keras else tf.cast
            x = cast(x, "float32")
            if None in x.shape[1:]:
                x = layers.GlobalAveragePooling2D()(x)
            outputs = layers.Dense(3)(layers.Flatten()(x))
            model = library.Model(inputs, outputs)
            if tuple(model(np.zeros((2, *shape), "float32")).shape) != (2, 3):
                raise ValueError("takes this for one example")
            break
        except Exception as error:
            problems.append(f"{shape}: {type(error).__name__}: {str(error)[:200]}")
    else:
        raise AssertionError(f"{kerase} {name} takes none of the inputs: {problems}")
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(0.01), loss)
    return model


def data_for(model):
    """Return examples that a classifier of `network` takes."""
    random = np.random.default_rng(0)
    shape = tuple(model.input_shape[1:])
    x = random.random((20, *shape), dtype="float32")
    return Dataset(x, np.arange(20) % 3, x[:6], np.arange(6) % 3, name="family")

"""Initializers, under Keras' own names where it has them, for Keras 3 and tf_keras alike."""

# First: see kerasinit._src.compat.
import keras  # noqa: F401

from kerasinit._src.initializers import identifiers
from kerasinit._src.initializers.bias import Chrono, ForgetBias, PriorProbability
from kerasinit._src.initializers.centred import CentredNormal
from kerasinit._src.initializers.constant import Constant, Identity, Ones, Zeros
from kerasinit._src.initializers.gates import PerGate
from kerasinit._src.initializers.networks import AlexNet, Siren
from kerasinit._src.initializers.orthogonal import ConvOrthogonal, DeltaOrthogonal, Orthogonal
from kerasinit._src.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from kerasinit._src.initializers.saved_values import FromModel, WinningTicket
from kerasinit._src.initializers.sparse import Sparse
from kerasinit._src.initializers.stft import STFT
from kerasinit._src.initializers.structured_kernels import ConvolutionAware, Dirac, ZerO
from kerasinit._src.initializers.upsampling import ICNR, Bilinear
from kerasinit._src.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    KaimingNormal,
    KaimingUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    XavierNormal,
    XavierUniform,
)

__all__ = [
    "ICNR",
    "STFT",
    "AlexNet",
    "Bilinear",
    "CentredNormal",
    "Chrono",
    "Constant",
    "ConvOrthogonal",
    "ConvolutionAware",
    "DeltaOrthogonal",
    "Dirac",
    "ForgetBias",
    "FromModel",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "PerGate",
    "PriorProbability",
    "RandomNormal",
    "RandomUniform",
    "Siren",
    "Sparse",
    "TruncatedNormal",
    "VarianceScaling",
    "WinningTicket",
    "XavierNormal",
    "XavierUniform",
    "ZerO",
    "Zeros",
]

identifiers.CLASSES.update({name: globals()[name] for name in __all__})

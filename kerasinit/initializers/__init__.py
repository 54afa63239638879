"""Initializers, under Keras' own names where it has them, for Keras 3 and tf_keras alike."""

from kerasinit.initializers.bias import Chrono, ForgetBias, PriorProbability
from kerasinit.initializers.centred import CentredNormal
from kerasinit.initializers.constant import Constant, Identity, Ones, Zeros
from kerasinit.initializers.gates import PerGate
from kerasinit.initializers.networks import AlexNet, Siren
from kerasinit.initializers.orthogonal import ConvOrthogonal, DeltaOrthogonal, Orthogonal
from kerasinit.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from kerasinit.initializers.sparse import Sparse
from kerasinit.initializers.stft import STFT
from kerasinit.initializers.structured import ConvolutionAware, Dirac, ZerO
from kerasinit.initializers.transfer import FromModel, WinningTicket
from kerasinit.initializers.upsampling import ICNR, Bilinear
from kerasinit.initializers.variance_scaling import (
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

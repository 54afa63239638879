"""Initializers, under Keras' own names where it has them, for Keras 3 and tf_keras alike."""

from kerasinit.initializers.constant import Constant, Identity, Ones, Zeros
from kerasinit.initializers.orthogonal import Orthogonal
from kerasinit.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from kerasinit.initializers.transfer import FromModel, WinningTicket
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
    "Constant",
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
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "WinningTicket",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]

"""The public names of kerasinit; see ``__init__.py``."""

from kerasinit import comparison as comparison
from kerasinit import diagnosis as diagnosis
from kerasinit import initializers as initializers
from kerasinit import lottery as lottery
from kerasinit import playground as playground
from kerasinit import pruning as pruning
from kerasinit import rules as rules
from kerasinit import shrinking as shrinking
from kerasinit._src.comparison.entry import compare as compare
from kerasinit._src.comparison.initializer_histograms import (
    plot_initializers as plot_initializers,
)
from kerasinit._src.diagnosis.entry import diagnose as diagnose
from kerasinit._src.diagnosis.monitor import SignalMonitor as SignalMonitor
from kerasinit._src.files.keras_variables import variables_in as variables_in
from kerasinit._src.initializers.base import Initializer as Initializer
from kerasinit._src.initializers.bias import Chrono as Chrono
from kerasinit._src.initializers.bias import ForgetBias as ForgetBias
from kerasinit._src.initializers.bias import PriorProbability as PriorProbability
from kerasinit._src.initializers.centred import CentredNormal as CentredNormal
from kerasinit._src.initializers.constant import Constant as Constant
from kerasinit._src.initializers.constant import Identity as Identity
from kerasinit._src.initializers.constant import Ones as Ones
from kerasinit._src.initializers.constant import Zeros as Zeros
from kerasinit._src.initializers.gates import PerGate as PerGate
from kerasinit._src.initializers.networks import AlexNet as AlexNet
from kerasinit._src.initializers.networks import Siren as Siren
from kerasinit._src.initializers.orthogonal import ConvOrthogonal as ConvOrthogonal
from kerasinit._src.initializers.orthogonal import DeltaOrthogonal as DeltaOrthogonal
from kerasinit._src.initializers.orthogonal import Orthogonal as Orthogonal
from kerasinit._src.initializers.random import RandomNormal as RandomNormal
from kerasinit._src.initializers.random import RandomUniform as RandomUniform
from kerasinit._src.initializers.random import TruncatedNormal as TruncatedNormal
from kerasinit._src.initializers.saved_values import FromModel as FromModel
from kerasinit._src.initializers.saved_values import WinningTicket as WinningTicket
from kerasinit._src.initializers.serialization import deserialize as deserialize
from kerasinit._src.initializers.serialization import get as get
from kerasinit._src.initializers.serialization import serialize as serialize
from kerasinit._src.initializers.sparse import Sparse as Sparse
from kerasinit._src.initializers.stft import STFT as STFT
from kerasinit._src.initializers.structured_kernels import ConvolutionAware as ConvolutionAware
from kerasinit._src.initializers.structured_kernels import Dirac as Dirac
from kerasinit._src.initializers.structured_kernels import ZerO as ZerO
from kerasinit._src.initializers.upsampling import ICNR as ICNR
from kerasinit._src.initializers.upsampling import Bilinear as Bilinear
from kerasinit._src.initializers.variance_scaling import GlorotNormal as GlorotNormal
from kerasinit._src.initializers.variance_scaling import GlorotUniform as GlorotUniform
from kerasinit._src.initializers.variance_scaling import HeNormal as HeNormal
from kerasinit._src.initializers.variance_scaling import HeUniform as HeUniform
from kerasinit._src.initializers.variance_scaling import KaimingNormal as KaimingNormal
from kerasinit._src.initializers.variance_scaling import KaimingUniform as KaimingUniform
from kerasinit._src.initializers.variance_scaling import LecunNormal as LecunNormal
from kerasinit._src.initializers.variance_scaling import LecunUniform as LecunUniform
from kerasinit._src.initializers.variance_scaling import VarianceScaling as VarianceScaling
from kerasinit._src.initializers.variance_scaling import XavierNormal as XavierNormal
from kerasinit._src.initializers.variance_scaling import XavierUniform as XavierUniform
from kerasinit._src.network.fans import compute_fans as compute_fans
from kerasinit._src.theory.gains import Stability as Stability
from kerasinit._src.theory.gains import gain as gain
from kerasinit._src.theory.gains import stability as stability
from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv as lsuv
from kerasinit._src.whole_models.from_batch.moment_propagation import (
    propagate_moments as propagate_moments,
)
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm as weight_norm
from kerasinit._src.whole_models.from_batch.per_unit import within_layer as within_layer
from kerasinit._src.whole_models.portable_copy import portable as portable
from kerasinit._src.whole_models.recommendation import recommend as recommend
from kerasinit._src.whole_models.redraw import Rule as Rule
from kerasinit._src.whole_models.redraw import reinitialize as reinitialize

__version__: str

"""The public names of kerasinit.lottery.questions; see ``questions.py``."""

from kerasinit._src.lottery.questions.connectivity import Connectivity as Connectivity
from kerasinit._src.lottery.questions.connectivity import Line as Line
from kerasinit._src.lottery.questions.connectivity import barrier as barrier
from kerasinit._src.lottery.questions.connectivity import lmc as lmc
from kerasinit._src.lottery.questions.early_bird import Check as Check
from kerasinit._src.lottery.questions.early_bird import EarlyBirds as EarlyBirds
from kerasinit._src.lottery.questions.early_bird import Flight as Flight
from kerasinit._src.lottery.questions.early_bird import earlybird as earlybird
from kerasinit._src.lottery.questions.early_bird import mask_distance as mask_distance
from kerasinit._src.lottery.questions.initializer_sweep import Sweep as Sweep
from kerasinit._src.lottery.questions.initializer_sweep import sweep as sweep
from kerasinit._src.lottery.questions.other_data import Transfer as Transfer
from kerasinit._src.lottery.questions.other_data import transfer as transfer

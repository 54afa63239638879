"""The names of ``playground``; see ``playground.py``."""

from kerasinit._src.playground.examples import Examples as Examples
from kerasinit._src.playground.explanations import Explanation as Explanation
from kerasinit._src.playground.explanations import explain as explain
from kerasinit._src.playground.settings import Settings as Settings
from kerasinit._src.playground.settings import SideSettings as SideSettings
from kerasinit._src.playground.two_networks import TwoNetworks as TwoNetworks

"""Two networks side by side: the training that the page of ``kerasinit playground`` shows.

What the page shows can be repeated in a script, bit for bit::

    from kerasinit.playground import Settings, SideSettings, TwoNetworks

    settings = Settings(data="circles", depth=30, right=SideSettings("GlorotNormal"))
    two = TwoNetworks(settings)
    two.advance(300)
    print(dict(zip(two.columns, two.rows[-1])))

Names are imported on first use, so that settings do not import TensorFlow.
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)

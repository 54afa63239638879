"""What a run came to: a table, pictures, a page, and its numbers for other programs."""

from kerasinit._src.lottery.report import *  # noqa: F403
from kerasinit._src.lottery.report import __all__ as __all__

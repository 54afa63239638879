"""The quantile function of the normal distribution, as a table that maps bits to numbers.

A number uses 24 bits, the precision of float32: 16 select one of 65,536 cells of equal
probability, 8 the position in it. The density is constant within a cell to good approximation;
where it is not, in the tails, the quantile function itself is evaluated, with 53 bits.
"""

import functools

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

_CELLS = 2**16
_STEPS = 2**8  # positions in a cell
_BLOCK = 2**17  # elements per table lookup; does not affect the values


def require_mass(low: float, high: float) -> None:
    """Raise if the probability between two bounds, in standard deviations, vanishes in float64."""
    if max(ndtr(high) - ndtr(low), ndtr(-low) - ndtr(-high)) < 1e-280:
        raise ValueError(
            f"The normal distribution has almost no probability between {low:g} and {high:g} "
            f"standard deviations from its mean. Give bounds nearer to the mean, or further apart."
        )


class Workspace:
    """Buffers that a thread reuses for each block."""

    @functools.cached_property
    def cells(self) -> np.ndarray:
        """Indices of cells."""
        return np.empty(_BLOCK, np.intp)

    @functools.cached_property
    def edges_and_steps(self) -> npt.NDArray[np.complex64]:
        """Rows of the table."""
        return np.empty(_BLOCK, np.complex64)


class Quantiles:
    """The quantile function of a truncated normal distribution, as a table.

    Within a cell of width ``w`` at ``x`` the density changes by a factor of about
    ``exp(x w)``, and the table treats it as constant. The error of the distribution function
    is at most ``x w / 8`` of the cell's probability: with the bounds -2 and 2, less than 1e-9.
    Cells with ``|x| w`` above ``1/64``, in the tails, use the exact function.
    """

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high
        require_mass(low, high)
        # From below and from above, so that neither tail is computed as a difference from 1.
        self._below = ndtr(low), ndtr(high)
        self._above = ndtr(-high), ndtr(-low)
        edges = self.at(np.arange(_CELLS + 1), np.zeros(_CELLS + 1))
        with np.errstate(invalid="ignore"):
            width = np.diff(edges)
            curved = ~(np.abs(edges[:-1]) * width <= 1 / 64)
            curved |= ~(np.abs(edges[1:]) * width <= 1 / 64)
        # The first and the last cell that use the table; those beyond them are exact.
        straight = np.flatnonzero(~curved)
        self._first, self._last = int(straight[0]), int(straight[-1])
        table = np.zeros((_CELLS, 2), np.float32)
        inner = slice(self._first, self._last + 1)
        # The middle of the first of a cell's 256 steps, and the size of a step.
        table[inner, 0] = edges[:-1][inner] + width[inner] / (2 * _STEPS)
        table[inner, 1] = width[inner] / _STEPS
        # No value is rounded past a bound, so that none has to be clipped later.
        table[self._first, 0] = max(table[self._first, 0], np.float32(low))
        while table[self._last, 1] * np.float32(_STEPS - 1) + table[self._last, 0] > np.float32(
            high
        ):
            table[self._last, 0] = np.nextafter(table[self._last, 0], np.float32(-np.inf))
        # As one complex number, so that a single lookup finds both.
        self._table = table.view(np.complex64)[:, 0]

    def at(self, cells: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return the exact quantiles of ``(cell + place) / 65536``, in float64."""
        below = (cells + places) / _CELLS
        above = (_CELLS - cells - places) / _CELLS
        from_below = self._below[0] + below * (self._below[1] - self._below[0])
        from_above = self._above[0] + above * (self._above[1] - self._above[0])
        found = np.where(from_below < 0.5, ndtri(from_below), -ndtri(from_above))
        return np.clip(found, self.low, self.high)

    def fill(self, bits: np.random.SFC64, out: np.ndarray, workspace: Workspace) -> None:
        """Fill a one-dimensional float32 array."""
        size = out.size
        words = -(-size // 4)  # of 64 bits, for the cells; half as many for the positions
        drawn = bits.random_raw(words + -(-words // 2))
        cells, steps = drawn[:words].view(np.uint16)[:size], drawn[words:].view(np.uint8)
        has_tails = self._last - self._first < _CELLS - 1
        outer: list[np.ndarray] = []
        for start in range(0, size, _BLOCK):
            part = slice(start, start + _BLOCK)
            block = out[part]
            wanted, pairs = workspace.cells[: block.size], workspace.edges_and_steps[: block.size]
            np.copyto(wanted, cells[part])
            # With a mode other than "raise" NumPy writes to `out` directly; no index is out of
            # range.
            np.take(self._table, wanted, out=pairs, mode="wrap")
            np.multiply(steps[start : start + block.size], pairs.imag, out=block, dtype=np.float32)
            block += pairs.real
            if has_tails:
                # In unsigned arithmetic, cells below the first wrap to far above the last.
                far = (cells[part] - np.uint16(self._first)) > np.uint16(self._last - self._first)
                outer.append(start + np.flatnonzero(far))
        if has_tails:
            there = np.concatenate(outer)
            places = (bits.random_raw(there.size) >> 11) * 2.0**-53
            out[there] = self.at(cells[there].astype(np.intp), np.maximum(places, 2.0**-54))


@functools.lru_cache(maxsize=16)
def quantiles(low: float, high: float) -> Quantiles:
    """Return the cached table for two bounds."""
    return Quantiles(low, high)

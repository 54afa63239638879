"""The values that initializers draw, as histograms against the laws they are drawn from."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasinit._src.errors import checked_count
from kerasinit._src.initializers.base import Initializer
from kerasinit._src.initializers.laws import KERASES, Law, law_of
from kerasinit._src.initializers.serialization import get
from kerasinit._src.reports import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_MAX_BINS = 80
_POINTS = 401  # of a line


def plot_initializers(
    initializers: Any, shape: Sequence[int], *, bins: int | None = None, same_scale: bool = False
) -> "Figure":
    """Plot the values that initializers draw for a shape, each beside its law.

    Each initializer has a panel with the histogram of its values, as a density, and the variance
    of the sample. Where each value is drawn from a normal, truncated normal or uniform
    distribution, a line shows that density, and its variance stands beside that of the sample.
    Others, such as `Orthogonal`, have a histogram only.

    Formula: the bar from ``a`` to ``b`` has the height ``count / (size (b - a))``, so that all bars
    have an area of 1, like the line.

    Args:
        initializers: What `kerasinit.get` accepts, or several in a list: an instance such as
            ``HeNormal(seed=1)``, or a name with arguments such as ``"RandomNormal:stddev=0.01"``.
            Those of either Keras are accepted, too. A dictionary gives them labels. Without a seed
            the values differ from call to call.
        shape: The shape of the tensor to draw, such as that of a kernel: ``(fan_in, fan_out)`` for
            a dense layer.
        bins: The number of bars, at least 1. None: about twice the cube root of the number of
            values, at most 80.
        same_scale: Whether all panels have the same horizontal axis, to compare how large the
            values are. Defaults to False: each axis fits its own values.

    Returns:
        A matplotlib figure, a panel for each; save it with ``savefig``.

    Raises:
        TypeError: If the shape is not a sequence of whole numbers, or ``bins`` is not one.
        ValueError: If there is no initializer, one is unknown or draws values that are not finite,
            a size of the shape is below 1, or ``bins`` is.
        ImportError: If matplotlib is not installed.

    Example:
    >>> import kerasinit
    >>> choices = [kerasinit.HeNormal(seed=1), "GlorotUniform", "Orthogonal"]
    >>> figure = plot_initializers(choices, (256, 128))
    >>> [axes.get_title() for axes in figure.axes]
    ['HeNormal(seed=1)', 'GlorotUniform', 'Orthogonal']

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural
        networks"; He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers" (the variances).
    """
    if bins is not None:
        bins = checked_count("bins", bins)
    shape = _checked_shape(shape)
    panels = [(label, one, _values(one, label, shape)) for label, one in _labelled(initializers)]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    plot = figures.new_figure(max(3.4 * columns, 5), 2.6 * rows + 0.5)
    grid = plot.subplots(rows, columns, sharex=same_scale, squeeze=False).ravel()
    for axes, (label, one, values) in zip(grid, panels, strict=False):
        _draw(axes, values, law_of(one, shape), bins)
        axes.set_title(figures.literal(label), fontsize=10)
    for axes in grid[len(panels) - columns : len(panels)]:
        axes.tick_params(labelbottom=True)  # also above an empty place
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes in grid[::columns]:
        axes.set_ylabel("density")
    plot.supxlabel(f"value in a tensor of shape {shape}", fontsize=10)
    shown: dict[str, Any] = {}
    for axes in plot.axes:
        shown |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    plot.legend(
        list(shown.values()), list(shown), loc="outside upper center", ncols=2, frameon=False
    )
    return plot


def _checked_shape(shape: Any) -> tuple[int, ...]:
    expected = f"Expected as shape the sizes of a tensor, such as (784, 300); got {shape!r}."
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError as error:
        raise TypeError(expected) from error
    if any(size < 1 for size in sizes):
        raise ValueError(expected)
    return sizes


def _labelled(given: Any) -> list[tuple[str, Any]]:
    """Return initializers with their labels."""
    if isinstance(given, Mapping) and "class_name" not in given:
        pairs = [(str(label), get(one)) for label, one in given.items()]
    else:
        several = isinstance(given, Iterable) and not isinstance(given, str | Mapping | np.ndarray)
        pairs = [(_label(one, get(one)), get(one)) for one in (given if several else [given])]
    if not pairs or any(one is None for _, one in pairs):
        raise ValueError(
            f"Expected one or more initializers, such as [kerasinit.HeNormal(seed=1), "
            f"'GlorotUniform']; got {given!r:.80}."
        )
    return pairs


def _label(given: Any, made: Any) -> str:
    """Return what the user typed, or the initializer with its arguments."""
    if isinstance(given, str):
        return given
    if isinstance(made, Initializer):
        return repr(made)
    package = type(made).__module__.partition(".")[0]
    name = getattr(made, "__qualname__", type(made).__qualname__)
    return f"{package}: {name}" if package in KERASES else name


def _values(initializer: Any, label: str, shape: tuple[int, ...]) -> np.ndarray:
    drawn = initializer(shape, dtype="float32")
    if keras.ops.is_tensor(drawn):
        drawn = keras.ops.convert_to_numpy(drawn)
    values = np.asarray(drawn, float).ravel()
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{label} drew values that are NaN or infinite.")
    return values


def _draw(axes: "Axes", values: np.ndarray, law: Law | None, bins: int | None) -> None:
    """Draw the histogram of values and the density of their law, with both variances below."""
    color = figures.COLORS[0]
    if values.min() == values.max():
        axes.plot([values[0]] * 2, [0, 1], color=color, linewidth=2.5, label="drawn values")
        axes.set_yticks([])
        axes.set_xlabel(f"all values are {values[0]:.4g}\n")
    else:
        number = bins or min(_MAX_BINS, max(1, round(2 * values.size ** (1 / 3))))
        heights, edges = np.histogram(values, number, density=True)
        axes.stairs(
            heights, edges, fill=True, facecolor=(color, 0.3), edgecolor=color, label="drawn values"
        )
        axes.set_xlabel(f"variance {values.var():.4g}\n")
    if law is not None:
        places, density = _line(law, values)
        axes.plot(places, density, color=figures.COLORS[1], linewidth=1.8, label="law")
        axes.set_xlabel(f"variance {values.var():.4g}\n{law.name} law: {law.variance:.4g}")
    axes.set_ylim(bottom=0)
    figures.style_axes(axes)


def _line(law: Law, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a density, from bound to bound, or over the values if it has none."""
    ends = zip(law.support, (values.min(), values.max()), strict=True)
    low, high = (bound if math.isfinite(bound) else end for bound, end in ends)
    places = np.linspace(low, high, _POINTS)
    # At a bound the density falls to 0.
    return np.array([low, *places, high]), np.array([0, *law.density(places), 0])

"""The picture of a run: the curves of both networks, their boundaries, and their signals."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerasinit._src.playground.measuring import Views, bounds
from kerasinit._src.playground.settings import SIDES
from kerasinit._src.playground.two_networks import TwoNetworks
from kerasinit._src.reports.figures import (
    COLORS,
    FAINT,
    literal,
    new_figure,
    style_axes,
    use_log_scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Not first those of the two sides, which the curves have.
_CLASS_COLORS = tuple(COLORS[number] for number in (3, 2, 4, 5, 0, 1))
_STYLES = ("-", "--")  # left and right differ without colours, too


def picture(two: TwoNetworks) -> "Figure":
    """Return a matplotlib figure of two networks as they are now.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figure = new_figure(10, 7)
    settings = two.settings
    figure.suptitle(
        f"{settings.data}, {settings.depth} hidden layers of {settings.width}, seed "
        f"{settings.seed}: after {two.step} steps",
        fontsize=11,
    )
    top = figure.subplots(2, 3)
    _draw_curves(top[0][0], two, "loss")
    _draw_curves(top[1][0], two, "accuracy")
    for column, network, side in zip((1, 2), two.networks, settings.sides, strict=True):
        views = Views(network.model, two.examples, side.activation)
        view = views.view(network.masks)
        axes = top[0][column]
        axes.set_title(literal(f"{SIDES[column - 1]}: {side.initializer}, {side.activation}"))
        axes.title.set_fontsize(9)
        if two.examples.is_plane:
            _draw_boundary(axes, views, two)
        else:
            _draw_confusion(axes, view["confusion"], two.examples.classes)
        _draw_layers(top[1][column], view["layers"])
    low, high = zip(*(axes.get_ylim() for axes in top[1][1:]), strict=True)
    for axes in top[1][1:]:
        axes.set_ylim(min(low), max(high))
    return figure


def _draw_curves(axes: "Axes", two: TwoNetworks, what: str) -> None:
    rows = two.rows
    for number, name in enumerate(SIDES):
        for test in (False, True):
            column = two.columns.index(f"{name} {'test ' * test}{what}")
            axes.plot(
                rows[:, 0],
                rows[:, column],
                _STYLES[number],
                color=COLORS[number],
                linewidth=0.9 if test else 1.8,
                alpha=0.7 if test else 1,
                label=f"{name}, {'test' if test else 'training'}",
            )
    finite = rows[:, 1:][np.isfinite(rows[:, 1:])]
    if what == "loss" and finite.size and finite.min() > 0:
        use_log_scale(axes, finite.min(), finite.max())
    for step, _ in two.events:
        axes.axvline(step, color=FAINT, linewidth=0.8)
    axes.set_title(what, fontsize=9)
    axes.set_xlabel("step", fontsize=9)
    axes.legend(fontsize=7, frameon=False)
    style_axes(axes)


def _draw_boundary(axes: "Axes", views: Views, two: TwoNetworks) -> None:
    from matplotlib.colors import ListedColormap

    examples = two.examples
    colors = [_CLASS_COLORS[n % len(_CLASS_COLORS)] for n in range(len(examples.classes))]
    best, confidence = views.boundary()
    axes.imshow(
        best,
        extent=bounds(examples),
        cmap=ListedColormap(colors),
        vmin=0,
        vmax=max(1, len(colors) - 1),
        alpha=np.clip(confidence - 0.35, 0.05, 0.65),
        interpolation="nearest",
        aspect="auto",
    )
    for number, color in enumerate(colors):
        points = examples.x[examples.y == number]
        axes.scatter(*points.T, s=9, color=color, edgecolor="white", linewidth=0.4)
    axes.set_xlabel(literal(examples.columns[0]), fontsize=9)
    axes.set_ylabel(literal(examples.columns[1]), fontsize=9)
    style_axes(axes)


def _draw_confusion(axes: "Axes", confusion: list[list[int]], classes: tuple[str, ...]) -> None:
    counts = np.asarray(confusion)
    axes.imshow(np.sqrt(counts), cmap="Blues")
    for (true, predicted), count in np.ndenumerate(counts):
        if count:
            dark = count > counts.max() / 4
            axes.text(
                predicted,
                true,
                str(count),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if dark else "black",
            )
    names = [literal(name) for name in classes]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    axes.tick_params(labelsize=8)


def _draw_layers(axes: "Axes", layers: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = range(1, len(layers) + 1)
    for what, marker, color in (("activation", "o", COLORS[5]), ("gradient", "s", COLORS[4])):
        # Zeros have no place on a logarithmic scale.
        values = [layer[what] or np.nan for layer in layers]
        axes.plot(numbers, values, marker=marker, color=color, markersize=3, label=f"{what}s")
        if np.isfinite(values).any():
            axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("root mean square by layer", fontsize=9)
    axes.set_xlabel("layer", fontsize=9)
    axes.legend(fontsize=7, frameon=False)
    style_axes(axes)

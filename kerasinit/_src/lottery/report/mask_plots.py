"""The masks of a run as a figure, level by level."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kerasinit._src.lottery.report.layers import blocks, input_image, ticket_masks
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.reports import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_IMAGES = 6


def mask_figure(run: Run) -> "Figure":
    """Plot the masks of a run's tickets: the first kernel as images, and each layer's density.

    Above are the masks of the first trial at six levels at most. If the first kernel is that of a
    dense layer, each image shows the inputs, and the colour is the number of outgoing weights that
    survive; otherwise inputs run downwards and outputs to the right, and the colour is the
    fraction of weights left. All images share one scale. Below is the fraction of weights left in
    each layer against the level, the mean over the trials.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If no ticket of the run is finished.

    Example:
    >>> from kerasinit.lottery import report
    >>> report.mask_figure("RUN").axes[0].get_title()
    'level 0: 100 %'
    """
    store = Store.of(run)
    found = ticket_masks(store)
    if not found:
        raise ValueError(f"{store.folder} has no finished ticket yet, so there are no masks.")
    by_level: dict[int, list[Masks]] = {}
    for place, masks in found.items():
        by_level.setdefault(place.level, []).append(masks)
    trial = min(place.trial for place in found)
    first_trial = {place.level: masks for place, masks in found.items() if place.trial == trial}
    plot = figures.new_figure(9.5, 6)
    halves = plot.subfigures(2, 1, squeeze=False, height_ratios=(2, 3)).ravel()
    _draw_images(halves[0], first_trial, store)
    _draw_densities(halves[1].subplots(), by_level)
    return plot


def _draw_images(above: "SubFigure", tickets: dict[int, Masks], store: Store) -> None:
    name = next(iter(tickets[min(tickets)]))
    levels = figures.spread(sorted(tickets), _MAX_IMAGES)
    counts = [input_image(tickets[level][name], store) for level in levels]
    images = [image for image in counts if image is not None]
    what = f"Outgoing weights of each input, {name}"
    if len(images) < len(levels):
        images = [blocks(tickets[level][name]) for level in levels]
        what = f"Fraction of weights left in {name}"
    highest = max(image.max() for image in images)
    panels = above.subplots(1, len(levels), squeeze=False)[0]
    for axes, level, image in zip(panels, levels, images, strict=True):
        # cividis is safe for colour blindness, and its lightness is monotonic.
        axes.imshow(image, cmap="cividis", vmin=0, vmax=highest, aspect="auto")
        if image.shape[0] == image.shape[1]:
            axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"level {level}: {100 * tickets[level][name].mean():.3g} %", fontsize=9)
    above.colorbar(panels[0].images[0], ax=list(panels), shrink=0.8)
    above.suptitle(figures.literal(what), fontsize=10)


def _draw_densities(axes: "Axes", by_level: dict[int, list[Masks]]) -> None:
    from matplotlib.ticker import MaxNLocator

    levels = sorted(by_level)

    def mean(numbers: Iterable[float]) -> float:
        numbers = list(numbers)
        return 100 * sum(numbers) / len(numbers)

    names = list(by_level[levels[0]][0])
    low = 100.0
    for number, name in enumerate(names):
        densities = [mean(float(one[name].mean()) for one in by_level[level]) for level in levels]
        style = "-" if number < len(figures.COLORS) else "--"
        label = figures.literal(figures.shortened(name))
        axes.plot(levels, densities, label=label, linestyle=style, **figures.line_style(number, 4))
        low = min(low, *densities)
    overall = [mean(one.density for one in by_level[level]) for level in levels]
    axes.plot(levels, overall, color=figures.FAINT, dashes=(4, 3), label="all weights", zorder=0)
    figures.use_log_scale(axes, low, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("level")
    axes.set_ylabel("weights left (%)")
    figures.style_axes(axes)
    axes.legend(frameon=False, fontsize=8, ncols=1 + len(names) // 8)

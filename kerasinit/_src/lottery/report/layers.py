"""The masks in a page: as images, and layer by layer."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.reports.figures import spread
from kerasinit._src.reports.html import Markup, element, grid, joined

_MAX_IMAGES = 8
_MAX_BLOCKS = 64


def ticket_masks(store: Store) -> dict[Place, Masks]:
    """Return the masks of every finished ticket."""
    return {
        place: store.stage(place).ticket().masks
        for place in store.places()
        if place.branch == "ticket" and store.has(place)
    }


def masks_section(store: Store, masks: dict[Place, Masks]) -> Markup:
    """Return the masks of the first trial as images.

    If the first kernel is that of a dense layer, the inputs that each level still uses; then each
    kernel of the last level, by its density.
    """
    trial = min(place.trial for place in masks)
    tickets = {place.level: found for place, found in masks.items() if place.trial == trial}
    last = max(tickets)
    shown = [(f"level {level}", tickets[level]) for level in spread(list(tickets), _MAX_IMAGES)]
    for branch in store.experiment.branches[1:]:
        there = [level for level in tickets if store.has(Place(trial, level, branch))]
        if there:
            found = store.stage(Place(trial, max(there), branch)).ticket().masks
            # A control with the ticket's mask would repeat the image.
            if found != tickets[max(there)]:
                shown.append((f"{branch}, level {max(there)}", found))
    first = next(iter(tickets[last]))
    parts = [element("h2", "Masks")]
    drawn = [_input_image(what, found, store) for what, found in shown]
    if all(drawn):
        parts += [
            element("h3", f"Inputs that {first} still uses"),
            element(
                "p",
                f"Trial {trial}. Each pixel is an input; its colour is the number of its outgoing "
                "weights that survive, from dark blue for none to yellow for the max.",
                class_="note",
            ),
            element("div", *drawn, class_="masks"),
        ]
    parts += [
        element("h3", f"Density within each layer, level {last}"),
        element(
            "p",
            f"Trial {trial}, the ticket. Inputs of a layer run downwards, outputs to the right; "
            "the colour is the fraction of weights left, from dark blue for none to yellow for "
            "the densest part. Large kernels are shown in blocks.",
            class_="note",
        ),
        element(
            "div",
            *(_block_image(name, mask) for name, mask in tickets[last].items()),
            class_="masks kernels",
        ),
    ]
    return joined(*parts)


def input_image(mask: np.ndarray, store: Store) -> np.ndarray | None:
    """Return the `surviving_inputs` of the first kernel of a run."""
    return surviving_inputs(mask, _input_shape(store))


def _input_image(what: str, masks: Masks, store: Store) -> Markup | None:
    mask = next(iter(masks.values()))
    counts = input_image(mask, store)
    if counts is None:
        return None
    highest, unused = int(counts.max()), int((counts == 0).sum())
    caption = (
        f"{100 * mask.mean():.2f} % left; {counts.min()} to {highest} per pixel; "
        f"{unused} of {counts.size} pixels unused"
    )
    return _image(png(counts, highest), what, caption, "image")


def _block_image(name: str, mask: Any) -> Markup:
    density = blocks(mask)
    shape = " x ".join(map(str, mask.shape))
    caption = f"{shape}, {100 * mask.mean():.2f} % left; densest part {100 * density.max():.3g} %"
    return _image(png(density, density.max()), name, caption, "blocks")


def _image(data: str, what: str, caption: str, kind: str) -> Markup:
    return element(
        "figure",
        element("img", src=data, alt=f"{what}: {caption}", class_=kind),
        element("strong", what),
        # No line break before a %.
        element("figcaption", caption.replace(" %", "\N{NO-BREAK SPACE}%")),
    )


def layers_section(masks: dict[Place, Masks]) -> Markup:
    """Return the table of densities by level and layer."""
    by_level: dict[int, list[Masks]] = {}
    for place, found in masks.items():
        by_level.setdefault(place.level, []).append(found)
    layers = next(iter(masks.values()))
    heads = ["level", "all"]
    heads += [f"{name}\n{' x '.join(map(str, mask.shape))}" for name, mask in layers.items()]

    def cell(densities: list[float]) -> Markup:
        percent = f"{100 * sum(densities) / len(densities):.2f}"
        return element("span", percent, class_="heat", style=f"--density: {percent}%")

    lines = [
        [
            level,
            cell([trial.density for trial in trials]),
            *(cell([float(trial[name].mean()) for trial in trials]) for name in layers),
        ]
        for level, trials in sorted(by_level.items())
    ]
    label = "Weights left in each layer of the ticket (%), mean of the trials"
    return joined(element("h2", "Layer by layer"), grid(heads, lines, label))


def _input_shape(store: Store) -> list[int] | None:
    """Return the shape of one example; None for older runs, which do not store it."""
    shape = store.about.get("input_shape")
    good = isinstance(shape, list) and all(isinstance(size, int) and size > 0 for size in shape)
    return shape if good else None


def image_shape(num_inputs: int, input_shape: Sequence[int] | None) -> tuple[int, int, int]:
    """Return height, width and channels of the input of a dense layer with that many inputs.

    If it is not known to be an image, a square one with one channel or three, if possible, else a
    row of pixels.

    Example:
    >>> image_shape(784, (28, 28)), image_shape(3072, None), image_shape(7, (7,))
    ((28, 28, 1), (32, 32, 3), (1, 7, 1))
    """
    shape = tuple(input_shape or ())
    if math.prod(shape) == num_inputs and len(shape) in (2, 3):
        height, width, channels = (*shape, 1)[:3]
        return height, width, channels
    for channels in (1, 3):
        side = math.isqrt(num_inputs // channels)
        if side > 1 and side * side * channels == num_inputs:
            return side, side, channels
    return 1, num_inputs, 1


def surviving_inputs(mask: np.ndarray, input_shape: Sequence[int] | None) -> np.ndarray | None:
    """Count the surviving outgoing weights of each input pixel, as an image.

    Channels are summed. None if the kernel is not that of a dense layer on the inputs.
    """
    if mask.ndim != 2 or (input_shape and math.prod(input_shape) != len(mask)):
        return None
    shape = image_shape(len(mask), input_shape)
    return np.count_nonzero(mask, axis=1).reshape(shape).sum(axis=2)


def blocks(mask: np.ndarray) -> np.ndarray:
    """Return the density of each block of a mask, inputs downwards and outputs to the right.

    A convolution's positions are averaged; a large kernel has 64 x 64 blocks of about equal size.
    """
    values = mask.astype(float)
    values = values.mean(axis=tuple(range(mask.ndim - 2))) if mask.ndim > 2 else values
    values = np.atleast_2d(values)
    for axis in (0, 1):
        size = values.shape[axis]
        edges = np.linspace(0, size, min(size, _MAX_BLOCKS) + 1).astype(int)
        values = np.add.reduceat(values, edges[:-1], axis=axis)
        values = values / np.expand_dims(np.diff(edges), 1 - axis)
    return values


def png(values: np.ndarray, highest: float) -> str:
    """Return an image as a data URL, from dark blue for 0 to yellow for the highest value."""
    import matplotlib
    from matplotlib.image import imsave

    # cividis is safe for colour blindness, and its lightness is monotonic.
    pixels = matplotlib.colormaps["cividis"](np.asarray(values) / (highest or 1), bytes=True)
    buffer = io.BytesIO()
    # None omits matplotlib's version.
    options: dict[str, Any] = {"metadata": {"Software": None}}
    imsave(buffer, pixels, format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

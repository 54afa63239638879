"""The masks in a page: as pictures, and layer by layer."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasinit._src.lottery.report.means import spread
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.reports.html import Markup, element, grid, joined

_MOST_PICTURES = 8
_MOST_BLOCKS = 64


def ticket_masks(store: Store) -> dict[Place, Masks]:
    """Return the masks of every finished ticket."""
    return {
        place: store.stage(place).ticket().masks
        for place in store.places()
        if place.branch == "ticket" and store.has(place)
    }


def masks_section(store: Store, masks: dict[Place, Masks]) -> Markup:
    """Return the masks of the first trial as pictures.

    The inputs that each level of the ticket still looks at are drawn where the first
    kernel is that of a dense layer; then each kernel of the last level, by its density.
    """
    trial = min(place.trial for place in masks)
    tickets = {place.level: found for place, found in masks.items() if place.trial == trial}
    last = max(tickets)
    shown = [(f"level {level}", tickets[level]) for level in spread(list(tickets), _MOST_PICTURES)]
    for branch in store.experiment.branches[1:]:
        there = [level for level in tickets if store.has(Place(trial, level, branch))]
        if there:
            found = store.stage(Place(trial, max(there), branch)).ticket().masks
            # A control that keeps the ticket's mask would be the same picture again.
            if found != tickets[max(there)]:
                shown.append((f"{branch}, level {max(there)}", found))
    first = next(iter(tickets[last]))
    parts = [element("h2", "Masks")]
    drawn = [_input_picture(what, found, store) for what, found in shown]
    if all(drawn):
        parts += [
            element("h3", f"What {first} still looks at"),
            element(
                "p",
                f"Trial {trial}. Each pixel is an input; its colour is the number of its outgoing "
                "weights that survive, from dark blue for none to yellow for the most.",
                class_="note",
            ),
            element("div", *drawn, class_="masks"),
        ]
    parts += [
        element("h3", f"Where layers are thin, level {last}"),
        element(
            "p",
            f"Trial {trial}, the ticket. Inputs of a layer run downwards, outputs to the right; "
            "the colour is the fraction of weights left, from dark blue for none to yellow for "
            "the densest part. Large kernels are drawn in blocks.",
            class_="note",
        ),
        element(
            "div",
            *(_block_picture(name, mask) for name, mask in tickets[last].items()),
            class_="masks kernels",
        ),
    ]
    return joined(*parts)


def _input_picture(what: str, masks: Masks, store: Store) -> Markup | None:
    mask = next(iter(masks.values()))
    counts = surviving_inputs(mask, _input_shape(store))
    if counts is None:
        return None
    most, blind = int(counts.max()), int((counts == 0).sum())
    said = (
        f"{100 * mask.mean():.2f} % left; {counts.min()} to {most} a pixel; "
        f"{blind} of {counts.size} pixels unseen"
    )
    return _picture(png(counts, most), what, said, "image")


def _block_picture(name: str, mask: Any) -> Markup:
    density = blocks(mask)
    shape = " x ".join(map(str, mask.shape))
    said = f"{shape}, {100 * mask.mean():.2f} % left; densest part {100 * density.max():.3g} %"
    return _picture(png(density, density.max()), name, said, "blocks")


def _picture(data: str, what: str, said: str, kind: str) -> Markup:
    return element(
        "figure",
        element("img", src=data, alt=f"{what}: {said}", class_=kind),
        element("strong", what),
        # A line should not begin with a lone %.
        element("figcaption", said.replace(" %", "\N{NO-BREAK SPACE}%")),
    )


def layers_section(masks: dict[Place, Masks]) -> Markup:
    """Return the table of what is left in each layer at each level."""
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
            cell([one.density for one in found]),
            *(cell([float(one[name].mean()) for one in found]) for name in layers),
        ]
        for level, found in sorted(by_level.items())
    ]
    label = "Weights left in each layer of the ticket (%), mean of the trials"
    return joined(element("h2", "Layer by layer"), grid(heads, lines, label))


def _input_shape(store: Store) -> list[int] | None:
    """Return the shape of one example, if the run tells it: older runs do not."""
    shape = store.about.get("input_shape")
    good = isinstance(shape, list) and all(isinstance(size, int) and size > 0 for size in shape)
    return shape if good else None


def image_shape(num_inputs: int, input_shape: Sequence[int] | None) -> tuple[int, int, int]:
    """Return height, width and channels of what a dense layer looks at.

    Args:
        num_inputs: The rows of its kernel.
        input_shape: The shape of one example, if it is known. What is no image is taken
            for a square one if it can be, with one channel or three, else for a strip.

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
    """Return how many outgoing weights of each input pixel live, as an image.

    Returns:
        Counts of shape ``(height, width)``, the channels of a pixel added up; ``None``
        if the kernel is not that of a dense layer on the inputs.

    Example:
    >>> mask = np.array([[True, True], [False, True], [False, False], [True, False]])
    >>> surviving_inputs(mask, (2, 2))
    array([[2, 1],
           [0, 1]])
    """
    if mask.ndim != 2 or (input_shape and math.prod(input_shape) != len(mask)):
        return None
    shape = image_shape(len(mask), input_shape)
    return np.count_nonzero(mask, axis=1).reshape(shape).sum(axis=2)


def blocks(mask: np.ndarray) -> np.ndarray:
    """Return the density of each part of a mask, inputs downwards and outputs to the right.

    A convolution's positions are averaged; a large kernel is cut into at most 64 x 64
    blocks, as equal as can be.

    Example:
    >>> blocks(np.array([[True, False], [True, True]]))
    array([[1., 0.],
           [1., 1.]])
    """
    values = mask.astype(float)
    values = values.mean(axis=tuple(range(mask.ndim - 2))) if mask.ndim > 2 else values
    values = np.atleast_2d(values)
    for axis in (0, 1):
        size = values.shape[axis]
        edges = np.linspace(0, size, min(size, _MOST_BLOCKS) + 1).astype(int)
        values = np.add.reduceat(values, edges[:-1], axis=axis)
        values = values / np.expand_dims(np.diff(edges), 1 - axis)
    return values


def png(values: np.ndarray, most: float) -> str:
    """Return a picture as a data address, dark blue for 0 to yellow for ``most``.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.image import imsave

    # cividis looks the same to the colour-blind, and grows lighter all the way.
    pixels = matplotlib.colormaps["cividis"](np.asarray(values) / (most or 1), bytes=True)
    buffer = io.BytesIO()
    # None leaves out what would name matplotlib's version.
    options: dict[str, Any] = {"metadata": {"Software": None}}
    imsave(buffer, pixels, format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

"""The masks in a page: as pictures, and layer by layer."""

from typing import Any

from kerasinit._src.lottery.report import pictures
from kerasinit._src.lottery.report.means import spread
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.reports.html import Markup, element, grid, joined

_MOST_PICTURES = 8


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

    Args:
        store: The run.
        masks: The tickets' masks, of one training at least.
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
    counts = pictures.surviving_inputs(mask, _input_shape(store))
    if counts is None:
        return None
    most, blind = int(counts.max()), int((counts == 0).sum())
    said = (
        f"{100 * mask.mean():.2f} % left; {counts.min()} to {most} a pixel; "
        f"{blind} of {counts.size} pixels unseen"
    )
    return _picture(pictures.png(counts, most), what, said, "image")


def _block_picture(name: str, mask: Any) -> Markup:
    density = pictures.blocks(mask)
    shape = " x ".join(map(str, mask.shape))
    said = f"{shape}, {100 * mask.mean():.2f} % left; densest part {100 * density.max():.3g} %"
    return _picture(pictures.png(density, density.max()), name, said, "blocks")


def _picture(data: str, what: str, said: str, kind: str) -> Markup:
    return element(
        "figure",
        element("img", src=data, alt=f"{what}: {said}", class_=kind),
        element("strong", what),
        # A line should not begin with a lone %.
        element("figcaption", said.replace(" %", "\N{NO-BREAK SPACE}%")),
    )


def layers_section(masks: dict[Place, Masks]) -> Markup:
    """Return the table of what is left in each layer at each level.

    Args:
        masks: The tickets' masks, of one training at least.
    """
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

"""A comparison as one page of HTML that needs nothing else: no network, no file, no script."""

from importlib import resources
from typing import TYPE_CHECKING

from kerasinit._src.comparison import console, plots
from kerasinit._src.reports.html import Markup, element, grid, joined

if TYPE_CHECKING:
    from kerasinit._src.comparison.result import Comparison
    from kerasinit._src.comparison.winner import Rival

# What the page may load: nothing but what is in it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_BEST = (
    "Best is a choice that is shown to be better than every other: by two-sided exact "
    "signed-rank tests of the least losses, paired by seed, each at a level of 0.05. A seed that "
    "diverged ranks as worst; a choice that was stopped counts with the least loss that it had by "
    "then. Only the seeds are sampled: another network, data set or learning rate is another "
    "question."
)
_LOST = (
    "Lost is a choice that at two looks in a row, an eighth of the steps apart, (1) needs more "
    "than four times the leader's steps: the least loss that any of its seeds has had is above "
    "what every seed of the leader had after a quarter of the steps; and (2) would still end "
    "above what every seed of the leader has now, if it went on falling in a straight line. With "
    "fewer than three seeds nothing is called lost."
)
_DIVERGED = (
    "Diverged is a training whose loss was not finite, or whose last batches have a mean loss "
    "that exceeds the loss at step 0 by more than the size of that."
)


def page(comparison: "Comparison") -> str:
    """Return a comparison as a page of HTML: verdict, curves, table, every training.

    Args:
        comparison: What is to be shown.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    setting = comparison.setting
    title = f"Initializers of {setting.model} on {setting.data}"
    style = resources.files("kerasinit._src.reports").joinpath("page.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        element(
            "main",
            element("h1", title),
            *(element("p", line) for line in comparison.said()),
            _curves(comparison),
            _choices(comparison),
            element("h2", "How to read it"),
            element("p", _setting(comparison)),
            *(element("p", text) for text in (_BEST, _LOST, _DIVERGED)),
            _trainings(comparison),
        ),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _curves(comparison: "Comparison") -> Markup:
    from kerasinit._src.reports.figures import inline, new_figure

    drawn = new_figure(6.4, 4.2)
    plots.draw(drawn.subplots(), comparison)
    seeds = comparison.setting.seeds
    said = "; ".join(
        f"{choice.name}: {console.spread(choice.start)} at step 0, "
        f"least {console.spread(choice.best)}"
        for choice in comparison.choices
    )
    note = "Lines are medians, bands go from the least to the largest of the seeds."
    return joined(
        element("h2", "Learning curves"),
        inline(drawn, "curves", "Loss of the held-out examples", said),
        element("p", note if seeds > 1 else "One seed: there are no bands.", class_="note"),
    )


def _choices(comparison: "Comparison") -> Markup:
    target, best = comparison.target, comparison.best
    goal = "target" if target is None else f"{target:.4g}"
    heads: list[object] = [
        "initializer",
        "loss at step 0:\nmedian (range)",
        "best loss:\nmedian (range)",
        f"steps to\n{goal}",
        "reached it\n(seeds)",
        "diverged\n(seeds)",
        "steps\ntrained",
        "behind the\nleader (seeds)",
        "p",
    ]
    rivals = {one.name: one for one in comparison.verdict.rivals}
    lines: list[list[object]] = [
        [
            element("strong", choice.name) if choice is best else choice.name,
            console.spread(choice.start),
            *console.cells(choice, target),
            *_against(rivals.get(choice.name), len(choice.trainings)),
        ]
        for choice in comparison.choices
    ]
    label = f"Loss of {comparison.setting.held_out} held-out examples{console.how(comparison)}"
    return joined(element("h2", "Choices"), grid(heads, lines, label))


def _against(rival: "Rival | None", seeds: int) -> tuple[str, str]:
    return ("", "") if rival is None else (f"{rival.ahead}/{seeds}", f"{rival.p:.2g}")


def _setting(comparison: "Comparison") -> str:
    setting = comparison.setting
    return (
        f"Every choice was given {setting.steps} steps of {setting.batch_size} examples with each "
        f"of {setting.seeds} seeds ({setting.seed} is their origin), and the same batches as the "
        f"others with the same seed. The loss of {setting.held_out} examples that are not "
        f"trained on was measured every {setting.evaluate_every} steps."
    )


def _trainings(comparison: "Comparison") -> Markup:
    target = comparison.target
    lines: list[list[object]] = []
    for choice in comparison.choices:
        for one in choice.trainings:
            steps = None if target is None else one.steps_to(target)
            first, last = one.points[0], one.points[-1]
            losses = (first.loss, one.best_by(one.steps), last.loss, last.training_loss)
            lines.append(
                [
                    choice.name,
                    one.trial,
                    *("" if loss is None else f"{loss:.4g}" for loss in losses),
                    "" if steps is None else steps,
                    "yes" if one.diverged else "",
                    one.steps,
                ]
            )
    heads: list[object] = [
        "initializer",
        "seed",
        "loss at\nstep 0",
        "least\nloss",
        "last\nloss",
        "last\nbatches",
        "steps to\ntarget",
        "diverged",
        "steps\ntrained",
    ]
    return joined(
        element("h2", "Every training"),
        grid(heads, lines, "The numbers that the medians are made of"),
    )

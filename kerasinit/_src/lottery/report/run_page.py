"""A run as a self-contained HTML page: no network, no other files, no scripts."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from kerasinit._src.files import atomic
from kerasinit._src.lottery import options
from kerasinit._src.lottery.proof.verification import NOT_SHOWN
from kerasinit._src.lottery.proof.winning import Verdict, verdict
from kerasinit._src.lottery.report import plots
from kerasinit._src.lottery.report.layers import layers_section, masks_section, ticket_masks
from kerasinit._src.lottery.report.means import (
    HOW,
    ONE_TRIAL,
    Mean,
    Summary,
    over_trials,
    summaries,
)
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports import figures
from kerasinit._src.reports.figures import INCHES, inline
from kerasinit._src.reports.html import Markup, document, element, grid, joined

_EARLY_STOP = (
    "The early stop is the iteration with the lowest validation loss, determined after training; "
    "the test accuracy is taken there."
)


def write_page(run: Run, path: str | Path) -> None:
    """Write the `page` of a run to a new file.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new file.

    Raises:
        FileExistsError: If the file exists; nothing is overwritten.
        ImportError: If matplotlib is not installed.
        ValueError: If a file of the run is damaged; the message has its name.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> report.write_page("RUN", "run.html")
    >>> Path("run.html").exists()
    True
    """
    # Paths may not be valid text.
    atomic.write_new(Path(path), page(run).encode(errors="backslashreplace"))


def page(run: Run) -> str:
    """Return a run as a self-contained HTML page, the same bytes for the same run.

    It shows accuracy and early stop against density for ticket and controls, the verdict, the
    training curves, the masks as images, the density of each layer, and the specification with
    the command that repeats the run.

    Args:
        run: The run, finished or not: its folder, or what `kerasinit.lottery.run` returned.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If a file of the run is damaged; the message has its name.

    Example:
    >>> from kerasinit.lottery import report
    >>> report.page("RUN") == report.page("RUN")
    True
    """
    store = Store.of(run)
    rows = store.rows()
    title = f"Lottery tickets: {store.experiment.model} on {store.experiment.dataset}"
    sections = [_summary(store, rows)]
    if rows:
        masks = ticket_masks(store)
        sections += [
            _densities(store, rows),
            _verdict(store),
            _curves(store, rows),
            masks_section(store, masks),
            layers_section(masks),
        ]
    sections += [_specification(store), _trainings(rows)]
    return document(title, *sections)


def _summary(store: Store, rows: list[Row]) -> Markup:
    found = summaries(rows)
    places = store.places()
    facts: list[tuple[str, str]] = []
    if (0, "ticket") in found:
        facts.append(("dense network", f"{found[0, 'ticket'].accuracy.text(2)} %"))
        # The sparsest level that has controls, if any has.
        last = max(found, key=lambda place: (place[1] != "ticket", place[0]))[0]
        if last:
            left = f"{100 * found[last, 'ticket'].density:.2f} % of the weights"
            facts += [
                (f"{branch}, {left}", f"{found[last, branch].accuracy.text(2)} %")
                for branch in store.experiment.branches
                if (last, branch) in found
            ]
    trials = len({row.trial for row in rows})
    notes = [f"Test accuracy, {over_trials(trials)}."] if rows else []
    if len(rows) < len(places):
        notes.append(f"{len(places) - len(rows)} of {len(places)} trainings are not finished yet.")
    return joined(
        element("p", " ".join(notes), class_="note"),
        element(
            "dl",
            *(element("div", element("dt", what), element("dd", value)) for what, value in facts),
            class_="facts",
        ),
    )


def _densities(store: Store, rows: list[Row]) -> Markup:
    found, branches = summaries(rows), store.experiment.branches
    bands = any(summary.accuracy.margin is not None for summary in found.values())
    how = f"Bands and ±: {HOW}; wide bands are clipped." if bands else ONE_TRIAL
    drawn = []
    for measure, title in (("accuracy", plots.ACCURACY), ("stop", plots.STOP)):
        figure = figures.new_figure(*INCHES)
        axes = figure.subplots()
        plots.draw_densities(axes, found, measure, branches)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        ends = []
        for branch in branches:
            curve = [summary for (_, name), summary in found.items() if name == branch]
            if curve:
                first, last = _end(curve[0], measure), _end(curve[-1], measure)
                ends.append(f"{branch}: from {first} to {last}")
        drawn.append(inline(figure, measure, title, "; ".join(ends) + "."))
    heads = ["level", "weights\nleft (%)"]
    for branch in branches:
        heads += [f"{branch}:\naccuracy (%)", f"{branch}:\nearly stop"]
    lines = []
    for level in sorted({level for level, _ in found}):
        of_level = [found.get((level, branch)) for branch in branches]
        density = next(summary.density for summary in of_level if summary)
        line = [level, _number(density, f"{100 * density:.2f}")]
        for summary in of_level:
            line += [_mean(summary.accuracy, 2), _mean(summary.stop, 0)] if summary else ["", ""]
        lines.append(line)
    return joined(
        element("h2", "Accuracy and early stop"),
        element("div", *drawn, class_="plots"),
        element("p", f"{_EARLY_STOP} {how}", class_="note"),
        grid(heads, lines, "Each level, means over the trials"),
    )


def _end(summary: Summary, measure: str) -> str:
    mean = getattr(summary, measure)
    return f"{mean.value:.2f} at {100 * summary.density:.2f} % of the weights"


def _verdict(store: Store) -> Markup:
    found, note = verdicts(store)
    if not found:
        return joined(element("h2", "Verdict"), element("p", note)) if note else Markup()
    colors = {"WINNING": "won", "NOT WINNING": "lost"}
    lines = [
        [
            f"level {one.level}, {100 * one.density:.2f} % left",
            element("strong", one.outcome, class_=colors.get(str(one.outcome), "open")),
            one.text,
        ]
        for one in found
    ]
    heads = ["ticket", "verdict", "why"]
    return joined(element("h2", "Verdict"), grid(heads, lines, "Did the ticket win?", words=True))


def verdicts(run: Run) -> tuple[Sequence[Verdict], str]:
    """Return the verdicts on a run, or why there are none, as for an unfinished run."""
    store = Store.of(run)
    try:
        return verdict(store), ""
    except ValueError as error:
        # Without the folder, so that a copy of a run has the same page.
        return (), f"No verdict: {error}".replace(str(store.folder), "the run")


def _curves(store: Store, rows: list[Row]) -> Markup:
    drawn = []
    begin = store.experiment.iterations // 10
    for branch in store.experiment.branches:
        curves = plots.branch_curves(store, rows, branch)
        for measure, title in (
            ("validation_loss", "validation loss"),
            ("validation_accuracy", "validation accuracy (%)"),
        ):
            if not curves:
                continue
            figure = figures.new_figure(*INCHES)
            plots.draw_curves(figure.subplots(), curves, measure, begin)
            figure.legend(loc="outside lower center", ncols=3, frameon=False, title="weights left")
            description = f"Lines for {', '.join(curves)} of the weights left."
            drawn.append(inline(figure, f"{branch}-{measure}", f"{branch}: {title}", description))
    note = (
        f"Means over the trials, for at most {plots.MAX_CURVES} levels including the first and the "
        "last. The first tenth of an accuracy curve may be below the frame."
    )
    return joined(
        element("h2", "Training curves"),
        element("div", *drawn, class_="plots"),
        element("p", note, class_="note"),
    )


def _specification(store: Store) -> Markup:
    meanings = options.descriptions()
    lines = []
    for name, value in store.experiment.to_dict().items():
        option = " ".join(options.words({name: value}))
        value = element("code", option) if option else "not given"
        lines.append([element("code", name), value, meanings.get(name, "")])
    versions = store.about.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    data = store.about.get("data") or "unknown"
    versions = [f"{name} {version}" for name, version in versions.items()]
    return joined(
        element("h2", "The experiment"),
        element("p", "To repeat it (a model or data from Python must be passed from there):"),
        element("pre", element("code", *_words(options.command(store.experiment)))),
        grid(["field", "as an option", "meaning"], lines, "All fields", words=True),
        element("p", "Made with ", ", ".join(versions) or "unknown versions", "."),
        element("p", "SHA-256 of the data: ", element("code", data)),
        element(
            "p",
            element("code", "kerasinit lottery verify RUN"),
            f" verifies masks and weights from the files. {NOT_SHOWN} For its digest: ",
            element("code", "kerasinit lottery digest RUN"),
            ".",
        ),
    )


def _trainings(rows: list[Row]) -> Markup:
    heads = ["trial", "level", "branch", "weights\nleft (%)", "test\naccuracy (%)"]
    heads += ["early\nstop", "validation loss\nthere", "test accuracy\nat the end (%)"]
    lines = [
        [
            row.trial,
            row.level,
            row.branch,
            _number(row.density, f"{100 * row.density:.2f}"),
            _number(row.test_accuracy, f"{100 * row.test_accuracy:.2f}"),
            _number(row.best_iteration, str(row.best_iteration)),
            _number(row.best_validation_loss, f"{row.best_validation_loss:.5g}"),
            _number(row.final_test_accuracy, f"{100 * row.final_test_accuracy:.2f}"),
        ]
        for row in rows
    ]
    return joined(
        element("h2", "Every training"),
        grid(heads, lines, "The trainings behind the means"),
    )


def _words(command: str) -> list[Markup]:
    """Return a command with line breaks between words only, not at hyphens."""
    words = [shlex.quote(word) for word in shlex.split(command)]
    return [joined(element("span", word, class_="word"), " ") for word in words]


def _number(value: float, shown: str) -> Markup:
    """Return a rounded number whose element has all digits."""
    return element("data", shown, value=repr(value))


def _mean(mean: Mean, digits: int) -> Markup:
    return _number(mean.value, mean.text(digits))

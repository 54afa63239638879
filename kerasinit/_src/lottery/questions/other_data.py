"""Transfer: whether a ticket found on some data wins on other data."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from kerasinit._src.lottery.questions.answers import (
    Answers,
    MessageCallback,
    answers_folder,
    chosen_levels,
    ignore,
)
from kerasinit._src.lottery.questions.question_plots import transfer_figure
from kerasinit._src.lottery.report.means import accuracy_text, means_over_trials, over_trials
from kerasinit._src.lottery.store.stage import Place, Row, Stage
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks, keep_largest
from kerasinit._src.reports import terminal
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset, load, require_dataset
from kerasinit._src.training.outcome import weights_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Transfer:
    """The result of `transfer`.

    Attributes:
        found_on: The data set of the run.
        trained_on: The other data set.
        new_head: Whether the output layers differ in shape, so that the output layer's
            values were redrawn and its mask drawn at random.
        rows: A row for each training on the other data; level 0 is the dense network.

    Example:
        See `transfer`.
    """

    found_on: str
    trained_on: str
    new_head: bool
    rows: tuple[Row, ...]

    def table(self) -> Table:
        """Return a table with a line for each network, means over the trials."""
        caption = (
            "Early stop: the iteration of lowest validation loss; test accuracy is taken there"
        )
        if self.new_head:
            caption += (
                f". The output layer does not fit {self.trained_on}: its values are redrawn, and "
                f"its mask is drawn at random with the same density"
            )
        trials = len({row.trial for row in self.rows})
        spread = " ± sd" if trials > 1 else ""
        heads = ["network", "level", "weights\nleft (%)", f"test\naccuracy (%){spread}"]
        heads += ["early\nstop", "against\ndense (points)"]
        means = means_over_trials(self.rows)
        dense = next(mean["test_accuracy"] for mean in means if mean["level"] == 0)
        rows = [
            (
                mean["branch"] if mean["level"] else "dense",
                mean["level"],
                f"{100 * mean['density']:.2f}",
                accuracy_text(mean),
                f"{mean['best_iteration']:.0f}",
                f"{100 * (mean['test_accuracy'] - dense):+.2f}" if mean["level"] else "",
            )
            for mean in means
        ]
        title = f"Tickets of {self.found_on}, trained on {self.trained_on}, {over_trials(trials)}"
        return terminal.table(
            heads,
            rows,
            words=1,
            title=terminal.literal(title),
            caption=terminal.literal(caption + "."),
        )

    def plot(self) -> "Figure":
        """Return a matplotlib figure: the networks on the other data, against density.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        title = f"Tickets of {self.found_on}, trained on {self.trained_on}"
        return transfer_figure(self.rows, title)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "question": "transfer",
            "found_on": self.found_on,
            "trained_on": self.trained_on,
            "new_head": self.new_head,
            "rows": [asdict(row) for row in self.rows],
        }


def transfer(
    run: Run,
    to: str | Dataset,
    *,
    levels: Iterable[int] = (),
    iterations: int | None = None,
    out: str | Path | None = None,
    build: models.Build | None = None,
    say: MessageCallback = ignore,
) -> Transfer:
    """Train the tickets of a run on other data, beside the run's controls and the dense network.

    All start at iteration 0 with a new optimizer, on the same order of the examples. The
    dense network has the run's initial values, so that a ticket differs from it by its mask
    (and by what the run's rewinding kept). Every control of the run is included with the state
    that it started from. Where the output layer does not fit, all networks of a trial get the same
    new one, with a random mask of the ticket's density in that layer.

    Args:
        run: A run, its folder or what `kerasinit.lottery.run` returned; it is not changed.
        to: The other data: a name or file as for `kerasinit.lottery.load`, or a data
            set. Its examples must have the same shape as the run's; classes may differ.
        levels: The levels of the tickets, by default the last finished one.
        iterations: Optimizer steps of each training; by default as many as in the run.
        out: The folder for the answers, by default the run's name, ``-on-`` and the
            other data's name. Finished trainings in it are reused; more levels may be added
            later.
        build: The run's function that builds a model, if it cannot be imported. Default: None.
        say: Called with a line for each finished training. Default: no messages.

    Returns:
        A `Transfer`: the results on the other data.

    Raises:
        ValueError: Before any training, if an argument does not fit.
        DivergedError: If the loss of a training is not finite.

    Example:
    >>> import numpy as np
    >>> from kerasinit import lottery
    >>> from kerasinit.lottery import questions
    >>> draw = np.random.default_rng(0).random
    >>> labels = np.arange(120) % 10
    >>> other = lottery.Dataset(draw((120, 8, 8)), labels, draw((60, 8, 8)), labels[:60], "noise")
    >>> found = questions.transfer("RUN", other, iterations=10)
    >>> found.trained_on, found.new_head, len(found.rows)
    ('noise', False, 6)

    Reference:
        Morcos, Yu, Paganini and Tian, 2019, "One ticket to win them all",
        https://arxiv.org/abs/1906.02773.
    """
    store = Store.of(run)
    chosen = chosen_levels(store, levels)
    data = load(to) if isinstance(to, str) else require_dataset(to, "to")
    if build is not None:
        models.require_build(build)
    experiment = replace(store.experiment, dataset=data.name, rewind="init")
    if iterations is not None:
        experiment = replace(experiment, iterations=iterations)
    setup = Setup(experiment, build or models.find(experiment.model), data)
    training = Trial(setup, 0)
    new_head = needs_new_head(
        _ticket(store, Place(0, chosen[0], "ticket"), training), training, data
    )
    answers = Answers(
        answers_folder(out, store.folder, f"on-{data.name}"),
        {
            "question": "transfer",
            "experiment": experiment.to_dict(),
            "data": data.digest,
            "found_on": store.about.get("data"),
            "found_by": store.experiment.to_dict(),
        },
    )
    rows = []
    with answers.held():
        for trial in range(experiment.trials):
            for place in _places(store, trial, chosen):
                at = (f"trial-{trial}", f"level-{place.level:02d}", place.branch)
                if not answers.has(*at):
                    if training.number != trial:
                        training = Trial(setup, trial)
                    _train(training, answers, at, place, _ticket(store, place, training), say)
                rows.append(Stage(answers.path(*at)).row())
    return Transfer(store.experiment.dataset, data.name, new_head, tuple(rows))


def _places(store: Store, trial: int, levels: list[int]) -> list[Place]:
    """Return the finished trainings of a run to transfer: dense, tickets, their controls."""
    dense = Place(trial, 0, "ticket")
    return [dense] + [
        place
        for place in store.places()
        if place.trial == trial and place.level in levels and place.level and store.has(place)
    ]


def _ticket(store: Store, place: Place, training: Trial) -> Ticket:
    return store.stage(place).ticket().named_for(training.trainer.model)


def _train(
    training: Trial,
    answers: Answers,
    at: tuple[str, ...],
    place: Place,
    ticket: Ticket,
    say: MessageCallback,
) -> None:
    """Train one network on the other data, and write it to disk."""
    rng = training.generator("transfer head", place.level)
    fitted = fit_head(ticket, weights_of(training.first), rng)
    begun, trained = training.train(str(place), fitted.masks, fitted.weights, training.order())
    row = Row.of(place, fitted.masks.density, trained)
    with answers.new(*at) as folder:
        kept = Ticket(fitted.masks, weights_of(begun), {"place": str(place)})
        Stage(folder).write(row, trained, kept)
        Stage(folder).write_state("trained", weights_of(trained.final))
    say(f"{place}: test accuracy {100 * row.test_accuracy:.2f} % at {row.best_iteration}")


def _head(ticket: Ticket) -> str:
    """Return the path of the output layer: that of the last prunable weight."""
    return list(ticket.masks)[-1].rpartition("/")[0]


def needs_new_head(ticket: Ticket, training: Trial, data: Dataset) -> bool:
    """Return whether the output layer, and only that, does not fit; else raise ValueError."""
    theirs, mine = weights_of(training.first), ticket.weights
    different = [
        name
        for name in dict.fromkeys([*mine, *theirs])
        if name not in mine or name not in theirs or mine[name].shape != theirs[name].shape
    ]
    for name in different:
        if name.rpartition("/")[0] != _head(ticket):
            shapes = [
                str(part[name].shape) if name in part else "missing" for part in (mine, theirs)
            ]
            raise ValueError(
                f"The ticket does not fit {data.name}, whose examples have shape "
                f"{data.input_shape}: {name!r} is {shapes[0]} in the ticket and {shapes[1]} in the "
                f"network for {data.name}. Only the output layer may differ; give a data set with "
                f"examples of the run's shape."
            )
    return bool(different)


def fit_head(ticket: Ticket, first: Mapping[str, np.ndarray], rng: np.random.Generator) -> Ticket:
    """Return a ticket whose output layer fits the network with the initial values ``first``.

    If the ticket's own does not, the layer gets the values of ``first`` and a random mask of
    ``round(density * size)`` weights, at least one, with the density of the ticket's output layer.
    """
    if all(first[name].shape == value.shape for name, value in ticket.weights.items()):
        return ticket
    head = _head(ticket)
    masks, weights = dict(ticket.masks), dict(ticket.weights)
    for name in [name for name in first if name.rpartition("/")[0] == head]:
        weights[name] = first[name]
        if name in masks:
            size, density = first[name].size, np.count_nonzero(masks[name]) / masks[name].size
            count = max(1, round(density * size))
            masks[name] = keep_largest(rng.random(first[name].shape), count)
            weights[name] = np.where(masks[name], first[name], np.zeros((), first[name].dtype))
    return Ticket(Masks(masks), weights, ticket.about)

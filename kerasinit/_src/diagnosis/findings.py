"""What was found wrong with a network, and what the rules that find it ask of its layers."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from kerasinit._src.diagnosis.advice import KINDS, SIZES, advice
from kerasinit._src.diagnosis.measured import Measure, Measured


@dataclass(frozen=True)
class Finding:
    """Something that keeps a network from training.

    Attributes:
        kind: One of `KINDS`.
        layer: The first layer where it shows, by its path; ``"input"`` for the data.
        evidence: What was measured there, and the limit.
        confidence: One minus the chance that a healthy network shows as much.
        meaning: What it means, in a sentence.
        advice: What to write to mend it.
        others: The paths of other layers that show it.
        as_is: Whether it shows with the weights as they are. If not, the other attributes
            are those of the first of the ``seeds``.
        seeds: Those of the seeds that were asked for with which it shows, the weights drawn anew.
            If none, it comes from these weights, not from the initializers.
    """

    kind: str
    layer: str
    evidence: str
    confidence: float
    meaning: str
    advice: str
    others: tuple[str, ...] = ()
    as_is: bool = True
    seeds: tuple[int, ...] = ()

    def shown(self, asked: int) -> str:
        """Return in how many of the seeds it shows, as a phrase; empty if none was asked for."""
        if not asked:
            return ""
        now = "" if self.as_is else "not as it is, but "
        return f"{now}in {len(self.seeds)} of {asked} seeds"


def together(
    as_it_is: tuple[Finding, ...], by_seed: dict[int, tuple[Finding, ...]]
) -> tuple[Finding, ...]:
    """Return findings of the weights as they are and of others, one for each kind.

    Args:
        as_it_is: Those of the weights as they are.
        by_seed: Those of weights drawn anew, by their seed.
    """
    first = {finding.kind: finding for finding in as_it_is}
    for findings in by_seed.values():
        for finding in findings:
            first.setdefault(finding.kind, dataclasses.replace(finding, as_is=False))
    return in_order(
        dataclasses.replace(
            finding,
            seeds=tuple(
                seed
                for seed, findings in by_seed.items()
                if any(one.kind == finding.kind for one in findings)
            ),
        )
        for finding in first.values()
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of their kinds: causes before their effects."""
    return tuple(sorted(findings, key=lambda one: list(KINDS).index(one.kind)))


class Found:
    """The rows that can be judged, how they hang together, and what was found so far.

    Args:
        measured: What the model showed.
        times: How many sets of weights of it are judged in all.
    """

    def __init__(self, measured: Measured, times: int) -> None:
        self.measured = measured
        self.rows = list(measured.layers)
        self.findings: dict[str, Finding] = {}
        self.users: list[list[int]] = [[] for _ in self.rows]
        for place, row in enumerate(self.rows):
            for source in row.before:
                if source >= 0:
                    self.users[source].append(place)
        # How many kernels come after a call, on the way that has most, and how many up to it.
        self.kernels_after = [0] * len(self.rows)
        for place in reversed(range(len(self.rows))):
            for source in self.rows[place].before:
                if source >= 0:
                    more = self.kernels_after[place] + self._is_kernel(place)
                    self.kernels_after[source] = max(self.kernels_after[source], more)
        self.kernels_before: list[int] = []
        for place, row in enumerate(self.rows):
            sources = [self.kernels_before[source] for source in row.before if source >= 0]
            self.kernels_before.append(max(sources, default=0) + self._is_kernel(place))
        # Calls that an input out of scale comes to, with the line that brings it to scale.
        self._out_of_scale: dict[int, str] = {}
        kernels = sum(map(self._is_kernel, range(len(self.rows))))
        self.judgements = 4 * max(1, kernels) * times

    def keep_first(self, count: int) -> None:
        """Judge only the first calls from now on."""
        self.rows = self.rows[:count]
        self.users = [[user for user in users if user < count] for users in self.users[:count]]

    def _is_kernel(self, place: int) -> bool:
        row = self.rows[place]
        return row.role == "kernel" and row.way != "constant"

    def is_hidden(self, place: int) -> bool:
        """Return whether a kernel comes after a call."""
        return self.kernels_after[place] > 0

    def kernels_on_the_way(self, place: int) -> int:
        """Return how many kernels a signal passes at most that passes this call."""
        return self.kernels_before[place] + self.kernels_after[place]

    def tell(self, kind: str, layer: str, evidence: str, confidence: float, mend: str) -> None:
        """Note a finding, or one more layer of it."""
        first = self.findings.get(kind)
        if first is None:
            finding = Finding(kind, layer, evidence, confidence, KINDS[kind], mend)
            self.findings[kind] = finding
        elif layer != first.layer and layer not in first.others:
            self.findings[kind] = dataclasses.replace(first, others=(*first.others, layer))

    def activation(self, place: int) -> str | None:
        """Return what follows a layer's sums, in the layer or in one right after it."""
        row = self.rows[place]
        if row.activation is not None or row.follows is not None:
            return row.activation or row.follows
        found = {
            None if self.rows[user].role == "kernel" else self.activation(user)
            for user in self.users[place]
            if self.rows[user].role in ("", "source", "block")
        }
        return found.pop() if len(found) == 1 else None

    def note_out_of_scale(self, place: int, mend: str) -> None:
        """Note that an input out of scale comes to a call, and to what comes after it.

        Args:
            place: The call of the first layer with a kernel.
            mend: The line that brings the input to scale.
        """
        waiting = [place]
        while waiting:
            here = waiting.pop()
            if here not in self._out_of_scale and self.rows[here].role != "source":
                self._out_of_scale[here] = mend
                waiting += self.users[here]

    def advice(self, kind: str, place: int) -> str:
        """Return what to write to mend a finding at a call of a layer."""
        if kind in SIZES and place in self._out_of_scale:
            return self._out_of_scale[place]
        row = self.rows[place]
        is_function = row.activation is None or row.kind == "TFOpLambda"
        return advice(kind, self.activation(place), is_function=is_function)

    def is_normalized(self, place: int) -> bool:
        """Return whether a normalization right after a layer makes its scale good."""
        users = [user for user in self.users[place] if self.rows[user].way != "constant"]
        return bool(users) and all(
            self.rows[user].role == "source"
            or (self.rows[user].role == "block" and self.is_normalized(user))
            for user in users
        )


def wakes(row: Measure) -> bool:
    """Return whether a layer is zero now and will not be after one step."""
    return row.zero_kernel and bool(row.weight_gradient)


def gets_nothing(row: Measure) -> bool:
    """Return whether all that goes into a layer is zero."""
    return row.given is not None and row.given.square == 0


def is_cut_off(row: Measure) -> bool:
    """Return whether nothing leads back from the loss to a layer, as far as it can be followed."""
    return row.weight_gradient is None and row.gradient is None

"""Findings, and the review of a model that collects them."""

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
        layer: The path of the first layer that shows it; ``"input"`` for the data.
        evidence: What was measured there, and the limit.
        confidence: One minus the probability that a healthy network shows as much.
        meaning: What it means, in a sentence.
        advice: What to write to fix it.
        others: The paths of other layers that show it.
        as_is: Whether the current weights show it. If not, the other attributes are those of the
            first of the ``seeds``.
        seeds: The seeds under which the redrawn weights show it. If there are none, the current
            weights are the cause, not the initializers.

    Example:
        See `kerasinit.diagnose`.
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
        """Return in how many of the seeds it shows, as a phrase; empty for no seeds.

        Args:
            asked: The number of seeds that were judged.
        """
        if not asked:
            return ""
        now = "" if self.as_is else "not as it is, but "
        return f"{now}in {len(self.seeds)} of {asked} seeds"


def merged(
    current: tuple[Finding, ...], by_seed: dict[int, tuple[Finding, ...]]
) -> tuple[Finding, ...]:
    """Merge findings of the current weights and of redrawn ones, by seed: one for each kind."""
    first = {finding.kind: finding for finding in current}
    seeds: dict[str, list[int]] = {}
    for seed, findings in by_seed.items():
        for finding in findings:
            first.setdefault(finding.kind, dataclasses.replace(finding, as_is=False))
            seeds.setdefault(finding.kind, []).append(seed)
    return in_order(
        dataclasses.replace(finding, seeds=tuple(seeds.get(kind, ())))
        for kind, finding in first.items()
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by their kinds: causes before their effects."""
    return tuple(sorted(findings, key=lambda finding: list(KINDS).index(finding.kind)))


class Review:
    """The rows that can be judged, how they are connected, and the findings so far.

    ``times`` is how many sets of weights of the model are judged in total.
    """

    def __init__(self, measured: Measured, times: int) -> None:
        self.measured = measured
        self.rows = list(measured.layers)
        self.findings: dict[str, Finding] = {}
        self.users: list[list[int]] = [[] for _ in self.rows]
        for place in range(len(self.rows)):
            for source in self._sources(place):
                self.users[source].append(place)
        # The max number of kernels on a path after a call, and on a path up to and including it.
        self.kernels_after = [0] * len(self.rows)
        for place in reversed(range(len(self.rows))):
            for source in self._sources(place):
                more = self.kernels_after[place] + self._is_kernel(place)
                self.kernels_after[source] = max(self.kernels_after[source], more)
        self.kernels_before: list[int] = []
        for place in range(len(self.rows)):
            counts = [self.kernels_before[source] for source in self._sources(place)]
            self.kernels_before.append(max(counts, default=0) + self._is_kernel(place))
        # Calls that an input out of scale reaches, with the advice that rescales it.
        self._out_of_scale: dict[int, str] = {}
        kernels = sum(map(self._is_kernel, range(len(self.rows))))
        self.judgements = 4 * max(1, kernels) * times

    def _sources(self, place: int) -> list[int]:
        return [source for source in self.rows[place].before if source >= 0]

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

    def kernels_on_path(self, place: int) -> int:
        """Return the max number of kernels on a path through this call."""
        return self.kernels_before[place] + self.kernels_after[place]

    def report(self, kind: str, layer: str, evidence: str, confidence: float, fix: str) -> None:
        """Add a finding, or one more layer to the finding of this kind."""
        first = self.findings.get(kind)
        if first is None:
            finding = Finding(kind, layer, evidence, confidence, KINDS[kind], fix)
            self.findings[kind] = finding
        elif layer != first.layer and layer not in first.others:
            self.findings[kind] = dataclasses.replace(first, others=(*first.others, layer))

    def activation(self, place: int) -> str | None:
        """Return the activation after a layer's sums: its own, or that of the next layers."""
        row = self.rows[place]
        if row.activation is not None or row.follows is not None:
            return row.activation or row.follows
        names = {
            None if self.rows[user].role == "kernel" else self.activation(user)
            for user in self.users[place]
            if self.rows[user].role in ("", "source", "block")
        }
        return names.pop() if len(names) == 1 else None

    def mark_out_of_scale(self, place: int, fix: str) -> None:
        """Mark a call and all after it, up to those that reset the scale, as out of scale."""
        waiting = [place]
        while waiting:
            here = waiting.pop()
            if here not in self._out_of_scale and self.rows[here].role != "source":
                self._out_of_scale[here] = fix
                waiting += self.users[here]

    def advice(self, kind: str, place: int) -> str:
        """Return what to write to fix a finding at a call of a layer."""
        if kind in SIZES and place in self._out_of_scale:
            return self._out_of_scale[place]
        row = self.rows[place]
        is_function = row.activation is None or row.kind == "TFOpLambda"
        return advice(kind, self.activation(place), is_function=is_function)

    def is_normalized(self, place: int) -> bool:
        """Return whether a normalization right after a layer corrects its scale."""
        users = [user for user in self.users[place] if self.rows[user].way != "constant"]
        return bool(users) and all(
            self.rows[user].role == "source"
            or (self.rows[user].role == "block" and self.is_normalized(user))
            for user in users
        )


def will_recover(row: Measure) -> bool:
    """Return whether a layer is zero now and will not be after one step."""
    return row.zero_kernel and bool(row.weight_gradient)


def has_zero_input(row: Measure) -> bool:
    """Return whether the layer's whole input is zero."""
    return row.given is not None and row.given.square == 0


def is_disconnected(row: Measure) -> bool:
    """Return whether no gradient path leads from the loss to a layer."""
    return row.weight_gradient is None and row.gradient is None

"""Which training steps change no mask, so that a cheaper training function can take them."""

from collections.abc import Callable, Iterable
from typing import Any

from kerasinit.pruning import outlook

# Steps without a change of masks from which on a second training function pays.
_WORTH_COMPILING = 20


class QuietSteps:
    """Looks ahead in the schedules, once for many calls of a training function.

    Attributes:
        allowed: Whether there may be quiet steps: nobody else writes weights between two
            steps of the training that runs.
    """

    def __init__(self) -> None:
        self.allowed = False
        self._unchanged, self._sure_calls = range(0), 0

    def forget(self) -> None:
        """Look again before the next call: the step is another one now."""
        self._sure_calls = 0

    def begin(self, allowed: bool) -> None:
        """Begin a training."""
        self.allowed = allowed
        self._unchanged, self._sure_calls = range(0), 0

    def next_call(self, step: Callable[[], int], rules: Iterable[Any], steps: int) -> bool:
        """Return whether no mask changes in the next call, nor in the step after it.

        That step would look at weights that are not masked yet.

        Args:
            step: Tells the number of steps so far. To read it takes a twentieth of the step of
                a small network, so it is asked for rarely.
            rules: How the weights are pruned.
            steps: Training steps that a call may take.
        """
        if not self.allowed:
            return False
        if self._sure_calls:
            self._sure_calls -= 1
            return True
        now = step()
        if now not in self._unchanged:
            following = min(outlook.next_update(rule, now) for rule in set(rules))
            # For few steps it is not worth to compile a training function.
            worth = following - now > _WORTH_COMPILING
            self._unchanged = range(now, following if worth else now)
        # A call takes that many steps or, at the end of the data, fewer.
        calls = max(0, (self._unchanged.stop - now - 2) // steps)
        self._sure_calls = max(0, calls - 1)
        return calls > 0

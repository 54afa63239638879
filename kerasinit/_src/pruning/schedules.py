"""What a schedule will do in a training, reported before it is too late to fix.

Keras knows how many steps a training will have, so a schedule can be asked beforehand.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import errors
from kerasinit._src.pruning.tfmot_bridge import tfmot

NEVER = 2**62  # a step that no training reaches


def check_schedule(schedule: Any) -> None:
    """Raise unless a schedule answers a step with (whether to update, sparsity).

    Raises:
        TypeError: If it answers something else.
        ValueError: If the sparsity is not in [0, 1).
    """
    answer = schedule(tf.constant(1, tf.int64))
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise TypeError(
            f"Expected pruning_schedule(step) to return (whether to update the masks, sparsity); "
            f"{schedule!r} returned {answer!r}."
        )
    _check_sparsity(schedule, np.array([1]), np.array([float(answer[1])]))


def is_tfmots_own(schedule: Any) -> bool:
    """Return whether a schedule is one of tfmot's two, which check their sparsity when made."""
    return type(schedule) in (tfmot().ConstantSparsity, tfmot().PolynomialDecay)


def check_update(schedule: Any, step: tf.Tensor, fires: Any, sparsity: Any) -> list[tf.Operation]:
    """Raise unless what a schedule asks for at an update is in [0, 1).

    For loops that users write, to whose end nobody can look. XLA cannot raise, and leaves the
    check out.

    Returns:
        Within a graph, what has to be done before the update.

    Raises:
        ValueError: If it is not.
        tensorflow.errors.InvalidArgumentError: The same within a graph.
    """
    fires, sparsity = tf.convert_to_tensor(fires), tf.convert_to_tensor(sparsity)
    if not tf.inside_function():
        if fires:
            _check_sparsity(schedule, step.numpy()[None], sparsity.numpy()[None])
        return []
    fits = tf.logical_and(sparsity >= 0, sparsity < 1)
    message = (
        f"Expected sparsities in [0, 1), the fraction to remove; the schedule {schedule!r} asks "
        "for (sparsity, step)"
    )
    return [tf.debugging.Assert(tf.logical_or(~fires, fits), [message, sparsity, step])]


def updates(schedule: Any, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps up to ``last`` at which a schedule fires, and its sparsities there.

    Raises:
        ValueError: If one of the sparsities is not in [0, 1).

    Example:
    >>> updates(tfmot().PolynomialDecay(0.0, 0.5, begin_step=0, end_step=20, frequency=10), 25)
    (array([10, 20]), array([0.4375, 0.5   ], dtype=float32))
    """
    steps = tf.range(1, last + 1, dtype=tf.int64)
    if is_tfmots_own(schedule):
        fires, sparsities = schedule(steps)
        sparsities = tf.broadcast_to(sparsities, tf.shape(steps))
    else:
        fires, sparsities = _one_by_one(schedule, steps)
    fired = fires.numpy()
    steps, sparsities = steps.numpy()[fired], sparsities.numpy()[fired]
    _check_sparsity(schedule, steps, sparsities)
    return steps, sparsities


def next_update(rule: Any, step: int) -> int:
    """Return a step after ``step`` before which a rule updates no mask.

    It is the next update, or, of a schedule that is not tfmot's own, the next step. Where
    no update follows, it is beyond any training.

    Example:
    >>> from types import SimpleNamespace
    >>> cubic = tfmot().PolynomialDecay(0.0, 0.5, begin_step=5, end_step=30, frequency=10)
    >>> rule = SimpleNamespace(schedule=cubic, pattern=SimpleNamespace(once=False))
    >>> [next_update(rule, step) for step in (0, 5, 24)]
    [5, 15, 25]
    >>> next_update(rule, 25) == NEVER
    True
    """
    if rule.pattern.once:
        return 1 if step < 1 else NEVER
    if not is_tfmots_own(rule.schedule):
        return step + 1
    return next_tfmot_update(rule.schedule, step)


def next_tfmot_update(schedule: Any, step: int) -> int:
    """Return the step after ``step`` at which one of tfmot's own schedules fires next.

    Where it fires no more, that is `NEVER`. No schedule fires before the first step.
    """
    begin, end, frequency = (
        int(number) for number in (schedule.begin_step, schedule.end_step, schedule.frequency)
    )
    following = begin
    if step >= begin:
        following = step + frequency - (step - begin) % frequency
    return NEVER if 0 <= end < following else following


def final_update(rule: Any, now: int, last: int) -> int:
    """Return the step from which on a rule asks for no more than it has asked for.

    Args:
        rule: Schedule and pattern.
        now: The step that the training is at.
        last: The step at which it will end. No one can look beyond it, save in the schedules
            of tfmot: `NEVER` if one of these never fires.
    """
    if rule.pattern.once:
        return 1
    schedule = rule.schedule
    if isinstance(schedule, tfmot().ConstantSparsity):
        return next_tfmot_update(schedule, 0)
    if isinstance(schedule, tfmot().PolynomialDecay):
        last = int(schedule.end_step)
    steps, asked = updates(schedule, max(now, last))
    if not len(steps):
        return NEVER
    return int(steps[np.flatnonzero(asked >= asked.max() - 1e-6)[0]])


def removes_by(schedule: Any, pattern: Any, last: int) -> bool:
    """Return whether anything would have been removed by a step."""
    return pattern.once or bool(np.any(updates(schedule, last)[1] > 0))


def say_what_will_not_work(
    names: dict[Any, list[str]],
    shapes: dict[str, tuple[int, ...]],
    sparsities: dict[str, float],
    first: int,
    last: int,
    said: set[str],
) -> None:
    """Warn once of what a training from step ``first`` to ``last`` cannot do.

    Args:
        names: Rules and the names of their weights.
        shapes: The shape of each weight.
        sparsities: The fraction of each weight that is removed already.
        first: First step of the training.
        last: Last step of the training.
        said: What was said of this model before; it is not said again, and grows.

    Raises:
        ValueError: If a sparsity is not in [0, 1).
    """
    found: dict[str, str] = {}
    for rule, weights in names.items():
        for name in weights:
            misfit = rule.pattern.misfit(name, shapes[name])
            if misfit:
                found[f"misfit of {name}"] = misfit
        if rule.pattern.once:
            if first <= 1 <= last:
                found |= _of_the_groups(rule.pattern, weights, sparsities)
            continue
        steps, asked = updates(rule.schedule, last)
        found |= _of_the_schedule(rule.schedule, steps, asked, first, last)
        ahead = asked[steps >= first]
        if len(ahead):
            most = float(ahead.max())
            found |= _of_the_weights(rule.pattern, weights, shapes, sparsities, most)
    new = [message for topic, message in found.items() if topic not in said]
    said.update(found)
    if new:
        errors.warn("Pruning: " + " ".join(new))


def was_said(schedule: Any, said: set[str]) -> bool:
    """Return whether it was said of a schedule that it cannot do, or has not done, its work."""
    return any(f"{topic} of {id(schedule)}" in said for topic in ("silence", "end", "early end"))


def note_early_end(schedule: Any, said: set[str]) -> None:
    """Remember that it was said of a schedule that a training ended before it."""
    said.add(f"early end of {id(schedule)}")


def _of_the_schedule(
    schedule: Any, steps: np.ndarray, asked: np.ndarray, first: int, last: int
) -> dict[str, str]:
    training = f"this training, steps {first} to {last}"
    if not len(steps):
        message = f"The schedule {schedule!r} does not fire in {training}."
        if isinstance(schedule, tfmot().ConstantSparsity | tfmot().PolynomialDecay):
            message = (
                f"The schedule does not fire in {training}: it has "
                f"begin_step={schedule.begin_step}, end_step={schedule.end_step}, "
                f"frequency={schedule.frequency}. {_what_would_fire(schedule, first, last)}"
            )
        return {f"silence of {id(schedule)}": message}
    final = getattr(schedule, "final_sparsity", None)
    if not isinstance(schedule, tfmot().PolynomialDecay) or abs(asked[-1] - final) < 1e-6:
        return {}
    begin, end, latest = schedule.begin_step, schedule.end_step, steps[-1]
    is_here = f"The last update in {training}, is at step {latest}"
    was_before = f"There is no update in {training}; the last was at step {latest}"
    # A decay needs a step from its beginning to its end.
    mended = f"end_step={latest}"
    if latest <= begin:
        mended = f"begin_step=0 and frequency=1 with end_step={last}"
    message = (
        f"{is_here if latest >= first else was_before}, at a sparsity of {asked[-1]:.4g}, short of "
        f"the {final:.4g} that the schedule is to end at (end_step={end}, "
        f"frequency={schedule.frequency}). {mended} would end there."
    )
    return {f"end of {id(schedule)}": message}


def _what_would_fire(schedule: Any, first: int, last: int) -> str:
    begin, end, frequency = schedule.begin_step, schedule.end_step, schedule.frequency
    most = last - first + 1 if end < 0 else min(last - first + 1, end)
    if most < 1:
        return f"begin_step=0 and end_step={last} with a frequency of at most {last} would."
    told = f"begin_step=0 with a frequency of at most {most} would"
    following = begin + max(-(-(last + 1 - begin) // frequency), 0) * frequency
    if end < 0 or following <= end:
        told += f", or a training of at least {following - first + 1} steps"
    return f"{told}."


def _of_the_weights(
    pattern: Any,
    weights: list[str],
    shapes: dict[str, tuple[int, ...]],
    sparsities: dict[str, float],
    most: float,
) -> dict[str, str]:
    found = {}
    for name in weights:
        units = pattern.units(shapes[name])

        def told(fraction: float, units: int = units) -> str:
            # So many digits that it is not rounded to another number of units, or to 1.
            return f"{fraction:.{max(4, len(str(units)) + 1)}g}"

        # As `num_kept` rounds; what it would round to 0, it makes 1.
        asked = np.round(np.float32(units) * (1 - np.float32(most)))
        if asked < 1:
            found[f"size of {name}"] = (
                f"{name!r} has only {units} {pattern.unit} to remove, and one always stays: "
                f"a sparsity of {told(most)} would leave none. {told(1 - 1 / units)} would fit."
            )
        now = sparsities[name]
        if pattern.most_alive(shapes[name], 1 - now) < max(asked, 1):
            found[f"sparsity of {name}"] = (
                f"{name!r} is {told(now)} sparse already, and the schedule asks for {told(most)} "
                f"at most. Nothing that was removed comes back, so its mask will stay as it is; a "
                f"sparsity above {told(now)} would prune further."
            )
    return found


def _of_the_groups(
    pattern: Any, weights: list[str], sparsities: dict[str, float]
) -> dict[str, str]:
    found = {}
    for name in weights:
        now, asked = sparsities[name], pattern.m / pattern.n
        if now <= asked:
            continue
        more = int(now * pattern.n) + 1
        further = (
            f"; sparsity_m_by_n={more, pattern.n} would prune further" if more < pattern.n else ""
        )
        found[f"sparsity of {name}"] = (
            f"{name!r} is {now:.4g} sparse already, and sparsity_m_by_n={pattern.m, pattern.n} "
            f"asks for {asked:.4g}. Nothing that was removed comes back{further}."
        )
    return found


def _one_by_one(schedule: Any, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    @tf.function(autograph=False)
    def ask(steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def answer(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            fires, sparsity = schedule(step)
            return tf.cast(fires, tf.bool), tf.cast(sparsity, tf.float32)

        return tf.map_fn(answer, steps, fn_output_signature=(tf.bool, tf.float32))

    return ask(steps)


def _check_sparsity(schedule: Any, steps: np.ndarray, sparsities: np.ndarray) -> None:
    outside = ~((sparsities >= 0) & (sparsities < 1))
    if outside.any():
        raise ValueError(
            f"Expected sparsities in [0, 1), the fraction to remove; the schedule {schedule!r} "
            f"asks for {sparsities[outside][0]:.6g} at step {steps[outside][0]}."
            + _as_percentage(sparsities[outside][0])
        )


def _as_percentage(sparsity: float) -> str:
    if not 1 < sparsity < 100:
        return ""
    return f" If that is a percentage, {sparsity / 100:.6g} would be the fraction."

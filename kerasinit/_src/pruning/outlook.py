"""Checks what a schedule will do during training, while there is time to fix it.

Keras knows the number of training steps beforehand, so a schedule can be evaluated in advance.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import errors
from kerasinit._src.pruning.schedules import ConstantSparsity, PolynomialDecay, is_standard
from kerasinit._src.troubleshooting import see

NEVER = 2**62  # a step that no training reaches
# Sparsities nearer than this are the same in a message.
SHOWN = 5e-5


def check_schedule(schedule: Any) -> None:
    """Raise unless a schedule returns (whether to update, sparsity in [0, 1))."""
    result = schedule(tf.constant(1, tf.int64))
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"Expected pruning_schedule(step) to return (whether to update the masks, sparsity); "
            f"{schedule!r} returned {result!r}."
        )
    _check_sparsity(schedule, np.array([1]), np.array([float(result[1])]))


def check_update(schedule: Any, step: tf.Tensor, fires: Any, sparsity: Any) -> list[tf.Operation]:
    """Raise unless the sparsity of an update is in [0, 1); in a graph, return the check.

    For custom loops, which cannot be checked in advance. XLA omits the check.
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
    """Return the steps up to ``last`` at which a schedule fires, and its checked sparsities."""
    steps = tf.range(1, last + 1, dtype=tf.int64)
    if is_standard(schedule):
        fires, sparsities = schedule(steps)
        sparsities = tf.broadcast_to(sparsities, tf.shape(steps))
    else:
        fires, sparsities = _call_for_each(schedule, steps)
    fired = fires.numpy()
    steps, sparsities = steps.numpy()[fired], sparsities.numpy()[fired]
    _check_sparsity(schedule, steps, sparsities)
    return steps, sparsities


def next_update(rule: Any, step: int) -> int:
    """Return the step of the next mask update, or `NEVER`.

    For a custom schedule, which may fire at any time, it is the next step.
    """
    if rule.pattern.once:
        return 1 if step < 1 else NEVER
    if not is_standard(rule.schedule):
        return step + 1
    return next_standard_update(rule.schedule, step)


def next_standard_update(schedule: Any, step: int) -> int:
    """Return the step after ``step`` at which a standard schedule fires next, or `NEVER`."""
    begin, end, frequency = (
        int(number) for number in (schedule.begin_step, schedule.end_step, schedule.frequency)
    )
    following = begin
    if step >= begin:
        following = step + frequency - (step - begin) % frequency
    return NEVER if 0 <= end < following else following


def final_update(rule: Any, now: int, last: int) -> int:
    """Return the step at which a rule reaches its final sparsity; `NEVER` if it never fires.

    ``now`` and ``last`` are the current and the last step of training, beyond which only
    standard schedules are evaluated.
    """
    if rule.pattern.once:
        return 1
    schedule = rule.schedule
    if isinstance(schedule, ConstantSparsity):
        return next_standard_update(schedule, 0)
    if isinstance(schedule, PolynomialDecay):
        last = int(schedule.end_step)
    steps, targets = updates(schedule, max(now, last))
    if not len(steps):
        return NEVER
    return int(steps[np.flatnonzero(targets >= targets.max() - 1e-6)[0]])


def removes_by(schedule: Any, pattern: Any, last: int) -> bool:
    """Return whether a schedule removes anything up to a step."""
    return pattern.once or bool(np.any(updates(schedule, last)[1] > 0))


def warn_of_problems(
    names: dict[Any, list[str]],
    shapes: dict[str, tuple[int, ...]],
    sparsities: dict[str, float],
    first: int,
    last: int,
    reported: set[str],
) -> None:
    """Warn once if pruning cannot reach its goal in the training steps ``first`` to ``last``.

    ``sparsities`` are the current ones; ``reported`` holds the topics of earlier warnings.
    """
    found: dict[str, str] = {}
    for rule, weights in names.items():
        for name in weights:
            message = rule.pattern.shape_warning(name, shapes[name])
            if message:
                found[f"shape of {name}"] = message
        if rule.pattern.once:
            if first <= 1 <= last:
                found |= _group_problems(rule.pattern, weights, sparsities)
            continue
        steps, targets = updates(rule.schedule, last)
        found |= schedule_problems(rule.schedule, steps, targets, first, last)
        ahead = targets[steps >= first]
        if len(ahead):
            target = float(ahead.max())
            found |= _weight_problems(rule.pattern, weights, shapes, sparsities, target)
    new = [message for topic, message in found.items() if topic not in reported]
    reported.update(found)
    if new:
        errors.warn("Pruning: " + " ".join(new))


def was_reported(schedule: Any, reported: set[str]) -> bool:
    """Return whether a warning was issued that a schedule cannot reach, or missed, its goal."""
    return any(
        f"{topic} of {id(schedule)}" in reported for topic in ("silence", "end", "early end")
    )


def note_early_end(schedule: Any, reported: set[str]) -> None:
    """Record the warning that training ended before a schedule."""
    reported.add(f"early end of {id(schedule)}")


def schedule_problems(
    schedule: Any, steps: np.ndarray, targets: np.ndarray, first: int, last: int
) -> dict[str, str]:
    """Return what is wrong with a schedule in the steps ``first`` to ``last``, by topic.

    ``steps`` and ``targets`` are its `updates` up to ``last``.
    """
    training = f"this training, steps {first} to {last}"
    if not len(steps):
        message = f"The schedule {schedule!r} does not fire in {training}."
        if isinstance(schedule, ConstantSparsity | PolynomialDecay):
            message = (
                f"The schedule does not fire in {training}: it has "
                f"begin_step={schedule.begin_step}, end_step={schedule.end_step}, "
                f"frequency={schedule.frequency}. {_suggested_schedule(schedule, first, last)}"
            )
        return {f"silence of {id(schedule)}": message}
    final = getattr(schedule, "final_sparsity", None)
    if not isinstance(schedule, PolynomialDecay) or abs(targets[-1] - final) < SHOWN:
        return {}
    begin, end, latest = schedule.begin_step, schedule.end_step, steps[-1]
    is_here = f"The last update in {training}, is at step {latest}"
    was_before = f"There is no update in {training}; the last was at step {latest}"
    # A decay must end after it begins.
    fix = f"end_step={latest}"
    if latest <= begin:
        fix = f"begin_step=0 and frequency=1 with end_step={last}"
    message = (
        f"{is_here if latest >= first else was_before}, at a sparsity of {targets[-1]:.4g}, "
        f"short of the {final:.4g} at which the schedule ends (end_step={end}, "
        f"frequency={schedule.frequency}). {fix} would end there."
    )
    return {f"end of {id(schedule)}": message}


def _suggested_schedule(schedule: Any, first: int, last: int) -> str:
    begin, end, frequency = schedule.begin_step, schedule.end_step, schedule.frequency
    max_frequency = last - first + 1 if end < 0 else min(last - first + 1, end)
    if max_frequency < 1:
        return f"begin_step=0 and end_step={last} with a frequency of at most {last} would."
    suggestion = f"begin_step=0 with a frequency of at most {max_frequency} would"
    following = begin + max(-(-(last + 1 - begin) // frequency), 0) * frequency
    if end < 0 or following <= end:
        suggestion += f", or a training of at least {following - first + 1} steps"
    return f"{suggestion}."


def _weight_problems(
    pattern: Any,
    weights: list[str],
    shapes: dict[str, tuple[int, ...]],
    sparsities: dict[str, float],
    target: float,
) -> dict[str, str]:
    found = {}
    for name in weights:
        count = pattern.count(shapes[name])

        def formatted(fraction: float, count: int = count) -> str:
            # Enough digits that it is not rounded to another count, or to 1.
            return f"{fraction:.{max(4, len(str(count)) + 1)}g}"

        # Rounded like `num_kept`, which replaces 0 by 1.
        kept = np.round(np.float32(count) * (1 - np.float32(target)))
        if kept < 1:
            found[f"size of {name}"] = (
                f"{name!r} has only {count} {pattern.plural} to remove, and one is always kept: "
                f"a sparsity of {formatted(target)} would leave none. "
                f"{formatted(1 - 1 / count)} would fit."
            )
        now = sparsities[name]
        if pattern.max_kept(shapes[name], 1 - now) < max(kept, 1):
            found[f"sparsity of {name}"] = (
                f"{name!r} is {formatted(now)} sparse already, and the schedule asks for "
                f"{formatted(target)} at most. Removed weights do not return, so its mask will "
                f"not change; a sparsity above {formatted(now)} would prune further."
            )
    return found


def _group_problems(
    pattern: Any, weights: list[str], sparsities: dict[str, float]
) -> dict[str, str]:
    found = {}
    for name in weights:
        now, target = sparsities[name], pattern.m / pattern.n
        if now <= target:
            continue
        more = int(now * pattern.n) + 1
        further = (
            f"; sparsity_m_by_n={more, pattern.n} would prune further" if more < pattern.n else ""
        )
        found[f"sparsity of {name}"] = (
            f"{name!r} is {now:.4g} sparse already, and sparsity_m_by_n={pattern.m, pattern.n} "
            f"asks for {target:.4g}. Removed weights do not return{further}."
        )
    return found


def _call_for_each(schedule: Any, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    @tf.function(autograph=False)
    def evaluate(steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def evaluate_one(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            fires, sparsity = schedule(step)
            return tf.cast(fires, tf.bool), tf.cast(sparsity, tf.float32)

        return tf.map_fn(evaluate_one, steps, fn_output_signature=(tf.bool, tf.float32))

    return evaluate(steps)


def _check_sparsity(schedule: Any, steps: np.ndarray, sparsities: np.ndarray) -> None:
    outside = ~((sparsities >= 0) & (sparsities < 1))
    if outside.any():
        raise ValueError(
            f"Expected sparsities in [0, 1), the fraction to remove; the schedule {schedule!r} "
            f"asks for {sparsities[outside][0]:.6g} at step {steps[outside][0]}."
            + f"{_as_percentage(sparsities[outside][0])} {see('sparsity-range')}"
        )


def _as_percentage(sparsity: float) -> str:
    if not 1 < sparsity < 100:
        return ""
    return f" If that is a percentage, {sparsity / 100:.6g} would be the fraction."

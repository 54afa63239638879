"""`diagnose`: will this network train?"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.compat.restore import restored
from kerasinit._src.diagnosis import show  # noqa: F401 (registers how the result is rendered)
from kerasinit._src.diagnosis.advice import without_initializer
from kerasinit._src.diagnosis.batch import batch_of
from kerasinit._src.diagnosis.findings import Finding, merged
from kerasinit._src.diagnosis.judge import judge
from kerasinit._src.diagnosis.measure import flow_for, measure
from kerasinit._src.diagnosis.objective import loss_for
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.errors import checked_count, checked_seed
from kerasinit._src.network.model import Network, read
from kerasinit._src.network.parts import KERNELS
from kerasinit._src.troubleshooting import see
from kerasinit._src.whole_models.binding import own_initializer
from kerasinit._src.whole_models.redraw import redraw_variables


def diagnose(
    model: Any,
    x: Any,
    y: Any = None,
    loss: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    examples: int = 64,
    seed: int = 0,
    seeds: int | Iterable[int] = 0,
) -> Diagnosis:
    """Diagnose whether a network will train, before it is trained.

    One forward and one backward pass run eagerly, and every layer is measured: the scale of signal
    and gradient, the similarity between examples, and which units are dead, saturated or identical.
    Whatever exceeds the limits of chance and theory is a finding, with the line that fixes it.
    `kerasinit.diagnosis.KINDS` lists what it finds, such as vanishing gradients, exploding
    gradients and dead relus.

    Layers run in inference mode (no dropout), except that batch normalization uses batch
    statistics, as in training. The model is left unchanged: weights, moving statistics, optimizer,
    metrics and the layers' seeds are restored bit for bit. Only a custom layer that draws from
    TensorFlow's global state at inference advances that state.

    The current weights may be lucky, or unlucky. With ``seeds``, they are also redrawn with each
    of these seeds from the initializers that the layers were built with, as by
    `kerasinit.reinitialize`, judged, and restored. Weights without a known initializer, such as
    those of a custom layer, keep their values. Each finding then reports how many of the seeds
    show it: if all do, the initializers are the cause; if none do, the current weights are (a NaN,
    a checkpoint); if some do, the initializers leave too much to chance. The probability of a
    false alarm is the same for all seeds together as for one.

    Args:
        model: A built model of either Keras: sequential, functional, subclassed or nested.
        x: A batch as the model takes it: an array, or a list or dictionary of arrays.
        y: The labels; None to differentiate a random linear functional of the outputs.
        loss: A loss, its name, a function of labels and outputs, or a list or dictionary of
            these; None for the compiled one, with its loss weights. As in `fit`, regularization
            losses of the model are added.
        sample_weight: A weight for each example, as in `fit`; None for equal weights.
        class_weight: Weights by class, as in `fit`; None for equal weights.
        examples: The max number of examples to use, the first ones of x; 64 by default.
        seed: The seed of the random functional; 0 by default.
        seeds: With how many seeds (1, 2, ...), or with which, to also redraw and judge the
            weights; none by default. Each takes as long as a diagnosis without seeds.

    Returns:
        A `kerasinit.diagnosis.Diagnosis`; print it.

    Raises:
        TypeError: If the model is of neither Keras, or x is a data set or a list of numbers
            instead of an array.
        ValueError: If the model is not built, there are fewer than two examples or a different
            number of labels, there is a loss without labels or labels without a loss, the loss
            cannot be computed from outputs and labels, a seed is negative or repeated, or Keras
            uses a backend other than TensorFlow.

    Example:
    >>> import keras, numpy as np
    >>> deep = [keras.layers.Dense(64, "sigmoid") for _ in range(10)]
    >>> model = keras.Sequential([keras.Input((64,)), *deep, keras.layers.Dense(10)])
    >>> report = diagnose(model, np.random.default_rng(0).normal(size=(32, 64)))
    >>> report.ok, [finding.kind for finding in report.findings]
    (False, ['correlation-collapse', 'vanishing-gradients'])
    >>> print(report.findings[-1].advice)
    activation='relu', kernel_initializer=kerasinit.HeNormal()
    >>> report.measured.examples, report.layers[0].layer, report.layers[0].twins.alike
    (32, 'dense', 0)
    >>> round(report.layers[-1].signal.correlation, 2)
    1.0

    Reference:
        Schoenholz, Gilmer, Ganguli and Sohl-Dickstein, 2017, "Deep information propagation";
        Hanin and Rolnick, 2018, "How to start training: the effect of initialization and
        architecture".
    """
    require_model(model)
    checked_count("examples", examples, 2)
    redraws = _checked_seeds(seeds)
    fit_loss = loss_for(model, y, loss)
    batch = batch_of(x, y, sample_weight, class_weight, examples=examples)
    flow = flow_for(model, batch)
    network = read(model)
    measured = measure(network, batch, fit_loss, seed, flow=flow)
    kept = _without_initializer(network)
    by_seed: dict[int, tuple[Finding, ...]] = {}
    with restored(model) if redraws else contextlib.nullcontext():
        for redraw in redraws:
            redraw_variables(network.parts, redraw)
            findings = judge(measure(network, batch, fit_loss, seed, flow=flow), 1 + len(redraws))
            # Weights that were not redrawn say nothing about initializers.
            by_seed[redraw] = tuple(finding for finding in findings if finding.layer not in kept)
    current = tuple(
        dataclasses.replace(finding, advice=without_initializer(kept[finding.layer]))
        if finding.kind == "non-finite" and finding.layer in kept
        else finding
        for finding in judge(measured, 1 + len(redraws))
    )
    return Diagnosis(measured, merged(current, by_seed), redraws)


def _without_initializer(network: Network) -> dict[str, list[str]]:
    """Return the names of the kernels without a known initializer, by layer."""
    names: dict[str, list[str]] = {}
    for part in network.parts:
        if part.role in KERNELS and own_initializer(part) is None:
            names.setdefault(part.name.rsplit("/", 1)[0], []).append(part.name)
    return names


def _checked_seeds(seeds: Any) -> tuple[int, ...]:
    if hasattr(seeds, "__index__") and not isinstance(seeds, bool):
        if seeds < 0:
            raise ValueError(f"Expected seeds to be a number of at least 0; got {seeds!r}.")
        return tuple(range(1, int(seeds) + 1))
    if isinstance(seeds, bool | str) or not isinstance(seeds, Iterable):
        raise TypeError(f"Expected seeds to be a whole number, or a list of seeds; got {seeds!r}.")
    seeds = list(seeds)
    if None in seeds:
        raise TypeError(f"Expected seeds that are numbers; got {seeds!r}.")
    checked = tuple(map(checked_seed, seeds))
    if len(set(checked)) < len(checked):
        raise ValueError(f"Expected distinct seeds; got {checked}.")
    return checked


def require_model(model: Any) -> None:
    """Raise an error if the model cannot be diagnosed."""
    if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A diagnosis requires TensorFlow; Keras uses {keras.backend.backend()}. "
            f"Set KERAS_BACKEND=tensorflow. {see('tensorflow-backend')}"
        )
    if not compat.is_model(model):
        raise TypeError(f"Expected a model; got the layer {model!r}. Put it in a keras.Sequential.")

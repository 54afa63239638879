"""`diagnose`: will this network train?"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.compat.restore import restored
from kerasinit._src.diagnosis import show  # noqa: F401 (it renders what is returned)
from kerasinit._src.diagnosis.advice import never_drawn
from kerasinit._src.diagnosis.batch import batch_of
from kerasinit._src.diagnosis.findings import Finding, together
from kerasinit._src.diagnosis.judge import judge
from kerasinit._src.diagnosis.measure import flow_for, measure
from kerasinit._src.diagnosis.objective import chosen
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.errors import checked_count, checked_seed
from kerasinit._src.network.model import Network, read
from kerasinit._src.network.parts import KERNELS
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
    """Say whether a network will train, before it is trained.

    The model is run forward and back once, eagerly, and every layer is looked at: how large
    the signal and the gradient are, whether examples can still be told apart, which units are
    dead, flat or alike. What is worse than chance and theory allow is a finding, with the line
    that mends it; see `theory.limits` for the thresholds.

    Layers behave as at inference (no dropout), but batch normalization normalizes by the batch,
    as it will in training. Nothing of the model changes: weights, moving statistics, optimizer,
    metrics and the seeds of its layers are what they were, to the last bit. Only a layer of
    your own that draws from TensorFlow's global state at inference moves that state.

    These weights may be lucky, or unlucky. With ``seeds`` they are also drawn anew by what each
    layer was built with, as `kerasinit.reinitialize` would with each of these seeds, judged, and
    put back; weights of which no initializer is known, such as those of a layer of your own, stay.
    A finding then says under how many of the seeds it shows: under all, it is the
    initializers; under none, it is these weights (a planted NaN, a checkpoint); under some, it is
    chance that the initializers leave too much to. The chance of a false alarm is the same for all
    together as for one.

    Args:
        model: A built model of either Keras: sequential, functional, subclassed or nested.
        x: A batch as the model takes it: an array, or a list or dictionary of arrays.
        y: The labels; None to differentiate a random linear functional of the outputs.
        loss: A loss, its name, a function of labels and outputs, or a list or dictionary of
            these; None for the compiled one, with its loss weights. What is differentiated is
            what `fit` would minimize, the model's own penalties included.
        sample_weight: A weight for each example, as `fit` takes it; None for equal ones.
        class_weight: Weights by class, as `fit` takes them; None for equal ones.
        examples: How many examples to look at, at most: the first ones of x; 64 by default.
        seed: The seed of the random functional; 0 by default.
        seeds: Under how many seeds to draw the weights anew and judge them too, 1, 2, ..., or
            which; none by default. Each takes as long as the diagnosis without any.

    Returns:
        A `Diagnosis`; print it.

    Raises:
        TypeError: If the model is of neither Keras, or x is no array but a data set or a list of
            numbers.
        ValueError: If the model is not built, there are no two examples or not as many labels,
            there is a loss without labels or labels without a loss, outputs and labels do not make
            a loss, a seed is negative or comes twice, or Keras runs on another backend than
            TensorFlow.

    Example:
    >>> import keras, numpy as np
    >>> deep = [keras.layers.Dense(64, "sigmoid") for _ in range(10)]
    >>> model = keras.Sequential([keras.Input((64,)), *deep, keras.layers.Dense(10)])
    >>> report = diagnose(model, np.random.default_rng(0).normal(size=(32, 64)))
    >>> report.ok, [finding.kind for finding in report.findings]
    (False, ['correlation-collapse', 'vanishing-gradients'])
    >>> print(report.findings[-1].advice)
    activation='relu', kernel_initializer=kerasinit.HeNormal()

    Reference:
        Schoenholz, Gilmer, Ganguli and Sohl-Dickstein, 2017, "Deep information propagation";
        Hanin and Rolnick, 2018, "How to start training: the effect of initialization and
        architecture".
    """
    require_model(model)
    checked_count("examples", examples, 2)
    asked = _checked_seeds(seeds)
    what = chosen(model, y, loss)
    batch = batch_of(x, y, sample_weight, class_weight, examples=examples)
    flow = flow_for(model, batch)
    network = read(model)
    measured = measure(network, batch, what, seed, flow=flow)
    kept = _never_drawn(network)
    by_seed: dict[int, tuple[Finding, ...]] = {}
    with restored(model) if asked else contextlib.nullcontext():
        for one in asked:
            redraw_variables(network.parts, one)
            drawn = judge(measure(network, batch, what, seed, flow=flow), 1 + len(asked))
            # What was not drawn anew says nothing of initializers.
            by_seed[one] = tuple(finding for finding in drawn if finding.layer not in kept)
    as_it_is = tuple(
        dataclasses.replace(finding, advice=never_drawn(kept[finding.layer]))
        if finding.kind == "non-finite" and finding.layer in kept
        else finding
        for finding in judge(measured, 1 + len(asked))
    )
    return Diagnosis(measured, together(as_it_is, by_seed), asked)


def _never_drawn(network: Network) -> dict[str, list[str]]:
    """Return the names of the kernels that no initializer is known of, by their layers."""
    found: dict[str, list[str]] = {}
    for part in network.parts:
        if part.role in KERNELS and own_initializer(part) is None:
            found.setdefault(part.name.rsplit("/", 1)[0], []).append(part.name)
    return found


def _checked_seeds(given: Any) -> tuple[int, ...]:
    if hasattr(given, "__index__") and not isinstance(given, bool):
        if given < 0:
            raise ValueError(f"Expected as seeds a number of at least 0; got {given!r}.")
        return tuple(range(1, int(given) + 1))
    if isinstance(given, bool | str) or not isinstance(given, Iterable):
        raise TypeError(f"Expected as seeds a whole number, or a list of seeds; got {given!r}.")
    given = list(given)
    if None in given:
        raise TypeError(f"Expected seeds that are numbers; got {given!r}.")
    found = tuple(map(checked_seed, given))
    if len(set(found)) < len(found):
        raise ValueError(f"Expected seeds that differ; got {found}.")
    return found


def require_model(model: Any) -> None:
    """Raise an error if this is nothing that can be diagnosed."""
    if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A diagnosis looks inside with TensorFlow; Keras runs on {keras.backend.backend()}. "
            f"Set KERAS_BACKEND=tensorflow for it."
        )
    if not compat.is_model(model):
        raise TypeError(f"Expected a model; got the layer {model!r}. Put it in a keras.Sequential.")

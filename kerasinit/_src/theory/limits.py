"""Thresholds of the diagnosis, and the theory behind them.

A deviation is reported only if it exceeds what chance does to a network of this width and depth,
and if it is large enough to impair training.

**Chance.** In a layer of width ``n`` whose weights preserve the signal, the mean square of a unit
is ``q' = (1/n) sum_i f(z_i)^2``, a mean over ``n`` independent draws. Its relative variance is
``(E[f^4] / E[f^2]^2 - 1) / n``: for relu ``E[f^4] = 3/2`` and ``E[f^2] = 1/2`` at ``z ~ N(0, 1)``,
so ``(3/2) / (1/4) - 1 = 5``. The factors of the layers multiply, so ``log q`` is a random walk with
variance ``s^2 = sum_l 5 / n_l`` and, by Jensen's inequality, drift ``-s^2 / 2``. For linear units
the constant is 2, for bounded ones less; 5 is used for all. The gradient is the same product in
reverse. All examples share the weights, so a larger batch does not reduce the variance.

**Harm.** Signals that shrink, grow, or become alike along a network do so as ``exp(-l / xi)``.
Empirically, networks train up to a depth of about ``6 xi``, whatever the nonlinearity: that is,
up to a loss of 6 nats, `HARM`.

A layer is reported if the logarithm has moved by more than ``HARM`` and by more than ``s^2 / 2 +
z s``, where a healthy network exceeds the normal quantile ``z`` in any of its layers with
probability `FALSE_ALARM` (Bonferroni).

**Shallow networks.** Small weights alone make training slow, not impossible. Gradient descent
leaves the plateau around zero after a time inversely proportional to the norms of all kernels but
two, so small initial values hardly matter in a network of two kernels. The time grows by a factor
of ``exp(HARM / 2)`` if each of ``L`` kernels loses ``HARM / (L - 2)`` nats, so that ``HARM (L -
1) / (L - 2)`` may be lost on the way to the last hidden layer (`harm`).

The steps of an optimizer such as Adam do not shrink with the gradient. If the norm of the next
update is 1% or more of that of the kernel, networks of up to four kernels were found to train
normally with a total loss of up to 20 nats. The same holds for a layer with little influence on
the loss (`harm_of_influence`).

**Batch normalization** before relu multiplies the squared gradient by ``pi / (pi - 1)`` per layer
on the way back, whatever the weights (`NORMALIZED` nats). This growth is a property of the
architecture, and the kernels before the normalization are not affected: their scale has no effect.

**Saturation.** The variance of a gradient is multiplied by the squared slope of each unit. An
activation is saturated where its squared slope is below ``exp(-HARM)`` of the largest, so that a
single layer does the harm of a whole network. A layer counts if its median input is saturated
(`TYPICAL`), that is, if the typical path through it is lost. At a fixed point of variance 1, tanh
is saturated for 3% of its inputs; for half of them the variance must be above 10. Layers with less
than half of their units open accumulate until ``exp(-HARM / 2)`` of all paths remain; the other
half of the harm is reserved for the kernels.

**Steps.** A step is too long relative to the norm of the kernel. A kernel with few weights may be
small by chance; a step that is too long even for the norm expected at its size is reported
(`shortness`).

**Several seeds.** If redrawn weights of other seeds are judged too, `FALSE_ALARM` holds for all
sets of weights together.

**Dead units.** For any input, the preactivation of a unit with symmetric weights and no bias is
negative with probability 1/2, so it is negative for all examples with probability at most 1/2, at
any depth. The number of dead units among ``n`` is bounded by a binomial variable.

Reference:
    Hanin and Nica, 2020, "Products of many large random matrices and gradients in deep neural
    networks" (5 / n); Hanin and Rolnick, 2018, "How to start training: the effect of
    initialization and architecture"; Saxe, McClelland and Ganguli, 2014, "Exact solutions to the
    nonlinear dynamics of learning in deep linear neural networks" (all kernels but two);
    Schoenholz, Gilmer, Ganguli and Sohl-Dickstein, 2017, "Deep information propagation" (6 xi);
    Yang, Pennington, Rao, Sohl-Dickstein and Schoenholz, 2019, "A mean field theory of batch
    normalization" (pi / (pi - 1)).
"""

import math

from scipy import special  # not scipy.stats, which takes long to import

HARM = 6.0  # nats
NORMALIZED = math.log(math.pi / (math.pi - 1))
FALSE_ALARM = 1e-3  # for a whole diagnosis
TYPICAL = 0.5
_MAX_HARM = 4 * HARM  # nats, for networks of two kernels
_FEW, _QUICK = 4, 0.01  # kernels; norm of an update relative to that of the kernel
SHORT = 4  # kernels of a branch that may start small: attention in a block has two
_SPREAD = 5.0  # relative variance of relu(z)^2


def spread(widths: list[int]) -> float:
    """Return the variance of ``log q`` after layers of these widths."""
    return sum(_SPREAD / width for width in widths)


def quantile(judgements: int) -> float:
    """Return the normal quantile at which one of so many judgements is significant.

    Example:
    >>> round(quantile(1), 2), round(quantile(100), 2)
    (3.29, 4.42)
    """
    return float(-special.ndtri(FALSE_ALARM / (2 * max(1, judgements))))


def harm(kernels: int, update_ratio: float | None = None) -> float:
    """Return how many nats of its mean square a signal may lose, apart from chance.

    ``kernels`` counts those from the input to the output, and ``update_ratio`` is the norm of the
    next update of a kernel relative to its own.

    Example:
    >>> harm(3), harm(4), round(harm(50), 2), harm(4, update_ratio=0.02)
    (12.0, 9.0, 6.12, 18.0)
    """
    slow = min(_MAX_HARM, HARM * (kernels - 1) / (kernels - 2)) if kernels > 2 else _MAX_HARM
    return max(slow, harm_of_influence(kernels, update_ratio))


def harm_of_influence(kernels: int, update_ratio: float | None = None) -> float:
    """Return how many nats of its influence on the loss a layer may lack; see `harm`.

    Example:
    >>> harm_of_influence(4), harm_of_influence(4, 0.02), harm_of_influence(5, 0.02)
    (6.0, 18.0, 6.0)
    """
    is_quick = kernels <= _FEW and update_ratio is not None and update_ratio >= _QUICK
    return 3 * HARM if is_quick else HARM


def allowed(variance: float, judgements: int, harm: float = HARM) -> float:
    """Return how many nats a logarithm with this variance by chance (`spread`) may move.

    Example:
    >>> round(allowed(0.0, 100), 2), round(allowed(0.5, 100), 2)
    (6.0, 6.0)
    >>> round(allowed(5.0, 100), 2)
    12.38
    """
    return max(harm, variance / 2 + quantile(judgements) * math.sqrt(variance))


def confidence(nats: float, variance: float, judgements: int) -> float:
    """Return one minus the probability that a healthy network moves so far, in either direction.

    Example:
    >>> confidence(20.0, 0.5, 10) > 0.999, round(confidence(1.5, 0.5, 1), 2)
    (True, 0.92)
    """
    if variance <= 0 or not math.isfinite(nats):
        return 1.0
    over = max(0.0, abs(nats) - variance / 2) / math.sqrt(variance)
    return 1.0 - min(1.0, 2 * max(1, judgements) * float(special.ndtr(-over)))


def shortness(weights: int) -> float:
    """Return by which factor the norm of a kernel of ``n`` weights may be too small by chance.

    Formula: ``sqrt(n / F^-1(a))``, with the chi-square distribution ``F`` with ``n`` degrees of
    freedom, that of the squared norm of ``n`` normal weights, and ``a = FALSE_ALARM``.

    Example:
    >>> [round(shortness(weights), 1) for weights in (1, 2, 16, 10_000)]
    [797.9, 31.6, 2.0, 1.0]
    """
    return math.sqrt(weights / (2 * float(special.gammaincinv(weights / 2, FALSE_ALARM))))


def too_many_dead(dead: int, units: int, judgements: int) -> bool:
    """Return whether more units are dead than is likely with symmetric weights.

    Example:
    >>> too_many_dead(30, 32, 10), too_many_dead(20, 32, 10), too_many_dead(4, 4, 10)
    (True, False, False)
    """
    return dead_by_chance(dead, units) < FALSE_ALARM / max(1, judgements)


def dead_by_chance(dead: int, units: int) -> float:
    """Return the probability of at least so many dead units, if each is dead with 1/2."""
    return 1.0 if dead < 1 else float(special.bdtrc(dead - 1, units, 0.5))

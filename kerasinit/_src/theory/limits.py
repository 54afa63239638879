"""How far a healthy network may go: the thresholds, and the theory that they come from.

Two things must hold before anything is called wrong. It must be more than chance does to a
network of this width and depth, and it must be enough to do harm.

**Chance.** A unit of a layer of width ``n`` whose weights have the variance that keeps the
signal gives ``q' = (1/n) sum_i f(z_i)^2``, a mean over ``n`` independent draws. Its relative
variance is ``(E[f^4] / E[f^2]^2 - 1) / n``: for relu ``E[f^4] = 3/2`` and ``E[f^2] = 1/2`` at
``z ~ N(0, 1)``, so ``(3/2) / (1/4) - 1 = 5``. The layers' factors multiply, so ``log q`` walks
with a variance of ``s^2 = sum_l 5 / n_l`` and, by Jensen, with a drift of ``-s^2 / 2``. Linear
units have 2 instead of 5, bounded ones less; 5 is taken for all. The gradient's way back is the
same product. All examples go through the same weights, so a larger batch does not help.

**Harm.** Along a network signals that shrink, grow, or become alike do so as ``exp(-l / xi)``.
Networks were found to train up to a depth of about ``6 xi``, whatever the nonlinearity: that is,
until 6 nats are lost. `HARM` is that number.

A layer is reported if the logarithm has moved by more than ``HARM`` and by more than ``s^2 / 2 +
z s``, where ``z`` is the point of the normal distribution that a healthy network passes in one of
its layers with probability `FALSE_ALARM` (Bonferroni).

**Shallow networks.** Small weights alone make a network slow, not untrainable. Gradient descent
leaves the plateau around zero after a time that grows as the inverse of the sizes of all its
kernels but two: with two of them small first values cost next to nothing. That time is ``exp(HARM /
2)`` times what it was where each of ``L`` kernels takes ``HARM / (L - 2)`` nats, so that ``HARM (L
- 1) / (L - 2)`` may be lost on the way to the last hidden layer (`harm`).

An optimizer such as Adam, whose steps do not shrink with the gradient, is quicker: where the next
update has 1% of a kernel's length or more, networks of up to four kernels were found to train as
if nothing was, up to 20 nats of loss in all. A layer of next to no influence that moves as much is
no worse off (`harm_of_influence`).

**Batch normalization** of what comes before relu makes the square of the gradient grow by ``pi /
(pi - 1)`` a layer on the way back, whatever the weights (`NORMALIZED` nats). That much growth is
the architecture's own, and the kernels before it do not feel it: their scale has no effect.

**Saturation.** A gradient's variance is multiplied by the square of the slope at the unit that it
passes. An activation is called flat where that square is below ``exp(-HARM)`` of the largest, so
that a single layer does the harm of a whole network; a layer counts if its median input lies there
(`TYPICAL`), that is, if the typical way through it is lost. At a fixed point of variance 1,
tanh is flat at 3% of its inputs; for half of them the variance must be above 10. Of
layers in which less than half is left open it takes one after the other until ``exp(-HARM / 2)``
of all ways through them are left: the other half of the harm is left to the kernels.

**Steps.** A step is called too long by its length over that of the kernel that it moves. A kernel
of few weights may be short by chance; what is longer than chance leaves to one of its size
(`shortness`) is not.

**Several seeds.** Where the weights are drawn anew under other seeds, and judged as well, all sets
of weights are judgements of one diagnosis: `FALSE_ALARM` holds for all of them together.

**Dead units.** Whatever the input, the sum of a unit with symmetric weights and no bias is
negative as often as positive, so it is below zero for every example with probability 1/2 at
most, in layers of any depth. The number of dead ones among ``n`` is bounded by a binomial one.

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
_MOST = 4 * HARM  # nats, for networks of two kernels
_FEW, _QUICK = 4, 0.01  # kernels; length of an update over that of the kernel
SHORT = 4  # kernels of a branch that may start small: an attention in a block has two
_SPREAD = 5.0  # relative variance of relu(z)^2


def spread(widths: list[int]) -> float:
    """Return the variance of ``log q`` after layers of these widths.

    Example:
    >>> spread([50, 100])
    0.15000000000000002
    """
    return sum(_SPREAD / width for width in widths)


def quantile(judgements: int) -> float:
    """Return how many standard deviations chance may go in one of so many judgements.

    Example:
    >>> round(quantile(1), 2), round(quantile(100), 2)
    (3.29, 4.42)
    """
    return float(-special.ndtri(FALSE_ALARM / (2 * max(1, judgements))))


def harm(kernels: int, update_ratio: float | None = None) -> float:
    """Return how many nats of its mean square a signal may lose, chance aside.

    Args:
        kernels: How many kernels it passes from the input to the output.
        update_ratio: Length of the next update of a kernel over its own; None if unknown.

    Example:
    >>> harm(3), harm(4), round(harm(50), 2), harm(4, update_ratio=0.02)
    (12.0, 9.0, 6.12, 18.0)
    """
    slow = min(_MOST, HARM * (kernels - 1) / (kernels - 2)) if kernels > 2 else _MOST
    return max(slow, harm_of_influence(kernels, update_ratio))


def harm_of_influence(kernels: int, update_ratio: float | None = None) -> float:
    """Return how many nats of its influence on the loss a layer may lack, chance aside.

    Args:
        kernels: How many kernels a signal passes that passes the layer.
        update_ratio: Length of the next update of its kernel over its own; None if unknown.

    Example:
    >>> harm_of_influence(4), harm_of_influence(4, 0.02), harm_of_influence(5, 0.02)
    (6.0, 18.0, 6.0)
    """
    is_quick = kernels <= _FEW and update_ratio is not None and update_ratio >= _QUICK
    return 3 * HARM if is_quick else HARM


def allowed(variance: float, judgements: int, harm: float = HARM) -> float:
    """Return how many nats a logarithm of this variance may move.

    Args:
        variance: By chance, see `spread`.
        judgements: How many layers are judged.
        harm: How far it may move if there is no chance.

    Example:
    >>> round(allowed(0.0, 100), 2), round(allowed(0.5, 100), 2)
    (6.0, 6.0)
    >>> round(allowed(5.0, 100), 2)
    12.38
    """
    return max(harm, variance / 2 + quantile(judgements) * math.sqrt(variance))


def confidence(nats: float, variance: float, judgements: int) -> float:
    """Return one minus the chance that a healthy network goes so far.

    Args:
        nats: How far the logarithm moved, either way.
        variance: Its variance by chance, see `spread`.
        judgements: How many layers are judged.

    Example:
    >>> confidence(20.0, 0.5, 10) > 0.999, round(confidence(1.5, 0.5, 1), 2)
    (True, 0.92)
    """
    if variance <= 0 or not math.isfinite(nats):
        return 1.0
    over = max(0.0, abs(nats) - variance / 2) / math.sqrt(variance)
    return 1.0 - min(1.0, 2 * max(1, judgements) * float(special.ndtr(-over)))


def shortness(weights: int) -> float:
    """Return how many times shorter than it should be a kernel may be by chance.

    Formula: ``sqrt(n / F^-1(a))``, with ``F`` the chi-square distribution of ``n`` degrees of
    freedom, which the squared length of ``n`` normal weights has, and ``a`` `FALSE_ALARM`.

    Args:
        weights: How many weights it has.

    Example:
    >>> [round(shortness(weights), 1) for weights in (1, 2, 16, 10_000)]
    [797.9, 31.6, 2.0, 1.0]
    """
    return math.sqrt(weights / (2 * float(special.gammaincinv(weights / 2, FALSE_ALARM))))


def too_many_dead(dead: int, units: int, judgements: int) -> bool:
    """Return whether more units are dead than symmetric weights leave to chance.

    Example:
    >>> too_many_dead(30, 32, 10), too_many_dead(20, 32, 10), too_many_dead(4, 4, 10)
    (True, False, False)
    """
    return dead_by_chance(dead, units) < FALSE_ALARM / max(1, judgements)


def dead_by_chance(dead: int, units: int) -> float:
    """Return the chance that at least so many units are dead, if half are.

    Example:
    >>> dead_by_chance(2, 2)
    0.25
    """
    return 1.0 if dead < 1 else float(special.bdtrc(dead - 1, units, 0.5))

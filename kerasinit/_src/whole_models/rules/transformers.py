"""Rules for transformers: T-Fixup and DeepNorm."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kerasinit._src.initializers.random import RandomNormal
from kerasinit._src.initializers.variance_scaling import GlorotUniform, VarianceScaling
from kerasinit._src.network.branches import residual_branches
from kerasinit._src.network.model import (
    Network,
    is_multiplied,
    is_of_attention,
    is_query_or_key,
    read,
)
from kerasinit._src.network.parts import Part
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.redraw import Rule
from kerasinit._src.whole_models.rules.picking import find_all_layers, multiplied, rules_for, tables

Blocks = Iterable[Any] | None


def t_fixup(model: Any, *, encoder: Blocks = None, decoder: Blocks = None) -> list[Rule]:
    """Return the rules of T-Fixup, for transformers without normalization and warm-up.

    They bound the change that Adam's first steps make, at any depth, which otherwise takes layer
    normalization and warm-up. The architecture must omit the former, the training the latter.

    Formula: Glorot's uniform values for all kernels, ``N(0, d^-1)`` for embeddings of d
    channels. The values of kernels of value, attention output and feed-forward layers are
    then multiplied: by ``0.67 N^(-1/4)`` in an encoder of N blocks, by ``(9 M)^(-1/4)`` in
    a decoder of M. The embeddings are multiplied by the decoder's factor, without a
    decoder by the encoder's. Only blocks that attend to an encoder form a decoder; those
    of GPT count as an encoder. The rest as its layer was built.

    Args:
        model: A built model of either Keras, whose attentions are
            ``MultiHeadAttention`` or ``GroupQueryAttention``.
        encoder: The blocks of the encoder, each a layer, its name or a list of such. By default
            (None) they are read from the model's graph.
        decoder: Those of the decoder, None by default. If only one of the two is given, the model
            has no blocks of the other kind.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the model has no attention, none in a visible residual branch, or its
            branches cannot be determined.

    Example:
    >>> import keras, kerasinit
    >>> inputs = hidden = keras.Input((5, 16))
    >>> for _ in range(2):
    ...     hidden = hidden + keras.layers.MultiHeadAttention(2, 8)(hidden, hidden)
    ...     branch = keras.layers.Dense(64, "relu")(hidden)
    ...     hidden = hidden + keras.layers.Dense(16)(branch)
    >>> report = kerasinit.reinitialize(keras.Model(inputs, hidden), t_fixup, seed=1)
    >>> round(report["dense/kernel"].initializer.scale, 3)  # (0.67 * 2 ** -0.25) ** 2
    0.317

    Reference:
        Huang, Perez, Ba and Volkovs, 2020, "Improving transformer optimization through
        better initialization".
    """
    network = read(model)
    of_encoder, of_decoder = _stacks(network, encoder, decoder, "t_fixup")
    scales = {"encoder": 1.0, "decoder": 1.0}
    if of_encoder.number:
        scales["encoder"] = 0.67 * of_encoder.number**-0.25
    if of_decoder.number:
        scales["decoder"] = (9 * of_decoder.number) ** -0.25
    embedding = scales["decoder" if of_decoder.number else "encoder"]
    by_width: dict[int, list[Part]] = {}
    for part in tables(network):
        by_width.setdefault(part.shape[-1], []).append(part)
    return [
        *rules_for(_glorot("uniform", scales["encoder"]), of_encoder.scaled),
        *rules_for(_glorot("uniform", scales["decoder"]), of_decoder.scaled),
        *rules_for(GlorotUniform(), multiplied(network)),
        *(
            rule
            for width, found in by_width.items()
            for rule in rules_for(RandomNormal(stddev=embedding * width**-0.5), found)
        ),
        Rule(OWN),
    ]


@dataclass(frozen=True)
class DeepNormScales:
    """The factors of DeepNorm; None for a part that the network does not have.

    Attributes:
        encoder_alpha: Factor of the shortcut in the encoder's blocks.
        encoder_beta: Gain of their kernels.
        decoder_alpha: Factor of the shortcut in the decoder's blocks.
        decoder_beta: Gain of their kernels.

    Example:
        See `deepnorm_scales`.
    """

    encoder_alpha: float | None
    encoder_beta: float | None
    decoder_alpha: float | None
    decoder_beta: float | None


def deepnorm_scales(num_encoder_blocks: int = 0, num_decoder_blocks: int = 0) -> DeepNormScales:
    """Return DeepNorm's alpha, needed to build a network, and beta.

    Formula: with one stack of N blocks, ``alpha = (2N)^(1/4)``, ``beta = (8N)^(-1/4)``.
    With an encoder of N blocks and a decoder of M, in the encoder ``alpha
    = 0.81 (N^4 M)^(1/16)``, ``beta = 0.87 (N^4 M)^(-1/16)``, in the decoder ``alpha =
    (3M)^(1/4)``, ``beta = (12M)^(-1/4)``.

    Args:
        num_encoder_blocks: N; 0 (default) if there is no encoder.
        num_decoder_blocks: M; 0 (default) if there is no decoder.

    Returns:
        A `DeepNormScales`, whose factors are None for a part that is not there.

    Raises:
        TypeError: If a number is not whole.
        ValueError: If one is negative, or both are 0.

    Example:
    >>> scales = deepnorm_scales(num_decoder_blocks=8)
    >>> scales.encoder_alpha, scales.decoder_alpha, round(scales.decoder_beta, 3)
    (None, 2.0, 0.354)

    Reference:
        Wang et al., 2022, "DeepNet: scaling transformers to 1,000 layers", figure 2.
    """
    n, m = num_encoder_blocks, num_decoder_blocks
    for name, number in (("num_encoder_blocks", n), ("num_decoder_blocks", m)):
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise TypeError(f"{name} is a whole number; got {number!r}.")
        if number < 0:
            raise ValueError(f"{name} is at least 0; got {number!r}.")
    if not n and not m:
        raise ValueError("DeepNorm needs a block; got 0 blocks of an encoder and 0 of a decoder.")
    if not n:
        return DeepNormScales(None, None, (2 * m) ** 0.25, (8 * m) ** -0.25)
    if not m:
        return DeepNormScales((2 * n) ** 0.25, (8 * n) ** -0.25, None, None)
    both = (n**4 * m) ** (1 / 16)
    return DeepNormScales(0.81 * both, 0.87 / both, (3 * m) ** 0.25, (12 * m) ** -0.25)


def deepnorm(model: Any, *, encoder: Blocks = None, decoder: Blocks = None) -> list[Rule]:
    """Return the rules of DeepNorm, for very deep transformers with the norm after the sum.

    It bounds how much one training step changes the network, so that normalization after the sum,
    which generalizes better than before the branch, trains at any depth.

    The architecture must provide ``x = LayerNorm(alpha x + branch(x))``, with the alpha of
    `deepnorm_scales`.

    Formula: kernels of value, attention output and feed-forward layers are ``N(0, 2 beta^2
    / (fan_in + fan_out))``, those of query and key the same with 1 for beta; beta as in
    `deepnorm_scales`. The rest as its layer was built.

    Args:
        model: See `t_fixup`.
        encoder: See `t_fixup`.
        decoder: See `t_fixup`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: See `t_fixup`.

    Example:
    >>> import keras, kerasinit
    >>> scales = deepnorm_scales(num_encoder_blocks=2)
    >>> inputs = hidden = keras.Input((5, 16))
    >>> for _ in range(2):
    ...     branch = keras.layers.MultiHeadAttention(2, 8)(hidden, hidden)
    ...     hidden = keras.layers.LayerNormalization()(scales.encoder_alpha * hidden + branch)
    ...     branch = keras.layers.Dense(16)(keras.layers.Dense(64, "relu")(hidden))
    ...     hidden = keras.layers.LayerNormalization()(scales.encoder_alpha * hidden + branch)
    >>> report = kerasinit.reinitialize(keras.Model(inputs, hidden), deepnorm, seed=1)
    >>> report["dense/kernel"].initializer.scale, scales.encoder_beta**2
    (0.25, 0.25)

    Reference:
        Wang et al., 2022, "DeepNet: scaling transformers to 1,000 layers", figure 2.
    """
    network = read(model)
    of_encoder, of_decoder = _stacks(network, encoder, decoder, "deepnorm")
    scales = deepnorm_scales(of_encoder.number, of_decoder.number)
    decoder_beta = scales.decoder_beta or 1.0
    if of_decoder.crosses:  # its encoder may be outside the model
        decoder_beta = (12 * of_decoder.number) ** -0.25
    query_key = [*of_encoder.query_key, *of_decoder.query_key]
    return [
        *rules_for(_glorot("untruncated_normal", scales.encoder_beta or 1.0), of_encoder.scaled),
        *rules_for(_glorot("untruncated_normal", decoder_beta), of_decoder.scaled),
        *rules_for(_glorot("untruncated_normal", 1.0), query_key),
        Rule(OWN),
    ]


def _glorot(distribution: str, gain: float) -> VarianceScaling:
    return VarianceScaling(gain**2, "fan_avg", distribution)


@dataclass(frozen=True)
class _Stack:
    """The blocks of an encoder or a decoder: how many, and the kernels in them."""

    number: int
    kernels: list[Part]
    crosses: bool = False

    @property
    def scaled(self) -> list[Part]:
        return [part for part in self.kernels if not is_query_or_key(part)]

    @property
    def query_key(self) -> list[Part]:
        return [part for part in self.kernels if is_query_or_key(part)]


def _stacks(network: Network, encoder: Blocks, decoder: Blocks, rule: str) -> tuple[_Stack, _Stack]:
    """Return the encoder and the decoder of a transformer; one of them may be empty."""
    if not any(map(is_of_attention, network.parts)):
        raise ValueError(
            f"{rule} is for transformers; {network.model.name!r} has no MultiHeadAttention or "
            f"GroupQueryAttention. In other attentions it cannot distinguish query from value."
        )
    if encoder is not None or decoder is not None:
        return _given(network, "encoder", encoder, rule), _given(network, "decoder", decoder, rule)
    hint = (
        "pass the blocks: encoder=[block, block, ...] or decoder=[...], each a layer, its name or "
        "a list of such"
    )
    found = residual_branches(network)
    attending = [
        branch for branch in found if any(map(is_of_attention, _kernels(network, branch.layers)))
    ]
    if not attending:
        raise ValueError(
            f"{rule} finds no attention in a residual branch of {network.model.name!r}. If its "
            f"layers add inside their own call, {hint}."
        )
    crossing = {branch.stream for branch in attending if branch.crosses}
    own = {branch.stream for branch in attending} - crossing
    stacks = []
    for streams, counted in (
        (own, attending),
        (crossing, [branch for branch in attending if branch.crosses]),
    ):
        layers = [layer for branch in found if branch.stream in streams for layer in branch.layers]
        number = sum(branch.stream in streams for branch in counted)
        stacks.append(
            _Stack(number, _kernels(network, layers), bool(streams) and streams is crossing)
        )
    return stacks[0], stacks[1]


def _given(network: Network, name: str, blocks: Blocks, rule: str) -> _Stack:
    if blocks is None:
        return _Stack(0, [])
    if isinstance(blocks, str) or not isinstance(blocks, Iterable):
        raise TypeError(f"{rule} got {name}={blocks!r}; expected a list of blocks.")
    inside = [_kernels(network, find_all_layers(network, block)) for block in blocks]
    for number, kernels in enumerate(inside):
        if not any(map(is_of_attention, kernels)):
            raise ValueError(
                f"{rule}: {name}[{number}] has no MultiHeadAttention or GroupQueryAttention."
            )
    return _Stack(len(inside), [part for kernels in inside for part in kernels])


def _kernels(network: Network, layers: Iterable[Any]) -> list[Part]:
    return [part for layer in layers for part in network.parts_of(layer) if is_multiplied(part)]

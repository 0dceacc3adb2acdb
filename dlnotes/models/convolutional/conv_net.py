"""Convolutional networks over one, two or three dimensions and inputs of any size, from a list of stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import lax

from dlnotes.checks import all_positive, chosen, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import MONOTONE
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.clustered_pooling import clustered_pool
from dlnotes.layers.convolutional.convolution import Convolution, convolve, init_convolution
from dlnotes.layers.convolutional.learned_pooling import LearnedPooling, init_learned_pooling, learned_pool
from dlnotes.layers.convolutional.masked import (
    masked_adaptive_pool,
    masked_group_norm,
    masked_mean,
    only,
    pooled_mask,
    strided_mask,
)
from dlnotes.layers.convolutional.pooling import avg_pool, max_pool
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.layers.feedforward.dense import dense as affine
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.normalization import LayerNorm
from dlnotes.models.feedforward.mlp import chain, keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey

POOLINGS = {"max": max_pool, "average": avg_pool}
HEADS = ("flatten", "learned", "grid", "clustered", "average", "maps")
NORMALIZATIONS = ("none", "layer", "group")


class Stage(NamedTuple):
    """A few convolutions of as many channels, then pooling; plain numbers.

    Attributes:
      channels: feature maps of each convolution.
      blocks: convolutions, or residual blocks of two.
      kernel: width of every kernel along every axis; odd.
      stride: of the first convolution.
      dilation: of every convolution; needs a stride of 1 where it is not 1.
      residual: whether the blocks are residual ones.
      pool: width and stride of the pooling that ends the stage; 1 for none. A smaller window at the
        edge is dropped.
      pooling: "max" or "average".
    """

    channels: int
    blocks: int = 1
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    residual: bool = False
    pool: int = 1
    pooling: Literal["max", "average"] = "max"


class Block(NamedTuple):
    """Parameters of ``h = g(norm(x ∗ K) + b)``; with a norm, its shift is the bias and there is no b.

    The last block of a stage is pooled: before its norm where it has one, else after its activation.

    Attributes:
      convolution: `Convolution`, kernel (*window, in, out); its b is ``None`` with a norm.
      norm: `LayerNorm` of size out, or ``None``.
    """

    convolution: Convolution
    norm: LayerNorm | None


class Residual(NamedTuple):
    """Parameters of ``h = g(s(x) + γ (norm₂(g(norm₁(x ∗ K₁) + b₁) ∗ K₂) + b₂))``.

    Attributes:
      first, second: the two blocks; the stride is the first one's.
      gain: ``(out,)`` γ, which starts at 0.1: a deep stack starts near its shortcuts.
      shortcut: 1-convolution s where stride or channels change, else ``None``: s(x) = x.
    """

    first: Block
    second: Block
    gain: Array
    shortcut: Convolution | None


class ConvNet(NamedTuple):
    """Parameters of a convolutional network in stages.

    Attributes:
      stages: for each stage its blocks, `Block` or `Residual`.
      hidden: dense layers ``h = g(h W + b)`` between the maps and the output.
      output: `Dense`, (features, outputs).
      pooling: `LearnedPooling` of the head "learned", else ``None``.
    """

    stages: tuple[tuple[Block | Residual, ...], ...]
    hidden: tuple[Dense, ...]
    output: Dense
    pooling: LearnedPooling | None = None


def conv_net(
    inputs: Sequence[int | None],
    outputs: int,
    *,
    stages: Sequence[Stage] = (Stage(32, pool=2), Stage(64, pool=2)),
    head: Literal["flatten", "learned", "grid", "clustered", "average", "maps"] = "flatten",
    grid: int = 2,
    dense: Sequence[int] = (),
    activation: str = "relu",
    normalization: Literal["none", "layer", "group"] = "none",
    groups: int = 8,
    standardize_weights: bool = False,
    dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A convolutional network over signals, images, volumes or video; parameters: `ConvNet`.

    After the stages stands one of the heads. For one size only: the maps laid out flat ("flatten"), or
    their means over regions that are learned, see `LearnedPooling` ("learned"). For any size: their
    means over a fixed grid of regions that grow with the input ("grid"), over as many regions as the
    grid has that are found in each input, see `clustered_pool` ("clustered"), or over all positions
    ("average"). Without dense layers the last is the mean of one map per class, and "maps" with the
    same parameters gives these maps.

    ``apply`` takes a mask ``(batch, *sizes)``, True on the real positions, a box from the first position
    on: then padding changes nothing, the answer is that of the example alone.

    Args:
      inputs: shape of an example, (*sizes, channels); a size may be ``None``: any.
      outputs: number of outputs (logits).
      stages: of convolutions; see `Stage`. Convolutions keep the size, or divide it by their stride.
      head: see above.
      grid: regions along each axis of the heads "grid" and "learned" (which starts near it); "clustered"
        has as many in all.
      dense: units of each dense layer between the head and the output; may be empty.
      activation: a name in ``layers.ACTIVATIONS``.
      normalization: after each convolution, over each example: "none", "layer" (all channels
        together) or "group".
      groups: groups of channels that are normalized together.
      standardize_weights: use each output channel's kernel with mean 0 and variance 2 / (its
        inputs), whatever its parameters are.
      dropout: share dropped of the head's features and of each dense layer, when a key is given; may be
        traced.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.

    Returns:
      A model with output ``(batch, outputs)``; ``(batch, *sizes, outputs)`` with the head "maps".

    Raises:
      ValueError: on sizes, rates or names that are not allowed, or where nothing is left of the maps.

    Source: notes C6.7, C6.10, C6.11, C7.4, C7.5; He et al., 2016 (residual blocks); Wu and He, 2018 (groups);
    Qiao et al., 2019 (standardized weights).

    Example:
      >>> model = conv_net((None, None, 1), 10, stages=[Stage(8, pool=2), Stage(16)], head="average")
      >>> params = model.init(jax.random.key(0))
      >>> [model.apply(params, jnp.ones((2, n, n, 1))).shape for n in (8, 13)]
      [(2, 10), (2, 10)]
    """
    sizes, channels = _shape(inputs)
    stages = tuple(Stage(*stage) for stage in stages)
    widths = all_positive("dense", dense)
    positive(outputs=outputs, grid=grid, groups=groups)
    shares(dropout=dropout)
    initializer_named(initializer)
    chosen("head", head, dict.fromkeys(HEADS))
    chosen("normalization", normalization, dict.fromkeys(NORMALIZATIONS))
    groups = {"none": 0, "layer": 1, "group": groups}[normalization]
    how = _How(activation_named(activation), activation in MONOTONE, standardize_weights, groups)
    left = _sizes_left(stages, sizes, groups)
    if head in ("flatten", "learned") and None in left:
        raise ValueError(
            f"head: got {head!r} for inputs {tuple(inputs)}, it takes one size only; "
            f"allowed for any size: {', '.join(HEADS[2:])}"
        )
    if head in ("grid", "learned") and any(m is not None and m < grid for m in left):
        raise ValueError(f"grid: got {grid}, larger than the maps of {left} that the stages leave")
    if head == "maps" and widths:
        raise ValueError(f"dense: got {widths}, the head 'maps' has no dense layers")
    last = stages[-1].channels if stages else channels
    one: dict[str, int] = {"flatten": prod(m or 1 for m in left), "average": 1, "maps": 1}
    features = last * (one[head] if head in one else grid ** len(sizes))

    def init(key: PRNGKey, /) -> ConvNet:
        key_stages, key_dense = random.split(key, 2)
        drawn, before = [], channels
        for i, stage in enumerate(stages):
            blocks = []
            for j, k in enumerate(random.split(random.fold_in(key_stages, i), stage.blocks)):
                stride = stage.stride if j == 0 else 1
                window = (stage.kernel,) * len(sizes)
                draw = partial(init_convolution, initializer=initializer, init_scale=init_scale)
                blocks.append(_init_block(k, draw, window, before, stage, stride, groups > 0))
                before = stage.channels
            drawn.append(tuple(blocks))
        *hidden, output = chain(key_dense, (features, *widths), widths, outputs, initializer, init_scale, 0.0)
        pooling = init_learned_pooling([m or 1 for m in left], grid) if head == "learned" else None
        return ConvNet(tuple(drawn), tuple(hidden), output, pooling)

    def apply(params: ConvNet, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        _check_input(x, mask, sizes, channels)
        if head == "flatten" and mask is not None:
            raise ValueError("mask: the head 'flatten' takes inputs of one size only, allowed is None")
        keys = keys_or_none(key, len(widths) + 1)
        h = x
        for stage, blocks in zip(stages, params.stages):
            h, mask = _stage(stage, blocks, h, mask, how)
        if head == "maps":
            return only(affine(params.output, random.dropout(keys[0], h, dropout)), mask)
        if head == "grid":
            h = masked_adaptive_pool(h, mask, grid)
        elif head == "clustered":
            h = clustered_pool(h, grid ** len(sizes), "mean", mask=mask)
        elif head == "learned" and params.pooling is not None:
            h = learned_pool(params.pooling, h, mask=mask)
        elif head == "average":
            h = masked_mean(h, mask)
        h = random.dropout(keys[0], h.reshape(h.shape[0], features), dropout)
        for layer, k in zip(params.hidden, keys[1:]):
            h = random.dropout(k, how.activation(affine(layer, h)), dropout)
        return affine(params.output, h)

    return Model(init, apply)


class _How(NamedTuple):
    """What every block of a network shares: the activation, whether it is monotone, …"""

    activation: Callable[[Array], Array]
    monotone: bool
    standardize: bool
    groups: int


def _init_block(
    key: PRNGKey, draw: Any, window: tuple[int, ...], inputs: int, stage: Stage, stride: int, norm: bool
) -> Block | Residual:
    outputs = stage.channels

    def block(key: PRNGKey, inputs: int) -> Block:
        drawn = draw(key, window, inputs, outputs)
        if not norm:
            return Block(drawn, None)
        return Block(drawn._replace(b=None), LayerNorm(jnp.ones(outputs), jnp.zeros(outputs)))

    if not stage.residual:
        return block(key, inputs)
    first, second, shortcut = random.split(key, 3)
    own = draw(shortcut, (1,) * len(window), inputs, outputs) if stride > 1 or inputs != outputs else None
    return Residual(block(first, inputs), block(second, outputs), jnp.full((outputs,), 0.1), own)


def _stage(
    stage: Stage, blocks: Sequence[Block | Residual], h: Array, mask: Array | None, how: _How
) -> tuple[Array, Array | None]:
    """The maps after a stage, and which of their positions are real."""
    for i, block in enumerate(blocks):
        stride = stage.stride if i == 0 else 1
        pool = stage.pool if i == len(blocks) - 1 else 1
        if isinstance(block, Residual):
            z, inner = _convolved(stage, block.first, h, mask, stride, how)
            z = how.activation(_normalized(block.first, z, inner, how))
            z, _ = _convolved(stage, block.second, z, inner, 1, how)
            z = _normalized(block.second, z, inner, how)
            if block.shortcut is not None:
                h = add_bias(convolve(h, block.shortcut.K, stride=stride, padding=0), block.shortcut.b)
            h, mask = how.activation(h + jnp.broadcast_to(block.gain, z.shape) * z), inner
            h, mask = _pooled(stage, h, mask, pool)
            continue
        z, mask = _convolved(stage, block, h, mask, stride, how)
        if block.norm is not None or (how.monotone and stage.pooling == "max"):
            # Without a norm the order makes no difference: max-pooling and a monotone function commute.
            z, mask = _pooled(stage, z, mask, pool)
            h = how.activation(_normalized(block, z, mask, how))
        else:
            h, mask = _pooled(stage, how.activation(_normalized(block, z, mask, how)), mask, pool)
    return h, mask


def _convolved(
    stage: Stage, block: Block, h: Array, mask: Array | None, stride: int, how: _How
) -> tuple[Array, Array | None]:
    """``x ∗ K`` of size ⌈size / stride⌉, and its mask."""
    K = standardized(block.convolution.K) if how.standardize else block.convolution.K
    reach = (stage.kernel - 1) * stage.dilation // 2
    z = convolve(only(h, mask), K, stride=stride, padding=reach, dilation=stage.dilation)
    return z, strided_mask(mask, stride)


def _normalized(block: Block, z: Array, mask: Array | None, how: _How) -> Array:
    """``norm(z) + b``, where the norm's shift is the bias."""
    if block.norm is None:
        return add_bias(z, block.convolution.b)
    return masked_group_norm(block.norm, z, mask, groups=how.groups)


def _pooled(stage: Stage, h: Array, mask: Array | None, window: int) -> tuple[Array, Array | None]:
    return (h, mask) if window == 1 else (POOLINGS[stage.pooling](h, window), pooled_mask(mask, window))


def standardized(kernel: Array) -> Array:
    """Each output channel's kernel with mean 0 and variance ``2 / n`` over its n inputs.

    Args:
      kernel: ``(*window, in, out)``.

    Source: Qiao et al., 2019, Micro-batch training with batch-channel normalization and weight
    standardization.
    """
    axes = tuple(range(kernel.ndim - 1))
    centerd = kernel - kernel.mean(axes, keepdims=True)
    inputs = prod(kernel.shape[:-1])
    return centerd * lax.rsqrt(jnp.square(centerd).sum(axes, keepdims=True) / 2 + 1e-10 * inputs)


def _shape(inputs: Sequence[int | None]) -> tuple[tuple[int | None, ...], int]:
    shape: tuple[Any, ...] = tuple(inputs) if not isinstance(inputs, int) else ()
    good = 2 <= len(shape) <= 4 and isinstance(shape[-1], int)
    if not good or any(m is not None and (not isinstance(m, int) or m < 1) for m in shape):
        raise ValueError(
            f"inputs: got {inputs}, allowed are 1 to 3 sizes (positive, or None) and the channels"
        )
    return shape[:-1], shape[-1]


def _sizes_left(
    stages: Sequence[Stage], sizes: tuple[int | None, ...], groups: int
) -> tuple[int | None, ...]:
    """The sizes after all stages, every option checked on the way."""
    for i, stage in enumerate(stages):
        numbers = {k: v for k, v in stage._asdict().items() if k not in ("residual", "pooling")}
        positive(**{f"stages[{i}].{name}": value for name, value in numbers.items()})
        chosen(f"stages[{i}].pooling", stage.pooling, POOLINGS)
        if stage.kernel % 2 == 0:
            raise ValueError(f"stages[{i}].kernel: got {stage.kernel}, allowed is an odd width")
        if stage.dilation > 1 and stage.stride > 1:
            raise ValueError(
                f"stages[{i}].dilation: got {stage.dilation} with a stride; allowed is one of both"
            )
        if groups and stage.channels % groups:
            raise ValueError(
                f"stages[{i}].channels: got {stage.channels}, which the {groups} groups of the normalization "
                "do not divide"
            )
        after = []
        for m in sizes:
            if m is not None:
                m = -(-m // stage.stride)
                if m < stage.pool:
                    raise ValueError(
                        f"stages[{i}].pool: got {stage.pool}, larger than the maps of {m} that it works on"
                    )
                m //= stage.pool
            after.append(m)
        sizes = tuple(after)
    return sizes


def _check_input(x: Any, mask: Array | None, sizes: tuple[int | None, ...], channels: int) -> None:
    got = x.shape[1:]
    fits = len(got) == len(sizes) + 1 and got[-1] == channels
    if not fits or any(m not in (None, n) for m, n in zip(sizes, got)):
        allowed = ", ".join("any" if m is None else str(m) for m in sizes)
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, {allowed}, {channels})")
    if mask is not None and mask.shape != x.shape[:-1]:
        raise ValueError(
            f"mask: got shape {mask.shape}, allowed is that of x without channels, {x.shape[:-1]}"
        )

"""Convolutional networks with branches: kernels of several widths and pooling side by side in one stage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers import random
from dlnotes.layers.activations import MONOTONE
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import init_convolution
from dlnotes.layers.convolutional.masked import pooled_mask
from dlnotes.layers.convolutional.neighborhood import neighborhood_pool
from dlnotes.models.convolutional.conv_net import (
    POOLINGS,
    Block,
    ConvNet,
    Residual,
    Stage,
    _check_input,
    _convolved,
    _How,
    _init_block,
    _normalized,
    _shape,
    _sizes_left,
    _stage,
    conv_net,
)
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class Branch(NamedTuple):
    """One way through a stage: a pooling or a 1-convolution if asked for, then a convolution; plain numbers.

    Attributes:
      channels: feature maps that it gives.
      kernel: width of its kernel along every axis; odd.
      reduce: maps of a 1-convolution before a wider kernel, which makes that one cheaper; 0 for none.
      pool: width of a pooling of stride 1 before the convolution; odd, 1 for none.
      pooling: "max" or "average".
    """

    channels: int
    kernel: int = 1
    reduce: int = 0
    pool: int = 1
    pooling: Literal["max", "average"] = "max"


class Branches(NamedTuple):
    """A stage of parallel branches, whose maps are laid side by side, then pooling; plain numbers.

    Attributes:
      branches: at least one; all see the same maps and keep their size.
      pool: width and stride of the pooling that ends the stage; 1 for none. A smaller window at the
        edge is dropped.
      pooling: "max" or "average".

    Example:
      >>> Branches.inception(16).channels
      16
    """

    branches: tuple[Branch, ...]
    pool: int = 1
    pooling: Literal["max", "average"] = "max"

    @property
    def channels(self) -> int:
        """Maps of all branches."""
        return sum(branch.channels for branch in self.branches)

    @classmethod
    def inception(cls, channels: int, *, pool: int = 1) -> Branches:
        """Branches of 1, 3 and 5 and of pooling over 3: a quarter, a half, an eighth, an eighth of the maps.

        Args:
          channels: of all branches together, a multiple of 8.
          pool: of the pooling that ends the stage.

        Raises:
          ValueError: when 8 does not divide the channels.
        """
        positive(channels=channels)
        if channels % 8:
            raise ValueError(f"channels: got {channels}, allowed are multiples of 8")
        n = channels // 8
        return cls(
            (Branch(2 * n), Branch(4 * n, 3, reduce=3 * n), Branch(n, 5, reduce=n), Branch(n, pool=3)), pool
        )


class BranchParams(NamedTuple):
    """Parameters of a branch.

    Attributes:
      reduce: the 1-convolution before, or ``None``.
      block: the convolution.
    """

    reduce: Block | None
    block: Block


class BranchedNet(NamedTuple):
    """Parameters of a convolutional network with branches.

    Attributes:
      stages: for each stage its blocks, or its branches.
      head: a `ConvNet` without stages: the layers after the maps.
    """

    stages: tuple[tuple[Block | Residual, ...] | tuple[BranchParams, ...], ...]
    head: ConvNet


def branched_net(
    inputs: Sequence[int | None],
    outputs: int,
    *,
    stages: Sequence[Stage | Branches] = (Stage(16, pool=2), Branches.inception(32, pool=2)),
    activation: str = "relu",
    normalization: Literal["none", "layer", "group"] = "none",
    groups: int = 8,
    standardize_weights: bool = False,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    head: Literal["flatten", "learned", "grid", "clustered", "average", "maps"] = "flatten",
    grid: int = 2,
    dense: Sequence[int] = (),
    dropout: float | Array = 0.0,
) -> Model:
    """`conv_net`, some of whose stages are branches side by side; parameters: `BranchedNet`.

    Of maps h a stage of branches gives ``g(h ∗ K₁)``, ``g(g(h ∗ R₃) ∗ K₃)``, ``g(g(h ∗ R₅) ∗ K₅)`` and
    ``g(pool(h) ∗ Kₚ)``, with biases or norms, laid side by side along the channels: each position is
    described at several scales at once, and the next stage chooses. Kernels are as wide as their branches
    say; 1-convolutions R before wide ones (`Branch.reduce`) save most of their cost.

    Args:
      inputs: shape of an example, (*sizes, channels); a size may be ``None``: any.
      outputs: number of outputs (logits).
      stages: `Stage` or `Branches`, in any order.
      activation, normalization, groups, standardize_weights, initializer, init_scale: as of `conv_net`. The
        groups must divide the channels of every branch, before it those of its 1-convolution.
      head, grid, dense, dropout: what follows the stages, as of `conv_net`.

    Returns:
      A model with output ``(batch, outputs)``; ``(batch, *sizes, outputs)`` with the head "maps".

    Raises:
      ValueError: on sizes, rates or names that are not allowed, or where nothing is left of the maps.

    Source: notes C6.14; Szegedy et al., 2015, Going deeper with convolutions (the module of figure 2).

    Example:
      >>> import jax
      >>> model = branched_net((8, 8, 1), 10, stages=[Branches((Branch(4), Branch(4, 5)), pool=2)])
      >>> params = model.init(jax.random.key(0))
      >>> model.apply(params, jnp.ones((2, 8, 8, 1))).shape
      (2, 10)
    """
    sizes, channels = _shape(inputs)
    listed = tuple(_checked(i, stage) for i, stage in enumerate(stages))
    positive(groups=groups)
    chosen("normalization", normalization, {"none": None, "layer": None, "group": None})
    groups = {"none": 0, "layer": 1, "group": groups}[normalization]
    how = _How(activation_named(activation), activation in MONOTONE, standardize_weights, groups)
    left = _left(listed, sizes, groups)
    last = listed[-1].channels if listed else channels
    top = conv_net(
        (*left, last),
        outputs,
        stages=(),
        head=head,
        grid=grid,
        dense=dense,
        activation=activation,
        dropout=dropout,
        initializer=initializer,
        init_scale=init_scale,
    )

    def init(key: PRNGKey, /) -> BranchedNet:
        key_stages, key_head = random.split(key, 2)
        drawn, before = [], channels
        draw = partial(init_convolution, initializer=initializer, init_scale=init_scale)

        def block(key: PRNGKey, before: int, maps: int, kernel: int, stage: Stage, stride: int) -> Any:
            return _init_block(
                key, draw, (kernel,) * len(sizes), before, stage._replace(channels=maps), stride, groups > 0
            )

        for i, stage in enumerate(listed):
            own = random.fold_in(key_stages, i)
            if isinstance(stage, Branches):
                parts = []
                for k, branch in zip(random.split(own, len(stage.branches)), stage.branches):
                    one, two = random.split(k, 2)
                    plain, n = Stage(branch.channels), branch.reduce
                    first = block(one, before, n, 1, plain, 1) if n else None
                    parts.append(
                        BranchParams(first, block(two, n or before, branch.channels, branch.kernel, plain, 1))
                    )
                drawn.append(tuple(parts))
                before = stage.channels
                continue
            blocks = []
            for j, k in enumerate(random.split(own, stage.blocks)):
                stride = stage.stride if j == 0 else 1
                blocks.append(block(k, before, stage.channels, stage.kernel, stage, stride))
                before = stage.channels
            drawn.append(tuple(blocks))
        return BranchedNet(tuple(drawn), top.init(key_head))

    def apply(
        params: BranchedNet, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        _check_input(x, mask, sizes, channels)
        h = x
        for stage, parts in zip(listed, params.stages):
            if isinstance(stage, Branches):
                h, mask = _side_by_side(stage, parts, h, mask, how)
            else:
                h, mask = _stage(stage, parts, h, mask, how)  # pyright: ignore[reportArgumentType]
        return top.apply(params.head, h, key=key, mask=mask)

    return Model(init, apply)


def _side_by_side(
    stage: Branches, parts: Any, h: Array, mask: Array | None, how: _How
) -> tuple[Array, Array | None]:
    """The maps of all branches along the channels, pooled, and which of their positions are real."""

    def through(block: Block, z: Array, kernel: int) -> Array:
        z, _ = _convolved(Stage(1, kernel=kernel), block, z, mask, 1, how)
        return how.activation(_normalized(block, z, mask, how))

    maps = []
    for branch, part in zip(stage.branches, parts):
        z = h if branch.pool == 1 else neighborhood_pool(h, branch.pool, branch.pooling, mask=mask)
        z = z if part.reduce is None else through(part.reduce, z, 1)
        maps.append(through(part.block, z, branch.kernel))
    together = jnp.concatenate(maps, -1)
    if stage.pool == 1:
        return together, mask
    return POOLINGS[stage.pooling](together, stage.pool), pooled_mask(mask, stage.pool)


def _checked(i: int, stage: Stage | Branches) -> Stage | Branches:
    """A stage whose branches, if it has any, are allowed."""
    if not isinstance(stage, Branches):
        return Stage(*stage)
    if not stage.branches:
        raise ValueError(f"stages[{i}].branches: got none, allowed is at least one")
    branches = tuple(Branch(*branch) for branch in stage.branches)
    positive(**{f"stages[{i}].pool": stage.pool})
    chosen(f"stages[{i}].pooling", stage.pooling, POOLINGS)
    for j, branch in enumerate(branches):
        name = f"stages[{i}].branches[{j}]"
        positive(**{f"{name}.{field}": getattr(branch, field) for field in ("channels", "kernel", "pool")})
        chosen(f"{name}.pooling", branch.pooling, POOLINGS)
        if isinstance(branch.reduce, bool) or not isinstance(branch.reduce, int) or branch.reduce < 0:
            raise ValueError(f"{name}.reduce: got {branch.reduce!r}, allowed are 0 and positive integers")
        for field in ("kernel", "pool"):
            if getattr(branch, field) % 2 == 0:
                raise ValueError(f"{name}.{field}: got {getattr(branch, field)}, allowed is an odd width")
    return stage._replace(branches=branches)


def _left(
    stages: Sequence[Stage | Branches], sizes: tuple[int | None, ...], groups: int
) -> tuple[int | None, ...]:
    """The sizes after all stages; what `conv_net` refuses of a stage is refused here."""
    plain = []
    for i, stage in enumerate(stages):
        if not isinstance(stage, Branches):
            plain.append(stage)
            continue
        for j, branch in enumerate(stage.branches):
            for field in ("channels", "reduce"):
                if groups and getattr(branch, field) % groups:
                    raise ValueError(
                        f"stages[{i}].branches[{j}].{field}: got {getattr(branch, field)}, which the "
                        f"{groups} groups of the normalization do not divide"
                    )
        plain.append(Stage(stage.channels, pool=stage.pool, pooling=stage.pooling))
    return _sizes_left(plain, sizes, groups)

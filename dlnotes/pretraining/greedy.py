"""The greedy algorithm: one layer after another, each trained on what the layers below it give.

``f ← identity; X̃ ← X; for k = 1 … m: f_k ← ℒ_k(X̃); f ← f_k ∘ f; X̃ ← f_k(X̃)``. A layer is never changed by
those above it. What comes of a stack is the start of a network that is then trained as a whole, or only at
its top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.layers.feedforward.dense import Dense
from dlnotes.models.feedforward.mlp import MLP, mlp
from dlnotes.models.model import Model
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.train import TrainedLayer, side_by_side, train
from dlnotes.training.starts import initial_params
from dlnotes.typing import Array, Params

BLOCK = 4096
"""Rows that are encoded at once."""


def greedy(
    learners: Sequence[Learner],
    x: np.ndarray,
    *,
    seeds: Sequence[int] | np.ndarray,
    epochs: int | Sequence[int],
    batch_size: int = 100,
    start: Sequence[Encoder] = (),
    data_per_member: bool = False,
) -> tuple[Encoder, ...]:
    """The notes' algorithm: a stack of layers, each trained on the one below it.

    Args:
      learners: of the layers, the lowest first; an empty list gives an empty stack.
      x: ``(n, inputs)``; with ``data_per_member`` ``(members, n, inputs)``.
      seeds: of the members, each of which has a stack of its own.
      epochs: of each layer, or of all.
      batch_size: rows of a step.
      start: encoders of the first layers, already trained with these seeds: the rest is trained above them,
        bit for bit as if all had been trained in one call.
      data_per_member: each member has data of its own.

    Returns:
      The encoders, leaves ``(members, ...)``.

    Raises:
      ValueError: as `dlnotes.pretraining.train.train`, and naming the layer.

    Source: notes P14.1; Hinton, Osindero and Teh, 2006.
    """
    layers = greedy_layers(
        learners,
        x,
        seeds=seeds,
        epochs=epochs,
        batch_size=batch_size,
        start=start,
        data_per_member=data_per_member,
    )
    return (*start, *(layer.encoder for layer in layers))


def greedy_layers(
    learners: Sequence[Learner],
    x: np.ndarray,
    *,
    seeds: Sequence[int] | np.ndarray,
    epochs: int | Sequence[int],
    batch_size: int = 100,
    start: Sequence[Encoder] = (),
    data_per_member: bool = False,
) -> list[TrainedLayer]:
    """As `greedy`, with what was measured and which members stopped; only the layers that it trained."""
    lengths = [epochs] * len(learners) if isinstance(epochs, int) else list(epochs)
    if len(lengths) != len(learners):
        raise ValueError(f"epochs: got {len(lengths)} numbers for {len(learners)} learners")
    if len(start) > len(learners):
        raise ValueError(f"start: got {len(start)} encoders for {len(learners)} learners")
    found: list[TrainedLayer] = []
    below = encode(start, x, data_per_member=data_per_member)
    per_member = data_per_member or bool(start)
    for k in range(len(start), len(learners)):
        if k > len(start):
            below = encode((found[-1].encoder,), below, data_per_member=per_member)
            per_member = True
        try:
            layer = train(
                learners[k],
                below,
                seeds=seeds,
                epochs=lengths[k],
                batch_size=batch_size,
                layer=k,
                data_per_member=per_member,
            )
        except ValueError as error:
            raise ValueError(f"learners[{k}] ({learners[k].kind}): {error}") from None
        found.append(layer)
    return found


def encode(
    encoders: Sequence[Encoder], x: np.ndarray, *, data_per_member: bool = False, block: int = BLOCK
) -> np.ndarray:
    """``f_m(… f_1(x))``, means and never samples, in blocks of rows.

    Args:
      encoders: from the lowest on; params of one member, or leaves ``(members, ...)``.
      x: ``(n, inputs)``; with ``data_per_member`` ``(members, n, inputs)``.
      data_per_member: each member has inputs of its own.
      block: rows at once.

    Returns:
      ``(n, units)`` numpy, or ``(members, n, units)`` where there are members; x itself without encoders.

    Raises:
      ValueError: when x does not have the inputs of the first encoder.
    """
    x = np.asarray(x, np.float32)
    for encoder in encoders:
        members = has_members(encoder, x.shape[-1])
        if data_per_member and not members:
            raise ValueError("encoders: got one member's for data of several")
        x = _encoded(encoder, x, members, data_per_member, block)
        data_per_member = members
    return x


def member_of(encoders: Sequence[Encoder], index: int) -> tuple[Encoder, ...]:
    """One member's encoders, without the members axis."""
    return tuple(Encoder(jax.tree.map(lambda a: a[index], e.params), e.learner) for e in encoders)


def has_members(encoder: Encoder, inputs: int) -> bool:
    """Whether an encoder's params have a leading axis of members."""
    mean = jax.ShapeDtypeStruct((inputs,), jnp.float32)
    state = jax.eval_shape(lambda mean: encoder.learner.init(jax.random.key(0), mean, inputs), mean)
    expected, got = (jax.tree.map(np.shape, t) for t in (state.params, encoder.params))
    if expected == got:
        return False
    if jax.tree.map(lambda a: np.shape(a)[1:], encoder.params) == expected:
        return True
    raise ValueError(
        f"encoders: got {encoder.learner.kind} with params of shapes {got}, needed for {inputs} inputs are "
        f"{expected}, or these with a members axis"
    )


def _encoded(encoder: Encoder, x: np.ndarray, members: bool, per_member: bool, block: int) -> np.ndarray:
    """One layer's outputs. The members of a large layer take turns, as in its training."""
    alone = _compiled(encoder.learner.encode, None)
    if not members:
        return _by_blocks(alone, encoder.params, x, block)
    if side_by_side(min(block, x.shape[-2]), x.shape[-1], encoder.learner.units):
        return _by_blocks(_compiled(encoder.learner.encode, per_member), encoder.params, x, block)
    count = len(jax.tree.leaves(encoder.params)[0])
    return np.stack(
        [
            _by_blocks(
                alone, jax.tree.map(lambda a, m=m: a[m], encoder.params), x[m] if per_member else x, block
            )
            for m in range(count)
        ]
    )


@lru_cache(maxsize=64)
def _compiled(encode: Callable[[Params, Array], Array], per_member: bool | None) -> Callable[..., Array]:
    """An encoder of one member, or (not ``None``) of several, jitted once for all calls."""
    if per_member is None:
        return jax.jit(encode)
    return jax.jit(jax.vmap(encode, in_axes=(0, 0 if per_member else None)))


def _by_blocks(function: Any, params: Params, x: np.ndarray, block: int) -> np.ndarray:
    rows = range(0, x.shape[-2], block)
    return np.concatenate([np.asarray(function(params, x[..., i : i + block, :])) for i in rows], axis=-2)


def dense_layers(encoders: Sequence[Encoder], activation: str | Sequence[str] | None = None) -> list[Dense]:
    """The encoders as layers ``φ(x W + b)`` of a perceptron, the arrays carried over as they are.

    Args:
      encoders: from the lowest on.
      activation: what each φ must be, one name for all or one each; ``None`` takes any.

    Raises:
      ValueError: naming the layer that has no such form, or another activation.
    """
    wanted = [activation] * len(encoders) if activation is None or isinstance(activation, str) else activation
    found = []
    for k, (encoder, name) in enumerate(zip(encoders, wanted, strict=True)):
        learner = encoder.learner
        if learner.dense_of is None or learner.activation is None:
            raise ValueError(
                f"encoders[{k}]: got {learner.kind}, which is no layer φ(x W + b) of a perceptron; allowed "
                "are learners that have an activation and dense_of"
            )
        if name is not None and name != learner.activation:
            raise ValueError(
                f"activation: got {name!r} for layer {k + 1}, allowed is {learner.activation!r}, the one of "
                f"its encoder ({learner.kind})"
            )
        found.append(Dense(*jax.tree.map(np.asarray, tuple(learner.dense_of(encoder.params)))))
    return found


def to_mlp(
    encoders: Sequence[Encoder],
    outputs: int,
    *,
    inputs: int | None = None,
    seeds: Sequence[int] | np.ndarray | None = None,
    activation: str | Sequence[str] | None = None,
    **options: Any,
) -> tuple[Model, MLP]:
    """A perceptron whose hidden layers are the encoders, and a read-out above them as it is drawn.

    Args:
      encoders: from the lowest on; an empty list gives a linear model.
      outputs: of the read-out.
      inputs: size of an example; needed without encoders.
      seeds: that draw the read-out, one for each member; by default 0, 1, …
      activation: refused where it is not that of the encoders.
      **options: of `dlnotes.models.mlp`.

    Returns:
      The model, and its params with the members axis of the encoders (or of ``seeds``); of encoders
      without a members axis, and without seeds, those of one member.

    Raises:
      ValueError: naming the layer that is no layer of a perceptron.

    Source: notes P14.1.
    """
    denses = dense_layers(encoders, activation)
    members = bool(denses) and denses[0].W.ndim == 3
    if denses and inputs is None:
        inputs = denses[0].W.shape[-2]
    if inputs is None:
        raise ValueError("inputs: got None, without encoders their number is needed")
    if any(np.shape(d.W)[-2] != n for d, n in zip(denses, [inputs, *(d.W.shape[-1] for d in denses)])):
        raise ValueError(f"encoders: got layers {[d.W.shape[-2:] for d in denses]} for {inputs} inputs")
    widths = [d.W.shape[-1] for d in denses]
    names = [e.learner.activation or "" for e in encoders]
    model = mlp(inputs, widths, outputs, activation=names, **options)
    count = len(denses[0].W) if members else 1
    drawn = initial_params(model, range(count) if seeds is None else list(seeds))
    if members and len(drawn.output.W) != count:
        raise ValueError(f"seeds: got {len(drawn.output.W)} for encoders of {count} members")
    if not members:
        if seeds is None:
            drawn = jax.tree.map(lambda a: a[0], drawn)
        else:
            n = len(drawn.output.W)
            denses = [Dense(*(np.broadcast_to(a, (n, *a.shape)) for a in d)) for d in denses]
    return model, carried(drawn, denses)


def carried(params: MLP, denses: Sequence[Dense]) -> MLP:
    """Parameters of a perceptron with other first hidden layers.

    Raises:
      ValueError: naming the layer whose shape differs.
    """
    for k, (new, old) in enumerate(zip(denses, params.hidden)):
        if not isinstance(old, Dense) or np.shape(new.W) != np.shape(old.W):
            raise ValueError(
                f"encoders[{k}]: got a layer of shape {np.shape(new.W)}, the network's is "
                f"{np.shape(old.W) if isinstance(old, Dense) else 'a product of two matrices'}"
            )
    return params._replace(hidden=(*denses, *params.hidden[len(denses) :]))

"""A decision tree whose nodes are networks: soft in training, one path at inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import all_positive, positive
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.large_scale.grouped import grouped_dense, sort_by_group
from dlnotes.models.feedforward.mlp import chain, count_inputs, flatten
from dlnotes.models.large_scale.mixture_of_experts import at_least_float32
from dlnotes.models.model import Model, WithState, learned_of
from dlnotes.outputs.penalized import Penalized
from dlnotes.typing import Array, Params, PRNGKey, Weight

MEMORY = 0.9
"""Share that a step keeps of the root's running means; at depth d a step forgets 2^−d of that."""

NEAR = 1e-3
"""How near to 0 and 1 a node's share is taken in its penalty, which would grow without end there."""

TINY = 1e-30
DEEPEST = 16


class SoftTree(NamedTuple):
    """Parameters of a tree of depth D with ``2^D − 1`` nodes and ``2^D`` leaves, level by level.

    Node i goes to the right with probability ``p_i(x) = σ(β_i f_i(x))``; its children are 2i + 1 (left) and
    2i + 2 (right).

    Attributes:
      node: for each layer of the nodes' networks a `Dense`, ``W`` (nodes, previous width, width) and
        ``b`` (nodes, width); the last has width 1. Empty for a tree of depth 0.
      beta: (nodes,) β, ``None`` for a tree of depth 0.
      leaf: ``(leaves, outputs)`` logits of constant leaves; or, for leaves that are networks, a `Dense`
        for each layer, ``W`` (leaves, previous width, width) and ``b`` (leaves, width).
    """

    node: tuple[Dense, ...]
    beta: Weight | None
    leaf: Weight | tuple[Dense, ...]


class Balance(NamedTuple):
    """Running means over the rows of training, for each node.

    Attributes:
      right: (nodes,) ``P_i p_i``, the probability to reach the node and go on to its right.
      reached: (nodes,) ``P_i``, the probability to reach it.
    """

    right: Array
    reached: Array


def soft_tree(
    inputs: int | Sequence[int],
    depth: int,
    outputs: int,
    *,
    node: Sequence[int] = (),
    leaf: Literal["constant", "net"] = "constant",
    hard: bool = False,
    mixture: Literal["likelihood", "outputs"] = "likelihood",
    balance: float | Array = 0.1,
    activation: str = "relu",
    initializer: str = "glorot_uniform",
    init_scale: float | Array = 1.0,
) -> Model:
    """A soft decision tree; parameters: ``WithState(SoftTree, Balance)``, of depth 0 `SoftTree`.

    ``p(y|x) = Σ_l P_l(x) Q_l(y|x)``, where ``P_l`` is the product of the probabilities on the path to leaf l
    and ``Q_l = softmax(φ_l)``; the output is ``log p``, so that `dlnotes.outputs.cross_entropy` is −log of
    it. With ``hard``, ``apply`` without a key follows the more probable branch of each node: D nodes and one
    leaf are computed for an example, and nothing else.

    In training (``update``) the output is a `dlnotes.outputs.Penalized`: a recipe of your own has
    ``outputs.penalized(loss)`` and ``outputs.unpenalized(metric)``. The penalty keeps both branches in
    use, ``−λ Σ_i 2^{−d} ½ (log α_i + log(1 − α_i))``: d is the depth of node i and ``α_i = Σ_x P_i p_i /
    Σ_x P_i`` its running mean up to the step before, since of one batch a deep node sees few rows. An
    example's part in the gradient is the change of ``α_i`` by it.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      depth: D, from 0 (one leaf, no nodes: a plain network) to 16.
      outputs: number of outputs (logits).
      node: widths of the hidden layers of every node's network; empty for linear nodes.
      leaf: "constant", or "net": a network with hidden layers of the same widths.
      hard: see above; training is soft in any case.
      mixture: what leaves mix: the "likelihood" of classes, or the "outputs", ``Σ_l P_l φ_l``, for numbers.
      balance: λ, the weight of the penalty at the root; may be traced.
      activation: of hidden layers, a name in ``layers.ACTIVATIONS``.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.

    Raises:
      ValueError: on sizes, rates or names that are not allowed.

    Example:
      >>> import jax
      >>> model = soft_tree(4, 3, 2)
      >>> params = model.init(jax.random.key(0))
      >>> log_p = model.apply(params, jnp.ones((5, 4)))
      >>> log_p.shape, [round(float(p), 4) for p in jnp.exp(log_p).sum(-1)[:2]]
      ((5, 2), [1.0, 1.0])

    Source: Jordan and Jacobs, 1994; Frosst and Hinton, 2017; notes L13.9.
    """
    features, widths = count_inputs(inputs), all_positive("node", node)
    positive(outputs=outputs)
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= DEEPEST:
        raise ValueError(f"depth: got {depth!r}, allowed is a whole number from 0 to {DEEPEST}")
    if leaf not in ("constant", "net"):
        raise ValueError(f"leaf: got {leaf!r}, allowed are 'constant', 'net'")
    if mixture not in ("likelihood", "outputs"):
        raise ValueError(f"mixture: got {mixture!r}, allowed are 'likelihood', 'outputs'")
    if isinstance(balance, (int, float)) and not 0 <= balance < float("inf"):
        raise ValueError(f"balance: got {balance}, allowed is at least 0")
    initializer_named(initializer)
    g = activation_named(activation)
    nodes, leaves = 2**depth - 1, 2**depth
    of_level = [np.full(2**d, 0.5**d, np.float32) for d in range(depth)]
    share = np.concatenate([np.zeros(0, np.float32), *of_level])  # 2^−d of each node

    def networks(key: PRNGKey, count: int, size: int) -> tuple[Dense, ...]:
        def one(key: PRNGKey) -> list[Dense]:
            return chain(key, (features, *widths), widths, size, initializer, init_scale, 0.0)

        return tuple(jax.vmap(one)(jax.random.split(key, count)))

    def init(key: PRNGKey, /) -> Params:
        of_nodes, of_leaves = random.split(key, 2)
        if leaf == "net":
            ends: Any = networks(of_leaves, leaves, outputs)
        else:
            ends = jnp.asarray(init_scale, jnp.float32) * jax.random.normal(of_leaves, (leaves, outputs))
        if depth == 0:
            return SoftTree((), None, ends)
        tree = SoftTree(networks(of_nodes, nodes, 1), jnp.ones(nodes), ends)
        return WithState(tree, Balance(jnp.asarray(share / 2), jnp.asarray(share)))

    def mixed(tree: SoftTree, h: Array, log_paths: Array) -> Array:
        if isinstance(tree.leaf, tuple):
            answers = _networks(tree.leaf, h, g)  # (batch, leaves, outputs)
            if mixture == "outputs":
                return jnp.einsum("nl,nlo->no", jnp.exp(log_paths).astype(answers.dtype), answers)
            log_q = jax.nn.log_softmax(answers.astype(log_paths.dtype), axis=-1)
            return jax.nn.logsumexp(log_q + jnp.broadcast_to(log_paths[..., None], log_q.shape), axis=1)
        logits = jnp.asarray(tree.leaf).astype(log_paths.dtype)
        if mixture == "outputs":
            return jnp.exp(log_paths) @ logits
        most = jax.lax.stop_gradient(jnp.max(log_paths, axis=-1, keepdims=True))
        p = jnp.exp(log_paths - jnp.broadcast_to(most, log_paths.shape)) @ jax.nn.softmax(logits, axis=-1)
        return jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny)) + jnp.broadcast_to(most, p.shape)

    def soft(tree: SoftTree, x: Any) -> tuple[Array, Array, Array]:
        """Output, log p of the right branch of each node, log P of each node; the latter (batch, nodes)."""
        h = flatten(x, features)
        if depth == 0:
            paths = jnp.zeros_like(at_least_float32(h[:, :1]))
            return mixed(tree, h, paths), paths[:, :0], paths[:, :0]
        levels, right = _log_paths(tree, h, g)
        return mixed(tree, h, levels[-1]), right, jnp.concatenate(levels[:-1], axis=1)

    def one_path(tree: SoftTree, x: Any) -> Array:
        h = flatten(x, features)
        at = jnp.zeros(h.shape[0], jnp.int32)  # place in the level
        for level in range(depth):
            first = 2**level - 1
            here = [Dense(W[first : 2 * first + 1], b[first : 2 * first + 1]) for W, b in tree.node]
            z = _own(here, h, at, 2**level, g)[:, 0] * jnp.asarray(tree.beta)[first + at]
            at = 2 * at + (z > 0).astype(jnp.int32)
        if isinstance(tree.leaf, tuple):
            found = _own(list(tree.leaf), h, at, leaves, g)
        else:
            found = jnp.asarray(tree.leaf)[at]
        if mixture == "outputs":
            return found
        return jax.nn.log_softmax(at_least_float32(found), axis=-1)

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        tree = learned_of(params)
        return one_path(tree, x) if hard and key is None else soft(tree, x)[0]

    def update(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> tuple[Any, Balance]:
        output, log_right, log_reached = soft(params.learned, x)
        reached, right = jnp.exp(log_reached), jnp.exp(log_reached + log_right)
        dtype = right.dtype
        of_depth = jnp.asarray(share, dtype)
        before = jax.tree.map(lambda a: jax.lax.stop_gradient(a).astype(dtype), params.state)
        weight = jnp.asarray(balance, dtype) * of_depth / 2
        alpha = jnp.clip(before.right / jnp.maximum(before.reached, TINY), NEAR, 1 - NEAR)
        slope = -weight * (1 / alpha - 1 / (1 - alpha)) / jnp.maximum(before.reached, NEAR * of_depth)
        level = -jnp.sum(weight * (jnp.log(alpha) + jnp.log(1 - alpha)))
        penalty = level + right @ slope - reached @ (slope * alpha)
        forget = (1 - MEMORY) * of_depth
        now = [jax.lax.stop_gradient(a.mean(axis=0)) for a in (right, reached)]
        state = Balance(*((1 - forget) * old + forget * new for old, new in zip(before, now)))
        return Penalized(output, penalty), state

    return Model(init, apply, update if depth else None)


def path_probabilities(params: Params, x: Any, *, activation: str = "relu") -> Array:
    """The probability of every leaf of a `soft_tree`, ``P_l(x)``, from the leftmost on.

    Args:
      params: of the tree, with its state or without.
      x: ``(batch, ...)`` inputs.
      activation: that the tree was made with.

    Returns:
      ``(batch, leaves)``, at least float32, each row with sum 1.

    Example:
      >>> import jax
      >>> from dlnotes import models
      >>> params = models.soft_tree(4, 2, 3).init(jax.random.key(0))
      >>> models.path_probabilities(params, jnp.zeros((1, 4))).tolist()
      [[0.25, 0.25, 0.25, 0.25]]
    """
    tree = learned_of(params)
    x = jnp.asarray(x)
    if tree.beta is None:
        return jnp.ones((x.shape[0], 1))
    h = flatten(x, tree.node[0].W.shape[1])
    return jnp.exp(_log_paths(tree, h, activation_named(activation))[0][-1])


def _log_paths(tree: SoftTree, h: Array, g: Any) -> tuple[list[Array], Array]:
    """log P of each place of every level, the leaves' the last, and log p of each node's right branch."""
    z = _networks(tree.node, h, g)[..., 0]
    z = z * jnp.broadcast_to(tree.beta, z.shape)  # type: ignore[arg-type]
    z = at_least_float32(z)
    right, left = jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)
    levels = [jnp.zeros((h.shape[0], 1), z.dtype)]
    while (first := levels[-1].shape[1] - 1) < z.shape[1]:
        here = slice(first, 2 * first + 1)
        both = jnp.stack([levels[-1] + left[:, here], levels[-1] + right[:, here]], axis=-1)
        levels.append(both.reshape(h.shape[0], -1))
    return levels, right


def _networks(layers: Sequence[Dense], x: Array, g: Any) -> Array:
    """All networks of the same inputs, ``(batch, networks, outputs)``."""
    first, *rest = layers
    z = jnp.einsum("ni,kio->nko", x, first.W)
    z = z + jnp.broadcast_to(first.b, z.shape)
    for layer in rest:
        z = jnp.einsum("nki,kio->nko", g(z), layer.W)
        z = z + jnp.broadcast_to(layer.b, z.shape)
    return z


def _own(layers: Sequence[Dense], h: Array, at: Array, count: int, g: Any) -> Array:
    """Each row's own network of ``count``, ``(batch, outputs)``."""
    one = count == 1 or h.shape[0] == 1  # one network is read, nothing is sorted
    groups = None if one else sort_by_group(at, count)
    for i, (W, b) in enumerate(layers):
        h = g(h) if i else h
        if groups is None:
            h = dense(Dense(jnp.asarray(W)[at[0]], jnp.asarray(b)[at[0]]), h)
        else:
            h = grouped_dense(Dense(W, b), h, groups)
    return h

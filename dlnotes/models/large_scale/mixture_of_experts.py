"""Mixtures of experts: a gate weighs several networks, or chooses one of them for each input."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.large_scale.grouped import Groups, grouped_dense, sort_by_group
from dlnotes.models.feedforward.mlp import chain, count_inputs, flatten, keys_or_none
from dlnotes.models.model import Model, WithState, learned_of
from dlnotes.outputs.penalized import Penalized
from dlnotes.typing import Array, Params, PRNGKey

MEMORY = 0.9
"""Share that a step keeps of the running load."""


class Experts(NamedTuple):
    """Parameters of E perceptrons and their gate ``g(x) = softmax(x G + d)``.

    Expert e is ``f_e(x)``, a multilayer perceptron with its own matrices.

    Attributes:
      gate: `Dense`, (inputs, E).
      hidden: for each layer a `Dense` with ``W`` (E, previous width, width) and ``b`` (E, width).
      output: `Dense`, ``W`` (E, last width, outputs) and ``b`` (E, outputs).
    """

    gate: Dense
    hidden: tuple[Dense, ...]
    output: Dense


class Load(NamedTuple):
    """How the gate has lately divided the rows of training.

    Attributes:
      last: ``(E,)`` share of the rows of the last step whose largest gate is e; they add up to 1.
      share: ``(E,)`` its running mean over steps.
      entropy: ``()`` running mean over steps of the gate's entropy, in nats.
    """

    last: Array
    share: Array
    entropy: Array


class _Answer(NamedTuple):
    """Output, gates ``(batch, E)`` and the expert of the largest ``(batch,)``."""

    output: Array
    gates: Array
    expert: Array


def mixture_of_experts(
    inputs: int | Sequence[int],
    experts: int,
    hidden: int | Sequence[int],
    outputs: int,
    *,
    gate: Literal["soft", "hard"] = "hard",
    mixture: Literal["likelihood", "outputs"] = "likelihood",
    balance: float | Array = 0.3,
    noise: float | Array = 0.0,
    activation: str = "relu",
    dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A mixture of experts; parameters: ``WithState(Experts, Load)``.

    Soft, all experts answer, ``p(y|x) = Σ_e g_e(x) p_e(y|x)`` with ``p_e = softmax(f_e(x))``; the output is
    ``log p``, so that `dlnotes.outputs.cross_entropy` is −log of the mixture. Hard, one of them answers,
    ``output = g_{e*}(x) f_{e*}(x)`` with ``e* = argmax_e g_e(x)``; only its products are computed, see
    `dlnotes.layers.grouped_dense`, and the gate learns through the factor ``g_{e*}``. With one expert both
    are a multilayer perceptron.

    In training (``update``) the output is a `dlnotes.outputs.Penalized`: a recipe of your own has
    ``outputs.penalized(loss)`` and ``outputs.unpenalized(metric)``. The penalty keeps all experts in use:
    ``α E Σ_e s_e g_e(x)``, where ``s_e`` is the share of the rows that expert e got in the step before.
    Its mean over a batch is ``α E Σ_e s_e P_e``, P_e the mean gate of the rows that count, however the
    batch is divided. Rows that only fill up a batch count in ``s_e`` alone, as further training examples.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      experts: E.
      hidden: units of each expert's hidden layer, or of its layers; empty gives linear experts.
      outputs: number of outputs (logits) of each expert.
      gate: "soft" or "hard".
      mixture: what a soft gate mixes: "likelihood" for classes, or the "outputs", ``Σ_e g_e f_e``, for
        numbers. A hard gate does not mix.
      balance: α, the weight of the penalty; may be traced. With a hard gate on scikit-learn's digits 0.01
        left one of eight experts in use, on MNIST 0.03 three, and 0.3 nearly all.
      noise: standard deviation of what is added to the gate's logits when a key is given, so that each
        expert is tried; may be traced.
      activation: of the hidden layers, a name in ``layers.ACTIVATIONS``.
      dropout: share of hidden units dropped when a key is given; may be traced.
      initializer: of the experts, a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of the experts' initial weights; may be a traced scalar.

    Raises:
      ValueError: on sizes, rates or names that are not allowed.

    Example:
      >>> import jax
      >>> model = mixture_of_experts(4, 3, 8, 2, gate="soft")
      >>> params = model.init(jax.random.key(0))
      >>> log_p = model.apply(params, jnp.ones((5, 4)))
      >>> log_p.shape, [round(float(p), 4) for p in jnp.exp(log_p).sum(-1)[:2]]
      ((5, 2), [1.0, 1.0])

    Source: Jacobs, Jordan, Nowlan and Hinton, 1991; Shazeer et al., 2017; the penalty: Fedus, Zoph and
    Shazeer, 2022; notes L13.10.
    """
    features, widths = count_inputs(inputs), _widths(hidden)
    positive(experts=experts, outputs=outputs)
    shares(dropout=dropout)
    if gate not in ("soft", "hard"):
        raise ValueError(f"gate: got {gate!r}, allowed are 'soft', 'hard'")
    if mixture not in ("likelihood", "outputs"):
        raise ValueError(f"mixture: got {mixture!r}, allowed are 'likelihood', 'outputs'")
    for name, value in {"balance": balance, "noise": noise}.items():
        if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed is at least 0")
    initializer_named(initializer)
    g = activation_named(activation)

    def init(key: PRNGKey, /) -> WithState:
        of_gate, of_experts = random.split(key, 2)

        def one(key: PRNGKey) -> list[Dense]:
            return chain(key, (features, *widths), widths, outputs, initializer, init_scale, 0.0)

        *layers, output = jax.vmap(one)(jax.random.split(of_experts, experts))
        # Small, so that no expert is far ahead before it has seen anything.
        chooser = init_dense(of_gate, features, experts, initializer="lecun_normal", init_scale=0.1)
        even = jnp.full((experts,), 1 / experts, jnp.float32)
        load = Load(even, even, jnp.array(log(experts), jnp.float32))
        return WithState(Experts(chooser, tuple(layers), output), load)

    def answer(params: Experts, x: Any, key: PRNGKey | None) -> _Answer:
        of_noise, *keys = keys_or_none(key, len(widths) + 1)
        h = flatten(x, features)
        gates = _gates(params.gate, h, of_noise, noise)
        chosen = jnp.argmax(gates, axis=-1).astype(jnp.int32)
        if gate == "hard":
            groups = sort_by_group(chosen, experts)
            for layer, key in zip(params.hidden, keys):
                h = random.dropout(key, g(_own(layer, h, groups, chosen)), dropout)
            found = _own(params.output, h, groups, chosen)
            weight = jnp.max(gates, axis=-1, keepdims=True).astype(found.dtype)
            return _Answer(jnp.broadcast_to(weight, found.shape) * found, gates, chosen)
        every = _first(params.hidden[0] if widths else params.output, h)  # (batch, E, width)
        for _i, (layer, key) in enumerate(zip((*params.hidden[1:], params.output), keys)):
            every = _each(layer, random.dropout(key, g(every), dropout))
        if mixture == "outputs":
            return _Answer(jnp.einsum("ne,neo->no", gates.astype(every.dtype), every), gates, chosen)
        log_p = jax.nn.log_softmax(every.astype(gates.dtype), axis=-1)
        with_gate = log_p + jnp.broadcast_to(_log(gates)[..., None], log_p.shape)
        return _Answer(jax.nn.logsumexp(with_gate, axis=1), gates, chosen)

    def apply(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return answer(params.learned, x, key).output

    def update(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> tuple[Any, Load]:
        found = answer(params.learned, x, key)
        share = params.state.last.astype(found.gates.dtype)
        alpha = jnp.asarray(balance, found.gates.dtype)
        penalty = alpha * experts * (found.gates @ jax.lax.stop_gradient(share))
        return Penalized(found.output, penalty), _running(params.state, found)

    return Model(init, apply, update)


def gate_weights(params: Params, x: Any) -> Array:
    """The gates of a mixture of experts, ``g(x) = softmax(x G + d)``.

    Args:
      params: of a `mixture_of_experts`, with its state or without.
      x: ``(batch, ...)`` inputs.

    Returns:
      ``(batch, E)``, at least float32, each row with sum 1.

    Example:
      >>> import jax
      >>> from dlnotes import models
      >>> params = models.mixture_of_experts(4, 3, 8, 2).init(jax.random.key(0))
      >>> models.gate_weights(params, jnp.zeros((1, 4))).round(3).tolist()
      [[0.3330000042915344, 0.3330000042915344, 0.3330000042915344]]
    """
    gate = learned_of(params).gate
    return _gates(gate, flatten(jnp.asarray(x), gate.W.shape[0]), None, 0.0)


def at_least_float32(a: Array) -> Array:
    """What a softmax or a logarithm is taken of: float32 of anything shorter, float64 as it is."""
    return a if a.dtype == jnp.float64 else a.astype(jnp.float32)


def _gates(gate: Dense, h: Array, key: PRNGKey | None, noise: float | Array) -> Array:
    z = at_least_float32(dense(gate, h))
    if key is not None and not (isinstance(noise, (int, float)) and noise == 0):
        z = z + jnp.asarray(noise, z.dtype) * _normal(key, z)
    return jax.nn.softmax(z, axis=-1)


def _normal(key: PRNGKey, like: Array) -> Array:
    """Standard normal numbers of the shape of ``like``, a row by its own key where there is one each."""
    if key.ndim == 0:
        return jax.random.normal(key, like.shape, like.dtype)
    return jax.vmap(lambda k: jax.random.normal(k, like.shape[1:], like.dtype))(key)


def _log(p: Array) -> Array:
    """``log p``, finite where a softmax has rounded to 0."""
    return jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))


def _own(layer: Dense, h: Array, groups: Groups, chosen: Array) -> Array:
    """The layer of each row's own expert."""
    if h.shape[0] == 1:  # one matrix is read, nothing is sorted
        W, b = (jnp.asarray(a)[chosen[0]] for a in layer)
        return dense(Dense(W, b), h)
    return grouped_dense(layer, h, groups)


def _first(layer: Dense, x: Array) -> Array:
    """Every expert's layer of the same inputs: ``(batch, E, width)``."""
    z = jnp.einsum("ni,eio->neo", x, layer.W)
    return z + jnp.broadcast_to(layer.b, z.shape)


def _each(layer: Dense, h: Array) -> Array:
    """Every expert's layer of its own hidden units: ``(batch, E, width)``."""
    z = jnp.einsum("nei,eio->neo", h, layer.W)
    return z + jnp.broadcast_to(layer.b, z.shape)


def _running(load: Load, found: _Answer) -> Load:
    gates = jax.lax.stop_gradient(found.gates)
    routed = jax.nn.one_hot(found.expert, gates.shape[-1], dtype=gates.dtype).mean(axis=0)
    entropy = -jnp.sum(gates * _log(gates), axis=-1).mean()
    share, entropy = (
        MEMORY * old + (1 - MEMORY) * new.astype(old.dtype)
        for old, new in zip((load.share, load.entropy), (routed, entropy))
    )
    # The penalty is by the last step alone: a mean over ten steps lags behind the gate, which then swings
    # until experts are lost (MNIST: 2 of 8 left, instead of all).
    return Load(routed.astype(load.last.dtype), share, entropy)


def _widths(hidden: int | Sequence[int]) -> tuple[int, ...]:
    return all_positive("hidden", (hidden,) if isinstance(hidden, int) else hidden)

"""A multilayer perceptron whose hidden units are switched in blocks by each input: conditional dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive, positive
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.large_scale.gates import (
    GRADIENTS,
    Gate,
    bernoulli_gate,
    gated_dense,
    repeat,
    units_of_block,
)
from dlnotes.models.feedforward.mlp import chain, count_inputs, flatten, keys_or_none
from dlnotes.models.model import Model, WithState, learned_of
from dlnotes.outputs.penalized import Penalized
from dlnotes.outputs.scored import Scored
from dlnotes.typing import Array, Params, PRNGKey

MEMORY = 0.9
"""Share that a step keeps of the running means."""

INFERENCES = ("likely", "expected")
"""How blocks are chosen without a key."""


class GatedMLP(NamedTuple):
    """Parameters of ``hⁱ = g(hⁱ⁻¹ Wᵢ + bᵢ) ⊙ repeat(uᵢ)``, ``uᵢ ~ Bernoulli(σ(hⁱ⁻¹ Zᵢ + dᵢ))``.

    Attributes:
      gates: for each layer a `Dense`, (previous width, blocks).
      hidden: for each layer a `Dense`, (previous width, width), as of an `MLP`.
      output: `Dense`, (last width, outputs).
      baseline: `Dense`, (inputs, 1), the loss that is expected of an input; ``None`` but for "score".
    """

    gates: tuple[Dense, ...]
    hidden: tuple[Dense, ...]
    output: Dense
    baseline: Dense | None


class Usage(NamedTuple):
    """How the gates have lately been open in training: running means over steps.

    Attributes:
      mean: ``(layers, blocks)`` of the probabilities.
    """

    mean: Array


class _Answer(NamedTuple):
    """Output, ``(batch, layers, blocks)`` probabilities and states, and ``(batch,)`` log p of these."""

    output: Array
    probability: Array
    u: Array
    log_probability: Array


def gated_mlp(
    inputs: int | Sequence[int],
    widths: Sequence[int],
    outputs: int,
    *,
    blocks: int = 16,
    share: float | Array = 0.25,
    gradient: Literal["score", "straight_through", "gumbel"] = "straight_through",
    inference: Literal["likely", "expected"] = "likely",
    grouped: bool = False,
    sparsity: float | Array = 1.0,
    variance: float | Array = 0.1,
    temperature: float | Array = 1.0,
    activation: str = "relu",
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A perceptron that computes, for each input, some blocks of its hidden units.

    Equations: `GatedMLP`; parameters: ``WithState(GatedMLP, Usage)``. With a key the blocks are drawn. In
    training (``update``) the output is a `dlnotes.outputs.Penalized`, with "score" of a
    `dlnotes.outputs.Scored`. The penalty of an example is its part in ``λ_s (L_b + L_e) + λ_v L_v`` of each
    layer:

    * ``L_b = Σ_k (mean_i π_ik − τ)²``, each block is on for a share τ of the examples;
    * ``L_e = mean_i (mean_k π_ik − τ)²``, each example has a share τ of the blocks;
    * ``L_v = −Σ_k var_i π_ik``, a block is not on alike for all examples.

    The means over examples in L_b and L_v are running ones, up to the step before, so that neither padding
    nor the number of devices changes an example's part; its gradient is that of these terms where the
    running means are those of the batch.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      widths: units of each hidden layer.
      outputs: number of outputs (logits).
      blocks: K of each hidden layer, a divisor of its units.
      share: τ, above 0; with 1 all blocks are always on, which is `mlp`; may be traced.
      gradient: estimator of the gradient in the probabilities, see `dlnotes.layers.bernoulli_gate`.
      inference: without a key, blocks with ``π > ½`` ("likely"), or all blocks times π ("expected"), which
        saves nothing. With a key they are drawn, at inference too.
      grouped: compute only the blocks that are on: at inference, and with "score" in training. It pays on a
        CPU, without vmap over parameters, in large batches with few blocks on.
      sparsity: λ_s; may be traced.
      variance: λ_v; may be traced.
      temperature: of "gumbel"; may be traced.
      activation: of the hidden layers, a name in ``layers.ACTIVATIONS``.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of the initial weights but the gates'; may be a traced scalar.

    Raises:
      ValueError: on sizes, shares or names that are not allowed.

    Example:
      >>> import jax
      >>> model = gated_mlp(4, (8,), 2, blocks=4)
      >>> params = model.init(jax.random.key(0))
      >>> model.apply(params, jnp.ones((5, 4)), key=jax.random.key(1)).shape
      (5, 2)

    Source: Bengio, Bacon, Pineau and Precup, 2015; notes L13.11.
    """
    features, widths = count_inputs(inputs), all_positive("widths", widths)
    positive(outputs=outputs, blocks=blocks)
    for width in widths:
        units_of_block(width, blocks)
    if not widths:
        raise ValueError("widths: got none, at least one hidden layer is needed, whose units are switched")
    if isinstance(share, (int, float)) and not 0 < share <= 1:
        raise ValueError(f"share: got {share}, allowed is 0 < share <= 1 (the share of blocks that are on)")
    for name, allowed, got in (("gradient", GRADIENTS, gradient), ("inference", INFERENCES, inference)):
        if got not in allowed:
            raise ValueError(f"{name}: got {got!r}, allowed are {', '.join(map(repr, allowed))}")
    for name, value in {"sparsity": sparsity, "variance": variance}.items():
        if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed is at least 0")
    if isinstance(temperature, (int, float)) and not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: got {temperature}, allowed is above 0")
    initializer_named(initializer)
    g = activation_named(activation)

    def init(key: PRNGKey, /) -> WithState:
        of_gates, of_layers = random.split(key, 2)
        *hidden, output = chain(of_layers, (features, *widths), widths, outputs, initializer, init_scale, 0.0)
        target = jnp.asarray(share, jnp.float32)
        # Open as often as they shall be, and little moved by the input before anything is known.
        bias = jax.scipy.special.logit(jnp.clip(target, 1e-3, 1 - 1e-3))
        gates = []
        for k, n in zip(random.split(of_gates, len(widths)), (features, *widths)):
            gate = init_dense(k, n, blocks, initializer="lecun_normal", init_scale=0.1)
            gates.append(Dense(gate.W, jnp.full((blocks,), bias)))
        baseline = Dense(jnp.zeros((features, 1)), jnp.zeros(1)) if gradient == "score" else None
        usage = Usage(jnp.full((len(widths), blocks), target))
        return WithState(GatedMLP(tuple(gates), tuple(hidden), output, baseline), usage)

    def answer(params: GatedMLP, x: Any, key: PRNGKey | None) -> _Answer:
        h = flatten(x, features)
        only_on = grouped and (inference != "expected" if key is None else gradient == "score")
        how = _How(key, inference == "expected", share, gradient, temperature)
        return _forward(params, h, g, how, grouped=only_on)

    def apply(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return answer(params.learned, x, key).output

    def update(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> tuple[Any, Usage]:
        learned, usage = params
        found = answer(learned, x, key)
        penalty = gate_penalty(found.probability, usage.mean, share, sparsity, variance)
        output: Any = found.output
        if learned.baseline is not None:
            baseline = dense(learned.baseline, flatten(x, features))[:, 0]
            output = Scored(output, found.log_probability, baseline)
        now = jax.lax.stop_gradient(found.probability).mean(axis=0).astype(usage.mean.dtype)
        return Penalized(output, penalty), Usage(MEMORY * usage.mean + (1 - MEMORY) * now)

    return Model(init, apply, update)


def gate_penalty(
    probability: Array,
    mean: Array,
    share: float | Array,
    sparsity: float | Array = 1.0,
    variance: float | Array = 1.0,
) -> Array:
    """Each example's part in ``λ_s (L_b + L_e) + λ_v L_v``, summed over layers; see `gated_mlp`.

    With m the running mean, ``(mean_i π_i − τ)²`` is ``mean_i [(m − τ)² + 2 (m − τ)(π_i − m)]`` up to the
    square of what the two means differ by; ``−var_i π_i`` is ``mean_i [−(π_i − m)²]`` up to the same.

    Args:
      probability: ``(batch, layers, blocks)``.
      mean: ``(layers, blocks)``.
      share: τ.
      sparsity, variance: λ_s, λ_v.

    Returns:
      ``(batch,)``.
    """
    lam_s, lam_v, target = (jnp.asarray(v, probability.dtype) for v in (sparsity, variance, share))
    m = jax.lax.stop_gradient(mean).astype(probability.dtype)[None]
    off = probability - m
    of_blocks = jnp.sum((m - target) ** 2 + 2 * (m - target) * off, axis=-1)
    of_examples = (probability.mean(axis=-1) - target) ** 2
    spread = jnp.sum(off**2, axis=-1)
    return jnp.sum(lam_s * (of_blocks + of_examples) - lam_v * spread, axis=-1)


def open_blocks(
    params: Params,
    x: Any,
    *,
    activation: str = "relu",
    inference: str = "likely",
    share: float | Array = 0.25,
) -> tuple[Array, Array]:
    """Which blocks of a `gated_mlp` are on at inference, and their probabilities.

    Args:
      params: of a `gated_mlp`, with its state or without.
      x: ``(batch, ...)`` inputs.
      activation, inference: of the network.
      share: of the network; it matters only where it is 1: then all blocks are on.

    Returns:
      ``(batch, layers, blocks)`` twice: u, which is π where the inference is "expected"; and π.

    Example:
      >>> import jax
      >>> from dlnotes import models
      >>> params = models.gated_mlp(4, (8,), 2, blocks=4, share=0.25).init(jax.random.key(0))
      >>> u, probability = models.open_blocks(params, jnp.zeros((1, 4)))
      >>> u.tolist(), probability.round(2).tolist()
      ([[[0.0, 0.0, 0.0, 0.0]]], [[[0.25, 0.25, 0.25, 0.25]]])
    """
    learned: GatedMLP = learned_of(params)
    h = flatten(jnp.asarray(x), learned.gates[0].W.shape[0])
    how = _How(None, inference == "expected", share, "score", 1.0)
    found = _forward(learned, h, activation_named(activation), how, grouped=False)
    return found.u, found.probability


class _How(NamedTuple):
    """How blocks are chosen: by keys, else weighted by their probabilities, else the likely ones."""

    key: PRNGKey | None
    weighted: bool
    share: float | Array
    gradient: Any
    temperature: float | Array


def _forward(params: GatedMLP, h: Array, g: Callable[[Array], Array], how: _How, *, grouped: bool) -> _Answer:
    probabilities, states, log_probability = [], [], jnp.zeros((), jnp.float32)
    keys = keys_or_none(how.key, len(params.hidden))
    for of_gate, layer, key in zip(params.gates, params.hidden, keys):
        probability, gate = _choose(of_gate, h, how._replace(key=key))
        z = gated_dense(layer, h, gate.u, grouped=True) if grouped else dense(layer, h)
        h = g(z) * repeat(gate.u, z.shape[1] // gate.u.shape[1]).astype(z.dtype)
        probabilities.append(probability)
        states.append(gate.u)
        log_probability = log_probability + gate.log_probability
    u, pi = jnp.stack(states, axis=1), jnp.stack(probabilities, axis=1)
    return _Answer(dense(params.output, h), pi, u, log_probability)


def _choose(layer: Dense, h: Array, how: _How) -> tuple[Array, Gate]:
    """Probabilities of a layer's blocks, and which are on."""
    z = dense(layer, h)
    z = z if z.dtype == jnp.float64 else z.astype(jnp.float32)
    ones, none = jnp.ones_like(z), jnp.zeros_like(z[:, 0])
    if isinstance(how.share, (int, float)) and how.share == 1:
        return ones, Gate(ones, none)
    probability = jax.nn.sigmoid(z)
    if how.key is not None:
        gate = bernoulli_gate(how.key, z, how.gradient, temperature=how.temperature)
    else:
        gate = Gate(probability if how.weighted else (z > 0).astype(z.dtype), none)
    if isinstance(how.share, (int, float)):
        return probability, gate
    every = jnp.broadcast_to(how.share >= 1, z.shape)  # a swept share may be 1
    u, log_p = jnp.where(every, ones, gate.u), jnp.where(every[:, 0], none, gate.log_probability)
    return jnp.where(every, ones, probability), Gate(u, log_p)

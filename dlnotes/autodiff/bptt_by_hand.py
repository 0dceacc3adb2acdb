"""Back-propagation through time of the notes' recurrent net, one equation a line, for reading.

Sequences stand in rows here, so that ``a = h W + x U + b`` where the notes write ``a = W h + U x + b``
for one column; gradients by matrices are those of the notes, transposed and summed over the batch.
Training uses `dlnotes.layers.unroll`, whose backward pass is the same thing arranged for speed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.autodiff.mlp_backprop import cross_entropy_gradient
from dlnotes.checks import positive
from dlnotes.layers.recurrent.unroll import rnn
from dlnotes.outputs.losses import cross_entropy
from dlnotes.typing import IGNORE, Array, PRNGKey


class RecurrentNet(NamedTuple):
    """``a_t = b + h_{t-1} W + x_t U``, ``h_t = tanh(a_t)``, ``o_t = c + h_t V``, ``ŷ_t = softmax(o_t)``.

    Attributes:
      U: (inputs, hidden).
      W: (hidden, hidden).
      V: (hidden, outputs).
      b: (hidden,).
      c: (outputs,).
    """

    U: Array
    W: Array
    V: Array
    b: Array
    c: Array


class Trace(NamedTuple):
    """What the forward pass leaves for the backward pass.

    Attributes:
      h: (batch, time + 1, hidden), from ``h_0`` to ``h_τ``.
      o: (batch, time, outputs), unnormalized log-probabilities.
    """

    h: Array
    o: Array


class NodeGradients(NamedTuple):
    """The gradients of L by the nodes of the unfolded graph.

    Attributes:
      h: (batch, time + 1, hidden), of ``h_0 … h_τ``.
      o: (batch, time, outputs), of ``o_1 … o_τ``.
    """

    h: Array
    o: Array


def init(key: PRNGKey, inputs: int, hidden: int, outputs: int) -> RecurrentNet:
    """Random parameters: those of `layers.recurrent.rnn`, and a Glorot-uniform ``V``.

    Raises:
      ValueError: for sizes below 1.
    """
    positive(outputs=outputs)
    key_cell, key_V = jax.random.split(key)
    U, W, b = rnn.init(key_cell, inputs, hidden)
    V = jax.nn.initializers.glorot_uniform()(key_V, (hidden, outputs), jnp.float32)
    return RecurrentNet(U, W, V, b, jnp.zeros(outputs))


def forward(net: RecurrentNet, x: Array, *, mask: Array | None = None, h0: Array | None = None) -> Trace:
    """From left to right: every state is needed before the next one.

    Args:
      net: the parameters.
      x: (batch, time, inputs).
      mask: (batch, time) booleans, True where a position is real; elsewhere the state stays as it was.
      h0: (batch, hidden), by default 0.

    Raises:
      ValueError: on a mask of another shape than (batch, time).

    Source: notes R9.1.
    """
    _check(x, mask)
    h = [jnp.zeros((x.shape[0], net.W.shape[0]), x.dtype) if h0 is None else h0]
    o = []
    for t in range(x.shape[1]):
        a = net.b[None] + h[-1] @ net.W + x[:, t] @ net.U
        new = jnp.tanh(a)
        h.append(new if mask is None else jnp.where(mask[:, t, None], new, h[-1]))
        o.append(net.c[None] + h[-1] @ net.V)
    return Trace(jnp.stack(h, 1), jnp.stack(o, 1))


def loss(
    net: RecurrentNet, x: Array, y: Array, *, mask: Array | None = None, h0: Array | None = None
) -> Array:
    """``L = −Σ_t log softmax(o_t)_{y_t}``, summed over the batch too; arguments: `value_and_gradient`."""
    return _loss(forward(net, x, mask=mask, h0=h0), y, mask)


def node_gradients(net: RecurrentNet, trace: Trace, y: Array, *, mask: Array | None = None) -> NodeGradients:
    """From right to left: ``∇_{o_t} = ŷ_t − 1_{y_t}``, and each ``∇_{h_t}`` from the one after it.

    ``h_t`` is read by ``o_t`` and by ``h_{t+1}`` only, so with gradients as rows
    ``∇_{h_t} = (∇_{h_{t+1}} ⊙ (1 − h_{t+1}²)) Wᵀ + ∇_{o_t} Vᵀ``; in the notes' columns
    ``Wᵀ diag(1 − h_{t+1}²) ∇_{h_{t+1}} + Vᵀ ∇_{o_t}``. A position that is not real has no output, and
    its state is a copy of the one before: the gradient passes through it unchanged.

    Args:
      net: the parameters.
      trace: what `forward` returned.
      y, mask: see `value_and_gradient`.

    Source: notes R9.2; Goodfellow et al., 2016, equations 10.18 to 10.21.
    """
    targets = _targets(y, mask)
    flat = cross_entropy_gradient(trace.o.reshape(-1, trace.o.shape[-1]), targets.reshape(-1))
    by_o = flat.reshape(trace.o.shape)
    by_h = [jnp.zeros_like(trace.h[:, 0])]  # nothing comes after the last step
    for t in range(y.shape[1] - 1, -1, -1):
        here = by_h[-1] + by_o[:, t] @ net.V.T
        by_h[-1] = here
        before = (here * (1 - trace.h[:, t + 1] ** 2)) @ net.W.T
        by_h.append(before if mask is None else jnp.where(mask[:, t, None], before, here))
    return NodeGradients(jnp.stack(by_h[::-1], 1), by_o)


def parameter_gradients(
    trace: Trace, x: Array, nodes: NodeGradients, *, mask: Array | None = None
) -> RecurrentNet:
    """Each step's share in the shared parameters, added up over the steps.

    With ``g_t = ∇_{h_t} ⊙ (1 − h_t²)``: ``∇c = Σ ∇_{o_t}``, ``∇b = Σ g_t``, ``∇V = Σ h_tᵀ ∇_{o_t}``,
    ``∇W = Σ h_{t-1}ᵀ g_t``, ``∇U = Σ x_tᵀ g_t``: the last three are sums of outer products.

    Args:
      trace: what `forward` returned.
      x, mask: see `value_and_gradient`.
      nodes: what `node_gradients` returned.

    Source: notes R9.2; Goodfellow et al., 2016, equations 10.22 to 10.28.
    """
    h, before = trace.h[:, 1:], trace.h[:, :-1]
    g = nodes.h[:, 1:] * (1 - h**2)
    if mask is not None:
        g = jnp.where(mask[:, :, None], g, 0)

    def outer(rows: Array, columns: Array) -> Array:
        return jnp.einsum("bti,btj->ij", rows, columns)

    return RecurrentNet(
        U=outer(x, g),
        W=outer(before, g),
        V=outer(h, nodes.o),
        b=jnp.sum(g, (0, 1)),
        c=jnp.sum(nodes.o, (0, 1)),
    )


def value_and_gradient(
    net: RecurrentNet, x: Array, y: Array, *, mask: Array | None = None, h0: Array | None = None
) -> tuple[Array, RecurrentNet]:
    """L and its gradient by every parameter, what ``jax.value_and_grad`` of `loss` gives.

    Args:
      net: the parameters.
      x: (batch, time, inputs).
      y: (batch, time) whole numbers, `IGNORE` where a step has no target.
      mask: (batch, time) booleans, True where a position is real. ``None``: all are.
      h0: (batch, hidden), by default 0.

    Raises:
      ValueError: on a ``y`` or mask of another shape than (batch, time).

    Source: notes R9.2.

    Example:
      >>> net = init(jax.random.key(0), 3, 4, 2)
      >>> L, gradient = value_and_gradient(net, jnp.ones((1, 5, 3)), jnp.array([[0, 1, 1, 0, 1]]))
      >>> gradient.W.shape
      (4, 4)
    """
    trace = forward(net, x, mask=mask, h0=h0)
    value = _loss(trace, y, mask)
    return value, parameter_gradients(trace, x, node_gradients(net, trace, y, mask=mask), mask=mask)


def _loss(trace: Trace, y: Array, mask: Array | None) -> Array:
    if y.shape != trace.o.shape[:2]:
        raise ValueError(f"y: got shape {y.shape}, allowed is {trace.o.shape[:2]} (batch, time)")
    return jnp.sum(cross_entropy(trace.o, _targets(y, mask)).total)


def _targets(y: Array, mask: Array | None) -> Array:
    return y if mask is None else jnp.where(mask, y, IGNORE)


def _check(x: Array, mask: Array | None) -> None:
    if x.ndim != 3:
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, time, inputs)")
    if mask is not None and mask.shape != x.shape[:2]:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is {x.shape[:2]} (batch, time)")

"""flax linen and optax: a jitted, donated step called from a Python loop, batches cut from numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

from scripts.bench.interface import Data, Setup, Variant, Weights, repeated
from scripts.bench.networks import Cnn, Mlp, Network, Recurrent, Staged
from scripts.bench.spec import Case

IN_FLIGHT = 8
"""Steps dispatched before the loop waits for the last one (else a slow step piles up seconds of work)."""

CELLS = {"rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
GATE_NAMES = {"rnn": [""], "lstm": ["i", "f", "o", "g"], "gru": ["r", "z", "n"]}
"""Of flax, in the order of the weights."""


class Dense(nn.Module):
    """An `Mlp`."""

    network: Mlp

    @nn.compact
    def __call__(self, x):
        activation = nn.tanh if self.network.activation == "tanh" else nn.relu
        for width in self.network.widths[1:-1]:
            x = activation(nn.Dense(width)(x))
        return nn.Dense(self.network.outputs)(x)


class Convolutions(nn.Module):
    """A `Cnn`."""

    network: Cnn

    @nn.compact
    def __call__(self, x):
        for features in self.network.channels:
            x = nn.relu(nn.Conv(features, (3, 3), padding="SAME")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(self.network.dense)(x.reshape(len(x), -1)))
        return nn.Dense(self.network.outputs)(x)


class Stages(nn.Module):
    """A `Staged` network of inputs of one size."""

    network: Staged

    @nn.compact
    def __call__(self, x):
        how, rank = self.network, self.network.rank
        window, ends = (how.kernel,) * rank, how.kernel // 2
        for i, (features, s) in enumerate(zip(how.channels, how.strides)):
            step = (s,) * rank
            z = nn.Conv(features, window, step, padding=ends)(x)
            if how.residual:
                z = nn.Conv(features, window, padding=ends)(nn.relu(z))
                changed = s > 1 or features != x.shape[-1]
                gain = self.param(f"gain_{i}", nn.initializers.ones, (features,))
                z = (nn.Conv(features, (1,) * rank, step)(x) if changed else x) + gain * z
            x = nn.relu(z)
            if how.pool > 1:
                x = nn.max_pool(x, (how.pool,) * rank, (how.pool_stride or how.pool,) * rank)
        return nn.Dense(how.outputs)(x.mean(range(1, rank + 1)))


class LastState(nn.Module):
    """A `Recurrent` network: ``nn.RNN`` over flax's own cells."""

    network: Recurrent

    @nn.compact
    def __call__(self, x):
        cell = CELLS[self.network.cell](self.network.hidden, name="cell")
        h: Any = nn.RNN(cell)(x)
        return nn.Dense(self.network.outputs, name="readout")(h[:, -1])


def build(network: Network, weights: Weights) -> tuple[nn.Module, dict[str, Any]]:
    """A network, and its parameters with the given weights, which may have members.

    Raises:
      TypeError: of a network that flax takes no part in.
    """
    match network:
        case Mlp():
            return Dense(network), _numbered(network, weights)
        case Cnn():
            return Convolutions(network), _numbered(network, weights)
        case Staged(any_size=False):
            gains = {f"gain_{i}": jnp.ones(m) for i, m in enumerate(network.channels)}
            return Stages(network), _numbered(network, weights) | (gains if network.residual else {})
        case Recurrent():
            return LastState(network), _recurrent(network, weights)
    raise TypeError(f"network: got {network}, flax_linen has none such")


def _numbered(network: Network, weights: Weights) -> dict[str, Any]:
    """The parameters by flax's own names, counted for each sort of layer."""
    params, count = {}, {"Conv": 0, "Dense": 0}
    for layer, (W, b) in zip(network.layers, weights, strict=True):
        kind = "Conv" if len(layer.shape) > 2 else "Dense"
        params[f"{kind}_{count[kind]}"] = {"kernel": jnp.asarray(W), "bias": jnp.asarray(b)}
        count[kind] += 1
    return params


def _recurrent(network: Recurrent, weights: Weights) -> dict[str, Any]:
    """The parameters of `LastState`: one bias a gate, which flax has on the input's side or the state's."""
    (U, b), (W, d), (V, c) = weights
    names = GATE_NAMES[network.cell]
    cell = {}
    for name, u, w, b_in, b_state in zip(names, *(np.split(a, len(names), axis=-1) for a in (U, W, b, d))):
        inputs, state = {"kernel": jnp.asarray(u)}, {"kernel": jnp.asarray(w)}
        if network.cell == "lstm":
            state["bias"] = jnp.asarray(b_in + b_state)
        elif name == "n":
            inputs["bias"], state["bias"] = jnp.asarray(b_in), jnp.asarray(b_state)
        else:
            inputs["bias"] = jnp.asarray(b_in + b_state)
        cell |= {f"i{name}": inputs, f"h{name}": state}
    return {"cell": cell, "readout": {"kernel": jnp.asarray(V), "bias": jnp.asarray(c)}}


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The step is vmapped over members where there are some."""
    network, params = build(case.network, weights)
    return loop(case, data, lambda params, x: network.apply({"params": params}, x), params)


def loop(
    case: Case,
    data: Data,
    apply: Callable[[Any, Any], Any],
    params: Any,
    options: dict[str, str] | None = None,
) -> Variant:
    """Adam on ``apply(params, x)``, a step a call, compiled with ``options``."""

    def step(state: TrainState, x, y):
        def loss_of(params):
            logits = state.apply_fn(params, x)
            if case.output == "sigmoid":
                return optax.sigmoid_binary_cross_entropy(logits[:, 0], y).mean()
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=grads), loss

    def create(params) -> TrainState:
        return TrainState.create(apply_fn=apply, params=params, tx=optax.adam(case.learning_rate))

    if case.members:
        step, create = jax.vmap(step), jax.vmap(create)
    train_step = jax.jit(step, donate_argnums=0, compiler_options=options)
    state = create(params)

    rng = np.random.default_rng(0)
    x, y = data.x, data.y if case.output == "softmax" else data.y.astype(np.float32)

    def epochs():
        while True:
            if case.batch == case.examples:
                yield x, y
                continue
            if case.members:
                order = np.stack([rng.permutation(case.examples) for _ in range(case.members)])
            else:
                order = rng.permutation(case.examples)
            for i in range(0, case.examples, case.batch):
                index = order[..., i : i + case.batch]
                yield x[index], y[index]

    batches = epochs()

    def check(fixed):
        nonlocal state
        losses = []
        for xs, ys in fixed:
            state, loss = train_step(state, xs, ys if case.output == "softmax" else ys.astype(np.float32))
            losses.append(np.asarray(loss).tolist())
        return losses

    def several() -> None:
        nonlocal state
        for _ in range(IN_FLIGHT):
            state, _ = train_step(state, *next(batches))
        jax.block_until_ready(state)

    return Variant(check, repeated(several, IN_FLIGHT * case.batch * max(case.members, 1)))


VARIANTS: dict[str, Setup] = {"flax_loop": setup}

"""flax linen and optax: a jitted, donated step called from a Python loop, batches cut from numpy arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import GATES, STAGES, Case
from scripts.bench.variants import flax_recurrent

IN_FLIGHT = 8
"""Steps dispatched before the loop waits for the last one (else a slow step piles up seconds of work)."""


class Network(nn.Module):
    """The network of a case."""

    case: Case

    @nn.compact
    def __call__(self, x):
        if self.case.kind in STAGES:
            return self.staged(x)
        if self.case.kind == "cnn":
            for features in self.case.sizes[3:5]:
                x = nn.relu(nn.Conv(features, (3, 3), padding="SAME", name=self.named(features))(x))
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            x = x.reshape(len(x), -1)
            widths = self.case.sizes[5:]
        else:
            widths = self.case.sizes[1:]
        activation = nn.tanh if self.case.hidden == "tanh" else nn.relu
        for i, width in enumerate(widths):
            x = nn.Dense(width)(activation(x) if i else x)
        return x

    def staged(self, x):
        how = STAGES[self.case.kind]
        *channels, classes = self.case.sizes[how.rank + 1 :]
        window, ends = (how.kernel,) * how.rank, how.kernel // 2
        for features, s in zip(channels, how.strides):
            step = (s,) * how.rank
            z = nn.Conv(features, window, step, padding=ends)(x)
            if how.residual:
                z = nn.Conv(features, window, padding=ends)(nn.relu(z))
                changed = s > 1 or features != x.shape[-1]
                gain = self.param(f"gain_{features}", nn.initializers.ones, (features,))
                z = (nn.Conv(features, (1,) * how.rank, step)(x) if changed else x) + gain * z
            x = nn.relu(z)
            if how.pool > 1:
                x = nn.max_pool(x, (how.pool,) * how.rank, (how.pool_stride or how.pool,) * how.rank)
        return nn.Dense(classes)(x.mean(range(1, how.rank + 1)))

    def named(self, features: int) -> str:
        return f"Conv_{self.case.sizes[3:5].index(features)}"


def params_of(case: Case, weights: Weights) -> dict:
    """The parameters of `Network`."""
    params, count = {}, {"Conv": 0, "Dense": 0}
    for W, b in weights:
        kind = "Conv" if W.ndim - (case.members > 0) > 2 else "Dense"
        params[f"{kind}_{count[kind]}"] = {"kernel": jnp.asarray(W), "bias": jnp.asarray(b)}
        count[kind] += 1
    if case.kind == "residual":
        params |= {f"gain_{m}": jnp.ones(m) for m in case.sizes[3:-1]}
    return params


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The step is vmapped over members where there are some."""
    if case.kind in GATES:
        network, params = flax_recurrent.LastState(case), flax_recurrent.params_of(case, weights)
    else:
        network, params = Network(case), params_of(case, weights)
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

    def run(seconds: float) -> tuple[int, float]:
        nonlocal state
        start, steps = time.perf_counter(), 0
        while True:
            for _ in range(IN_FLIGHT):
                state, _ = train_step(state, *next(batches))
            steps += IN_FLIGHT
            jax.block_until_ready(state)
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return steps * case.batch * max(case.members, 1), elapsed

    return Variant(check, run)

"""A learner stepped over data, in one scan and without more: what every training of one must equal."""

import jax
import jax.numpy as jnp


def fitted(learner, x, *, epochs, batch=None, seed=0):
    """The state after some epochs over ``x`` in its order, and each step's metrics."""
    x = jnp.asarray(x, jnp.float32)
    batch = len(x) if batch is None else batch
    steps = len(x) // batch
    total = epochs * steps
    key = jax.random.key(seed)

    @jax.jit
    def run(key):
        def body(state, t):
            rows = jax.lax.dynamic_slice_in_dim(x, (t % steps) * batch, batch)
            progress = t.astype(jnp.float32) / total
            return learner.step(state, rows, jax.random.fold_in(key, t), progress)

        start = learner.init(jax.random.fold_in(key, total), x.mean(0), x.shape[1])
        return jax.lax.scan(body, start, jnp.arange(total))

    return run(key)

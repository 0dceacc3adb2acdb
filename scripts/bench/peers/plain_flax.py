"""The quickstart as one would write it by hand in flax and optax: one seed, two epochs, one figure.

``python scripts/bench/peers/plain_flax.py FOLDER`` trains the quickstart's network on the same digits, with
the same batches, dropout, shifts and rate, evaluates it after each epoch, and writes one figure.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EPOCHS, BATCH = 2, 32


class Network(nn.Module):
    """Two convolutions with pooling, a dense layer, ten classes."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        for channels in (16, 32):
            x = nn.max_pool(nn.relu(nn.Conv(channels, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
        return nn.Dense(10)(nn.Dropout(0.2, deterministic=not train)(x))


def shifted(key, x):
    """Each image moved by -1, 0 or 1 pixels along both axes, zeros around."""
    places = jax.random.randint(key, (len(x), 2), 0, 3)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    cut = lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), image.shape[:0] + (8, 8, 1))  # noqa: E731
    return jax.vmap(cut)(padded, places)


def main(folder: Path) -> None:
    digits: Any = load_digits()
    x = (digits.images[..., None] / 16).astype(np.float32)
    parts: list[Any] = train_test_split(x, digits.target, test_size=0.3, random_state=0)
    x_train, x_test, y_train, y_test = parts
    mean, scale = x_train.mean(), x_train.std()
    x_train, x_test = (x_train - mean) / scale, (x_test - mean) / scale
    steps = EPOCHS * (len(x_train) // BATCH)
    model: Any = Network()
    params = jax.jit(lambda key: model.init(key, x_train[:1], train=False))(jax.random.key(0))
    rate = optax.warmup_cosine_decay_schedule(0, 3e-3, steps // EPOCHS, steps)
    optimizer = optax.adam(rate)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, key, x, y):
        shift, drop = jax.random.split(key)

        def loss(params):
            logits = model.apply(params, shifted(shift, x), train=True, rngs={"dropout": drop})
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    @jax.jit
    def accuracy(params, x, y):
        return (model.apply(params, x, train=False).argmax(-1) == y).mean()

    rng, key, losses, accuracies = np.random.default_rng(0), jax.random.key(1), [], []
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x_train))
        for i in range(len(x_train) // BATCH):
            rows = order[i * BATCH : (i + 1) * BATCH]
            key, own = jax.random.split(key)
            params, state, value = step(params, state, own, x_train[rows], y_train[rows])
            losses.append(value)
        accuracies.append(float(accuracy(params, x_test, y_test)))
        print(f"epoch {epoch + 1}: loss {float(losses[-1]):.4f}, test accuracy {accuracies[-1]:.4f}")
    plt.plot(np.asarray(losses))
    plt.xlabel("step")
    plt.ylabel("loss")
    plt.savefig(folder / "loss.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

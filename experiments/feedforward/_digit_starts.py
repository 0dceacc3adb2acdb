"""A network on digits from weights of every scale, from equal weights and from other biases."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, optimizer, predict, tune_and_train
from dlnotes.typing import Array, Params

SCALES = np.array([0.0, 0.01, 0.1, 1.0, 10.0, 100.0])
"""Factors on He normal weights."""
BIASES = np.array([0.1, 1.0])
"""Where hidden biases start beside 0, at scale 1."""
SMALL, LARGE, BIASED, EQUAL = 3, 5, 6, 8
"""Settings: the scales, then the biases, then equal weights."""
DIGIT_RATES = np.array([0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
NETWORK = models.mlp((8, 8, 1), (32,), 10, activation="tanh")


def he_normal(rng: np.random.Generator, like: Params, members: int) -> Params:
    """Starts ``(members, ...)`` of parameters like ``like``: weights He normal, biases 0."""

    def one(a: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(a.shape) == 1:
            return np.zeros((members, *a.shape), np.float32)
        return np.sqrt(2 / a.shape[0], dtype=np.float32) * rng.standard_normal(
            (members, *a.shape), np.float32
        )

    return jax.tree.map(one, like)


def scaled(start: Params, scale: np.ndarray) -> Params:
    """The starts' weights times one factor a member, biases as they are."""
    factor = scale.astype(np.float32)[:, None, None]
    return jax.tree.map(lambda a: a * factor if a.ndim == 3 else a, start)


def shape_of(model: models.Model) -> Params:
    """The shapes of a model's parameters."""
    return jax.eval_shape(model.init, jax.random.key(0))


def start_of(hyper: dict[str, np.ndarray], seeds: np.ndarray) -> Params:
    """Where members start: by setting, and the same draw for a seed whatever the setting."""
    draws = [he_normal(np.random.default_rng(seed), shape_of(NETWORK), 1) for seed in seeds]
    start = jax.tree.map(lambda *a: np.concatenate(a), *draws)
    setting = hyper["setting"].astype(int)
    # A seed of equal weights has a constant of its own: its first weight of every layer.
    equal = jax.tree.map(lambda a: a if a.ndim == 2 else np.full_like(a, a[:, :1, :1]), start)
    start = scaled(start, np.array([*SCALES, 1, 1, 1])[setting])
    start = jax.tree.map(
        lambda a, e: np.where((setting == EQUAL).reshape(-1, *[1] * (a.ndim - 1)), e, a), start, equal
    )
    bias = np.array([0, 0, 0, 0, 0, 0, *BIASES, 0], np.float32)[setting]
    hidden = start.hidden[0]
    return start._replace(hidden=(hidden._replace(b=hidden.b + bias[:, None]),))


def gradients_apart(examples: data.Examples, starts: Params) -> float:
    """Largest difference of the gradients of two hidden units over the largest gradient, over starts."""

    def one(params: Params) -> Array:
        def loss(p: Params) -> Array:
            return jnp.mean(outputs.cross_entropy(NETWORK.apply(p, examples.x), examples.y).total)

        slope = jax.grad(loss)(params).hidden[0].W
        return jnp.max(jnp.abs(slope - slope[:, :1])) / jnp.max(jnp.abs(slope))

    return float(np.max(jax.jit(jax.vmap(one))(starts)))


def measure_digits(*, steps: int, seeds: int, tuning_seeds: int, first_seed: int) -> dict[str, Any]:
    """Which test images each network gets right, and how far its hidden units have grown apart."""
    digits = data.load("digits")
    count = len(SCALES) + len(BIASES) + 1

    def recipe(hyper: Hyperparams) -> Recipe:
        descent = optimizer("sgd", hyper["learning_rate"], momentum=0.9)
        return Recipe(NETWORK, outputs.cross_entropy, {"accuracy": outputs.accuracy}, descent)

    tuned = tune_and_train(
        recipe,
        digits.train,
        digits.validation,
        {"setting": np.arange(count)},
        {"learning_rate": DIGIT_RATES},
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=first_seed,
        start=start_of,
        score="accuracy",
        steps=steps,
        batch_size=32,
        every=steps // 2,
        probe=lambda params: params,
        record=steps // 2,
    )
    test = digits.split("test")
    start = start_of(tuned.hyperparams, np.tile(first_seed + np.arange(seeds), count))

    def right(params: Params) -> np.ndarray:
        answer = predict(NETWORK, params, test.x).argmax(-1)
        return (answer == test.y).reshape(count, seeds, -1)

    W = np.asarray(tuned.fit.params.hidden[0].W).reshape(count, seeds, 64, 32)
    moved = np.abs(W - start.hidden[0].W.reshape(W.shape))
    equal = jax.tree.map(lambda a: a.reshape(count, seeds, *a.shape[1:])[EQUAL], start)
    return {
        "right": right(tuned.fit.params),  # (settings, seeds, test images)
        "half_right": right(jax.tree.map(lambda a: a[1], tuned.fit.probes)),
        "digit_rate": DIGIT_RATES[tuned.chosen],
        "spread": np.abs(W - W[..., :1]).max((1, 2, 3)),  # between units, by setting
        "moved": moved.max((1, 2, 3)),
        "gradients_apart": gradients_apart(digits.train, equal),
    }

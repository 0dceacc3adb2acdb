"""One spread learned by likelihood: its gradients near zero, and descent from starts that are wrong.

The spread is a deviation σ, a variance v or a precision β; descent moves it itself, or a with ζ(a) in its
place. The errors are one number, so that the spread is all there is to learn.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, fit, optimizer
from dlnotes.typing import Array, Params

KINDS = ("scale", "variance", "precision")
SCALE, VARIANCE, PRECISION = range(3)
ITSELF, SOFTPLUS = range(2)
SMALL = np.logspace(-6, 1, 71).astype(np.float32)
RATES = np.logspace(-3, 2, 11)
WRONG = 4
"""Starts are wrong by up to ten to so much, in variance."""
SOLVED = 0.01
"""Nats above the least −log p that count as found: a variance within 14%."""


def precision_of(theta: Array, kind: Array) -> Array:
    """β of a deviation (kind 0), a variance (1) or a precision (2) θ."""
    return jnp.where(kind == PRECISION, theta, jnp.where(kind == VARIANCE, 1 / theta, 1 / (theta * theta)))


def nll(location: Array, beta: Array, y: Array) -> outputs.PerExample:
    """−log N(y; μ, 1/β) of vectors of one number."""
    total = -outputs.DiagonalNormal(location, beta).log_prob(y)
    return outputs.PerExample(total, jnp.ones_like(total))


def given(start: Params, apply: models.Apply) -> models.Model:
    """A model that is only trained from given starts, leaves ``(members, ...)``."""
    return models.Model(
        lambda key, /: jax.tree.map(lambda a: jnp.zeros(a.shape[1:], jnp.float32), start), apply
    )


def slopes() -> dict[str, np.ndarray]:
    """|dJ/dθ| of an error of 1, by the parameter and by a with ζ(a) = θ, ``(forms, kinds, θ)``; |dσ²/dσ|."""
    y = jnp.ones((len(SMALL), 1), jnp.float32)
    raw = jnp.asarray(np.log(np.expm1(SMALL.astype(np.float64))), jnp.float32)[:, None]

    @jax.jit
    def all_of(theta: Array, raw: Array) -> tuple[Array, Array]:
        def direct(kind: int):
            return jax.grad(lambda t: nll(0 * t, precision_of(t, jnp.asarray(kind)), y).total.sum())(theta)

        def through(kind: str):
            def loss(a: Array) -> Array:
                both = jnp.concatenate([jnp.zeros_like(a), a], axis=-1)
                return outputs.heteroscedastic_nll(both, y, by=kind).total.sum()

            return jax.grad(loss)(raw)

        def floored(s: Array) -> Array:
            return nll(0 * s, 1 / (0.01 + s * s), y).total.sum()

        both = [[direct(k) for k in range(3)], [through(k) for k in KINDS]]
        others = jnp.stack([jax.grad(floored)(theta), jax.grad(lambda s: jnp.sum(jnp.square(s)))(theta)])
        return jnp.abs(jnp.asarray(both)[..., 0]), jnp.abs(others[..., 0])

    found, (floored, square) = all_of(jnp.asarray(SMALL)[:, None], raw)
    return {
        "slopes": np.asarray(found, np.float64),
        "slopes_floored": np.asarray(floored, np.float64),
        "slope_of_square": np.asarray(square, np.float64),
    }


def wrong_starts(n: int, descent: int, seed: int) -> dict[str, np.ndarray]:
    """Descent on the spread alone: steps to the minimum (inf: not within the run), by form, kind and rate.

    The gradient of all errors is that of one error with their mean square: the data are one number.

    Args:
      n: starts that count; a quarter as many others choose the learning rates.
      descent: steps.
      seed: of the starts.
    """
    tuning, rng = max(10, n // 4), np.random.default_rng(seed)
    variance = 10 ** np.concatenate([rng.uniform(-WRONG, WRONG, n), np.linspace(-WRONG, WRONG, tuning)])
    theta = np.stack([np.sqrt(variance), variance, 1 / variance])
    raw = np.stack([theta, theta + np.log(-np.expm1(-theta))])  # ζ⁻¹(θ)
    shape = (2, 3, len(RATES), n + tuning)
    form, kind, rate, member = (a.ravel() for a in np.indices(shape))
    start = raw[form, kind, member].astype(np.float32)

    def apply(params: Array, x: Array, /, *, key=None, mask=None) -> Array:
        return jnp.broadcast_to(params, (x.shape[0], 1))

    def recipe_of(hyper: Hyperparams) -> Recipe:
        def loss(a: Array, y: Array) -> outputs.PerExample:
            theta = jnp.where(hyper["form"] == SOFTPLUS, jax.nn.softplus(a), a)
            return nll(jnp.zeros_like(y), precision_of(theta, hyper["kind"]), y)

        return Recipe(given(start, apply), loss, {}, optimizer("sgd", hyper["learning_rate"]))

    ones = np.ones((1, 1), np.float32)
    result = fit(
        recipe_of,
        data.Examples(ones, ones),
        steps=descent,
        seeds=np.zeros(form.size, np.int32),
        hyperparams={"form": form, "kind": kind, "learning_rate": RATES[rate]},
        start=start,
        record=5,
    )
    loss = result.history["loss"].astype(np.float64)
    excess = loss - 0.5 * (1 + np.log(2 * np.pi))
    found = np.where(np.isnan(excess), np.inf, excess) < SOLVED
    # It must stay there to the end: descent that only passes by has not found it.
    last_bad = np.where(found.all(0), -1, len(found) - 1 - np.argmax(~found[::-1], axis=0))
    steps = np.where(last_bad == len(found) - 1, np.inf, 5.0 * (last_bad + 1)).reshape(shape)
    broke = (result.stopped_at >= 0).reshape(shape)
    steps = np.where(broke, np.inf, steps)
    best = np.argmax(np.isfinite(steps[..., n:]).mean(-1), axis=-1)
    return {
        "starts": variance[:n],
        "descent_steps": steps[..., :n],
        "descent_broke": broke[..., :n],
        "descent_best": best,
    }

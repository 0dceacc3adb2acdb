"""Linear classifiers trained on what a layer gives: how far classes can be told apart by a plane there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.special import expit

from dlnotes.typing import Array

DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Penalties to choose from, in units of the mean variance of a feature."""
Kind = Literal["logistic", "ridge"]
ITERATIONS = 2000
NEWTON_STEPS, PULL = 20, 1e-6
TOLERANCE = 1e-9
"""Of the objective, in nats: the descent ends where its steps promise less."""


class LinearProbe(NamedTuple):
    """A linear classifier of features, ``scores = features W + b``.

    Attributes:
      W: ``(inputs, classes)``.
      b: ``(classes,)``.
      decay: () the penalty that was chosen, in units of the mean variance of a feature.
      tried: ``(decays,)`` accuracy on the validation rows of each penalty, NaN where there are none.
    """

    W: Array
    b: Array
    decay: Array
    tried: Array


class _Turned(NamedTuple):
    """Features about their mean, along their principal directions.

    Attributes:
      z: ``(n, k)``, with diagonal covariance and mean variance 1 over all inputs.
      variance: ``(k,)`` of each column.
      back: ``(inputs, k)`` from these coordinates to weights of the features.
      mean: ``(inputs,)`` of the features.
    """

    z: Array
    variance: Array
    back: Array
    mean: Array


def linear_probe(
    features: Array,
    y: Array,
    classes: int,
    *,
    kind: Kind = "logistic",
    decays: Sequence[float] = DECAYS,
    validation: tuple[Array, Array] | None = None,
    components: int | None = None,
) -> LinearProbe:
    """The linear classifier of least penalized loss on features; the network that gave them stays as it is.

    With xₙ the features about their mean over s, the root of their mean variance, it is the least of

        logistic:  (1/n) Σ −log softmax(xₙW + b)_{yₙ} + δ/2 ‖W‖²
        ridge:     (1/n) Σ ½ ‖1_{yₙ} − xₙW − b‖² + δ/2 ‖W‖²

    Both are convex: there is one optimum, whatever the start, and a difference between two sets of features
    is none of training. Ridge is solved in closed form along the principal directions of the features. The
    logistic loss is descended there with the steps of Böhning's bound, ½ of the features' variance, which is
    never less than its curvature, and Nesterov's momentum.

    Sets of features of one shape go together under ``jax.vmap``.

    Args:
      features: ``(n, ...)``, each example is flattened.
      y: ``(n,)`` classes, whole numbers.
      classes: how many there are.
      kind: of the loss.
      decays: δ to choose from, by the accuracy on the validation rows; of several alike the largest.
      validation: features and classes of other examples; may be left out with one decay.
      components: use that many principal directions of the features, those of most variance: sets of
        features of different sizes have the same capacity then.

    Raises:
      ValueError: on shapes that do not fit, several decays without validation rows, or no decay above 0.

    Example:
      >>> x = jax.random.normal(jax.random.key(0), (200, 5))
      >>> y = (x[:, 0] > 0).astype(jnp.int32)
      >>> probe = linear_probe(x, y, 2, validation=(x[:50], y[:50]))
      >>> bool(probe_accuracy(probe, x, y) > 0.9)
      True

    Source: Alain and Bengio, 2016; Böhning, 1992; notes P14.5.
    """
    features, y = _rows("features", features, y)
    if kind not in ("logistic", "ridge"):
        raise ValueError(f"kind: got {kind!r}, allowed are 'logistic' and 'ridge'")
    if not decays or min(decays) <= 0:
        raise ValueError(f"decays: got {tuple(decays)}, allowed are one or more above 0")
    if classes < 2:
        raise ValueError(f"classes: got {classes}, allowed is at least 2")
    if components is not None and components < 1:
        raise ValueError(f"components: got {components}, allowed is at least 1")
    if validation is None and len(decays) > 1:
        raise ValueError(f"validation: got none, is needed to choose among {len(decays)} decays")
    if validation is not None:
        validation = _rows("validation", *validation)
        if validation[0].shape[1] != features.shape[1]:
            raise ValueError(
                f"validation: got {validation[0].shape[1]} features, needed are {features.shape[1]} as in "
                "training"
            )
    ordered = tuple(sorted(map(float, decays), reverse=True))
    return _fitted(features, y, validation, classes, kind, ordered, components)


def probe_accuracy(probe: LinearProbe, features: Array, y: Array) -> Array:
    """Share of examples whose class has the highest score.

    Args:
      probe: of features of this size.
      features: ``(n, ...)``.
      y: ``(n,)``.

    Example:
      >>> probe = LinearProbe(jnp.eye(2), jnp.zeros(2), jnp.ones(()), jnp.ones(1))
      >>> float(probe_accuracy(probe, jnp.array([[2.0, 1.0], [0.0, 1.0]]), jnp.array([0, 0])))
      0.5
    """
    features, y = _rows("features", features, y)
    return jnp.mean((jnp.argmax(features @ probe.W + probe.b[None], -1) == y).astype(jnp.float32))


@partial(jax.jit, static_argnames=("classes", "kind", "decays", "components"))
def _fitted(
    features: Array,
    y: Array,
    validation: tuple[Array, Array] | None,
    classes: int,
    kind: Kind,
    decays: tuple[float, ...],
    components: int | None,
) -> LinearProbe:
    turned = _turned(features, components)
    target = jax.nn.one_hot(y, classes, dtype=jnp.float32)
    deltas = jnp.asarray(decays, jnp.float32)
    V, b = (_ridge if kind == "ridge" else _logistic)(turned, target, deltas)
    if validation is None:
        best, tried = jnp.zeros((), jnp.int32), jnp.full(len(decays), jnp.nan)
    else:
        z = (validation[0] - turned.mean[None]) @ turned.back
        scores = jnp.einsum("nk,dkc->dnc", z, V) + b[:, None]
        right = jnp.argmax(scores, -1) == validation[1][None]
        tried = jnp.mean(right.astype(jnp.float32), axis=1)
        best = jnp.argmax(tried)
    W = turned.back @ V[best]
    return LinearProbe(W, b[best] - turned.mean @ W, deltas[best], tried)


def _turned(x: Array, components: int | None) -> _Turned:
    """See `_Turned`. The rows tell all directions in which weights can differ from 0."""
    n, inputs = x.shape
    mean = jnp.mean(x, axis=0)
    centered = x - mean[None]
    scale = jnp.sqrt(jnp.maximum(jnp.mean(centered**2), 1e-30))
    centered = centered / scale
    rank = min(n, inputs) if components is None else min(components, n, inputs)
    if inputs <= n:
        values, vectors = jnp.linalg.eigh(centered.T @ centered / n)
        back = vectors[:, ::-1][:, :rank]
        variance = jnp.maximum(values[::-1][:rank], 0.0)
    else:
        values, vectors = jnp.linalg.eigh(centered @ centered.T / n)
        variance = jnp.maximum(values[::-1][:rank], 0.0)
        # Where there is only rounding there is no direction: the mean takes one from n rows, equal rows more.
        real = variance > 1e-6 * variance[0]
        length = jnp.sqrt(n * jnp.where(real, variance, 1.0))
        back = jnp.where(real[None], centered.T @ (vectors[:, ::-1][:, :rank] / length[None]), 0.0)
    return _Turned(centered @ back, variance, back / scale, mean)


def _ridge(turned: _Turned, target: Array, decays: Array) -> tuple[Array, Array]:
    """Weights ``(decays, k, classes)`` and biases of least squared error, all decays at once."""
    share = jnp.mean(target, axis=0)
    products = turned.z.T @ (target - share[None]) / target.shape[0]
    V = products[None] / (turned.variance[None] + decays[:, None])[..., None]
    return V, jnp.broadcast_to(share, (len(decays), *share.shape))


class _Descent(NamedTuple):
    V: Array
    b: Array
    ahead_V: Array
    ahead_b: Array
    t: Array
    promise: Array
    step: Array


def _logistic(turned: _Turned, target: Array, decays: Array) -> tuple[Array, Array]:
    """Weights ``(decays, k, classes)`` and biases of least cross-entropy, each from the decay before."""
    n, classes = target.shape
    z, k = turned.z, turned.z.shape[1]

    def of_decay(start: tuple[Array, Array], decay: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        curvature = 0.5 * turned.variance + decay

        def one(state: _Descent) -> _Descent:
            V, b = state.ahead_V, state.ahead_b
            error = (jax.nn.softmax(z @ V + b[None], axis=-1) - target) / n
            slope, slope_b = z.T @ error + decay * V, jnp.sum(error, axis=0)
            new_V, new_b = V - slope / curvature[:, None], b - 2 * slope_b
            promise = jnp.sum(slope**2 / curvature[:, None]) + jnp.sum(2 * slope_b**2)
            # Momentum that leads uphill is given up (O'Donoghue and Candès, 2015).
            uphill = jnp.vdot(slope, new_V - state.V) + jnp.vdot(slope_b, new_b - state.b) > 0
            t = jnp.where(uphill, 1.0, state.t)
            after = 0.5 * (1 + jnp.sqrt(1 + 4 * t**2))
            along = jnp.where(uphill, 0.0, (t - 1) / after)
            return _Descent(
                new_V,
                new_b,
                new_V + along * (new_V - state.V),
                new_b + along * (new_b - state.b),
                after,
                promise,
                state.step + 1,
            )

        def goes_on(state: _Descent) -> Array:
            return (state.promise > TOLERANCE) & (state.step < ITERATIONS)

        first = _Descent(*start, *start, jnp.ones(()), jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))
        found = lax.while_loop(goes_on, one, first)
        return (found.V, found.b), (found.V, found.b)

    share = jnp.maximum(jnp.mean(target, axis=0), 1 / (2 * n))
    start = jnp.zeros((k, classes)), jnp.log(share)
    return lax.scan(of_decay, start, decays)[1]


def separating_margin(features: Array | np.ndarray, y: Array | np.ndarray) -> float:
    """The widest margin of a plane between two classes, 0 where no plane separates them.

    By linear programming: the largest t with ``sₙ(xₙw + b) ≥ t`` for every example, ``sₙ = ±1`` its class and
    every |wᵢ|, |b| ≤ 1. The features are taken about their mean and over the largest of them, and the plane
    that is found is checked example by example, so that a margin above 0 is a proof.

    Args:
      features: ``(n, ...)``, each example is flattened.
      y: ``(n,)`` of two values.

    Returns:
      In units of the largest feature.

    Raises:
      ValueError: when y has not two values, or a feature is not finite.

    Example:
      >>> corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
      >>> separating_margin(corners, [0, 0, 0, 1]) > 0, separating_margin(corners, [0, 1, 1, 0])
      (True, 0.0)

    Source: notes F1.2, P14.5.
    """
    from scipy.optimize import linprog

    x, sign = _two_classes(features, y)
    rows = np.hstack([-sign[:, None] * x, -sign[:, None], np.ones((len(x), 1))])
    n = x.shape[1]
    bounds = [(-1, 1)] * (n + 1) + [(0, None)]
    found = linprog([0.0] * (n + 1) + [-1.0], rows, np.zeros(len(x)), bounds=bounds, method="highs")
    if found.x is None:
        raise ValueError(f"features: the linear program has no answer ({found.message})")
    margin = float((sign * (x @ found.x[:n] + found.x[n])).min())
    return max(0.0, margin)


def separable(features: Array | np.ndarray, y: Array | np.ndarray) -> bool:
    """Whether a plane separates two classes exactly; see `separating_margin`.

    Example:
      >>> separable(np.array([[0.0], [1.0], [2.0]]), [0, 0, 1])
      True
    """
    return _plane_found(*_two_classes(features, y)) or separating_margin(features, y) > 1e-9


def _plane_found(x: np.ndarray, sign: np.ndarray) -> bool:
    """Whether Newton's steps of a logistic regression come across a plane without a mistake.

    They take milliseconds where a linear program takes seconds; not to find one proves nothing.
    """
    if x.size == 0:
        return False  # all points are the same
    x = np.hstack([x / np.sqrt(np.mean(x**2)), np.ones((len(x), 1))])
    w = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = expit(-sign * (x @ w))  # of the wrong class
        curvature = (x * (p * (1 - p))[:, None]).T @ x / len(x)
        slope = -(sign * p) @ x / len(x) + PULL * w
        w = w - np.linalg.solve(curvature + PULL * np.eye(len(w)), slope)
        if not np.isfinite(w).all():
            return False
        if (sign * (x @ w)).min() > 1e-9 * max(1.0, float(np.abs(w).max())):
            return True
    return False


def _two_classes(features: Array | np.ndarray, y: Array | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features about their mean, over the largest of them, and ±1 by class."""
    x = np.asarray(features, np.float64).reshape(len(features), -1)
    y = np.asarray(y)
    names = np.unique(y)
    if len(y) != len(x) or len(names) != 2:
        raise ValueError(f"y: got {len(y)} classes of {len(names)} kinds, needed are {len(x)} of two kinds")
    if not np.isfinite(x).all():
        raise ValueError("features: got numbers that are not finite, allowed are finite ones")
    x = x - x.mean(0)
    x = x[:, np.ptp(x, axis=0) > 0]
    x = x / max(np.abs(x).max(initial=0.0), 1e-300)
    sign = np.where(y == names[1], 1.0, -1.0)
    return x, sign


def _rows(name: str, features: Array, y: Array) -> tuple[Array, Array]:
    features, y = jnp.asarray(features), jnp.asarray(y)
    if y.ndim != 1 or features.ndim < 1 or features.shape[0] != y.shape[0] or y.shape[0] < 1:
        raise ValueError(
            f"{name}: got shape {features.shape} for classes of shape {y.shape}, allowed is (n, ...) for (n,)"
        )
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"{name}: got classes of {y.dtype}, allowed are whole numbers")
    return features.reshape(features.shape[0], -1).astype(jnp.float32), y

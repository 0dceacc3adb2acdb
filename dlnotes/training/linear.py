"""Linear models by solvers and by stochastic gradient descent, where the set of examples may be very large.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.1, F2.11).
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular

from dlnotes.checks import chosen, positive
from dlnotes.typing import Array

LOSSES = {
    "squared": lambda score, y: jnp.square(score - y),
    "hinge": lambda score, y: jnp.maximum(0.0, 1 - y * score),
}
SLOPES = {
    "squared": lambda score, y: 2 * (score - y),
    "hinge": lambda score, y: jnp.where(y * score < 1, -y, jnp.zeros_like(y)),
}
"""Of the losses in the score; the hinge's at its corner is 0."""
Loss = Literal["squared", "hinge"]


class Descent(NamedTuple):
    """Where descent is.

    Attributes:
      w: ``(inputs,)`` the last weights.
      average: ``(inputs,)`` of all weights, the later ones weighted more; what is used.
      step: how many steps were taken.
    """

    w: Array
    average: Array
    step: Array


def linear_objective(w: Array, x: Array, y: Array, *, loss: Loss = "squared", penalty: float = 0.0) -> Array:
    """``mean_n ℓ(xₙᵀw, yₙ) + λ/2 ‖w‖²``: ℓ is (s − y)² or the hinge max(0, 1 − y s).

    Args:
      w: ``(inputs,)``.
      x: ``(n, inputs)``.
      y: ``(n,)``; of the hinge −1 and 1.
      loss: "squared" (linear regression) or "hinge" (linear support vector machine).
      penalty: λ ≥ 0.

    Raises:
      ValueError: on shapes that do not fit, or an unknown loss.
    """
    of = chosen("loss", loss, LOSSES)
    _check(x, y, w)
    return jnp.mean(of(x @ w, y)) + 0.5 * penalty * jnp.sum(w * w)


def start_descent(inputs: int) -> Descent:
    """Weights 0, no step taken."""
    positive(inputs=inputs)
    return Descent(jnp.zeros(inputs), jnp.zeros(inputs), jnp.zeros((), jnp.int32))


@partial(jax.jit, static_argnames=("steps", "batch_size", "loss"))
def linear_descent(
    state: Descent,
    x: Array,
    y: Array,
    *,
    steps: int,
    rate: float | Array,
    batch_size: int = 100,
    loss: Loss = "squared",
    penalty: float | Array = 0.0,
) -> Descent:
    """Steps of SGD on `linear_objective`, ``w ← w − η (mean_B ℓ' x + λw)``, and their running average.

    The batches are the rows in the order in which they lie, again from the first when they are used up, as
    from a shuffled file: shuffle them once. The average is ``w̄ ← w̄ + 9/(t + 8) (w − w̄)``, which forgets
    the first steps and is ready at any time (Shamir and Zhang, 2013). A step costs the same whatever n.

    Args:
      state: `start_descent`, or what an earlier call gave.
      x: ``(n, inputs)``.
      y: ``(n,)``; of the hinge −1 and 1.
      steps: how many more.
      rate: η > 0.
      batch_size: rows of a step, at most n.
      loss: see `linear_objective`.
      penalty: λ ≥ 0.

    Raises:
      ValueError: on shapes that do not fit, sizes that are not positive, or an unknown loss.

    Example:
      >>> x = jax.random.normal(jax.random.key(0), (2000, 2))
      >>> y = x @ jnp.array([1.0, -2.0])
      >>> linear_descent(start_descent(2), x, y, steps=200, rate=0.1).average.round(2)
      Array([ 1., -2.], dtype=float32)
    """
    slope = chosen("loss", loss, SLOPES)
    _check(x, y, state.w)
    positive(steps=steps, batch_size=batch_size)
    if batch_size > x.shape[0]:
        raise ValueError(f"batch_size: got {batch_size}, there are {x.shape[0]} rows")
    batches = x.shape[0] // batch_size

    def step(_: Array, s: Descent) -> Descent:
        first = (s.step % batches) * batch_size
        rows, targets = (lax.dynamic_slice_in_dim(a, first, batch_size) for a in (x, y))
        gradient = slope(rows @ s.w, targets) @ rows / batch_size
        w = s.w - rate * (gradient + penalty * s.w)
        share = 9 / (s.step.astype(w.dtype) + 9)
        return Descent(w, s.average + share * (w - s.average), s.step + 1)

    return lax.fori_loop(0, steps, step, state)


def normal_equations(x: Array, y: Array) -> Array:
    """``w = (XᵀX)⁻¹ Xᵀy``: one pass over the rows, but the condition number is squared.

    Args:
      x: ``(n, inputs)``, n at least as many as inputs.
      y: ``(n,)``.

    Returns:
      ``(inputs,)``; its relative error may be as large as ``κ(X)² ε``.

    Raises:
      ValueError: on shapes that do not fit.
    """
    _check(x, y)
    high = lax.Precision.HIGHEST
    gram = jnp.matmul(x.T, x, precision=high)
    return jnp.linalg.solve(gram, jnp.matmul(x.T, y, precision=high))


def qr_least_squares(x: Array, y: Array) -> Array:
    """The same least squares by ``X = QR``, ``Rw = Qᵀy``: about twice the work, error ``κ(X) ε``.

    Args:
      x: ``(n, inputs)``, n at least as many as inputs.
      y: ``(n,)``.

    Returns:
      ``(inputs,)``.

    Raises:
      ValueError: on shapes that do not fit.

    Source: Golub, 1965; Higham, 2002, chapter 20.
    """
    _check(x, y)
    q, r = jnp.linalg.qr(x)
    return solve_triangular(r, jnp.matmul(q.T, y, precision=lax.Precision.HIGHEST))


def _check(x: Array, y: Array, w: Array | None = None) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}, allowed are (n, inputs) and (n,)"
        )
    if w is None and x.shape[0] < x.shape[1]:
        raise ValueError(f"x: got shape {tuple(x.shape)}, allowed are at least as many rows as inputs")
    if w is not None and w.shape != x.shape[1:]:
        raise ValueError(
            f"w: got shape {tuple(w.shape)}, allowed is ({x.shape[1]},), one for each input of x"
        )

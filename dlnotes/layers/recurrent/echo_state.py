"""Echo state networks: a fixed random recurrent net, and a linear read-out solved in closed form.

The reservoir is a leaky cell (`dlnotes.layers.recurrent.leaky.leaky`) whose weights are drawn once and never
trained; `unroll` runs it. Only the read-out learns, by ridge regression.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.layers.recurrent.cell import Cell
from dlnotes.layers.recurrent.leaky import LeakyParams, leaky
from dlnotes.typing import Array


def reservoir(
    seed: int,
    inputs: int,
    units: int,
    *,
    spectral_radius: float = 0.9,
    connectivity: float = 0.1,
    input_scale: float = 1.0,
    bias: float = 0.0,
    leak: float = 1.0,
    dtype: Any = np.float32,
) -> tuple[Cell, LeakyParams]:
    """A fixed recurrent net ``h_t = (1 − a) h_{t-1} + a tanh(b + h_{t-1} W + x_t U)``.

    Args:
      seed: of the weights.
      inputs: width of x.
      units: width of h.
      spectral_radius: the largest size of an eigenvalue of W. Below 1 the memory of the first state
        fades, as a rule; the nearer to 1, the slower.
      connectivity: share of the entries of W that are not 0.
      input_scale: entries of U are uniform in ± this.
      bias: entries of b are uniform in ± this.
      leak: a in (0, 1], one over the time constant.
      dtype: of the weights.

    Returns:
      The cell, and its `LeakyParams`.

    Raises:
      ValueError: on a number that is not allowed, or when so few connections have no cycle (all
        eigenvalues are 0 then).

    Example:
      >>> cell, params = reservoir(0, 1, 50, spectral_radius=0.8)
      >>> round(float(abs(np.linalg.eigvals(params.W)).max()), 4)
      0.8

    Source: notes R12.6; Jaeger, 2001; Jaeger and Haas, 2004; Lukoševičius and Jaeger, 2009.
    """
    positive(inputs=inputs, units=units)
    for name, value, above, most in (
        ("spectral_radius", spectral_radius, 0.0, np.inf),
        ("connectivity", connectivity, 0.0, 1.0),
        ("leak", leak, 0.0, 1.0),
    ):
        if not above < value <= most:
            raise ValueError(
                f"{name}: got {value}, allowed is above 0" + (", at most 1" if most == 1 else "")
            )
    rng = np.random.default_rng(seed)
    W = rng.uniform(-1, 1, (units, units)) * (rng.random((units, units)) < connectivity)
    radius = np.abs(np.linalg.eigvals(W)).max()
    if radius < 1e-9:
        raise ValueError(f"connectivity: got {connectivity}, with {units} units W has no cycle")
    U = input_scale * rng.uniform(-1, 1, (inputs, units))
    b = bias * rng.uniform(-1, 1, units)
    U, W, b = (jnp.asarray(np.asarray(a, dtype)) for a in (U, W * (spectral_radius / radius), b))
    return leaky((1 / leak,)), LeakyParams(U, W, b, None)


class Readout(NamedTuple):
    """``y = h V + c``.

    Attributes:
      V: (features, outputs).
      c: (outputs,).
    """

    V: Array
    c: Array


def ridge_readout(features: Any, targets: Any, *, ridge: float = 1e-6) -> Readout:
    """The read-out of least ``Σ ‖h V + c − y‖² + λ ‖V‖²``, solved once; c is not penalized.

    Solved on the host by the singular values of the centerd features, in double precision.

    Args:
      features: (examples, features).
      targets: (examples, outputs).
      ridge: λ, at least 0. With 0 the shortest of all least-squares solutions.

    Returns:
      `Readout`, float64 numpy.

    Raises:
      ValueError: for shapes that do not fit, or a negative λ.

    Source: notes R12.6; Hoerl and Kennard, 1970.
    """
    H, Y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    if H.ndim != 2 or Y.ndim != 2 or len(H) != len(Y):
        raise ValueError(
            f"features, targets: got shapes {H.shape} and {Y.shape}, allowed are (examples, features) and "
            "(examples, outputs)"
        )
    if not ridge >= 0:
        raise ValueError(f"ridge: got {ridge}, allowed is at least 0")
    left, s, right = np.linalg.svd(H - H.mean(0), full_matrices=False)
    kept = s > s.max(initial=0.0) * max(H.shape) * np.finfo(np.float64).eps
    gain = np.where(kept, s / np.where(kept, s**2 + ridge, 1), 0)
    V = right.T @ (gain[:, None] * (left.T @ (Y - Y.mean(0))))
    return Readout(V, Y.mean(0) - H.mean(0) @ V)  # pyright: ignore[reportArgumentType]


def memory_curve(states: Any, inputs: Any, delays: int, *, train: int, ridge: float = 1e-9) -> np.ndarray:
    """How well a linear read-out of the state gives back the input of k steps ago, k = 1 … ``delays``.

    ``MC_k = max corr²(x_{t-k}, y_t)``; the read-outs are fitted on the first ``train`` steps and their
    squared correlation is taken on the rest. Their sum is the memory capacity; for independent inputs it
    is at most the number of units.

    Args:
      states: (time, units).
      inputs: (time,) independent draws.
      delays: the longest k.
      train: steps to fit on.
      ridge: see `ridge_readout`.

    Returns:
      (delays,) in [0, 1].

    Raises:
      ValueError: when too few steps are left.

    Source: notes R12.6; Jaeger, 2001, Short term memory in echo state networks.
    """
    positive(delays=delays, train=train)
    H, x = np.asarray(states, np.float64), np.asarray(inputs, np.float64)
    if x.shape != H.shape[:1] or not delays < train < len(x) - 1:
        raise ValueError(
            f"states, inputs: got shapes {H.shape} and {x.shape}, allowed are (time, units) and (time,) with "
            f"more than the {train} steps of train, which must be more than {delays} delays"
        )
    past = np.stack([np.roll(x, k) for k in range(1, delays + 1)], 1)
    readout = ridge_readout(H[delays:train], past[delays:train], ridge=ridge)
    y, want = H[train:] @ np.asarray(readout.V), past[train:]
    y, want = y - y.mean(0), want - want.mean(0)
    spread = (y**2).sum(0) * (want**2).sum(0)
    return np.where(spread > 0, (y * want).sum(0) ** 2 / np.where(spread > 0, spread, 1), 0.0)


def free_run(
    cell: Cell, params: LeakyParams, readout: Readout, carry: Array, first: Array, steps: int
) -> Array:
    """Predict on from a state: each output is the next input.

    Args:
      cell, params: of a `reservoir` that was fed the series itself.
      readout: the next value of the series from the state, of the dtype of the state.
      carry: (batch, units) state after the last known value.
      first: (batch, outputs) the prediction at that state.
      steps: how many more.

    Returns:
      (batch, 1 + steps, outputs): ``first`` and what follows.
    """

    def step(state, _):
        carry, y = state
        carry, h = cell.step(params, carry, y)
        y = h @ readout.V
        y = y + jnp.broadcast_to(readout.c, y.shape)
        return (carry, y), y

    _, ys = jax.lax.scan(step, (carry, first), length=steps)
    return jnp.concatenate([first[:, None], jnp.swapaxes(ys, 0, 1)], 1)

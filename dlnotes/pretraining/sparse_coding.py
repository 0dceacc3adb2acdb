"""Sparse coding: a dictionary learned online, whose encoder is a solver or one learned step."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from dlnotes.checks import chosen, positive
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.pretraining.checked import check_rows, not_negative
from dlnotes.pretraining.learner import Learner, Metrics
from dlnotes.pretraining.sparse_codes import (
    largest_eigenvalue,
    shrink,
    sparse_objective,
)
from dlnotes.pretraining.sparse_codes import (
    solver as solver_named,
)
from dlnotes.training.optimizers import optimizer as optimizer_named
from dlnotes.typing import Array, PRNGKey, Weight

UNUSED = 1e-6
"""An atom whose codes have a mean square below it is replaced by an example."""

BLOCK = 32
"""Atoms whose columns are brought up to date together: within a block one by one, which is the same."""


class SparseCodingParams(NamedTuple):
    """Parameters of ``x ≈ D z``, and of an encoder of one step ``z ≈ S_t(x W + b)``.

    Attributes:
      D: ``(inputs, units)``, an atom a column, of length 1 at most.
      W: ``(inputs, units)``, or ``None`` where the encoder is a solver.
      b: ``(units,)`` or ``None``.
      t: ``(units,)`` thresholds of codes of both signs; else ``None``, for −b does their work.
    """

    D: Weight
    W: Weight | None = None
    b: Weight | None = None
    t: Weight | None = None


class SparseCodingState(NamedTuple):
    """What training carries from step to step.

    Attributes:
      params: see `SparseCodingParams`.
      A: ``(units, units)`` running mean of ``z zᵀ``.
      B: ``(inputs, units)`` running mean of ``x zᵀ``.
      step: ``()`` int32 steps taken.
      opt_state: the optimizer's of the learned encoder, else ``None``.
    """

    params: SparseCodingParams
    A: Array
    B: Array
    step: Array
    opt_state: Any


def dictionary_update(D: Array, A: Array, B: Array) -> Array:
    """One pass of block coordinate descent over the atoms, each of length 1 at most.

    For every j in turn ``d_j ← u/max(‖u‖, 1)``, ``u = d_j + (b_j − D a_j)/A_jj``: given all others, the best
    atom of ``½ tr(DᵀD A) − tr(DᵀB)``. Atoms with ``A_jj`` of about 0 stay as they are.

    Args:
      D: ``(inputs, units)``.
      A: ``(units, units)``, a mean of ``z zᵀ``.
      B: ``(inputs, units)``, a mean of ``x zᵀ``.

    Returns:
      ``(inputs, units)``.

    Source: Mairal et al., 2009, «Online dictionary learning for sparse coding», algorithm 2.

    Example:
      >>> D, A, B = jnp.eye(2), jnp.eye(2), jnp.array([[0.5, 0.0], [0.0, 3.0]])
      >>> dictionary_update(D, A, B).tolist()
      [[0.5, 0.0], [0.0, 1.0]]
    """
    units = D.shape[1]
    size = min(BLOCK, units)
    blocks = -(-units // size)
    more = blocks * size - units  # atoms that are not there, with A = 0: they stay 0
    atoms = jnp.pad(D.T, ((0, more), (0, 0)))
    A, targets = jnp.pad(A, (0, more)), jnp.pad(B.T, ((0, more), (0, 0)))
    diagonal = jnp.diagonal(A)

    def block(i: Array, atoms: Array) -> Array:
        first = i * size
        own = lax.dynamic_slice_in_dim(A, first, size)
        left = lax.dynamic_slice_in_dim(targets, first, size) - own @ atoms
        within = lax.dynamic_slice_in_dim(own, first, size, axis=1)
        a = lax.dynamic_slice_in_dim(diagonal, first, size)
        part = lax.dynamic_slice_in_dim(atoms, first, size)

        def atom(j: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            part, left = carry
            old = part[j]
            u = old + left[j] / jnp.maximum(a[j], UNUSED)
            new = jnp.where(a[j] > UNUSED, u / jnp.maximum(jnp.sqrt(jnp.sum(u * u)), 1.0), old)
            # What the atoms after it in this block have left to explain follows it.
            return part.at[j].set(new), left - within[:, j, None] * (new - old)[None]

        part, _ = lax.fori_loop(0, size, atom, (part, left))
        return lax.dynamic_update_slice_in_dim(atoms, part, first, axis=0)

    return lax.fori_loop(0, blocks, block, atoms)[:units].T


def sparse_coding(
    units: int,
    *,
    penalty: float | Array = 0.1,
    iterations: int = 50,
    solver: Literal["fista", "ista"] = "fista",
    nonnegative: bool = False,
    encoder: Literal["solver", "learned"] = "solver",
    learning_rate: float | Array = 1e-2,
) -> Learner:
    """A dictionary for sparse codes, ``min over D and z of ½ ‖x − D z‖² + λ ‖z‖₁``, ``‖d_j‖ ≤ 1``.

    A step finds the codes z of a batch, takes them into the running means A of ``z zᵀ`` and B of ``x zᵀ``,
    which forget slowly, and brings every atom up to date once (`dictionary_update`). An atom that no code
    uses becomes an example of the batch.

    Metrics: "reconstruction", ``‖x − D z‖²``, "loss", the objective, both of the dictionary before the step,
    and "active", the share of codes that are not 0; a learned encoder adds "encoder", ``½ ‖ẑ − z‖²``.

    ``encode`` is the solver; nothing of the form φ(x W + b) is the same, so that it cannot start a layer of a
    network. With ``encoder="learned"`` it is one step of shrinkage, ``S_t(x W + b)``, learned from the
    solver's codes beside the dictionary (Adam). Of non-negative codes this is ``relu(x W + b)``, which can.

    Args:
      units: of the code: atoms, more than inputs or fewer.
      penalty: λ.
      iterations: of the solver, fixed.
      solver: see `fista` and `ista`.
      nonnegative: only codes ``z ≥ 0``.
      encoder: see above.
      learning_rate: of the learned encoder, falling to 0 over the steps.

    Raises:
      ValueError: on sizes, numbers or names that are not allowed.

    Source: Mairal et al., 2009 (dictionary); Beck and Teboulle, 2009 (codes); Gregor and LeCun, 2010,
    «Learning fast approximations of sparse coding» (learned step); notes P14.2.

    Example:
      >>> learner = sparse_coding(6, iterations=10)
      >>> x = jax.random.normal(jax.random.key(0), (8, 4))
      >>> state = learner.init(jax.random.key(1), x.mean(0), 4)
      >>> state, metrics = learner.step(state, x, jax.random.key(2), jnp.zeros(()))
      >>> learner.encode(state.params, x).shape, sorted(metrics)
      ((8, 6), ['active', 'loss', 'reconstruction'])
    """
    positive(units=units, iterations=iterations)
    not_negative(penalty=penalty, learning_rate=learning_rate)
    solve = solver_named(solver)
    chosen("encoder", encoder, dict.fromkeys(("solver", "learned")))
    learned = encoder == "learned"
    adam: Any = optimizer_named("adam", 1.0)

    def codes(D: Weight, x: Array) -> Array:
        return solve(x, D, penalty, iterations=iterations, nonnegative=nonnegative)

    def one_step(params: SparseCodingParams, x: Array) -> Array:
        v = add_bias(x @ params.W, params.b)  # type: ignore[arg-type]
        if params.t is None:
            return jax.nn.relu(v)
        return shrink(v, jnp.maximum(jnp.broadcast_to(params.t, v.shape), 0))

    def init(key: PRNGKey, mean: Array, inputs: int) -> SparseCodingState:
        D = unit_columns(jax.random.normal(key, (inputs, units)))
        params, opt_state = SparseCodingParams(D), None
        if learned:  # the first step of the solver
            rate = 1 / largest_eigenvalue(D)
            t = jnp.full((units,), rate * penalty)
            params = SparseCodingParams(
                D, rate * D, -t if nonnegative else jnp.zeros_like(t), None if nonnegative else t
            )
            opt_state = adam.init(params._replace(D=None))  # pyright: ignore[reportArgumentType]
        return SparseCodingState(
            params,
            jnp.zeros((units, units), jnp.float32),
            jnp.zeros((inputs, units), jnp.float32),
            jnp.zeros((), jnp.int32),
            opt_state,
        )

    def step(
        state: SparseCodingState, x: Array, key: PRNGKey, progress: Array
    ) -> tuple[SparseCodingState, Metrics]:
        rows, D = x.shape[0], jnp.asarray(state.params.D)
        params: Any = state.params
        z = codes(D, x)
        error = x - z @ D.T
        metrics = {
            "reconstruction": jnp.sum(error * error) / rows,
            "loss": jnp.mean(sparse_objective(x, z, D, penalty)),
            "active": jnp.mean((z != 0).astype(jnp.float32)),
        }
        keep = forgetting(state.step, rows)
        A = keep * state.A + z.T @ z / rows
        B = keep * state.B + x.T @ z / rows
        D_new, fresh = replace_unused(key, dictionary_update(D, A, B), A, x)
        # What an atom had to do before it was replaced says nothing of the new one.
        used = jnp.where(fresh, 0.0, 1.0)
        A, B = A * used[:, None] * used[None], B * used[None]
        opt_state = state.opt_state
        if learned:
            net = params._replace(D=None)

            def distance(net: SparseCodingParams) -> Array:
                return 0.5 * jnp.sum((one_step(net, x) - z) ** 2) / rows

            metrics["encoder"], gradient = jax.value_and_grad(distance)(net)
            updates, opt_state = adam.update(gradient, opt_state, net)  # pyright: ignore[reportArgumentType]
            rate = learning_rate * (1 - progress)
            params = optax.apply_updates(net, jax.tree.map(lambda u: rate * u, updates))  # pyright: ignore[reportArgumentType]
        return SparseCodingState(params._replace(D=D_new), A, B, state.step + 1, opt_state), metrics  # pyright: ignore[reportAttributeAccessIssue]

    def encode(params: SparseCodingParams, x: Array) -> Array:
        return one_step(params, x) if learned else codes(params.D, x)

    def decode(params: SparseCodingParams, h: Array) -> Array:
        return h @ jnp.asarray(params.D).mT

    def dense_of(params: SparseCodingParams) -> Dense:
        return Dense(params.W, params.b)  # type: ignore[arg-type]

    def decoder_of(params: SparseCodingParams) -> Dense:
        D = jnp.asarray(params.D)
        return Dense(D.mT, jnp.zeros(D.shape[:-1], D.dtype))

    plain = learned and nonnegative
    return Learner(
        units=units,
        init=init,
        step=step,
        encode=encode,
        decode=decode,
        check=_check,
        activation="relu" if plain else None,
        dense_of=dense_of if plain else None,
        decoder_of=decoder_of,
        kind="sparse_coding",
    )


def unit_columns(D: Array) -> Array:
    """``D`` with columns of length 1."""
    norm = jnp.sqrt(jnp.sum(D * D, axis=0, keepdims=True))
    return D / jnp.maximum(norm, jnp.finfo(D.dtype).tiny)


def forgetting(step: Array, rows: int) -> Array:
    """What A and B keep of themselves at a step, ``β = (θ + 1 − n)/(θ + 1)`` of a batch of n, ``()``.

    ``θ = n t`` for the first n steps ``t = 1, 2, …``, then ``n² + t − n``: early codes, which are those of
    another dictionary, fade.

    Source: Mairal et al., 2009, section 3.4.3.
    """
    n, t = jnp.float32(rows), step.astype(jnp.float32) + 1
    theta = jnp.where(t < n, n * t, n * n + t - n)
    return (theta + 1 - n) / (theta + 1)


def replace_unused(key: PRNGKey, D: Array, A: Array, x: Array) -> tuple[Array, Array]:
    """The dictionary with unused atoms as examples of the batch and a little noise, and which they were.

    Returns:
      ``(inputs, units)`` and booleans ``(units,)``.
    """
    fresh = jnp.diagonal(A) <= UNUSED
    of_rows, of_noise = jax.random.split(key)
    drawn = x[jax.random.randint(of_rows, fresh.shape, 0, x.shape[0])].T
    deviation = jnp.std(drawn, axis=0, keepdims=True)
    noise = jnp.where(deviation > 0, 0.01 * deviation, 1.0) * jax.random.normal(of_noise, D.shape)
    return jnp.where(fresh[None], unit_columns(drawn + noise), D), fresh


def _check(x: np.ndarray) -> None:
    check_rows(x)

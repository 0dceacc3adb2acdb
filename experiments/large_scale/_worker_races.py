"""Races of worker processes to a validation error, for L13.4."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training.asynchronous.server import Served
from dlnotes.training.asynchronous.shared import Shared
from dlnotes.training.asynchronous.work import Work, flat, metric_names, recipe, unflat
from dlnotes.training.optimizers import optimizer

ARMS = ("one", "two", "locked", "server")
"""One worker; two without a lock; two that add under a lock; two around a parameter server."""
GOAL = 0.05
"""Validation error that ends the count."""
BATCH, UNITS = 32, 64
LOOK = 25
"""Updates between two copies of the parameters."""
FIRST_SEED = 14_400


NET = partial(models.mlp, 28 * 28, (UNITS,), 10)
MODEL = NET()


def error_of(validation: data.Examples) -> Callable[[models.MLP], Any]:
    """Share of validation images that parameters get wrong."""
    x, y = jnp.asarray(validation.x), jnp.asarray(validation.y)

    def error(params: models.MLP) -> Any:
        return jnp.mean((jnp.argmax(MODEL.apply(params, x), -1) != y).astype(jnp.float32))

    return error


def first_below(errors: np.ndarray) -> np.ndarray:
    """Place along the first axis of the first error of at most `GOAL`; infinite where there is none."""
    reached = np.asarray(errors) <= GOAL
    return np.where(reached.any(0), reached.argmax(0), np.inf)


class Path(NamedTuple):
    """The parameters of a training in processes, over time.

    Attributes:
      seconds: ``(copies,)`` since its start.
      updates: ``(copies,)`` made by then.
      vectors: ``(copies, parameters)``.
      stale: updates of others between reading and adding, on average.
      loss: of each batch before its update, on average over the whole training.
    """

    seconds: np.ndarray
    updates: np.ndarray
    vectors: np.ndarray
    stale: float
    loss: float


def watched(team: Shared | Served, updates: int, start: np.ndarray, **how: Any) -> Path:
    """Train, and copy the parameters every `LOOK` updates."""
    counted = team.updates if isinstance(team, Shared) else None
    kept, due = [(0.0, 0, start)], LOOK
    began = time.perf_counter()
    team.go(start, updates, **how)
    while team.running(0.001 if counted else 0.01):
        if counted is None or counted() >= due:
            look, now = team.look(), time.perf_counter()
            if look.updates >= due:
                kept.append((now - began, look.updates, look.vector))
                due = look.updates + LOOK
    look, now = team.look(), time.perf_counter()
    kept.append((now - began, look.updates, look.vector))
    seconds, counts, vectors = zip(*kept)
    stale = float(look.stale.sum() / max(1, look.updates))
    loss = float(look.sums[0] / max(1, look.updates))
    return Path(np.array(seconds), np.array(counts), np.stack(vectors), stale, loss)


def raced(
    train: data.Examples, error: Callable, rate: float, *, rounds: int, updates: int
) -> dict[str, np.ndarray]:
    """Seconds and updates to the goal, and updates a second, of each arm in each round."""
    build = partial(recipe, NET, outputs.cross_entropy, {}, partial(optimizer, "sgd", rate))
    work = Work(build, train, BATCH, FIRST_SEED)
    like = MODEL.init(jax.random.key(0))
    sizes = {"parameters": len(flat(like)), "metrics": len(metric_names(build()))}
    errors_of = jax.jit(lambda many: jax.lax.map(error, many))
    found = {name: np.zeros((len(ARMS), rounds)) for name in ("seconds", "updates", "pace", "stale", "loss")}
    with Shared(work, 2, pin=True, **sizes) as shared, Served(work, 2, pin=True, **sizes) as served:
        for seed in range(rounds):
            start = flat(MODEL.init(jax.random.key(FIRST_SEED + seed)))
            for place in range(len(ARMS)):  # each arm is as often first as last
                arm = (place + seed) % len(ARMS)
                how: dict[str, Any] = {"only": 1 if arm == 0 else 2, "first": seed * updates}
                if ARMS[arm] == "locked":
                    how["locked"] = True
                team = served if ARMS[arm] == "server" else shared
                path = watched(team, updates, start, **how)
                params = [unflat(vector, like) for vector in path.vectors]
                errors = np.asarray(errors_of(jax.tree.map(lambda *a: np.stack(a), *params)))
                at = first_below(errors)
                there = np.isfinite(at)
                at = int(at) if there else -1
                found["seconds"][arm, seed] = path.seconds[at] if there else np.inf
                found["updates"][arm, seed] = path.updates[at] if there else np.inf
                found["pace"][arm, seed] = path.updates[-1] / path.seconds[-1]
                found["stale"][arm, seed] = path.stale
                found["loss"][arm, seed] = path.loss
    return found

"""Methods compared fairly: each is trained at its own best point of a grid, such as a learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.outputs import mean_of
from dlnotes.training.fitting import Fit, fit
from dlnotes.training.state import RecipeOf
from dlnotes.typing import Params


class Tuned(NamedTuple):
    """Every method trained at its best point; members lie method by method, the seeds of one side by side.

    Attributes:
      fit: of all members.
      hyperparams: their numbers, each ``(methods · seeds,)``.
      chosen: ``(methods,)`` index of each method's point of the grid.
      tuning: ``(methods, points)`` mean loss of the tuning seeds, by which it was chosen; of a metric, its
        negative.
    """

    fit: Fit
    hyperparams: dict[str, np.ndarray]
    chosen: np.ndarray
    tuning: np.ndarray

    def by_method(self, values: Any) -> np.ndarray:
        """``(..., members)`` as ``(..., methods, seeds)``."""
        values = np.asarray(values)
        return values.reshape(*values.shape[:-1], len(self.chosen), -1)


def tune_and_train(
    recipe_of: RecipeOf,
    train: Examples | Callable[[np.ndarray], Examples],
    validation: Examples | None,
    methods: Mapping[str, Any],
    grid: Mapping[str, Any],
    *,
    seeds: int,
    tuning_seeds: int,
    start: Callable[[dict[str, np.ndarray], np.ndarray], Params] | None = None,
    first_seed: int = 0,
    score: str = "loss",
    **options: Any,
) -> Tuned:
    """Choose each method's point of a grid on seeds of their own, then train it on the seeds that count.

    Args:
      recipe_of: what is trained, from the numbers of a method and of a point.
      train: the training examples; or, from members' seeds, examples of each, with a members axis.
      validation: examples on which ``score`` decides between points; ``None`` where the speed of training is
        compared: then its mean over the whole training decides.
      methods: numbers that tell the methods apart, by name, each ``(methods,)``.
      grid: numbers to choose from, by name, each ``(points,)`` or, of each method its own,
        ``(methods, points)``. Several names are points side by side, not their product.
      start: ``start(hyperparams, seeds) -> params``, the starting parameters of all members; by default the
        model's own, the same for a seed whatever the method.
      seeds: number of trainings of each method that count: first_seed, first_seed + 1, ….
      tuning_seeds: number of trainings of each method at each point; their seeds come after those.
      first_seed: see ``seeds``; another gives trainings that nobody has looked at yet.
      score: "loss", or a metric of the recipe, of which more is better, such as "accuracy".
      options: the rest of `dlnotes.training.fit`'s arguments.

    Raises:
      ValueError: when there is no method or point, or sizes do not agree.

    Example:
      >>> from dlnotes import data, models, outputs
      >>> from dlnotes.training import Recipe, optimizer
      >>> xor = data.load("xor").train
      >>> def recipe_of(hyper):
      ...     adam = optimizer("adam", hyper["rate"])
      ...     return Recipe(models.mlp(2, (8,), 2), outputs.cross_entropy, {}, adam)
      >>> tuned = tune_and_train(
      ...     recipe_of, xor, xor, {"net": [0]}, {"rate": [1e-4, 0.1]}, seeds=3, tuning_seeds=3, steps=50)
      >>> tuned.chosen.tolist(), tuned.by_method(tuned.fit.history["loss"]).shape
      ([1], (50, 1, 3))
    """
    if not methods or not grid:
        raise ValueError("methods, grid: got none of one of them, at least one name with a number is needed")
    n = len(next(iter(methods.values())))
    of_method = {name: np.asarray(v, np.float32) for name, v in methods.items()}
    per_method = {
        name: np.broadcast_to(np.asarray(v, np.float32), (n, np.shape(v)[-1])) for name, v in grid.items()
    }
    c = next(iter(per_method.values())).shape[1]
    tuned = {k: np.repeat(v, c * tuning_seeds) for k, v in of_method.items()}
    tuned |= {k: np.repeat(v.ravel(), tuning_seeds) for k, v in per_method.items()}
    quiet = {k: v for k, v in options.items() if k not in ("every", "probe")}
    own = np.tile(first_seed + seeds + np.arange(tuning_seeds), n * c)
    options["data_per_member"] = quiet["data_per_member"] = callable(train)
    first = fit(
        recipe_of,
        train(own) if callable(train) else train,
        seeds=own,
        hyperparams=tuned,
        start=None if start is None else start(tuned, own),
        **quiet,
    )
    if validation is None:
        found = first.history[score].mean(0)
    else:
        found = evaluate(recipe_of, tuned, first.params, validation)[score]
    loss = (found if score == "loss" else -found).reshape(n, c, tuning_seeds)
    # A training that broke down kept its last finite parameters: it must not be chosen for those.
    broken = first.stopped_at.reshape(loss.shape) >= 0
    tuning = np.where(broken | ~np.isfinite(loss), np.inf, loss).mean(-1)
    chosen = np.argmin(tuning, axis=1)
    hyperparams = {k: np.repeat(v, seeds) for k, v in of_method.items()}
    hyperparams |= {k: np.repeat(v[np.arange(n), chosen], seeds) for k, v in per_method.items()}
    own = np.tile(first_seed + np.arange(seeds), n)
    result = fit(
        recipe_of,
        train(own) if callable(train) else train,
        seeds=own,
        hyperparams=hyperparams,
        start=None if start is None else start(hyperparams, own),
        **options,
    )
    return Tuned(result, hyperparams, chosen, tuning)


def tune_briefly_and_train(
    recipe_of: Callable[[int], RecipeOf],
    train: Examples | Callable[[np.ndarray], Examples],
    validation: Examples,
    methods: Mapping[str, Any],
    grid: Mapping[str, Any],
    *,
    steps: int,
    tuning_steps: int,
    seeds: int,
    first_seed: int = 0,
    start: Callable[[dict[str, np.ndarray], np.ndarray], Params] | None = None,
    **options: Any,
) -> Tuned:
    """`tune_and_train`, in which shorter trainings choose each method's point of the grid.

    Args:
      recipe_of: ``recipe_of(steps)`` gives the recipes of a training of so many steps, so that a schedule
        can end where the training does.
      steps: of the trainings that count.
      tuning_steps: of those that choose.
      train, validation, methods, grid, seeds, first_seed, start, options: as in `tune_and_train`; the
        first of its tuning seeds is not used.

    Raises:
      ValueError: as `tune_and_train`.

    Example:
      >>> from dlnotes import data, models, outputs
      >>> from dlnotes.training import Recipe, optimizer, schedules, tune_briefly_and_train
      >>> xor = data.load("xor").train
      >>> def recipe_of(steps):
      ...     def of(hyper):
      ...         adam = optimizer("adam", hyper["rate"], factor=schedules.cosine(steps))
      ...         return Recipe(models.mlp(2, (8,), 2), outputs.cross_entropy, {}, adam)
      ...     return of
      >>> tuned = tune_briefly_and_train(
      ...     recipe_of, xor, xor, {"net": [0]}, {"rate": [1e-4, 0.1]},
      ...     seeds=3, tuning_seeds=3, steps=50, tuning_steps=10)
      >>> tuned.chosen.tolist(), tuned.fit.history["loss"].shape
      ([1], (50, 3))
    """
    quiet = {k: v for k, v in options.items() if k not in ("every", "probe", "record")}
    brief = tune_and_train(
        recipe_of(tuning_steps),
        train,
        validation,
        methods,
        grid,
        seeds=1,
        first_seed=first_seed + seeds,
        start=start,
        steps=tuning_steps,
        record=tuning_steps,
        **quiet,
    )
    hyperparams = {k: np.repeat(v, seeds) for k, v in brief.hyperparams.items()}
    own = np.tile(first_seed + np.arange(seeds), len(brief.chosen))
    options = {k: v for k, v in options.items() if k not in ("tuning_seeds", "score")}
    result = fit(
        recipe_of(steps),
        train(own) if callable(train) else train,
        steps=steps,
        seeds=own,
        hyperparams=hyperparams,
        start=None if start is None else start(hyperparams, own),
        data_per_member=callable(train),
        **options,
    )
    return Tuned(result, hyperparams, brief.chosen, brief.tuning)


def evaluate(
    recipe_of: RecipeOf, hyperparams: Mapping[str, Any], params: Params, examples: Examples
) -> dict[str, np.ndarray]:
    """Loss and metrics of every member on some examples, each ``(members,)``."""

    def one(member):
        hyper, p = member
        recipe = recipe_of(hyper)
        output = recipe.model.apply(p, examples.x)
        weight = jnp.ones(examples.size, jnp.float32)
        measures = {"loss": recipe.loss, **recipe.metrics}
        return {name: mean_of(m(output, examples.y), weight) for name, m in measures.items()}

    hyperparams = {k: np.asarray(v, np.float32) for k, v in hyperparams.items()}
    found = jax.jit(lambda all: jax.lax.map(one, all, batch_size=16))((hyperparams, params))
    return {name: np.asarray(v) for name, v in found.items()}

"""Rivals compared fairly: each is trained with the choices, such as a learning rate, that are best for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.outputs import mean_of
from dlnotes.training.fitting import Fit, fit
from dlnotes.training.state import RecipeOf
from dlnotes.typing import Params


class Trained(NamedTuple):
    """Every rival at its own best choice; members lie rival by rival, the seeds of a rival side by side.

    Attributes:
      fit: of all members.
      hypers: their numbers, each ``(rivals · seeds,)``.
      chosen: ``(rivals,)`` index of each rival's choice.
      tuning: ``(rivals, choices)`` mean loss of the tuning seeds, by which it was chosen.
    """

    fit: Fit
    hypers: dict[str, np.ndarray]
    chosen: np.ndarray
    tuning: np.ndarray

    def by_rival(self, values: Any) -> np.ndarray:
        """``(..., members)`` as ``(..., rivals, seeds)``."""
        values = np.asarray(values)
        return values.reshape(*values.shape[:-1], len(self.chosen), -1)


def train_rivals(
    recipe_of: RecipeOf,
    train: Examples | Callable[[np.ndarray], Examples],
    judged_on: Examples | None,
    rivals: Mapping[str, Any],
    choices: Mapping[str, Any],
    *,
    start: Callable[[dict[str, np.ndarray], np.ndarray], Params],
    seeds: int,
    tuning_seeds: int,
    **how: Any,
) -> Trained:
    """Choose for each rival on other seeds, then train it on the seeds that count.

    Args:
      recipe_of: what is trained, from the numbers of a rival and of a choice.
      train: the training examples; or, from members' seeds, examples of each, with a members axis.
      judged_on: examples on which the loss decides between choices; ``None`` where the speed of training is
        compared: then the mean training loss over the whole training decides.
      rivals: numbers by name, each ``(rivals,)``.
      choices: numbers by name, each ``(choices,)`` or, of each rival its own, ``(rivals, choices)``.
      start: starting parameters of all members from their numbers and seeds.
      seeds: number of trainings of each rival that count: 0, 1, ….
      tuning_seeds: number of trainings of each rival with each choice; other seeds than those.
      how: the rest of `fit`'s arguments.
    """
    n = len(next(iter(rivals.values())))
    of_rival = {name: np.asarray(v, np.float32) for name, v in rivals.items()}
    per_rival = {
        name: np.broadcast_to(np.asarray(v, np.float32), (n, np.shape(v)[-1])) for name, v in choices.items()
    }
    c = next(iter(per_rival.values())).shape[1]
    tuned = {k: np.repeat(v, c * tuning_seeds) for k, v in of_rival.items()}
    tuned |= {k: np.repeat(v.ravel(), tuning_seeds) for k, v in per_rival.items()}
    quiet = {k: v for k, v in how.items() if k not in ("every", "probe")}
    own = np.tile(seeds + np.arange(tuning_seeds), n * c)
    how["data_per_member"] = quiet["data_per_member"] = callable(train)
    first = fit(
        recipe_of,
        train(own) if callable(train) else train,
        seeds=own,
        hypers=tuned,
        start=start(tuned, own),
        **quiet,
    )
    if judged_on is None:
        loss = first.history["loss"].mean(0)
    else:
        loss = evaluate(recipe_of, tuned, first.params, judged_on)["loss"]
    loss = loss.reshape(n, c, tuning_seeds)
    # A training that broke down kept its last finite parameters: it must not be chosen for those.
    broken = first.stopped_at.reshape(loss.shape) >= 0
    tuning = np.where(broken | ~np.isfinite(loss), np.inf, loss).mean(-1)
    chosen = np.argmin(tuning, axis=1)
    hypers = {k: np.repeat(v, seeds) for k, v in of_rival.items()}
    hypers |= {k: np.repeat(v[np.arange(n), chosen], seeds) for k, v in per_rival.items()}
    own = np.tile(np.arange(seeds), n)
    result = fit(
        recipe_of,
        train(own) if callable(train) else train,
        seeds=own,
        hypers=hypers,
        start=start(hypers, own),
        **how,
    )
    return Trained(result, hypers, chosen, tuning)


def evaluate(
    recipe_of: RecipeOf, hypers: Mapping[str, Any], params: Params, examples: Examples
) -> dict[str, np.ndarray]:
    """Loss and metrics of every member on some examples, each ``(members,)``."""

    def one(member):
        hyper, p = member
        recipe = recipe_of(hyper)
        output = recipe.model.apply(p, examples.x)
        weight = jnp.ones(examples.size, jnp.float32)
        measures = {"loss": recipe.loss, **recipe.metrics}
        return {name: mean_of(m(output, examples.y), weight) for name, m in measures.items()}

    hypers = {k: np.asarray(v, np.float32) for k, v in hypers.items()}
    found = jax.jit(lambda all: jax.lax.map(one, all, batch_size=16))((hypers, params))
    return {name: np.asarray(v) for name, v in found.items()}


def parts_of(
    dataset: Dataset, train: int | None = None, validation: int | None = None, test: int | None = None
) -> tuple[Examples, Examples, Examples]:
    """Training, validation and test examples as rows of numbers; of each the first so many, or all."""

    def rows(part: Examples, n: int | None) -> Examples:
        x = np.asarray(part.x[:n])
        return Examples(x.reshape(len(x), -1), np.asarray(part.y[:n]))

    named = zip(("train", "validation", "test"), (train, validation, test))
    first, second, third = (rows(dataset.split(name), n) for name, n in named)
    return first, second, third

"""What a training carries from step to step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlnotes.models.model import Model, WithState, learned_of, with_learned
from dlnotes.outputs.losses import LossFn
from dlnotes.typing import Array, Params, PRNGKey

RUNNING, BAD_LOSS, BAD_GRADIENT, EARLY = 0, 1, 2, 3
REASONS = {
    RUNNING: "running",
    BAD_LOSS: "non-finite loss",
    BAD_GRADIENT: "non-finite gradient",
    EARLY: "early stopping",
}
"""Why a member stopped, by the code in its state."""

Hyperparams = dict[str, Array]
"""Swept numbers by config path; a member's own values."""


class Recipe(NamedTuple):
    """What is trained and how: pure functions and static choices, no arrays but swept numbers.

    Attributes:
      model: the network.
      loss: the training loss of a batch's examples.
      metrics: what is measured beside the loss, by name.
      optimizer: an optax transformation.
      augment: ``augment(key, x, y) -> (x, y)`` on training examples, or ``None``.
      project: ``project(params) -> params`` after each update (max-norm), or ``None``.
      compute_dtype: of the forward and backward pass; parameters and sums stay float32.
      accumulate: parts a batch is computed in.
      ema: decay of the parameter average, or ``None``.
      random: whether training draws random numbers (dropout or augmentation).
      flatten_small: treat a small network as one vector (only a matter of speed).
      evaluation_loss: what evaluation reports as the loss (without smoothing); ``None`` is `loss`.
      sample_inputs: ``sample_inputs(params, x, *, key, mask, step) -> x``, what the network reads in training
        instead of the data's inputs (scheduled sampling), or ``None``.
    """

    model: Model
    loss: LossFn
    metrics: dict[str, LossFn]
    optimizer: optax.GradientTransformation
    augment: Callable[[PRNGKey, Any, Any], tuple[Any, Any]] | None = None
    project: Callable[[Params], Params] | None = None
    compute_dtype: Any = jnp.float32
    accumulate: int = 1
    ema: float | None = None
    random: bool = False
    evaluation_loss: LossFn | None = None
    flatten_small: bool = False
    sample_inputs: Callable[..., Any] | None = None


RecipeOf = Callable[[Hyperparams], Recipe]
"""The recipe of a member with these swept numbers (traced when it is called)."""


class Best(NamedTuple):
    """The best evaluation so far.

    Attributes:
      params: parameters then.
      loss: ``()`` their validation loss, inf before the first evaluation.
      step: ``()`` int32 step of that evaluation.
      waits: ``()`` int32 evaluations since.
    """

    params: Params
    loss: Array
    step: Array
    waits: Array


class Member(NamedTuple):
    """One training among those run at once: a seed with its setting of the swept numbers.

    Attributes:
      params, opt_state: as the model and the optimizer make them; ``params`` is a
        `dlnotes.models.WithState` where the model keeps a state, which the optimizer does not know.
      average: exponential average of the parameters, ``None`` without.
      best: see `Best`, ``None`` when nothing is selected on validation.
      key: ``(2,)`` uint32 words of the member's random key.
      hyper: the swept numbers.
      stopped_at: ``()`` int32 step at which it stopped, -1 while it runs.
      reason: ``()`` int32, a code of `REASONS`.
    """

    params: Params
    opt_state: Any
    average: Params | None
    best: Best | None
    key: Array
    hyper: Hyperparams
    stopped_at: Array
    reason: Array


class TrainState(NamedTuple):
    """All of a run that changes.

    Attributes:
      step: ``()`` int32 number of steps taken.
      members: a `Member` whose leaves have a leading axis ``(members,)``.
    """

    step: Array
    members: Member


def init_member(recipe_of: RecipeOf, seed: Array, hyper: Hyperparams, *, keep_best: bool) -> Member:
    """A member before its first step; everything random in it follows from ``seed``.

    Args:
      recipe_of: see `RecipeOf`.
      seed: ``()`` integer.
      hyper: its swept numbers.
      keep_best: whether the best parameters on validation are kept.

    Raises:
      ValueError: when the model has a state and no ``update``, or the other way round.
    """
    recipe = recipe_of(hyper)
    key_init, key_train = jax.random.split(jax.random.key(seed))
    params = recipe.model.init(key_init)
    if isinstance(params, WithState) != (recipe.model.update is not None):
        raise ValueError(
            f"model: its init gives {type(params).__name__} and its update is {recipe.model.update}; allowed "
            "are a WithState and a function, or other parameters and None"
        )
    if recipe.project is not None:
        params = with_learned(params, recipe.project(learned_of(params)))
    best = None
    if keep_best:
        best = Best(params, jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32), jnp.array(0, jnp.int32))
    return Member(
        params=params,
        opt_state=recipe.optimizer.init(learned_of(params)),
        average=params if recipe.ema is not None else None,
        best=best,
        key=jax.random.key_data(key_train),
        hyper=hyper,
        stopped_at=jnp.array(-1, jnp.int32),
        reason=jnp.array(RUNNING, jnp.int32),
    )


def init_state(
    recipe_of: RecipeOf, seeds: Array, hyperparams: Hyperparams, *, keep_best: bool = False
) -> TrainState:
    """The state of all members before the first step.

    Args:
      recipe_of: see `RecipeOf`.
      seeds: ``(members,)`` integers.
      hyperparams: swept numbers, each ``(members,)``.
      keep_best: see `init_member`.
    """
    members = jax.vmap(lambda s, h: init_member(recipe_of, s, h, keep_best=keep_best))(seeds, hyperparams)
    return TrainState(jnp.array(0, jnp.int32), members)


def evaluated_params(member: Member, *, best: bool = False) -> Params:
    """The parameters to use: the best ones where asked and kept, else the average, else the last."""
    if best and member.best is not None:
        return member.best.params
    return member.params if member.average is None else member.average


def note_evaluation(
    member: Member, loss: Array, step: Array, *, patience: int | None, min_delta: float
) -> Member:
    """Keep the parameters if their validation loss is the best so far; stop when patience is over.

    Args:
      member: one member with a `Best`.
      loss: ``()`` validation loss of `evaluated_params`.
      step: ``()`` the step.
      patience: evaluations without improvement before stopping; ``None`` never stops.
      min_delta: what counts as an improvement.
    """
    best = member.best
    if best is None:
        return member
    running = member.stopped_at < 0
    better = running & (loss < best.loss - min_delta)
    params = jax.tree.map(lambda new, old: jnp.where(better, new, old), evaluated_params(member), best.params)
    waits = jnp.where(better, 0, best.waits + running.astype(jnp.int32))
    best = Best(params, jnp.where(better, loss, best.loss), jnp.where(better, step, best.step), waits)
    stop = running & (waits >= patience) if patience is not None else jnp.array(False)
    return member._replace(
        best=best,
        stopped_at=jnp.where(stop, step, member.stopped_at),
        reason=jnp.where(stop, EARLY, member.reason),
    )

"""What is trained after [pretraining]: the start that encoders give, and which parts of a network move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.data.in_file import is_in_file
from dlnotes.experiment.param_paths import marked
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.models.feedforward.deep_autoencoder import DeepAutoencoder
from dlnotes.models.feedforward.mlp import MLP
from dlnotes.models.model import Model, learned_of, with_learned
from dlnotes.pretraining.deep_autoencoder import autoencoder_layers, carried_over
from dlnotes.pretraining.greedy import carried, dense_layers
from dlnotes.pretraining.learner import Encoder
from dlnotes.training.state import Hyperparams, RecipeOf, TrainState
from dlnotes.typing import Array, Params, PRNGKey


class Carried(NamedTuple):
    """How a family of networks starts from encoders.

    Attributes:
      parts: ``parts(encoders)``, a pytree of arrays with a members axis, on the host. Raises ValueError
        naming the layer that has no place in the network.
      onto: ``onto(params, parts) -> params`` of one member: its own, with the parts in their places.
      stays: ``stays(params, layers)``, a tree of the structure of ``params`` with True for what the first
        ``layers`` encoders gave.
    """

    parts: Callable[[Sequence[Encoder]], Any]
    onto: Callable[[Params, Any], Params]
    stays: Callable[[Params, int], Any]


def _stays_in_mlp(params: MLP, layers: int) -> MLP:
    every = jax.tree.map(lambda _: False, params)
    below = tuple(jax.tree.map(lambda _: True, layer) for layer in params.hidden[:layers])
    return every._replace(hidden=(*below, *every.hidden[layers:]))


def _unrolled(encoders: Sequence[Encoder]) -> tuple[tuple[Dense, ...], tuple[Dense, ...]]:
    up, down, _ = autoencoder_layers(encoders)
    return up, down


def _stays_in_autoencoder(params: DeepAutoencoder, layers: int) -> DeepAutoencoder:
    every = jax.tree.map(lambda _: False, params)
    both = jax.tree.map(lambda _: True, DeepAutoencoder(params.encoder[:layers], params.decoder[-layers:]))
    return carried_over(every, both)


CARRIED: dict[str, Carried] = {
    "mlp": Carried(dense_layers, carried, _stays_in_mlp),
    "deep_autoencoder": Carried(_unrolled, carried_over, _stays_in_autoencoder),
}
"""By family: a family that is named here can be pretrained (see `dlnotes.config.pretraining.FAMILIES`)."""


def kept_layers(config: Config) -> int:
    """Of [fine_tuning] layers = "top": how many pretrained layers stay as they are."""
    if config.pretraining is None or config.fine_tuning is None or config.fine_tuning.layers == "all":
        return 0
    return len(config.pretraining.learners)


def stays_of(config: Config) -> Callable[[Params], Any] | None:
    """What stays as it was pretrained or taken over, True by leaf; ``None`` where all of it is trained."""
    if config.start is not None and config.start.frozen:
        return marked(config.start.frozen)
    layers = kept_layers(config)
    if not layers:
        return None
    stays = CARRIED[config.model.kind].stays
    return lambda params: stays(params, layers)


def at_rest(model: Model, stays: Callable[[Params], Any]) -> Model:
    """The network with no gradient in what stays, so that none is computed."""

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        return model.apply(held(params), x, key=key, mask=mask)

    def held(params: Params) -> Params:
        return jax.tree.map(lambda s, a: jax.lax.stop_gradient(a) if s else a, stays(params), params)

    inner = model.update
    if inner is None:
        return model._replace(apply=apply)

    def update(params: Any, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> tuple[Array, Any]:
        output, state = inner(held(params), x, key=key, mask=mask)
        marks = stays(params).state
        return output, jax.tree.map(lambda s, old, new: old if s else new, marks, params.state, state)

    return model._replace(apply=apply, update=update)


def moving_only(
    optimizer: optax.GradientTransformation, stays: Callable[[Params], Any]
) -> optax.GradientTransformation:
    """An optimizer that knows only what does not stay: the rest gets no update, decay or clipping."""

    def moves(params: Params) -> Any:
        return jax.tree.map(lambda s: not s, stays(params))

    inner = optax.masked(optimizer, moves)

    def update(updates: Any, state: Any, params: Params | None = None) -> tuple[Any, Any]:
        found, state = inner.update(updates, state, params)
        return jax.tree.map(lambda s, u: jnp.zeros_like(u) if s else u, stays(found), found), state

    return optax.GradientTransformation(inner.init, update)


def projected_only(
    project: Callable[[Params], Params], stays: Callable[[Params], Any]
) -> Callable[[Params], Params]:
    """A projection of what does not stay."""
    return lambda params: jax.tree.map(
        lambda s, old, new: old if s else new, stays(params), params, project(params)
    )


def started(
    recipe_of: RecipeOf, onto: Callable[[Params, Any], Params], init: Callable[..., TrainState]
) -> Callable[[Array, Hyperparams, Any], TrainState]:
    """``init(seeds, hyperparams, parts) -> state``: that of ``init``, from the parts that are given."""

    def build(seeds: Array, hyperparams: Hyperparams, parts: Any) -> TrainState:
        state = init(seeds, hyperparams)

        def one(member: Any, parts: Any) -> Any:
            recipe, params = recipe_of(member.hyper), onto(member.params, parts)
            if recipe.project is not None:
                params = with_learned(params, recipe.project(learned_of(params)))
            return member._replace(
                params=params,
                opt_state=recipe.optimizer.init(learned_of(params)),
                average=None if member.average is None else params,
                best=None if member.best is None else member.best._replace(params=params),
            )

        return state._replace(members=jax.vmap(one)(state.members, parts))

    return build


def with_labels(config: Config, dataset: Dataset) -> Dataset:
    """The data set with the first [fine_tuning] labels of its training part only.

    Raises:
      ValueError: when there are fewer, or a class has none of them.
    """
    n = None if config.fine_tuning is None else config.fine_tuning.labels
    if n is None or dataset.missing:
        return dataset
    train = dataset.train
    if n > train.size:
        raise ValueError(f"fine_tuning.labels: got {n}, {dataset.name} has {train.size} training examples")
    if is_in_file(train):
        raise ValueError(
            f"fine_tuning.labels: got {n}, the inputs of {dataset.name} stay in their file; allowed is none"
        )
    fewer = jax.tree.map(lambda a: a[:n], train)
    if dataset.task == "classification" and np.ndim(fewer.y) == 1:
        counts = np.bincount(np.asarray(fewer.y), minlength=dataset.outputs)
        if lacking := [k for k in range(dataset.outputs) if not counts[k]]:
            names = [dataset.classes[k] if dataset.classes else str(k) for k in lacking[:5]]
            raise ValueError(
                f"fine_tuning.labels: the first {n} training examples of {dataset.name} have none of class "
                f"{', '.join(names)}; allowed are more, or another data.seed"
            )
    return replace(dataset, train=fewer)

"""Training without a config: many members of one recipe at once, for experiments and notebooks.

It is the library's one step, looped in compiled chunks with the members vmapped and spread over the
devices, as `dlnotes.run` does it; only nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from dlnotes.data.dataset import Examples
from dlnotes.devices import placement as placing
from dlnotes.devices.compiler import compiler_options, single_use_options
from dlnotes.devices.placement import Division
from dlnotes.models.model import Model, learned_of
from dlnotes.training import loop
from dlnotes.training.parallel import compile_chunk, put_state
from dlnotes.training.state import Hyperparams, Recipe, RecipeOf, TrainState, init_state
from dlnotes.typing import Params

_HISTORY = 2**22
"""Numbers of history that a compiled call may hold on the device."""


class Fit(NamedTuple):
    """What `fit` returns; everything has a members axis.

    Attributes:
      params: of the last step, leaves ``(members, ...)`` numpy; a `dlnotes.models.WithState` where the
        model keeps a state.
      history: "loss", each metric of the recipe and "grad_norm", ``(recorded steps, members)``
        float32, measured on the step's batch before its update.
      probes: what ``probe`` gave, leaves ``(snapshots, members, ...)``, or ``None``.
      stopped_at: ``(members,)`` the step whose loss or gradient was not finite, -1 for the others.
    """

    params: Params
    history: dict[str, np.ndarray]
    probes: Any
    stopped_at: np.ndarray


def fit(
    recipe: Recipe | RecipeOf,
    data: Examples,
    *,
    steps: int,
    batch_size: int | None = None,
    seeds: Sequence[int] | np.ndarray = range(10),
    hyperparams: Hyperparams | dict[str, np.ndarray] | None = None,
    start: Params | None = None,
    every: int | None = None,
    probe: Callable[[Params], Any] | None = None,
    record: int = 1,
    convolutions: bool = False,
    data_per_member: bool = False,
) -> Fit:
    """Train one member per seed, all at once.

    Args:
      recipe: what is trained, or a function from a member's swept numbers to it.
      data: the training examples; with ``data_per_member`` every leaf has a leading members axis.
      steps: updates of each member.
      batch_size: ``None`` takes all examples in every step; else each epoch is a new order.
      seeds: of each member; start, order of examples and dropout follow from it.
      hyperparams: swept numbers by name, each ``(members,)``.
      start: parameters to start from, leaves ``(members, ...)``, instead of the model's own.
      every: steps between snapshots of ``probe``.
      probe: ``probe(params) -> tree`` of one member, taken before the first step and after each
        ``every`` steps.
      record: keep every ``record``-th step of the history.
      convolutions: whether the network has any (see `dlnotes.devices.compiler`).
      data_per_member: each member has examples of its own.

    Raises:
      ValueError: on sizes that do not fit together.

    Example:
      >>> from dlnotes import data, models, outputs
      >>> from dlnotes.training.optimizers import optimizer
      >>> xor = data.load("xor")
      >>> recipe = Recipe(models.mlp(2, (4,), 2), outputs.cross_entropy, {}, optimizer("adam", 0.1))
      >>> fit(recipe, xor.train, steps=3, seeds=range(2)).history["loss"].shape
      (3, 2)
    """
    seeds = np.asarray(list(seeds), np.int32)
    members, n = len(seeds), _size(data, len(seeds), data_per_member)
    hyperparams = {k: jnp.asarray(np.asarray(v, np.float32)) for k, v in (hyperparams or {}).items()}
    _check(members, n, steps, batch_size, hyperparams, every, probe, record, data, data_per_member)
    recipe_of: RecipeOf = recipe if callable(recipe) else lambda hyper: recipe
    first = recipe_of({k: v[0] for k, v in hyperparams.items()})
    names = ("loss", *first.metrics, "grad_norm")

    placement = placing.place("auto", members=members)
    division = Division(wrap=first.model.update is not None)
    chunk_steps = min(steps, every or steps, max(record, _HISTORY // (len(names) * members)))
    chunk_steps = max(record, chunk_steps // record * record) if every is None else chunk_steps
    run = compile_chunk(
        placement,
        loop.train_chunk(
            recipe_of,
            loop.resident_batches(n, batch_size or n, division),
            metric_names=names,
            capacity=chunk_steps,
            division=division,
            rows_per_part=batch_size or n,
            data_per_member=data_per_member,
        ),
        data_axis=0 if data_per_member and placement.shard == "members" else None,
        convolutions=convolutions,
    )
    by_members = P(placing.AXIS) if data_per_member and placement.shard == "members" else None
    data = Examples(*placing.put(placement, tuple(data), by_members))
    state = put_state(placement, jax.device_get(_initial(recipe_of, seeds, hyperparams, start)))
    look = _looker(placement, probe, convolutions) if probe is not None else None

    snapshots = [placing.fetch(look(state.members.params))] if look else []
    history, done = [], 0
    while done < steps:
        now = min(chunk_steps, steps - done, (every - done % every) if every else steps)
        state, metrics = run(state, data, jnp.asarray(now, jnp.int32))
        offset = -done % record
        history.append(np.asarray(metrics[:now][offset::record]))
        done += now
        if look and every and done % every == 0:
            snapshots.append(placing.fetch(look(state.members.params)))
    members_now = placing.fetch(state.members)
    recorded = np.concatenate(history)
    return Fit(
        params=members_now.params,
        history={name: recorded[:, i] for i, name in enumerate(names)},
        probes=jax.tree.map(lambda *a: np.stack(a), *snapshots) if snapshots else None,
        stopped_at=np.asarray(members_now.stopped_at),
    )


def predict(model: Model, params: Params, x: Any, *, per_member: bool = False) -> np.ndarray:
    """The output of every member, ``(members, batch, ...)`` numpy.

    Args:
      model: the network.
      params: leaves ``(members, ...)``.
      x: a batch, the same for all; with ``per_member`` its leaves have a leading members axis.
      per_member: see ``x``.
    """
    apply = jax.jit(jax.vmap(lambda p, x: model.apply(p, x), in_axes=(0, 0 if per_member else None)))
    return np.asarray(apply(params, x))


def _initial(
    recipe_of: RecipeOf, seeds: np.ndarray, hyperparams: Hyperparams, start: Params | None
) -> TrainState:
    """All members before the first step, from the model's own start or the given one."""

    def build(seeds, hyperparams, start):
        state = init_state(recipe_of, seeds, hyperparams)
        if start is None:
            return state
        opt_state = jax.vmap(lambda h, p: recipe_of(h).optimizer.init(learned_of(p)))(hyperparams, start)
        return state._replace(members=state.members._replace(params=start, opt_state=opt_state))

    return jax.jit(build, compiler_options=single_use_options())(seeds, hyperparams, start)


def _looker(placement: placing.Placement, probe: Callable, convolutions: bool) -> Callable:
    """The probe of all members, compiled where the members are."""
    many = jax.vmap(probe)
    options = compiler_options(convolutions=convolutions)
    if placement.shard != "members":
        return jax.jit(many, compiler_options=options)
    spec = P(placing.AXIS)
    mapped = jax.shard_map(many, mesh=placement.mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return jax.jit(mapped, compiler_options=options)


def _size(data: Examples, members: int, per_member: bool) -> int:
    lengths = {np.shape(a)[:2] if per_member else np.shape(a)[:1] for a in jax.tree.leaves(tuple(data))}
    if len(lengths) != 1:
        raise ValueError(f"data: its arrays begin with {sorted(lengths)}, allowed is one and the same length")
    shape = lengths.pop()
    if per_member and (len(shape) < 2 or shape[0] != members):
        raise ValueError(f"data: got arrays beginning with {shape}, needed are ({members} members, examples)")
    return shape[-1]


def _check(members, n, steps, batch_size, hyperparams, every, probe, record, data, per_member) -> None:
    positive = {"steps": steps, "batch_size": batch_size, "every": every, "record": record}
    for name, value in positive.items():
        if value is not None and value < 1:
            raise ValueError(f"{name}: got {value}, allowed is at least 1")
    if members < 1:
        raise ValueError("seeds: got none, at least one is needed")
    if batch_size is not None and batch_size > n:
        raise ValueError(f"batch_size: got {batch_size}, there are {n} examples")
    if (every is None) != (probe is None):
        raise ValueError("every, probe: got one of them, they go together")
    for name, value in hyperparams.items():
        if value.shape != (members,):
            raise ValueError(f"hyperparams[{name!r}]: got shape {value.shape}, needed is ({members},)")

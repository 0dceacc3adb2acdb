"""Descent with old gradients, step by step the same every time: asynchronous training without processes.

``θ_{t+1} = θ_t + change(θ_{t−τ}, t)``, in one compiled scan over a ring of the last τ + 1 parameters. Before
step τ the start stands for what was before it, as it does for τ + 1 workers that begin together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.data.dataset import Examples
from dlnotes.devices.compiler import compiler_options
from dlnotes.devices.placement import Division
from dlnotes.models.model import WithState
from dlnotes.training.asynchronous.work import keeping
from dlnotes.training.loop import resident_batches
from dlnotes.training.state import Hyperparams, Member, Recipe, RecipeOf, init_member
from dlnotes.training.step import train_step
from dlnotes.typing import Array, Params


def delayed_descent(
    change: Callable[[Any, Params, Array], tuple[Any, Params]],
    start: Params,
    state: Any = (),
    *,
    steps: int,
    delay: Array | int,
    most: int,
    every: int = 1,
    observe: Callable[[Params], Any] = lambda params: params,
) -> tuple[Params, Any, Any]:
    """Descent whose gradients are ``delay`` steps old when they are added; pure, to be jitted and vmapped.

    ``θ_{t+1} = θ_t + change(θ_{max(t−τ, 0)}, t)``. On a quadratic of curvature λ with
    ``change = −ηλθ`` it is stable if and only if ``ηλ < 2 sin(π / (2(2τ + 1)))``.

    Args:
      change: ``change(state, old params, step) -> (state, what is added to the present ones)``.
      start: the parameters.
      state: what is carried from step to step beside them, such as an optimizer's moments.
      steps: how many; a multiple of ``every``.
      delay: ``()`` int32 τ, 0 to ``most``; it may be traced.
      most: the largest delay (static): parameters of so many steps are held.
      every: steps between two looks.
      observe: of the parameters, at each look.

    Returns:
      The last parameters, the last state, and what was observed, leaves ``(steps / every + 1, ...)``.

    Raises:
      ValueError: when ``steps`` is no multiple of ``every``, or ``most`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> halved = lambda state, old, t: (state, -0.5 * old)
      >>> float(delayed_descent(halved, jnp.array(8.0), steps=2, delay=1, most=1)[0])
      0.0
    """
    positive(every=every, places=most + 1)
    if steps % every:
        raise ValueError(f"steps: got {steps}, allowed are multiples of every = {every}")
    places = most + 1
    ring = jax.tree.map(lambda a: jnp.broadcast_to(a[None], (places, *a.shape)), start)
    late = jnp.asarray(delay, jnp.int32)

    def step(t: Array, carry: tuple[Any, Params, Any]) -> tuple[Any, Params, Any]:
        ring, params, state = carry
        old = jax.tree.map(lambda a: a[jnp.maximum(t - late, 0) % places], ring)
        state, added = change(state, old, t)
        params = jax.tree.map(jnp.add, params, added)
        ring = jax.tree.map(lambda a, p: a.at[(t + 1) % places].set(p), ring, params)
        return ring, params, state

    def look(carry: tuple[Any, Params, Any], first: Array) -> tuple[tuple[Any, Params, Any], Any]:
        carry = jax.lax.fori_loop(first, first + every, step, carry)
        return carry, observe(carry[1])

    firsts = jnp.arange(0, steps, every, dtype=jnp.int32)
    (_, params, state), seen = jax.lax.scan(look, (ring, start, state), firsts)
    before = observe(start)
    return params, state, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), before, seen)


class Delayed(NamedTuple):
    """What `train_delayed` returns; everything has a members axis.

    Attributes:
      params: of the last step, leaves ``(members, ...)`` numpy.
      probes: what ``probe`` gave, leaves ``(looks, members, ...)``, the first of the start; or ``None``.
      stopped_at: ``(members,)`` the step whose loss or gradient was not finite, -1 for the others.
    """

    params: Params
    probes: Any
    stopped_at: np.ndarray


def train_delayed(
    recipe: Recipe | RecipeOf,
    data: Examples,
    *,
    steps: int,
    delay: int | Sequence[int] | np.ndarray,
    batch_size: int | None = None,
    seeds: Sequence[int] | np.ndarray = range(10),
    hyperparams: Hyperparams | dict[str, np.ndarray] | None = None,
    every: int | None = None,
    probe: Callable[[Params], Any] | None = None,
) -> Delayed:
    """`dlnotes.training.fit` whose gradients are old: computed at the parameters of ``delay`` steps before.

    Members start and see batches as those of `fit` do; with a delay of 0 they are those of `fit`. What an
    optimizer keeps it keeps where updates are added, as a server of parameters would.

    Args:
      recipe: what is trained, or a function of a member's swept numbers that gives it.
      data: the examples.
      steps: updates of each member.
      delay: of all members, or ``(members,)``.
      batch_size: rows of a batch; by default all examples.
      seeds: ``(members,)``.
      hyperparams: swept numbers, each ``(members,)``.
      every: steps between two probes, a divisor of ``steps``; by default all of them.
      probe: of a member's parameters.

    Raises:
      ValueError: when arguments do not fit, or the model keeps a state.

    Source: Langford, Smola and Zinkevich, 2009, Slow learners are fast

    Example:
      >>> from dlnotes import models, outputs
      >>> from dlnotes.training import optimizer
      >>> net = Recipe(models.mlp(2, (4,), 2), outputs.cross_entropy, {}, optimizer("sgd", 0.1))
      >>> x = np.eye(2, dtype=np.float32)
      >>> trained = train_delayed(net, Examples(x, np.arange(2)), steps=4, delay=2, seeds=range(3))
      >>> trained.params.output.W.shape
      (3, 4, 2)
    """
    seeds = np.asarray(seeds, np.int32)
    delays = np.broadcast_to(np.asarray(delay, np.int32), seeds.shape)
    if delays.min() < 0:
        raise ValueError(f"delay: got {delays.min()}, allowed is 0 or more")
    hyper = {name: jnp.asarray(v, jnp.float32) for name, v in (hyperparams or {}).items()}
    for name, values in hyper.items():
        if values.shape != seeds.shape:
            raise ValueError(f"hyperparams[{name!r}]: got shape {values.shape}, needed is {seeds.shape}")
    recipe_of = _noting(recipe if callable(recipe) and not isinstance(recipe, Recipe) else lambda _: recipe)
    n = data.size
    batch_at = resident_batches(n, min(batch_size or n, n), Division())

    def one(seed: Array, hyper: Hyperparams, delay: Array, data: Examples) -> tuple[Params, Any, Array]:
        own = recipe_of(hyper)
        first = init_member(lambda _: own, seed, hyper, keep_best=False)
        if isinstance(first.params, WithState):
            raise ValueError("recipe: its model keeps a state, allowed is one without")

        def change(member: Member, old: Params, t: Array) -> tuple[Member, Params]:
            batch = batch_at(data, member, t, jnp.array(0, jnp.int32))
            member, _ = train_step(own, member._replace(params=old), batch, t)
            still = member.stopped_at < 0
            return member, jax.tree.map(lambda u: jnp.where(still, u, 0.0), member.opt_state.updates)

        params, last, seen = delayed_descent(
            change,
            first.params,
            first,
            steps=steps,
            delay=delay,
            most=int(delays.max()),
            every=every or steps,
            observe=probe or (lambda params: None),
        )
        return params, seen, last.stopped_at

    run = jax.jit(
        jax.vmap(one, in_axes=(0, 0, 0, None), out_axes=(0, 1 if probe else None, 0)),
        compiler_options=compiler_options(convolutions=False),
    )
    params, seen, stopped = run(jnp.asarray(seeds), hyper, jnp.asarray(delays), jax.device_put(data))
    return Delayed(jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, seen), np.asarray(stopped))


def _noting(recipe_of: RecipeOf) -> RecipeOf:
    def noting(hyper: Hyperparams) -> Recipe:
        found = recipe_of(hyper)
        return found._replace(optimizer=keeping(found.optimizer))

    return noting


def largest_stable_rate(delay: int) -> float:
    """Below which ηλ delayed descent on a quadratic of curvature λ is stable: ``2 sin(π / (2(2τ + 1)))``.

    Args:
      delay: τ in steps, at least 0.

    Example:
      >>> largest_stable_rate(0), round(largest_stable_rate(1), 6)
      (2.0, 1.0)
    """
    return float(2 * np.sin(np.pi / (2 * (2 * delay + 1))))

"""One representation for several tasks: a trunk that all share, and a head for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from dlnotes.checks import all_positive, did_you_mean, positive
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.corruption import corrupt
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.models.model import Model
from dlnotes.outputs.targets import Reconstruction
from dlnotes.typing import Array, Params, PRNGKey


class Shared(NamedTuple):
    """Parameters of ``h = g(trunk(x))`` and ``output_k = head_k(h)``.

    Attributes:
      trunk: of the network that all tasks share.
      heads: of each task's own network, by its name.
    """

    trunk: Params
    heads: dict[str, Params]


class Noise(NamedTuple):
    """How the input is corrupted in training (see `dlnotes.layers.corrupt`).

    Attributes:
      kind: "mask" or "gaussian".
      amount: share of the entries, or standard deviation; may be traced.
    """

    kind: str = "mask"
    amount: float | Array = 0.3


def head(
    features: int,
    widths: Sequence[int],
    outputs: int,
    *,
    activation: str = "relu",
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A perceptron on the last axis: ``z = g(… g(h W₁ + b₁) …) W + b``, parameters a tuple of `Dense`.

    Args:
      features: size of the last axis of its input.
      widths: units of each hidden layer; empty gives a linear head.
      outputs: size of the last axis of its output.
      activation: a name in ``layers.ACTIVATIONS``, after each hidden layer.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be traced.

    Returns:
      A `Model` from (batch, …, features) to (batch, …, outputs).

    Raises:
      ValueError: on sizes or names that are not allowed.

    Example:
      >>> import jax
      >>> model = head(4, (8,), 2)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((3, 5, 4))).shape
      (3, 5, 2)
    """
    positive(features=features, outputs=outputs)
    widths = all_positive("widths", widths)
    g = activation_named(activation)
    initializer_named(initializer)
    sizes = (features, *widths, outputs)

    def init(key: PRNGKey, /) -> tuple[Dense, ...]:
        keys = random.split(key, len(sizes) - 1)
        return tuple(
            init_dense(k, n, m, initializer=initializer, init_scale=init_scale)
            for k, n, m in zip(keys, sizes, sizes[1:])
        )

    def apply(
        params: tuple[Dense, ...], x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        for layer in params[:-1]:
            x = g(dense(layer, x))
        return dense(params[-1], x)

    return Model(init, apply)


def shared(
    trunk: Model,
    heads: Mapping[str, Model],
    *,
    activation: str = "relu",
    dropout: float | Array = 0.0,
    reconstructs: Collection[str] = (),
    corruption: Mapping[str, Noise] | None = None,
) -> Model:
    """Several tasks on one representation: ``h = g(trunk(x))``, ``output_k = head_k(h)``.

    Any network whose outputs are features is a trunk: ``mlp(784, (256,), 256)`` with ``activation="relu"`` is
    the perceptron 784-256-256 without its last layer, and `shared` with a linear head for its one task is
    ``mlp(784, (256, 256), 10)``.

    Args:
      trunk: gives the features, (batch, features) or (batch, …, features).
      heads: of each task, by name; takes the features (see `head`).
      activation: g, a name in ``layers.ACTIVATIONS``.
      dropout: share of the features dropped when a key is given; may be traced.
      reconstructs: tasks whose target is the input itself: their output is a
        `dlnotes.outputs.Reconstruction`, with the input that ``apply`` was given.
      corruption: `Noise` of the tasks for which the trunk reads a corrupted input when a key is given. Tasks
        of equal noise, or without, share one passage through the trunk.

    Returns:
      A `Model` of `Shared` whose output is a dict by task; `dlnotes.outputs.joint_loss` is its loss.

    Raises:
      ValueError: without a head, on names that no head has, on a network that keeps a state, or on a rate or
        a name that is not allowed.

    Source: notes, «pre-entrenamiento» (several tasks, supervised or not, share an internal representation);
    Caruana, 1997.

    Example:
      >>> import jax
      >>> from dlnotes import models
      >>> heads = {"digit": head(16, (), 10), "image": head(16, (32,), 64)}
      >>> model = shared(models.mlp(64, (32,), 16), heads, reconstructs=["image"])
      >>> found = model.apply(model.init(jax.random.key(0)), jnp.ones((3, 64)))
      >>> found["digit"].shape, found["image"].output.shape, found["image"].target.shape
      ((3, 10), (3, 64), (3, 64))
    """
    heads, corruption = dict(heads), dict(corruption or {})
    if not heads:
        raise ValueError("heads: got none, at least one task is needed")
    for option, names in (("reconstructs", reconstructs), ("corruption", corruption)):
        if isinstance(names, str):
            raise ValueError(f"{option}: got the text {names!r}, allowed is a list of tasks")
        for name in names:
            if name not in heads:
                hint = did_you_mean(name, heads)
                raise ValueError(f"{option}: got {name!r}, the tasks are {', '.join(heads)}{hint}")
    for name, model in [("trunk", trunk), *((f"heads[{name!r}]", model) for name, model in heads.items())]:
        if model.update is not None:
            raise ValueError(f"{name}: got a network that keeps a state, allowed are those without")
    if isinstance(dropout, (int, float)) and not 0 <= dropout < 1:
        raise ValueError(f"dropout: got {dropout}, allowed is 0 <= dropout < 1 (the share dropped)")
    g = activation_named(activation)
    passages: list[tuple[Noise | None, list[str]]] = []  # through the trunk: a noise, and whose features
    for name in heads:
        noise = corruption.get(name)
        same = next((tasks for other, tasks in passages if _same(other, noise)), None)
        if same is None:
            passages.append((noise, [name]))
        else:
            same.append(name)

    def init(key: PRNGKey, /) -> Shared:
        first, *keys = random.split(key, 1 + len(heads))
        return Shared(trunk.init(first), {name: m.init(k) for (name, m), k in zip(heads.items(), keys)})

    def features(params: Shared, x: Any, noise: Noise | None, key: PRNGKey | None, mask: Any) -> Array:
        if key is None:
            return g(trunk.apply(params.trunk, x, mask=mask))
        through, dropped, noisy = random.split(key, 3)
        if noise is not None:
            x = corrupt(noisy, x, kind=noise.kind, amount=noise.amount)
        return random.dropout(dropped, g(trunk.apply(params.trunk, x, key=through, mask=mask)), dropout)

    def apply(params: Shared, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> dict[str, Any]:
        if set(params.heads) != set(heads):
            raise ValueError(f"params: got heads of {', '.join(params.heads)}, needed are {', '.join(heads)}")
        found: dict[str, Any] = {}
        ways = passages if key is not None else [(None, list(heads))]
        for i, (noise, tasks) in enumerate(ways):
            h = features(params, x, noise, None if key is None else random.fold_in(key, i), mask)
            for name in tasks:
                own = None if key is None else random.fold_in(key, len(ways) + list(heads).index(name))
                found[name] = heads[name].apply(params.heads[name], h, key=own)
        return {
            name: Reconstruction(found[name], x) if name in reconstructs else found[name] for name in heads
        }

    return Model(init, apply)  # pyright: ignore[reportArgumentType]


def _same(a: Noise | None, b: Noise | None) -> bool:
    """Whether two tasks are corrupted alike; traced amounts are the same where they are one number."""
    if a is None or b is None:
        return a is b
    plain = isinstance(a.amount, (int, float)) and isinstance(b.amount, (int, float))
    return a.kind == b.kind and (a.amount == b.amount if plain else a.amount is b.amount)  # pyright: ignore[reportReturnType]

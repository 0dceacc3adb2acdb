"""Networks whose variance follows the input, against the same networks with one variance for all."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer
from dlnotes.typing import Array, Params

TASKS = ("synthetic", "diabetes", "breast cancer")
RATES = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
SIZES = (240, 60, 130)
"""Cases for training, validation and test: as many of each task, so that all train in one program."""
FEATURES = 10
NETWORK = models.mlp(FEATURES, (16,), 2, activation="tanh")
UNIT = 0.5413249
"""a with ζ(a) = 1: where the one precision for all starts."""


class Head(NamedTuple):
    """A network of two outputs, and a number that may stand for the second one."""

    net: models.MLP
    shared: Array


def deviation(x: np.ndarray) -> np.ndarray:
    """The known standard deviation of the synthetic data."""
    return 0.1 + 0.5 * x**2


def table_of(task: str, seed: int) -> list[data.Examples]:
    """Training, validation and test part of one data set or split."""
    if task == "synthetic":
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, (sum(SIZES), 1))
        y = (np.sin(3 * x) + deviation(x) * rng.standard_normal(x.shape)).astype(np.float32)
        x = np.repeat(x.astype(np.float32), FEATURES, axis=1)
        ends = np.cumsum(SIZES)
        return [data.Examples(x[end - n : end], y[end - n : end]) for n, end in zip(SIZES, ends)]
    name = task.replace(" ", "_")
    given = data.load("tabular", name=name, validation=0.15, test=0.3, seed=seed)
    parts = [given.train, given.split("validation"), given.split("test")]
    if task == "breast cancer":
        worst_area = given.features.index("worst area")
        parts = [data.Examples(p.x[:, :FEATURES], p.x[:, worst_area : worst_area + 1]) for p in parts]
    return [data.Examples(p.x[:n], p.y[:n]) for p, n in zip(parts, SIZES)]


def raw_output(params: Head, x: Array, by_input: Array) -> Array:
    """μ and a, ``(batch, 2)``: both of the network, or a of the shared number."""
    out = NETWORK.apply(params.net, x)
    return jnp.concatenate([out[:, :1], jnp.where(by_input > 0, out[:, 1:], params.shared)], axis=-1)


def recipe_of(hyper: Hyperparams) -> Recipe:
    """Adam on −log p with β = ζ(a)."""

    def init(key, /) -> Head:
        return Head(NETWORK.init(key), jnp.full(1, UNIT))

    def apply(params: Head, x: Array, /, *, key=None, mask=None) -> Array:
        return raw_output(params, x, hyper["by_input"])

    rule = optimizer("adam", hyper["learning_rate"])
    return Recipe(models.Model(init, apply), outputs.heteroscedastic_nll, {}, rule)


def compare_heads(seeds: int, steps: int, first_seed: int) -> dict[str, np.ndarray]:
    """Held-out −log p, ``(tasks, constant or by input, seeds)``, and the deviations found.

    Learning rate and step are those of the best validation of each seed. "heads_nll_half" is what half of
    the steps give.
    """
    own = first_seed + np.arange(seeds)
    each = [[table_of(task, int(seed)) for seed in own] for task in TASKS]
    train, validation, test = (
        data.Examples(*(np.array([[t[part][i] for t in row] for row in each]) for i in range(2)))
        for part in range(3)
    )  # leaves (tasks, seeds, cases, ...)
    shape = (len(TASKS), 2, len(RATES), seeds)
    task, by_input, rate, seed = (a.ravel() for a in np.indices(shape))
    flags = by_input.astype(np.float32)
    every = max(10, steps // 40)
    steps = steps // (2 * every) * 2 * every
    result = fit(
        recipe_of,
        data.Examples(train.x[task, seed], train.y[task, seed]),
        steps=steps,
        batch_size=60,
        seeds=own[seed],
        hyperparams={"by_input": flags, "learning_rate": RATES[rate]},
        start=Head(initial_params(NETWORK, own[seed], "he"), jnp.full((len(seed), 1), UNIT, jnp.float32)),
        every=every,
        probe=lambda params: params,
        record=every,
        data_per_member=True,
    )

    def of_one(params: Head, x: Array, y: Array, by_input: Array) -> Array:
        return jnp.mean(outputs.heteroscedastic_nll(raw_output(params, x, by_input), y).total)

    @jax.jit
    def of_all(snapshots: Params, x: Array, y: Array) -> Array:
        return jax.lax.map(lambda params: jax.vmap(of_one)(params, x, y, jnp.asarray(flags)), snapshots)

    def look(examples: data.Examples) -> np.ndarray:
        """−log p, ``(tasks, 2, seeds, snapshots · rates)``."""
        found = np.asarray(of_all(result.probes, examples.x[task, seed], examples.y[task, seed]), np.float64)
        return found.reshape(-1, *shape).transpose(1, 2, 4, 0, 3).reshape(*shape[:2], seeds, -1)

    judged, tested = look(validation), look(test)
    judged = np.where(np.isfinite(judged), judged, np.inf)

    grid = np.linspace(-1, 1, 101, dtype=np.float32)
    x = jnp.asarray(np.repeat(grid[:, None], FEATURES, axis=1))
    spread = jax.jit(jax.vmap(lambda p: outputs.heteroscedastic(raw_output(p, x, jnp.float32(1))).variance))
    found = {"grid": grid.astype(np.float64)}
    for when, looks in (("", steps // every + 1), ("_half", steps // every // 2 + 1)):
        best = np.argmin(judged[..., : looks * len(RATES)], axis=-1)  # of the first so many snapshots
        found[f"heads_nll{when}"] = np.take_along_axis(tested, best[..., None], -1)[..., 0]
        found[f"heads_rate{when}"] = RATES[best % len(RATES)]
        snapshot, chosen = np.divmod(best[0, 1], len(RATES))
        member = np.ravel_multi_index((0 * chosen, 0 * chosen + 1, chosen, np.arange(seeds)), shape)
        params = jax.tree.map(lambda a, at=(snapshot, member): a[at], result.probes)
        found[f"found_deviation{when}"] = np.sqrt(np.asarray(spread(params), np.float64)[..., 0])
    return found

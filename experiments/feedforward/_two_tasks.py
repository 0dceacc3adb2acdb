"""Networks that learn an old task and then a new one: the training behind the row on forgetting.

The new task shows the same images with their pixels permuted. Training on permuted images is training on
the images themselves with the rows of the first weights permuted, which is what is done here.

A training ends where the error on validation images is least, as if it had been stopped there. Everything
is done twice, with all steps and with half of them, to see whether the steps suffice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import Options
from dlnotes.training import Hyperparams, Recipe, along, fit, initial_params, max_norm, optimizer
from dlnotes.typing import Array, Params

from ._forgetting_networks import MAXOUT, dense_network, maxout_network, maxout_width, on_rows, permuted

PIXELS = 28
FIRST_SEED = 2000
"""Of images, permutations, settings and networks."""


class Forgetting(Options):
    """Sizes of the experiment."""

    draws: int = Field(2, ge=1, description="random settings at each width in a repetition")
    widths: tuple[int, ...] = Field((32, 64, 128), min_length=1, description="units of each hidden layer")
    images: int = Field(5000, ge=10, description="training images of a repetition")
    validation: int = Field(500, ge=10, description="images that stop the training, the same for all")
    test: int = Field(1000, ge=10, description="test images of a repetition")
    steps: int = Field(700, ge=4, description="steps of training on each task at most")
    moments: int = Field(10, ge=2, multiple_of=2, description="moments of a training with a look at errors")
    batch: int = Field(50, ge=1, description="examples of a step")
    pool: int = Field(1, ge=1, le=4, description="pixels are means over squares of so many")

    @property
    def every(self) -> int:
        """Steps between two looks."""
        return self.steps // self.moments


class Draws(NamedTuple):
    """Settings drawn at random, each ``(repetitions, widths, draws)``.

    Attributes:
      learning_rate: of SGD, times 1 − momentum.
      momentum: of SGD.
      max_norm: limit on the norm of each unit's weights.
      scale: of the initial weights, relative to He's rule.
    """

    learning_rate: np.ndarray
    momentum: np.ndarray
    max_norm: np.ndarray
    scale: np.ndarray


def draws(rng: np.random.Generator, shape: tuple[int, ...]) -> Draws:
    """Rates in 0.01–1, norms in 1–6 and scales in 0.3–2, uniform by logarithm; momentum in 0–0.95."""

    def logarithmic(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), shape))

    return Draws(logarithmic(0.01, 1), rng.uniform(0, 0.95, shape), logarithmic(1, 6), logarithmic(0.3, 2))


def pooled(images: np.ndarray, window: int) -> np.ndarray:
    """Means over squares of pixels, ``(n, height, width, 1)`` as rows."""
    n, side = len(images), PIXELS // window
    return images.reshape(n, side, window, side, window).mean((2, 4)).reshape(n, -1).astype(np.float32)


class Task(NamedTuple):
    """What all networks of a run have in common.

    Attributes:
      options: sizes.
      images, labels: all training images as rows ``(n, pixels)``, and their classes.
      rows: ``(repetitions, images)`` those of each repetition.
      validation: images and classes, the same for all repetitions.
      test: ``(repetitions, test, ...)`` images and classes.
      orders: ``(repetitions, pixels)`` order of the new task's pixels.
      drawn: settings.
    """

    options: Forgetting
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    validation: data.Examples
    test: data.Examples
    orders: np.ndarray
    drawn: Draws


def prepare(options: Forgetting, first_seed: int = FIRST_SEED) -> Task:
    """Choose images, permutations and settings of every repetition."""
    mnist, rng = data.load("mnist"), np.random.default_rng(first_seed)
    n, held = options.seeds, options.validation
    order = rng.permutation(mnist.train.size)[: held + 4 * options.images]
    images, labels = pooled(mnist.train.x[order], options.pool), mnist.train.y[order]
    count, pixels = len(order) - held, images.shape[1]
    test = mnist.split("test")
    seen = np.stack([rng.permutation(test.size)[: options.test] for _ in range(n)])
    return Task(
        options,
        images[held:],
        labels[held:],
        rows=np.stack([rng.permutation(count)[: options.images] for _ in range(n)]).astype(np.int32),
        validation=data.Examples(images[:held], labels[:held]),
        test=data.Examples(pooled(test.x[seen.ravel()], options.pool).reshape(n, -1, pixels), test.y[seen]),
        orders=np.stack([rng.permutation(pixels) for _ in range(n)]),
        drawn=draws(rng, (n, len(options.widths), options.draws)),
    )


def learn_both(
    task: Task, kinds: np.ndarray, width: int, dropout: bool, first_seed: int = FIRST_SEED
) -> dict[str, np.ndarray]:
    """Errors of networks of one width and of some kinds.

    Args:
      task: what they have in common.
      kinds: places in `KINDS`: maxout alone, or some of the others.
      width: place in ``options.widths``.
      dropout: whether they are trained with it.
      first_seed: seeds of the networks start there.

    Returns:
      "errors" ``(kinds, repetitions, draws, moments + 1, 2, 2)`` while the new task is learned: of the old
      and the new task, on validation and on test images; "errors_half" the same when both tasks have half
      of the steps; "stopped" ``(kinds, repetitions, draws)`` the share of the steps after which the old
      task's training stopped.
    """
    o, pixels = task.options, task.images.shape[1]
    units = o.widths[width]
    shape = (len(kinds), o.seeds, o.draws)
    kind, repetition, _ = (axis.ravel() for axis in np.indices(shape))
    drawn = Draws(*(np.broadcast_to(a[:, width], shape).ravel() for a in task.drawn))
    seeds = np.broadcast_to(np.arange(o.seeds * o.draws).reshape(shape[1:]), shape).ravel() + first_seed
    hyperparams = {**drawn._asdict(), "kind": np.asarray(kinds)[kind]}

    def network(hyper: Hyperparams) -> models.Model:
        if kinds[0] == MAXOUT:
            return maxout_network(pixels, maxout_width(pixels, units), dropout)
        return dense_network(pixels, units, hyper["kind"], dropout)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        rate = hyper["learning_rate"] * (1 - hyper["momentum"])
        return Recipe(
            on_rows(network(hyper), task.images),
            outputs.cross_entropy,
            {},
            optimizer("sgd", rate, momentum=hyper["momentum"]),
            project=lambda params: max_norm(params, hyper["max_norm"]),
            random=dropout,
        )

    rows, orders = task.rows[repetition], task.orders[repetition]
    examples = data.Examples(rows, task.labels[rows])

    def trained(start: Params, moments: int, seeds: np.ndarray) -> Params:
        """Parameters at the start and at every moment, leaves ``(moments + 1, members, ...)``."""
        return fit(
            recipe_of,
            examples,
            steps=moments * o.every,
            batch_size=min(o.batch, o.images),
            seeds=seeds,
            hyperparams=hyperparams,
            start=start,
            every=o.every,
            probe=lambda params: params,
            record=o.every,
            data_per_member=True,
        ).probes

    look = _evaluator(network, task)

    def errors(params: Params) -> np.ndarray:
        """On validation and on test images, ``(members, 2)``."""
        return np.asarray(look(params, hyperparams["kind"].astype(np.float32), repetition, *task.test[:2]))

    def both_tasks(snapshots: Params, moments: int) -> np.ndarray:
        """``(kinds, repetitions, draws, moments + 1, tasks, sets)``."""
        each = [jax.tree.map(lambda a, t=t: a[t], snapshots) for t in range(moments + 1)]
        found = [[errors(permuted(now, orders)), errors(now)] for now in each]
        return np.transpose(found, (2, 0, 1, 3)).reshape(*shape, moments + 1, 2, 2)

    model = network({"kind": jnp.zeros(())})
    weights = jax.tree.map(lambda w: w * along(drawn.scale, w), initial_params(model, seeds, "he"))
    old = trained(weights, o.moments, seeds)
    looks = [errors(jax.tree.map(lambda a, t=t: a[t], old))[:, 0] for t in range(o.moments + 1)]
    found = {}
    for name, moments in (("errors_half", o.moments // 2), ("errors", o.moments)):
        best = np.argmin(looks[: moments + 1], axis=0)
        stopped = jax.tree.map(lambda a, best=best: a[best, np.arange(len(best))], old)
        start = permuted(stopped, np.argsort(orders, axis=1))
        found[name] = both_tasks(trained(start, moments, len(seeds) + seeds), moments)
        found["stopped"] = (best / o.moments).reshape(shape)
    return found


def _evaluator(network: Callable[[Hyperparams], models.Model], task: Task) -> Callable[..., Array]:
    """A function to the shares of wrong answers on validation and test images, ``(members, 2)``."""

    def error(model: models.Model, params: Params, x: Array, y: Array) -> Array:
        return jnp.mean(jnp.argmax(model.apply(params, x), -1) != y)

    @jax.jit
    def look(params, kind, repetition, x, y):
        def one(member):
            params, kind, i = member
            model = network({"kind": kind})
            return jnp.stack([error(model, params, *task.validation[:2]), error(model, params, x[i], y[i])])

        return jax.lax.map(one, (params, kind, repetition))

    return look

"""Maximum likelihood without a minimum, and what bounds it.

The notes: cross-entropy usually has no minimum. A discrete model cannot represent probabilities 0 and 1
but comes arbitrarily close; a continuous one that controls its density, say by a learned variance, can
give the training outcomes unlimited density, so that the cross-entropy goes to minus infinity.
Regularisation changes the problem so that this reward is limited.

Measured, continuous: networks give mean and log-deviation of a Gaussian for 24 patients of the diabetes
data, others for each seed, and are trained by Adam with rates that fall as 1/√t, plainly, with weight
decay, and with a floor under the deviation. Whether the likelihood is bounded is read from its fall over
the last e-folds of steps against that over the ones before: a loss that settles stops falling. Discrete:
logistic regression by gradient descent of two kinds of digits that a plane separates, another pair for
each seed, without and with weight decay.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.experiment.claims import Above, Below, Claim, Measured, Options, Part, Plot, Within, exact, mean
from dlnotes.experiment.figure_style import BLUE, GREEN, GREY, ORANGE, new_figure, set_title
from dlnotes.experiment.fitting import fit, predict
from dlnotes.layers import Dense
from dlnotes.outputs.losses import PerExample
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Hyper, Recipe
from dlnotes.typing import Array

ARMS = ("no bound", "weight decay", "floor under the deviation")
FREE, DECAYED, FLOORED = range(3)
FLOORS = np.array([0.0, 0.0, 0.1])
DECAYS = np.array([0.0, 0.1, 0.0])
LEAST = 0.5 * np.log(2 * np.pi) + np.log(FLOORS[FLOORED])
"""The least that −log p can be above a floor."""
PATIENTS = 24
IMAGES = 100
LOGISTIC_DECAY = 1e-3
DECADES = 3
"""Decades of steps that the figure shows and the judgement uses: the last two against each other."""


class UnboundedLikelihood(Options):
    """Sizes of the experiment."""

    steps: int = Field(10_000, ge=1000, description="steps of Adam on the patients, all in each")
    logistic_steps: int = Field(30_000, ge=1000, description="steps of descent on the digits, all in each")


def gaussian(output: Array, floor: Array) -> outputs.Normal:
    """Mean and deviation ``floor + exp(a)`` from outputs ``(batch, 2)``."""
    return outputs.Normal(output[:, :1], floor + jnp.exp(output[:, 1:]))


def measure_gaussian(options: UnboundedLikelihood) -> dict[str, Any]:
    """−log p on training and on unseen patients along the way, ``(looks, arms, seeds)``."""
    table = data.load("tabular", name="diabetes")
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(table.train.size)[:PATIENTS] for _ in range(options.seeds)])
    shape = (len(ARMS), options.seeds)
    model = models.mlp(10, (64,), 2, activation="tanh")

    def recipe(hyper: Hyper) -> Recipe:
        def loss(output: Array, y: Array) -> PerExample:
            log_p = gaussian(output, hyper["floor"]).log_prob(y)
            return PerExample(-jnp.sum(log_p, axis=-1), jnp.ones(len(y)))

        descent = optimizer(
            "adam",
            0.01,
            factor=lambda step: 1 / jnp.sqrt(1 + step / 100),
            weight_decay=hyper["decay"],
            decay_biases=True,
        )
        return Recipe(model, loss, {}, descent)

    train = Examples(*(np.tile(a[rows], (len(ARMS), *[1] * (a.ndim))) for a in table.train[:2]))
    result = fit(
        recipe,
        train,
        steps=options.steps,
        seeds=np.tile(np.arange(options.seeds), len(ARMS)),
        hypers={"floor": np.repeat(FLOORS, options.seeds), "decay": np.repeat(DECAYS, options.seeds)},
        data_per_member=True,
    )
    z = predict(model, result.params, table.split("test").x)  # (members, patients, 2)
    floor = np.repeat(FLOORS, options.seeds)[:, None, None].astype(np.float32)
    unseen = -outputs.Normal(z[..., :1], floor + np.exp(z[..., 1:])).log_prob(table.split("test").y[None])
    look = np.unique(np.geomspace(1, options.steps, 300).astype(int)) - 1
    return {
        "look": look + 1,
        "nll": smoothed(result.history["loss"])[look].reshape(-1, *shape),
        "unseen_nll": np.mean(unseen, axis=(1, 2)).reshape(shape),
        "stopped": (result.stopped_at >= 0).reshape(shape),
    }


def smoothed(loss: np.ndarray) -> np.ndarray:
    """The mean of the last tenth of the steps so far, ``(steps, members)``: Adam's loss is jagged."""
    total = np.concatenate([np.zeros((1, loss.shape[1])), np.cumsum(loss, axis=0, dtype=np.float64)])
    end = np.arange(1, len(loss) + 1)
    begin = end - np.maximum(1, end // 10)
    return (total[end] - total[begin]) / (end - begin)[:, None]


def measure_logistic(options: UnboundedLikelihood) -> dict[str, Any]:
    """Loss, norm of the weights and least probability of a wrong label, ``(looks, arms, seeds)``."""
    digits = data.load("digits")
    x, y, rng = digits.train.x.reshape(-1, 64), digits.train.y, np.random.default_rng(1)
    images, labels = [], []
    for _ in range(options.seeds):
        pair = rng.choice(10, 2, replace=False)
        rows = np.concatenate([rng.permutation(np.flatnonzero(y == d))[: IMAGES // 2] for d in pair])
        images.append(x[rows])
        labels.append((y[rows] == pair[1]).astype(np.int32))
    examples = Examples(np.stack(images * 2), np.stack(labels * 2))
    model = models.linear(64, 1, init_scale=0.0)

    def recipe(hyper: Hyper) -> Recipe:
        descent = optimizer("sgd", 0.1, weight_decay=hyper["decay"])
        return Recipe(model, outputs.binary_cross_entropy, {}, descent)

    every = options.logistic_steps // 300
    result = fit(
        recipe,
        examples,
        steps=options.logistic_steps,
        seeds=np.tile(np.arange(options.seeds), 2),
        hypers={"decay": np.repeat([0, LOGISTIC_DECAY], options.seeds)},
        every=every,
        probe=lambda params: params,
        record=every,
        data_per_member=True,
    )
    params: Dense = result.probes  # (looks, members, ...)
    W, b = params.W[..., 0].astype(np.float64), params.b.astype(np.float64)
    z = np.einsum("mnd,lmd->lmn", examples.x.astype(np.float64), W) + b
    wrong = np.logaddexp(0, (1 - 2 * examples.y) * z)
    shape = (-1, 2, options.seeds)
    return {
        "logistic_look": every * np.arange(len(W)),
        "logistic_loss": wrong.mean(-1).reshape(shape),
        "norm": np.linalg.norm(W, axis=-1).reshape(shape),
        "least_doubt": (-np.expm1(-wrong)).min(-1).reshape(shape),
    }


def measure(options: UnboundedLikelihood) -> dict[str, np.ndarray]:
    """Both kinds of outcome."""
    found = measure_gaussian(options) | measure_logistic(options)
    return {name: np.asarray(value) for name, value in found.items()}


def over_last(look: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change over the last factor of √10 in steps, and over the one before it, of ``(looks, ...)``."""
    last = len(look) - 1
    middle, first = (int(np.argmin(np.abs(look - look[-1] / f))) for f in (np.sqrt(10), 10))
    return values[last] - values[middle], values[middle] - values[first]

"""What squared error, absolute error and the pinball loss learn, and how they train through softmax.

The notes: minimizing the squared error gives the conditional mean, the absolute error the conditional
median; and both lead to poor results with gradient-based optimization, because outputs that saturate have
small gradients with them, which is one reason why cross-entropy is more popular.

Measured, statistics: y given x is log-normal with known location and spread, so that mean, median and
quantiles are known and apart. A network is trained with each loss on 4,096 examples, others for each seed,
and compared with all of them at new x. Training: networks with softmax (digits) and sigmoid (breast cancer)
outputs, cross-entropy against squared and absolute error of the probabilities, plain SGD from the usual
starts. Every loss has the rate that is best on validation: by its own loss for the statistics, by the
steps to the required accuracy for training. Never reached counts as one look more than the run has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy import stats

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, Within, mean, ratio
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict, schedules
from dlnotes.typing import Array, Params

QUANTILES = (0.1, 0.25, 0.75, 0.9)
LOSSES = ("squared error", "absolute error", *(f"pinball {q:g}" for q in QUANTILES))
RATES = np.array([0.001, 0.003, 0.01])
X = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
"""Where what is learned is compared."""
TRAINED = ("cross-entropy", "squared error", "absolute error")
CROSS_ENTROPY, SQUARED, ABSOLUTE = range(3)
TASKS = {"digits": 0.9, "breast cancer": 0.95}
"""The accuracy that training has to reach, by task."""
EVERY = {"digits": 4, "breast cancer": 1}
"""Steps between two looks at it."""
TASK_RATES = np.array([0.1, 0.3, 1, 3, 10, 30, 100])


class MeanAndMedian(Options):
    """Sizes of the experiment."""

    examples: int = Field(4096, ge=100, description="training examples of each seed; 1024 for validation")
    steps: int = Field(1000, ge=10, description="steps of Adam, 128 examples each")
    task_seeds: int = Field(20, ge=10, description="networks of each loss and rate on digits")
    table_seeds: int = Field(60, ge=10, description="the same on breast cancer, which is quick and noisy")
    looks: int = Field(75, ge=5, description="looks at their accuracy, after every 4 steps or every one")


def location(x: np.ndarray) -> np.ndarray:
    """Mean of log y."""
    return 0.5 * np.sin(3 * x)


def spread(x: np.ndarray) -> np.ndarray:
    """Standard deviation of log y."""
    return 0.75 + 0.25 * x


def true_quantile(x: np.ndarray, q: float) -> np.ndarray:
    return np.exp(location(x) + spread(x) * stats.norm.ppf(q))


def true_mean(x: np.ndarray) -> np.ndarray:
    return np.exp(location(x) + spread(x) ** 2 / 2)


def drawn(rng: np.random.Generator, members: int, n: int) -> data.Examples:
    """Examples of every member, ``(members, n, 1)`` each."""
    x = rng.uniform(-1, 1, (members, n, 1))
    y = np.exp(location(x) + spread(x) * rng.standard_normal(x.shape))
    return data.Examples(x.astype(np.float32), y.astype(np.float32))


def statistic_loss(which: Array) -> outputs.LossFn:
    """The loss of that place in `LOSSES`."""

    def loss(output: Array, y: Array) -> outputs.PerExample:
        quantile = jnp.array([0.5, 0.5, *QUANTILES], jnp.float32)[which.astype(jnp.int32)]
        every = (
            outputs.squared_error(output, y).total,
            outputs.absolute_error(output, y).total,
            outputs.pinball(output, y, quantile=quantile).total,
        )
        return outputs.PerExample(jnp.stack(every)[jnp.minimum(which, 2).astype(jnp.int32)], jnp.ones(len(y)))

    return loss


def measure_statistics(options: MeanAndMedian) -> dict[str, Any]:
    """What each loss learned at `X`, ``(losses, seeds, points)``, and shares of new y below it."""
    shape = (len(LOSSES), len(RATES), options.seeds)
    rng = np.random.default_rng(0)
    train, validation, new = (drawn(rng, options.seeds, n) for n in (options.examples, 1024, 4096))
    which = np.repeat(np.arange(shape[0]), shape[1] * shape[2]).astype(np.float32)
    model = models.mlp(1, (32, 32), 1, activation="tanh")

    def recipe(hyper: Hyperparams) -> Recipe:
        factor = schedules.cosine(options.steps)
        descent = optimizer("adam", hyper["learning_rate"], factor=factor)
        return Recipe(model, statistic_loss(hyper["loss"]), {}, descent)

    def repeated(a: np.ndarray) -> np.ndarray:
        return np.tile(a, (shape[0] * shape[1], 1, 1))

    result = fit(
        recipe,
        data.Examples(repeated(train.x), repeated(train.y)),
        steps=options.steps,
        batch_size=128,
        seeds=np.tile(np.arange(options.seeds), shape[0] * shape[1]),
        hyperparams={"loss": which, "learning_rate": np.tile(np.repeat(RATES, options.seeds), shape[0])},
        record=options.steps,
        data_per_member=True,
    )
    answer = predict(model, result.params, repeated(validation.x), per_member=True)
    losses = jax.vmap(lambda w, z, y: jnp.mean(statistic_loss(w)(z, y).total))
    score = np.asarray(losses(which, answer, repeated(validation.y))).reshape(shape).mean(-1)
    best = score.argmin(-1)[:, None, None]
    learned = predict(model, result.params, X)[..., 0].reshape(*shape, len(X))
    below = repeated(new.y) < predict(model, result.params, repeated(new.x), per_member=True)
    return {
        "learned": np.take_along_axis(learned, best[..., None], 1)[:, 0],
        "below": np.take_along_axis(below.mean((1, 2)).reshape(shape), best, 1)[:, 0],
        "statistic_rate": RATES[best[:, 0, 0]],
    }


def of_probabilities(error: Callable[[Array], Array]) -> outputs.LossFn:
    """A loss of softmax or sigmoid probabilities: the mean ``error`` of their differences from the labels."""

    def loss(logits: Array, y: Array) -> outputs.PerExample:
        if logits.shape[-1] == 1:
            difference = jax.nn.sigmoid(logits) - y[:, None].astype(jnp.float32)
        else:
            difference = jax.nn.softmax(logits) - jax.nn.one_hot(y, logits.shape[-1])
        return outputs.PerExample(jnp.mean(error(difference), axis=-1), jnp.ones(len(y)))

    return loss


def measure_task(
    dataset: data.Dataset, logits: int, accuracy: float, *, every: int, looks: int, seeds: int
) -> dict[str, Any]:
    """Steps to the accuracy on the test part, each loss at its best rate, ``(losses, seeds)``."""
    shape = (len(TRAINED), len(TASK_RATES), seeds)
    model = models.mlp(dataset.inputs, (32,), logits, activation="tanh")
    likelihood = outputs.cross_entropy if logits > 1 else outputs.binary_cross_entropy
    losses = (likelihood, of_probabilities(jnp.square), of_probabilities(jnp.abs))

    def recipe(hyper: Hyperparams) -> Recipe:
        def loss(output: Array, y: Array) -> outputs.PerExample:
            each = jnp.stack([of(output, y).total for of in losses])
            return outputs.PerExample(each[hyper["loss"].astype(jnp.int32)], jnp.ones_like(each[0]))

        return Recipe(model, loss, {}, optimizer("sgd", hyper["learning_rate"]))

    def look(params: Params) -> Array:
        def share(part: data.Examples) -> Array:
            z = model.apply(params, part.x)
            answer = (z[:, 0] > 0).astype(jnp.int32) if logits == 1 else jnp.argmax(z, axis=-1)
            return jnp.mean(answer == part.y)

        return jnp.stack([share(dataset.split(name)) for name in ("validation", "test")])

    result = fit(
        recipe,
        dataset.train,
        steps=every * looks,
        batch_size=32,
        seeds=np.tile(np.arange(seeds), shape[0] * shape[1]),
        hyperparams={
            "loss": np.repeat(np.arange(shape[0]), shape[1] * shape[2]),
            "learning_rate": np.tile(np.repeat(TASK_RATES, seeds), shape[0]),
        },
        every=every,
        probe=look,
        record=every,
    )
    reached = result.probes.reshape(-1, *shape, 2) >= accuracy
    first = np.where(reached.any(0), every * reached.argmax(0), every * (looks + 1))
    best = first[..., 0].mean(-1).argmin(-1)
    chosen = np.arange(shape[0]), best
    return {
        "steps": np.maximum(first[..., 1][chosen], 1).astype(np.float64),
        "rate": TASK_RATES[best],
    }


def measure(options: MeanAndMedian) -> dict[str, np.ndarray]:
    """The statistics and both tasks."""
    found = measure_statistics(options)
    sets = (data.load("digits"), 10), (data.load("tabular", name="breast_cancer"), 1)
    for (name, accuracy), (dataset, logits) in zip(TASKS.items(), sets):
        seeds = options.task_seeds if name == "digits" else options.table_seeds
        task = measure_task(dataset, logits, accuracy, every=EVERY[name], looks=options.looks, seeds=seeds)
        found |= {f"{name} {key}": value for key, value in task.items()}
    return {name: np.asarray(value) for name, value in found.items()}


def distance(m: Measured, loss: int, truth: np.ndarray) -> np.ndarray:
    """Root mean square over x of what was learned minus the truth, ``(seeds,)``."""
    return np.sqrt(np.mean((m["learned"][loss] - truth[:, 0]) ** 2, axis=-1))


def draw(options: MeanAndMedian, m: Measured) -> Plot:
    """What was learned against the truth on the left, steps of training on the right."""
    figure = new_figure(9.5, 4.4)
    left, right = figure.subplots(1, 2)
    table: dict[str, list] = {"part": [], "loss": [], "x": [], "seed": [], "value": []}

    def note(part: str, loss: str, x: float, values: np.ndarray) -> None:
        for seed, value in enumerate(values):
            for column, entry in zip(table.values(), (part, loss, x, seed, value)):
                column.append(entry)

    truths = [true_mean(X), true_quantile(X, 0.5), *(true_quantile(X, q) for q in QUANTILES)]
    colors = (ORANGE, BLUE, GREEN, GREEN, PURPLE, PURPLE)
    order = (5, 4, 0, 1, 3, 2)
    for i in order:
        learned = m["learned"][i]
        left.fill_between(X[:, 0], learned.min(0), learned.max(0), color=colors[i], alpha=0.2, lw=0)
        left.plot(X[:, 0], learned.mean(0), color=colors[i], label=LOSSES[i])
        left.plot(X[:, 0], truths[i], "--", color="black", lw=0.9)
        for x, values in zip(X[::10, 0], learned.T[::10]):
            note("learned", LOSSES[i], x, values)
    left.plot([], [], "--", color="black", lw=0.9, label="true mean, median, quantiles")
    left.set(xlabel="x", ylabel="y, log-normal given x", ylim=(0, 9))
    left.legend(fontsize=9, loc="upper left")

    ticks = []
    for t, task in enumerate(TASKS):
        for loss, (name, color) in enumerate(zip(TRAINED, (BLUE, ORANGE, GREEN))):
            steps, place = m[f"{task} steps"][loss], 4 * t + loss
            jitter = place + np.linspace(-0.25, 0.25, len(steps))
            right.plot(jitter, steps, ".", color=color, ms=5, alpha=0.6, label=name if t == 0 else None)
            right.plot([place - 0.35, place + 0.35], [np.median(steps)] * 2, color=color, lw=2.5)
            right.annotate(f"rate {m[f'{task} rate'][loss]:g}", (place, 0.68), ha="center", fontsize=8.5)
            note(f"steps, {task}", name, 0, steps)
        ticks.append(f"{task} to {TASKS[task]:.0%}")
        never = EVERY[task] * (options.looks + 1)
        right.plot([4 * t - 0.5, 4 * t + 2.5], [never, never], "--", color=GRAY, lw=1)
        right.annotate("not within the run", (4 * t - 0.4, 1.1 * never), color=GRAY, fontsize=9)
    right.set(
        xticks=[1, 5], xticklabels=ticks, yscale="log", ylim=(0.6, 30 * EVERY["digits"] * options.looks)
    )
    right.set_ylabel("steps of SGD")
    right.grid(axis="x", visible=False)
    right.legend(fontsize=9, loc="upper left")
    digits = m["digits steps"]
    slower = [ratio(digits[loss], digits[CROSS_ENTROPY]).value for loss in (SQUARED, ABSOLUTE)]
    set_title(
        figure,
        "Squared error learns the mean, absolute error the median; through softmax they take "
        f"{slower[0]:.1f} and {slower[1]:.1f} times the steps of cross-entropy on digits",
    )
    return Plot(figure, table)


def _slower(task: str, loss: int) -> Part:
    article = f"On {task} {TRAINED[loss]} through {'softmax' if task == 'digits' else 'a sigmoid'}"
    return Part(
        f"{task}, {TRAINED[loss]}",
        f"{article} trains more slowly than cross-entropy.",
        what=f"steps to {TASKS[task]:.0%} on the test part, {TRAINED[loss]} over cross-entropy",
        effect=lambda m: ratio(m[f"{task} steps"][loss], m[f"{task} steps"][CROSS_ENTROPY]),
        rule=Above(1),
    )


CLAIM = Claim(
    id="F2.5",
    statement="Minimizing the squared error learns the conditional mean, the absolute error the conditional "
    "median. Both lead to poor results with gradient-based optimization where outputs saturate, which is "
    "why cross-entropy is more popular.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.1.2; "
    "Koenker and Bassett, 1978",
    options=MeanAndMedian,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "squared error: mean",
            "Squared error learns the conditional mean, not the median.",
            what="root mean square distance from the true mean over that from the true median",
            effect=lambda m: ratio(distance(m, 0, true_mean(X)), distance(m, 0, true_quantile(X, 0.5))),
            rule=Below(0.5),
        ),
        Part(
            "absolute error: median",
            "Absolute error learns the conditional median, not the mean.",
            what="root mean square distance from the true median over that from the true mean",
            effect=lambda m: ratio(distance(m, 1, true_quantile(X, 0.5)), distance(m, 1, true_mean(X))),
            rule=Below(0.5),
        ),
        *(
            Part(
                f"pinball {q:g}",
                f"The pinball loss of {q:g} learns that quantile.",
                what="share of new y below what was learned",
                effect=lambda m, i=i: mean(m["below"][2 + i]),
                rule=Within(q - 0.02, q + 0.02),
            )
            for i, q in enumerate(QUANTILES)
        ),
        *(_slower(task, loss) for task in TASKS for loss in (SQUARED, ABSOLUTE)),
    ),
    reading="On breast cancer every loss is at 95% after about four steps from an ordinary start, before "
    "outputs saturate, and 60 networks do not tell the losses apart. What saturation does is seen from "
    "confidently wrong starts, F2.7 and F2.8. On digits squared error loses little once it has a rate of its "
    "own, 30 times that of cross-entropy.",
    revised=(
        "The grids of learning rates were widened where a loss had chosen the edge, and seeds were "
        "added where a part was inconclusive."
    ),
)

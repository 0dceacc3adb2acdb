"""A network of tanh units with small activations, and the linear network that it resembles.

The notes: as tanh is so similar to the identity near 0, training ŷ = wᵀ tanh(Uᵀ tanh(Vᵀ x)) resembles
training the linear model ŷ = wᵀ Uᵀ Vᵀ x, as long as the activations of the network are small.

Measured: both networks on MNIST, from the same weights, on the same batches. So that activations stay small
while the network learns, they are made small in all of training: the weights into the first layer start s
times as large and those out of the last one 1/s times, with learning rates s² and 1/s² times as large. The
linear network takes the very same steps whatever s is; the tanh network is then one of units tanh(s·z)/s, and
this is how it is computed. A second pair only starts with small weights in all layers, at s = 1.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Level,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    RecipeOf,
    along,
    evaluate,
    fit,
    initial_params,
    optimizer,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, Params, PRNGKey

INPUTS, CLASSES = 784, 10
SCALES = (0.01, 0.03, 0.1, 1.0)
"""s, from the smallest activations to those of a usual start."""
SMALLEST, USUAL = 0, len(SCALES) - 1
FITTED = slice(0, 3)
"""The power of s is fitted on these: at 1 the units are saturated."""
COLORS = (BLUE, GREEN, PURPLE, ORANGE)
SMALL_START = 0.1
"""By which all weights of the second pair are smaller at the start."""
RATES = (0.003, 0.01, 0.03, 0.1)
NEAR = 0.01
"""Trajectories whose logits differ by less than this share resemble each other."""
FIRST_SEED = 3050


class NearLinear(Options):
    """Sizes of the experiment."""

    images: int = Field(55_000, ge=100, description="training images")
    test: int = Field(10_000, ge=100, description="test images")
    looked_at: int = Field(500, ge=10, description="test images whose logits are compared")
    width: int = Field(32, ge=1, description="units of each of the two hidden layers")
    steps: int = Field(2000, ge=10, description="of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    moments: int = Field(10, ge=2, description="moments after the start at which logits are compared")
    tuning_seeds: int = Field(3, ge=1, description="trainings of the linear network at each learning rate")
    tuning_steps: int = Field(400, ge=1, description="steps of those trainings")


class Matrices(NamedTuple):
    """Parameters of ``ŷ = wᵀ g(Uᵀ g(Vᵀ x))``, without biases.

    Attributes:
      V: (inputs, width).
      U: (width, width).
      w: (width, outputs).
    """

    V: Array
    U: Array
    w: Array


def network(width: int, s: Array | float) -> models.Model:
    """With ``g(z) = tanh(s z) / s``; with s = 0 the linear network."""
    s = jnp.asarray(s, jnp.float32)
    safe = jnp.where(s == 0, 1.0, s)

    def g(z: Array) -> Array:
        return jnp.where(s == 0, z, layers.tanh(safe * z) / safe)

    def init(key: PRNGKey, /) -> Matrices:
        sizes = ((INPUTS, width), (width, width), (width, CLASSES))
        draws = (layers.init_dense(k, *n).W for k, n in zip(jax.random.split(key, 3), sizes))
        return Matrices(*(jnp.asarray(W) for W in draws))

    def apply(params: Matrices, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        return g(g(x @ params.V) @ params.U) @ params.w

    return models.Model(init, apply)


def starts(width: int, hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Matrices:
    """Half of He's variance in every matrix, times each member's "start"."""
    he = initial_params(network(width, 0.0), seeds, "he")
    return jax.tree.map(lambda W: W * along(hyperparams["start"] * 0.5**0.5, W), he)


def recipe_of(width: int) -> RecipeOf:
    """Plain SGD at a constant rate."""

    def of(hyper: Hyperparams) -> Recipe:
        sgd = optimizer("sgd", hyper["learning_rate"])
        return Recipe(
            network(width, hyper["scale"]), outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd
        )

    return of


def measure(options: NearLinear) -> dict[str, np.ndarray]:
    """Choose the linear network's rate; train it and the tanh networks at that rate."""
    train, validation, test = data.parts_of(data.load("mnist"), options.images, 5000, options.test)
    of, every = recipe_of(options.width), options.steps // options.moments
    shared: dict[str, Any] = {"batch_size": options.batch_size, "record": every}
    linear = tune_briefly_and_train(
        lambda steps: of,
        train,
        validation,
        {"scale": [0.0], "start": [1.0]},
        {"learning_rate": RATES},
        start=partial(starts, options.width),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=every * options.moments,
        tuning_steps=options.tuning_steps,
        **shared,
    )
    arms = [(0.0, 1.0), *((s, 1.0) for s in SCALES), (0.0, SMALL_START), (1.0, SMALL_START)]
    scale, start = (np.repeat(np.array(v, np.float32), options.seeds) for v in zip(*arms))
    rate = RATES[linear.chosen[0]]
    hyperparams = {"scale": scale, "start": start, "learning_rate": np.full(len(scale), rate, np.float32)}
    seeds = np.tile(FIRST_SEED + np.arange(options.seeds), len(arms))
    x = jnp.asarray(test.x[: options.looked_at])
    found = fit(
        of,
        train,
        steps=every * options.moments,
        seeds=seeds,
        hyperparams=hyperparams,
        start=starts(options.width, hyperparams, seeds),
        every=every,
        probe=lambda params: params,
        **shared,
    )

    def look(member: tuple[Params, Array]) -> Array:
        params, s = member
        return network(options.width, s).apply(params, x)

    look_at_all = jax.jit(lambda all: jax.lax.map(look, all))
    logits = np.array(
        [
            look_at_all((jax.tree.map(lambda a, i=i: a[i], found.probes), jnp.asarray(scale)))
            for i in range(options.moments + 1)
        ]
    ).reshape(options.moments + 1, len(arms), options.seeds, -1)
    accuracy = 100 * evaluate(of, hyperparams, found.params, test)["accuracy"].reshape(len(arms), -1)
    return {
        "apart": np.stack([apart(logits[:, 1 + i], logits[:, 0]) for i in range(len(SCALES))], axis=1),
        "apart_small_start": apart(logits[:, -1], logits[:, -2]),
        "accuracy": accuracy[: 1 + len(SCALES)],
        "accuracy_small_start": accuracy[-2:],
        "learning_rate": np.array(rate),
        "tuning": linear.tuning[0],
    }  # apart (moments + 1, scales, seeds), accuracy (linear network and scales, seeds)


def apart(logits: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Norm of the difference of logits over that of the linear network's, ``(moments + 1, seeds)``.

    Args:
      logits, linear: ``(moments + 1, seeds, numbers)``.
    """
    return np.linalg.norm(logits - linear, axis=-1) / np.linalg.norm(linear, axis=-1)


def power(m: Measured) -> np.ndarray:
    """The p of a distance that goes as sᵖ, of each seed, from the mean distance over training."""
    logs = np.log(m["apart"][1:, FITTED].mean(0))
    return np.polyfit(np.log(SCALES[FITTED]), logs, 1)[0]


def draw(options: NearLinear, m: Measured) -> Plot:
    """Distances over the training, and their mean by scale."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    steps = np.linspace(0, options.steps, len(m["apart"]))
    table: dict[str, list] = {name: [] for name in ("scale", "apart", "low", "high", "test_accuracy")}
    for i, (s, color) in enumerate(zip(SCALES, COLORS)):
        low, middle, high = np.quantile(m["apart"][:, i], [0.1, 0.5, 0.9], axis=1)
        left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        left.plot(steps, middle, "o-", ms=3, color=color, label=f"s = {s:g}")
        each = m["apart"][1:, i].mean(0)
        right.plot(np.full(len(each), s), each, "o", color=color, alpha=0.5)
        found = mean(each)
        for column, value in zip(table, (s, *found[:3], m["accuracy"][1 + i].mean())):
            table[column].append(value)
    middle = np.median(m["apart_small_start"], axis=1)
    left.plot(
        steps, middle, "s--", ms=3, color=GRAY, label=f"all weights × {SMALL_START:g} at the start only"
    )
    left.set(xlabel="step", yscale="log")
    left.set_ylabel("distance from the linear network's logits,\nas a share; median, 80% of seeds")
    left.set_ylim(bottom=left.get_ylim()[0] / 20)
    left.legend(fontsize=8, loc="lower right", ncols=2)
    line = np.array(SCALES)
    right.plot(line, m["apart"][1:, SMALLEST].mean() * (line / SCALES[0]) ** 2, "k--", lw=1, label="∝ s²")
    right.set(
        xscale="log", yscale="log", xlabel="scale s of the activations", ylabel="mean distance over training"
    )
    right.legend()
    found = mean(power(m))
    set_title(
        figure,
        f"Distance of a tanh network from the linear one goes as s to the {found.value:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}]",
    )
    return Plot(figure, table)


SECTION = "unidades escondidas"
SIMILAR = notes(
    SECTION,
    "as tanh resembles the identity near 0, training ŷ = wᵀ tanh(Uᵀ tanh(Vᵀ x)) resembles training the "
    "linear model ŷ = wᵀ Uᵀ Vᵀ x as long as activations are small",
)
LEVEL = Level(
    what="test accuracy of the linear network, %; LeCun et al. 1998 report 88.0 for a linear classifier",
    effect=lambda m: mean(m["accuracy"][0]),
    rule=Above(88.0),
)


def _gap(m: Measured, scale: int) -> Interval:
    return paired(m["accuracy"][1 + scale], m["accuracy"][0])


CLAIM = Claim(
    id="F3.5b",
    statement="As long as its activations are small, a network of tanh units trains like the linear network "
    "with the same matrices.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.2",
    options=NearLinear,
    measure=measure,
    draw=draw,
    method="Networks of three matrices, {options.width} tanh units in each of two layers, and the linear "
    "network of the same matrices, learn {options.images} images of MNIST by plain SGD, {options.steps} "
    "steps of {options.batch_size} images. The activations of tanh are kept at a scale s in all of "
    "training, by the sizes of the first and the last matrix and of their rates, which leave the linear "
    f"network's steps as they are. The rate is the best of {len(RATES)} for the linear network, by the "
    f"validation loss of {{options.tuning_seeds}} other seeds after "
    "{options.tuning_steps} steps. Logits on {options.looked_at} test images are compared at "
    "{options.moments} moments. {options.seeds} seeds are judged.",
    parts=(
        Part(
            "small activations",
            f"At the smallest activations, s = {SCALES[SMALLEST]:g}, the tanh network's outputs stay within "
            f"{NEAR:.0%} of the linear network's in all of training.",
            what="largest distance of logits over training, as a share, at the smallest scale",
            effect=lambda m: mean(m["apart"][1:, SMALLEST].max(0)),
            rule=Below(NEAR),
            source=SIMILAR,
            learned=LEVEL,
        ),
        Part(
            "as the square of the scale",
            "The distance from the linear network's training goes as the square of the activations' scale.",
            what=f"power of s in the mean distance over training, s from {SCALES[FITTED][0]:g} to "
            f"{SCALES[FITTED][-1]:g}",
            effect=lambda m: mean(power(m)),
            rule=Within(1.8, 2.2),
            source=ours("tanh z = z − z³/3 + …: the first term that is left out is s² times as large"),
            learned=LEVEL,
        ),
        Part(
            "usual activations",
            "At the usual scale of activations the training is another one.",
            what="mean distance of logits over training, as a share, s = 1",
            effect=lambda m: mean(m["apart"][1:, USUAL].mean(0)),
            rule=Above(0.1),
            source=ours("else the condition, small activations, would not be needed"),
            learned=LEVEL,
        ),
        Part(
            "more than linear",
            "At the usual scale the tanh network classifies better than the linear one.",
            what="test accuracy at s = 1 minus that of the linear network, percentage points",
            effect=lambda m: _gap(m, USUAL),
            rule=Above(0.0),
            source=ours("what is lost where a network trains like a linear model"),
            learned=LEVEL,
        ),
        Part(
            "a small start alone",
            "Small weights at the start alone do not keep the training near the linear one.",
            what=f"distance of logits at the end, as a share, all weights times {SMALL_START:g} at the start",
            effect=lambda m: mean(m["apart_small_start"][-1]),
            rule=Above(0.1),
            source=ours("activations grow as the network learns, whatever they were at the start"),
            learned=LEVEL,
        ),
    ),
    facts=lambda m: {
        "linear": f"{m['accuracy'][0].mean():.1f}",
        "smallest": f"{m['accuracy'][1].mean():.1f}",
        "usual": f"{m['accuracy'][-1].mean():.1f}",
    },
    reading="The linear network classifies {facts[linear]}% of the test images rightly, the tanh network "
    "with the smallest activations {facts[smallest]}% and with usual ones {facts[usual]}%. The distance "
    "goes as the scale to the power of {parts[as the square of the scale]}.",
    revised="A trial at the quick size, with s from 0.03 to 0.3 and 1, showed that 0.3 is not small: some "
    "units are saturated there. So s is 0.01 to 0.1 and 1. No rule was changed.",
)

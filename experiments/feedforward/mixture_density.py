"""A mixture density network where a question has several answers, and the blow-ups of its training.

The notes: to regress on p(y | x) with several peaks the network gives the weights, means and diagonal
deviations of a mixture of Gaussians, and its −log p makes gradient descent follow the right process; its
optimization may be unreliable, partly because of divisions by the variance, and clipping gradients is a
remedy.

Measured on Bishop's inverse problem, on the colors of a photograph and on the diabetes table, each seed
with data of its own: the likelihood of held-out data under a mixture density network, against the same
network trained by squared error with the best constant variance around it (see `mixture_rivals`). On the
inverse problem the truth is known: how much of what can be gained is gained, how near squared error comes
to the conditional mean, and how often an answer is one that is not possible. Then many starts of the mixture
on the inverse problem by momentum at five rates, deviations without a floor, with and without clipping; a
training has blown up when the loss of some batch is not finite, or 5 nats above that of its first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plot,
    mean,
    paired,
    share,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer
from dlnotes.typing import Array, Params

from ._inverse_problem import INPUTS, MIDDLE, SPREAD, diabetes, flower, inverse, possible, truth
from ._mixture_rivals import FLOOR, MIXTURE, SQUARED, network, train_both

WIDTH, COMPONENTS, BATCH = 20, 5, 100
INVERSE, FLOWER, DIABETES = range(3)
TITLES = ("inverse problem", "photograph: red from green", "diabetes")
CLIP_RATES = np.array([0.003, 0.01, 0.03, 0.1, 0.3])
FREE, CLIPPED = 0, 1
CLIP_NORM = 1.0
BLOWN_UP = 5.0
GRID = np.linspace(-0.1, 1.1, 241)
"""Of x and of t, for the picture of the density."""


class MixtureDensity(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=10, description="data sets of each problem")
    examples: int = Field(1000, ge=100, description="to train on, in each data set; as many to test")
    steps: int = Field(1500, ge=20, description="of each training, 100 examples each")
    starts: int = Field(100, ge=10, description="trainings at each rate, with and without clipping")
    start_steps: int = Field(500, ge=20, description="of each of these")


def blow_ups(examples: data.Examples, options: MixtureDensity) -> dict[str, np.ndarray]:
    """Which starts blow up and the mean loss of the last tenth, each ``(2, rates, starts)``."""
    model = network(COMPONENTS, WIDTH)

    def loss(raw: Array, y: Array) -> outputs.PerExample:
        return outputs.mixture_nll(raw, y, components=COMPONENTS)

    def recipe(hyper: Hyperparams) -> Recipe:
        change = optimizer("sgd", hyper["learning_rate"], momentum=0.9, clip_norm=hyper["clip_norm"])
        return Recipe(model, loss, {}, change)

    shape = (2, len(CLIP_RATES), options.starts)
    limits = np.array([1e30, CLIP_NORM])  # the first never clips
    seeds = np.tile(np.arange(options.starts), 2 * len(CLIP_RATES))
    result = fit(
        recipe,
        examples,
        steps=options.start_steps,
        batch_size=BATCH,
        seeds=seeds,
        start=initial_params(model, seeds, "he"),
        hyperparams={
            "clip_norm": np.repeat(limits, len(CLIP_RATES) * options.starts),
            "learning_rate": np.tile(np.repeat(CLIP_RATES, options.starts), 2),
        },
    )
    history = result.history["loss"]
    broken = (result.stopped_at >= 0) | ~np.isfinite(history).all(0)
    worst = np.where(np.isfinite(history), history, np.inf).max(0)
    blown = broken | (worst > history[0] + BLOWN_UP)
    end = np.where(broken, np.inf, history[-options.start_steps // 10 :].mean(0))
    return {"blown": blown.reshape(shape), "end": end.reshape(shape)}


def density(params: Params) -> np.ndarray:
    """Density of a mixture on the grid, ``(x, t)``."""

    @jax.jit
    def on_grid(x: Array, t: Array) -> Array:
        mixed = outputs.mixture(network(COMPONENTS, WIDTH).apply(params, x), COMPONENTS, floor=FLOOR)
        return jnp.exp(jax.vmap(mixed.log_prob)(jnp.broadcast_to(t[:, None, None], (len(t), len(x), 1))))

    x = np.pad((GRID[:, None] - MIDDLE) / SPREAD, ((0, 0), (0, INPUTS - 1)))
    return np.asarray(on_grid(x.astype(np.float32), GRID.astype(np.float32))).T


def measure(options: MixtureDensity) -> dict[str, np.ndarray]:
    """Three problems, and the blow-ups."""
    sizes = options.seeds, options.examples, options.examples
    problems = [inverse(*sizes), flower(*sizes), diabetes(*sizes)]
    found = train_both(problems, components=COMPONENTS, width=WIDTH, steps=options.steps, batch_size=BATCH)
    folded = problems[0]
    x = folded.test.x[..., 0] * SPREAD + MIDDLE
    log_p, average, stretches = (np.stack(a) for a in zip(*(truth(row) for row in x)))
    several = stretches > 1
    prediction, sample = found.prediction[:, 0], found.sample[:, 0]  # (2, seeds, n)
    wrong = ~possible(x, prediction) & several
    return {
        "nll": found.nll,
        "rate": found.rate,
        "true_nll": -log_p.mean(1),
        "from_mean": np.sqrt(np.mean((prediction[SQUARED] - average) ** 2, axis=1)),
        "impossible": wrong.sum(-1) / several.sum(-1),
        "samples_possible": possible(x, sample).mean(-1),
        "density": density(jax.tree.map(lambda a: a[MIXTURE, 0, 0], found.params)),
        "x": x[0],
        "t": folded.test.y[0, :, 0],
        "sample": sample[MIXTURE, 0],
        "prediction": prediction[SQUARED, 0],
        "average": average[0],
        **blow_ups(data.Examples(folded.train.x[0], folded.train.y[0]), options),
    }


def gained(m: Measured) -> np.ndarray:
    """Of the nats between squared error's Gaussian and the truth, the share that the mixture gains."""
    squared, mixed = m["nll"][SQUARED, INVERSE], m["nll"][MIXTURE, INVERSE]
    return (squared - mixed) / (squared - m["true_nll"])


def less_than_squared(m: Measured, problem: int) -> Interval:
    """Held-out −log p of the mixture less that of squared error's Gaussian."""
    return paired(m["nll"][MIXTURE, problem], m["nll"][SQUARED, problem])


def lowest(m: Measured, clip: int) -> np.ndarray:
    """End losses of the starts at the rate whose median end is lowest, ``(starts,)``."""
    return m["end"][clip, np.median(m["end"][clip], axis=-1).argmin()]


def draw(options: MixtureDensity, m: Measured) -> Plot:
    """Density, samples, held-out likelihoods, blow-ups."""
    figure = new_figure(9.5, 7.6)
    (fitted, drawn), (held_out, blown) = figure.subplots(2, 2)
    fitted.grid(False)
    window = (-0.1, 1.1, -0.1, 1.1)
    shade = np.sqrt(m["density"].T)
    fitted.imshow(shade, origin="lower", extent=window, cmap="Greys", aspect="auto", vmax=np.sqrt(8))
    order = np.argsort(m["x"])
    fitted.plot(m["x"][order], m["prediction"][order], color=ORANGE, label="squared error")
    fitted.plot(m["x"][order], m["average"][order], color=GREEN, ls="--", label="true conditional mean")
    fitted.set(xlabel="x", ylabel="t", xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
    fitted.set_title("density of the mixture (gray)", fontsize=10)
    fitted.legend(loc="upper left")
    drawn.plot(m["x"], m["t"], ".", ms=3, color=GRAY, alpha=0.6, label="held-out data")
    drawn.plot(m["x"], m["sample"], ".", ms=3, color=BLUE, alpha=0.6, label="drawn from the mixture")
    drawn.set(xlabel="x", ylabel="t", xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
    drawn.set_title("samples, one for each held-out x", fontsize=10)
    drawn.legend(loc="upper left", markerscale=3)
    table: dict[str, list] = {k: [] for k in ("panel", "problem_or_rate", "rival", "seed", "value")}

    def note(*row) -> None:
        for column, value in zip(table.values(), row):
            column.append(value)

    for place, title in enumerate(TITLES):
        for rival, (label, color) in enumerate((("mixture", BLUE), ("squared error's Gaussian", ORANGE))):
            values = m["nll"][rival, place]
            shifted = np.full(len(values), place + 0.16 * (2 * rival - 1))
            held_out.plot(
                shifted, values, "o", color=color, alpha=0.35, mew=0, label=None if place else label
            )
            held_out.plot(shifted[0], values.mean(), "_", color=color, ms=22, mew=2.5)
            for seed, value in enumerate(values):
                note("held-out −log p", title, label, seed, value)
    held_out.hlines(m["true_nll"].mean(), -0.4, 0.4, color=GRAY, ls=":", label="truth")
    held_out.set_xticks(range(len(TITLES)), [t.replace(": ", ":\n") for t in TITLES])
    held_out.set_ylabel("held-out −log p (nats)")
    held_out.legend(title=f"dots: {options.seeds} seeds, bar: mean", fontsize=9)
    for clip, (label, color) in enumerate(
        (("no clipping", ORANGE), (f"clipped to norm {CLIP_NORM:g}", BLUE))
    ):
        each = [share(flags) for flags in m["blown"][clip]]
        middle = np.array([e.value for e in each])
        errors = np.abs([[e.low for e in each], [e.high for e in each]] - middle)
        blown.errorbar(CLIP_RATES, 100 * middle, 100 * errors, fmt="o-", color=color, capsize=3, label=label)
        for rate, value in zip(CLIP_RATES, middle):
            note("share that blows up", f"{rate:g}", label, -1, value)
    blown.set(xscale="log", xlabel="learning rate, momentum 0.9", ylabel="trainings that blow up (%)")
    blown.set(xticks=CLIP_RATES, xticklabels=[f"{v:g}" for v in CLIP_RATES])
    blown.minorticks_off()
    blown.legend(title=f"{options.starts} starts each, 95% intervals", loc="center left")
    free, clipped = (100 * m["blown"][c].mean() for c in (FREE, CLIPPED))
    set_title(
        figure,
        "Where x has several answers the mixture finds them and squared error averages them; "
        f"clipping takes blow-ups from {free:.0f}% to {clipped:.0f}% of trainings",
    )
    return Plot(figure, table)


CLAIM = Claim(
    id="F2.10",
    statement="A network that gives the weights, means and diagonal deviations of a mixture of Gaussians, "
    "trained by its −log p, fits a conditional distribution with several peaks, where squared error averages "
    "them; its training can blow up, which clipping the gradient removes.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Bishop 1994; "
    "Goodfellow et al. 2016, 6.2.2.4",
    options=MixtureDensity,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "several answers",
            "On the inverse problem the mixture gives held-out data a higher likelihood than the Gaussian of "
            "squared error.",
            what="held-out −log p, mixture less squared error (nats)",
            effect=lambda m: less_than_squared(m, INVERSE),
            rule=Below(0),
        ),
        Part(
            "most of what can be gained",
            "It gains most of what the true density would.",
            what="share of the nats between the Gaussian and the truth",
            effect=lambda m: mean(gained(m)),
            rule=Above(0.5),
        ),
        Part(
            "squared error averages",
            "Squared error predicts the mean of the possible answers.",
            what="root mean square distance from the true conditional mean (t runs from 0 to 1)",
            effect=lambda m: mean(m["from_mean"]),
            rule=Below(0.05),
        ),
        Part(
            "an average is no answer",
            "Where there are several answers the average is none of them more often than the mixture's mode "
            "is.",
            what="share of predictions that are not possible, squared error less mixture",
            effect=lambda m: paired(m["impossible"][SQUARED], m["impossible"][MIXTURE]),
            rule=Above(0),
        ),
        Part(
            "samples",
            "Samples of the mixture are possible answers more often than those of the Gaussian.",
            what="share of samples that are possible, mixture less Gaussian",
            effect=lambda m: paired(m["samples_possible"][MIXTURE], m["samples_possible"][SQUARED]),
            rule=Above(0),
        ),
        Part(
            "real data with several answers",
            "So it is for the red of a pixel given its green: petals and leaves are two answers.",
            what="held-out −log p, mixture less squared error (nats)",
            effect=lambda m: less_than_squared(m, FLOWER),
            rule=Below(0),
        ),
        Part(
            "real data, one answer",
            "Also on the diabetes table, where no one knows of several answers, the mixture is better.",
            what="held-out −log p, mixture less squared error (nats)",
            effect=lambda m: less_than_squared(m, DIABETES),
            rule=Below(0),
        ),
        Part(
            "unreliable without clipping",
            "Without clipping some trainings blow up.",
            what="share of trainings that blow up, all rates",
            effect=lambda m: share(m["blown"][FREE]),
            rule=Above(0.05),
        ),
        Part(
            "clipping removes it",
            "With the gradient's norm clipped to 1, at the same rates, none or next to none do.",
            what="share of trainings that blow up, all rates",
            effect=lambda m: share(m["blown"][CLIPPED]),
            rule=Below(0.02),
        ),
        Part(
            "clipping costs nothing",
            "At the best rate of each, clipped training ends no higher.",
            what="training −log p at the end, clipped less not clipped (nats)",
            effect=lambda m: paired(lowest(m, CLIPPED), lowest(m, FREE)),
            rule=Below(0.05),
        ),
    ),
    reading="With the norm clipped to 1 none of 400 trainings at rates up to 0.1 blows up, where without it "
    "up to 96% of a rate do. At 0.3, with momentum a step of up to 3, nearly all blow up in spite of it: "
    "clipping widens the range of rates, it does not take the limit away. Squared error departs from the "
    "conditional mean at its jumps, where an answer appears or vanishes. On diabetes, with 266 patients to "
    "learn from, five components seem to be more than the data can tell apart.",
    revised=(
        "After a first quick run all three problems were put in one program, inputs standardized, and "
        "the grid of rates moved up to 0.1; the rules are the first ones."
    ),
)

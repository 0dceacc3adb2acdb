"""Squared error as the likelihood of a Gaussian.

The notes: with p(y | x) = N(y; f(x; θ), I), or with any one σ, −log p is the squared error up to a factor
and a constant. So both have the same gradients up to that factor, and the same minimiser.

Measured: networks that give the lower half of a digit's image for its upper half, 32 numbers for 32, with
random weights of many sizes. Their −log p against half of their squared error, and the gradients of both
by all weights, for three σ. Then networks trained by the one and by the other with the learning rates
that the factor makes equal; and the linear model of the diabetes data, for which the minimiser of −log p,
one Newton step away, can be held against the solution by least squares.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.experiment.claims import Below, Claim, Measured, Options, Part, Plot, exact
from dlnotes.experiment.figure_style import BLUE, GREEN, GREY, ORANGE, new_figure, set_title
from dlnotes.experiment.fitting import fit, predict
from dlnotes.outputs.losses import PerExample
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Hyper, Recipe
from dlnotes.typing import Array

from .host_starts import along, he_starts

PIXELS = 32
SIGMAS = np.array([0.3, 1.0, 3.0], np.float32)
RATE = 1.0
"""Of the squared error's mean over pixels; that of −log p, a sum of halves, is 2/32 of it."""
NETWORK = models.mlp(PIXELS, (32,), PIXELS, activation="tanh")


class GaussianLikelihood(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=10, description="networks compared, and trained")
    steps: int = Field(300, ge=10, description="full-batch steps of each training")
    images: int = Field(512, ge=10, description="images used")


def compare(params, x: Array, y: Array) -> dict[str, Array]:
    """−log p, half the squared error ‖ŷ − y‖² (means over images) and their gradients, of one network."""

    def half(p) -> Array:
        return PIXELS / 2 * jnp.mean(outputs.squared_error(NETWORK.apply(p, x), y).total)

    def nll(p, sigma: Array) -> Array:
        return -jnp.mean(jnp.sum(outputs.Normal(NETWORK.apply(p, x), sigma).log_prob(y), axis=-1))

    def gradient(loss, *args: Array) -> Array:
        return ravel_pytree(jax.grad(loss)(params, *args))[0]

    def of_sigma(sigma: Array) -> tuple[Array, Array]:
        scaled = sigma * sigma * gradient(nll, sigma)
        return nll(params, sigma), jnp.linalg.norm(scaled - reference) / jnp.linalg.norm(reference)

    reference = gradient(half)
    each, apart = jax.vmap(of_sigma)(jnp.asarray(SIGMAS))
    given = jnp.mean(outputs.gaussian_nll(NETWORK.apply(params, x), y).total)
    return {"half": half(params), "nll": each, "apart": apart, "given": given}


def recipe_of(hyper: Hyper) -> Recipe:
    """Gradient descent on −log p, or on the squared error."""
    by_likelihood = hyper["likelihood"] > 0

    def loss(prediction: Array, y: Array) -> PerExample:
        nll, mse = outputs.gaussian_nll(prediction, y), outputs.squared_error(prediction, y)
        return PerExample(jnp.where(by_likelihood, nll.total, mse.total), mse.count)

    rate = RATE * jnp.where(by_likelihood, 2 / PIXELS, 1.0)
    metrics = {"mse": outputs.squared_error}
    return Recipe(NETWORK, loss, metrics, optimizer("sgd", rate))


def linear_minimisers() -> dict[str, np.ndarray]:
    """Weights ``(11,)`` of the diabetes data: a Newton step of −log p from random ones, and least squares."""
    from sklearn.linear_model import LinearRegression

    train = data.load("tabular", name="diabetes").train
    model = models.linear(train.x.shape[1], 1)
    flat, unravel = ravel_pytree(model.init(jax.random.key(0)))

    @jax.jit
    def newton(flat: Array, x: Array, y: Array) -> Array:
        def nll(v: Array) -> Array:
            return jnp.mean(outputs.gaussian_nll(model.apply(unravel(v), x), y).total)

        return flat - jnp.linalg.solve(jax.hessian(nll)(flat), jax.grad(nll)(flat))

    found = LinearRegression().fit(train.x.astype(np.float64), train.y[:, 0].astype(np.float64))
    solved = ravel_pytree(type(unravel(flat))(found.coef_[:, None], np.array([found.intercept_])))[0]
    return {
        "linear_nll": np.asarray(newton(flat, jnp.asarray(train.x), jnp.asarray(train.y))),
        "linear_squares": np.asarray(solved),
    }


def measure(options: GaussianLikelihood) -> dict[str, np.ndarray]:
    """Compare at random weights, train by both, solve the linear model."""
    images = np.asarray(data.load("digits", standardize=False).train.x[: options.images])
    halves = images.reshape(len(images), 2, PIXELS).astype(np.float32)
    examples = Examples(halves[:, 0], halves[:, 1])
    seeds = np.arange(options.seeds)
    start = he_starts(NETWORK, seeds)
    sizes = 10 ** np.random.default_rng(0).uniform(-1, 1, options.seeds)
    scaled = jax.tree.map(lambda a: a * along(sizes, a), start)
    at_random = jax.jit(jax.vmap(lambda p: compare(p, examples.x, examples.y)))(scaled)

    twice = jax.tree.map(lambda a: np.concatenate([a, a]), start)
    result = fit(
        recipe_of,
        examples,
        steps=options.steps,
        seeds=np.tile(seeds, 2),
        hypers={"likelihood": np.repeat([1.0, 0.0], options.seeds)},
        start=twice,
    )
    ends = predict(NETWORK, result.params, examples.x).reshape(2, options.seeds, -1)
    begins = predict(NETWORK, start, examples.x).reshape(options.seeds, -1)
    return {
        **{name: np.asarray(value, np.float64) for name, value in at_random.items()},
        "mse": result.history["mse"].reshape(-1, 2, options.seeds),
        "ends_apart": np.linalg.norm(ends[0] - ends[1], axis=1) / np.linalg.norm(ends[1] - begins, axis=1),
        **linear_minimisers(),
    }


def constant(sigma: np.ndarray) -> np.ndarray:
    """``d log σ + ½ d log 2π``: what −log p has beside the squared error."""
    return PIXELS * (np.log(sigma.astype(np.float64)) + 0.5 * np.log(2 * np.pi))


def rest(m: Measured) -> np.ndarray:
    """−log p less half the squared error over σ² and the constant, relative to their size, ``(seeds, σ)``."""
    expected = m["half"][:, None] / SIGMAS**2
    scale = np.maximum(expected, np.abs(constant(SIGMAS)))
    return np.abs(m["nll"] - expected - constant(SIGMAS)) / scale


def given_rest(m: Measured) -> np.ndarray:
    """The same of `dlnotes.outputs.gaussian_nll`, ``(seeds,)``."""
    return np.abs(m["given"] - m["half"] - constant(np.ones(1))) / np.maximum(m["half"], constant(np.ones(1)))


def linear_apart(m: Measured) -> float:
    """Relative distance of the two linear solutions."""
    a, b = m["linear_nll"], m["linear_squares"]
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def draw(options: GaussianLikelihood, m: Measured) -> Plot:
    """−log p against the squared error on the left, training by both on the right."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    mse = 2 * m["half"] / PIXELS
    order = np.argsort(mse)
    for i, (sigma, color, marker) in enumerate(zip(SIGMAS, (GREEN, BLUE, ORANGE), "s^o")):
        line = mse[order] * PIXELS / 2 / sigma.astype(float) ** 2 + constant(SIGMAS)[i]
        left.plot(mse[order], line, color=GREY, lw=1)
        left.plot(mse, m["nll"][:, i], marker, color=color, ms=5, label=f"σ = {sigma:g}")
    left.plot([], [], color=GREY, lw=1, label="16 MSE/σ² + constant")
    left.set(xscale="log", yscale="log", xlabel="MSE (mean over pixels)", ylabel="−log p of an image (nats)")
    left.legend(fontsize=9)
    steps = np.arange(len(m["mse"]))
    for seed in range(min(5, options.seeds)):
        label = {} if seed else {"label": "trained by −log p"}
        right.plot(steps, m["mse"][:, 0, seed], color=BLUE, lw=4, alpha=0.35, **label)
        label = {} if seed else {"label": "trained by squared error"}
        right.plot(steps, m["mse"][:, 1, seed], color=ORANGE, lw=1.2, ls="--", **label)
    right.set(xlabel="step", ylabel="MSE (mean over pixels)", yscale="log")
    ticks = (0.05, 0.1, 0.2, 0.5, 1)
    right.set(yticks=ticks, yticklabels=[f"{v:g}" for v in ticks])
    right.minorticks_off()
    right.legend(fontsize=9, title=f"{min(5, options.seeds)} networks")
    set_title(
        figure,
        f"A Gaussian's −log p has the gradient of half the squared error (to {m['apart'].max():.0e}) "
        "and trains the same network",
    )
    n = len(steps)
    table = {
        "step": np.repeat(steps, 2 * options.seeds),
        "loss": np.tile(np.repeat(["−log p", "squared error"], options.seeds), n),
        "seed": np.tile(np.arange(options.seeds), 2 * n),
        "mse": m["mse"].ravel(),
    }
    return Plot(figure, table)


CLAIM = Claim(
    id="F2.3",
    statement="With p(y | x) = N(y; f(x; θ), I), −log p is half the squared error plus a term that does not "
    "depend on θ: the point that minimises the squared error also minimises −log p.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.1.1",
    options=GaussianLikelihood,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "one half and a constant",
            "The library's −log p is half the squared error plus ½ d log 2π.",
            what="largest relative deviation, random networks",
            effect=lambda m: exact(given_rest(m).max(), m["given"].size),
            rule=Below(1e-5),
        ),
        Part(
            "any σ",
            "With one σ for all, it is that over σ², plus d log σ.",
            what=f"largest relative deviation, σ from {SIGMAS[0]:g} to {SIGMAS[-1]:g}",
            effect=lambda m: exact(rest(m).max(), m["nll"].size),
            rule=Below(1e-5),
        ),
        Part(
            "same gradients",
            "The gradients by all weights are the same, but for the factor 1/σ².",
            what="largest ‖σ²∇(−log p) − ∇½‖ŷ − y‖²‖ over the latter's norm",
            effect=lambda m: exact(m["apart"].max(), m["apart"].size),
            rule=Below(1e-5),
        ),
        Part(
            "same training",
            "Networks trained by either, at rates that differ by the factor, end as the same function.",
            what="largest distance of their outputs over how far training moved them",
            effect=lambda m: exact(m["ends_apart"].max(), m["ends_apart"].size),
            rule=Below(1e-3),
        ),
        Part(
            "same minimiser",
            "The linear model that minimises −log p is that of least squares.",
            what="relative distance of the weights, diabetes",
            effect=lambda m: exact(linear_apart(m)),
            rule=Below(1e-3),
        ),
    ),
)

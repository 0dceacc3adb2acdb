"""Gaussian −log p and mean squared error: one is half the other plus a constant.

The notes derive that with p(y | x) = N(y; ŷ, σ²I) maximizing likelihood is minimizing the mean squared
error: the minimizer is the same, only the scale differs. With σ = 1 and d outputs
J = ½ ‖y − ŷ‖² + (d/2) log 2π, and the gradient of J is half that of the squared distance.

Measured on the diabetes table (442 patients; progression, body mass and blood pressure are predicted from
the eight other columns): J less half the squared distance, and both gradients, for networks with random
parameters; the gradient of J at the least-squares solution, and how much J rises around it; and two
trainings from the same start, one on each loss, with learning rates whose ratio makes their steps equal.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, exact, notes, ours
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict
from dlnotes.typing import Array, Params

LOG_2PI = float(np.log(2 * np.pi))
RATE = 0.05
AROUND = np.linspace(-2, 2, 81)


class GaussianMse(Options):
    """Sizes of the experiment."""

    steps: int = Field(300, ge=10, description="steps of each training, all rows in each")
    directions: int = Field(1000, ge=10, description="random directions from the solution of least squares")


def patients() -> data.Examples:
    """Progression, body mass and blood pressure from the other columns of the diabetes table."""
    table = data.load("tabular", name="diabetes", validation=0, test=0).train
    targets = np.concatenate([table.y, table.x[:, 2:4]], axis=1)
    return data.Examples(np.delete(table.x, [2, 3], axis=1), targets)


def squared_distance(prediction: Array, y: Array) -> outputs.PerExample:
    """``‖y − ŷ‖²``, the squared error summed over outputs."""
    each = outputs.squared_error(prediction, y)
    return outputs.PerExample(y.shape[-1] * each.total, each.count)


def nll(prediction: Array, y: Array) -> Array:
    """J of a batch."""
    return jnp.mean(outputs.gaussian_nll(prediction, y).total)


def half_mse(prediction: Array, y: Array) -> Array:
    """``½ mean ‖y − ŷ‖²``."""
    return 0.5 * jnp.mean(squared_distance(prediction, y).total)


def differences(examples: data.Examples, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """J − ½ MSE, and the largest difference of the gradients as a share of the largest gradient."""
    model = models.mlp(examples.x.shape[1], (32,), examples.y.shape[1], activation="tanh")

    def one(seed: Array) -> tuple[Array, Array]:
        params = model.init(jax.random.key(seed))
        loss = [
            jax.value_and_grad(lambda p, f=f: f(model.apply(p, examples.x), examples.y))(params)
            for f in (nll, half_mse)
        ]
        a, b = (jnp.concatenate([g.ravel() for g in jax.tree.leaves(gradient)]) for _, gradient in loss)
        return loss[0][0] - loss[1][0], jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(a))

    constant, apart = jax.jit(jax.vmap(one))(jnp.arange(seeds))
    return np.asarray(constant), np.asarray(apart)


def around_least_squares(examples: data.Examples, directions: int) -> dict[str, np.ndarray]:
    """Of a linear unit: J's gradient at scikit-learn's solution, and J and MSE on lines through it."""
    from sklearn.linear_model import LinearRegression

    solved = LinearRegression().fit(examples.x, examples.y)
    W, b = np.asarray(solved.coef_.T, np.float32), np.asarray(solved.intercept_, np.float32)

    def at(loss, W: Array, b: Array) -> Array:
        return loss(examples.x @ W + b[None, :], examples.y)

    slope = jax.jit(jax.grad(lambda w: at(nll, *w)))((W, b))
    rng = np.random.default_rng(0)
    dW, db = rng.normal(size=(directions, *W.shape)), rng.normal(size=(directions, *b.shape))
    length = np.sqrt((dW**2).sum((1, 2)) + (db**2).sum(1))
    unit_W, unit_b = ((a / length.reshape(-1, *[1] * (a.ndim - 1))).astype(np.float32) for a in (dW, db))

    @jax.jit
    @jax.vmap
    def apart(dW, db):
        return at(nll, W + dW, b + db) - at(nll, jnp.asarray(W), jnp.asarray(b))

    along = AROUND.astype(np.float32)[:, None, None]
    lines = [
        np.asarray(
            jax.vmap(lambda W, b, f=f: at(f, W, b))(W + along * unit_W[:1], b + along[..., 0] * unit_b[:1])
        )
        for f in (nll, half_mse)
    ]
    return {
        "slope": np.max([np.abs(a).max() for a in slope]),
        "rise": np.asarray(apart(unit_W, unit_b)),
        "lines": np.stack(lines),
    }


def measure(options: GaussianMse) -> dict[str, np.ndarray]:
    """Differences at random parameters, around least squares, and of two trainings."""
    examples = patients()
    constant, apart = differences(examples, options.seeds)
    model = models.mlp(examples.x.shape[1], (32,), examples.y.shape[1], activation="tanh")

    def recipe(hyper: Hyperparams) -> Recipe:
        gaussian = hyper["gaussian"] > 0

        def loss(output: Array, y: Array) -> outputs.PerExample:
            both = outputs.gaussian_nll(output, y).total, squared_distance(output, y).total
            return outputs.PerExample(jnp.where(gaussian, *both), jnp.ones_like(both[0]))

        return Recipe(model, loss, {}, optimizer("sgd", jnp.where(gaussian, RATE, RATE / 2)))

    n = options.seeds
    result = fit(
        recipe,
        examples,
        steps=options.steps,
        seeds=np.tile(np.arange(n), 2),
        hyperparams={"gaussian": np.repeat([1, 0], n)},
    )
    ends: Params = predict(model, result.params, examples.x)
    return {
        "constant": constant,
        "gradient_apart": apart,
        **around_least_squares(examples, options.directions),
        "history": result.history["loss"].reshape(-1, 2, n),
        "ends_apart": np.abs(ends[:n] - ends[n:]).max((1, 2)),
        "outputs": np.array(examples.y.shape[1]),
    }


def draw(options: GaussianMse, m: Measured) -> Plot:
    """Both losses on a line through the minimum, and in training."""
    figure = new_figure(9, 3.9)
    left, right = figure.subplots(1, 2)
    constant = m["outputs"] / 2 * LOG_2PI
    j, half = m["lines"]
    left.plot(AROUND, j, color=BLUE, label="Gaussian −log p")
    left.plot(AROUND, half, color=ORANGE, label="half the squared distance")
    left.annotate("", (0.9, np.interp(0.9, AROUND, j)), (0.9, np.interp(0.9, AROUND, half)),
                  arrowprops={"arrowstyle": "<->", "color": GRAY})  # fmt: skip
    left.text(
        0.95,
        np.interp(0.9, AROUND, j) - constant / 2,
        f"{constant:.3f}\n= 3/2 log 2π",
        color=GRAY,
        va="center",
    )
    left.axvline(0, color=GRAY, lw=1, ls=":")
    left.set(xlabel="distance from least squares, along a random line", ylabel="loss (nats)", ylim=(0, None))
    left.legend(loc="lower left")
    steps = np.arange(1, len(m["history"]) + 1)
    gaussian, squared = m["history"][:, 0], 0.5 * m["history"][:, 1] + constant
    right.plot(steps, gaussian[:, 0], color=BLUE, label="trained on Gaussian −log p")
    right.plot(
        steps, squared[:, 0], color=ORANGE, ls="--", label="trained on the squared distance, at half the rate"
    )
    right.plot(steps, gaussian, color=BLUE, lw=0.5, alpha=0.6, zorder=1)
    right.set(xlabel="step", ylabel="−log p (nats)", xscale="log")
    right.legend(title=f"first of {options.seeds} starts; thin: the others", fontsize=9)
    set_title(figure, "Gaussian −log p is half the squared distance plus a constant: one minimum, one path")
    table = {"distance": AROUND, "gaussian_nll": j, "half_squared_distance": half, "difference": j - half}
    return Plot(figure, table)


COSTS = "aprendizaje basado en el descenso de gradiente"

CLAIM = Claim(
    id="F2.3",
    statement="With p(y|x) = N(y; ŷ, I) the negative log-likelihood is half the mean squared error plus a "
    "constant, so the point that minimizes the one minimizes the other.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.1.1",
    options=GaussianMse,
    measure=measure,
    draw=draw,
    method="The data are the 442 patients of the diabetes table: disease progression, body mass and blood "
    "pressure (all standardized) are predicted from the eight other columns. Both losses and their gradients "
    "are computed for {options.seeds} networks of 32 tanh units with random parameters. Linear least squares "
    "is solved by scikit-learn, and J is evaluated at {options.directions} points at distance 1 from the "
    "solution. Pairs of networks are trained for {options.steps} steps of full-batch gradient descent from "
    "the same start, one on each loss, J with twice the learning rate.",
    parts=(
        Part(
            "the constant",
            "J minus half the mean squared distance is (d/2) log 2π at any parameters, for d outputs.",
            what="largest deviation from (d/2) log 2π over random networks, nats",
            effect=lambda m: exact(
                np.abs(m["constant"] - m["outputs"] / 2 * LOG_2PI).max(), len(m["constant"])
            ),
            rule=Below(1e-4),
            source=notes(COSTS, "J is half the expected squared distance plus a term that is constant in θ."),
        ),
        Part(
            "the gradient",
            "The gradient of J is half that of the squared distance.",
            what="largest difference of an element, as a share of the largest element, over random networks",
            effect=lambda m: exact(m["gradient_apart"].max(), len(m["gradient_apart"])),
            rule=Below(1e-5),
            source=notes(COSTS, "The two costs differ in scale and by a constant that does not depend on θ."),
        ),
        Part(
            "stationary point",
            "At the least-squares solution the gradient of J is zero.",
            what="largest element of the gradient of J at the least-squares solution",
            effect=lambda m: exact(float(m["slope"])),
            rule=Below(1e-5),
            source=notes(COSTS, "The point that minimizes the mean squared error also minimizes J."),
        ),
        Part(
            "minimum",
            "In every direction from the least-squares solution J is higher.",
            what="least rise of J at distance 1 from the solution, over random directions, nats",
            effect=lambda m: exact(m["rise"].min(), len(m["rise"])),
            rule=Above(0),
            source=notes(COSTS, "The point that minimizes the mean squared error also minimizes J."),
        ),
        Part(
            "same training path",
            "From one start, trainings on both losses end at the same function when J has twice the rate.",
            what="largest difference of two predictions, standard deviations of the target",
            effect=lambda m: exact(m["ends_apart"].max(), len(m["ends_apart"])),
            rule=Below(1e-3),
            source=ours("A consequence that a user of either loss sees."),
        ),
    ),
)

"""What one maxout unit can represent, and what it learns to.

The notes: a maxout unit with k = 2 can implement ReLU, the absolute value, leaky and parametric ReLU;
with k large enough it approximates any convex function with high fidelity, as the largest of k lines.

Measured: the four functions set by hand; the least possible largest error of k lines on random smooth
convex functions on [−1, 1], found by bisection (the lines of a convex function's best piecewise fit
are all below their maximum, so the maxout unit is that fit), as a power of k; and the error of units
trained by Adam on the same functions, k and starts, each k at its own best learning rate.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import Below, Claim, Measured, Options, Part, Plot, Within, exact, mean
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array, PRNGKey

PIECES = (1, 2, 4, 8, 16, 32)
MOST = PIECES[-1]
FITTED = slice(1, None)
"""The powers are fitted from k = 2 on."""
RATES = (0.01, 0.03, 0.1, 0.3)
STARTS = ("biases 0", "biases spread")
POINTS = 257


class MaxoutConvex(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=10, description="convex functions, each with starts of its own")
    steps: int = Field(2000, ge=10, description="of each training")
    tuning_seeds: int = Field(4, ge=1, description="functions at each learning rate, to choose one")


def convex_functions(seeds: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Random smooth convex functions ``(seeds, points)`` with mean 0 and deviation 1.

    Each is a sum of eight softplus functions of random place, sharpness, side and weight, and a parabola.
    """
    values = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        place, sharp = rng.uniform(-1, 1, (8, 1)), np.exp(rng.uniform(0, 3, (8, 1)))
        side, weight = rng.choice([-1, 1], (8, 1)), rng.exponential(1, (8, 1))
        f = np.sum(weight / sharp * np.logaddexp(0, side * sharp * (x - place)), axis=0) + 0.2 * x**2
        values.append((f - f.mean()) / f.std())
    return np.array(values)


def least_error(f: np.ndarray, pieces: int) -> float:
    """The least largest error of a maximum of ``pieces`` lines on a convex function, given at even points.

    A line within ε of f on [a, b] exists if the chord is at most 2ε above f. For an ε, each line is
    carried as far as that allows; the least ε for which ``pieces`` lines reach the end is bisected.
    """
    n = len(f)
    places = np.arange(n)

    def gap(a: int, b: int) -> float:
        chord = f[a] + (f[b] - f[a]) * (places[a : b + 1] - a) / max(b - a, 1)
        return float((chord - f[a : b + 1]).max())

    def reaches(error: float) -> bool:
        a = 0
        for _ in range(pieces):
            low, high = a, n - 1  # the gap grows with b
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if gap(a, middle) <= 2 * error else (low, middle - 1)
            a = low
            if a == n - 1:
                return True
        return False

    low, high = 0.0, gap(0, n - 1) / 2
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def unit(pieces: float | Array) -> models.Model:
    """One maxout unit of one input, with room for the most pieces: those from ``pieces`` on never win."""

    def cut(params: layers.Dense) -> layers.Dense:
        return params._replace(b=jnp.where(jnp.arange(MOST, dtype=jnp.float32) < pieces, params.b, -1e9))

    def init(key: PRNGKey, /) -> layers.Dense:
        return layers.init_dense(key, 1, MOST)

    def apply(
        params: layers.Dense, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return layers.dense_maxout(cut(params), x, MOST)

    return models.Model(init, apply)


def recipe_of(steps: int):
    """Adam with a rate that falls to 0, by a member's numbers."""

    def build(hyper: Hyperparams) -> Recipe:
        adam = optimizer("adam", hyper["learning_rate"], factor=schedules.cosine(steps))
        return Recipe(unit(hyper["pieces"]), outputs.squared_error, {}, adam)

    return build


def starts(seeds: np.ndarray, spread: np.ndarray) -> layers.Dense:
    """Slopes from a normal distribution of deviation √2, He's rule; biases 0, or as the slopes."""
    W, b = [], []
    for seed, wide in zip(seeds, spread):
        drawn = np.random.default_rng([seed, 1]).standard_normal((2, MOST)) * 2**0.5
        W.append(drawn[:1])
        b.append(drawn[1] * wide)
    return layers.Dense(np.array(W, np.float32), np.array(b, np.float32))


def train(options: MaxoutConvex, grid: np.ndarray, rates: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Error and pieces in use of every member, ``(2, members)``; ``grid`` (members, 3): spread, pieces, seed.

    The error is the root mean square; in use is a piece that is the largest at some point.
    """
    spread, pieces, seeds = grid.T
    f = convex_functions(seeds, x)[..., None].astype(np.float32)
    inputs = np.broadcast_to(x[:, None].astype(np.float32), f.shape)
    result = fit(
        recipe_of(options.steps),
        data.Examples(inputs, f),
        steps=options.steps,
        seeds=seeds,
        hyperparams={"learning_rate": rates, "pieces": pieces},
        start=starts(seeds, spread),
        data_per_member=True,
        record=100,
    )
    W, b = result.params
    lines = (
        inputs * W + np.where(np.arange(MOST) < pieces[:, None], b, -1e9)[:, None]
    )  # (members, points, pieces)
    used = [len(np.unique(winner)) for winner in lines.argmax(-1)]
    return np.stack([np.sqrt(np.mean((lines.max(-1) - f[..., 0]) ** 2, axis=1)), used])


def by_hand() -> np.ndarray:
    """Largest deviation of a maxout unit of two pieces from ReLU, absolute, leaky and parametric ReLU."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(500, 4)), jnp.float32)
    w, b = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((4, 1), (1,)))
    z = layers.dense(layers.Dense(w, b), x)
    found = []
    for slope in (0.0, -1.0, 0.01, 0.25, 0.7):
        two = layers.Dense(jnp.concatenate([w, slope * w], axis=1), jnp.concatenate([b, slope * b]))
        found.append(
            np.abs(layers.dense_maxout(two, x, 2) - layers.prelu(z, jnp.asarray(slope, jnp.float32))).max()
        )
    return np.array(found)


def measure(options: MaxoutConvex) -> dict[str, np.ndarray]:
    """By hand, at best, and trained."""
    fine, x = np.linspace(-1, 1, 2001), np.linspace(-1, 1, POINTS)
    best = [[least_error(f, k) for k in PIECES] for f in convex_functions(np.arange(options.seeds), fine)]

    def grid(seeds: np.ndarray) -> np.ndarray:
        return np.stack([v.ravel() for v in np.meshgrid([0, 1], PIECES, seeds, indexing="ij")], axis=1)

    tuning = grid(options.seeds + np.arange(options.tuning_seeds))
    shape = (len(STARTS), len(PIECES), options.tuning_seeds, len(RATES))
    repeated = np.repeat(tuning, len(RATES), axis=0)
    tuned = train(options, repeated, np.tile(RATES, len(tuning)), x)[0].reshape(shape).mean(2)
    chosen = np.argmin(tuned, axis=-1)
    members = grid(np.arange(options.seeds))
    rates = np.array(RATES)[np.repeat(chosen.ravel(), options.seeds)]
    trained, used = train(options, members, rates, x).reshape(2, len(STARTS), len(PIECES), options.seeds)
    return {
        "by_hand": by_hand(),
        "parabola": np.array([least_error(fine**2, k) for k in PIECES]),
        "best": np.array(best),  # (seeds, pieces)
        "trained": trained,
        "used": used,
        "learning_rate": np.array(RATES)[chosen],
    }


def powers(errors: np.ndarray) -> np.ndarray:
    """Slope of log error against log k for each seed; ``errors`` (seeds, pieces)."""
    return np.polyfit(np.log(PIECES[FITTED]), np.log(errors[:, FITTED]).T, 1)[0]


def draw(options: MaxoutConvex, m: Measured) -> Plot:
    """Error against k: the best there is, and what training reaches."""
    figure = new_figure(7.4, 4.6)
    axis = figure.subplots()
    k = np.array(PIECES, float)
    series = [("best possible, largest error", m["best"], BLUE, "o")]
    series += [
        (f"trained, root mean square error, {name}", m["trained"][i].T, color, marker)
        for i, (name, color, marker) in enumerate(zip(STARTS, (GRAY, ORANGE), "sd"))
    ]
    table: dict[str, list] = {name: [] for name in ("curve", "k", "median", "low", "high", "pieces_in_use")}
    for name, values, color, marker in series:
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
        used = m["used"][STARTS.index(name.rsplit(", ", 1)[1])].mean(-1) if "trained" in name else k
        axis.errorbar(k, middle, [middle - low, high - middle], color=color, marker=marker, capsize=3,
                      label=f"{name}: power {powers(values).mean():.2f}")  # fmt: skip
        for row in zip([name] * len(k), PIECES, middle, low, high, used):
            for column, value in zip(table, row):
                table[column].append(value)
    start = np.median(m["best"], axis=0)[1]
    axis.plot(k[1:], start * (k[1:] / 2) ** -2, ":", color="black", lw=1.2, label="1/k²")
    axis.set(xscale="log", yscale="log", xlabel="pieces k", ylabel="error (deviations of the function)")
    axis.set_xticks(PIECES, [str(v) for v in PIECES])
    axis.minorticks_off()
    axis.legend(fontsize=9, title="median and 80% of random convex functions", loc="lower left")
    at_best, learned = np.median(m["best"][:, -1]), np.median(m["trained"][1, -1])
    set_title(
        figure,
        f"32 lines can come within {at_best:.4f} of a convex function; trained, a maxout unit of 32 pieces "
        f"comes within {learned:.3f}",
    )
    return Plot(figure, table)


CLAIM = Claim(
    id="F3.3",
    statement="A maxout unit with two pieces can implement ReLU, absolute value, leaky and parametric ReLU; "
    "with k large enough it approximates any convex function, the error falling about as 1/k².",
    source="notes, «unidades escondidas»; Goodfellow et al. 2013; Goodfellow et al. 2016, 6.3.1",
    options=MaxoutConvex,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "two pieces",
            "With k = 2 it is ReLU, absolute value, leaky and parametric ReLU.",
            what="largest |difference| over 500 inputs and five slopes",
            effect=lambda m: exact(m["by_hand"].max()),
            rule=Below(1e-5),
        ),
        Part(
            "parabola",
            "The best fit of z² on [−1, 1] by k lines is wrong by 1/(2k²).",
            what="largest |error·2k² − 1| over k",
            effect=lambda m: exact(np.abs(m["parabola"] * 2 * np.array(PIECES) ** 2 - 1).max(), len(PIECES)),
            rule=Below(0.02),
        ),
        Part(
            "any convex function",
            "The error of the best fit of a convex function falls about as 1/k².",
            what="power of k of the least possible error, random convex functions, k from 2 to 32",
            effect=lambda m: mean(powers(m["best"])),
            rule=Within(-2.2, -1.8),
        ),
        Part(
            "high fidelity",
            "Trained, 32 pieces fit a convex function closely.",
            what="root mean square error in deviations of the function, biases started spread",
            effect=lambda m: mean(m["trained"][1, -1]),
            rule=Below(0.01),
        ),
        Part(
            "trained from biases of 0",
            "The error after training falls about as 1/k², biases started at 0.",
            what="power of k of the trained error, k from 2 to 32",
            effect=lambda m: mean(powers(m["trained"][0].T)),
            rule=Within(-2.5, -1.5),
        ),
        Part(
            "trained from spread biases",
            "The error after training falls about as 1/k², biases started as the slopes.",
            what="power of k of the trained error, k from 2 to 32",
            effect=lambda m: mean(powers(m["trained"][1].T)),
            rule=Within(-2.5, -1.5),
        ),
    ),
    reading="What k lines can represent is as the notes say; what a unit learns is not. A piece that is "
    "the largest nowhere gets no gradient, and of 32 pieces started at random fewer than half end "
    "in use: from k = 8 on the error falls slowly.",
    revised="The grid of learning rates was extended upwards. No rule was changed, no part changed its "
    "verdict.",
)

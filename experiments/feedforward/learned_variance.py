"""Learning the variance: as a parameter, by input, as a full covariance.

The notes: a deviation σ, a variance v or a precision β that no input changes may be one more parameter, and
likelihood finds the closed-form estimate. Where the variance follows the input, β = ζ(a) is usual: the
likelihood only multiplies by β and adds log β, whose gradients behave well, while variance and deviation
divide and tend to infinity near zero, and the square in the deviation makes its gradient vanish there. A
full covariance costs O(d³) for its determinant and inverse.

Measured. One shared parameter beside a linear model of diabetes, against the mean squared residual. The
growth of each gradient near zero, |dJ/dθ| ~ θ^k, of the parameter itself and through ζ. Then descent on the
spread alone from starts whose variance is wrong by up to 10⁴ either way, the same ones for all three, each
with the learning rate of one grid that brings back most of other starts. Networks of one hidden layer with
a head for β against the same networks with one β for all, on data of known variance and on two tables (the
progression of diabetes; the worst area of breast cancer's nuclei from ten mean measurements), rate and step
chosen on validation, judged on the test part. The cost of a full Gaussian is XLA's own count of operations
of its log-density from Σ, by Cholesky's factor, the cheapest way to both determinant and inverse.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    paired,
    share,
)
from dlnotes.jax_internals import operations
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array, Params

from ._spread_heads import TASKS, compare_heads, deviation

KINDS = ("scale", "variance", "precision")
LABELS = ("deviation σ", "variance v", "precision β")
SCALE, VARIANCE, PRECISION = range(3)
COLORS = (GREEN, ORANGE, BLUE)
FORMS = ("the parameter itself", "through ζ")
ITSELF, SOFTPLUS = range(2)
SMALL = np.logspace(-6, 1, 71).astype(np.float32)
RATES = np.logspace(-3, 1, 9)
WRONG = 4
"""Starts are wrong by up to ten to so much, in variance."""
SOLVED = 0.01
"""Nats above the least −log p that count as found: a variance within 14%."""
SIZES = np.array([64, 256, 1024])


class LearnedVariance(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=10, description="data sets or splits, with a network each")
    starts: int = Field(400, ge=10, description="wrong starts of a spread")
    descent: int = Field(1000, ge=10, description="steps of descent on the spread alone")
    steps: int = Field(800, ge=20, description="steps of each network, 60 rows each")
    shared_steps: int = Field(3000, ge=10, description="full-batch steps of the shared parameters")


class Spread(NamedTuple):
    """A location with one parameter for its spread, which no input changes."""

    location: layers.Dense
    spread: Array


def precision_of(theta: Array, kind: Array) -> Array:
    """β of a deviation (kind 0), a variance (1) or a precision (2) θ."""
    return jnp.where(kind == PRECISION, theta, jnp.where(kind == VARIANCE, 1 / theta, 1 / (theta * theta)))


def nll(location: Array, beta: Array, y: Array) -> outputs.PerExample:
    """−log N(y; μ, 1/β) of vectors of one number."""
    total = -outputs.DiagonalNormal(location, beta).log_prob(y)
    return outputs.PerExample(total, jnp.ones_like(total))


def shared(options: LearnedVariance) -> dict[str, np.ndarray]:
    """One σ, v or β beside a linear model, and what the closed form says."""
    from sklearn.linear_model import LinearRegression

    train = data.load("tabular", name="diabetes").train
    x, y = train.x.astype(np.float64), train.y.astype(np.float64)
    residual = y - LinearRegression().fit(x, y).predict(x)
    n, features = options.seeds, x.shape[1]

    def apply(params: Spread, x: Array, /, *, key=None, mask=None) -> Array:
        location = layers.dense(params.location, x)
        return jnp.concatenate([location, jnp.full_like(location, params.spread)], axis=-1)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        def loss(raw: Array, y: Array) -> outputs.PerExample:
            return nll(raw[:, :1], precision_of(raw[:, 1:], hyper["kind"]), y)

        rule = optimizer("sgd", 0.02, momentum=0.9, factor=schedules.linear(options.shared_steps))
        return Recipe(given(start, apply), loss, {}, rule)

    rng = np.random.default_rng(0)
    W = (0.1 * rng.standard_normal((n, features, 1))).astype(np.float32)
    spread = np.tile(10 ** rng.uniform(-0.15, 0.3, n), 3).astype(np.float32)
    start = Spread(layers.Dense(np.tile(W, (3, 1, 1)), np.zeros((3 * n, 1), np.float32)), jnp.asarray(spread))
    kinds = np.repeat(np.arange(3), n)
    result = fit(
        recipe_of,
        train,
        steps=options.shared_steps,
        seeds=np.zeros(3 * n),  # nothing is drawn: the starts are given
        hyperparams={"kind": kinds},
        start=start,
        record=100,
    )
    theta = result.params.spread.astype(np.float64)
    variance = np.where(kinds == PRECISION, 1 / theta, np.where(kinds == VARIANCE, theta, theta**2))
    return {"shared_variance": variance.reshape(3, n), "closed_form": np.mean(residual**2)}


def given(start: Params, apply: models.Apply) -> models.Model:
    """A model that is only trained from given starts, leaves ``(members, ...)``."""
    return models.Model(
        lambda key, /: jax.tree.map(lambda a: jnp.zeros(a.shape[1:], jnp.float32), start), apply
    )


def slopes() -> dict[str, np.ndarray]:
    """|dJ/dθ| of an error of 1, by the parameter and by a with ζ(a) = θ, ``(forms, kinds, θ)``."""
    y = jnp.ones((len(SMALL), 1), jnp.float32)
    raw = jnp.asarray(np.log(np.expm1(SMALL.astype(np.float64))), jnp.float32)[:, None]

    @jax.jit
    def all_of(theta: Array, raw: Array) -> tuple[Array, Array]:
        def direct(kind: int):
            return jax.grad(lambda t: nll(0 * t, precision_of(t, jnp.asarray(kind)), y).total.sum())(theta)

        def through(kind: str):
            def loss(a: Array) -> Array:
                both = jnp.concatenate([jnp.zeros_like(a), a], axis=-1)
                return outputs.heteroscedastic_nll(both, y, by=kind).total.sum()

            return jax.grad(loss)(raw)

        def floored(s: Array) -> Array:
            return nll(0 * s, 1 / (0.01 + s * s), y).total.sum()

        both = [[direct(k) for k in range(3)], [through(k) for k in KINDS]]
        return jnp.abs(jnp.asarray(both)[..., 0]), jnp.abs(jax.grad(floored)(theta))[:, 0]

    found, floored = all_of(jnp.asarray(SMALL)[:, None], raw)
    return {"slopes": np.asarray(found, np.float64), "slopes_floored": np.asarray(floored, np.float64)}


def wrong_starts(options: LearnedVariance) -> dict[str, np.ndarray]:
    """Descent on the spread alone: steps to the minimum (inf: not within the run), by form, kind and rate.

    The gradient of all errors is that of one error with their mean square: the data are one number.
    """
    n, tuning = options.starts, max(10, options.starts // 4)
    rng = np.random.default_rng(1)
    variance = 10 ** np.concatenate([rng.uniform(-WRONG, WRONG, n), np.linspace(-WRONG, WRONG, tuning)])
    theta = np.stack([np.sqrt(variance), variance, 1 / variance])
    raw = np.stack([theta, theta + np.log(-np.expm1(-theta))])  # ζ⁻¹(θ)
    shape = (2, 3, len(RATES), n + tuning)
    form, kind, rate, member = (a.ravel() for a in np.indices(shape))
    start = raw[form, kind, member].astype(np.float32)

    def apply(params: Array, x: Array, /, *, key=None, mask=None) -> Array:
        return jnp.broadcast_to(params, (x.shape[0], 1))

    def recipe_of(hyper: Hyperparams) -> Recipe:
        def loss(a: Array, y: Array) -> outputs.PerExample:
            theta = jnp.where(hyper["form"] == SOFTPLUS, jax.nn.softplus(a), a)
            return nll(jnp.zeros_like(y), precision_of(theta, hyper["kind"]), y)

        return Recipe(given(start, apply), loss, {}, optimizer("sgd", hyper["learning_rate"]))

    ones = np.ones((1, 1), np.float32)
    result = fit(
        recipe_of,
        data.Examples(ones, ones),
        steps=options.descent,
        seeds=np.zeros(form.size),
        hyperparams={"form": form, "kind": kind, "learning_rate": RATES[rate]},
        start=start,
        record=5,
    )
    loss = result.history["loss"].astype(np.float64)
    excess = loss - 0.5 * (1 + np.log(2 * np.pi))
    found = np.where(np.isnan(excess), np.inf, excess) < SOLVED
    # It must stay there to the end: descent that only passes by has not found it.
    last_bad = np.where(found.all(0), -1, len(found) - 1 - np.argmax(~found[::-1], axis=0))
    steps = np.where(last_bad == len(found) - 1, np.inf, 5.0 * (last_bad + 1)).reshape(shape)
    broke = (result.stopped_at >= 0).reshape(shape)
    steps = np.where(broke, np.inf, steps)
    best = np.argmax(np.isfinite(steps[..., n:]).mean(-1), axis=-1)
    return {
        "starts": variance[:n],
        "descent_steps": steps[..., :n],
        "descent_broke": broke[..., :n],
        "descent_best": best,
    }


def full(options: LearnedVariance) -> dict[str, np.ndarray]:
    """A shared covariance of iris's four measurements against the closed form."""
    from sklearn.datasets import load_iris

    x = np.asarray(load_iris(return_X_y=True)[0], np.float64)
    x = (x - x.mean(0)) / x.std(0)
    d, n = x.shape[1], options.seeds

    def apply(params: Array, x: Array, /, *, key=None, mask=None) -> Array:
        return jnp.broadcast_to(params, (x.shape[0], params.shape[0]))

    rule = optimizer("adam", 0.05, factor=schedules.linear(options.shared_steps))
    start = 0.3 * np.random.default_rng(0).standard_normal((n, d + d * (d + 1) // 2), np.float32)
    result = fit(
        Recipe(given(start, apply), outputs.full_covariance_nll, {}, rule),
        data.Examples(x.astype(np.float32), x.astype(np.float32)),
        steps=options.shared_steps,
        seeds=np.zeros(n),
        start=start,
        record=100,
    )
    covariance = np.asarray(outputs.full_covariance(jnp.asarray(result.params), d).covariance, np.float64)
    expected = x.T @ x / len(x)
    apart = np.linalg.norm(covariance - expected, axis=(1, 2)) / np.linalg.norm(expected)
    return {"covariance_apart": apart}


def from_covariance(covariance: Array, y: Array) -> Array:
    """log N(y; 0, Σ) of one vector."""
    return outputs.FullNormal(jnp.zeros_like(y), jnp.linalg.cholesky(covariance)).log_prob(y)


def cost() -> dict[str, np.ndarray]:
    """Operations of one log-density by d: from Σ, from its factor, from a diagonal of β."""

    def from_factor(factor: Array, y: Array) -> Array:
        return outputs.FullNormal(jnp.zeros_like(y), factor).log_prob(y)

    def from_diagonal(factor: Array, y: Array) -> Array:
        return outputs.DiagonalNormal(jnp.zeros_like(y), factor[0]).log_prob(y)

    counts = []
    for d in SIZES:
        shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((d, d), (d,))]
        # XLA counts the operations of its own Cholesky and triangular solve, not those of the library that
        # it calls on CPUs: so the count is taken of the program lowered for a device where they are its own.
        lowered = [
            jax.jit(f).trace(*shapes).lower(lowering_platforms=("tpu",))
            for f in (from_covariance, from_factor, from_diagonal)
        ]
        counts.append([operations(low) for low in lowered])
    return {"flops": np.array(counts).T}


def measure(options: LearnedVariance) -> dict[str, np.ndarray]:
    """Shared parameters, gradients, wrong starts, heads by input, covariances."""
    found = shared(options) | slopes() | wrong_starts(options)
    return found | compare_heads(options.seeds, options.steps) | full(options) | cost()


def exponent(slope: np.ndarray) -> float:
    """k of ``|dJ/dθ| ~ θ^k`` for θ from 1e-6 to 1e-3."""
    near = SMALL < 1.5e-3
    return float(np.polyfit(np.log(SMALL[near].astype(float)), np.log(slope[near]), 1)[0])


def solved(m: Measured, form: int, kind: int) -> np.ndarray:
    """Whether descent found the minimum from each start, at the best rate, ``(starts,)``."""
    return np.isfinite(m["descent_steps"][form, kind, m["descent_best"][form, kind]])


def flops_exponent(m: Measured, kind: int) -> float:
    """Slope of log operations over log d, d from 256 on."""
    large = SIZES >= 256
    return float(np.polyfit(np.log(SIZES[large]), np.log(m["flops"][kind, large]), 1)[0])


def spread_error(m: Measured) -> np.ndarray:
    """Mean |log σ̂(x)/σ(x)| of each seed."""
    return np.abs(np.log(m["found_deviation"] / deviation(m["grid"]))).mean(-1)


def draw(options: LearnedVariance, m: Measured) -> Plot:
    """Gradients, wrong starts, held-out −log p, operations."""
    figure = new_figure(9.5, 7.6)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    table: dict[str, list] = {name: [] for name in ("panel", "series", "x", "value", "low", "high")}

    def note(panel: str, series: str, x, value, low=np.nan, high=np.nan) -> None:
        for column, v in zip(table.values(), (panel, series, x, value, low, high)):
            column.append(v)

    for kind, (label, color) in enumerate(zip(LABELS, COLORS)):
        for form, dash in ((ITSELF, ":"), (SOFTPLUS, "-")):
            slope = m["slopes"][form, kind]
            name = {"label": label} if form == SOFTPLUS else {}
            first.plot(SMALL, slope, dash, color=color, **name)
            for theta, value in zip(SMALL[::5], slope[::5]):
                note("gradient", f"{label}, {FORMS[form]}", theta, value)
            found = [share(np.isfinite(s)) for s in m["descent_steps"][form, kind]]
            value, low, high = (
                100 * np.array([getattr(f, k) for f in found]) for k in ("value", "low", "high")
            )
            second.plot(RATES, value, dash, color=color, marker="o", **name)
            if form == SOFTPLUS:
                second.fill_between(RATES, low, high, color=color, alpha=0.15, lw=0)
            for row in zip(RATES, value, low, high):
                note("share of starts (%)", f"{label}, {FORMS[form]}", *row)
    for axis, place in ((first, "upper right"), (second, "upper left")):
        axis.plot([], [], color=GRAY, label="through ζ")
        axis.plot([], [], ":", color=GRAY, label="itself")
        axis.legend(fontsize=9, loc=place)
    first.annotate("all 0 at 1,\nthe minimum", (0.02, 3e-3), color=GRAY, fontsize=9)
    first.set(xscale="log", yscale="log", ylim=(1e-3, 1e12), xlabel="the parameter's value (error: 1)")
    first.set(ylabel="gradient of −log p", title="gradients near zero")
    second.set(xscale="log", xlabel="learning rate", ylabel="share of wrong starts that end right (%)")
    second.set(ylim=(0, 119), title="descent on the spread, variance wrong by ≤ 10⁴")

    for i, task in enumerate(TASKS):
        gain = m["heads_nll"][i, 0] - m["heads_nll"][i, 1]
        found = mean(gain)
        third.plot(i + 0.12 * np.linspace(-1, 1, len(gain)), gain, "o", color=GRAY, ms=4, alpha=0.6)
        third.errorbar([i + 0.25], [found.value], [[found.value - found.low], [found.high - found.value]],
                       fmt="o", color=BLUE, capsize=4)  # fmt: skip
        for seed, value in enumerate(gain):
            note("gain of held-out −log p (nats)", f"{task}, seed {seed}", i, value)
    third.axhline(0, color=GRAY, lw=1)
    third.plot([], [], "o", color=GRAY, label="a seed")
    third.plot([], [], "o-", color=BLUE, label="mean, 95%")
    third.legend(fontsize=9)
    third.set(xticks=range(3), xticklabels=TASKS, ylabel="held-out gain (nats a case)")
    third.set(title="variance by input against one for all")

    for kind, (label, color) in enumerate(zip(("Σ", "its factor L", "diagonal β"), (PURPLE, BLUE, GREEN))):
        fourth.plot(
            SIZES,
            m["flops"][kind],
            "o-",
            color=color,
            label=f"{label} (power {flops_exponent(m, kind):.2f} of d)",
        )
        for d, value in zip(SIZES, m["flops"][kind]):
            note("operations", label, d, value)
    fourth.set(xscale="log", yscale="log", xlabel="d", ylabel="operations of one log-density")
    fourth.set(xticks=SIZES, xticklabels=SIZES, title="cost of one log-density, given")
    fourth.minorticks_off()
    fourth.legend(fontsize=9)
    third.set_ylim(top=1.25 * third.get_ylim()[1])
    best = [100 * solved(m, SOFTPLUS, kind).mean() for kind in range(3)]
    set_title(
        figure,
        f"From wrong starts, β = ζ(a) ends right in {best[PRECISION]:.0f}%, a variance in "
        f"{best[VARIANCE]:.0f}%, a deviation in {best[SCALE]:.0f}%, each at its best rate",
    )
    return Plot(figure, table)


def _descent(form: int, kind: int) -> Part:
    return Part(
        f"β against {LABELS[kind]}, {FORMS[form]}",
        f"Descent finds the minimum from more wrong starts by the precision than by the {LABELS[kind]}, "
        f"{FORMS[form]}.",
        what="difference in the share of starts, each at its best rate",
        effect=lambda m: paired(solved(m, form, PRECISION), solved(m, form, kind)),
        rule=Above(0),
    )


def _head(task: str) -> Part:
    place = TASKS.index(task)
    return Part(
        f"by input, {task}",
        f"A head β = ζ(a) has a better likelihood on new data than one β for all, {task}.",
        what="held-out −log p of the head less that of one β (nats)",
        effect=lambda m: paired(m["heads_nll"][place, 1], m["heads_nll"][place, 0]),
        rule=Below(0),
    )


CLAIM = Claim(
    id="F2.9",
    statement="One deviation, variance or precision learned by likelihood is the closed-form estimate. By "
    "input, β = ζ(a) is preferred: multiplying by β and adding log β have gradients that behave well, while "
    "variance and deviation divide and tend to infinity near zero, and the deviation's square makes the "
    "gradient vanish there. A full covariance costs O(d³).",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.2.4",
    options=LearnedVariance,
    measure=measure,
    draw=draw,
    parts=(
        *(
            Part(
                f"closed form, {LABELS[kind]}",
                f"One {LABELS[kind]} for all cases ends at the mean squared residual.",
                what="largest relative deviation of the variance, diabetes",
                effect=lambda m, kind=kind: exact(
                    np.abs(m["shared_variance"][kind] / m["closed_form"] - 1).max(),
                    m["shared_variance"].shape[1],
                ),
                rule=Below(1e-3),
            )
            for kind in range(3)
        ),
        Part(
            "precision near zero",
            "The gradient of β = ζ(a) stays bounded near zero.",
            what="k of |dJ/da| ~ β^k",
            effect=lambda m: exact(exponent(m["slopes"][SOFTPLUS, PRECISION])),
            rule=Above(-0.05),
        ),
        *(
            Part(
                f"{LABELS[kind]} near zero",
                f"That of the {LABELS[kind]} tends to infinity, through ζ as well.",
                what="k of |dJ/da| ~ θ^k",
                effect=lambda m, kind=kind: exact(exponent(m["slopes"][SOFTPLUS, kind])),
                rule=Below(-0.5),
            )
            for kind in (VARIANCE, SCALE)
        ),
        Part(
            "the square vanishes",
            "The square makes the likelihood's gradient by the deviation vanish near zero.",
            what="k of |dJ/dσ| ~ σ^k",
            effect=lambda m: exact(exponent(m["slopes"][ITSELF, SCALE])),
            rule=Above(0),
        ),
        Part(
            "the square over a floor vanishes",
            "It does where a floor keeps the variance from zero, v = 0.01 + σ².",
            what="k of |dJ/dσ| ~ σ^k",
            effect=lambda m: exact(exponent(m["slopes_floored"])),
            rule=Above(0),
        ),
        *(_descent(form, kind) for form in (SOFTPLUS, ITSELF) for kind in (VARIANCE, SCALE)),
        *(_head(task) for task in TASKS),
        Part(
            "known variance",
            "The head finds the deviation that made the synthetic data.",
            what="mean |log of found over true deviation|",
            effect=lambda m: mean(spread_error(m)),
            rule=Below(0.2),
        ),
        Part(
            "full covariance",
            "A full covariance L Lᵀ learned by likelihood is the closed-form estimate.",
            what="largest relative deviation of Σ, standardized iris",
            effect=lambda m: exact(m["covariance_apart"].max(), len(m["covariance_apart"])),
            rule=Below(1e-2),
        ),
        Part(
            "cubic cost",
            "The log-density from a full Σ costs d³ operations.",
            what="growth exponent of XLA's count, d from 256 to 1024",
            effect=lambda m: exact(flops_exponent(m, 0)),
            rule=Within(2.8, 3.1),
        ),
    ),
    reading="The square does make the gradient of σ² vanish, as 2σ, but the likelihood divides by it: its "
    "gradient by σ grows as σ⁻³, and vanishes only over a floor. That of β itself grows too, as 1/β, but "
    "least of the three. On diabetes no gain is found with 240 training cases. Where the network gives the "
    "triangular factor L itself, the log-density costs d² only.",
)

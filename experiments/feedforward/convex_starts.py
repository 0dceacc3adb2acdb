"""Convex models against networks: what the end of SGD owes to its start.

The notes: convex problems (linear and logistic regression, support vector machines) converge from any
initial parameters and may be trained by SGD too; SGD on the non-convex loss of a network has no such
guarantee and is sensitive to the initial values; a network's weights should start small and random,
while its biases may start at zero.

Measured, first: the three convex models and a network of eight tanh units, trained by the same SGD on
the same real tables from many starts. An end counts as the same when its objective (training loss plus
weight decay) is within 1% of the optimum: for the convex models that of scikit-learn's solvers, for
the networks the best end found. Convex starts are normal with deviations from 0.01 to 10, networks start
as usual (He normal, biases 0). Second: a network on digits from weights of different scales, equal
weights and different biases, each with the learning rate that is best on validation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
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
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict, schedules
from dlnotes.typing import Array, Params

DECAY = 0.01
"""λ of the penalty λ/2 ‖W‖² in every objective but that of plain linear regression."""
RATES = np.array([0.01, 0.03, 0.1, 0.3])
SAME = 0.01
"""Objectives closer than this share are the same end."""
SCALES = np.array([0.0, 0.01, 0.1, 1.0, 10.0, 100.0])
"""Factors on He normal weights."""
BIASES = np.array([0.1, 1.0])
"""Where hidden biases start beside 0, at scale 1."""
DIGIT_RATES = np.array([0.003, 0.01, 0.03, 0.1])
SMALL, LARGE, BIASED, EQUAL = 3, 5, 6, 8
"""Settings on digits: the scales, the biases, equal weights."""


class ConvexStarts(Options):
    """Sizes of the experiment."""

    starts: int = Field(48, ge=10, description="starts of each model and learning rate")
    steps: int = Field(4000, ge=10, description="steps of SGD on the tables, 32 rows each")
    digit_steps: int = Field(400, ge=10, description="steps of SGD on digits, 32 images each")


class Problem(NamedTuple):
    """A convex problem of the notes.

    Attributes:
      name: of the model.
      loss: of the output ``(rows, 1)``.
      decay: λ.
      solve: from the table to the optimal ``(w, b)``.
    """

    name: str
    loss: outputs.LossFn
    decay: float
    solve: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LinearRegression

    found = LinearRegression().fit(x, y[:, 0])
    return found.coef_, np.asarray(found.intercept_)


def logistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1 / (DECAY * len(y)), tol=1e-10, max_iter=10_000).fit(x, y)
    return found.coef_[0], found.intercept_[0]


def support_vectors(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.svm import SVC

    found = SVC(kernel="linear", C=1 / (DECAY * len(y)), tol=1e-8).fit(x, y)
    return found.coef_[0], found.intercept_[0]


PROBLEMS = {
    "diabetes": (Problem("linear regression", outputs.squared_error, 0.0, least_squares),),
    "breast_cancer": (
        Problem("logistic regression", outputs.binary_cross_entropy, DECAY, logistic),
        Problem("linear SVM", outputs.hinge, DECAY, support_vectors),
    ),
}
"""By table; those of one table train in one program."""
NAMES = [problem.name for problems in PROBLEMS.values() for problem in problems]


def table_of(name: str) -> data.Examples:
    """All rows of a real table, standardized."""
    table = data.load("tabular", name=name)
    parts = [table.split(part) for part in ("train", "validation", "test")]
    return data.Examples(*(np.concatenate([part[i] for part in parts]) for i in range(2)))


def he_normal(rng: np.random.Generator, like: Params, members: int) -> Params:
    """Starts ``(members, ...)`` of parameters like ``like``: weights He normal, biases 0."""

    def one(a: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(a.shape) == 1:
            return np.zeros((members, *a.shape), np.float32)
        return np.sqrt(2 / a.shape[0], dtype=np.float32) * rng.standard_normal(
            (members, *a.shape), np.float32
        )

    return jax.tree.map(one, like)


def scaled(start: Params, scale: np.ndarray) -> Params:
    """The starts' weights times one factor a member, biases as they are."""
    factor = scale.astype(np.float32)[:, None, None]
    return jax.tree.map(lambda a: a * factor if a.ndim == 3 else a, start)


def repeated(tree: Params, times: int) -> Params:
    """All members of a tree once more and again."""
    return jax.tree.map(lambda a: np.concatenate([a] * times), tree)


def objective(problem: Problem, y: np.ndarray, output: np.ndarray, params: Params) -> np.ndarray:
    """Mean loss of outputs ``(members, rows, 1)`` plus λ/2 ‖W‖², ``(members,)``; biases are free."""
    loss = jax.vmap(lambda z: jnp.mean(problem.loss(z, jnp.asarray(y)).total))(output)
    weights = [a for a in jax.tree.leaves(params) if a.ndim == 3]
    squares = sum(np.sum(np.asarray(W, np.float64) ** 2, axis=(1, 2)) for W in weights)
    total = np.asarray(loss, np.float64) + problem.decay / 2 * squares
    return np.where(np.isfinite(total), total, np.inf)


def ends(
    table: data.Examples,
    problems: tuple[Problem, ...],
    model: models.Model,
    start: Params,
    options: ConvexStarts,
) -> np.ndarray:
    """Objectives after SGD from every start, ``(problems, starts)``, each at its rate of lowest mean."""
    shape = (len(problems), len(RATES), options.starts)

    def recipe(hyper: Hyperparams) -> Recipe:
        def loss(output: Array, y: Array) -> outputs.PerExample:
            every = jnp.stack([problem.loss(output, y).total for problem in problems])
            return outputs.PerExample(every[hyper["problem"].astype(jnp.int32)], jnp.ones_like(every[0]))

        factor = schedules.linear(options.steps)
        descent = optimizer("sgd", hyper["learning_rate"], factor=factor, weight_decay=problems[0].decay)
        return Recipe(model, loss, {}, descent)

    result = fit(
        recipe,
        table,
        steps=options.steps,
        batch_size=32,
        seeds=np.tile(np.arange(options.starts), shape[0] * shape[1]),
        hyperparams={
            "problem": np.repeat(np.arange(shape[0]), shape[1] * shape[2]),
            "learning_rate": np.tile(np.repeat(RATES, options.starts), shape[0]),
        },
        start=repeated(start, shape[0] * shape[1]),
        record=options.steps,
    )
    answered = predict(model, result.params, table.x)
    found = [objective(problem, table.y, answered, result.params) for problem in problems]
    by_rate = np.stack([f.reshape(shape)[i] for i, f in enumerate(found)])
    best = by_rate.mean(-1).argmin(-1)
    return np.take_along_axis(by_rate, best[:, None, None], 1)[:, 0]


def measure_tables(options: ConvexStarts) -> dict[str, np.ndarray]:
    """Objectives: the solver's, and the ends of the convex models and of the networks."""
    solved, convex, networks = [], [], []
    rng = np.random.default_rng(0)
    for name, problems in PROBLEMS.items():
        table = table_of(name)
        for problem in problems:
            w, b = problem.solve(table.x.astype(np.float64), table.y)
            answer = (table.x @ w + b).astype(np.float32)[None, :, None]
            solved.append(objective(problem, table.y, answer, [w[None, :, None]])[0])
        features = table.x.shape[1]
        for found, model in (
            (convex, models.linear(features, 1)),
            (networks, models.mlp(features, (8,), 1, activation="tanh")),
        ):
            start = he_normal(rng, jax.eval_shape(model.init, jax.random.key(0)), options.starts)
            if found is convex:  # standard normal times every size from 0.01 to 10
                start = scaled(start, np.geomspace(0.01, 10, options.starts) / np.sqrt(2 / features))
            found.append(ends(table, problems, model, start, options))
    found = {"convex": np.concatenate(convex), "networks": np.concatenate(networks)}
    return {"solved": np.array(solved), **found}


def measure_digits(options: ConvexStarts) -> dict[str, np.ndarray]:
    """A network on digits from weights of every scale, from other biases and from equal weights."""
    digits = data.load("digits")
    model = models.mlp((8, 8, 1), (32,), 10, activation="tanh")
    like = jax.eval_shape(model.init, jax.random.key(0))
    start = he_normal(np.random.default_rng(1), like, options.seeds)
    hidden = start.hidden[0]
    starts = [scaled(start, np.full(options.seeds, scale)) for scale in SCALES]
    starts += [start._replace(hidden=(hidden._replace(b=np.full_like(hidden.b, b)),)) for b in BIASES]
    # Each seed has a constant of its own: its first weight of every layer.
    starts.append(jax.tree.map(lambda a: a if a.ndim == 2 else np.full_like(a, a[:, :1, :1]), start))
    shape = (len(starts), len(DIGIT_RATES), options.seeds)
    starts = jax.tree.map(lambda *a: np.concatenate(a), *(repeated(s, shape[1]) for s in starts))

    def recipe(hyper: Hyperparams) -> Recipe:
        descent = optimizer("sgd", hyper["learning_rate"], momentum=0.9)
        return Recipe(model, outputs.cross_entropy, {}, descent)

    result = fit(
        recipe,
        digits.train,
        steps=options.digit_steps,
        batch_size=32,
        seeds=np.tile(np.arange(options.seeds), shape[0] * shape[1]),
        hyperparams={"learning_rate": np.tile(np.repeat(DIGIT_RATES, options.seeds), shape[0])},
        start=starts,
        record=options.digit_steps,
    )
    right = {}
    for part in ("validation", "test"):
        examples = digits.split(part)
        answer = predict(model, result.params, examples.x).argmax(-1)
        right[part] = (answer == examples.y).mean(-1).reshape(shape)
    best = right["validation"].mean(-1).argmax(-1)
    W = result.params.hidden[0].W.reshape(*shape, 64, 32)
    moved = np.abs(W - starts.hidden[0].W.reshape(W.shape))
    return {
        "test": np.take_along_axis(right["test"], best[:, None, None], 1)[:, 0],  # (settings, seeds)
        "rate": DIGIT_RATES[best],
        "spread": np.abs(W - W[..., :1]).max((1, 2, 3, 4)),  # between units, by setting
        "moved": moved.max((1, 2, 3, 4)),
    }


def measure(options: ConvexStarts) -> dict[str, np.ndarray]:
    """Ends on the tables and on digits."""
    return measure_tables(options) | measure_digits(options)


def same_end(found: np.ndarray, best: float) -> Interval:
    """The share of starts whose objective is within 1% of ``best``."""
    return share(found < (1 + SAME) * best)


def draw(options: ConvexStarts, m: Measured) -> Plot:
    """Objectives of all starts over the optimum on the left, accuracy by the start's scale on the right."""
    figure = new_figure(9.5, 4.2)
    left, right = figure.subplots(1, 2)
    rng = np.random.default_rng(0)
    table: dict[str, list] = {"setting": [], "start_or_seed": [], "quantity": [], "value": []}

    def note(setting: str, quantity: str, values: np.ndarray) -> None:
        for i, value in enumerate(values):
            for column, entry in zip(table.values(), (setting, i, quantity, value)):
                column.append(entry)

    for i, name in enumerate(NAMES):
        for place, kind, color in ((i - 0.2, "convex", BLUE), (i + 0.2, "networks", ORANGE)):
            best = m["solved"][i] if kind == "convex" else m[kind][i].min()
            above = 100 * (m[kind][i] / best - 1)
            left.plot(place + rng.uniform(-0.1, 0.1, len(above)), above, ".", color=color, ms=4, alpha=0.6)
            note(f"{name}, {kind}", "percent above the optimum", above)
    left.plot([], [], "o", color=BLUE, label="linear model, over the solver's optimum")
    left.plot([], [], "o", color=ORANGE, label="eight tanh units, over the best end")
    left.axhline(100 * SAME, color=GRAY, ls="--", lw=1, label="1%: counts as the same end")
    left.set_yscale("symlog", linthresh=1)
    left.set(xticks=range(len(NAMES)), xticklabels=[n.replace(" ", "\n") for n in NAMES], ylim=(-0.2, 500))
    left.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    left.set(ylabel="objective above the optimum (%)", xlabel="loss")
    left.legend(loc="upper right", fontsize=9)

    kinds = [("0", 0), ("equal", EQUAL), *((f"{scale:g}", i) for i, scale in enumerate(SCALES) if scale)]
    for place, (name, i) in enumerate(kinds):
        found = mean(100 * m["test"][i])
        bar = [[max(0, found.value - found.low)], [max(0, found.high - found.value)]]
        seeds = np.full(options.seeds, place + 0.2)
        right.plot(seeds, 100 * m["test"][i], ".", color=GRAY, ms=4, label="one seed" if place == 0 else None)
        right.errorbar(place, found.value, bar, fmt="o", color=BLUE, capsize=3, ms=6)
        note(f"digits, weights {name}", "test accuracy", m["test"][i])
    right.plot([], [], "o", color=BLUE, label=f"mean of {options.seeds} seeds and 95% interval")
    right.set(xticks=range(len(kinds)), xticklabels=[name for name, _ in kinds], ylim=(0, 105))
    right.set(xlabel="initial weights, times He normal", ylabel="test accuracy on digits (%)")
    right.legend(loc="lower center", fontsize=9)
    set_title(figure, _title(m))
    return Plot(figure, table)


def _title(m: Measured) -> str:
    same = [same_end(found, found.min()).value for found in m["networks"]]
    convex = min(same_end(*pair).value for pair in zip(m["convex"], m["solved"]))
    shares = ", ".join(f"{100 * v:.0f}%" for v in same)
    return (
        f"Linear models find the optimum from {100 * convex:.0f}% of starts, "
        f"networks the best end from {shares}"
    )


CLAIM = Claim(
    id="F2.1",
    statement="Convex training converges from any start, also by SGD: linear regression, logistic "
    "regression and support vector machines. A network's end depends on its start; its weights should "
    "start small and random, its biases may start at zero.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2",
    options=ConvexStarts,
    measure=measure,
    draw=draw,
    parts=(
        *(
            Part(
                name,
                f"SGD on {name} reaches the solver's optimum from any start.",
                what="share of starts whose objective ends within 1% of scikit-learn's",
                effect=lambda m, i=i: same_end(m["convex"][i], m["solved"][i]),
                rule=Above(0.9),
            )
            for i, name in enumerate(NAMES)
        ),
        *(
            Part(
                f"network, loss of {name}",
                "With eight tanh units the same SGD ends elsewhere from many starts.",
                what="share of starts whose objective ends within 1% of the best end",
                effect=lambda m, i=i: same_end(m["networks"][i], m["networks"][i].min()),
                rule=Below(0.9),
            )
            for i, name in enumerate(NAMES)
        ),
        Part(
            "zero weights",
            "From zero weights all hidden units stay equal for ever.",
            what="largest difference between two units' weights, all rates and seeds",
            effect=lambda m: exact(m["spread"][0]),
            rule=Within(0.0, 0.0),
        ),
        Part(
            "equal weights",
            "So they do from weights that are equal but not zero, though they learn.",
            what="largest difference between two units' weights over how far they moved",
            effect=lambda m: exact(m["spread"][EQUAL] / m["moved"][EQUAL]),
            rule=Below(1e-3),
        ),
        Part(
            "small random weights",
            "Small random weights let the network learn what zero weights do not.",
            what="test accuracy on digits, He normal minus zero weights",
            effect=lambda m: paired(m["test"][SMALL], m["test"][0]),
            rule=Above(0.1),
        ),
        Part(
            "not too large",
            "Weights a hundred times as large end worse.",
            what="test accuracy on digits, He normal minus a hundred times that",
            effect=lambda m: paired(m["test"][SMALL], m["test"][LARGE]),
            rule=Above(0.02),
        ),
        Part(
            "zero biases",
            "Starting the hidden biases at zero loses nothing against starting them at 0.1.",
            what="test accuracy on digits, biases 0 minus biases 0.1",
            effect=lambda m: paired(m["test"][SMALL], m["test"][BIASED]),
            rule=Above(-0.01),
        ),
    ),
    reading="With the logistic loss and weight decay the network's ends do not differ: on this table, nearly "
    "separable by a plane, that loss is as good as convex. With the same table and the hinge, and with the "
    "squared error, they do. The notes say that convergence is not guaranteed, not that it never happens.",
    revised="Starts, steps and the grid of rates were cut to save time; no verdict changed.",
)

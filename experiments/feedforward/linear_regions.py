"""Linear regions of networks: built by hand, random and trained, against the formulas.

The notes: a network with d inputs, n units in each of l layers can cut its input space into a number of
linear regions that is exponential in the depth; a unit that takes the absolute value folds space, and
folds upon folds multiply. The number they give for ReLU has a binomial coefficient, n over d, where the
theorem (Montúfar et al. 2014) has the quotient n/d; it is measured against the quotient, and the printed
number against the largest that is possible. For maxout with k pieces it is k^((l−1)+d).

Measured, all counted exactly: a line folded l times; networks built by hand as the proofs do; and ReLU
networks for the digits, before and after training, on the plane through three digits of different
classes. A network restricted to a plane is one of two inputs, so there d = 2. Random maxout networks
have two inputs and two units a layer. "Far fewer" is: less than a tenth.
"""

from __future__ import annotations

import jax
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Level,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    notes,
    ours,
)
from dlnotes.layers import Dense
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Recipe, fit, optimizer

WIDTH = 16
FAR = 1e3
"""How far the plane is cut, in distances between the digits: beyond that lie next to no corners."""
DRAWN = 1.6
"""How far it is drawn."""
FOLDS = range(1, 13)
BUILT = [(1, n, l) for n in (2, 4, 8) for l in (1, 2, 3, 4)] + [
    (2, n, l) for n, deep in ((4, 4), (8, 3)) for l in range(1, deep + 1)
]
"""(d, n, l) of the ReLU networks built by hand; n a power of two, so that folds are without rounding."""
MAXOUT_BUILT = [(1, k, l) for k in (2, 3, 5) for l in (1, 2, 3, 4)] + [
    (2, k, l) for k in (2, 3) for l in (1, 2, 3)
]
"""(d, k, l) of the maxout networks."""
MAXOUT_PIECES = MAXOUT_DEPTH = 4


class LinearRegions(Options):
    """Sizes of the experiment."""

    depth: int = Field(4, ge=3, le=6, description="most hidden layers of the digit networks")
    maxout_networks: int = Field(200, ge=10, description="random maxout networks")
    steps: int = Field(1500, ge=10, description="steps of training")
    learning_rate: float = Field(3e-3, gt=0, description="of Adam, batches of 128")


def folded_line(folds: int) -> models.MLP:
    """x → |2x − 1| on [0, 1], ``folds`` times over."""
    layer = Dense(np.full((1, 1), 2.0), np.full(1, -1.0))
    return models.MLP((layer,) * folds, (None,) * folds, Dense(np.ones((1, 1)), np.zeros(1)))


def zigzag(p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, biases and output weights of p ReLU units that fold [0, 1] onto itself p times."""
    jumps = p * np.array([1.0, *(2.0 * (-1) ** i for i in range(1, p))])
    return np.ones(p), -np.arange(p) / p, jumps


def folding_network(d: int, n: int, l: int) -> models.MLP:
    """The ReLU network of the proof: l − 1 layers fold each input ⌊n/d⌋ times, the last cuts freely."""
    p = n // d
    w, b, out = zigzag(p)
    fold_in = np.zeros((d, n))
    fold_b = np.zeros(n)
    fold_out = np.zeros((n, d))
    for i in range(d):
        fold_in[i, i * p : (i + 1) * p] = w
        fold_b[i * p : (i + 1) * p] = b
        fold_out[i * p : (i + 1) * p, i] = out
    cuts = generic_lines(d, n)
    layers, before = [], np.eye(d)
    for _ in range(l - 1):
        layers.append(Dense(before @ fold_in, fold_b))
        before = fold_out
    layers.append(Dense(before @ cuts.W, cuts.b))
    rng = np.random.default_rng(0)
    return models.MLP(tuple(layers), (None,) * l, Dense(rng.normal(size=(n, 1)), np.zeros(1)))


def generic_lines(d: int, n: int) -> Dense:
    """n units whose lines all cross within the unit square (for d = 1: points within the unit interval).

    Each unit is active in the middle, so that nowhere all are silent: two such regions on both sides of
    a fold would be one.
    """
    if d == 1:
        side = np.where(np.arange(n) < n / 2, 1.0, -1.0)
        return Dense(side[None], -side * (np.arange(n) + 0.5) / n)
    angle = np.pi * (np.arange(n) + 0.5) / n
    normal = np.stack([np.cos(angle), np.sin(angle)])
    shift = 0.02 * np.cos(3 * angle + np.arange(n))  # no three through one point
    side = -np.sign(shift)
    return Dense(side * normal, -side * (normal.sum(0) / 2 + shift))


def folding_maxout(d: int, k: int, l: int) -> models.MaxoutMLP:
    """Two maxout units for each input: the difference of two convex zigzags folds [0, 1] k times."""
    knots, jumps = np.arange(1, k) / k, 2.0 * k * (-1.0) ** np.arange(1, k)
    rising = _convex(knots[jumps > 0], jumps[jumps > 0], float(k), k)
    falling = _convex(knots[jumps < 0], -jumps[jumps < 0], 0.0, k)
    W, b = np.zeros((d, 2 * d * k)), np.zeros(2 * d * k)
    for i in range(d):
        for j, (slopes, heights) in enumerate((rising, falling)):
            at = slice((2 * i + j) * k, (2 * i + j + 1) * k)
            W[i, at], b[at] = slopes, heights
    join = np.kron(np.eye(d), np.array([[1.0], [-1.0]]))
    layers = [Dense(W, b)] + [Dense(join @ W, b)] * (l - 1)
    return models.MaxoutMLP(tuple(layers), Dense(join @ np.ones((d, 1)), np.zeros(1)))


def _convex(knots: np.ndarray, jumps: np.ndarray, slope: float, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and heights of the k lines whose maximum starts with ``slope`` and bends at the knots."""
    slopes = slope + np.concatenate([[0.0], np.cumsum(jumps)])
    heights = -np.concatenate([[0.0], np.cumsum(jumps * knots)])
    spare = k - len(slopes)
    return np.append(slopes, [slopes[-1]] * spare), np.append(heights, [heights[-1] - 1.0] * spare)


def count_built() -> tuple[np.ndarray, np.ndarray]:
    """What was counted and what the theorem says, for ReLU and for maxout, ``(cases, 2)`` each."""

    def counted(params: models.MLP | models.MaxoutMLP, d: int, pieces: int | None = None) -> int:
        if d == 1:
            return len(analysis.on_line(params, [0.0], [1.0], pieces=pieces).slopes)
        return analysis.on_slice(params, [0, 0], [1, 0], [0, 1], window=(0, 1, 0, 1), pieces=pieces).pieces

    relu = [
        (counted(folding_network(*case), case[0]), analysis.region_bounds.reached(*case)) for case in BUILT
    ]
    maxout = [
        (counted(folding_maxout(d, k, l), d, k), analysis.region_bounds.maxout_regions(d, k, l))
        for d, k, l in MAXOUT_BUILT
    ]
    return np.array(relu), np.array(maxout)


def count_random_maxout(networks: int) -> np.ndarray:
    """Pieces of random maxout networks with two inputs and two units a layer, ``(networks,)``."""
    rng, window = np.random.default_rng(0), (-FAR, FAR, -FAR, FAR)
    model = models.maxout_mlp(2, (2,) * MAXOUT_DEPTH, 1, pieces=MAXOUT_PIECES)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    drawn = [jax.tree.map(lambda a: rng.normal(size=a.shape), shapes) for _ in range(networks)]
    return np.array(
        [
            analysis.on_slice(p, [0, 0], [1, 0], [0, 1], window=window, pieces=MAXOUT_PIECES).pieces
            for p in drawn
        ]
    )


def plane(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Center, two orthonormal directions and the places of three examples of different classes."""
    classes = rng.choice(10, 3, replace=False)
    points = np.stack([x[rng.choice(np.flatnonzero(y == c))] for c in classes]).astype(np.float64)
    origin = points.mean(0)
    _, size, directions = np.linalg.svd(points - origin, full_matrices=False)
    scale = size[0]
    places = (points - origin) @ directions[:2].T / scale
    return origin, scale * directions[0], scale * directions[1], places, classes


def member(tree: models.MLP, when: int, seed: int) -> models.MLP:
    """Parameters of one seed at one time."""
    return jax.tree.map(lambda leaf: leaf[when, seed], tree)


def measure(options: LinearRegions) -> dict[str, np.ndarray]:
    """Count networks built by hand, then random and trained ones."""
    folded = [
        len(analysis.on_line(folded_line(folds), [0.0], [1.0], activation="abs").slopes) for folds in FOLDS
    ]
    relu, maxout = count_built()
    digits = data.load("digits").train
    x = np.asarray(digits.x, np.float64).reshape(len(digits.y), -1)
    rng = np.random.default_rng(0)
    planes = [plane(x, np.asarray(digits.y), rng) for _ in range(options.seeds)]
    counts = np.zeros((2, options.depth, options.seeds), int)
    accuracy, drawn = [], {}
    for depth in range(1, options.depth + 1):
        model = models.mlp(64, (WIDTH,) * depth, 10)
        recipe = Recipe(
            model,
            outputs.cross_entropy,
            {"accuracy": outputs.accuracy},
            optimizer("adam", options.learning_rate),
        )
        result = fit(
            recipe,
            digits,
            steps=options.steps,
            batch_size=128,
            seeds=range(options.seeds),
            every=options.steps,
            probe=lambda params: params,
        )
        accuracy.append(result.history["accuracy"][-20:].mean(0))
        for when in range(2):
            for seed, (o, a, c, *_) in enumerate(planes):
                params = member(result.probes, when, seed)
                window = (-FAR, FAR, -FAR, FAR)
                counts[when, depth - 1, seed] = analysis.on_slice(params, o, a, c, window=window).pieces
            if depth == 3:
                params = member(result.probes, when, 0)
                window = (-DRAWN, DRAWN, -DRAWN, DRAWN)
                found = analysis.on_slice(params, *planes[0][:3], window=window)
                drawn |= _drawing(found, params, planes[0], ("random", "trained")[when])
    return {
        "folded": np.array(folded),
        "relu": relu,
        "maxout": maxout,
        "random_maxout": count_random_maxout(options.maxout_networks),
        "counts": counts,
        "accuracy": np.array(accuracy),
        "places": planes[0][3],
        "classes": planes[0][4],
        **drawn,
    }


def _drawing(
    found: analysis.Slice, params: models.MLP, where: tuple[np.ndarray, ...], name: str
) -> dict[str, np.ndarray]:
    """What a picture needs: corners, corners of each polygon, its linear piece and the class answered."""
    origin, along, across = where[:3]
    inside = np.array([p.mean(0) for p in found.polygons])
    logits = models.mlp(64, (WIDTH,) * len(params.hidden), 10).apply(
        params, (origin + inside @ np.stack([along, across])).astype(np.float32)
    )
    return {
        f"{name}_corners": np.concatenate(found.polygons),
        f"{name}_sizes": np.array([len(p) for p in found.polygons]),
        f"{name}_piece": found.piece,
        f"{name}_class": np.asarray(logits).argmax(-1),
    }


def numbers(depths: int) -> np.ndarray:
    """(n/d)^{d(l−1)} n^d on a plane, for 1 to ``depths`` layers."""
    return np.array([float(analysis.region_bounds.relu_regions(2, WIDTH, l)) for l in range(1, depths + 1)])


def draw(options: LinearRegions, m: Measured) -> Plot:
    """The regions on one plane before and after training, and the counts by depth."""
    figure = new_figure(10, 4.1)
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.25])
    for axis, name in zip(axes, ("random", "trained")):
        _draw_regions(axis, m, name)
    right, counts = axes[2], m["counts"]
    depths = range(1, counts.shape[1] + 1)
    formula = numbers(len(depths))
    limit = [analysis.region_bounds.at_most(2, (WIDTH,) * l) for l in depths]
    printed = [analysis.region_bounds.as_printed(2, WIDTH, l) for l in depths]
    right.plot(depths, printed, color=GRAY, ls=":", marker="x", label="as the notes print it")
    right.plot(depths, limit, color=GRAY, ls="--", label="the most that is possible")
    right.plot(depths, formula, color=ORANGE, marker="s", label="the theorem's number")
    for when, (name, color) in enumerate((("random", BLUE), ("trained", GREEN))):
        low, middle, high = np.quantile(counts[when], [0, 0.5, 1], axis=1)
        bars = [middle - low, high - middle]
        label = f"{name}, median and range of {counts.shape[2]}"
        places = np.array(depths) + 0.05 * (2 * when - 1)
        right.errorbar(places, middle, bars, color=color, marker="o", capsize=3, label=label)
    right.set(yscale="log", xticks=depths, xlabel=f"hidden layers of {WIDTH} units")
    right.set_ylabel("linear regions on a plane")
    right.set_ylim(top=max(printed) ** 1.35)
    right.legend(fontsize=8, loc="upper left")
    last = np.median(counts[1, -1])
    set_title(
        figure,
        f"{len(depths)} layers can make millions of regions on a plane; trained on digits they make "
        f"about {last:.0f}",
    )
    rows = [
        (
            l,
            formula[l - 1],
            limit[l - 1],
            counts[0, l - 1, s],
            counts[1, l - 1, s],
            m["accuracy"][l - 1, s],
            s,
        )
        for l in depths
        for s in range(counts.shape[2])
    ]
    names = ("layers", "theorem", "most_possible", "random", "trained", "training_accuracy", "seed")
    return Plot(figure, dict(zip(names, map(list, zip(*rows)))))


def _draw_regions(axis, m: Measured, name: str) -> None:
    """Each linear piece in a shade of its own, of the color of the class that the network answers there."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    polygons = np.split(m[f"{name}_corners"], np.cumsum(m[f"{name}_sizes"])[:-1])
    piece, answered = m[f"{name}_piece"], m[f"{name}_class"]
    hues = np.array(
        [
            to_rgb(c)
            for c in (
                BLUE,
                ORANGE,
                GREEN,
                PURPLE,
                "#F0E442",
                "#56B4E9",
                "#E69F00",
                GRAY,
                "#44AA99",
                "#882255",
            )
        ]
    )
    light = np.random.default_rng(1).uniform(0.25, 0.85, piece.max() + 1)[piece][:, None]
    colors = hues[answered] * (1 - light) + light
    axis.add_collection(PolyCollection(polygons, facecolors=colors, edgecolors="white", linewidths=0.35))
    for place, label in zip(m["places"], m["classes"]):
        axis.text(
            *place, str(label), ha="center", va="center", fontsize=11, fontweight="bold",
            bbox={"boxstyle": "circle,pad=0.25", "fc": "white", "ec": "black"},
        )  # fmt: skip
    axis.set(xlim=(-DRAWN, DRAWN), ylim=(-DRAWN, DRAWN), xticks=[], yticks=[], aspect="equal")
    axis.set_title(f"{name}, 3 layers: {piece.max() + 1} regions here", fontsize=10)
    axis.set_xlabel("plane through three digits; color: answer")


def share_of_formula(m: Measured, when: int) -> np.ndarray:
    """Counted over the theorem's number at three layers, each seed."""
    return m["counts"][when, 2] / numbers(3)[2]


WHERE = "diseño de la arquitectura"

CLAIM = Claim(
    id="F4.3",
    statement="Networks of piecewise linear units can make a number of linear regions that is exponential "
    "in their depth l: of order (n/d)^(d(l−1)) n^d for ReLU, k^((l−1)+d) for maxout. Units that take the "
    "absolute value fold space, and folds multiply.",
    source="notes, «diseño de la arquitectura»; Montúfar et al. 2014",
    options=LinearRegions,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "folds multiply",
            f"A line folded l times by absolute values has exactly 2^l pieces, l up to {max(FOLDS)}.",
            what="largest difference between the pieces counted and 2^l",
            effect=lambda m: exact(np.abs(m["folded"] - 2.0 ** np.array(FOLDS)).max(), len(FOLDS)),
            rule=Within(0.0, 0.0),
            source=notes(
                WHERE,
                "absolute value units fold the input space into mirror images; composed, they give an "
                "exponential number of regions",
            ),
        ),
        Part(
            "ReLU reaches it",
            "Networks built by hand have exactly ⌊n/d⌋^(d(l−1)) Σ C(n, j) regions, which is of that order.",
            what="largest difference between the regions counted and that number",
            effect=lambda m: exact(np.abs(m["relu"][:, 0] - m["relu"][:, 1]).max(), len(BUILT)),
            rule=Within(0.0, 0.0),
            source=notes(
                WHERE,
                "the number of linear regions of a ReLU network is exponential in its depth, by a formula "
                "with n over d",
            ),
        ),
        Part(
            "maxout reaches it",
            "Maxout networks built by hand have at least k^((l−1)+d) regions.",
            what="networks that have fewer",
            effect=lambda m: exact((m["maxout"][:, 0] < m["maxout"][:, 1]).sum(), len(MAXOUT_BUILT)),
            rule=Within(0.0, 0.0),
            source=notes(
                WHERE, "the number of regions of a maxout network is of order k to the power (l − 1) + d"
            ),
        ),
        Part(
            "as printed",
            "With a binomial coefficient, as the notes print it, the number is more than any network has.",
            what="printed number over the largest possible one, d = 2, n = 16, l = 2",
            effect=lambda m: exact(
                analysis.region_bounds.as_printed(2, WIDTH, 2)
                / analysis.region_bounds.at_most(2, (WIDTH, WIDTH))
            ),
            rule=Above(1.0),
            source=ours("the notes print a binomial coefficient where the theorem has a quotient"),
        ),
        Part(
            "random networks",
            "A random ReLU network of three layers makes less than a tenth of the theorem's number.",
            what="regions counted over the theorem's number, random network",
            effect=lambda m: mean(share_of_formula(m, 0)),
            rule=Below(0.1),
            source=ours("asks how close networks that nobody built come to the number"),
        ),
        Part(
            "trained networks",
            "A ReLU network of three layers trained on the digits makes less than a tenth of the theorem's "
            "number.",
            what="regions counted over the theorem's number, trained network",
            effect=lambda m: mean(share_of_formula(m, 1)),
            rule=Below(0.1),
            source=ours("asks how close networks that nobody built come to the number"),
            learned=Level(
                what="training accuracy of the network of three layers, last 20 batches, %",
                effect=lambda m: mean(100 * m["accuracy"][2]),
                rule=Above(99.0),
            ),
        ),
        Part(
            "random maxout networks",
            "A random maxout network with as many units as inputs makes less than a tenth of its number.",
            what=f"regions counted over k^((l−1)+d), l = {MAXOUT_DEPTH}, k = {MAXOUT_PIECES}, d = 2",
            effect=lambda m: mean(
                m["random_maxout"] / analysis.region_bounds.maxout_regions(2, MAXOUT_PIECES, MAXOUT_DEPTH)
            ),
            rule=Below(0.1),
            source=ours("asks how close networks that nobody built come to the number"),
        ),
    ),
    method="Regions are counted exactly, none is sampled. Built by hand: a line folded up to 12 times, and "
    "small ReLU networks and maxout networks, as in the proofs. Random and trained: ReLU networks with "
    "layers of 16 units for scikit-learn's digits, on the plane through three digits, {options.seeds} "
    "seeds, Adam at rate {options.learning_rate}, {options.steps} steps of 128; and "
    "{options.maxout_networks} random maxout networks.",
    reading="The formulas say what some networks can reach. Networks that nobody built come nowhere near: "
    "on the plane through three digits a trained network of three layers makes {parts[trained networks]} "
    "of the number.",
    revised=(
        "The set networks first failed, as silent units let regions merge across folds: the units "
        "were turned round, and widths are powers of two only, for which the arithmetic is exact. "
        "Random maxout networks were 10 at first, which was inconclusive (0.057, 0.035 to 0.130); "
        "they are 200."
    ),
)

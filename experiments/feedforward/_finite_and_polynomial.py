"""What one hidden layer computes exactly on finite sets, and what it cannot with a polynomial activation."""

from __future__ import annotations

import jax
import numpy as np

from dlnotes import models
from dlnotes.analysis import boolean_functions as boolean
from dlnotes.claims import Above, Part, Within, exact, mean, notes, ours, paper
from dlnotes.layers import Dense

DEGREES = (2, 3, 5)
"""Of the activations z², z³ and z⁵."""
CUBE = DEGREES.index(3)
BITS = 3
WHERE = "diseño de la arquitectura"


def relu_table(f: int, n: int) -> models.MLP:
    """A ReLU network that is the function f of n bits, by one unit for each input at which it is 1 or 0.

    Unit v is ``max(0, Σ_i (2v_i − 1) x_i − Σ_i v_i + 1)``: 1 at the input v and 0 at all others. There are
    2^(n − 1) units; those that are not needed have the output weight 0.
    """
    W, t, v, c = boolean.one_unit_each(f, n)
    spare = 2 ** (n - 1) - len(v)
    hidden = Dense(
        np.pad(W, ((0, 0), (0, spare))).astype(np.float32), np.pad(0.5 - t, (0, spare)).astype(np.float32)
    )
    output = Dense(np.pad(v, (0, spare))[:, None].astype(np.float32), np.array([c], np.float32))
    return models.MLP((hidden,), (None,), output)


def wrong_tables() -> np.ndarray:
    """Truth tables of three bits that ReLU and threshold units do not compute exactly, ``(2,)``."""
    x, every = boolean.inputs(BITS), range(2 ** (2**BITS))
    wanted = boolean.values(np.array(every), BITS)
    params = jax.tree.map(lambda *a: np.stack(a), *(relu_table(f, BITS) for f in every))
    model = models.mlp(BITS, (2 ** (BITS - 1),), 1)
    got = jax.jit(jax.vmap(lambda p: model.apply(p, x.astype(np.float32))[:, 0]))(params)
    stepped = []
    for f in every:
        W, t, v, c = boolean.one_unit_each(f, BITS)
        stepped.append(c + (x @ W > t) @ v)
    return np.array([np.any(np.asarray(a) != wanted, axis=1).sum() for a in (got, np.array(stepped))])


def polynomial_errors(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray, widths: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors with the activations z^p, and the least that a polynomial of degree p leaves.

    Args:
      rng: for the hidden units.
      y: ``(functions, points)`` values.
      x: ``(points,)`` in [−1, 1].
      widths: hidden units, whose output weights are solved for.

    Returns:
      ``(degrees, widths, functions)`` and ``(degrees, functions)``.
    """
    size = np.sqrt(np.mean(y**2, axis=1))

    def left(features: np.ndarray) -> np.ndarray:
        features = features / np.abs(features).max(0)
        weights = np.linalg.lstsq(features, y.T, rcond=1e-12)[0]
        return np.sqrt(np.mean((features @ weights - y.T) ** 2, axis=0)) / size

    found, floor = [], []
    for p in DEGREES:
        W, b = rng.normal(size=(2, max(widths)))
        h = (x[:, None] * W + b) ** p
        found.append([left(np.column_stack([h[:, :n], np.ones(len(x))])) for n in widths])
        floor.append(left(np.polynomial.chebyshev.chebvander(x, p)))
    return np.array(found), np.array(floor)


PARTS = (
    Part(
        "finite sets",
        "All 256 truth tables of three bits are computed without any error, by ReLU and by threshold units.",
        what="truth tables with a wrong value, 8 inputs each, both kinds of unit",
        effect=lambda m: exact(m["wrong_tables"].sum(), 2 * 256),
        rule=Within(0, 0),
        source=notes(
            WHERE,
            "a network can approximate any function from one discrete space of finite dimension to another",
        ),
    ),
    Part(
        "a polynomial activation",
        "With the activation z³ the error stays above 1% at every width.",
        what="relative error with the activation z³ and solved output weights, the least of all widths",
        effect=lambda m: mean(m["polynomial"][CUBE].min(0)),
        rule=Above(0.01),
        source=paper(
            "Leshno et al. 1993",
            "networks of one hidden layer approximate every continuous function if "
            "and only if their activation is not a polynomial",
        ),
    ),
    Part(
        "its floor",
        "The floor is that of the polynomials of the activation's degree.",
        what="error over that of the best polynomial of the degree, the least of all functions, widths "
        "and activations z², z³, z⁵",
        effect=lambda m: exact((m["polynomial"] / m["floor"][:, None]).min(), m["polynomial"].size),
        rule=Within(0.999, 1.001),
        source=ours("checks that the floor does not come from few units or from rounding"),
    ),
)
"""Of the claim on universal approximation."""
